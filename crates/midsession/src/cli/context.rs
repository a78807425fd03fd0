//! `midsession context`: loads the context tables of a running server from a file, and shows how they stand.

use super::admin::{Admin, Server};
use super::{Failure, Global, out};
use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use midsession_event::ContextKind;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A file is sent in pieces of about this size. Bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Longest line. Bytes.
const LINE_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Puts the rows of a file into a table: CSV with a first line of names, or JSON lines, each with an `id`
    #[command(
        after_help = "Kinds: product, price, inventory, segment, promotion, profile, location, delivery\n\nExamples:\n  midsession context load product products.csv\n  midsession context load inventory stock.jsonl --admin 127.0.0.1:8081 --data /var/lib/midsession"
    )]
    Load {
        /// Which table
        kind: String,
        /// The file
        file: PathBuf,
        /// How it is written, where its name does not end in .csv or .jsonl
        #[arg(long)]
        format: Option<Format>,
        #[command(flatten)]
        server: Server,
    },
    /// How the tables stand: rows, memory, joins, misses
    #[command(after_help = "Examples:\n  midsession context tables\n  midsession context tables --json")]
    Tables {
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Jsonl,
}

pub(super) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Tables { server } => {
            let answer = Admin::of(global, server)?.ask("GET", "/v1/context", "application/json", Bytes::new())?;
            tables(global, &answer);
            Ok(())
        }
        Command::Load { kind, file, format, server } => {
            let kind = ContextKind::parse(&kind).ok_or_else(|| {
                let names = ContextKind::ALL.map(ContextKind::as_str).join(", ");
                Failure::usage(format!("no kind `{kind}`")).hint(format!("one of: {names}"))
            })?;
            let format = match (format, file.extension().and_then(|ending| ending.to_str())) {
                (Some(format), _) => format,
                (None, Some("csv")) => Format::Csv,
                (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
                (None, _) => {
                    let hint = "pass --format csv or --format jsonl";
                    return Err(Failure::usage(format!("how is {} written?", file.display())).hint(hint));
                }
            };
            load(global, kind, &file, format, Admin::of(global, server)?)
        }
    }
}

/// What the server says of a piece.
#[derive(Deserialize)]
struct Told {
    loaded: u64,
    refused: u64,
    faults: Vec<LineFault>,
    #[serde(default)]
    left_out: BTreeSet<String>,
}

#[derive(Deserialize)]
struct LineFault {
    line: u64,
    field: Option<String>,
    message: String,
    hint: Option<String>,
}

