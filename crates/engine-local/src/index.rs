//! The index beside a file that takes no more commits: where each partition's batches are, and the state at its end.
//!
//! It is derived from its file: one that is missing or broken is made again by reading the file through. File: magic,
//! length and crc of the body; the body {number, salt, bytes, state, segments}; then each segment's batches.

use crate::bytes::{Reader, put_i64, put_u32, put_u64};
use crate::disk::Disk;
use crate::journal::{Journal, UNFINISHED, corrupt, io_error, with_suffix};
use crate::part::{Batches, Located, Segment};
use crate::snapshot::Snapshot;
use midsession_ports::LogError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// Ends an index's name, behind its file's.
pub const SUFFIX: &str = ".index";
const MAGIC: u32 = 0x3158_444d;
const HEAD_BYTES: usize = 12;
const LOCATED_BYTES: usize = 24;

/// Where a segment's batches are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where in the index.
    pub at: u64,
    /// How many batches.
    pub count: u32,
    /// Checksum of the list.
    pub crc: u32,
}

/// An index read back.
pub struct Index {
    /// Bytes of the file that it covers.
    pub bytes: u64,
    /// The state there.
    pub state: Snapshot,
    /// By slot of `state`.
    pub segments: Vec<(u32, Segment)>,
}

/// Writes the index of a file, durable under its name.
pub fn write(
    disk: &dyn Disk,
    folder: &Path,
    journal: &Journal,
    bytes: u64,
    state: &Snapshot,
    segments: &[(u32, Segment)],
) -> Result<(), LogError> {
    let mut body = Vec::new();
    put_u64(&mut body, journal.number);
    put_u32(&mut body, journal.salt);
    put_u64(&mut body, bytes);
    state.encode(&mut body);
    put_u32(&mut body, segments.len() as u32);
    let mut lists = Vec::new();
    for (slot, segment) in segments {
        let at = lists.len();
        let batches = segment.batches.held();
        for batch in batches {
            put_i64(&mut lists, batch.first);
            put_i64(&mut lists, batch.stamp_ms);
            put_u32(&mut lists, batch.at);
            put_u32(&mut lists, batch.bytes);
        }
        put_u32(&mut body, *slot);
        put_i64(&mut body, segment.first);
        put_i64(&mut body, segment.end);
        put_i64(&mut body, segment.stamp_ms);
        put_u64(&mut body, segment.bytes);
        put_u64(&mut body, at as u64);
        put_u32(&mut body, batches.len() as u32);
        put_u32(&mut body, crc32c::crc32c(&lists[at..]));
    }
    let mut out = Vec::with_capacity(HEAD_BYTES + body.len() + lists.len());
    put_u32(&mut out, MAGIC);
    put_u32(&mut out, body.len() as u32);
    put_u32(&mut out, crc32c::crc32c(&body));
    out.extend_from_slice(&body);
    out.extend_from_slice(&lists);

    let path = with_suffix(&journal.path, SUFFIX);
    let unfinished = with_suffix(&path, UNFINISHED);
    let written = (|| {
        let file = disk.create(&unfinished)?;
        file.write_at(&out, 0)?;
        file.sync()?;
        disk.rename(&unfinished, &path)?;
        disk.sync_folder(folder)
    })();
    written.map_err(|error| {
        // It gives back what it took of a full disk; recovery removes it otherwise.
        let _ = disk.remove(&unfinished);
        io_error(folder, &path, "write", &error)
    })
}

/// The index of a file; none if there is none that is whole and of this file.
pub fn read(disk: &dyn Disk, journal: &Arc<Journal>) -> Option<Index> {
    let file = disk.open(&with_suffix(&journal.path, SUFFIX), false).ok()?;
    let mut head = [0; HEAD_BYTES];
    file.read_at(&mut head, 0).ok()?;
    let mut head = Reader(&head);
    if head.u32()? != MAGIC {
        return None;
    }
    let (length, crc) = (u64::from(head.u32()?), head.u32()?);
    let size = file.size().ok()?;
    let lists = HEAD_BYTES as u64 + length;
    if lists > size {
        return None;
    }
    let mut body = vec![0; length as usize];
    file.read_at(&mut body, HEAD_BYTES as u64).ok()?;
    if crc32c::crc32c(&body) != crc {
        return None;
    }
    let mut body = Reader(&body);
    if body.u64()? != journal.number || body.u32()? != journal.salt {
        return None;
    }
    let bytes = body.u64()?;
    let state = Snapshot::decode(&mut body)?;
    let mut segments = Vec::new();
    for _ in 0..body.u32()? {
        let slot = body.u32()?;
        let (first, end, stamp_ms, bytes) = (body.i64()?, body.i64()?, body.i64()?, body.u64()?);
        let listed = Listed { at: lists + body.u64()?, count: body.u32()?, crc: body.u32()? };
        if listed.at + u64::from(listed.count) * LOCATED_BYTES as u64 > size {
            return None;
        }
        let batches = Batches::Listed(listed);
        segments.push((slot, Segment { journal: journal.clone(), first, end, stamp_ms, bytes, batches }));
    }
    Some(Index { bytes, state, segments })
}

/// Reads a segment's batches from the index.
pub fn load(disk: &dyn Disk, journal: &Journal, listed: Listed) -> Result<Vec<Located>, LogError> {
    let path = with_suffix(&journal.path, SUFFIX);
    let broken = |what: String| corrupt(&path, listed.at, what);
    let mut bytes = vec![0; listed.count as usize * LOCATED_BYTES];
    let read = disk.open(&path, false).and_then(|file| file.read_at(&mut bytes, listed.at));
    read.map_err(|error| broken(format!("it can't be read: {error}")))?;
    if crc32c::crc32c(&bytes) != listed.crc {
        return Err(broken(
            "a list of batches does not match its checksum (the index is made again without it)".into(),
        ));
    }
    let mut from = Reader(&bytes);
    let located = |from: &mut Reader<'_>| {
        Some(Located { first: from.i64()?, stamp_ms: from.i64()?, at: from.u32()?, bytes: from.u32()? })
    };
    Ok(std::iter::from_fn(|| located(&mut from)).collect())
}

/// The lists read last, so that a reader going through a file does not read its list for every step.
#[derive(Default)]
pub struct Cache(Mutex<VecDeque<Cached>>);

/// A file, where in its index, and what is there.
type Cached = (Arc<Journal>, u64, Arc<[Located]>);

/// Batches that the cached lists may have together.
const CACHED_BATCHES: usize = 1 << 20;

impl Cache {
    /// A segment's batches.
    pub fn get(&self, disk: &dyn Disk, journal: &Arc<Journal>, listed: Listed) -> Result<Arc<[Located]>, LogError> {
        let mut cached = self.0.lock();
        let here = |(of, at, _): &Cached| Arc::ptr_eq(of, journal) && *at == listed.at;
        if let Some(found) = cached.iter().position(here).and_then(|at| cached.remove(at)) {
            let list = found.2.clone();
            cached.push_front(found);
            return Ok(list);
        }
        drop(cached);
        let list: Arc<[Located]> = load(disk, journal, listed)?.into();
        let mut cached = self.0.lock();
        cached.push_front((journal.clone(), listed.at, list.clone()));
        while cached.len() > 1 && cached.iter().map(|(_, _, list)| list.len()).sum::<usize>() > CACHED_BATCHES {
            cached.pop_back();
        }
        Ok(list)
    }

    /// Forgets a file.
    pub fn forget(&self, journal: &Arc<Journal>) {
        self.0.lock().retain(|(of, _, _)| !Arc::ptr_eq(of, journal));
    }
}
