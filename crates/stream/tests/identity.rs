//! Whose an event is: at the seam of a login, late and repeated; and what an unmerge gives back.

mod support;
#[path = "support/world.rs"]
mod world;

use midsession_event::{
    Campaign, Event, EventName, Handoff, Identity, PartitionId, Product, Record, SessionUpdate, ShopperId, Unmerge,
    partition_of,
};
use midsession_machine::Effect;
use midsession_stream::{Config, Seam, Stream};
use support::Nothing;
use world::{PARTITIONS, World};

const MINUTE: i64 = 60_000;
const GAP: i64 = 30 * MINUTE;
const START: i64 = 1_700_000_000_000;

impl World {
    /// Something done at one time that arrives at another.
    fn does(&mut self, who: (&str, Option<&str>), name: EventName, time_ms: i64, at_ms: i64) -> Event {
        self.made += 1;
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), name, time_ms);
        (event.visitor_id, event.user_id) = (Some(who.0.into()), who.1.map(Into::into));
        event.products = vec![Product { id: event.event_id.as_str().into(), ..Product::default() }];
        self.sends(&event, at_ms);
        event
    }

    fn sends(&mut self, event: &Event, at_ms: i64) -> Option<Seam> {
        let seam = self.append(partition_of(event.key(), PARTITIONS), at_ms, Record::Event(Box::new(event.clone())));
        self.arrive(at_ms);
        seam
    }

    fn unmerge(&mut self, visitor: &str, user: &str, at_ms: i64) {
        let (visitor_id, user_id) = (visitor.into(), user.into());
        let unmerge = Unmerge { visitor_id, user_id, asked_at_ms: at_ms, reason: None, gives_on: true };
        self.append(partition_of(visitor, PARTITIONS), at_ms, Record::Unmerge(Box::new(unmerge)));
    }

    /// The products that somebody looked at.
    fn products(&self, who: &ShopperId) -> Vec<String> {
        let home = self.stream(who.as_str());
        let Some(view) = home.view(who, home.as_of().1) else { return Vec::new() };
        let names = view.facts.all().iter().filter_map(|fact| view.names.name(fact.product));
        let mut products: Vec<String> = names.map(ToString::to_string).collect();
        products.sort();
        products
    }

    /// Whose an event turned out to be.
    fn whose(&self, event: &Event) -> Vec<String> {
        let everybody =
            ["v1", "u1", "u2"].iter().flat_map(|id| [ShopperId::Visitor((*id).into()), ShopperId::User((*id).into())]);
        let has = |who: &ShopperId| self.products(who).contains(&event.event_id.to_string());
        everybody.filter(has).map(|who| who.to_string()).collect()
    }

    fn identities(&self) -> impl DoubleEndedIterator<Item = &Identity> {
        self.told.iter().filter_map(|told| if let Effect::Identity(identity) = told { Some(&**identity) } else { None })
    }

    fn identity(&self, visitor: &str) -> Option<&Identity> {
        self.identities().rfind(|identity| identity.visitor_id.as_str() == visitor)
    }

    fn updates(&self) -> Vec<&SessionUpdate> {
        self.told
            .iter()
            .filter_map(|told| if let Effect::Session(update) = told { Some(&**update) } else { None })
            .collect()
    }

    fn returned(&self) -> impl Iterator<Item = &Handoff> {
        self.told.iter().filter_map(|told| if let Effect::Handoff(handoff) = told { Some(&**handoff) } else { None })
    }
}

fn visitor(id: &str) -> ShopperId {
    ShopperId::Visitor(id.into())
}

fn user(id: &str) -> ShopperId {
    ShopperId::User(id.into())
}

