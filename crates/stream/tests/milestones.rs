//! What a session is told of at once, whatever the cadence; everything else waits for it.

mod support;

use midsession_event::{Event, EventName, Order, PartitionId, Product, Record};
use midsession_machine::Effect;
use midsession_stream::{Config, Stream};
use support::Nothing;

const START_MS: i64 = 1_700_000_000_000;

#[test]
fn milestones_are_told_at_once() {
    let rows = [
        (EventName::PageView, false),
        (EventName::ProductView, false),
        (EventName::Search, false),
        (EventName::AddToCart, true),
        (EventName::RemoveFromCart, true),
        (EventName::CheckoutStep, true),
        (EventName::Transaction, true),
        (EventName::Refund, true),
        (EventName::Login, true),
        (EventName::Logout, true),
    ];
    for (name, expected) in rows {
        let mut stream = Stream::new(PartitionId(0), Config { partitions: 1, ..Config::default() });
        let mut told = |number: i64, name: EventName| {
            let at_ms = START_MS + number;
            let mut event = Event::new("shop".into(), format!("e{number}").into(), name, at_ms);
            // Signed in from the start: a login that moves somebody is told of anyway.
            (event.visitor_id, event.user_id) = (Some("v".into()), Some("u".into()));
            event.products = vec![Product { id: "p".into(), price: Some(2.0), ..Product::default() }];
            event.order = Some(Order { revenue: Some(2.0), ..Order::default() });
            let mut records = vec![Record::Event(Box::new(event))];
            let (mut updates, mut offset) = (0, number * 10);
            while let Some(record) = records.pop() {
                let mut out = Vec::new();
                stream.on_record(offset, at_ms, record, &Nothing, &mut out);
                offset += 1;
                for effect in out {
                    match effect {
                        Effect::Session(_) => updates += 1,
                        Effect::Handoff(handoff) => records.insert(0, Record::Handoff(handoff)),
                        Effect::Forward(forward) => records.insert(0, Record::Forward(forward)),
                        _ => {}
                    }
                }
            }
            updates > 0
        };
        assert!(told(1, EventName::AddToCart), "it opens");
        assert!(!told(2, EventName::PageView), "the cadence is five seconds");
        assert_eq!(told(3, name.clone()), expected, "{name:?}");
    }
}
