//! Facts over the memory budget, a file per partition: a cache that is never synced and gone with its process.
//!
//! Entries stand where there is room, each with its checksum and a number of its own: one that was written over is not
//! taken for the one before. Nothing in them says whose they are; that, and the names, is in memory alone.

use crate::disk::{Disk, DiskFile};
use crate::extents::Extents;
use crate::journal::io_error;
use midsession_event::PartitionId;
use midsession_machine::{Place, Spill, SpillError};
use midsession_ports::LogError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Checksum over the rest, then number and length.
const HEAD_BYTES: usize = 12;
/// A file is cut when so much of its end is free. Bytes.
const CUT_BYTES: u64 = 4 << 20;

/// Loads are told apart by how long they took, up to so many µs; what takes longer comes last.
pub const LOADS_WITHIN_US: [u64; 4] = [10, 100, 1_000, 10_000];

/// What the files hold and what was done with them, over all partitions.
#[derive(Debug, Default)]
pub struct SpillStats {
    /// Entries now: shoppers whose facts are not in memory.
    pub entries: AtomicU64,
    /// Bytes of these.
    pub bytes: AtomicU64,
    /// Bytes of the files.
    pub file_bytes: AtomicU64,
    /// Entries written so far.
    pub written: AtomicU64,
    /// Entries read so far, by [`LOADS_WITHIN_US`].
    pub loads: [AtomicU64; LOADS_WITHIN_US.len() + 1],
    /// Entries that were not taken, for want of room or because a write failed.
    pub refused: AtomicU64,
}

/// The folder of these files in a data folder.
pub struct LocalSpills {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Before the names of its files.
    prefix: &'static str,
    stats: Arc<SpillStats>,
}

impl LocalSpills {
    /// Opens `spill/` in a data folder (made if missing). What an earlier process left there is removed: it is of no use.
    pub fn open(disk: Arc<dyn Disk>, data: &Path) -> Result<Self, LogError> {
        let folder = data.join("spill");
        let failed = |error| io_error(&folder, &folder, "open", &error);
        disk.make_folder(&folder).map_err(failed)?;
        for name in disk.list(&folder).map_err(failed)? {
            disk.remove(&folder.join(name)).map_err(failed)?;
        }
        Ok(Self { disk, folder, prefix: "", stats: Arc::default() })
    }

    /// Files of other machines in the same folder, counted apart.
    #[must_use]
    pub fn beside(&self, prefix: &'static str) -> Self {
        Self { disk: Arc::clone(&self.disk), folder: self.folder.clone(), prefix, stats: Arc::default() }
    }

    /// A partition's file, of so many bytes at most. It is made when something is put there.
    pub fn of(&self, partition: PartitionId, bytes_max: u64) -> LocalSpill {
        LocalSpill {
            disk: Arc::clone(&self.disk),
            path: self.folder.join(format!("{}{}.facts", self.prefix, partition.0)),
            file: None,
            file_bytes: 0,
            extents: Extents::default(),
            next_id: 0,
            bytes_max,
            held: (0, 0),
            stats: Arc::clone(&self.stats),
        }
    }

    /// What all of them hold.
    pub fn stats(&self) -> &Arc<SpillStats> {
        &self.stats
    }
}

/// A partition's file.
pub struct LocalSpill {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// What the file may be long. Bytes.
    file_bytes: u64,
    extents: Extents,
    next_id: u32,
    bytes_max: u64,
    /// Entries and their bytes.
    held: (u64, u64),
    stats: Arc<SpillStats>,
}

fn whole(place: Place) -> u64 {
    HEAD_BYTES as u64 + u64::from(place.bytes)
}

