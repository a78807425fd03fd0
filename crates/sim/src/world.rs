//! Partition machines over simulated logs, with what they produce routed between them under a simulated clock.

use crate::probe::{Probe, Silence};
use crate::rng::Rng;
use midsession_event::{Decision, Event, EventName, Outcome, PartitionId, Record, ShopperId, Tick, partition_of};
use midsession_machine::{Candidate, Effect};
use midsession_stream::{Config, Seam, Stream};
use std::collections::BTreeMap;

/// When the owner writes ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticks {
    /// At each deadline, with at most this many ms of delay.
    Within(i64),
    /// Only at the end.
    Never,
}

/// What one record did.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub partition: u32,
    /// Where it stands.
    pub offset: i64,
    /// Its stamp. Epoch ms.
    pub stamp_ms: i64,
    /// The record.
    pub record: Record,
    /// What became of the event.
    pub seam: Option<Seam>,
    /// What it produced.
    pub effects: Vec<Effect>,
    /// The silences it told.
    pub silences: Vec<Silence>,
}

/// How things go between the partitions.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Ticks.
    pub ticks: Ticks,
    /// Longest way of a record to another partition. ms.
    pub route_ms: i64,
    /// Longest time to decide. ms.
    pub decide_ms: i64,
    /// Percent of routed records that arrive twice.
    pub twice: u64,
    /// Percent of candidates that are not decided at first.
    pub forgotten: u64,
    /// Percent of what is shown that the page reports painted, and of that, what is answered.
    pub painted: u64,
}

/// The partitions.
pub struct World {
    /// The machines.
    pub streams: Vec<Stream>,
    /// Their logs: stamp and record.
    pub logs: Vec<Vec<(i64, Record)>>,
    /// The definitions.
    pub probe: Probe,
    /// The clock. Epoch ms.
    pub now_ms: i64,
    ways: Ways,
    rng: Rng,
    due: BTreeMap<(i64, u64), (u32, Record)>,
    last_route_ms: BTreeMap<(u32, u32), i64>,
    order: u64,
    waiting: Vec<(u32, Candidate)>,
    reports: u64,
}

impl World {
    /// Empty partitions.
    pub fn new(config: Config, ways: Ways, now_ms: i64, rng: Rng) -> Self {
        Self {
            streams: (0..config.partitions).map(|number| Stream::new(PartitionId(number), config)).collect(),
            logs: vec![Vec::new(); config.partitions as usize],
            probe: Probe::default(),
            now_ms,
            ways,
            rng,
            due: BTreeMap::new(),
            last_route_ms: BTreeMap::new(),
            order: 0,
            waiting: Vec::new(),
            reports: 0,
        }
    }

    /// Facts over a budget go elsewhere from now on.
    pub fn spill(&mut self, spilling: impl Fn(u32) -> Option<midsession_stream::Spilling>) {
        for (stream, number) in self.streams.iter_mut().zip(0..) {
            spilling(number).into_iter().for_each(|spilling| stream.spill(spilling));
        }
    }

    /// A record will be appended to a partition at this instant.
    pub fn append_at(&mut self, at_ms: i64, partition: u32, record: Record) {
        self.order += 1;
        self.due.insert((at_ms.max(self.now_ms), self.order), (partition, record));
    }

    /// When the next thing happens; where ticks are late, not before this. Epoch ms.
    pub fn next_ms(&self) -> Option<i64> {
        let ticks = self.ways.ticks != Ticks::Never;
        let deadlines = self.streams.iter().filter_map(Stream::next_deadline_ms).filter(|_| ticks);
        deadlines.map(|at_ms| at_ms.max(self.now_ms)).chain(self.due.keys().next().map(|(at_ms, _)| *at_ms)).min()
    }

    /// Nothing is on its way and no decision is owed.
    pub fn is_quiet(&self) -> bool {
        self.due.is_empty() && self.waiting.is_empty()
    }

    /// Appends and applies the next record; `None` when nothing will ever happen again.
    pub fn step(&mut self) -> Option<Step> {
        let tick = match self.ways.ticks {
            Ticks::Never => None,
            Ticks::Within(late_ms) => {
                let deadlines = self.streams.iter().zip(0u32..);
                let next = deadlines.filter_map(|(stream, number)| Some((stream.next_deadline_ms()?, number))).min();
                next.map(|(at_ms, number)| (at_ms.max(self.now_ms) + self.rng.between(0, late_ms), number, at_ms))
            }
        };
        let next_ms = self.due.keys().next().map(|(at_ms, _)| *at_ms);
        match (tick, next_ms) {
            (Some((at_ms, partition, due_ms)), next) if next.is_none_or(|next| at_ms <= next) => {
                self.now_ms = self.now_ms.max(at_ms);
                Some(self.append(partition, Record::Tick(Tick { due_ms })))
            }
            (_, Some(_)) => {
                let ((at_ms, _), (partition, record)) = self.due.pop_first()?;
                self.now_ms = self.now_ms.max(at_ms);
                Some(self.append(partition, record))
            }
            _ if !self.waiting.is_empty() => {
                // The restarted decider is asked again.
                for (partition, candidate) in std::mem::take(&mut self.waiting) {
                    self.decide(partition, &candidate);
                }
                self.step()
            }
            _ => None,
        }
    }

