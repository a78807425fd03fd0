//! Who signs in during a visit ends as one who was known from the start.

use midsession_event::{Consent, Event, EventName, Record, ShopperId, partition_of};
use midsession_sim::draw::{Shoppers, of_one_visitor};
use midsession_sim::rng::Rng;
use midsession_sim::world::{Ticks, Ways, World};
use midsession_stream::Config;
use std::collections::BTreeMap;

const START_MS: i64 = 1_700_000_000_000;
const WAYS: Ways = Ways { ticks: Ticks::Within(0), route_ms: 0, decide_ms: 0, twice: 0, forgotten: 0, painted: 0 };

/// What is known of the user once all events have been read: sessions, facts, caps.
fn known(events: &[(i64, Event)], partitions: u32) -> (Vec<String>, Vec<String>, Vec<String>) {
    let config = Config { partitions, ..Config::default() };
    let mut world = World::new(config, WAYS, START_MS, Rng::new(7));
    for (at_ms, event) in events {
        let partition = partition_of(event.key(), partitions).0;
        world.append_at(*at_ms, partition, Record::Event(Box::new(event.clone())));
    }
    while world.step().is_some() {}
    let who = ShopperId::User("u0".into());
    let home = &world.streams[who.partition(partitions).0 as usize];
    let Some((_, shopper)) = home.shoppers_from(0).find(|(_, shopper)| shopper.id == who) else {
        return Default::default();
    };
    let mut ids = BTreeMap::new();
    let mut sessions: Vec<String> = shopper
        .sessions
        .iter()
        .filter(|session| session.merged_into.is_none())
        // Those past their time may have been forgotten already, or not yet.
        .filter(|session| session.ended_at_ms + config.gap_ms + config.grace_ms + config.readable_ms > home.as_of().1)
        .map(|session| {
            ids.insert(session.number, session.id);
            let mut update = session.update(home.currencies());
            update.version = 0;
            // What was over before the login stays nameless.
            update.user_id = None;
            format!("{update:?} cart of {} {}", session.cart.size, session.cart_version)
        })
        .collect();
    let mut facts: Vec<String> = home
        .facts_of(shopper)
        .all()
        .iter()
        // What nobody can ask for any more may have been forgotten already, or not yet.
        .filter(|fact| fact.time_ms > home.as_of().1 - 24 * 3_600_000 || ids.contains_key(&fact.session))
        .map(|fact| {
            let (product, category) = (home_name(home, fact.product), home_name(home, fact.category));
            let session = ids.get(&fact.session);
            let (time_ms, value, quantity) = (fact.time_ms, fact.value, fact.quantity);
            format!("{time_ms} {:?} {value} {product} {category} {quantity} {session:?}", fact.kind)
        })
        .collect();
    let mut caps: Vec<String> = shopper
        .caps
        .iter()
        .map(|cap| format!("{} {} {} {}", cap.decision_id, cap.rule, cap.session_id, cap.at_ms))
        .collect();
    for list in [&mut sessions, &mut facts, &mut caps] {
        list.sort();
    }
    (sessions, facts, caps)
}

fn home_name(stream: &midsession_stream::Stream, number: u32) -> String {
    let id = ShopperId::User("u0".into());
    let view = stream.view(&id, 0);
    view.and_then(|view| view.names.name(number).cloned()).unwrap_or_default().to_string()
}

/// One visit of at most two devices, ended by a login; only in one of two worlds is the user known before.
#[test]
fn login_in_mid_session_loses_nothing() {
    let (mut with_caps, mut late) = (0, 0);
    for seed in 0..600 {
        let mut rng = Rng::new(seed);
        let mut events = Shoppers::draw(Rng::new(rng.bits()), START_MS, 3 + (seed % 40) as usize);
        of_one_visitor(&mut events);
        // No one else, nobody signed in, nobody leaves or withdraws (who has is not signed in); every visitor signs in at
        // the end.
        let leaves = |event: &Event| matches!(event.name, EventName::Logout | EventName::Consent);
        events.retain(|(_, event)| event.visitor_id.is_some() && !leaves(event));
        for (_, event) in &mut events {
            (event.consent, event.consent_said) = (Consent::FULL, false);
        }
        let Some(last_ms) = events.iter().map(|(at_ms, _)| *at_ms).max() else { continue };
        let mut visitors: Vec<_> = events.iter().filter_map(|(_, event)| event.visitor_id.clone()).collect();
        visitors.sort();
        visitors.dedup();
        visitors.truncate(if seed % 3 == 0 { 2 } else { 1 });
        events.retain(|(_, event)| event.visitor_id.as_ref().is_some_and(|id| visitors.contains(id)));
        events.iter_mut().for_each(|(_, event)| event.user_id = None);
        for (visitor, number) in visitors.iter().zip(0..) {
            let at_ms = last_ms + 1 + number;
            let mut login = Event::new("shop".into(), format!("login{number}").into(), EventName::Login, at_ms);
            login.visitor_id = Some(visitor.clone());
            login.user_id = Some("u0".into());
            events.push((at_ms, login));
        }
        if seed % 2 == 0 {
            // Some of what was done before comes after all of it; what is older than a day is nobody's.
            let day_ms = last_ms - 80_000_000..=last_ms;
            let is_early =
                |(at_ms, event): &&mut (i64, Event)| *at_ms <= last_ms && day_ms.contains(&event.occurred_at_ms);
            for (at_ms, _) in events.iter_mut().filter(is_early) {
                if rng.below(4) == 0 {
                    *at_ms = last_ms + 10 + rng.below(60_000) as i64;
                    late += 1;
                }
            }
            events.sort_by_key(|(at_ms, _)| *at_ms);
        }
        let mut from_the_start = events.clone();
        from_the_start.iter_mut().for_each(|(_, event)| event.user_id = Some("u0".into()));
        for partitions in [1, 4] {
            let (sessions, facts, caps) = known(&events, partitions);
            let expected = known(&from_the_start, partitions);
            assert_eq!(sessions, expected.0, "seed {seed}, sessions");
            assert_eq!(facts, expected.1, "seed {seed}, facts");
            // A cap over two devices may bind earlier for who was known earlier.
            if visitors.len() == 1 {
                assert_eq!(caps, expected.2, "seed {seed}, caps");
                with_caps += usize::from(!caps.is_empty());
            }
        }
    }
    assert!(late > 100, "only {late} events came late");
    assert!(with_caps > 10, "only {with_caps} runs had caps to carry");
}
