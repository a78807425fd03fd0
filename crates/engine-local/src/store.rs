//! The partitions in memory, as readers see them: durable records only.

use crate::disk::Disk;
use crate::index::{self, Cache};
use crate::journal::Journal;
use crate::part::{Batches, Located, Part, Place, Plan, Segment};
use crate::recent::Recent;
use crate::snapshot::Slots;
use midsession_event::{Cleanup, PartitionId, Topic};
use midsession_ports::{Entry, Extent, LogError};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;

/// All partitions.
pub struct Store {
    pub slots: Slots,
    /// First slot and partitions, by topic.
    by_topic: Vec<(u32, u32)>,
    /// Topic and partition, by slot.
    pub names: Vec<(Topic, u32)>,
    pub parts: Vec<RwLock<Part>>,
    /// Durable input positions by partition of `behavior`.
    pub positions: RwLock<Vec<i64>>,
    pub lists: Cache,
    pub recent: Recent,
    disk: Arc<dyn Disk>,
}

impl Store {
    pub fn new(disk: Arc<dyn Disk>, slots: Slots) -> Self {
        let names: Vec<_> = slots.list().flatten().collect();
        let partitions = slots.partitions().unwrap_or(0);
        let by_topic = Topic::ALL
            .iter()
            .map(|topic| {
                let first = names.iter().position(|(name, _)| name == topic).unwrap_or(0) as u32;
                (first, names.iter().filter(|(name, _)| name == topic).count() as u32)
            })
            .collect();
        let part = |(topic, _): &(Topic, u32)| {
            let keyed = topic.cleanup() == Cleanup::Compact;
            RwLock::new(Part { end: 0, keyed, segments: VecDeque::new() })
        };
        let parts = names.iter().map(part).collect();
        let positions = RwLock::new(vec![0; partitions as usize]);
        let recent = Recent::new(partitions);
        Self { slots, by_topic, names, parts, positions, lists: Cache::default(), recent, disk }
    }

    pub fn partitions(&self, topic: Topic) -> u32 {
        self.by_topic[topic as usize].1
    }

    /// The slot of a partition.
    pub fn slot(&self, topic: Topic, partition: PartitionId) -> Result<usize, LogError> {
        let (first, count) = self.by_topic[topic as usize];
        if partition.0 >= count {
            return Err(LogError::NoPartition { topic: topic.name(), partition: partition.0 });
        }
        Ok((first + partition.0) as usize)
    }

    pub fn extent(&self, slot: usize) -> Extent {
        self.parts[slot].read().extent()
    }

    /// Durable records from `from` on: at most about `max_bytes`, at least one if there is any.
    pub fn read(&self, slot: usize, from: i64, max_bytes: usize, out: &mut Vec<Entry>) -> Result<(), LogError> {
        if let (Topic::Behavior, partition) = self.names[slot]
            && from >= self.parts[slot].read().start()
            && self.recent.read(partition, from, max_bytes, out)
        {
            return Ok(());
        }
        let before = out.len();
        let (mut from, mut got) = (from, 0);
        while out.len() == before || got < max_bytes {
            let left = max_bytes.saturating_sub(got);
            match self.step(slot, from, left, out) {
                Ok(Some((next, bytes))) => (from, got) = (next, got + bytes),
                Ok(None) => break,
                // What came before the damage is good; the next read starts at it and fails.
                Err(_) if out.len() > before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Where the batch with `from` ends; where its file ends, if nobody can say which batches that has.
    pub fn behind(&self, slot: usize, from: i64) -> Result<i64, LogError> {
        let place = self.parts[slot].read().plan(from, 0)?;
        Ok(match place {
            Place::Here(plan) => plan.next(),
            Place::Listed(segment, listed) => match self.lists.get(&*self.disk, &segment.journal, listed) {
                Ok(batches) => segment.plan(&batches, from, 0).next(),
                Err(_) => segment.end,
            },
            Place::Nowhere => self.extent(slot).end,
        })
    }

    /// The first damaged list of a file's batches in its index.
    pub fn damaged_list(&self, journal: &Arc<Journal>) -> Option<LogError> {
        let listed = |part: &RwLock<Part>| {
            let part = part.read();
            let here = part.segments.iter().find(|segment| Arc::ptr_eq(&segment.journal, journal))?;
            if let Batches::Listed(listed) = here.batches { Some(listed) } else { None }
        };
        self.parts.iter().find_map(|part| {
            let error = index::load(&*self.disk, journal, listed(part)?).err()?;
            // The file may have gone meanwhile, and its index with it.
            listed(part).map(|_| error)
        })
    }

    /// One file's part of a read: where to go on, and the bytes read.
    fn step(
        &self,
        slot: usize,
        from: i64,
        left: usize,
        out: &mut Vec<Entry>,
    ) -> Result<Option<(i64, usize)>, LogError> {
        let find = |part: &Part| part.plan(from, left);
        let Some(plan) = self.plan(slot, find, |segment, batches| segment.plan(batches, from, left))? else {
            return Ok(None);
        };
        plan.read(from, left, out).map(Some)
    }

    /// The first offset with a stamp at or past `time_ms`, else the end.
    pub fn offset_at(&self, slot: usize, time_ms: i64) -> Result<i64, LogError> {
        let find = |part: &Part| Ok(part.seek(time_ms));
        let Some(plan) = self.plan(slot, find, |segment, batches| segment.seek(batches, time_ms))? else {
            return Ok(self.extent(slot).end);
        };
        // A compacted batch has several stamps.
        let mut entries = Vec::new();
        let (end, _) = plan.read(i64::MIN, 0, &mut entries)?;
        Ok(entries.iter().find(|entry| entry.stamp_ms >= time_ms).map_or(end, |entry| entry.offset))
    }

    /// Finds batches. The partition is let go before the disk is asked: its writer never waits for a reader.
    fn plan(
        &self,
        slot: usize,
        find: impl Fn(&Part) -> Result<Place, LogError>,
        within: impl Fn(&Segment, &[Located]) -> Plan,
    ) -> Result<Option<Plan>, LogError> {
        let mut failed: Option<(u64, LogError)> = None;
        loop {
            match find(&self.parts[slot].read())? {
                Place::Here(plan) => return Ok(Some(plan)),
                Place::Nowhere => return Ok(None),
                Place::Listed(segment, listed) => match self.lists.get(&*self.disk, &segment.journal, listed) {
                    Ok(batches) => return Ok(Some(within(&segment, &batches))),
                    // Retention or compaction may have taken the file away meanwhile: then look again.
                    Err(error) => match failed {
                        Some((number, error)) if number == segment.journal.number => return Err(error),
                        _ => failed = Some((segment.journal.number, error)),
                    },
                },
            }
        }
    }
}