fn load(global: &Global, kind: ContextKind, path: &Path, format: Format, mut admin: Admin) -> Result<(), Failure> {
    let unreadable = |cause: std::io::Error| Failure::new(format!("{}: {cause}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let bar = indicatif::ProgressBar::new(file.metadata().map_or(0, |data| data.len()));
    let content_type = if format == Format::Csv { "text/csv" } else { "application/x-ndjson" };
    let route = format!("/v1/context/{}", kind.as_str());
    let (mut loaded, mut refused, mut left_out) = (0, 0, BTreeSet::new());
    let mut send = |piece: Piece| {
        let (read, before) = (piece.body.len() as u64, piece.before);
        let told = admin.ask("POST", &route, content_type, piece.body.into())?;
        let told: Told = serde_json::from_value(told).map_err(Failure::new)?;
        loaded += told.loaded;
        refused += told.refused;
        left_out.extend(told.left_out);
        for fault in &told.faults {
            let line = before + fault.line;
            let field = fault.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
            let hint = fault.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            bar.suspend(|| eprintln!("{}:{line}: {field}{}{hint}", path.display(), fault.message));
        }
        bar.inc(read);
        Ok(())
    };
    pieces(format, BufReader::new(file), &mut send)
        .map_err(|failure| Failure { cause: format!("{}: {}", path.display(), failure.cause), ..failure })?;
    bar.finish_and_clear();
    if global.json {
        let told = json!({ "kind": kind, "file": path, "loaded": loaded, "refused": refused, "left_out": left_out });
        out(&told.to_string());
    } else {
        for column in left_out {
            eprintln!("left out: the column {column} is personal");
        }
        out(&format!("{loaded} rows loaded into {}, {refused} refused", kind.as_str()));
    }
    if refused > 0 {
        return Err(Failure::new(format!("{refused} rows were refused")).hint("mend these lines and load them again"));
    }
    Ok(())
}

/// A part of a file that is sent at once: for CSV, with the file's first line before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub body: Vec<u8>,
    /// Lines of the file that stand before those of the piece.
    pub before: u64,
}

/// Takes a file apart between its rows.
pub(crate) fn pieces(
    format: Format,
    mut file: impl BufRead,
    send: &mut dyn FnMut(Piece) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut header = Vec::new();
    let mut line = if format == Format::Csv { row(format, &mut file, 0, &mut header)? } else { 0 };
    let header_lines = line;
    loop {
        let mut piece = Piece { body: header.clone(), before: line - header_lines };
        let mut is_over = false;
        while !is_over && piece.body.len() < header.len() + PIECE_BYTES {
            let lines = row(format, &mut file, line, &mut piece.body)?;
            line += lines;
            is_over = lines == 0;
        }
        // A file of a first line alone is sent: the server says what is wrong with it.
        if piece.body.len() > header.len() || piece.before == 0 {
            send(piece)?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Where in a row of CSV: quotes open a field that begins with them, and are text in any other (`5" screen`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum InRow {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside of quotes: the last one, unless another follows.
    QuotedQuote,
}

impl InRow {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::QuotedQuote,
            (Self::Quoted, _) | (Self::FieldStart | Self::QuotedQuote, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::FieldStart,
            _ => Self::Plain,
        }
    }
}

/// Reads one row and answers how many lines it has: in CSV a line break may stand in quotes.
fn row(format: Format, file: &mut impl BufRead, before: u64, out: &mut Vec<u8>) -> Result<u64, Failure> {
    let (start, mut lines, mut place) = (out.len(), 0, InRow::FieldStart);
    while out.len() < start + LINE_BYTES_MAX {
        let (of_line, left) = (out.len(), start + LINE_BYTES_MAX - out.len());
        if file.by_ref().take(left as u64).read_until(b'\n', out).map_err(Failure::new)? == 0 {
            return Ok(lines);
        }
        lines += u64::from(out.ends_with(b"\n") || out.len() < start + LINE_BYTES_MAX);
        let line = &out[of_line..];
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| before + lines == 1).unwrap_or(line);
        place = line.iter().fold(place, |place, byte| place.after(*byte));
        if out.ends_with(b"\n") && (format == Format::Jsonl || place != InRow::Quoted) {
            return Ok(lines);
        }
    }
    let (line, most) = (before + 1, LINE_BYTES_MAX);
    Err(Failure::new(format!("the row on line {line} is longer than {most} bytes"))
        .hint("one row on each line; in CSV, a quote that is not closed runs on"))
}

fn tables(global: &Global, answer: &Value) {
    let rows = answer["tables"].as_array().cloned().unwrap_or_default();
    if global.json {
        return rows.iter().for_each(|row| out(&row.to_string()));
    }
    out(&format!(
        "{:<10} {:>10} {:>12} {:>10} {:>10} {:>10}  last loaded",
        "kind", "rows", "bytes", "joined", "stale", "misses"
    ));
    for row in rows {
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        out(&format!(
            "{:<10} {:>10} {:>12} {:>10} {:>10} {:>10}  {}",
            row["kind"].as_str().unwrap_or_default(),
            number("rows"),
            number("bytes"),
            number("joined"),
            number("stale"),
            number("misses"),
            row["loaded_at"].as_str().unwrap_or("never"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_collect::context::{RowFormat, RowLimits, read_rows};

    fn taken_apart(format: Format, file: &[u8]) -> Vec<Piece> {
        let mut taken = Vec::new();
        let mut keep = |piece| {
            taken.push(piece);
            Ok(())
        };
        pieces(format, file, &mut keep).expect("reads");
        taken
    }

    /// The rows and the file's lines of those that are refused are the same, in one piece or in many.
    #[test]
    fn a_file_in_pieces_says_what_the_file_says() {
        let csv: String = (0..60_000)
            .map(|n| match n % 1_000 {
                7 => format!("{n},\"two\nlines, of \"\"text\"\"\",1\n"),
                8 => format!("{n},x,cheap\n"),
                9 => format!("{n},x\n"),
                _ => format!("{n},\"product number {n} has a name\",{n}\n"),
            })
            .collect();
        let jsonl: String = (0..60_000)
            .map(|n| if n % 1_000 == 7 { "\nnonsense\n".to_owned() } else { format!("{{\"id\":{n},\"price\":{n}}}\n") })
            .collect();
        let files = [
            (Format::Csv, RowFormat::Csv, format!("id,note,price\n{csv}")),
            (Format::Jsonl, RowFormat::JsonLines, jsonl),
        ];
        for (format, as_rows, file) in files {
            let read = |body: &[u8]| {
                read_rows(ContextKind::Product, as_rows, body, RowLimits { row_bytes: 4_096 }).expect("rows")
            };
            let whole = read(file.as_bytes());
            let pieces = taken_apart(format, file.as_bytes());
            assert!(pieces.len() > 1, "{format:?}");
            let (mut rows, mut faults) = (Vec::new(), Vec::new());
            for piece in &pieces {
                let part = read(&piece.body);
                rows.extend(part.rows.into_iter().map(|(line, row)| (piece.before + line, row)));
                faults.extend(part.faults.into_iter().map(|fault| (piece.before + fault.line, fault.fault)));
            }
            assert_eq!(rows.len(), whole.rows.len(), "{format:?}");
            assert!(rows == whole.rows, "{format:?}");
            let whole_faults: Vec<_> = whole.faults.into_iter().map(|fault| (fault.line, fault.fault)).collect();
            assert!(
                faults.len() >= whole_faults.len() && whole_faults[..] == faults[..whole_faults.len()],
                "{format:?}"
            );
        }
        assert_eq!(taken_apart(Format::Csv, b"id,price\n"), [Piece { body: b"id,price\n".to_vec(), before: 0 }]);
        let last = taken_apart(Format::Jsonl, b"{}\n{}");
        assert_eq!(last, [Piece { body: b"{}\n{}".to_vec(), before: 0 }], "the last line may lack its break");
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let open = [b"id,note\n1,x\n2,\"never closed\n".as_slice(), &b"3,y\n".repeat(LINE_BYTES_MAX / 4)].concat();
        for (format, file, said) in [(Format::Jsonl, &long, "line 1 is"), (Format::Csv, &open, "line 3 is")] {
            let failed = pieces(format, file.as_slice(), &mut |_| Ok(())).expect_err("too long");
            assert!(failed.cause.contains(said), "{}", failed.cause);
        }
    }

    /// What is sent in pieces is read as the server's reader of CSV reads the whole, wherever quotes stand.
    #[test]
    fn rows_of_csv_end_where_its_reader_has_them_end() {
        let read = |text: &[u8]| {
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
            reader.byte_records().map(|record| record.expect("a record")).collect::<Vec<_>>()
        };
        let (mut several_lines, mut bare_quotes) = (0, 0);
        for seed in 0..6_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bom = if random.u8(..4) == 0 { "\u{feff}" } else { "" };
            let parts =
                (0..random.usize(..24)).map(|_| ["\"", "\"", ",", "\n", "\r\n", "\r", "x", " "][random.usize(..8)]);
            let text = bom.to_owned() + &parts.collect::<String>();
            let (mut file, mut line, mut records) = (text.as_bytes(), 0, Vec::new());
            loop {
                let mut one = Vec::new();
                let lines = row(Format::Csv, &mut file, line, &mut one).expect("a row");
                if lines == 0 {
                    break;
                }
                line += lines;
                let of_row = read(&one);
                let breaks = one.iter().filter(|byte| **byte == b'\r').count();
                assert!(of_row.len() <= 1 + breaks, "seed {seed}: {text:?} has rows in {one:?}");
                several_lines += u32::from(lines > 1);
                bare_quotes += u32::from(of_row.iter().flatten().any(|field| field.starts_with(b"x\"")));
                records.extend(of_row);
            }
            assert_eq!(records, read(text.as_bytes()), "seed {seed}: {text:?}");
        }
        assert!(several_lines > 300 && bare_quotes > 300, "{several_lines} {bare_quotes}");
        let inches = [b"id,name\n1,5\" screen\n".as_slice(), &b"2,plain\n".repeat(LINE_BYTES_MAX / 4)].concat();
        assert!(taken_apart(Format::Csv, &inches).len() > 4);
    }
}