/// A visit begins, its visitor signs in, goes on, signs out; an hour later somebody else uses the device.
#[test]
fn a_late_event_follows_its_own_user_else_the_interval_that_holds_its_time() {
    let (begin, login, logout) = (START, START + 5 * MINUTE, START + 10 * MINUTE);
    let seam = begin - GAP;
    let story = || {
        let mut world = World::new();
        world.does(("v1", None), EventName::ProductView, begin, begin);
        world.does(("v1", Some("u1")), EventName::Login, login, login);
        world.does(("v1", None), EventName::ProductView, login + 1, login + 1);
        world.does(("v1", None), EventName::Logout, logout, logout);
        world
    };
    let now = START + 11 * MINUTE;
    for (time_ms, named, whose) in [
        // All that the visitor has done before goes with them, what comes late as well, be it of a visit that is over.
        (seam - 3_600_000, None, "user:u1"),
        (seam - 1, None, "user:u1"),
        (seam, None, "user:u1"),
        (seam + 1, None, "user:u1"),
        (begin - 1, None, "user:u1"),
        (login - 1, None, "user:u1"),
        (login, None, "user:u1"),
        (login + 1, None, "user:u1"),
        // Both ends are in it.
        (logout - 1, None, "user:u1"),
        (logout, None, "user:u1"),
        (logout + 1, None, "visitor:v1"),
        (now, None, "visitor:v1"),
        // Whoever it names it is of, at whatever time.
        (seam - 1, Some("u1"), "user:u1"),
        (seam - 1, Some("u2"), "user:u2"),
        (login - 1, Some("u1"), "user:u1"),
        (login, Some("u2"), "user:u2"),
        (logout, Some("u2"), "user:u2"),
        (logout + 1, Some("u1"), "user:u1"),
        (now, Some("u2"), "user:u2"),
    ] {
        let mut world = story();
        let event = world.does(("v1", named), EventName::ProductView, time_ms, now);
        assert_eq!(world.whose(&event), [whose], "{} ms after the visit's begin, naming {named:?}", time_ms - begin);
        // A repeat changes nothing, wherever the first copy went, at once or a day later.
        for again_ms in [now, now + 1, now + 23 * 3_600_000] {
            assert_eq!(world.sends(&event, again_ms), Some(Seam::Duplicate));
            assert_eq!(world.whose(&event), [whose]);
        }
    }
}

/// The same while signed in: there is no end yet.
#[test]
fn while_signed_in_the_interval_is_open() {
    for (time_ms, arrives_ms, whose) in [
        (START + MINUTE - 1, START + 2 * MINUTE, "user:u1"),
        (START + MINUTE, START + 2 * MINUTE, "user:u1"),
        (START + 3 * 3_600_000, START + 3 * 3_600_000, "user:u1"),
        (START - GAP - 1, START + 2 * MINUTE, "user:u1"),
        (START - 20 * 3_600_000, START + 2 * MINUTE, "user:u1"),
    ] {
        let mut world = World::new();
        world.does(("v1", None), EventName::ProductView, START, START);
        world.does(("v1", Some("u1")), EventName::Login, START + MINUTE, START + MINUTE);
        let event = world.does(("v1", None), EventName::ProductView, time_ms, arrives_ms);
        assert_eq!(world.whose(&event), [whose], "{} ms after the visit's begin", time_ms - START);
    }
}

/// The page tells of an order, and so does the shop's server, under one id: it takes effect once, whichever came first.
#[test]
fn what_page_and_server_tell_takes_effect_once() {
    for server_first in [false, true] {
        let mut world = World::new();
        world.does(("v1", Some("u1")), EventName::Login, START, START);
        let mut page = Event::new("shop".into(), "order-1".into(), EventName::ProductView, START + 1);
        page.visitor_id = Some("v1".into());
        page.products = vec![Product { id: "p1".into(), ..Product::default() }];
        let server = Event { visitor_id: None, user_id: Some("u1".into()), ..page.clone() };
        let (first, second) = if server_first { (server, page) } else { (page, server) };
        world.sends(&first, START + 2);
        assert_eq!(world.products(&user("u1")).iter().filter(|product| *product == "p1").count(), 1);
        world.sends(&second, START + 3);
        assert_eq!(world.products(&user("u1")).iter().filter(|product| *product == "p1").count(), 1);
        assert!(["v1", "u1"].iter().all(|id| world.stream(id).counters().adds_up()));
    }
}

/// What comes late goes no further back than to who was signed in before.
#[test]
fn what_comes_late_is_not_taken_from_an_earlier_stay() {
    for (time_ms, whose) in [(START + MINUTE, "user:u1"), (START + MINUTE + 1, "user:u2"), (START - MINUTE, "user:u1")]
    {
        let mut world = World::new();
        world.does(("v1", Some("u1")), EventName::Login, START, START);
        world.does(("v1", None), EventName::Logout, START + MINUTE, START + MINUTE);
        world.does(("v1", Some("u2")), EventName::Login, START + 5 * MINUTE, START + 5 * MINUTE);
        let event = world.does(("v1", None), EventName::ProductView, time_ms, START + 6 * MINUTE);
        assert_eq!(world.whose(&event), [whose], "{} ms after the first login", time_ms - START);
    }
}

