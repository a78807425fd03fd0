//! The one writer: what waits becomes one frame, one write, one fdatasync; then it is visible.

use crate::batch::{BatchBuilder, HEADER_BYTES};
use crate::config::Config;
use crate::disk::Disk;
use crate::frame::{self, FileHead};
use crate::journal::{self, Journal};
use crate::lz4::Lz4;
use crate::part::Located;
use crate::recover::{Filled, Recovered};
use crate::snapshot::Snapshot;
use crate::store::Store;
use midsession_event::{PartitionId, Topic};
use midsession_ports::{LogError, Receipt, Unit};
use std::path::PathBuf;
use std::sync::Arc;

/// Raw bytes of records that a batch is closed at: one LZ4 block, so that a reader never unpacks much it did not ask for.
const BATCH_BYTES: usize = 64 << 10;
const NO_BUILDER: u32 = u32::MAX;
/// Places in a file are 32-bit: file and frame must stay below them.
const MOST_JOURNAL_BYTES: u64 = 1 << 30;
/// A file stays open for at most this part of the age that records are kept to.
const FILES_PER_AGE: i64 = 8;

/// Appends to the newest file.
pub struct Writer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    journal_bytes: u64,
    journal_ms: i64,
    journal: Arc<Journal>,
    /// Bytes of the file that are durable.
    end: u64,
    /// The state after the last durable commit.
    state: Snapshot,
    /// Sequence of the file's first commit, as far as is known.
    begun_sequence: u64,
    /// Files that take no more commits, for the keeper.
    pub filled: Vec<Filled>,
    lz4: Lz4,
    builders: Vec<BatchBuilder>,
    /// Which builder a slot uses in this commit.
    builder_of: Vec<u32>,
    /// The slots of this commit with the offset each starts from, in order of first use.
    touched: Vec<(usize, i64)>,
    frame: Vec<u8>,
    placed: Vec<(usize, Located, i64)>,
}

/// What a commit did, to be told once it is durable.
pub struct Committed {
    /// By unit, in order.
    pub receipts: Vec<Vec<Receipt>>,
    /// Partitions of `behavior` that grew.
    pub grown: Vec<PartitionId>,
    /// Bytes written.
    pub bytes: u64,
}

impl Writer {
    /// Goes on where the folder ends: in its last file, or in a new one that begins with the last commit of the file
    /// before it where that is in doubt.
    pub fn start(disk: Arc<dyn Disk>, config: &Config, now_ms: i64, found: &mut Recovered) -> Result<Self, LogError> {
        let (journal, end) = match found.resumed.take() {
            Some(resumed) => resumed,
            None => {
                let head = FileHead::new(found.number, now_ms);
                let mut carried = Vec::new();
                if let Some(body) = &found.carried {
                    frame::begin(&mut carried);
                    carried.extend_from_slice(body);
                    frame::seal(&mut carried, head.salt, found.state.sequence);
                }
                let (journal, end) = Journal::create(&*disk, &config.folder, head, &found.state, &carried)?;
                let journal = Arc::new(journal);
                found.apply_carried(&journal, end - carried.len() as u64)?;
                (journal, end)
            }
        };
        let state = found.state.clone();
        Ok(Self {
            disk,
            folder: config.folder.clone(),
            journal_bytes: config.journal_bytes.min(MOST_JOURNAL_BYTES),
            journal_ms: config.keep_ms / FILES_PER_AGE,
            journal,
            end,
            begun_sequence: 0,
            builder_of: vec![NO_BUILDER; state.next.len()],
            state,
            filled: Vec::new(),
            lz4: Lz4::default(),
            builders: Vec::new(),
            touched: Vec::new(),
            frame: Vec::new(),
            placed: Vec::new(),
        })
    }

    /// Bytes of the file being written.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// The last stamp given. Epoch ms.
    pub fn stamp_ms(&self) -> i64 {
        self.state.stamp_ms
    }

    /// The file being written, as if it took no more commits.
    pub fn active(&self) -> Filled {
        Filled { journal: self.journal.clone(), bytes: self.end, state: self.state.clone(), indexed: false }
    }

    /// Closes a file that is full or has been open for long (its records' age counts from the last one).
    pub fn roll_if_due(&mut self, now_ms: i64) -> Result<(), LogError> {
        let aged = now_ms - self.journal.begun_ms >= self.journal_ms && self.state.sequence > self.begun_sequence;
        if aged || self.end >= self.journal_bytes { self.roll(now_ms) } else { Ok(()) }
    }

    /// Makes the units durable and visible, all or none.
    pub fn commit(&mut self, store: &Store, units: &[Arc<Unit>], now_ms: i64) -> Result<Committed, LogError> {
        self.roll_if_due(now_ms)?;
        let stamp_ms = now_ms.max(self.state.stamp_ms);
        let receipts = self.encode(store, units, stamp_ms)?;
        frame::seal(&mut self.frame, self.journal.salt, self.state.sequence);
        if let Err(error) = self.write() {
            for (slot, next) in self.touched.drain(..) {
                self.state.next[slot] = next;
                self.builder_of[slot] = NO_BUILDER;
            }
            return Err(error);
        }
        self.end += self.frame.len() as u64;
        self.state.sequence += 1;
        self.state.stamp_ms = stamp_ms;
        let grown = self.publish(store, units);
        store.recent.keep(units, &receipts);
        Ok(Committed { receipts, grown, bytes: self.frame.len() as u64 })
    }

