//! What was known beside the events of files: the context tables of a live server, each row from its own time on.

use super::arrivals::{no_room, unpacked};
use super::sort::{Item, Ordered, Sorter};
use crate::cli::Failure;
use crate::cli::context::{Format, Piece, pieces};
use crate::context::ContextConfig;
use midsession_collect::Fault;
use midsession_collect::context::{
    Bulk, Columns, PastRow, PerKind, Put, Row, RowFormat, RowLimits, Tables, Tally, enrich, read_past_rows,
};
use midsession_event::{Context, ContextKind, Event, Str, decode, encode};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufRead;
use std::path::PathBuf;

/// In an item's tag: a version stands before its row, or it was taken out.
const VERSIONED: u8 = 1;
const REMOVED: u8 = 2;
/// Bits of an item's place that are the line's number.
const LINE_BITS: u32 = 40;
/// Refused rows that are shown.
const SHOWN: usize = 5;
/// Different ids missed that are shown, of each kind.
const MISSED_SHOWN: usize = 5;

/// A file of rows.
#[derive(Clone, Debug)]
pub struct RowFile {
    /// Which table they stand in.
    pub kind: ContextKind,
    /// Where the file is.
    pub path: PathBuf,
}

impl std::str::FromStr for RowFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once('=').ok_or("KIND=FILE is wanted, like price=prices.csv")?;
        let kinds = || format!("no kind `{kind}`; one of: {}", ContextKind::ALL.map(ContextKind::as_str).join(", "));
        let kind = ContextKind::parse(kind).ok_or_else(kinds)?;
        if path.is_empty() { Err("which file?".into()) } else { Ok(Self { kind, path: path.into() }) }
    }
}

/// What came of the joins with one table.
#[derive(Clone, Debug, Default)]
struct Came {
    joined: u64,
    stale: u64,
    misses: u64,
    /// The first that were missed.
    missed: Vec<Str>,
}

/// The tables as of an instant that only goes forward.
pub struct PastContext {
    files: Vec<RowFile>,
    tables: Tables,
    max_age_ms: PerKind<i64>,
    owners: PerKind<Str>,
    /// Rows whose time has not come.
    later: Ordered,
    next: Option<Item>,
    /// The last version given out.
    version: i64,
    came: PerKind<Came>,
    refused: u64,
    shown: Vec<String>,
    columns: Columns,
    /// Columns that were left out, as they are told.
    left_out: Vec<String>,
}

impl PastContext {
    /// Reads the files: what holds all along is in force, what says a time waits for it, in a temporary file where that is
    /// more than `memory_bytes`.
    ///
    /// # Errors
    /// A file can't be read, or is no table at all.
    pub fn open(files: &[RowFile], config: &ContextConfig, memory_bytes: usize) -> Result<Self, Failure> {
        let mut context = Self {
            files: files.to_vec(),
            tables: Tables::new(config.rows_max as usize),
            max_age_ms: config.max_age_s.per_kind(|age_s| i64::from(*age_s) * 1_000),
            owners: config.owner.per_kind(Str::clone),
            later: Box::new(std::iter::empty()),
            next: None,
            version: 0,
            came: PerKind::of(|_| Came::default()),
            refused: 0,
            shown: Vec::new(),
            columns: Columns::default(),
            left_out: Vec::new(),
        };
        let limits = RowLimits { row_bytes: config.row_bytes_max as usize };
        let mut sorter = Sorter::new(memory_bytes);
        for (number, file) in files.iter().enumerate() {
            context.read(number, file, limits, &mut sorter).map_err(|failure| Failure {
                cause: format!("{}: {}", file.path.display(), failure.cause),
                ..failure
            })?;
        }
        context.later = sorter.finish().map_err(no_room)?;
        context.next = context.later.next().transpose().map_err(no_room)?;
        Ok(context)
    }

    fn read(&mut self, number: usize, file: &RowFile, limits: RowLimits, sorter: &mut Sorter) -> Result<(), Failure> {
        let mut reader = unpacked(File::open(&file.path).map_err(Failure::new)?).map_err(Failure::new)?;
        let start = reader.fill_buf().map_err(Failure::new)?;
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let (format, as_rows) = match start.first() {
            Some(b'{' | b'[') => (Format::Jsonl, RowFormat::JsonLines),
            _ => (Format::Csv, RowFormat::Csv),
        };
        pieces(format, reader, &mut |Piece { body, before }| {
            let read =
                read_past_rows(file.kind, as_rows, &body, limits).map_err(|fault| Failure::usage(in_words(&fault)))?;
            let Bulk { rows, faults, refused } = read;
            self.refused += refused - faults.len() as u64;
            faults.iter().for_each(|fault| self.refuse(number, before + fault.line, &fault.fault));
            for (line, row) in rows {
                let place = (number as u64) << LINE_BITS | (before + line);
                let PastRow { mut row, is_removed, at_ms, version } = row;
                let left = self.columns.leave_out(&mut row);
                let new = left.into_iter().filter(|left| left.is_new);
                self.left_out.extend(new.map(|left| format!("{}.{}", row.kind.as_str(), left.name)));
                let Some(at_ms) = at_ms else {
                    self.put(place, Row::ALL_ALONG_MS, row, version);
                    continue;
                };
                let mut bytes = version.map_or(Vec::new(), |version| version.to_le_bytes().to_vec());
                let tag = if version.is_some() { VERSIONED } else { 0 } | if is_removed { REMOVED } else { 0 };
                bytes.extend(encode(&row).map_err(Failure::new)?);
                sorter.push(Item { at_us: at_ms * 1000, place, tag, bytes }).map_err(no_room)?;
            }
            Ok(())
        })
    }

