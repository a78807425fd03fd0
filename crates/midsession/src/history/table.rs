//! Where rows go: JSON lines on stdout or in a file, or a Parquet file. A file appears when it is whole.

use super::parquet::Parquet;
use crate::cli::Failure;
use midsession_event::{PropertyValue, Str};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Int,
    /// Any other numbers.
    Float,
    /// Texts.
    Text,
    /// true or false.
    Bool,
    /// Instants.
    Time,
}

/// A value in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not there.
    Null,
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Str),
    /// true or false.
    Bool(bool),
    /// Epoch ms.
    Time(i64),
}

impl From<Option<Str>> for Cell {
    fn from(text: Option<Str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<&PropertyValue> for Cell {
    fn from(value: &PropertyValue) -> Self {
        match value {
            PropertyValue::Null => Self::Null,
            PropertyValue::Bool(bool) => Self::Bool(*bool),
            PropertyValue::Int(int) => Self::Int(*int),
            PropertyValue::Float(float) => Self::Float(*float),
            PropertyValue::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// A row, in both forms.
pub trait Row: Serialize {
    /// Its cells, as many as there are columns.
    fn cells(&self, columns: usize) -> Vec<Cell>;
}

/// Takes rows.
pub struct Table {
    target: Target,
    columns: usize,
    rows: u64,
}

enum Target {
    Stdout(BufWriter<io::Stdout>),
    Lines(BufWriter<File>, Place),
    Parquet(Box<Parquet>, Place),
}

/// A file on its way to its name.
struct Place {
    temporary: tempfile::TempPath,
    path: PathBuf,
}

impl Table {
    /// Opens the output; its name says the form. Without a name, JSON lines on stdout.
    ///
    /// # Errors
    /// The name says no form, or the file can't be made.
    pub fn create(output: Option<&Path>, columns: Vec<(Str, Kind)>) -> Result<Self, Failure> {
        let count = columns.len();
        let Some(path) = output else {
            return Ok(Self { target: Target::Stdout(BufWriter::new(io::stdout())), columns: count, rows: 0 });
        };
        let form = path.extension().and_then(|form| form.to_str()).unwrap_or_default().to_ascii_lowercase();
        let is_parquet = match form.as_str() {
            "parquet" => true,
            "jsonl" | "json" | "ndjson" => false,
            _ => {
                let what = format!("--output {}: the name says no form", path.display());
                return Err(Failure::usage(what).hint("end it with .jsonl or .parquet"));
            }
        };
        let unusable = |error: io::Error| Failure::new(format!("--output {}: {error}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        use std::os::unix::fs::PermissionsExt;
        let (file, temporary) = tempfile::Builder::new()
            .prefix(".midsession-")
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|error| {
                Failure::new(format!("--output {}: no file can be made there ({})", path.display(), error.kind()))
                    .hint(format!("{} has to be a folder that this user may write to", folder.display()))
            })?
            .into_parts();
        let place = Place { temporary, path: path.to_owned() };
        let target = if is_parquet {
            Target::Parquet(Box::new(Parquet::new(file, columns).map_err(unusable)?), place)
        } else {
            Target::Lines(BufWriter::with_capacity(1 << 16, file), place)
        };
        Ok(Self { target, columns: count, rows: 0 })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn row(&mut self, row: &impl Row) -> Result<(), Failure> {
        self.rows += 1;
        let written = match &mut self.target {
            Target::Stdout(out) => match line(out, row) {
                // A reader that has gone away (`| head`) ends the program quietly.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
                written => written,
            },
            Target::Lines(out, _) => line(out, row),
            Target::Parquet(out, _) => out.row(row.cells(self.columns)),
        };
        written.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        match &self.target {
            Target::Stdout(_) => Failure::new(format!("stdout: {error}")),
            Target::Lines(_, place) | Target::Parquet(_, place) => {
                Failure::new(format!("--output {}: {error}", place.path.display()))
            }
        }
    }

    /// Ends the output; how many rows there were.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn finish(mut self) -> Result<u64, Failure> {
        let ended = match &mut self.target {
            Target::Stdout(out) => match out.flush() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
                ended => ended,
            },
            Target::Lines(out, _) => out.flush(),
            Target::Parquet(out, _) => out.finish(),
        };
        ended.map_err(|error| self.unwritable(&error))?;
        match self.target {
            Target::Stdout(_) => {}
            Target::Lines(_, Place { temporary, path }) | Target::Parquet(_, Place { temporary, path }) => {
                let named = temporary.persist(&path);
                named.map_err(|error| Failure::new(format!("--output {}: {}", path.display(), error.error)))?;
            }
        }
        Ok(self.rows)
    }
}

fn line(out: &mut impl Write, row: &impl Row) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}
