//! Partitions that send each other what they make.

use midsession_event::{Event, PartitionId, Record, partition_of};
use midsession_machine::{Ask, Definitions, Effect, View};
use midsession_stream::{Config, Seam, Stream};
use std::collections::BTreeMap;

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
    /// What each event asks.
    pub rules: Rules,
}

/// A rule that every event asks, and one that a second of silence does; or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub are_there: bool,
}

impl Rules {
    fn ask(self, rule: &str, ask: &mut dyn FnMut(Ask)) {
        if self.are_there {
            ask(Ask { rule: rule.into(), inputs: BTreeMap::new(), capped: false });
        }
    }
}

impl Definitions for Rules {
    fn idle_thresholds_ms(&self) -> &[i64] {
        if self.are_there { &[1_000] } else { &[] }
    }
    fn on_event(&self, _: &View<'_>, _: &Event, ask: &mut dyn FnMut(Ask)) {
        self.ask("seen", ask);
    }
    fn on_idle(&self, _: &View<'_>, _: i64, ask: &mut dyn FnMut(Ask)) {
        self.ask("silent", ask);
    }
}

impl World {
    pub fn new() -> Self {
        let config = Config { partitions: PARTITIONS, ..Config::default() };
        let streams = (0..PARTITIONS).map(|number| Stream::new(PartitionId(number), config)).collect();
        Self {
            streams,
            next: vec![0; PARTITIONS as usize],
            routed: Vec::new(),
            told: Vec::new(),
            made: 0,
            rules: Rules::default(),
        }
    }

    pub fn append(&mut self, partition: PartitionId, at_ms: i64, record: Record) -> Option<Seam> {
        let index = partition.0 as usize;
        let (offset, mut out) = (self.next[index], Vec::new());
        self.next[index] += 1;
        // What is routed comes as it is read from the log.
        let record = Record::decode(&record.encode().expect("encodes")).expect("decodes");
        let seam = self.streams[index].on_record(offset, at_ms, record, &self.rules, &mut out);
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
