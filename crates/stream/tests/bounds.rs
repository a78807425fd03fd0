//! What one client can make a partition remember has bounds.

mod support;

use midsession_event::{Event, EventName, Forward, OutputId, PartitionId, Product, Record, SessionState, ShopperId};
use midsession_machine::Effect;
use midsession_stream::{Config, Stream};
use support::Nothing;

/// Views of a robot, each of a product and in a currency that nobody has seen before, one every two seconds.
fn made_up(count: i64) -> Stream {
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let mut out = Vec::new();
    for number in 0..count {
        let at_ms = 1_700_000_000_000 + number * 2_000;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::ProductView, at_ms);
        event.visitor_id = Some("v".into());
        event.bot = true;
        event.products = vec![Product {
            id: format!("sku-{at_ms}").into(),
            category: Some(format!("category-{}", at_ms % 7).into()),
            price: Some(1.0),
            currency: Some(format!("C{number}").into()),
            ..Product::default()
        }];
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut out);
        out.clear();
    }
    stream
}

#[test]
fn made_up_names_are_forgotten_with_their_facts() {
    let stream = made_up(250_000);
    let view = stream.view(&ShopperId::Visitor("v".into()), stream.as_of().1).expect("a shopper");
    let facts = view.facts.all();
    assert!(facts.len() <= 20_000, "{} facts", facts.len());
    assert!(view.names.len() <= 1 << 16, "{} names for {} facts", view.names.len(), facts.len());
    for fact in facts {
        let name = |number: u32| view.names.name(number).map(|name| name.as_str());
        assert_eq!(name(fact.product), Some(format!("sku-{}", fact.time_ms).as_str()));
        assert_eq!(name(fact.category), Some(format!("category-{}", fact.time_ms % 7).as_str()));
    }
}

#[test]
fn made_up_currencies_take_no_memory() {
    let stream = made_up(1_000);
    assert_eq!(stream.currencies().len(), 254);
}

