//! Reads whole logs into the oracle, in an order in which every cause comes before what it caused.

use crate::oracle::{Act, Oracle, Telling};
use midsession_event::{Event, Record};

/// A partition's records with their stamps, in order.
pub type Log = Vec<(i64, Record)>;

/// Says what an event was.
pub type ActOf<'a> = &'a dyn Fn(&Event) -> Result<Act, String>;

impl Oracle {
    /// Takes what is new in the logs of all partitions. `next` says how far each was read before.
    pub fn follow(&mut self, logs: &[Log], next: &mut [usize]) -> Result<(), String> {
        self.follow_with(logs, next, &|event| Ok(Act::from(event)))
    }

    /// The same, where somebody else than the log says what an event was.
    pub fn follow_with(&mut self, logs: &[Log], next: &mut [usize], act_of: ActOf<'_>) -> Result<(), String> {
        loop {
            let mut moved = false;
            for (partition, log) in logs.iter().enumerate() {
                while let Some((stamp_ms, record)) = log.get(next[partition]) {
                    let cause = match record {
                        Record::Handoff(handoff) => Some(handoff.id),
                        Record::Forward(forward) => Some(forward.id),
                        Record::Told(told) => Some(told.id),
                        Record::Recall(recall) => Some(recall.id),
                        _ => None,
                    };
                    if cause.is_some_and(|cause| next[cause.partition.0 as usize] as i64 <= cause.offset) {
                        break;
                    }
                    let offset = next[partition];
                    self.read(partition as u32, offset as i64, *stamp_ms, record, act_of)
                        .map_err(|cause| format!("{partition}/{offset}: {cause}"))?;
                    next[partition] += 1;
                    moved = true;
                }
            }
            if !moved {
                // What a run of the simulation checks step by step is of no use here.
                self.silences.clear();
                self.asked.clear();
                self.decided.clear();
                self.retracted.clear();
                self.capped.clear();
                self.reacted.clear();
                self.told.clear();
                self.milestones.clear();
                self.identities.clear();
                return Ok(());
            }
        }
    }

    fn read(
        &mut self,
        partition: u32,
        offset: i64,
        stamp_ms: i64,
        record: &Record,
        act_of: ActOf<'_>,
    ) -> Result<(), String> {
        match record {
            Record::Event(event) => {
                self.event(partition, offset, stamp_ms, &act_of(event)?);
            }
            Record::Tick(_) | Record::Decision(_) | Record::Definition(_) | Record::Filled(_) => {
                self.passes(partition, stamp_ms)
            }
            Record::Handoff(handoff) => {
                let id = (handoff.id.partition.0, handoff.id.offset, handoff.id.ordinal);
                let (user, visitor) = (handoff.user_id.as_str(), handoff.visitor_id.as_str());
                let place = (partition, offset);
                // Here nobody says what came of what was decided: the oracle may have forgotten caps that stay counted with
                // a user, and that go back once more when the same merge is undone again.
                let is_caps_alone = handoff.sessions.is_empty() && handoff.facts.is_empty();
                let is_share = handoff.left && !handoff.returns && self.has_share(id, user);
                let is_caused = |oracle: &Self| is_share || oracle.flights.contains_key(&(id.0, id.1));
                if is_caps_alone && !handoff.returns && !is_caused(self) {
                    self.passes(partition, stamp_ms);
                } else if handoff.returns {
                    self.returned(place, stamp_ms, id, user, visitor)?;
                } else if is_share {
                    self.inherits(partition, stamp_ms, id, user, visitor)?;
                } else {
                    self.handoff(place, stamp_ms, id, user, visitor)?;
                }
            }
            Record::Unmerge(unmerge) => {
                let (user, visitor) = (unmerge.user_id.as_str(), unmerge.visitor_id.as_str());
                self.unmerge((partition, offset), stamp_ms, visitor, user);
            }
            Record::Recall(recall) => {
                let id = (recall.id.partition.0, recall.id.offset, recall.id.ordinal);
                let (user, visitor) = (recall.user_id.as_str(), recall.visitor_id.as_str());
                self.recall((partition, offset), stamp_ms, id, user, visitor)?;
            }
            Record::Forward(forward) => {
                let id = (forward.id.partition.0, forward.id.offset, forward.id.ordinal);
                self.forward((partition, offset), stamp_ms, id, forward.user_id.as_str())?;
            }
            Record::Told(told) => {
                let id = (told.id.partition.0, told.id.offset, told.id.ordinal);
                self.is_told(partition, stamp_ms, id, Telling::from(&**told))?;
            }
        }
        Ok(())
    }
}
