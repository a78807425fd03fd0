//! What the console and the browsers are told: the driver's sink. Everything here is derived from the log, and at the start
//! taken from its topic `decision`; nothing here decides anything.

mod recalled;

use crate::driver::{Sink, SnapshotTold};
use crate::tally::{Tally, outcome_name, source_of};
use crate::tracker_ids::TrackerIds;
use crate::withdrawn::Withdrawn;
use midsession_edge::{Frame, LiveRow, PushHub};
use midsession_event::{
    Decision, DecisionId, EventName, Outcome, OutputId, PartitionId, Reaction, Reject, SessionUpdate, ShopperId, Str,
    VisitorId,
};
use midsession_observe::{Metric, Observe, Stage};
use midsession_stream::{Seam, Words};
use parking_lot::Mutex;
use recalled::Served;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Decisions kept for the console; older ones are on the log.
const DECISIONS_MAX: usize = 5_000;
/// Dead letters kept for the console.
const DEAD_LETTERS_MAX: usize = 1_000;
/// Hand-offs under way whose time is measured.
const HANDED_MAX: usize = 65_536;
/// Rows that a slow console may be behind.
const LIVE_ROWS: usize = 8_192;

/// The recent past, for people.
pub struct World {
    hub: Arc<PushHub>,
    observe: Arc<Observe>,
    live: broadcast::Sender<LiveRow>,
    decisions: Mutex<Decisions>,
    dead_letters: Mutex<VecDeque<Value>>,
    /// What came of rules, counted.
    pub tally: Tally,
    /// Served before the start and not answered: pages may have them.
    recalled: Mutex<Vec<Served>>,
    clock: crate::driver::Clock,
    freshness: Mutex<hdrhistogram::Histogram<u64>>,
    /// While the log is being caught up with: what would be shown, unless a later record says that it was.
    held: Mutex<Option<HashMap<DecisionId, Waits>>>,
    /// Logins whose hand-off is on its way, with the instant of their append. Epoch ms.
    handed: Mutex<HashMap<OutputId, i64>>,
    tracker_ids: TrackerIds,
    /// Who has withdrawn something.
    pub withdrawn: Arc<Withdrawn>,
}

/// A frame that waits for the log to be caught up with.
struct Waits {
    visitor: VisitorId,
    frame: Frame,
    rule_version: Str,
    /// Decided before the start: whether it is still true, the machines know.
    is_recalled: bool,
}

#[derive(Default)]
struct Decisions {
    order: VecDeque<DecisionId>,
    by_id: HashMap<DecisionId, Seen>,
}

/// A decision and what came of it.
#[derive(Clone, Debug)]
struct Seen {
    decision: Decision,
    decided_at_ms: i64,
    source: Str,
    painted_at_ms: Option<i64>,
    clicked_at_ms: Option<i64>,
    dismissed_at_ms: Option<i64>,
    sent_to_painted_ms: Option<f64>,
}

