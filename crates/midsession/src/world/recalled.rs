//! What is shown across changes: what an earlier life decided is taken up at the start and let out once the log has been
//! caught up with, and what a rule's other versions showed is taken back.

use super::{DECISIONS_MAX, Waits, World, shown_to};
use crate::driver::Sink;
use midsession_event::{Decision, DecisionId, EventName, PartitionId, Reaction, Str, Topic, VisitorId, decode};
use midsession_observe::Metric;
use midsession_ports::{Log, LogError};
use std::collections::{HashMap, HashSet, VecDeque};

/// How far back decisions and what came of them are taken up at the start. ms.
const RECALLED_MS: i64 = 24 * 3_600_000;

/// A decision of an earlier life that pages may show.
pub(super) struct Served {
    at_ms: i64,
    decision: DecisionId,
    visitor: VisitorId,
    rule: Str,
    rule_version: Str,
}

/// From the topic `decision`.
enum Recalled {
    Decision(Box<Decision>),
    Reaction(Box<Reaction>),
}

impl World {
    /// Takes up what was decided and done before the start.
    pub fn recall(&self, log: &dyn Log) -> Result<(), LogError> {
        let now_ms = (self.clock)() / 1000;
        let partitions = log.partitions(Topic::Decision);
        // The last of each, for the console: it shows the last of all.
        let most = (4 * DECISIONS_MAX / partitions.max(1) as usize).max(64);
        let mut last: Vec<(i64, Recalled)> = Vec::new();
        let mut served: HashMap<DecisionId, Served> = HashMap::new();
        // More retractions than this the hub does not keep in mind either.
        let (most_served, mut untold) = (self.hub.frames_max().max(1), 0);
        for partition in (0..partitions).map(PartitionId) {
            let mut window: VecDeque<(i64, Recalled)> = VecDeque::new();
            let from = log.offset_at(Topic::Decision, partition, now_ms - RECALLED_MS)?;
            crate::history::for_each(log, Topic::Decision, partition, from, |entry| {
                let Some(value) = entry.value.as_deref() else { return };
                let told = match decode::<Decision>(value) {
                    Ok(decision) => {
                        self.tally.decision(&decision);
                        if let Some(visitor) = shown_to(&decision) {
                            let told = Served {
                                at_ms: entry.stamp_ms,
                                decision: decision.decision_id,
                                visitor: visitor.clone(),
                                rule: decision.rule.clone(),
                                rule_version: decision.rule_version.clone(),
                            };
                            served.insert(decision.decision_id, told);
                            if served.len() >= 2 * most_served {
                                untold += self.keep_newest(&mut served);
                            }
                        }
                        if decision.expires_at_ms > now_ms {
                            self.hold(&decision, None);
                        }
                        Recalled::Decision(Box::new(decision))
                    }
                    Err(_) => match decode::<Reaction>(value) {
                        Ok(reaction) => {
                            if matches!(reaction.name, EventName::Painted | EventName::Dismiss) {
                                self.painted(reaction.decision_id);
                            }
                            if matches!(reaction.name, EventName::Click | EventName::Dismiss) {
                                served.remove(&reaction.decision_id);
                            }
                            self.tally.reaction(&reaction);
                            Recalled::Reaction(Box::new(reaction))
                        }
                        Err(error) => {
                            tracing::warn!(partition = partition.0, offset = entry.offset, %error, "not a decision");
                            return;
                        }
                    },
                };
                if window.len() >= most {
                    window.pop_front();
                }
                window.push_back((entry.stamp_ms, told));
            })?;
            last.extend(window);
        }
        untold += self.keep_newest(&mut served);
        if untold > 0 {
            tracing::warn!(
                untold,
                "too many decisions within a day: pages that come back with the oldest are not told"
            );
        }
        let mut served: Vec<Served> = served.into_values().collect();
        served.sort_unstable_by_key(|told| (told.at_ms, told.decision));
        *self.recalled.lock() = served;
        // Partition by partition they came, and are looked at from the last one back.
        self.tally.sort();
        // A reaction stands behind its decision, in the same partition: the sort is stable.
        last.sort_by_key(|(stamp_ms, _)| *stamp_ms);
        for (_, told) in last {
            match told {
                Recalled::Decision(decision) => self.list(&decision),
                Recalled::Reaction(reaction) => self.list_reaction(&reaction),
            }
        }
        Ok(())
    }