    /// A row is there no more from now on. That it is not there anyway is no mistake: what is compacted says no more.
    fn remove(&mut self, place: u64, row: &Context, version: Option<i64>) {
        let version = version.unwrap_or(self.version + 1);
        self.version = self.version.max(version);
        self.tables.remove(row.kind, &row.id, version);
        if self.tables.contains(row.kind, &row.id) {
            self.refuse_older(place, version);
        }
    }

    fn refuse_older(&mut self, place: u64, version: i64) {
        let said = format!("version: {version} is not above the one before; versions rise with time");
        self.tell((place >> LINE_BITS) as usize, place & ((1 << LINE_BITS) - 1), "version_older", &said);
    }

    /// A row is in force from now on.
    fn put(&mut self, place: u64, at_ms: i64, row: Context, version: Option<i64>) {
        let Context { kind, id, values } = row;
        let version = version.unwrap_or(self.version + 1);
        self.version = self.version.max(version);
        let (number, line) = ((place >> LINE_BITS) as usize, place & ((1 << LINE_BITS) - 1));
        match self.tables.put(kind, id, Row { version, at_ms, values }) {
            Put::Done => {}
            Put::Full => self.refuse(number, line, &Fault::table_full()),
            Put::Older => self.refuse_older(place, version),
        }
    }

    fn refuse(&mut self, number: usize, line: u64, fault: &Fault) {
        self.tell(number, line, fault.code, &in_words(fault));
    }

    fn tell(&mut self, number: usize, line: u64, code: &str, said: &str) {
        self.refused += 1;
        if self.shown.len() < SHOWN {
            let path = self.files.get(number).map(|file| file.path.display().to_string()).unwrap_or_default();
            self.shown.push(format!("{path}:{line}: {code}: {said}"));
        }
    }

    /// Joins events that came in at this instant with what had been known by then, as they are joined live. Instants don't go
    /// back.
    ///
    /// # Errors
    /// The temporary file can't be read.
    pub fn join(&mut self, events: &mut [Event], at_us: i64) -> Result<(), Failure> {
        while let Some(item) = self.next.take_if(|item| item.at_us <= at_us) {
            let (version, row) = match item.bytes.split_first_chunk::<8>() {
                Some((version, row)) if item.tag & VERSIONED != 0 => (Some(i64::from_le_bytes(*version)), row),
                _ => (None, item.bytes.as_slice()),
            };
            let row = decode::<Context>(row).map_err(Failure::new)?;
            match item.tag & REMOVED {
                0 => self.put(item.place, item.at_us / 1000, row, version),
                _ => self.remove(item.place, &row, version),
            }
            self.next = self.later.next().transpose().map_err(no_room)?;
        }
        if self.tables.is_empty() {
            return Ok(());
        }
        let mut tally = Tally::default();
        for event in events {
            enrich(event, &self.tables, &self.max_age_ms, at_us.div_euclid(1000), |_| true, &mut tally);
        }
        for kind in ContextKind::ALL {
            self.came[kind].joined += tally.joined[kind];
            self.came[kind].stale += tally.stale[kind];
        }
        for miss in tally.misses {
            let came = &mut self.came[miss.kind];
            came.misses += 1;
            if !miss.kind.is_of_person() && came.missed.len() < MISSED_SHOWN && !came.missed.contains(&miss.id) {
                came.missed.push(miss.id);
            }
        }
        Ok(())
    }

    /// For people: rows that were refused, and what was missed.
    pub fn told(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.shown.iter().map(|line| format!("refused: {line}")).collect();
        if self.refused as usize > self.shown.len() {
            lines.push(format!("refused: {} rows of context more", self.refused as usize - self.shown.len()));
        }
        lines.extend(self.left_out.iter().map(|column| format!("left out: {column} is personal")));
        for (kind, came) in self.came.iter().filter(|(_, came)| came.misses > 0) {
            let of = if came.missed.is_empty() { String::new() } else { format!(", like {}", came.missed.join(", ")) };
            let (kind_name, misses, joined, owner) = (kind.as_str(), came.misses, came.joined, &self.owners[kind]);
            lines.push(format!("missed: {misses} times no row of {kind_name}{of} ({joined} joined; owner: {owner})"));
        }
        lines
    }

    /// For programs: what came of each table in use.
    pub fn counts(&self) -> Value {
        let of_kind = |kind: ContextKind| {
            let Came { joined, stale, misses, missed } = &self.came[kind];
            json!({"kind": kind, "joined": joined, "stale": stale, "misses": misses, "missed": missed,
                "owner": self.owners[kind]})
        };
        let used = ContextKind::ALL.into_iter().filter(|kind| self.files.iter().any(|file| file.kind == *kind));
        json!({"tables": used.map(of_kind).collect::<Vec<_>>(), "rows_refused": self.refused})
    }
}

fn in_words(fault: &Fault) -> String {
    let field = fault.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let hint = fault.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{field}{}{hint}", fault.message)
}