    /// Appends a tick to each partition at `at_ms`, so that all that is due has happened.
    pub fn tick_all_at(&mut self, at_ms: i64) -> Vec<Step> {
        self.now_ms = self.now_ms.max(at_ms);
        let numbers = 0..self.streams.len() as u32;
        numbers.map(|number| self.append(number, Record::Tick(Tick { due_ms: at_ms }))).collect()
    }

    fn append(&mut self, partition: u32, record: Record) -> Step {
        let index = partition as usize;
        let offset = self.logs[index].len() as i64;
        let stamp_ms = self.now_ms;
        self.logs[index].push((stamp_ms, record.clone()));
        let mut effects = Vec::new();
        let seam = self.streams[index].on_record(offset, stamp_ms, record.clone(), &self.probe, &mut effects);
        for effect in &effects {
            self.route(partition, effect);
        }
        let silences = self.probe.silences.take();
        Step { partition, offset, stamp_ms, record, seam, effects, silences }
    }

    fn route(&mut self, from: u32, effect: &Effect) {
        let (key, record) = match effect {
            Effect::Handoff(handoff) if handoff.returns => {
                (handoff.visitor_id.as_str(), Record::Handoff(handoff.clone()))
            }
            Effect::Handoff(handoff) => (handoff.user_id.as_str(), Record::Handoff(handoff.clone())),
            Effect::Recall(recall) => (recall.user_id.as_str(), Record::Recall(recall.clone())),
            Effect::Forward(forward) => (forward.user_id.as_str(), Record::Forward(forward.clone())),
            Effect::Tell(told) => (told.visitor_id.as_str(), Record::Told(told.clone())),
            Effect::Candidate(candidate) => {
                if self.rng.chance(self.ways.forgotten) {
                    self.waiting.push((from, (**candidate).clone()));
                } else {
                    self.decide(from, candidate);
                }
                return;
            }
            Effect::Decided(decision) if decision.outcome == Outcome::Served => return self.paint(decision),
            _ => return,
        };
        let to = partition_of(key, self.streams.len() as u32).0;
        let last_ms = self.last_route_ms.get(&(from, to)).copied().unwrap_or(i64::MIN);
        let at_ms = (self.now_ms + self.rng.between(0, self.ways.route_ms)).max(last_ms);
        self.last_route_ms.insert((from, to), at_ms);
        if self.rng.chance(self.ways.twice) {
            let again_ms = at_ms + self.rng.between(0, 5_000);
            self.append_at(again_ms, to, record.clone());
        }
        self.append_at(at_ms, to, record);
    }

    /// The page paints it, reports so and is answered, or not.
    fn paint(&mut self, decision: &Decision) {
        let mut at_ms = self.now_ms;
        let answer = match self.rng.below(4) {
            0 => EventName::Exposure,
            1 => EventName::Dismiss,
            _ => EventName::Click,
        };
        for name in [EventName::Painted, answer] {
            if !self.rng.chance(self.ways.painted) {
                continue;
            }
            at_ms += self.rng.pick(&[0, 5, 300, 3_000, 30_000, 119_999, 120_000, 120_001, 600_000]);
            self.reports += 1;
            let mut event = Event::new("page".into(), format!("r{}", self.reports).into(), name, at_ms);
            event.visitor_id.clone_from(&decision.visitor_id);
            if let (None, ShopperId::User(user)) = (&event.visitor_id, &decision.shopper) {
                event.user_id = Some(user.clone());
            }
            event.decision_id = Some(decision.decision_id.to_string().into());
            let partition = partition_of(event.key(), self.streams.len() as u32).0;
            for _ in 0..1 + u64::from(self.rng.chance(10)) {
                let late_ms = self.rng.pick(&[0, 0, 1, 2_000]);
                self.append_at(at_ms + late_ms, partition, Record::Event(Box::new(event.clone())));
            }
        }
    }

    fn decide(&mut self, partition: u32, candidate: &Candidate) {
        // The same question has the same answer in every world.
        let mut chance = Rng::new(candidate.decision_id.0 as u64);
        for _ in 0..1 + u64::from(chance.chance(10)) {
            let outcome = chance.pick(&[Outcome::Served, Outcome::Served, Outcome::Holdout, Outcome::Capped]);
            let at_ms = self.now_ms + self.rng.between(0, self.ways.decide_ms);
            self.append_at(at_ms, partition, Record::Decision(Box::new(decision(candidate, outcome))));
        }
    }
}

fn decision(candidate: &Candidate, outcome: Outcome) -> Decision {
    Decision {
        decision_id: candidate.decision_id,
        rule: candidate.rule.clone(),
        rule_version: "1".into(),
        shopper: candidate.shopper.clone(),
        visitor_id: candidate.visitor_id.clone(),
        session_id: candidate.session_id,
        cart_version: candidate.cart_version as i64,
        outcome,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: candidate.asked_at_ms + 120_000,
        asked_at_ms: candidate.asked_at_ms,
        inputs: BTreeMap::new(),
        cause: candidate.cause,
        cause_event_id: candidate.cause_event.clone(),
        by_silence: candidate.cause_event.is_none(),
        stamps_us: BTreeMap::new(),
        context: Vec::new(),
    }
}
