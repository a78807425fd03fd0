//! Definitions that a record changes: once, at that record, kept in a snapshot; what was added up for one that is gone does not
//! come back with it.

#[path = "support/counts.rs"]
mod counts;

use counts::{Counts, HOUR};
use midsession_event::{
    DefinitionChange, DefinitionEdit, EditKind, Event, EventName, Filled, FilledEvent, FilledFact, PartitionId, Record,
    ShopperId,
};
use midsession_machine::partial::Partial;
use midsession_machine::{Defined, Effect, FactKind};
use midsession_stream::{Config, Stream};

const BEGIN_MS: i64 = 1_700_000_000_000;

/// Under the slot of whom a definition says "7".
const COUNTS: Counts = Counts(7);

struct Partition {
    stream: Stream,
    out: Vec<Effect>,
}

impl Partition {
    fn new() -> Self {
        let mut stream = Stream::new(PartitionId(0), Config::default());
        stream.define(Defined::initial([("f".into(), "7".into(), "file".into(), 1)]));
        Self { stream, out: Vec::new() }
    }

    fn read(&mut self, record: Record) {
        let (offset, stamp_ms) = self.stream.as_of();
        let stamp_ms = stamp_ms.max(BEGIN_MS) + 1_000;
        self.stream.on_record(offset + 1, stamp_ms, record, &COUNTS, &mut self.out);
    }

    fn event(&mut self) {
        let number = self.stream.as_of().0;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::PageView, BEGIN_MS);
        event.visitor_id = Some("v1".into());
        self.read(Record::Event(Box::new(event)));
    }

    fn change(&mut self, revision: i64, what: EditKind, version: i64, text: &str) {
        let edit = DefinitionEdit { text: text.into(), ..DefinitionEdit::feature(what, "f", version) };
        self.read(Record::Definition(Box::new(DefinitionChange { revision, at_ms: 0, edits: vec![edit] })));
    }

    /// By the field and over the lifetime.
    fn counted(&self) -> (u64, u64) {
        let count = |partial: &Partial| if let Partial::Count(count) = partial { *count } else { 0 };
        let (partials, now_ms) = (self.stream.partials(), self.stream.as_of().1);
        let lives = partials.lifetimes.of(&ShopperId::Visitor("v1".into()));
        let lifetime = lives.iter().flat_map(|life| &life.partials).map(|(_, partial)| count(partial)).sum();
        (partials.fields.read(7, "all", 0, HOUR, now_ms).map_or(0, |(partial, _)| count(&partial)), lifetime)
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.stream.begin_snapshot().expect("begins");
        self.stream.snapshot_some(usize::MAX).expect("writes").expect("is under way").bytes
    }
}

#[test]
fn a_change_takes_effect_once_and_what_is_gone_begins_anew() {
    let mut partition = Partition::new();
    partition.event();
    partition.event();
    assert_eq!(partition.counted(), (2, 2));
    partition.change(1, EditKind::Put, 2, "9");
    assert_eq!(partition.counted(), (2, 2), "the live one goes on");
    let put_ms = partition.stream.as_of().1;
    assert_eq!(partition.stream.defined().since, [(9, put_ms)]);
    let before = partition.stream.defined().clone();
    partition.change(1, EditKind::Remove, 0, "");
    assert_eq!(*partition.stream.defined(), before, "a change that comes again has no effect");
    assert_eq!(partition.stream.counters().definition_changes, 1);
    partition.change(2, EditKind::Promote, 2, "");
    assert_eq!(partition.counted(), (0, 0), "nobody reads it any more");
    partition.change(3, EditKind::Put, 3, "7");
    partition.event();
    assert_eq!(partition.counted(), (1, 1), "from when it was put again");
    assert_eq!(partition.stream.defined().since.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [7, 9]);
}

#[test]
fn a_snapshot_has_the_definitions_as_they_were_when_it_began() {
    let mut partition = Partition::new();
    let none = partition.snapshot();
    let mut restored = Stream::restore(PartitionId(0), Config::default(), none.as_slice()).expect("restores");
    assert_eq!(*restored.defined(), Defined::default(), "before any change the files say it");
    restored.define(Defined::initial([("f".into(), "7".into(), "file".into(), 1)]));
    assert!(restored.defined().feature("f").is_some());
    partition.change(1, EditKind::Put, 2, "9");
    let expected = partition.stream.defined().clone();
    partition.stream.begin_snapshot().expect("begins");
    partition.change(2, EditKind::Promote, 2, "");
    let piece = partition.stream.snapshot_some(usize::MAX).expect("writes").expect("is under way");
    let mut restored = Stream::restore(PartitionId(0), Config::default(), piece.bytes.as_slice()).expect("restores");
    restored.define(Defined::default());
    assert_eq!(*restored.defined(), expected, "what the log says goes before what there was at first");
}