impl World {
    /// An empty one.
    pub fn new(hub: Arc<PushHub>, observe: Arc<Observe>, clock: crate::driver::Clock) -> Arc<Self> {
        let (live, _) = broadcast::channel(LIVE_ROWS);
        Arc::new(Self {
            hub,
            observe,
            live,
            decisions: Mutex::default(),
            dead_letters: Mutex::default(),
            tally: Tally::default(),
            recalled: Mutex::default(),
            clock,
            // Invariant: bounds and digits are ones the histogram takes.
            freshness: Mutex::new(
                hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 2).expect("invariant: bounds"),
            ),
            held: Mutex::new(Some(HashMap::new())),
            handed: Mutex::default(),
            tracker_ids: TrackerIds::default(),
            withdrawn: Arc::default(),
        })
    }

    /// Not to be shown any more, if it waits.
    fn forget(&self, decision: DecisionId) {
        if let Some(held) = self.held.lock().as_mut() {
            held.remove(&decision);
        }
    }

    /// Rows from here on.
    pub fn live(&self) -> broadcast::Receiver<LiveRow> {
        self.live.subscribe()
    }

    /// Newest first, of whom they may be read.
    pub fn decisions(&self, limit: usize) -> Vec<Value> {
        let decisions = self.decisions.lock();
        let newest = decisions.order.iter().rev().filter_map(|id| decisions.by_id.get(id));
        newest.filter(|seen| self.may_read(&seen.decision)).take(limit).map(Seen::row).collect()
    }

    /// One of the recent ones, likewise.
    pub fn decision(&self, id: DecisionId) -> Option<Value> {
        let decisions = self.decisions.lock();
        decisions.by_id.get(&id).filter(|seen| self.may_read(&seen.decision)).map(Seen::row)
    }

    /// Whether its shopper has not withdrawn what it was made from.
    pub fn may_read(&self, decision: &Decision) -> bool {
        self.withdrawn.may_read(&decision.shopper, decision.asked_at_ms)
    }

    /// Newest first.
    pub fn dead_letters(&self, limit: usize) -> Vec<Value> {
        self.dead_letters.lock().iter().rev().take(limit).cloned().collect()
    }

    /// A reject reached the log. Its bytes are not for everybody who may look at the list.
    pub fn dead_letter(&self, offset: i64, stamp_ms: i64, reject: &Reject) {
        let row = json!({
            "offset": offset, "stamp_ms": stamp_ms, "source": reject.source, "code": reject.code,
            "field": reject.field, "message": reject.message, "hint": reject.hint, "owner": reject.owner,
            "event_id": reject.event_id, "has_payload": !reject.payload.is_empty(), "truncated": reject.truncated,
        });
        let mut letters = self.dead_letters.lock();
        if letters.len() >= DEAD_LETTERS_MAX {
            letters.pop_front();
        }
        letters.push_back(row.clone());
        drop(letters);
        self.tell(|| LiveRow::DeadLetter(Arc::new(row)));
    }

    /// Receive → took effect, (P50, P99) in ms.
    pub fn freshness_ms(&self) -> (f64, f64) {
        let histogram = self.freshness.lock();
        let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (ms(0.5), ms(0.99))
    }

    /// Takes a decision among those that the console shows.
    fn list(&self, decision: &Decision) {
        let seen = Seen {
            decided_at_ms: decision.stamps_us.get("decided").map_or(decision.asked_at_ms, |us| us / 1000),
            source: source_of(decision),
            decision: decision.clone(),
            painted_at_ms: None,
            clicked_at_ms: None,
            dismissed_at_ms: None,
            sent_to_painted_ms: None,
        };
        let row = seen.clone();
        {
            let mut decisions = self.decisions.lock();
            if decisions.order.len() >= DECISIONS_MAX
                && let Some(oldest) = decisions.order.pop_front()
            {
                decisions.by_id.remove(&oldest);
            }
            if decisions.by_id.insert(decision.decision_id, seen).is_none() {
                decisions.order.push_back(decision.decision_id);
            }
        }
        self.tell_of(&row);
    }

    /// Shows it, if it is to be shown; or keeps it until the log has been caught up with, as the record that it was painted
    /// may still be to come. `durable_us`: when it became so, in this life.
    fn hold(&self, decision: &Decision, durable_us: Option<i64>) {
        let Some(visitor) = shown_to(decision) else { return };
        let mut frame = Frame::of(decision);
        frame.cause_event_id.clone_from(&decision.cause_event_id);
        frame.deadline_ms = decision.by_silence.then_some(decision.asked_at_ms);
        if let Some(durable_us) = durable_us {
            frame.stamps_us.insert("decision_durable".into(), durable_us);
        }
        let mut held = self.held.lock();
        match held.as_mut() {
            // As many as the hub will take.
            Some(held) if held.len() >= self.hub.frames_max() => {
                self.observe.metrics.add_by(Metric::PushDropped, "held_full", 1);
            }
            Some(held) => {
                let waits = Waits {
                    visitor: visitor.clone(),
                    frame,
                    rule_version: decision.rule_version.clone(),
                    is_recalled: durable_us.is_none(),
                };
                held.insert(decision.decision_id, waits);
            }
            None => {
                drop(held);
                self.hub.push(visitor, frame);
            }
        }
    }

    /// Takes a reaction to its decision, among those that the console shows.
    fn list_reaction(&self, reaction: &Reaction) {
        let mut decisions = self.decisions.lock();
        let Some(seen) = decisions.by_id.get_mut(&reaction.decision_id) else { return };
        let at = match &reaction.name {
            EventName::Painted => {
                seen.sent_to_painted_ms = ["sent_to_painted_ms", "deadline_to_painted_ms"]
                    .into_iter()
                    .find_map(|name| number_of(reaction.properties.get(name)?));
                &mut seen.painted_at_ms
            }
            EventName::Click => &mut seen.clicked_at_ms,
            EventName::Dismiss => &mut seen.dismissed_at_ms,
            _ => return,
        };
        at.get_or_insert(reaction.occurred_at_ms);
        let row = seen.clone();
        drop(decisions);
        self.tell_of(&row);
    }

    fn tell_of(&self, seen: &Seen) {
        if self.may_read(&seen.decision) {
            self.tell(|| LiveRow::Decision(Arc::new(seen.row())));
        }
    }

    fn tell(&self, row: impl FnOnce() -> LiveRow) {
        if self.live.receiver_count() > 0 {
            // Nobody listening any more is no error.
            let _ = self.live.send(row());
        }
    }
}

impl Seen {
    fn row(&self) -> Value {
        let decision = &self.decision;
        json!({
            "decision_id": decision.decision_id, "rule": decision.rule, "rule_version": decision.rule_version,
            "outcome": decision.outcome, "shopper": decision.shopper, "visitor_id": decision.visitor_id,
            "session_id": decision.session_id, "cart_version": decision.cart_version, "slot": decision.slot,
            "payload": serde_json::from_str::<Value>(&decision.payload).unwrap_or(Value::Null),
            "asked_at_ms": decision.asked_at_ms, "decided_at_ms": self.decided_at_ms,
            "expires_at_ms": decision.expires_at_ms, "painted_at_ms": self.painted_at_ms,
            "clicked_at_ms": self.clicked_at_ms, "dismissed_at_ms": self.dismissed_at_ms,
            "by_silence": decision.by_silence, "inputs": decision.inputs, "cause": decision.cause,
            "sent_to_painted_ms": self.sent_to_painted_ms, "source": self.source, "stamps_us": decision.stamps_us,
            "context": decision.context,
        })
    }
}