impl LocalSpill {
    fn write(&mut self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(self.disk.create(&self.path)?),
        };
        // Whether or not it can be written whole.
        let end = self.file_bytes.max(at + bytes.len() as u64);
        self.stats.file_bytes.fetch_add(end - self.file_bytes, Relaxed);
        self.file_bytes = end;
        file.write_at(bytes, at)
    }

    fn entry(&self, place: Place) -> std::io::Result<Vec<u8>> {
        let mut entry = vec![0; whole(place) as usize];
        let file = self.file.as_ref().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
        file.read_at(&mut entry, place.at)?;
        Ok(entry)
    }

    fn refuse(&self, error: SpillError) -> SpillError {
        // The first one, and then one in many: it is counted, too.
        if self.stats.refused.fetch_add(1, Relaxed).is_multiple_of(1_000) {
            tracing::warn!(file = %self.path.display(), %error, "facts over the memory budget stay in memory");
        }
        error
    }
}

impl Spill for LocalSpill {
    fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError> {
        let full = SpillError::Full(self.bytes_max);
        let length = (HEAD_BYTES + bytes.len()) as u64;
        let (Ok(bytes_of_place), Some(at)) = (u32::try_from(bytes.len()), self.extents.take(length, self.bytes_max))
        else {
            return Err(self.refuse(full));
        };
        let place = Place { at, bytes: bytes_of_place, id: self.next_id };
        let mut entry = Vec::with_capacity(length as usize);
        entry.extend_from_slice(&[0; 4]);
        entry.extend_from_slice(&place.id.to_le_bytes());
        entry.extend_from_slice(&place.bytes.to_le_bytes());
        entry.extend_from_slice(bytes);
        let sum = crc32c::crc32c(&entry[4..]);
        entry[..4].copy_from_slice(&sum.to_le_bytes());
        if let Err(error) = self.write(&entry, at) {
            self.extents.give(at, length);
            return Err(self.refuse(SpillError::Failed(error.to_string())));
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.held = (self.held.0 + 1, self.held.1 + length);
        self.stats.entries.fetch_add(1, Relaxed);
        self.stats.bytes.fetch_add(length, Relaxed);
        self.stats.written.fetch_add(1, Relaxed);
        Ok(place)
    }

    fn get(&self, place: Place, out: &mut Vec<u8>) -> Result<(), SpillError> {
        let begun = Instant::now();
        let failed = |cause: String| SpillError::Failed(format!("{} at {}: {cause}", self.path.display(), place.at));
        let entry = self.entry(place).map_err(|error| failed(error.to_string()))?;
        let (head, bytes) = entry.split_at(HEAD_BYTES);
        let word = |at: usize| head.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        if word(0) != Some(crc32c::crc32c(&entry[4..])) {
            return Err(failed("the bytes do not match their checksum".to_owned()));
        }
        if (word(4), word(8)) != (Some(place.id), Some(place.bytes)) {
            return Err(failed("something else stands there".to_owned()));
        }
        out.extend_from_slice(bytes);
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let class = LOADS_WITHIN_US.partition_point(|within_us| *within_us < took_us);
        self.stats.loads[class].fetch_add(1, Relaxed);
        Ok(())
    }

    fn free(&mut self, place: Place) {
        let length = whole(place);
        self.extents.give(place.at, length);
        self.held = (self.held.0.saturating_sub(1), self.held.1.saturating_sub(length));
        self.stats.entries.fetch_sub(1, Relaxed);
        self.stats.bytes.fetch_sub(length, Relaxed);
        let end = self.extents.end();
        let over = self.file_bytes.saturating_sub(end);
        if over < CUT_BYTES && end > 0 {
            return;
        }
        // One that can't be cut is written over.
        if let Some(Ok(())) = self.file.as_ref().map(|file| file.truncate(self.file_bytes - over)) {
            self.stats.file_bytes.fetch_sub(over, Relaxed);
            self.file_bytes -= over;
        }
    }
}

impl Drop for LocalSpill {
    fn drop(&mut self) {
        self.stats.entries.fetch_sub(self.held.0, Relaxed);
        self.stats.bytes.fetch_sub(self.held.1, Relaxed);
        self.stats.file_bytes.fetch_sub(self.file_bytes, Relaxed);
        if self.file.take().is_some() {
            // If it can't be removed, the next start does.
            let _ = self.disk.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asked, Fails, RealDisk, SimDisk};

    fn read(spill: &LocalSpill, place: Place) -> Result<Vec<u8>, SpillError> {
        let mut out = Vec::new();
        spill.get(place, &mut out).map(|()| out)
    }

    #[test]
    fn what_is_put_is_read_until_it_is_freed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("spill")).expect("a folder");
        std::fs::write(folder.path().join("spill/7.facts"), b"left by an earlier process").expect("written");
        let spills = LocalSpills::open(Arc::new(RealDisk), folder.path()).expect("opens");
        let files = || std::fs::read_dir(folder.path().join("spill")).expect("a folder").count();
        assert_eq!(files(), 0, "what was left is removed");
        let mut spill = spills.of(PartitionId(3), 1 << 20);
        assert_eq!(files(), 0, "no file before it is needed");
        let mut other = spills.beside("audit-").of(PartitionId(3), 1 << 20);
        other.put(&[3; 32]).expect("put");
        assert_eq!((files(), spills.stats().entries.load(Relaxed)), (1, 0), "another machine's, and counted apart");
        drop(other);
        let (one, two) = (vec![1; 320], vec![2; 640]);
        let (first, second) = (spill.put(&one).expect("put"), spill.put(&two).expect("put"));
        assert_eq!((read(&spill, first), read(&spill, second)), (Ok(one), Ok(two.clone())));
        spill.free(first);
        let third = spill.put(&[3; 320]).expect("put");
        assert_eq!(third.at, first.at, "its bytes are used again");
        let other = read(&spill, first).expect_err("it was freed").to_string();
        assert!(other.ends_with("3.facts at 0: something else stands there"), "{other}");
        assert_eq!(read(&spill, second), Ok(two));
        let stats = spills.stats();
        assert_eq!((stats.entries.load(Relaxed), stats.bytes.load(Relaxed)), (2, 332 + 652));
        spill.free(second);
        spill.free(third);
        assert_eq!(
            (stats.entries.load(Relaxed), stats.file_bytes.load(Relaxed)),
            (0, 0),
            "nothing is left in the file"
        );
        assert_eq!(std::fs::metadata(folder.path().join("spill/3.facts")).expect("a file").len(), 0);
        drop(spill);
        assert_eq!(files(), 0);
    }

