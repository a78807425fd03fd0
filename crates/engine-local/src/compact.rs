//! Compaction: the last record of each key, of all filled journals, in one new file; the journals can then go.

use crate::batch::BatchBuilder;
use crate::disk::{Disk, DiskFile};
use crate::frame::{self, FileHead};
use crate::index;
use crate::journal::{self, Journal, Kind, UNFINISHED, with_suffix};
use crate::keeper::Surroundings;
use crate::lz4::Lz4;
use crate::part::{Batches, Located, Segment};
use crate::recover::Filled;
use crate::snapshot::Snapshot;
use midsession_ports::{Entry, LogError};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A tombstone stays this long, so that readers see it. Ms.
const TOMBSTONE_MS: i64 = 24 * 3600 * 1000;
/// A batch is closed, and the writer given way to, after about this much. Bytes.
const STEP_BYTES: usize = 64 << 10;
/// Written bytes are synced this often, so that no sync is long. Bytes.
const SYNC_BYTES: u64 = 8 << 20;

/// The file being made.
struct Target<'a> {
    file: Arc<dyn DiskFile>,
    path: &'a Path,
    around: &'a Surroundings<'a>,
    salt: u32,
    sequence: u64,
    end: u64,
    synced: u64,
    lz4: Lz4,
    builder: BatchBuilder,
    framed: Vec<u8>,
}

/// Makes the compacted file of everything up to `newest` and puts it in place of what it was made from.
pub fn compact(disk: &Arc<dyn Disk>, newest: &Filled, around: &Surroundings<'_>) -> Result<Filled, LogError> {
    let folder = &around.config.folder;
    let number = newest.journal.number;
    let path = folder.join(Kind::Compact.name(number));
    let unfinished = with_suffix(&path, UNFINISHED);
    let made = make(&**disk, &unfinished, newest, around).and_then(|(file, head, bytes, segments)| {
        let journal = Arc::new(Journal::new(head, Kind::Compact, path.clone(), file));
        let own = |(slot, segment): (u32, Segment)| (slot, Segment { journal: journal.clone(), ..segment });
        let segments: Vec<_> = segments.into_iter().map(own).collect();
        index::write(&**disk, folder, &journal, bytes, &newest.state, &segments)?;
        let put = disk.rename(&unfinished, &path).and_then(|()| disk.sync_folder(folder));
        put.map_err(|error| journal::io_error(folder, &path, "rename", &error))?;
        Ok((journal, bytes, segments))
    });
    let (journal, bytes, segments) = made.inspect_err(|_| {
        // It gives back what it took of a full disk; recovery removes it otherwise.
        let _ = disk.remove(&unfinished);
    })?;
    let segments = index::read(&**disk, &journal).map_or(segments, |index| index.segments);
    let mut segments: HashMap<_, _> = segments.into_iter().collect();
    for (slot, part) in around.store.parts.iter().enumerate() {
        let mut part = part.write();
        if part.keyed {
            part.segments.retain(|segment| segment.journal.number > number);
            if let Some(segment) = segments.remove(&(slot as u32)) {
                part.segments.push_front(segment);
            }
        }
    }
    Ok(Filled { journal, bytes, state: newest.state.clone(), indexed: true })
}

type Made = (Arc<dyn DiskFile>, FileHead, u64, Vec<(u32, Segment)>);

/// Writes the file and makes its bytes durable.
fn make(disk: &dyn Disk, path: &Path, newest: &Filled, around: &Surroundings<'_>) -> Result<Made, LogError> {
    let failed = |error: std::io::Error| journal::io_error(&around.config.folder, path, "write", &error);
    let head = FileHead::new(newest.journal.number, around.now_ms);
    // A file of this name may be left from an attempt whose sync failed: never go on with it.
    if disk.list(&around.config.folder).map_err(failed)?.iter().any(|name| path.ends_with(name)) {
        disk.remove(path).map_err(failed)?;
    }
    let file = disk.create(path).map_err(failed)?;
    let start = journal::begin(head, &Snapshot { sequence: 1, previous: None, ..newest.state.clone() });
    file.write_at(&start, 0).map_err(failed)?;
    let mut target = Target {
        file,
        path,
        around,
        salt: head.salt,
        sequence: 1,
        end: start.len() as u64,
        synced: 0,
        lz4: Lz4::default(),
        builder: BatchBuilder::default(),
        framed: Vec::new(),
    };
    let mut segments = Vec::new();
    for slot in 0..around.store.parts.len() {
        let batches = target.slot(slot, newest)?;
        if let (Some(first), Some(last)) = (batches.first(), batches.last()) {
            let segment = Segment {
                journal: newest.journal.clone(),
                first: first.0.first,
                end: last.1,
                stamp_ms: last.0.stamp_ms,
                bytes: batches.iter().map(|(batch, _)| u64::from(batch.bytes)).sum(),
                batches: Batches::Held(batches.iter().map(|(batch, _)| *batch).collect()),
            };
            segments.push((slot as u32, segment));
        }
    }
    target.file.sync().map_err(failed)?;
    Ok((target.file, head, target.end, segments))
}

