//! The partitions in memory, as readers see them: durable records only.

use crate::part::Part;
use crate::snapshot::Slots;
use midsession_event::{Cleanup, PartitionId, Topic};
use midsession_ports::{Entry, Extent, LogError};
use parking_lot::RwLock;
use std::collections::VecDeque;

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
}

impl Store {
    pub fn new(slots: Slots) -> Self {
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
        Self { slots, by_topic, names, parts, positions: RwLock::new(vec![0; partitions as usize]) }
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
        let before = out.len();
        let (mut from, mut got) = (from, 0);
        while out.len() == before || got < max_bytes {
            let left = max_bytes.saturating_sub(got);
            // The partition is let go before the disk is asked: its writer never waits for a reader.
            let plan = self.parts[slot].read().plan(from, left);
            let read = plan.and_then(|plan| plan.map(|plan| plan.read(from, left, out)).transpose());
            match read {
                Ok(Some((next, bytes))) => (from, got) = (next, got + bytes),
                Ok(None) => break,
                // What came before the damage is good; the next read starts at it and fails.
                Err(_) if out.len() > before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first offset with a stamp at or past `time_ms`, else the end.
    pub fn offset_at(&self, slot: usize, time_ms: i64) -> Result<i64, LogError> {
        let mut from = self.parts[slot].read().seek(time_ms);
        let mut out = Vec::new();
        loop {
            out.clear();
            self.read(slot, from, 1, &mut out)?;
            match (out.iter().find(|entry| entry.stamp_ms >= time_ms), out.last()) {
                (Some(entry), _) => return Ok(entry.offset),
                (None, Some(last)) => from = last.offset + 1,
                (None, None) => return Ok(from),
            }
        }
    }
}
