//! `midsession context`: loads the context tables of a running server from a file, and shows how they stand.

use super::admin::{Admin, Server};
use super::{Failure, Global, out};
use crate::history::arrivals::unpacked;
use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use midsession_collect::context::{CSV_ROW_BYTES_MAX, CsvRows};
use midsession_event::ContextKind;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// A file is sent in pieces of about this size. Bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Longest line. Bytes.
const LINE_BYTES_MAX: usize = CSV_ROW_BYTES_MAX;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Puts the rows of a file into a table: CSV with a first line of names, or JSON lines, each with an `id`; packed with gzip or not
    #[command(
        after_help = "Kinds: product, price, inventory, segment, promotion, profile, location, delivery\n\nExamples:\n  midsession context load product products.csv\n  midsession context load inventory stock.jsonl --admin 127.0.0.1:8081 --data /var/lib/midsession"
    )]
    Load {
        /// Which table
        kind: String,
        /// The file
        file: PathBuf,
        /// How it is written, where its name does not end in .csv or .jsonl (and .gz)
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
            let name = file.to_string_lossy();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            let format = match (format, name.rsplit('.').next()) {
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
        let before = piece.before;
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
        Ok(())
    };
    let text = unpacked(bar.wrap_read(file)).map_err(unreadable)?;
    pieces(format, text, &mut send)
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
    file: impl BufRead,
    send: &mut dyn FnMut(Piece) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match format {
        Format::Csv => pieces_of_csv(file, PIECE_BYTES, send),
        Format::Jsonl => pieces_of_lines(file, send),
    }
}

