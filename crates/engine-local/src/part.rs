//! What a partition holds: its batches by file, and how they are found and read.

use crate::batch;
use crate::journal::Journal;
use bytes::Bytes;
use midsession_ports::{Entry, Extent, LogError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Batches this close together are read at once.
const READ_GAP_BYTES: u64 = 8 << 10;
/// The most that is read at once, unless one batch is larger.
const READ_SPAN_BYTES: u64 = 128 << 10;

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

/// What one file holds of a partition.
#[derive(Clone)]
pub struct Segment {
    pub journal: Arc<Journal>,
    /// Past its last offset.
    pub end: i64,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Its batches in order; never empty.
    pub batches: Vec<Located>,
}

impl Segment {
    fn first(&self) -> i64 {
        self.batches.first().map_or(self.end, |batch| batch.first)
    }
    fn last_stamp_ms(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.stamp_ms)
    }
}

/// A partition.
pub struct Part {
    /// The next offset; everything below is durable.
    pub end: i64,
    /// Compacted: gaps are no loss.
    pub keyed: bool,
    pub segments: VecDeque<Segment>,
}

/// Some batches of one file, to be read without holding the partition.
pub struct Plan {
    journal: Arc<Journal>,
    batches: Vec<Located>,
    /// Where to go on.
    next: i64,
}

impl Part {
    /// Adds a batch that is durable.
    pub fn push(&mut self, journal: &Arc<Journal>, batch: Located, end: i64) {
        let same = |last: &&mut Segment| last.journal.number == journal.number && last.journal.kind == journal.kind;
        match self.segments.back_mut().filter(same) {
            Some(last) => {
                last.end = end;
                last.bytes += u64::from(batch.bytes);
                last.batches.push(batch);
            }
            None => self.segments.push_back(Segment {
                journal: journal.clone(),
                end,
                bytes: u64::from(batch.bytes),
                batches: vec![batch],
            }),
        }
        self.end = end;
    }

    pub fn start(&self) -> i64 {
        self.segments.front().map_or(self.end, Segment::first)
    }

    pub fn extent(&self) -> Extent {
        Extent { start: self.start(), end: self.end, bytes: self.segments.iter().map(|segment| segment.bytes).sum() }
    }

    /// The batches to read from `from` on: about `max_bytes`, at least one if there is any.
    pub fn plan(&self, from: i64, max_bytes: usize) -> Result<Option<Plan>, LogError> {
        let start = self.start();
        if from < start && !self.keyed {
            return Err(LogError::OutOfRange { asked: from, start });
        }
        let at = self.segments.partition_point(|segment| segment.end <= from);
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        let first = segment.batches.partition_point(|batch| batch.first <= from).saturating_sub(1);
        let mut planned = 0;
        let mut last = first;
        while last < segment.batches.len() && (last == first || planned < max_bytes) {
            planned += segment.batches[last].bytes as usize;
            last += 1;
        }
        let next = segment.batches.get(last).map_or(segment.end, |batch| batch.first);
        Ok(Some(Plan { journal: segment.journal.clone(), batches: segment.batches[first..last].to_vec(), next }))
    }

    /// Where to look for the first record with a stamp at or past `time_ms`: an offset at or before it.
    pub fn seek(&self, time_ms: i64) -> i64 {
        let at = self.segments.partition_point(|segment| segment.last_stamp_ms() < time_ms);
        let Some(segment) = self.segments.get(at) else { return self.end };
        let batch = segment.batches.partition_point(|batch| batch.stamp_ms < time_ms);
        segment.batches.get(batch).map_or(segment.end, |batch| batch.first)
    }
}

impl Plan {
    /// Reads records from `from` on until about `max_bytes` of keys and values are there; gives where to go on and the
    /// bytes. After an error `out` holds what came before it.
    pub fn read(&self, from: i64, max_bytes: usize, out: &mut Vec<Entry>) -> Result<(i64, usize), LogError> {
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
            let mut bytes = vec![0; (end - start) as usize];
            let unreadable = |error: std::io::Error| self.journal.corrupt(start, format!("it can't be read: {error}"));
            self.journal.file.read_at(&mut bytes, start).map_err(unreadable)?;
            let bytes = Bytes::from(bytes);
            for batch in &rest[..count] {
                let at = (u64::from(batch.at) - start) as usize;
                let before = out.len();
                self.decode(batch, bytes.slice(at..at + batch.bytes as usize), from, out)?;
                got += out[before..]
                    .iter()
                    .map(|entry| entry.key.len() + entry.value.as_ref().map_or(0, Bytes::len))
                    .sum::<usize>();
                if got >= max_bytes
                    && let Some(last) = out.last()
                {
                    return Ok((last.offset + 1, got));
                }
            }
            rest = &rest[count..];
        }
        Ok((self.next, got))
    }

    fn decode(&self, batch: &Located, bytes: Bytes, from: i64, out: &mut Vec<Entry>) -> Result<(), LogError> {
        let corrupt = |what: &str| self.journal.corrupt(u64::from(batch.at), what);
        let head = batch::head(&bytes).map_err(corrupt)?;
        if head.base != batch.first || head.bytes != batch.bytes as usize {
            return Err(corrupt("a record batch is not the one that was written here"));
        }
        batch::decode(&bytes, from, out).map_err(corrupt)
    }
}