/// One event each of so many visitors, a cart of another one first.
#[test]
fn visits_of_one_event_go_before_carts() {
    let config = Config { shoppers_max: 100, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let start_ms = 1_700_000_000_000;
    let mut closed = Vec::new();
    for number in 0..10_000_i64 {
        let is_cart = number < 5;
        let name = if is_cart { EventName::AddToCart } else { EventName::PageView };
        let mut event = Event::new("shop".into(), format!("e{number}").into(), name, start_ms + number);
        event.visitor_id = Some(format!("v{number}").into());
        event.products = vec![Product { id: "p".into(), price: Some(1.0), ..Product::default() }];
        let mut out = Vec::new();
        stream.on_record(number, start_ms + number, Record::Event(Box::new(event)), &Nothing, &mut out);
        closed.extend(out.into_iter().filter_map(|effect| match effect {
            Effect::Session(update) if update.state == SessionState::Closed => update.visitor_id,
            _ => None,
        }));
        assert!(stream.len() <= 100, "{} shoppers", stream.len());
    }
    let counters = stream.counters();
    assert_eq!((counters.shoppers_dropped, counters.visitors_dropped), (9_900, 9_900));
    assert_eq!(closed.len(), 9_900, "each is told to be over");
    for number in 0..5 {
        let id = ShopperId::Visitor(format!("v{number}").as_str().into());
        assert!(stream.view(&id, start_ms).is_some(), "the cart of v{number} is still there");
    }
    assert_eq!(stream.tally().open, 100);
    assert!(counters.adds_up());
}

/// Who is signed in and has done something is not cut off their device by many who do nothing but sign in.
#[test]
fn logins_alone_go_before_a_device_with_a_cart() {
    let config = Config { shoppers_max: 100, partitions: 1, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let start_ms = 1_700_000_000_000;
    let mut offset = 0;
    let mut does = |stream: &mut Stream, name: EventName, who: &str| {
        let mut event = Event::new("shop".into(), format!("e{offset}").into(), name, start_ms + offset);
        event.visitor_id = Some(format!("v{who}").into());
        event.user_id = Some(format!("u{who}").into());
        event.products = vec![Product { id: "p".into(), price: Some(1.0), ..Product::default() }];
        let mut records = vec![Record::Event(Box::new(event))];
        while let Some(record) = records.pop() {
            let mut out = Vec::new();
            stream.on_record(offset, start_ms + offset, record, &Nothing, &mut out);
            offset += 1;
            records.extend(out.into_iter().rev().filter_map(|effect| match effect {
                Effect::Forward(forward) => Some(Record::Forward(forward)),
                Effect::Handoff(handoff) => Some(Record::Handoff(handoff)),
                _ => None,
            }));
        }
    };
    for number in 0..5 {
        does(&mut stream, EventName::Login, &number.to_string());
        does(&mut stream, EventName::AddToCart, &number.to_string());
    }
    for number in 5..5_000 {
        does(&mut stream, EventName::Login, &number.to_string());
    }
    for number in 0..5 {
        let visitor = ShopperId::Visitor(format!("v{number}").as_str().into());
        let user = ShopperId::User(format!("u{number}").as_str().into());
        assert_eq!(stream.user_of(&visitor), Some(user.clone()), "v{number} is still signed in");
        assert!(stream.view(&user, start_ms).is_some(), "the cart of u{number} is still there");
    }
}

/// Half of all are carts, one after the other: none of them goes while there are visits of one event.
#[test]
fn a_run_of_carts_stays_while_there_are_visits_of_one_event() {
    let config = Config { shoppers_max: 1_000, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let start_ms = 1_700_000_000_000;
    for number in 0..20_000_i64 {
        let name = if number < 500 { EventName::AddToCart } else { EventName::PageView };
        let mut event = Event::new("shop".into(), format!("e{number}").into(), name, start_ms + number);
        event.visitor_id = Some(format!("v{number}").into());
        event.products = vec![Product { id: "p".into(), price: Some(1.0), ..Product::default() }];
        stream.on_record(number, start_ms + number, Record::Event(Box::new(event)), &Nothing, &mut Vec::new());
    }
    let is_there =
        |number: &i64| stream.view(&ShopperId::Visitor(format!("v{number}").as_str().into()), start_ms).is_some();
    assert_eq!((0..500).filter(is_there).count(), 500);
    assert_eq!((stream.len(), stream.counters().shoppers_dropped), (1_000, 19_000));
}

/// Visits of two pages each, and carts among them.
#[test]
fn a_cart_is_missed_more_than_a_longer_visit() {
    let mut stream = Stream::new(PartitionId(0), Config { shoppers_max: 64, ..Config::default() });
    for number in 0..2_000_i64 {
        let (visitor, at_ms) = (number / 2, 1_700_000_000_000 + number);
        let is_cart = visitor % 40 == 0 && visitor < 400;
        let name = if is_cart { EventName::AddToCart } else { EventName::PageView };
        let mut event = Event::new("shop".into(), format!("e{number}").into(), name, at_ms);
        event.visitor_id = Some(format!("v{visitor}").into());
        event.products = vec![Product { id: "p".into(), price: Some(1.0), ..Product::default() }];
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut Vec::new());
    }
    for cart in (0..400).step_by(40) {
        let id = ShopperId::Visitor(format!("v{cart}").as_str().into());
        assert!(stream.view(&id, 1_700_000_000_000).is_some(), "the cart of v{cart} is still there");
    }
}

#[test]
fn a_start_with_less_room_comes_down_to_it() {
    let mut stream = Stream::new(PartitionId(0), Config { shoppers_max: 500, ..Config::default() });
    let send = |stream: &mut Stream, number: i64| {
        let at_ms = 1_700_000_000_000 + number;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::PageView, at_ms);
        event.visitor_id = Some(format!("v{number}").into());
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut Vec::new());
    };
    (0..400).for_each(|number| send(&mut stream, number));
    let snapshot = stream.whole_snapshot().expect("writes");
    let config = Config { shoppers_max: 64, ..Config::default() };
    let mut stream = Stream::restore(PartitionId(0), config, snapshot.as_slice()).expect("reads");
    (400..800).for_each(|number| send(&mut stream, number));
    assert_eq!((stream.len(), stream.violations().total()), (64, 0));
}