/// Somebody signs in where somebody else is signed in: the stay of the first is over, as by a logout.
#[test]
fn who_signs_in_over_somebody_ends_their_stay() {
    use midsession_event::SessionState::{Closed, Open};
    let mut world = World::new();
    let sessions = |world: &World, who: &str| {
        let found = world.stream(who).shoppers_from(0).find(|(_, shopper)| shopper.id == user(who));
        let sessions = found.map(|(_, shopper)| shopper.sessions.clone()).unwrap_or_default();
        sessions.iter().map(|session| (session.state, session.events)).collect::<Vec<_>>()
    };
    world.does(("v1", Some("u1")), EventName::ProductView, START, START);
    world.does(("v1", Some("u2")), EventName::ProductView, START + MINUTE, START + MINUTE);
    assert_eq!((sessions(&world, "u1"), sessions(&world, "u2")), (vec![(Closed, 1)], vec![(Open, 1)]));
    assert_eq!(world.stream("u1").devices_of(&"u1".into()), []);
    // They come back: it is another visit, and the other one's is over.
    world.does(("v1", Some("u1")), EventName::ProductView, START + 2 * MINUTE, START + 2 * MINUTE);
    assert_eq!((sessions(&world, "u1"), sessions(&world, "u2")), (vec![(Closed, 1), (Open, 1)], vec![(Closed, 1)]));
    // What comes late of them is of whom it names, and ends nothing.
    world.does(("v1", Some("u2")), EventName::ProductView, START + MINUTE + 1, START + 3 * MINUTE);
    assert_eq!(sessions(&world, "u1"), [(Closed, 1), (Open, 1)]);
    let counters = |who: &str| world.stream(who).counters();
    assert!(["v1", "u1", "u2"].iter().all(|who| counters(who).adds_up()));
}

#[test]
fn a_logout_by_a_clock_that_is_behind_leaves_nothing_open() {
    use midsession_event::SessionState::{Closed, Open};
    // How far behind it is, and the last own act before it. min
    for (behind, last) in [(60, 100), (40, 100), (5, 100), (20 * 60, 100), (0, 69)] {
        let mut world = World::new();
        let at = |minutes: i64| START + minutes * MINUTE;
        world.does(("v1", Some("u1")), EventName::Login, at(0), at(0));
        world.does(("v1", Some("u1")), EventName::AddToCart, at(last), at(last));
        world.does(("v1", None), EventName::Logout, at(100 - behind), at(100));
        world.does(("v1", None), EventName::PageView, at(101), at(101));
        let states = |who: &ShopperId| {
            let found = world.stream(who.as_str()).shoppers_from(0).find(|(_, shopper)| shopper.id == *who);
            let sessions = found.map(|(_, shopper)| shopper.sessions.clone()).unwrap_or_default();
            sessions.iter().map(|session| session.state).collect::<Vec<_>>()
        };
        let theirs = states(&user("u1"));
        assert!(!theirs.is_empty() && theirs.iter().all(|state| *state == Closed), "{behind} min: {theirs:?}");
        assert_eq!(states(&visitor("v1")), [Open], "{behind} min: who comes next");
        let told = world.identity("v1").unwrap();
        assert!(told.detached_at_ms >= told.attached_since_ms, "{behind} min: {told:?}");
        assert!(world.stream("u1").counters().adds_up() && world.stream("v1").counters().adds_up());
    }
}

#[test]
fn a_logout_that_comes_again_after_a_day_opens_nothing_again() {
    let mut world = World::new();
    let day = 24 * 60 * MINUTE;
    world.does(("v1", Some("u1")), EventName::Login, START, START);
    // By a clock that is ahead: its id is forgotten a day after it came, a little before it is a day old.
    let logout = world.does(("v1", None), EventName::Logout, START + 9 * GAP + MINUTE, START + 9 * GAP);
    world.does(("v1", Some("u1")), EventName::Login, START + 10 * GAP, START + 10 * GAP);
    // Records go by, and what is closed is forgotten.
    (1..40).for_each(|second| {
        let at_ms = START + 40 * GAP + second * 1_000;
        world.does(("v1", Some("u1")), EventName::PageView, at_ms, at_ms);
    });
    let again_ms = START + 9 * GAP + day + 2_000;
    world.told.clear();
    world.sends(&logout, again_ms);
    let of_logout = |update: &&&SessionUpdate| update.started_at_ms == again_ms;
    assert_eq!(world.updates().iter().find(of_logout), None, "a session of that id has been told before");
    assert_eq!(world.stream("v1").user_of(&visitor("v1")), None, "it is a logout all the same");
}

