//! What must never happen is counted by its id where a fault makes it happen, and by no other; without the fault, never.

use midsession_event::{Consent, Decision, Event, EventName, Outcome, PartitionId, Product, Record, SessionId, Tick};
use midsession_machine::{Ask, Candidate, Definitions, Derived, Effect, View};
use midsession_stream::{Config, Defect, Stream};
use std::collections::BTreeMap;

const START_MS: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;

/// Asks about every add to the cart.
struct Carts;

impl Definitions for Carts {
    fn derive(&self, _: &Event, _: &mut Vec<Derived>) {}
    fn idle_thresholds_ms(&self) -> &[i64] {
        &[]
    }
    fn on_event(&self, _: &View<'_>, event: &Event, ask: &mut dyn FnMut(Ask)) {
        if event.name == EventName::AddToCart {
            ask(Ask { rule: "cart".into(), inputs: BTreeMap::new(), capped: false });
        }
    }
    fn on_idle(&self, _: &View<'_>, _: i64, _: &mut dyn FnMut(Ask)) {}
    fn allows(&self, _: &View<'_>, _: &str, _: SessionId) -> bool {
        true
    }
    fn version(&self, _: &str) -> Option<&str> {
        Some("1")
    }
    fn still_holds(&self, _: &View<'_>, _: &str) -> bool {
        true
    }
}

struct Partition {
    stream: Stream,
    next: i64,
    events: u64,
}

impl Partition {
    fn new(defect: Option<Defect>) -> Self {
        let config = Config { partitions: 1, defect, ..Config::default() };
        Self { stream: Stream::new(PartitionId(0), config), next: 0, events: 0 }
    }

    fn read(&mut self, at_ms: i64, record: Record) -> Vec<Effect> {
        let mut out = Vec::new();
        self.stream.on_record(self.next, START_MS + at_ms, record, &Carts, &mut out);
        self.next += 1;
        out
    }

    /// An event at this time, which arrives at that one.
    fn event(&mut self, time_ms: i64, at_ms: i64, change: impl FnOnce(&mut Event)) -> Vec<Effect> {
        self.events += 1;
        let id = format!("e{}", self.events);
        let mut event = Event::new("shop".into(), id.as_str().into(), EventName::PageView, START_MS + time_ms);
        event.visitor_id = Some("v".into());
        change(&mut event);
        self.read(at_ms, Record::Event(Box::new(event)))
    }
}

fn candidate(effects: Vec<Effect>) -> Candidate {
    let found = effects.into_iter().find_map(|effect| match effect {
        Effect::Candidate(candidate) => Some(*candidate),
        _ => None,
    });
    found.expect("a candidate")
}

fn served(candidate: &Candidate) -> Record {
    Record::Decision(Box::new(Decision {
        decision_id: candidate.decision_id,
        rule: candidate.rule.clone(),
        rule_version: "1".into(),
        shopper: candidate.shopper.clone(),
        visitor_id: candidate.visitor_id.clone(),
        session_id: candidate.session_id,
        cart_version: candidate.cart_version as i64,
        outcome: Outcome::Served,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: candidate.asked_at_ms + 120_000,
        asked_at_ms: candidate.asked_at_ms,
        inputs: BTreeMap::new(),
        cause: candidate.cause,
        cause_event_id: candidate.cause_event.clone(),
        by_silence: false,
        stamps_us: BTreeMap::new(),
        context: Vec::new(),
    }))
}

fn add(event: &mut Event) {
    event.name = EventName::AddToCart;
    event.products = vec![Product { id: "p".into(), price: Some(1.0), ..Product::default() }];
}

/// An event between two visits that are more than a gap apart.
fn bridge(partition: &mut Partition) {
    partition.event(0, 0, |_| ());
    partition.event(31 * MINUTE_MS, 31 * MINUTE_MS, |_| ());
    partition.event(15 * MINUTE_MS, 31 * MINUTE_MS, |_| ());
}

/// A login whose hand-off arrives twice.
fn login_twice(partition: &mut Partition) {
    partition.event(0, 0, |_| ());
    let effects = partition.event(1_000, 1_000, |event| event.user_id = Some("u".into()));
    let mut carried = effects.into_iter().filter_map(|effect| match effect {
        Effect::Handoff(handoff) => Some(Record::Handoff(handoff)),
        Effect::Forward(forward) => Some(Record::Forward(forward)),
        _ => None,
    });
    let (handoff, forward) = (carried.next().expect("a hand-off"), carried.next().expect("a forward"));
    for record in [handoff.clone(), forward, handoff] {
        partition.read(2_000, record);
    }
}

/// A candidate that is decided twice.
fn decided_twice(partition: &mut Partition) {
    let asked = candidate(partition.event(0, 0, add));
    partition.read(10, served(&asked));
    partition.read(20, served(&asked));
}

/// Consent that is withdrawn while it is being decided, and an event after it.
fn withdrawn(partition: &mut Partition) {
    let asked = candidate(partition.event(0, 0, add));
    partition.event(5, 5, |event| {
        (event.name, event.consent, event.consent_said) = (EventName::Consent, Consent::NONE, true);
    });
    partition.read(10, served(&asked));
    partition.event(20, 20, |_| ());
}

/// A stamp that is earlier than the one before.
fn back(partition: &mut Partition) {
    partition.event(0, 1_000, |_| ());
    partition.read(0, Record::Tick(Tick { due_ms: START_MS }));
}

/// A record that is read again.
fn again(partition: &mut Partition) {
    partition.event(0, 0, |_| ());
    partition.next = 0;
    partition.read(1, Record::Tick(Tick { due_ms: START_MS }));
}

type Row = (&'static str, fn(&mut Partition), Option<Defect>, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("an event between two visits", bridge, Some(Defect::MergesOne), &["I4"]),
    ("a hand-off that comes again", login_twice, Some(Defect::HandoffTwice), &["I4"]),
    ("a decision that comes again", decided_twice, Some(Defect::DecisionTwice), &["I6"]),
    ("a consent withdrawn meanwhile", withdrawn, Some(Defect::ConsentLate), &["I10"]),
    ("a stamp that goes back", back, None, &["I5"]),
    ("a record read again", again, None, &["I1"]),
];

#[test]
fn what_must_not_be_is_counted_by_its_id() {
    for (what, run, defect, ids) in ROWS {
        let mut partition = Partition::new(*defect);
        run(&mut partition);
        assert_eq!(partition.stream.violations().broken().collect::<Vec<_>>(), *ids, "{what}");
        let counted = partition.stream.counters().violations;
        assert_eq!(counted, partition.stream.violations(), "{what}");
        if defect.is_some() {
            let mut sound = Partition::new(None);
            run(&mut sound);
            assert_eq!(sound.stream.violations().total(), 0, "{what}, of a sound machine");
        }
    }
}

/// The same event opens the same session: where there was no room to remember it, its versions begin anew, and readers
/// who compare them are to know.
#[test]
fn versions_that_begin_anew_are_counted() {
    let mut partition = Partition::new(None);
    let config = Config { partitions: 1, shoppers_max: 1, ..Config::default() };
    partition.stream = Stream::new(PartitionId(0), config);
    for visitor in ["v", "w", "v"] {
        partition.events = 0;
        partition.event(0, 0, |event| event.visitor_id = Some(visitor.into()));
    }
    assert_eq!(partition.stream.violations().broken().collect::<Vec<_>>(), ["I3"]);
}