/// A row that can't be one goes along with its first line: who reads the piece finds the same, and says so.
fn pieces_of_csv(
    file: impl BufRead,
    piece_bytes: usize,
    send: &mut dyn FnMut(Piece) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidData => Failure::new(error).hint("one row on each line"),
        _ => Failure::new(error),
    };
    let mut rows = CsvRows::new(file, CSV_ROW_BYTES_MAX);
    let header = rows.next_row().map_err(unreadable)?.map_or_else(Vec::new, |row| row.text.to_vec());
    let header_lines = rows.lines();
    loop {
        let mut piece = Piece { body: header.clone(), before: rows.lines() - header_lines };
        let mut is_over = false;
        while !is_over && piece.body.len() < header.len() + piece_bytes {
            match rows.next_row().map_err(unreadable)? {
                Some(row) => piece.body.extend_from_slice(row.text),
                None => is_over = true,
            }
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

fn pieces_of_lines(mut file: impl BufRead, send: &mut dyn FnMut(Piece) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut line = 0;
    loop {
        let mut piece = Piece { body: Vec::new(), before: line };
        let mut is_over = false;
        while !is_over && piece.body.len() < PIECE_BYTES {
            let before = piece.body.len();
            file.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut piece.body).map_err(Failure::new)?;
            let read = &piece.body[before..];
            is_over = read.is_empty();
            line += u64::from(!is_over);
            if read.len() == LINE_BYTES_MAX && !read.ends_with(b"\n") {
                let said = format!("line {line} is longer than {LINE_BYTES_MAX} bytes");
                return Err(Failure::new(said).hint("one row on each line"));
            }
        }
        if !piece.body.is_empty() || piece.before == 0 {
            send(piece)?;
        }
        if is_over {
            return Ok(());
        }
    }
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
        for format in [Format::Jsonl, Format::Csv] {
            let failed = pieces(format, long.as_slice(), &mut |_| Ok(())).expect_err("too long");
            assert!(failed.cause.contains("line 1 is longer"), "{}", failed.cause);
        }
        let inches = [b"id,name\n1,5\" screen\n".as_slice(), &b"2,plain\n".repeat(LINE_BYTES_MAX / 4)].concat();
        assert!(taken_apart(Format::Csv, &inches).len() > 4);
    }

    /// Where nothing is refused, it is what the reader of the crate `csv` reads; and each line is in a row or is told.
    #[test]
    fn rows_are_those_of_csv() {
        let (mut alike, mut several_lines, mut refused) = (0, 0, 0);
        for seed in 0..20_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bom = if random.u8(..4) == 0 { "\u{feff}" } else { "" };
            let parts =
                (0..random.usize(..24)).map(|_| ["\"", "\"", ",", "\n", "\r\n", "\r", "x", " "][random.usize(..8)]);
            let text = bom.to_owned() + &parts.collect::<String>();
            let mut rows = CsvRows::new(text.as_bytes(), CSV_ROW_BYTES_MAX);
            let (mut given, mut records, mut faults) = (Vec::new(), Vec::new(), 0);
            while let Some(row) = rows.next_row().expect("reads") {
                given.extend_from_slice(row.text);
                match row.fields {
                    Ok(fields) => records.push(fields.clone()),
                    Err(_) => faults += 1,
                }
                several_lines += u32::from(faults == 0 && row.text.trim_ascii().contains(&b'\n'));
            }
            let left = text.as_bytes().strip_prefix(given.as_slice()).expect("one after the other");
            let left = left.strip_prefix(bom.as_bytes()).unwrap_or(left);
            assert!(left.iter().all(|byte| b"\r\n".contains(byte)), "seed {seed}: {text:?}");
            refused += faults;
            if faults == 0 {
                let mut reader =
                    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
                let expected: Vec<_> = reader.byte_records().map(|record| record.expect("a record")).collect();
                assert_eq!(records, expected, "seed {seed}: {text:?}");
                alike += 1;
            }
        }
        assert!(alike > 5_000 && several_lines > 300 && refused > 300, "{alike} {several_lines} {refused}");
    }

    /// What is sent in pieces is read as the server reads the whole, wherever quotes stand and whether they are closed.
    #[test]
    fn pieces_of_csv_say_what_the_whole_says() {
        let read = |body: &[u8], before: u64| {
            let bulk = read_rows(ContextKind::Product, RowFormat::Csv, body, RowLimits { row_bytes: 4_096 })?;
            let rows = bulk.rows.into_iter().map(|(line, row)| (before + line, Ok(row)));
            let faults = bulk.faults.into_iter().map(|fault| (before + fault.line, Err(fault.fault.code)));
            let mut all: Vec<_> = rows.chain(faults).collect();
            all.sort_by_key(|(line, _)| *line);
            Ok::<_, midsession_collect::Fault>(all)
        };
        let (mut several_pieces, mut refused) = (0, 0);
        for seed in 0..6_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bom = if random.u8(..4) == 0 { "\u{feff}" } else { "" };
            let parts = (0..random.usize(..60))
                .map(|_| ["\"", "\"", ",", ",", "\n", "\r\n", "x", "y", "\"\"", "\n1,"][random.usize(..10)]);
            let text = format!("{bom}id,a\n{}", parts.collect::<String>());
            let mut all = Vec::new();
            let mut keep = |piece: Piece| {
                all.extend(read(&piece.body, piece.before).expect("a body"));
                several_pieces += u32::from(piece.before > 0);
                Ok(())
            };
            pieces_of_csv(text.as_bytes(), 1 + random.usize(..16), &mut keep).expect("reads");
            // A fault within a piece may be of another kind than in the whole: its quote is closed nowhere in the piece.
            let places = |read: Vec<(u64, Result<_, _>)>| -> Vec<_> {
                read.into_iter().map(|(line, row)| (line, row.map_err(|_: &str| ()))).collect()
            };
            refused += all.iter().filter(|(_, row)| row.is_err()).count();
            let whole = read(text.as_bytes(), 0).expect("a body");
            assert_eq!(places(all), places(whole), "seed {seed}: {text:?}");
        }
        assert!(several_pieces > 3_000 && refused > 3_000, "{several_pieces} {refused}");
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_no_other_row() {
        let lines = |n: usize| format!("p{n},lamp number {n},\"shade, white\"\n");
        let csv: String = (0..60_000).map(|n| if n == 7 { "p7,\"27 inch,x\n".to_owned() } else { lines(n) }).collect();
        let (mut rows, mut faults) = (0, Vec::new());
        for piece in taken_apart(Format::Csv, format!("id,name,note\n{csv}").as_bytes()) {
            let limits = RowLimits { row_bytes: 4_096 };
            let bulk = read_rows(ContextKind::Product, RowFormat::Csv, &piece.body, limits).expect("rows");
            rows += bulk.rows.len();
            faults.extend(bulk.faults.into_iter().map(|fault| (piece.before + fault.line, fault.fault.code)));
        }
        assert_eq!((rows, faults), (59_999, vec![(9, "csv_quote")]));
    }
}