impl Target<'_> {
    /// Compacts a partition: where its batches are now, each with the offset past its last.
    fn slot(&mut self, slot: usize, newest: &Filled) -> Result<Vec<(Located, i64)>, LogError> {
        let store = self.around.store;
        let end = {
            let part = store.parts[slot].read();
            let filled = |segment: &&Segment| segment.journal.number <= newest.journal.number;
            if !part.keyed {
                return Ok(Vec::new());
            }
            part.segments.iter().filter(filled).map(|segment| segment.end).max().unwrap_or(0)
        };
        let mut last: HashMap<Box<[u8]>, i64> = HashMap::default();
        self.each(slot, end, |_, entry| {
            last.insert(entry.key[..].into(), entry.offset);
            Ok(())
        })?;
        let old_ms = self.around.now_ms - TOMBSTONE_MS;
        let mut batches = Vec::new();
        self.each(slot, end, |target, entry| {
            let live = last.get(&entry.key[..]) == Some(&entry.offset);
            if live && (entry.value.is_some() || entry.stamp_ms > old_ms) {
                target.builder.push(entry.offset, entry.stamp_ms, &entry.key, entry.value.as_deref());
                if target.builder.raw_bytes() >= STEP_BYTES {
                    batches.push(target.place(slot)?);
                }
            }
            Ok(())
        })?;
        if !self.builder.is_empty() {
            batches.push(self.place(slot)?);
        }
        Ok(batches)
    }

    /// Every record of a partition below `end`.
    fn each(
        &mut self,
        slot: usize,
        end: i64,
        mut take: impl FnMut(&mut Self, &Entry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let (mut from, mut entries) = (i64::MIN, Vec::new());
        loop {
            (self.around.pause)();
            entries.clear();
            self.around.store.read(slot, from, STEP_BYTES, &mut entries)?;
            for entry in entries.iter().take_while(|entry| entry.offset < end) {
                take(self, entry)?;
            }
            match entries.last() {
                Some(last) if last.offset + 1 < end => from = last.offset + 1,
                _ => return Ok(()),
            }
        }
    }

    /// Writes the batch as a frame of its own.
    fn place(&mut self, slot: usize) -> Result<(Located, i64), LogError> {
        let failed = |error: std::io::Error| journal::io_error(&self.around.config.folder, self.path, "write", &error);
        frame::begin(&mut self.framed);
        frame::put_positions(&mut self.framed, &[]);
        self.framed.extend_from_slice(&(slot as u32).to_le_bytes());
        let at = self.framed.len();
        let (first, stamp_ms, end) = (self.builder.base(), self.builder.stamp_ms(), self.builder.end());
        self.builder.finish(&mut self.lz4, &mut self.framed);
        let bytes = (self.framed.len() - at) as u32;
        let start = self.end + at as u64;
        let Ok(at) = u32::try_from(start + u64::from(bytes)).map(|past| past - bytes) else {
            return Err(LogError::Failed { cause: "the compacted topics are larger than 4 GiB".into() });
        };
        frame::seal(&mut self.framed, self.salt, self.sequence);
        self.file.write_at(&self.framed, self.end).map_err(failed)?;
        self.end += self.framed.len() as u64;
        self.sequence += 1;
        if self.end - self.synced >= SYNC_BYTES {
            self.file.sync().map_err(failed)?;
            self.synced = self.end;
        }
        Ok((Located { first, stamp_ms, at, bytes }, end))
    }
}
