//! What is added up beside the facts: by each event once, wherever its shopper is at home, and taken along at a login.

#[path = "support/counts.rs"]
mod counts;

use counts::{Counts, HOUR};
use midsession_event::{Event, EventName, PartitionId, Record, ShopperId};
use midsession_machine::Effect;
use midsession_machine::partial::Partial;
use midsession_stream::{Config, Stream};

const BEGIN_MS: i64 = 1_700_000_000_000;

const COUNTS: Counts = Counts(1);

fn counted(stream: &Stream, shopper: &ShopperId) -> (u64, u64, Option<i64>) {
    let count = |partial: &Partial| if let Partial::Count(count) = partial { *count } else { 0 };
    let (partials, now_ms) = (stream.partials(), stream.as_of().1);
    let all = partials.fields.read(1, "all", 0, HOUR, now_ms).map_or(0, |(partial, _)| count(&partial));
    let lives = partials.lifetimes.of(shopper);
    let lifetime = lives.iter().flat_map(|life| &life.partials).map(|(_, partial)| count(partial)).sum();
    (all, lifetime, lives.iter().map(|life| life.since_ms).min())
}

/// What the visitor's partition sends to the user's home, as records.
fn sent(out: &mut Vec<Effect>) -> Vec<Record> {
    let record = |effect| match effect {
        Effect::Handoff(handoff) => Some(Record::Handoff(handoff)),
        Effect::Forward(forward) => Some(Record::Forward(forward)),
        _ => None,
    };
    let sent = out.drain(..).filter_map(record);
    sent.map(|record| Record::decode(&record.encode().expect("encodes")).expect("decodes")).collect()
}

/// Both partitions after so many events, a login in the middle, a repeat of each event.
fn visit(events: i64, login: i64) -> (Stream, Stream) {
    let (mut visitors, mut home) =
        (Stream::new(PartitionId(0), Config::default()), Stream::new(PartitionId(1), Config::default()));
    let (mut out, mut arrived) = (Vec::new(), 0);
    for number in 0..2 * events {
        let at_ms = BEGIN_MS + number / 2 * 1_000;
        let mut event = Event::new("shop".into(), format!("e{}", number / 2).into(), EventName::ProductView, at_ms);
        event.visitor_id = Some("v1".into());
        event.user_id = (number / 2 >= login).then(|| "u1".into());
        visitors.on_record(number, at_ms, Record::Event(Box::new(event)), &COUNTS, &mut out);
        for record in sent(&mut out) {
            home.on_record(arrived, at_ms, record, &COUNTS, &mut Vec::new());
            arrived += 1;
        }
    }
    (visitors, home)
}

#[test]
fn an_event_is_added_once_and_a_login_takes_a_lifetime_along() {
    let (visitor, user) = (ShopperId::Visitor("v1".into()), ShopperId::User("u1".into()));
    let (visitors, home) = visit(10, 4);
    assert_eq!(counted(&visitors, &visitor), (4, 0, None), "what was counted by a field stays where it was");
    assert_eq!(counted(&home, &user), (6, 10, Some(BEGIN_MS)), "a lifetime moves");
    let (visitors, home) = visit(10, 100);
    assert_eq!(counted(&visitors, &visitor), (10, 10, Some(BEGIN_MS)));
    assert_eq!(counted(&home, &user), (0, 0, None));
}

/// A snapshot has them as they were when it was begun, whatever is added while it is written.
#[test]
fn a_snapshot_has_them_as_of_its_beginning() {
    let (visitor, user) = (ShopperId::Visitor("v1".into()), ShopperId::User("u1".into()));
    for login in [4, 100] {
        let (visitors, home) = visit(10, login);
        for mut stream in [visitors, home] {
            let before = [counted(&stream, &visitor), counted(&stream, &user)];
            stream.begin_snapshot().expect("begins");
            let (mut bytes, mut number) = (Vec::new(), 0);
            loop {
                let at_ms = BEGIN_MS + 60_000 + number;
                let mut event = Event::new("shop".into(), format!("m{number}").into(), EventName::Search, at_ms);
                event.visitor_id = Some("v2".into());
                let next = stream.as_of().0 + 1;
                stream.on_record(next, at_ms, Record::Event(Box::new(event)), &COUNTS, &mut Vec::new());
                number += 1;
                let piece = stream.snapshot_some(1).expect("writes").expect("under way");
                bytes.extend(piece.bytes);
                if piece.is_last {
                    break;
                }
            }
            let partition = stream.partition();
            let read = Stream::restore(partition, Config::default(), bytes.as_slice()).expect("reads");
            assert_eq!([counted(&read, &visitor), counted(&read, &user)], before);
            assert_ne!([counted(&stream, &visitor), counted(&stream, &user)], before);
        }
    }
}

#[test]
fn a_lifetime_is_taken_along_by_whoever_was_silent_for_days() {
    let (visitor, user) = (ShopperId::Visitor("v1".into()), ShopperId::User("u1".into()));
    let (mut visitors, mut home) =
        (Stream::new(PartitionId(0), Config::default()), Stream::new(PartitionId(1), Config::default()));
    let mut out = Vec::new();
    for number in 0..300 {
        let at_ms = BEGIN_MS + number * 1_000_000;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::Search, at_ms);
        let is_theirs = number == 0 || number == 299;
        event.visitor_id = Some(if is_theirs { "v1" } else { "v2" }.into());
        event.user_id = (number == 299).then(|| "u1".into());
        if number == 299 {
            assert!(visitors.view(&visitor, at_ms).is_none(), "all else of them is forgotten");
        }
        visitors.on_record(number, at_ms, Record::Event(Box::new(event)), &COUNTS, &mut out);
    }
    for (offset, record) in (0..).zip(sent(&mut out)) {
        home.on_record(offset, BEGIN_MS + 299_000_000, record, &COUNTS, &mut Vec::new());
    }
    let (_, lifetime, since_ms) = counted(&home, &user);
    assert_eq!((lifetime, since_ms), (2, Some(BEGIN_MS)));
}