/// Visitors who come for one click each, for twelve days: those of a day or so are kept, not all.
#[test]
fn passers_by_do_not_come_faster_than_they_are_forgotten() {
    const DAY: i64 = 8_640;
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let mut out = Vec::new();
    for number in 0..12 * DAY {
        let at_ms = 1_700_000_000_000 + number * 10_000;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::PageView, at_ms);
        event.visitor_id = Some(format!("v{number}").into());
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut out);
        out.clear();
    }
    assert!((DAY as usize..DAY as usize * 5 / 2).contains(&stream.len()), "{} shoppers", stream.len());
    let day_ago = ShopperId::Visitor(format!("v{}", 11 * DAY + 1).as_str().into());
    assert!(stream.view(&day_ago, stream.as_of().1).is_some(), "within the longest window everybody is known");
}

/// New visitors, far more than there is room for, for so long that the first timers have come up: what is left behind of
/// those who were forgotten does not add up.
#[test]
fn who_is_forgotten_leaves_nothing_behind() {
    let config = Config { shoppers_max: 200, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let (mut out, mut early) = (Vec::new(), 0);
    for number in 0..200_000 {
        let at_ms = 1_700_000_000_000 + number * 12;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::ProductView, at_ms);
        event.visitor_id = Some(format!("v{number}").into());
        event.tracker_session_id = Some(format!("t{number}").into());
        event.products = vec![Product { id: format!("p{number}").into(), ..Product::default() }];
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut out);
        out.clear();
        if number == 10_000 {
            early = stream.heap_bytes();
        }
    }
    assert!(stream.heap_bytes() < early * 11 / 10, "{} bytes, {early} early on", stream.heap_bytes());
    assert_eq!(stream.violations().total(), 0);
}

/// One shopper who never stops: what they armed before does not add up.
#[test]
fn timers_that_were_moved_do_not_add_up() {
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let mut out = Vec::new();
    for number in 0..20_000_i64 {
        let at_ms = 1_700_000_000_000 + number * 143;
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::PageView, at_ms);
        event.visitor_id = Some(format!("v{}", number % 7).into());
        stream.on_record(number, at_ms, Record::Event(Box::new(event)), &Nothing, &mut out);
        out.clear();
    }
    assert!(stream.timers() <= 1_024 + 3 * 7, "{} timers of 7 shoppers", stream.timers());
}

/// The filter for duplicates goes with its visitor, for want of room, and the user's may go as well; what is at home stays.
#[test]
fn a_visit_is_there_once_though_its_event_came_again_after_its_visitor_was_forgotten() {
    // Both filters know nothing of what was before.
    let config = Config { duplicate_horizon_ms: -10_000, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let mut out = Vec::new();
    for (offset, at_ms) in [(0, 1_700_000_000_000), (1, 1_700_000_000_001)] {
        // Who logs out leaves: what comes after is another visit.
        let mut event = Event::new("shop".into(), "e".into(), EventName::Logout, at_ms);
        (event.visitor_id, event.user_id) = (Some("v".into()), Some("u".into()));
        let id = OutputId { partition: PartitionId(1), offset, ordinal: 0 };
        let forward = Forward { id, user_id: "u".into(), event: Box::new(event), left: false };
        stream.on_record(offset, at_ms, Record::Forward(Box::new(forward)), &Nothing, &mut out);
    }
    let sessions: Vec<_> = stream.shoppers_from(0).flat_map(|(_, shopper)| &shopper.sessions).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(stream.counters().too_late, 1);
}