#[test]
fn one_event_id_of_two_visitors_is_two_sessions() {
    let mut world = World::new();
    let event = world.does(("v1", None), EventName::AddToCart, START, START);
    let other = Event { visitor_id: Some("v2".into()), ..event.clone() };
    world.sends(&other, START + 1);
    let of = |who: &str| world.stream(who).view(&visitor(who), START + 2).and_then(|view| Some(view.session?.id));
    let (one, two) = (of("v1").unwrap(), of("v2").unwrap());
    assert_ne!(one, two);
    for (who, id) in [("v1", one), ("v2", two)] {
        let view = world.stream(who).session_view(id, START + 2).unwrap();
        assert_eq!((view.shopper, view.session.unwrap().version), (&visitor(who), 1), "each has its own");
    }
}

#[test]
fn whom_a_visitor_is_taken_for_is_told_when_it_changes() {
    let mut world = World::new();
    let at = |minutes: i64| START + minutes * MINUTE;
    world.does(("v1", None), EventName::ProductView, at(0), at(0));
    assert_eq!(world.identity("v1"), None);
    world.does(("v1", Some("u1")), EventName::Login, at(1), at(1));
    world.does(("v1", Some("u1")), EventName::ProductView, at(2), at(2));
    world.does(("v1", None), EventName::Logout, at(3), at(3));
    world.does(("v1", None), EventName::ProductView, at(4), at(4));
    world.does(("v1", Some("u2")), EventName::ProductView, at(5), at(5));
    // A late one of somebody who has left changes nothing.
    world.does(("v1", Some("u1")), EventName::ProductView, at(2), at(6));
    let told: Vec<_> = world
        .identities()
        .map(|told| (told.user_id.clone().map(|user| user.0), told.attached_since_ms, told.detached_at_ms))
        .collect();
    assert_eq!(
        told,
        [
            (Some("u1".into()), Some(at(1)), None),
            (Some("u1".into()), Some(at(1)), Some(at(3))),
            (Some("u2".into()), Some(at(5)), None),
        ]
    );
    let offsets: Vec<i64> = world.identities().map(|told| told.cause.offset).collect();
    assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
    assert!(world.identities().all(|told| told.cause.partition == partition_of("v1", PARTITIONS)));
}

#[test]
fn an_unmerge_gives_everything_back_once() {
    let mut world = World::new();
    let at = |minutes: i64| START + minutes * MINUTE;
    let theirs = world.does(("v2", Some("u1")), EventName::ProductView, at(0), at(0));
    let before = world.does(("v1", None), EventName::ProductView, at(0), at(0));
    world.does(("v1", Some("u1")), EventName::Login, at(1), at(1));
    let merged = world.does(("v1", None), EventName::AddToCart, at(2), at(2));
    // Too late for any session, and still in its windows.
    let too_late = world.does(("v1", Some("u1")), EventName::ProductView, at(-200), at(3));
    assert_eq!(world.whose(&too_late), ["user:u1"]);
    let (theirs_id, sessions) = (theirs.event_id.to_string(), world.updates().len());
    world.unmerge("v1", "u1", at(4));
    // While it is on its way, the visitor goes on.
    let meanwhile = world.append(
        partition_of("v1", PARTITIONS),
        at(4),
        Record::Event(Box::new({
            let mut event = Event::new("shop".into(), "meanwhile".into(), EventName::ProductView, at(4));
            (event.visitor_id, event.products) =
                (Some("v1".into()), vec![Product { id: "meanwhile".into(), ..Product::default() }]);
            event
        })),
    );
    assert!(matches!(meanwhile, Some(Seam::Applied(_))));
    world.arrive(at(4));
    assert_eq!(world.products(&user("u1")), [theirs_id.as_str()]);
    for event in [&before, &merged, &too_late] {
        assert_eq!(world.whose(event), ["visitor:v1"]);
    }
    assert_eq!(world.products(&visitor("v1")).len(), 5, "the login and what came meanwhile, too");
    let home = world.stream("v1");
    let view = home.view(&visitor("v1"), at(4)).expect("at home");
    let session = view.session.expect("a session");
    assert_eq!((session.events, session.user.clone()), (4, None), "one visit again, and nobody's but the visitor's");
    assert!(
        world.updates()[sessions..]
            .iter()
            .any(|update| update.visitor_id == Some("v1".into()) && update.user_id.is_none())
    );
    assert_eq!(home.user_of(&visitor("v1")), None);
    let told = world.identity("v1").expect("told");
    assert_eq!((&told.user_id, told.attached_since_ms, told.detached_at_ms), (&None, None, None));
    // Late and repeated ones that name the wrong user are the visitor's own; what comes again from there changes nothing.
    let late = world.does(("v1", Some("u1")), EventName::ProductView, at(3), at(5));
    assert_eq!(world.whose(&late), ["visitor:v1"]);
    assert_eq!(world.sends(&merged, at(5)), Some(Seam::Duplicate));
    let returned = world.returned().next().expect("it has returned").clone();
    let facts = world.products(&visitor("v1"));
    world.append(partition_of("v1", PARTITIONS), at(5), Record::Handoff(Box::new(returned)));
    assert_eq!(world.products(&visitor("v1")), facts, "applied once by its id");
    // Whoever signs in after that is taken at their word.
    let edge = world.does(("v1", Some("u1")), EventName::ProductView, at(4), at(6));
    assert_eq!(world.whose(&edge), ["visitor:v1"], "of the very millisecond of the unmerge");
    let again = world.does(("v1", Some("u1")), EventName::Login, at(4) + 1, at(7));
    assert_eq!(world.whose(&again), ["user:u1"]);
    assert_eq!(world.whose(&before), ["user:u1"], "with all that is theirs");
}

