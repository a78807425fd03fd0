//! Sealed files read through beside everything else: a start trusts their indexes, so that it need not read them.
//!
//! Each file is read once per process, and what its frames and its index say of themselves is computed again. What does not
//! match is named with its place; behind it the check goes on at the next frame that is one.

use crate::bytes::Reader;
use crate::frame::{self, FILE_HEAD_BYTES, FRAME_HEAD_BYTES, FileHead};
use crate::journal::Journal;
use crate::recover::Filled;
use midsession_ports::LogError;
use std::collections::VecDeque;
use std::sync::Arc;

/// Read in one step. Bytes.
const STEP_BYTES: usize = 1 << 20;
/// Sequences that a frame behind damage may be further on.
const SEQUENCES_AHEAD: u64 = 1 << 32;
/// Places of one file that are told.
const PLACES_MAX: usize = 100;

/// What was checked, and what is to be.
#[derive(Default)]
pub struct Check {
    /// Files that were looked at or wait for it, and are still there.
    known: Vec<Arc<Journal>>,
    waiting: VecDeque<(Arc<Journal>, u64)>,
    reading: Option<Reading>,
    damaged: Vec<(Arc<Journal>, LogError)>,
    begun: bool,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Checked {
    /// Bytes read; 0: nothing waits.
    pub bytes: u64,
    /// What was found.
    pub damaged: Vec<LogError>,
}

impl Check {
    /// All that was found in files that are still there.
    pub fn damaged(&self) -> impl ExactSizeIterator<Item = &LogError> {
        self.damaged.iter().map(|(_, error)| error)
    }

    /// Whether there is anything to be read before files are listed again.
    pub(crate) fn is_idle(&self) -> bool {
        self.reading.is_none() && self.waiting.is_empty()
    }

    /// Takes the files as they are now: those that take no more commits, and at first the one that does, up to where it ends.
    pub(crate) fn list<'f>(&mut self, filled: impl Iterator<Item = &'f Filled>, active: &Filled) {
        let filled: Vec<_> = filled.map(|file| (&file.journal, file.bytes)).collect();
        let active = (&active.journal, active.bytes);
        let is_there =
            |file: &Arc<Journal>| filled.iter().chain([&active]).any(|(listed, _)| Arc::ptr_eq(listed, file));
        self.known.retain(is_there);
        self.damaged.retain(|(file, _)| is_there(file));
        let first = !std::mem::replace(&mut self.begun, true);
        for (file, bytes) in filled.into_iter().chain(first.then_some(active)) {
            if !self.known.iter().any(|known| Arc::ptr_eq(known, file)) {
                self.known.push(file.clone());
                self.waiting.push_back((file.clone(), bytes));
            }
        }
    }

    /// Reads on; `index` checks what stands beside a file.
    pub(crate) fn step(&mut self, index: impl Fn(&Arc<Journal>) -> Option<LogError>) -> Checked {
        let mut checked = Checked::default();
        if self.reading.is_none() {
            let Some((file, bytes)) = self.waiting.pop_front() else { return checked };
            checked.damaged.extend(index(&file));
            self.reading = Some(Reading::begin(file, bytes, &mut checked.damaged));
            checked.bytes = (FILE_HEAD_BYTES + FRAME_HEAD_BYTES) as u64;
        }
        if let Some(reading) = &mut self.reading {
            checked.bytes += reading.step(&mut checked.damaged);
            let file = reading.file.clone();
            self.damaged.extend(checked.damaged.iter().map(|error| (file.clone(), error.clone())));
            if reading.at >= reading.end || reading.places >= PLACES_MAX {
                self.reading = None;
            }
        }
        checked
    }
}

/// A frame of which some was read.
struct Open {
    begin: u64,
    end: u64,
    sequence: u64,
    expected: u32,
    crc: u32,
}

/// A file under way.
struct Reading {
    file: Arc<Journal>,
    /// Bytes of it that count.
    end: u64,
    at: u64,
    open: Option<Open>,
    /// Of the frame that is due, if that is known.
    sequence: Option<u64>,
    /// Looking for the next frame behind damage.
    lost: bool,
    places: usize,
    buffer: Vec<u8>,
}

impl Reading {
    fn begin(file: Arc<Journal>, end: u64, damaged: &mut Vec<LogError>) -> Self {
        let mut head = [0; FILE_HEAD_BYTES];
        let read = file.file.read_at(&mut head, 0).map_err(|error| format!("its head can't be read: {error}"));
        let decoded = read.and_then(|()| FileHead::decode(&head).map_err(str::to_owned));
        damaged.extend(decoded.err().map(|what| file.corrupt(0, what)));
        let size = file.size().unwrap_or_else(|error| {
            damaged.push(error);
            end
        });
        if size < end {
            damaged.push(file.corrupt(size, "the file is cut short"));
        }
        let (at, sequence, lost) = match file.start() {
            Ok((start, begin)) => (begin, Some(start.sequence), false),
            Err(error) => {
                damaged.push(error);
                (FILE_HEAD_BYTES as u64 + 1, None, true)
            }
        };
        Self { file, end: end.min(size), at, open: None, sequence, lost, places: damaged.len(), buffer: Vec::new() }
    }

