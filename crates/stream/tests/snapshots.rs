//! Snapshots of earlier versions stay readable: the one in `fixtures/` was written when the format was new.

use midsession_event::{
    Campaign, Cart, Consent, Decision, Device, Event, EventName, Order, Outcome, PartitionId, Product, Record,
    SessionId, ShopperId,
};
use midsession_machine::{Ask, Definitions, Derived, Effect, View};
use midsession_stream::{Config, Stream};

const START_MS: i64 = 1_700_000_000_000;
const FIXTURE: &[u8] = include_bytes!("fixtures/state-1.avro");

/// Asks at each cart event.
struct Asks;

impl Definitions for Asks {
    fn derive(&self, _: &Event, _: &mut Vec<Derived>) {}
    fn idle_thresholds_ms(&self) -> &[i64] {
        &[20_000]
    }
    fn on_event(&self, _: &View<'_>, event: &Event, ask: &mut dyn FnMut(Ask)) {
        if event.name == EventName::AddToCart {
            let inputs = [("session.cart_value".into(), midsession_event::PropertyValue::Float(90.0))].into();
            ask(Ask { rule: "r".into(), inputs, capped: false });
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

struct Story {
    stream: Stream,
    offset: i64,
}

impl Story {
    fn read(&mut self, at_ms: i64, record: Record) -> Vec<Effect> {
        let mut out = Vec::new();
        self.stream.on_record(self.offset, START_MS + at_ms, record, &Asks, &mut out);
        self.offset += 1;
        out
    }

    fn event(&mut self, at_ms: i64, name: EventName, visitor: &str, change: impl FnOnce(&mut Event)) -> Vec<Effect> {
        let mut event = Event::new("shop".into(), format!("e{at_ms}").into(), name, START_MS + at_ms);
        event.visitor_id = Some(visitor.into());
        change(&mut event);
        self.read(at_ms, Record::Event(Box::new(event)))
    }
}

/// A bit of everything that a partition keeps.
fn told() -> Stream {
    let mut story =
        Story { stream: Stream::new(PartitionId(0), Config { partitions: 1, ..Config::default() }), offset: 0 };
    story.event(0, EventName::PageView, "v1", |event| {
        event.tracker_session_id = Some("t1".into());
        event.device = Some(Device { class: Some("mobile".into()), ..Device::default() });
        event.campaign = Some(Campaign { name: Some("autumn".into()), ..Campaign::default() });
    });
    let product = || Product {
        id: "p1".into(),
        category: Some("shoes".into()),
        price: Some(90.0),
        currency: Some("EUR".into()),
        quantity: Some(1),
        ..Product::default()
    };
    let asked = story.event(1_000, EventName::AddToCart, "v1", |event| {
        event.products = vec![product()];
        event.cart = Some(Cart { id: None, total_value: Some(90.0), currency: Some("EUR".into()) });
    });
    let candidate = asked.into_iter().find_map(|effect| match effect {
        Effect::Candidate(candidate) => Some(candidate),
        _ => None,
    });
    let candidate = candidate.expect("asked");
    let decision = Decision {
        decision_id: candidate.decision_id,
        rule: "r".into(),
        rule_version: "1".into(),
        shopper: candidate.shopper,
        visitor_id: candidate.visitor_id,
        session_id: candidate.session_id,
        cart_version: candidate.cart_version as i64,
        outcome: Outcome::Served,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: START_MS + 120_000,
        asked_at_ms: candidate.asked_at_ms,
        inputs: candidate.inputs,
        cause: candidate.cause,
        cause_event_id: candidate.cause_event,
        by_silence: false,
        stamps_us: Default::default(),
        context: Vec::new(),
    };
    story.read(1_010, Record::Decision(Box::new(decision)));
    // Another one that waits for its decision.
    story.event(2_000, EventName::AddToCart, "v2", |event| event.products = vec![product()]);
    story.event(3_000, EventName::Transaction, "v3", |event| {
        event.order = Some(Order { revenue: Some(50.0), currency: Some("USD".into()), ..Order::default() });
    });
    story.event(4_000, EventName::Consent, "v3", |event| {
        event.consent = Consent::COOKIELESS;
        event.consent_said = true;
    });
    story.event(5_000, EventName::PageView, "v4", |_| ());
    let sent = story.event(6_000, EventName::Login, "v4", |event| event.user_id = Some("u1".into()));
    for effect in sent {
        match effect {
            Effect::Handoff(handoff) => drop(story.read(6_001, Record::Handoff(handoff))),
            Effect::Forward(forward) => drop(story.read(6_002, Record::Forward(forward))),
            _ => {}
        }
    }
    story.stream
}

/// What can be read of it.
fn readable(stream: &Stream) -> Vec<String> {
    let (_, now_ms) = stream.as_of();
    let mut lines = vec![format!("{:?} {:?} {:?}", stream.as_of(), stream.tally(), stream.next_deadline_ms())];
    let shoppers = ["v1", "v2", "v3", "v4"].map(|id| ShopperId::Visitor(id.into()));
    for id in shoppers.into_iter().chain([ShopperId::User("u1".into())]) {
        let Some(view) = stream.view(&id, now_ms) else {
            lines.push(format!("{id}: {:?}", stream.user_of(&id)));
            continue;
        };
        let session = view.session.map(|session| (session.update(stream.currencies()), session.cart, session.consent));
        let name = |number: u32| view.names.name(number).map(ToString::to_string);
        let facts = view.facts.all().iter();
        let facts: Vec<_> =
            facts.map(|fact| (fact.time_ms, fact.value.to_bits(), name(fact.product), name(fact.category))).collect();
        lines.push(format!("{id}: {session:?} {:?} {} {facts:?}", view.caps, view.last_stamp_ms));
    }
    lines.push(format!("{:?}", stream.pending().collect::<Vec<_>>()));
    lines.push(format!("{:?} {:?}", stream.shown().collect::<Vec<_>>(), stream.resolve_tracker_session("t1")));
    lines
}

/// Without the ids of sessions, and of decisions in them: the first format's come of the event alone, not of the visitor.
fn without_ids(line: &str) -> String {
    let mut parts = line.split("SessionId(").flat_map(|part| part.split("DecisionId("));
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| line + "ID" + part.split_once(')').map_or(part, |(_, rest)| rest))
}

#[test]
fn the_first_format_is_read() {
    let stream = told();
    let config = Config { partitions: 1, ..Config::default() };
    let restored = Stream::restore(PartitionId(0), config, FIXTURE).unwrap();
    let masked = |stream: &Stream| readable(stream).iter().map(|line| without_ids(line)).collect::<Vec<_>>();
    assert_eq!(masked(&restored), masked(&stream));
    assert_ne!(readable(&restored), readable(&stream), "a session keeps the id that it was given then");
    assert!(readable(&restored).iter().all(|line| !line.is_empty()));
    assert_eq!((restored.pending().count(), restored.shown().count(), restored.len()), (1, 1, 4));
}

#[test]
fn another_partitions_state_is_refused() {
    let bytes = FIXTURE;
    let refused = Stream::restore(PartitionId(1), Config::default(), bytes).unwrap_err();
    assert_eq!(refused.to_string(), "the snapshot contradicts itself: it is another partition's");
    for cut in [0, 3, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(Stream::restore(PartitionId(0), Config::default(), &bytes[..cut]).is_err(), "cut at {cut}");
    }
}