#[test]
fn the_past_goes_where_its_events_are_and_once() {
    let mut partition = Partition::new();
    partition.event();
    let offered = |visitor: &str, time_ms: i64, mark: i32| FilledEvent {
        visitor_id: Some(visitor.into()),
        time_ms,
        kind: i32::from(FactKind::of(&EventName::PageView).0),
        mark,
        facts: vec![FilledFact { slot: 9, value: Some(2.5), text: Some("shoes".into()), currency: Some("EUR".into()) }],
        ..FilledEvent::default()
    };
    let events = vec![
        offered("v1", BEGIN_MS, 5),
        offered("v1", BEGIN_MS, 5),
        offered("v1", BEGIN_MS + 1, 6),
        offered("v2", BEGIN_MS, 7),
        FilledEvent { kind: i32::from(FactKind::CUSTOM.0), ..offered("v1", BEGIN_MS, 8) },
        FilledEvent { user_id: Some("u1".into()), ..offered("v1", BEGIN_MS, 9) },
    ];
    for _ in 0..2 {
        partition.read(Record::Filled(Box::new(Filled { events: events.clone(), ..Filled::default() })));
    }
    let view = partition.stream.view(&ShopperId::Visitor("v1".into()), BEGIN_MS + 1).expect("is at home");
    let filled: Vec<_> = view.facts.all().iter().filter(|fact| fact.kind == FactKind::DERIVED).collect();
    assert_eq!(filled.len(), 1, "one event is here, and it was offered more than once: {filled:?}");
    assert_eq!((filled[0].category, filled[0].value, filled[0].session), (9, 2.5, view.facts.all()[0].session));
    assert_eq!(view.names.name(filled[0].product).map(|name| name.as_str()), Some("shoes"));
    assert_eq!(view.currencies.name(u32::from(filled[0].currency)).map(|name| name.as_str()), Some("EUR"));
}

/// Two devices of one user, at the same millisecond.
#[test]
fn the_past_of_a_device_stays_with_it() {
    let mut partition = Partition::new();
    let user = ShopperId::User("u1".into());
    // What each has done itself, an event that both have sent, and who they are.
    for (device, id, name, user) in [
        ("v1", "one", EventName::PageView, None),
        ("v1", "both", EventName::PageView, None),
        ("v1", "in", EventName::Login, Some("u1")),
        ("v2", "two", EventName::PageView, None),
        ("v2", "both", EventName::PageView, None),
        ("v2", "in", EventName::Login, Some("u1")),
    ] {
        let is_login = i64::from(name == EventName::Login);
        let mut event = Event::new("shop".into(), id.into(), name, BEGIN_MS + is_login);
        (event.visitor_id, event.user_id) = (Some(device.into()), user.map(Into::into));
        partition.read(Record::Event(Box::new(event)));
        for effect in std::mem::take(&mut partition.out) {
            match effect {
                Effect::Handoff(handoff) => partition.read(Record::Handoff(handoff)),
                Effect::Forward(forward) => partition.read(Record::Forward(forward)),
                _ => {}
            }
        }
    }
    let offered = |device: &str, mark: i32| FilledEvent {
        visitor_id: Some(device.into()),
        user_id: Some("u1".into()),
        time_ms: BEGIN_MS,
        kind: i32::from(FactKind::of(&EventName::PageView).0),
        mark,
        facts: vec![FilledFact { slot: 9, value: None, text: None, currency: None }],
    };
    // The last two are one event that both have sent. What is offered again is there.
    let mut events = vec![offered("v2", 2), offered("v1", 1), offered("v2", 5), offered("v1", 5)];
    // Nothing else has been done at that time: it took effect at a later stamp than it is offered by.
    events.push(offered("v1", 6));
    for _ in 0..2 {
        partition.read(Record::Filled(Box::new(Filled { events: events.clone(), ..Filled::default() })));
    }
    let (_, shopper) = partition.stream.shoppers_from(0).find(|(_, shopper)| shopper.id == user).expect("is at home");
    let view = partition.stream.view(&user, BEGIN_MS + 1).expect("is at home");
    let mut filled: Vec<_> = view.facts.all().iter().filter(|fact| fact.kind == FactKind::DERIVED).collect();
    filled.sort_by_key(|fact| (fact.quantity, fact.session));
    let device = |number: u32| shopper.sessions.iter().find(|session| session.number == number)?.visitor.clone();
    let devices: Vec<_> = filled.iter().map(|fact| (fact.quantity, device(fact.session))).collect();
    let (one, other) = (Some("v1".into()), Some("v2".into()));
    assert_eq!(devices, [(1, one.clone()), (2, other.clone()), (5, one), (5, other)]);
}