    /// Reads some; gives how much.
    fn step(&mut self, damaged: &mut Vec<LogError>) -> u64 {
        let length = (self.end.saturating_sub(self.at)).min(STEP_BYTES as u64) as usize;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length, 0);
        let begin = self.at;
        if let Err(error) = self.file.file.read_at(&mut buffer, begin) {
            damaged.push(self.file.corrupt(begin, format!("it can't be read: {error}")));
            self.places += 1;
            (self.at, self.open, self.lost) = (begin + length as u64, None, true);
        } else {
            self.walk(begin, &buffer, damaged);
        }
        self.buffer = buffer;
        length as u64
    }

    /// Goes through what was read at `begin`, and leaves `at` where to read on.
    fn walk(&mut self, begin: u64, bytes: &[u8], damaged: &mut Vec<LogError>) {
        let past = begin + bytes.len() as u64;
        // A frame that was not true is looked through again: that may be before what was read.
        while (begin..past).contains(&self.at) {
            let rest = &bytes[(self.at - begin) as usize..];
            if self.open.is_none() {
                if rest.len() < FRAME_HEAD_BYTES && past < self.end {
                    return;
                }
                match self.enter(rest) {
                    Some(open) => {
                        self.at += FRAME_HEAD_BYTES as u64;
                        self.open = Some(open);
                    }
                    None => self.lose(self.at, damaged),
                }
            } else if let Some(open) = &mut self.open {
                let here = rest.len().min((open.end - self.at) as usize);
                open.crc = crc32c::crc32c_append(open.crc, &rest[..here]);
                self.at += here as u64;
            }
            let Some(open) = self.open.take_if(|open| open.end == self.at) else { continue };
            if open.crc == open.expected {
                (self.sequence, self.lost) = (Some(open.sequence + 1), false);
            } else {
                self.lose(open.begin, damaged);
            }
        }
    }

    /// The frame that `rest` starts with, if it may be one.
    fn enter(&self, rest: &[u8]) -> Option<Open> {
        let head = rest.first_chunk()?;
        let end = self.at + frame::size(head)? as u64;
        let mut fields = Reader(&head[8..]);
        let (sequence, expected) = (fields.u64()?, fields.u32()?);
        let due = self.sequence.unwrap_or(sequence);
        let ahead = if self.lost { SEQUENCES_AHEAD } else { 0 };
        let crc = crc32c::crc32c_append(self.file.salt, &head[..16]);
        let fits = end <= self.end && (due..=due.saturating_add(ahead)).contains(&sequence);
        fits.then_some(Open { begin: self.at, end, sequence, expected, crc })
    }

    /// There is no whole frame at this place: told once, until there is one again.
    fn lose(&mut self, at: u64, damaged: &mut Vec<LogError>) {
        self.at = at + 1;
        self.open = None;
        if !std::mem::replace(&mut self.lost, true) {
            self.places += 1;
            damaged.push(self.file.corrupt(at, "a commit does not match its checksum"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, LocalLog, RealDisk};
    use midsession_event::{PartitionId, Topic};
    use midsession_ports::{Append, Log, Unit};
    use std::path::{Path, PathBuf};

    fn open(folder: &Path) -> Result<LocalLog, LogError> {
        let config = Config { partitions: 2, journal_bytes: 4 << 10, ..Config::new(folder) };
        LocalLog::open_threadless(Arc::new(RealDisk), Arc::new(|| 1_000), config)
    }

    fn append(log: &LocalLog, number: u32) {
        let record = |partition| Append {
            topic: Topic::Behavior,
            partition: PartitionId(partition),
            key: format!("key {number}").into(),
            value: Some(format!("{number:0100}").into()),
        };
        log.append(Arc::new(Unit { records: vec![record(0), record(1)], positions: vec![] }), Box::new(|_| {}));
        assert_eq!(log.commit_now(), 1);
    }

    /// All that there is to check: (bytes, what was found).
    fn check(log: &LocalLog, check: &mut Check) -> (u64, Vec<LogError>) {
        let mut all = (0, Vec::new());
        loop {
            let checked = log.check_some(check);
            if checked.bytes == 0 {
                return all;
            }
            all.0 += checked.bytes;
            all.1.extend(checked.damaged);
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "journal" || extension == "index"));
        files.sort();
        files
    }

    /// Three files, the last one open, all with their indexes.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        (0..30).for_each(|number| append(&log, number));
        log.keep_house_now().unwrap();
        drop(log);
        folder
    }

    #[test]
    fn every_flipped_bit_is_named_without_anybody_reading_there() {
        let folder = folder();
        let image: Vec<_> =
            files(folder.path()).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
        assert!(image.len() >= 6, "{} files", image.len());
        let (mut refused, mut found) = (0, 0);
        for (whole, file) in &image {
            let is_index = file.extension().is_some_and(|extension| extension == "index");
            for at in (0..whole.len()).step_by(97) {
                files(folder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
                image.iter().for_each(|(whole, file)| std::fs::write(file, whole).unwrap());
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                std::fs::write(file, &flipped).unwrap();
                let what = format!("{} flipped at {at}", file.display());
                let errors = match open(folder.path()) {
                    Err(error) => {
                        refused += 1;
                        vec![error]
                    }
                    Ok(log) => {
                        let mut state = Check::default();
                        let (bytes, errors) = check(&log, &mut state);
                        assert!(bytes > 0);
                        assert_eq!(state.damaged().len(), errors.len(), "{what}");
                        assert_eq!(check(&log, &mut state).0, 0, "{what}: each file once");
                        found += errors.len();
                        errors
                    }
                };
                // What an index says beside its lists, the start has read; it made it again.
                if is_index && errors.is_empty() {
                    continue;
                }
                let [LogError::Corrupt { file: named, at: place, .. }] = &errors[..] else {
                    panic!("{what}: {errors:?}")
                };
                assert_eq!(named, &file.display().to_string(), "{what}");
                assert!(*place <= at as u64, "{what}: byte {place} is named");
            }
        }
        assert!(found > 100, "{found} found, {refused} refused at the start");
    }

    #[test]
    fn what_is_whole_is_read_once_and_what_is_filled_later_too() {
        let folder = folder();
        let size = || files(folder.path()).iter().filter(|file| file.extension().unwrap() == "journal").count();
        let log = open(folder.path()).unwrap();
        let mut state = Check::default();
        let (bytes, damaged) = check(&log, &mut state);
        assert!(damaged.is_empty() && bytes > 8 << 10, "{bytes} {damaged:?}");
        assert_eq!(check(&log, &mut state).0, 0);
        let before = size();
        (0..30).for_each(|number| append(&log, number));
        log.keep_house_now().unwrap();
        assert!(size() >= before + 2);
        let (bytes, damaged) = check(&log, &mut state);
        assert!(damaged.is_empty() && bytes > 4 << 10, "{bytes} {damaged:?}");
        // A frame over several steps, of what can't be compressed.
        let mut state_of_noise = 1u32;
        let noise = || {
            state_of_noise ^= state_of_noise << 13;
            state_of_noise ^= state_of_noise >> 17;
            state_of_noise ^= state_of_noise << 5;
            state_of_noise as u8
        };
        let large = Append {
            topic: Topic::Behavior,
            partition: PartitionId(0),
            key: Default::default(),
            value: Some(std::iter::repeat_with(noise).take(3 << 20).collect()),
        };
        log.append(Arc::new(Unit { records: vec![large], positions: vec![] }), Box::new(|_| {}));
        log.commit_now();
        append(&log, 30);
        log.keep_house_now().unwrap();
        let (bytes, damaged) = check(&log, &mut state);
        assert!(damaged.is_empty() && bytes > 2 << 20, "{bytes} {damaged:?}");
    }

    #[test]
    fn without_a_file_that_was_moved_away_the_others_are_read() {
        let folder = folder();
        let all = files(folder.path());
        let journals: Vec<_> = all.iter().filter(|file| file.extension().unwrap() == "journal").collect();
        let moved = journals[1];
        std::fs::remove_file(moved).unwrap();
        std::fs::remove_file(moved.with_extension("journal.index")).unwrap();
        let log = open(folder.path()).unwrap();
        let (mut offsets, mut next, mut entries) = (Vec::new(), 0, Vec::new());
        loop {
            log.read(Topic::Behavior, PartitionId(1), next, 1, &mut entries).unwrap();
            let Some(entry) = entries.pop() else { break };
            offsets.push(entry.offset);
            next = entry.offset + 1;
        }
        let gaps = offsets.windows(2).filter(|pair| pair[0] + 1 < pair[1]).count();
        assert_eq!((offsets[0], offsets.last(), gaps), (0, Some(&29), 1));
        let (bytes, damaged) = check(&log, &mut Check::default());
        assert!(bytes > 0 && damaged.is_empty(), "{damaged:?}");
    }
}