    #[test]
    fn damage_is_named_and_room_is_bounded() {
        let disk = SimDisk::default();
        let spills = LocalSpills::open(disk.process(), Path::new("/data")).expect("opens");
        let mut spill = spills.of(PartitionId(0), 1_000);
        let place = spill.put(&[7; 500]).expect("put");
        assert_eq!(spill.put(&[7; 500]), Err(SpillError::Full(1_000)));
        assert_eq!(spills.stats().refused.load(Relaxed), 1);
        // Half of a write that fails is not taken for an entry, and its room is there again.
        disk.fail_at((Asked::Write, ".facts".into()), 0, Fails::Error);
        assert!(matches!(spill.put(&[8; 100]), Err(SpillError::Failed(_))));
        let small = spill.put(&[9; 400]).expect("put");
        assert_eq!(read(&spill, small), Ok(vec![9; 400]));
        let file = disk.process().open(Path::new("/data/spill/0.facts"), true).expect("there");
        file.write_at(&[6], place.at + 100).expect("written");
        let damaged = read(&spill, place).expect_err("damaged").to_string();
        assert_eq!(damaged, "/data/spill/0.facts at 0: the bytes do not match their checksum");
        disk.set_capacity(Some(disk.used()));
        spill.free(small);
        assert!(spill.put(&[9; 40]).is_ok(), "what is written over needs no room");
        disk.kill();
        assert!(read(&spill, place).is_err());
    }
}