/// What is on its way back goes on to whoever has signed in meanwhile.
#[test]
fn who_signs_in_while_it_is_on_its_way_has_it() {
    let mut world = World::new();
    let before = world.does(("v1", None), EventName::ProductView, START, START);
    world.does(("v1", Some("u1")), EventName::Login, START + 1, START + 1);
    world.unmerge("v1", "u1", START + 2);
    let mut login = Event::new("shop".into(), "login".into(), EventName::Login, START + 3);
    (login.visitor_id, login.user_id) = (Some("v1".into()), Some("u2".into()));
    world.append(partition_of("v1", PARTITIONS), START + 3, Record::Event(Box::new(login)));
    world.arrive(START + 4);
    assert_eq!(world.whose(&before), ["user:u2"]);
    assert!(world.products(&user("u1")).is_empty() && world.products(&visitor("v1")).is_empty());
}

/// An unmerge of what never was says so and changes nothing.
#[test]
fn an_unmerge_of_strangers_changes_nothing() {
    let mut world = World::new();
    let one = world.does(("v1", None), EventName::ProductView, START, START);
    let other = world.does(("v2", Some("u1")), EventName::ProductView, START, START);
    for again in 1..3 {
        world.unmerge("v1", "u1", START + again);
        world.unmerge("nobody", "u1", START + again);
        world.unmerge("v1", "nobody", START + again);
        world.arrive(START + again);
    }
    assert_eq!((world.whose(&one), world.whose(&other)), (vec!["visitor:v1".into()], vec!["user:u1".into()]));
    assert!(world.returned().all(|returned| !returned.has_something()));
}

#[test]
fn the_same_session_id_of_a_tracker_from_two_shoppers_is_kept_apart() {
    let config = Config { partitions: 1, ..Config::default() };
    let mut stream = Stream::new(PartitionId(0), config);
    let mut out = Vec::new();
    let mut send = |stream: &mut Stream, number: i64, visitor: &str, tracker: &str| {
        let mut event = Event::new("shop".into(), format!("e{number}").into(), EventName::PageView, START + number);
        (event.visitor_id, event.tracker_session_id) = (Some(visitor.into()), Some(tracker.into()));
        stream.on_record(number, START + number, Record::Event(Box::new(event)), &Nothing, &mut out)
    };
    let Some(Seam::Applied(one)) = send(&mut stream, 0, "v1", "t1") else { panic!("applied") };
    assert_eq!(send(&mut stream, 1, "v1", "t1"), Some(Seam::Applied(one)));
    let Some(Seam::Applied(other)) = send(&mut stream, 2, "v2", "t1") else { panic!("applied") };
    assert_eq!(send(&mut stream, 3, "v2", "t1"), Some(Seam::Applied(other)));
    assert_eq!(send(&mut stream, 4, "v1", "t1"), Some(Seam::Applied(one)), "each goes on with their own");
    assert_ne!(one, other);
    assert_eq!(stream.resolve_tracker_session("t1"), Some(one), "the one that was heard of last");
    for (id, visitor, events) in [(one, "v1", 3), (other, "v2", 2)] {
        let session = stream.session_view(id, START + 9).and_then(|view| view.session).expect("there");
        assert_eq!((session.events, session.visitor.clone()), (events, Some(visitor.into())));
    }
}

