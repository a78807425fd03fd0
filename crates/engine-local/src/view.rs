//! A folder read without being taken: what the command line shows of a log, also of one in use.

use crate::disk::Disk;
use crate::journal::{Journal, Kind};
use crate::recover::{Filled, Recovered, recover};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Done, Entry, Extent, Log, LogError, Position, Unit, Wake};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file may be removed while a folder in use is read: then it is read again, this often.
const TRIES: u32 = 5;

/// What a folder holds. Of a log in use it also shows the commit that is being synced.
pub struct View {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    found: Recovered,
}

impl View {
    /// Reads a folder.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, LogError> {
        let mut tries = 0;
        loop {
            match recover(&disk, folder, 0, false) {
                Ok(found) => return Ok(Self { disk, folder: folder.to_owned(), found }),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// Takes in what was appended since.
    pub fn refresh(&mut self) -> Result<(), LogError> {
        let failed = |error: std::io::Error| crate::journal::io_error(&self.folder, &self.folder, "read", &error);
        let names = self.disk.list(&self.folder).map_err(failed)?;
        let oldest = names.iter().filter_map(|name| Kind::Journal.number(name)).min();
        let compact = names.iter().filter_map(|name| Kind::Compact.number(name)).max();
        let known = self.found.filled.first().map(|file| file.journal.number);
        if known != oldest || self.found.compact.as_ref().map(|made| made.journal.number) != compact {
            return self.reload();
        }
        loop {
            let Some(last) = self.found.filled.last() else { return Ok(()) };
            let (journal, bytes) = (last.journal.clone(), last.bytes);
            let bytes = self.found.go_on(&journal, bytes)?;
            if let Some(last) = self.found.filled.last_mut() {
                last.bytes = bytes;
            }
            let next = journal.number + 1;
            if !names.contains(&Kind::Journal.name(next)) {
                return Ok(());
            }
            let next = Arc::new(Journal::open(&*self.disk, &self.folder, Kind::Journal, next, false)?);
            let (start, begin) = next.start()?;
            if start.previous != Some((journal.number, bytes)) {
                return self.reload();
            }
            let state = start;
            self.found.filled.push(Filled { journal: next, bytes: begin, state, indexed: false });
        }
    }

    fn reload(&mut self) -> Result<(), LogError> {
        *self = Self::open(self.disk.clone(), &self.folder)?;
        Ok(())
    }

    /// Every partition with what it holds.
    pub fn topics(&self) -> Vec<(Topic, PartitionId, Extent)> {
        let store = &self.found.store;
        let one =
            |(slot, (topic, partition)): (usize, &(Topic, u32))| (*topic, PartitionId(*partition), store.extent(slot));
        store.names.iter().enumerate().map(one).collect()
    }

    /// Partitions of a topic.
    pub fn partitions(&self, topic: Topic) -> u32 {
        self.found.store.partitions(topic)
    }

    /// As [`midsession_ports::Log::extent`].
    pub fn extent(&self, topic: Topic, partition: PartitionId) -> Result<Extent, LogError> {
        Ok(self.found.store.extent(self.found.store.slot(topic, partition)?))
    }

    /// As [`midsession_ports::Log::read`].
    pub fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        self.found.store.read(self.found.store.slot(topic, partition)?, from, max_bytes, out)
    }

    /// As [`midsession_ports::Log::offset_at`].
    pub fn offset_at(&self, topic: Topic, partition: PartitionId, time_ms: i64) -> Result<i64, LogError> {
        self.found.store.offset_at(self.found.store.slot(topic, partition)?, time_ms)
    }

    /// As [`midsession_ports::Log::position`].
    pub fn position(&self, partition: PartitionId) -> i64 {
        self.found.state.positions.get(partition.0 as usize).copied().unwrap_or(0)
    }
}

/// What reads a log reads a folder as well. It takes nothing.
impl Log for View {
    fn partitions(&self, topic: Topic) -> u32 {
        self.partitions(topic)
    }

    fn append(&self, _: Arc<Unit>, done: Done) {
        done(Err(LogError::Failed { cause: "the folder was opened for reading only".into() }));
    }

    fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        self.read(topic, partition, offset, max_bytes, out)
    }

    fn extent(&self, topic: Topic, partition: PartitionId) -> Result<Extent, LogError> {
        self.extent(topic, partition)
    }

    fn offset_at(&self, topic: Topic, partition: PartitionId, time_ms: i64) -> Result<i64, LogError> {
        self.offset_at(topic, partition, time_ms)
    }

    fn position(&self, partition: PartitionId) -> i64 {
        self.position(partition)
    }

    fn on_commit(&self, _: Wake) {}

    fn keep_from(&self, _: &[Position]) {}
}