    /// Builds the frame of the units and where its batches will be.
    fn encode(&mut self, store: &Store, units: &[Arc<Unit>], stamp_ms: i64) -> Result<Vec<Vec<Receipt>>, LogError> {
        self.placed.clear();
        self.touched.clear();
        frame::begin(&mut self.frame);
        let positions: Vec<_> = units
            .iter()
            .flat_map(|unit| &unit.positions)
            .map(|position| (position.partition.0, position.offset))
            .collect();
        frame::put_positions(&mut self.frame, &positions);
        let mut all = Vec::with_capacity(units.len());
        for unit in units {
            let mut receipts = Vec::with_capacity(unit.records.len());
            for record in &unit.records {
                let slot = store.slot(record.topic, record.partition)?;
                let offset = self.state.next[slot];
                if self.builder_of[slot] == NO_BUILDER {
                    self.builder_of[slot] = self.touched.len() as u32;
                    self.touched.push((slot, offset));
                    if self.builders.len() < self.touched.len() {
                        self.builders.push(BatchBuilder::default());
                    }
                }
                let builder = self.builder_of[slot] as usize;
                let value = record.value.as_deref();
                let bytes = record.key.len() + value.map_or(0, <[u8]>::len);
                if !self.builders[builder].is_empty() && self.builders[builder].raw_bytes() + bytes > BATCH_BYTES {
                    self.place(slot, builder);
                }
                self.builders[builder].push(offset, stamp_ms, &record.key, value);
                self.state.next[slot] = offset + 1;
                receipts.push(Receipt { topic: record.topic, partition: record.partition, offset, stamp_ms });
            }
            all.push(receipts);
        }
        for builder in 0..self.touched.len() {
            self.place(self.touched[builder].0, builder);
        }
        Ok(all)
    }

    /// Closes a slot's batch into the frame.
    fn place(&mut self, slot: usize, builder: usize) {
        self.frame.extend_from_slice(&(slot as u32).to_le_bytes());
        let at = self.frame.len();
        let builder = &mut self.builders[builder];
        let (first, stamp_ms) = (builder.base(), builder.stamp_ms());
        builder.finish(&mut self.lz4, &mut self.frame);
        let bytes = (self.frame.len() - at) as u32;
        debug_assert!(bytes as usize >= HEADER_BYTES);
        let located = Located { first, stamp_ms, at: (self.end + at as u64) as u32, bytes };
        self.placed.push((slot, located, self.state.next[slot]));
    }

    fn write(&self) -> Result<(), LogError> {
        let failed = |verb, error: &std::io::Error| LogError::Failed {
            cause: format!("can't {verb} {}: {error}", self.journal.path.display()),
        };
        if let Err(error) = self.journal.file.write_at(&self.frame, self.end) {
            if !journal::is_full(&error) {
                return Err(failed("write", &error));
            }
            // Part of the frame may be there. Without it the file is as before, and the next frame goes in its place.
            self.journal.file.truncate(self.end).map_err(|error| failed("cut back", &error))?;
            return Err(LogError::DiskFull { folder: self.folder.display().to_string() });
        }
        // After a failed sync nobody knows what is on the disk, and the kernel may call the same pages clean the next
        // time: this file is never synced again.
        self.journal.file.sync().map_err(|error| failed("sync", &error))
    }

    /// Shows readers what is durable.
    fn publish(&mut self, store: &Store, units: &[Arc<Unit>]) -> Vec<PartitionId> {
        for (slot, located, end) in self.placed.drain(..) {
            store.parts[slot].write().push(&self.journal, located, end);
        }
        let mut positions = store.positions.write();
        for position in units.iter().flat_map(|unit| &unit.positions) {
            if let Some(place) = self.state.positions.get_mut(position.partition.0 as usize) {
                *place = position.offset;
            }
        }
        positions.clone_from(&self.state.positions);
        let mut grown = Vec::new();
        for (slot, _) in self.touched.drain(..) {
            self.builder_of[slot] = NO_BUILDER;
            if let (Topic::Behavior, partition) = store.names[slot] {
                grown.push(PartitionId(partition));
            }
        }
        grown
    }

    /// Goes on in a new file.
    fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        let number = self.journal.number + 1;
        let head = FileHead::new(number, now_ms);
        let previous = Some((self.journal.number, self.end));
        let snapshot = Snapshot { previous, ..self.state.clone() };
        let (journal, end) = Journal::create(&*self.disk, &self.folder, head, &snapshot, &[])?;
        self.filled.push(self.active());
        (self.journal, self.end) = (Arc::new(journal), end);
        self.begun_sequence = self.state.sequence;
        Ok(())
    }
}
