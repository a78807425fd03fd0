//! What a partition holds: its batches by file, and how they are found and read.

use crate::batch;
use crate::index::Listed;
use crate::journal::Journal;
use bytes::Bytes;
use midsession_ports::{Entry, Extent, LogError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// Batches this close together are read at once.
const READ_GAP_BYTES: u64 = 8 << 10;
/// The most that is read at once, unless one batch is larger.
const READ_SPAN_BYTES: u64 = 128 << 10;

thread_local! {
    /// Where the bytes of batches are read to: nearly all are unpacked from there into memory of their own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Its first offset.
    pub first: i64,
    /// Its largest stamp.
    pub stamp_ms: i64,
    /// Where in the file it starts.
    pub at: u32,
    /// Its bytes.
    pub bytes: u32,
}

/// A segment's batches, in order.
#[derive(Clone)]
pub enum Batches {
    /// In memory: of a file without an index yet.
    Held(Vec<Located>),
    /// In the file's index.
    Listed(Listed),
}

impl Batches {
    /// Those in memory.
    pub fn held(&self) -> &[Located] {
        match self {
            Self::Held(batches) => batches,
            Self::Listed(_) => &[],
        }
    }
}

/// What one file holds of a partition: at least one batch.
#[derive(Clone)]
pub struct Segment {
    pub journal: Arc<Journal>,
    /// Its first offset.
    pub first: i64,
    /// Past its last offset.
    pub end: i64,
    /// Its largest stamp.
    pub stamp_ms: i64,
    /// Bytes of its batches.
    pub bytes: u64,
    pub batches: Batches,
}

/// A partition.
pub struct Part {
    /// The next offset; everything below is durable.
    pub end: i64,
    /// Compacted: gaps are no loss.
    pub keyed: bool,
    pub segments: VecDeque<Segment>,
}

/// Where to look for something, without holding the partition.
pub enum Place {
    /// In these batches.
    Here(Plan),
    /// In a segment whose batches are in its file's index.
    Listed(Segment, Listed),
    /// Past the end.
    Nowhere,
}

/// Some batches of one file.
pub struct Plan {
    journal: Arc<Journal>,
    batches: Vec<Located>,
    /// Where to go on.
    next: i64,
}

impl Part {
    /// Adds a batch that is durable.
    pub fn push(&mut self, journal: &Arc<Journal>, batch: Located, end: i64) {
        self.end = self.end.max(end);
        if let Some(last) = self.segments.back_mut()
            && Arc::ptr_eq(&last.journal, journal)
            && let Batches::Held(batches) = &mut last.batches
        {
            (last.end, last.stamp_ms) = (end, batch.stamp_ms);
            last.bytes += u64::from(batch.bytes);
            batches.push(batch);
            return;
        }
        self.segments.push_back(Segment {
            journal: journal.clone(),
            first: batch.first,
            end,
            stamp_ms: batch.stamp_ms,
            bytes: u64::from(batch.bytes),
            batches: Batches::Held(vec![batch]),
        });
    }

    pub fn extent(&self) -> Extent {
        Extent { start: self.start(), end: self.end, bytes: self.segments.iter().map(|segment| segment.bytes).sum() }
    }

    /// The first offset that can be read.
    pub fn start(&self) -> i64 {
        self.segments.front().map_or(self.end, |segment| segment.first)
    }

    /// The batches to read from `from` on: about `max_bytes`, at least one if there is any.
    pub fn plan(&self, from: i64, max_bytes: usize) -> Result<Place, LogError> {
        let start = self.start();
        if from < start && !self.keyed {
            return Err(LogError::OutOfRange { asked: from, start });
        }
        let at = self.segments.partition_point(|segment| segment.end <= from);
        Ok(match self.segments.get(at) {
            None => Place::Nowhere,
            Some(segment) => match &segment.batches {
                Batches::Held(batches) => Place::Here(segment.plan(batches, from, max_bytes)),
                Batches::Listed(listed) => Place::Listed(segment.clone(), *listed),
            },
        })
    }

    /// The batch with the first record with a stamp at or past `time_ms`.
    pub fn seek(&self, time_ms: i64) -> Place {
        let at = self.segments.partition_point(|segment| segment.stamp_ms < time_ms);
        match self.segments.get(at) {
            None => Place::Nowhere,
            Some(segment) => match &segment.batches {
                Batches::Held(batches) => Place::Here(segment.seek(batches, time_ms)),
                Batches::Listed(listed) => Place::Listed(segment.clone(), *listed),
            },
        }
    }
}

impl Segment {
    /// The batches to read from `from` on, of those in `batches`.
    pub fn plan(&self, batches: &[Located], from: i64, max_bytes: usize) -> Plan {
        let first = batches.partition_point(|batch| batch.first <= from).saturating_sub(1);
        let mut planned = 0;
        let mut last = first;
        while last < batches.len() && (last == first || planned < max_bytes) {
            planned += batches[last].bytes as usize;
            last += 1;
        }
        let next = batches.get(last).map_or(self.end, |batch| batch.first);
        Plan { journal: self.journal.clone(), batches: batches[first..last].to_vec(), next }
    }

    /// The batch with the first record with a stamp at or past `time_ms`, of those in `batches`.
    pub fn seek(&self, batches: &[Located], time_ms: i64) -> Plan {
        let at = batches.partition_point(|batch| batch.stamp_ms < time_ms);
        Plan { journal: self.journal.clone(), batches: batches.get(at).copied().into_iter().collect(), next: self.end }
    }
}

impl Plan {
    /// Where the partition goes on behind these batches.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Reads records from `from` on until about `max_bytes` of keys and values are there; gives where to go on and the
    /// bytes. After an error `out` holds what came before it.
    pub fn read(&self, from: i64, max_bytes: usize, out: &mut Vec<Entry>) -> Result<(i64, usize), LogError> {
        let mut scratch = SCRATCH.take();
        let read = self.read_by(&mut scratch, from, max_bytes, out);
        // One batch may be as large as a unit: its memory is not kept.
        if scratch.len() <= READ_SPAN_BYTES as usize {
            SCRATCH.set(scratch);
        }
        read
    }

    fn read_by(
        &self,
        scratch: &mut Vec<u8>,
        from: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(i64, usize), LogError> {
        let weight = |entry: &Entry| entry.key.len() + entry.value.as_ref().map_or(0, Bytes::len);
        let mut got = 0;
        let mut rest = &self.batches[..];
        while let Some(first) = rest.first() {
            let (start, mut end) = (u64::from(first.at), u64::from(first.at) + u64::from(first.bytes));
            let near = |batch: &&Located| {
                let (at, past) = (u64::from(batch.at), u64::from(batch.at) + u64::from(batch.bytes));
                let fits = at >= end && at - end <= READ_GAP_BYTES && past - start <= READ_SPAN_BYTES;
                end = if fits { past } else { end };
                fits
            };
            let count = 1 + rest[1..].iter().take_while(near).count();
            let length = (end - start) as usize;
            if scratch.len() < length {
                scratch.resize(length, 0);
            }
            let bytes = &mut scratch[..length];
            let unreadable = |error: std::io::Error| self.journal.corrupt(start, format!("it can't be read: {error}"));
            self.journal.file.read_at(bytes, start).map_err(unreadable)?;
            for batch in &rest[..count] {
                let at = (u64::from(batch.at) - start) as usize;
                let before = out.len();
                self.decode(batch, &bytes[at..at + batch.bytes as usize], from, out)?;
                got += out[before..].iter().map(weight).sum::<usize>();
                if got >= max_bytes
                    && let Some(last) = out.last().filter(|_| out.len() > before)
                {
                    return Ok((last.offset + 1, got));
                }
            }
            rest = &rest[count..];
        }
        Ok((self.next, got))
    }

    fn decode(&self, batch: &Located, bytes: &[u8], from: i64, out: &mut Vec<Entry>) -> Result<(), LogError> {
        let corrupt = |what: &str| self.journal.corrupt(u64::from(batch.at), what);
        let head = batch::head(bytes).map_err(corrupt)?;
        if head.base != batch.first || head.bytes != batch.bytes as usize {
            return Err(corrupt("a record batch is not the one that was written here"));
        }
        batch::decode(bytes, from, out).map_err(corrupt)
    }
}