    /// As many as the hub can keep in mind; of more the oldest are let go, and counted. Returns how many.
    fn keep_newest(&self, served: &mut HashMap<DecisionId, Served>) -> usize {
        let over = served.len().saturating_sub(self.hub.frames_max());
        if over > 0 {
            let mut oldest: Vec<(i64, DecisionId)> = served.values().map(|told| (told.at_ms, told.decision)).collect();
            oldest.select_nth_unstable(over - 1);
            oldest.truncate(over);
            oldest.iter().for_each(|(_, decision)| drop(served.remove(decision)));
            self.observe.metrics.add_by(Metric::PushDropped, "recall_full", over as u64);
        }
        over
    }

    /// The log has been caught up with: what is still to be shown goes out, from now on at once. `shown`: what was decided
    /// to be shown and is still true, by the machines. `is_in_force`: whether a rule, by name and version, is in force and
    /// switched on: what another version decided, or one that is off, is shown to nobody any more.
    pub fn release(&self, shown: &HashSet<DecisionId>, is_in_force: &dyn Fn(&str, &str) -> bool) {
        let still =
            |decision: &DecisionId, rule: &str, version: &str| shown.contains(decision) && is_in_force(rule, version);
        // Pages may have what is not true any more: whoever has it is told, now or when it comes back.
        for told in std::mem::take(&mut *self.recalled.lock()) {
            if !still(&told.decision, &told.rule, &told.rule_version) {
                self.hub.retract(told.decision, Some(&told.visitor));
            }
        }
        let held = self.held.lock().take();
        let mut waiting: Vec<Waits> = held.into_iter().flat_map(HashMap::into_values).collect();
        waiting.retain(|waits| {
            !waits.is_recalled || still(&waits.frame.decision_id, &waits.frame.rule, &waits.rule_version)
        });
        // In the order of the decisions, as they would have gone out.
        waiting.sort_by_key(|waits| (waits.frame.stamps_us.get("decided").copied(), waits.frame.decision_id));
        for Waits { visitor, frame, .. } in waiting {
            self.hub.push(&visitor, frame);
        }
    }

    /// A rule was switched off: what waits of it is not shown.
    pub fn stop(&self, rule: &str) {
        if let Some(held) = self.held.lock().as_mut() {
            held.retain(|_, waits| waits.frame.rule != rule);
        }
        self.hub.retract_rule(rule, &|_| false);
    }

    /// Of this rule only what this version decided is shown from now on; none: nothing.
    pub fn end_others(&self, rule: &str, version: Option<&str>) {
        if let Some(held) = self.held.lock().as_mut() {
            held.retain(|_, waits| waits.frame.rule != rule || version == Some(waits.rule_version.as_str()));
        }
        let since_ms = (self.clock)() / 1000 - RECALLED_MS;
        let (mut stays, mut ends) = (HashSet::new(), Vec::new());
        for seen in self.decisions.lock().by_id.values().filter(|seen| seen.decision.rule == rule) {
            let decision = &seen.decision;
            let is_answered = seen.clicked_at_ms.is_some() || seen.dismissed_at_ms.is_some();
            if version == Some(decision.rule_version.as_str()) {
                stays.insert(decision.decision_id);
            } else if let Some(visitor) = shown_to(decision).filter(|_| !is_answered && seen.decided_at_ms > since_ms) {
                ends.push((decision.decision_id, visitor.clone()));
            }
        }
        // Painted or not; then what waits and is known by its rule alone.
        ends.iter().for_each(|(decision, visitor)| self.hub.retract(*decision, Some(visitor)));
        self.hub.retract_rule(rule, &|decision| stays.contains(&decision));
    }
}