/// What a session says of its campaign is of its earliest event that says one, also when that comes after a login has moved it.
#[test]
fn the_earliest_campaign_stays_the_earliest_across_a_login() {
    let campaign = |name: &str| Some(Campaign { name: Some(name.into()), ..Campaign::default() });
    for (late_at, expected) in [(2, "late"), (4, "late"), (5, "first"), (6, "first"), (9, "first")] {
        let mut world = World::new();
        for (at, user, name) in [(1, None, None), (5, None, Some("first")), (7, Some("u1"), None), (8, None, None)] {
            let mut event = Event::new("shop".into(), format!("e{at}").into(), EventName::PageView, START + at);
            (event.visitor_id, event.user_id) = (Some("v1".into()), user.map(Into::into));
            event.campaign = name.and_then(campaign);
            world.sends(&event, START + at);
        }
        let mut late = Event::new("shop".into(), "late".into(), EventName::Login, START + late_at);
        (late.visitor_id, late.user_id, late.campaign) = (Some("v1".into()), Some("u1".into()), campaign("late"));
        world.sends(&late, START + 10);
        let told = *world.updates().last().expect("a login is told at once");
        assert_eq!((told.events, told.campaign.as_deref()), (5, Some(expected)), "late at {late_at}");
    }
}

/// A terminal in a store: what comes late of each of those who were there is theirs, and nothing is the next one's.
#[test]
fn a_device_remembers_hundreds_of_stays() {
    let mut world = World::new();
    let (people, at) = (100, |number: i64| START + number * 5 * MINUTE);
    for number in 0..people {
        let who = format!("u{number}");
        world.does(("kiosk", Some(&who)), EventName::ProductView, at(number), at(number));
        world.does(("kiosk", None), EventName::Logout, at(number) + MINUTE, at(number) + MINUTE);
    }
    for number in 0..people {
        let event = world.does(("kiosk", None), EventName::ProductView, at(number) + 1_000, at(people));
        assert!(world.products(&user(&format!("u{number}"))).contains(&event.event_id.to_string()), "{number}");
    }
    assert_eq!(world.stream("kiosk").counters().stays_dropped, 0);
    for number in people..700 {
        let (who, at_ms) = (format!("u{number}"), at(people) + number);
        world.does(("kiosk", Some(&who)), EventName::Login, at_ms, at_ms);
        world.does(("kiosk", None), EventName::Logout, at_ms, at_ms);
    }
    assert_eq!(world.stream("kiosk").counters().stays_dropped, 2 * (700 - 512), "stays, and when they ended");
}

/// Somebody logs out where somebody else seemed to be signed in: both are gone, and what comes next is nobody's.
#[test]
fn a_logout_that_names_somebody_else_leaves_nobody_signed_in() {
    let mut world = World::new();
    world.does(("v1", Some("u1")), EventName::ProductView, START, START);
    world.does(("v1", Some("u2")), EventName::Logout, START + MINUTE, START + MINUTE);
    let next = world.does(("v1", None), EventName::ProductView, START + 2 * MINUTE, START + 2 * MINUTE);
    assert_eq!(world.whose(&next), ["visitor:v1"]);
    assert_eq!(world.stream("u1").devices_of(&"u1".into()), []);
    let late = world.does(("v1", None), EventName::ProductView, START + 1_000, START + 3 * MINUTE);
    assert_eq!(world.whose(&late), ["user:u1"], "it was done before");
    // One from before the other signed in is of a stay that was over then: it ends nothing.
    world.does(("v2", Some("u1")), EventName::ProductView, START + 10 * MINUTE, START + 10 * MINUTE);
    world.does(("v2", Some("u2")), EventName::Logout, START + 9 * MINUTE, START + 11 * MINUTE);
    let goes_on = world.does(("v2", None), EventName::ProductView, START + 12 * MINUTE, START + 12 * MINUTE);
    assert_eq!(world.whose(&goes_on), ["user:u1"]);
}
