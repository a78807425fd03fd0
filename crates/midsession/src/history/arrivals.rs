//! History files as one stream of messages in the order of their arrival.
//!
//! A file that is in order is read as it stands, several of them side by side. One that is not is sorted, by runs in a
//! temporary file when it is larger than memory.

use super::dataset::Place;
use super::format::{Format, Message, Unreadable, tag_of};
use super::progress::{Progress, Watched};
use super::sort::{Item, Ordered, Sorter, merge};
use crate::cli::Failure;
use flate2::read::MultiGzDecoder;
use midsession_collect::Collector;
use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The longest line that is read; what is longer is refused.
const LINE_BYTES: usize = 4 << 20;
/// Files read side by side; beyond that they are sorted.
const SIDE_BY_SIDE: usize = 200;
/// Bits of an item's place that are the line's number.
const LINE_BITS: u32 = 40;
/// Refused lines that are shown.
const SHOWN: usize = 5;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines.
    pub lines: u64,
    /// Events that were taken.
    pub events: u64,
    /// Lines and events that were refused.
    pub refused: u64,
    /// Events that a rule of their source left out.
    pub dropped: u64,
    /// The first of the refused, with their places.
    pub shown: Vec<String>,
}

impl Report {
    /// Counts something that was refused.
    pub fn refuse(&mut self, path: &Path, line: u64, why: &Unreadable) {
        self.refused += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{}:{line}: {}: {}", path.display(), why.code, why.message));
        }
    }
}

/// A history file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where.
    pub path: PathBuf,
    /// What it holds.
    pub format: Format,
}

/// The files of a history, and how they are read.
pub struct Arrivals {
    /// The files, as items name them.
    pub sources: Vec<Source>,
    /// What was read so far.
    pub report: Rc<RefCell<Report>>,
    /// Files that were not in order.
    pub sorted: usize,
    items: Ordered,
}

impl Arrivals {
    /// Looks at the files and puts them in order.
    ///
    /// # Errors
    /// A file can't be read, or is of none of the formats.
    pub fn open(
        paths: &[PathBuf],
        format: Option<Format>,
        collector: &Arc<Collector>,
        memory_bytes: usize,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let mut sources = Vec::new();
        let mut given = HashSet::new();
        for path in paths {
            let unreadable = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
            let meta = std::fs::metadata(path).map_err(unreadable)?;
            if !meta.is_file() {
                let hint = "give files; a folder's with a pattern like events/*.jsonl";
                return Err(Failure::new(format!("{} is not a file", path.display())).hint(hint));
            }
            if !given.insert((meta.dev(), meta.ino())) {
                let hint = "name each file once: a row without an id of its own would count as often as it is read";
                return Err(Failure::usage(format!("{} is given twice", path.display())).hint(hint));
            }
            // Each is read twice: once to see whether it is in order.
            progress.add_length(2 * meta.len());
            let guessed = || {
                let first = first_line(path).map_err(unreadable)?;
                if first.trim_ascii().is_empty() && paths.len() > 1 {
                    // An hour in which nothing happened, among others.
                    return Ok(None);
                }
                Format::guess(&first).map(Some).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))
            };
            let format = format.map_or_else(guessed, |format| Ok(Some(format)))?;
            sources.extend(format.map(|format| Source { path: path.clone(), format }));
        }
        if sources.is_empty() {
            return Err(Failure::usage("all of the files are empty"));
        }
        let report = Rc::new(RefCell::new(Report::default()));
        let read = |number: usize, report: Rc<RefCell<Report>>| {
            FileItems::open(number, &sources[number], collector, report, progress)
                .map_err(|error| Failure::new(format!("{}: {error}", sources[number].path.display())))
        };
        let (mut streams, mut sorter, mut sorted): (Vec<Ordered>, _, _) = (Vec::new(), Sorter::new(memory_bytes), 0);
        for (number, source) in sources.iter().enumerate() {
            let of_file = |error: io::Error| Failure::new(format!("{}: {error}", source.path.display()));
            let unheard = Rc::new(RefCell::new(Report::default()));
            let in_order = is_in_order(read(number, unheard)?).map_err(of_file)?;
            let items = read(number, Rc::clone(&report))?;
            if in_order && streams.len() < SIDE_BY_SIDE {
                streams.push(Box::new(items));
                continue;
            }
            sorted += usize::from(!in_order);
            for item in items {
                sorter.push(item.map_err(of_file)?).map_err(no_room)?;
            }
        }
        streams.push(sorter.finish().map_err(no_room)?);
        let items = merge(streams).map_err(Failure::new)?;
        Ok(Self { sources, report, sorted, items: Box::new(items) })
    }

    /// The next message.
    ///
    /// # Errors
    /// A file can't be read any more.
    pub fn next_item(&mut self) -> Result<Option<Item>, Failure> {
        self.items.next().transpose().map_err(|error| Failure::new(format!("the events can't be read: {error}")))
    }

    /// The file and line of an item.
    pub fn place(&self, item: &Item) -> Option<(&Source, u64)> {
        let source = self.sources.get((item.place >> LINE_BITS) as usize)?;
        Some((source, item.place & ((1 << LINE_BITS) - 1)))
    }
}