impl Sink for World {
    fn seam(&self, _partition: PartitionId, seam: Seam, received_us: i64, now_us: i64) {
        match seam {
            Seam::Duplicate => self.observe.metrics.add(Metric::EventsDuplicate, 1),
            Seam::TooLate => self.observe.metrics.add(Metric::EventsTooLate, 1),
            Seam::Applied(_) if received_us > 0 => {
                self.freshness.lock().saturating_record((now_us - received_us).max(1).unsigned_abs());
            }
            _ => {}
        }
    }

    fn handed_over(&self, handoff: OutputId, appended_ms: i64) {
        let mut handed = self.handed.lock();
        // Of more than that at once, the rest is not measured.
        if handed.len() < HANDED_MAX {
            handed.insert(handoff, appended_ms);
        }
    }

    fn taken_over(&self, handoff: OutputId, now_us: i64) {
        if let Some(appended_ms) = self.handed.lock().remove(&handoff) {
            self.observe.record(Stage::Handoff, now_us - appended_ms * 1_000);
        }
    }

    fn session(&self, update: &SessionUpdate) {
        if self.tracker_ids.opened(update) {
            self.observe.metrics.add(Metric::TrackerIdsShared, 1);
        }
        let visitor = update.visitor_id.clone().map(ShopperId::Visitor);
        let shopper = update.user_id.clone().map(ShopperId::User).or(visitor);
        if shopper.is_none_or(|shopper| self.withdrawn.may_read(&shopper, update.started_at_ms)) {
            self.tell(|| LiveRow::Session(Arc::new(crate::backend::session_row(update))));
        }
    }

    fn decided(&self, decision: &Decision, durable_us: i64) {
        self.tally.decision(decision);
        self.list(decision);
        self.observe.metrics.add_by(Metric::Decisions, outcome_name(decision.outcome), 1);
        let stamp = |name: &str| decision.stamps_us.get(name).copied();
        let deadline_us = decision.by_silence.then_some(decision.asked_at_ms * 1_000);
        for (stage, from, to) in [
            (Stage::Timer, deadline_us, stamp("machine")),
            (Stage::Machine, stamp("durable"), stamp("machine")),
            (Stage::Decide, stamp("machine"), stamp("decided")),
            (Stage::LogDecision, stamp("decided"), Some(durable_us)),
        ] {
            if let (Some(from), Some(to)) = (from, to) {
                self.observe.record(stage, to - from);
            }
        }
        if shown_to(decision).is_some() {
            self.observe.interventions((self.clock)() / 1000, 1);
        }
        self.hold(decision, Some(durable_us));
    }

    fn capped(&self, rule: &Str) {
        self.tally.capped(rule);
    }

    fn retract(&self, decision: DecisionId, visitor: Option<&VisitorId>) {
        self.forget(decision);
        self.hub.retract(decision, visitor);
    }

    fn painted(&self, decision: DecisionId) {
        self.forget(decision);
        self.hub.painted(decision);
    }

    fn words(&self, who: &ShopperId, words: Option<Words>) {
        self.withdrawn.told(who, words);
    }

    fn reacted(&self, reaction: &Reaction) {
        if !reaction.preview && !reaction.bot {
            self.observe.metrics.add_by(Metric::Reactions, reaction.name.as_str(), 1);
            if reaction.name == EventName::Painted {
                self.observe.painted(&reaction.properties);
            }
        }
        self.tally.reaction(reaction);
        self.list_reaction(reaction);
    }

    fn snapshot(&self, told: &SnapshotTold) {
        self.observe.metrics.add(Metric::Snapshots, 1);
        self.observe.metrics.add(Metric::SnapshotBytes, told.bytes);
        let SnapshotTold { partition, next, bytes, took_ms } = *told;
        tracing::debug!(partition = partition.0, next, bytes, took_ms, "a snapshot is whole");
    }

    fn snapshot_failed(&self) {
        self.observe.metrics.add(Metric::SnapshotsFailed, 1);
    }

    fn snapshot_piece(&self, took_us: i64, cpu_us: i64) {
        self.observe.metrics.raise(Metric::SnapshotPieceMaxUs, took_us);
        self.observe.metrics.raise(Metric::SnapshotPieceCpuMaxUs, cpu_us);
    }
}

/// Whose pages show it.
fn shown_to(decision: &Decision) -> Option<&VisitorId> {
    decision.visitor_id.as_ref().filter(|_| decision.outcome == Outcome::Served)
}

fn number_of(value: &midsession_event::PropertyValue) -> Option<f64> {
    match value {
        midsession_event::PropertyValue::Int(value) => Some(*value as f64),
        midsession_event::PropertyValue::Float(value) => Some(*value),
        _ => None,
    }
}
