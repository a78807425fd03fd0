//! Housekeeping beside the writer: indexes for filled files, retention, compaction.

use crate::compact;
use crate::config::Config;
use crate::disk::Disk;
use crate::index;
use crate::journal::{Journal, Kind, with_suffix};
use crate::part::{Batches, Part, Segment};
use crate::recover::{Filled, segments_of};
use crate::store::Store;
use midsession_event::Topic;
use midsession_ports::LogError;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;

/// Keyed records that came since the last compaction, when it is worth one. Bytes.
const COMPACT_FROM_BYTES: u64 = 16 << 20;
/// Compaction is due after this long even for little. Ms.
const COMPACT_EVERY_MS: i64 = 24 * 3600 * 1000;

/// The files that take no more commits.
pub struct Keeper {
    pub disk: Arc<dyn Disk>,
    /// Journals, oldest first.
    pub files: VecDeque<Filled>,
    /// The compacted file.
    pub compact: Option<Filled>,
}

/// What housekeeping needs to know of the rest.
pub struct Surroundings<'a> {
    pub store: &'a Store,
    pub config: &'a Config,
    pub now_ms: i64,
    /// Bytes of the file being written.
    pub active_bytes: u64,
    /// `behavior` offsets that must stay, by partition; none until somebody has said so.
    pub keep: Option<Vec<i64>>,
    /// Gives way to the writer.
    pub pause: &'a dyn Fn(),
}

impl Keeper {
    /// Does what is due.
    pub fn run(&mut self, filled: Vec<Filled>, around: &Surroundings<'_>) -> Result<(), LogError> {
        self.files.extend(filled);
        // On a full disk no index can be written, but retention can still make room.
        let indexed = (0..self.files.len()).try_for_each(|at| self.index(at, around));
        if self.is_compaction_due(around) {
            self.compact(around)?;
        }
        while self.oldest_may_go(around) {
            if self.holds_keyed(around) {
                self.compact(around)?;
            }
            let Some(oldest) = self.files.front() else { break };
            forget(around.store, &oldest.journal);
            // One that can't be removed now stays the oldest, and is tried again: without it those behind it would go first,
            // and a start would find a hole.
            self.remove(around, &oldest.journal)?;
            self.files.pop_front();
        }
        indexed
    }

    /// Writes a file's index.
    pub fn seal(&self, filled: &Filled, store: &Store, config: &Config) -> Result<(), LogError> {
        let segments = segments_of(store, &filled.journal);
        index::write(&*self.disk, &config.folder, &filled.journal, filled.bytes, &filled.state, &segments)
    }

    /// Writes a file's index and lets go of what it holds in memory.
    fn index(&mut self, at: usize, around: &Surroundings<'_>) -> Result<(), LogError> {
        if self.files[at].indexed {
            return Ok(());
        }
        self.seal(&self.files[at], around.store, around.config)?;
        let filled = &mut self.files[at];
        // What can't be read back stays in memory.
        if let Some(index) = index::read(&*self.disk, &filled.journal) {
            for (slot, listed) in index.segments {
                let mut part = around.store.parts[slot as usize].write();
                let held = |segment: &&mut Segment| {
                    Arc::ptr_eq(&segment.journal, &filled.journal) && matches!(segment.batches, Batches::Held(_))
                };
                if let Some(segment) = part.segments.iter_mut().find(held) {
                    segment.batches = listed.batches;
                }
            }
        }
        filled.indexed = true;
        Ok(())
    }

    /// Bytes of keyed records in filled journals.
    fn keyed_bytes(&self, around: &Surroundings<'_>) -> u64 {
        let Some(newest) = self.files.back() else { return 0 };
        let of = |segment: &&Segment| {
            segment.journal.kind == Kind::Journal && segment.journal.number <= newest.journal.number
        };
        let parts = around.store.parts.iter().map(|part| part.read()).filter(|part| part.keyed);
        parts.map(|part| part.segments.iter().filter(of).map(|segment| segment.bytes).sum::<u64>()).sum()
    }

    fn is_compaction_due(&self, around: &Surroundings<'_>) -> bool {
        let fresh = self.keyed_bytes(around);
        let (bytes, made_ms) = self.compact.as_ref().map_or((0, 0), |made| (made.bytes, made.journal.begun_ms));
        let oldest_ms = self.files.front().map_or(around.now_ms, |oldest| oldest.state.stamp_ms);
        let aged = around.now_ms - made_ms.max(oldest_ms) >= COMPACT_EVERY_MS;
        fresh >= COMPACT_FROM_BYTES.max(bytes / 2) || (aged && (fresh > 0 || bytes > 0))
    }

    fn compact(&mut self, around: &Surroundings<'_>) -> Result<(), LogError> {
        let Some(newest) = self.files.back().or(self.compact.as_ref()) else { return Ok(()) };
        let made = compact::compact(&self.disk, newest, around)?;
        let number = made.journal.number;
        if let Some(old) = self.compact.replace(made) {
            around.store.lists.forget(&old.journal);
            // One of the same number has been replaced under its name.
            if old.journal.number != number {
                self.remove(around, &old.journal)?;
            }
        }
        Ok(())
    }

    /// Retention wants the oldest file gone, and nobody needs it.
    fn oldest_may_go(&self, around: &Surroundings<'_>) -> bool {
        let (Some(oldest), Some(keep)) = (self.files.front(), &around.keep) else { return false };
        let bytes = self.files.iter().map(|file| file.bytes).sum::<u64>()
            + self.compact.as_ref().map_or(0, |made| made.bytes)
            + around.active_bytes;
        let aged = around.now_ms - oldest.state.stamp_ms > around.config.keep_ms;
        if !aged && bytes <= around.config.keep_bytes {
            return false;
        }
        let needed = |(slot, part): (usize, &RwLock<Part>)| {
            let (Topic::Behavior, partition) = around.store.names[slot] else { return false };
            let part = part.read();
            let first = part.segments.front().filter(|segment| Arc::ptr_eq(&segment.journal, &oldest.journal));
            first.is_some_and(|segment| segment.end > keep.get(partition as usize).copied().unwrap_or(0))
        };
        !around.store.parts.iter().enumerate().any(needed)
    }

    /// The oldest file has records of compacted topics.
    fn holds_keyed(&self, around: &Surroundings<'_>) -> bool {
        let Some(oldest) = self.files.front() else { return false };
        let here = |part: &RwLock<Part>| {
            let part = part.read();
            part.keyed && part.segments.iter().any(|segment| Arc::ptr_eq(&segment.journal, &oldest.journal))
        };
        around.store.parts.iter().any(here)
    }

    /// Removes a file that nothing refers to any more. Its name is durably gone before the next one's: what is there
    /// after a power loss has no hole.
    fn remove(&self, around: &Surroundings<'_>, journal: &Arc<Journal>) -> Result<(), LogError> {
        let folder = &around.config.folder;
        let failed = |error: std::io::Error| crate::journal::io_error(folder, &journal.path, "remove", &error);
        for path in [&journal.path, &with_suffix(&journal.path, index::SUFFIX)] {
            match self.disk.remove(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                // An earlier try may have come this far.
                _ => {}
            }
        }
        self.disk.sync_folder(folder).map_err(failed)
    }
}

/// Takes a file out of the partitions.
fn forget(store: &Store, journal: &Arc<Journal>) {
    for part in &store.parts {
        part.write().segments.retain(|segment| !Arc::ptr_eq(&segment.journal, journal));
    }
    store.lists.forget(journal);
}