/// What to do when the temporary file can't be written.
pub fn no_room(error: io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::new(format!("sorting in {}: {error}", folder.display()))
        .hint("set TMPDIR to a folder with as much room as the files take unpacked")
}

fn is_in_order(items: FileItems) -> io::Result<bool> {
    let mut last_us = i64::MIN;
    for item in items {
        let at_us = item?.at_us;
        if at_us < last_us {
            return Ok(false);
        }
        last_us = at_us;
    }
    Ok(true)
}

/// The first line that is not blank.
fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut lines = Lines::new(unpacked(File::open(path)?)?);
    let mut line = Vec::new();
    while lines.next(&mut line)? {
        if !line.trim_ascii().is_empty() {
            break;
        }
    }
    Ok(line)
}

/// The file's text: unpacked when it is packed with gzip, whatever its name.
pub fn unpacked<R: Read + 'static>(file: R) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let is_packed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

/// A text line by line, no line longer than the bound.
pub struct Lines {
    reader: Box<dyn BufRead>,
    /// Number of the line last read, from 1.
    pub number: u64,
    /// It was longer than the bound, and cut.
    pub is_cut: bool,
}

impl Lines {
    /// From the start.
    pub fn new(reader: Box<dyn BufRead>) -> Self {
        Self { reader, number: 0, is_cut: false }
    }

    /// The next line without its end; false at the end of the text.
    ///
    /// # Errors
    /// The text can't be read.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.is_cut = false;
        let mut any = false;
        loop {
            let read = self.reader.fill_buf()?;
            if read.is_empty() {
                break;
            }
            any = true;
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            let room = LINE_BYTES.saturating_sub(line.len());
            self.is_cut |= part.len() > room;
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.number += u64::from(any);
        Ok(any)
    }
}

/// The messages of one file, in its order.
struct FileItems {
    number: usize,
    source: Source,
    lines: Lines,
    collector: Arc<Collector>,
    report: Rc<RefCell<Report>>,
    messages: VecDeque<Message>,
    line: Vec<u8>,
}

impl FileItems {
    fn open(
        number: usize,
        source: &Source,
        collector: &Arc<Collector>,
        report: Rc<RefCell<Report>>,
        progress: &Progress,
    ) -> io::Result<Self> {
        let file = Watched::new(File::open(&source.path)?, progress.clone());
        Ok(Self {
            number,
            source: source.clone(),
            lines: Lines::new(unpacked(file)?),
            collector: Arc::clone(collector),
            report,
            messages: VecDeque::new(),
            line: Vec::new(),
        })
    }

    /// Reads on until a line gives a message. False at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut messages = Vec::new();
        while self.messages.is_empty() {
            if !self.lines.next(&mut self.line)? {
                return Ok(false);
            }
            let number = self.lines.number;
            // What some tools put before the first line says nothing but that the text is UTF-8.
            let line = match self.line.strip_prefix(b"\xef\xbb\xbf") {
                Some(rest) if number == 1 => rest,
                _ => self.line.as_slice(),
            };
            if line.trim_ascii().is_empty() || number == 1 && self.source.format.has_header() {
                continue;
            }
            self.report.borrow_mut().lines += 1;
            let read = if self.lines.is_cut {
                Err(Unreadable::new("line_too_long", format!("longer than {} MiB", LINE_BYTES >> 20)))
            } else {
                let place = Place { file: self.number + 1, line: number };
                self.source.format.messages(line, place, &self.collector, &mut messages)
            };
            match read {
                Ok(()) => self.messages.extend(messages.drain(..)),
                Err(why) => {
                    messages.clear();
                    self.report.borrow_mut().refuse(&self.source.path, number, &why);
                }
            }
        }
        Ok(true)
    }
}

impl Iterator for FileItems {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        match self.fill() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        let Message { arrival, bytes } = self.messages.pop_front()?;
        let place = (self.number as u64) << LINE_BITS | self.lines.number;
        Some(Ok(Item { at_us: arrival.at_us, place, tag: tag_of(arrival.basis), bytes }))
    }
}
