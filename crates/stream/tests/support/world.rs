//! Partitions that send each other what they make.

use crate::support::Nothing;
use midsession_event::{PartitionId, Record, partition_of};
use midsession_machine::Effect;
use midsession_stream::{Config, Seam, Stream};

pub const PARTITIONS: u32 = 16;

/// Partitions with what they send each other.
pub struct World {
    pub streams: Vec<Stream>,
    next: Vec<i64>,
    /// On their way, by partition.
    pub routed: Vec<(PartitionId, Record)>,
    /// What was told outside, and what has returned after an unmerge.
    pub told: Vec<Effect>,
    /// Events made so far.
    pub made: u64,
}

impl World {
    pub fn new() -> Self {
        let config = Config { partitions: PARTITIONS, ..Config::default() };
        let streams = (0..PARTITIONS).map(|number| Stream::new(PartitionId(number), config)).collect();
        Self { streams, next: vec![0; PARTITIONS as usize], routed: Vec::new(), told: Vec::new(), made: 0 }
    }

    pub fn append(&mut self, partition: PartitionId, at_ms: i64, record: Record) -> Option<Seam> {
        let index = partition.0 as usize;
        let (offset, mut out) = (self.next[index], Vec::new());
        self.next[index] += 1;
        // What is routed comes as it is read from the log.
        let record = Record::decode(&record.encode().expect("encodes")).expect("decodes");
        let seam = self.streams[index].on_record(offset, at_ms, record, &Nothing, &mut out);
        for effect in out {
            let (key, record) = match effect {
                Effect::Handoff(handoff) if handoff.returns => {
                    self.told.push(Effect::Handoff(handoff.clone()));
                    (handoff.visitor_id.to_string(), Record::Handoff(handoff))
                }
                Effect::Handoff(handoff) => (handoff.user_id.to_string(), Record::Handoff(handoff)),
                Effect::Forward(forward) => (forward.user_id.to_string(), Record::Forward(forward)),
                Effect::Recall(recall) => (recall.user_id.to_string(), Record::Recall(recall)),
                Effect::Tell(told) => (told.visitor_id.to_string(), Record::Told(told)),
                other => {
                    self.told.push(other);
                    continue;
                }
            };
            self.routed.push((partition_of(&key, PARTITIONS), record));
        }
        seam
    }

    /// What is on its way arrives; what became of the events.
    pub fn arrive(&mut self, at_ms: i64) -> Vec<Seam> {
        let mut seams = Vec::new();
        while !self.routed.is_empty() {
            let (partition, record) = self.routed.remove(0);
            seams.extend(self.append(partition, at_ms, record));
        }
        seams
    }

    /// The partition of this id.
    pub fn stream(&self, id: &str) -> &Stream {
        &self.streams[partition_of(id, PARTITIONS).0 as usize]
    }
}
