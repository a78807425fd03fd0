//! Seams that come late themselves: logins and logouts that are heard of after what came next.

#[path = "support/world.rs"]
mod world;

use midsession_event::EventName::{Login, Logout, ProductView};
use midsession_event::{Consent, Event, EventName, Product, Record, SessionUpdate, ShopperId, partition_of};
use midsession_machine::Effect;
use std::collections::BTreeSet;
use world::{PARTITIONS, World};

const START_MS: i64 = 1_700_000_000_000;

impl World {
    /// Something done on the one device in one minute that arrives in another.
    fn does(&mut self, user: Option<&str>, name: EventName, minute: i64, at_minute: i64) -> Event {
        self.made += 1;
        let [time_ms, at_ms] = [minute, at_minute].map(|minute| START_MS + minute * 60_000);
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), name, time_ms);
        (event.visitor_id, event.user_id) = (Some("v1".into()), user.map(Into::into));
        event.products = vec![Product { id: event.event_id.as_str().into(), ..Product::default() }];
        self.append(partition_of("v1", PARTITIONS), at_ms, Record::Event(Box::new(event.clone())));
        self.arrive(at_ms);
        event
    }

    /// Whose an event turned out to be.
    fn whose(&self, event: &Event) -> Vec<String> {
        let users = ["u1", "u2", "u3"].map(|user| ShopperId::User(user.into()));
        let has = |who: &ShopperId| {
            let home = self.stream(who.as_str());
            let view = home.view(who, home.as_of().1);
            view.is_some_and(|view| {
                view.facts
                    .all()
                    .iter()
                    .any(|fact| view.names.name(fact.product).is_some_and(|id| *id == event.event_id.0))
            })
        };
        let everybody = [ShopperId::Visitor("v1".into())].into_iter().chain(users);
        everybody.filter(has).map(|who| who.to_string()).collect()
    }

    /// How many visits a user was told to have had.
    fn visits(&self, user: &str) -> usize {
        let updates = self.told.iter().filter_map(|effect| match effect {
            Effect::Session(update) => Some(&**update),
            _ => None,
        });
        let theirs = updates.filter(|update: &&SessionUpdate| update.user_id == Some(user.into()));
        theirs.map(|update| update.session_id).collect::<BTreeSet<_>>().len()
    }
}

/// A login that comes after the logout that ended it: what was done up to then is theirs, and whoever is next is nobody yet.
#[test]
fn a_login_that_comes_after_its_logout_is_over() {
    for named in [None, Some("u1"), Some("u2")] {
        let mut world = World::new();
        let first = world.does(None, ProductView, 0, 0);
        world.does(named, Logout, 21, 21);
        let login = world.does(Some("u1"), Login, 7, 22);
        let between = world.does(None, ProductView, 9, 23);
        let next = world.does(None, ProductView, 24, 24);
        // Who is named as leaving was there.
        let there = named.unwrap_or("u1");
        for (event, who) in [(&first, there), (&login, "u1"), (&between, there)] {
            assert_eq!(world.whose(event), [format!("user:{who}")], "{named:?} {:?}", event.name);
        }
        assert_eq!(world.whose(&next), ["visitor:v1"], "{named:?}");
        assert_eq!(world.stream("u1").devices_of(&"u1".into()), []);
    }
}

/// Where somebody has come meanwhile, what they did is not taken for what was done before the logout.
#[test]
fn a_login_that_comes_after_its_logout_and_the_next_one_takes_nothing_of_theirs() {
    let mut world = World::new();
    world.does(None, Logout, 21, 21);
    let next = world.does(None, ProductView, 22, 22);
    let login = world.does(Some("u1"), Login, 7, 23);
    let after = world.does(None, ProductView, 24, 24);
    assert_eq!(world.whose(&login), ["user:u1"]);
    assert_eq!((world.whose(&next), world.whose(&after)), (vec!["visitor:v1".into()], vec!["visitor:v1".into()]));
}

/// Of two who were there the one whose login came late is not the one who is there now.
#[test]
fn a_login_from_before_the_last_logout_signs_nobody_in() {
    for name in [Login, ProductView] {
        let mut world = World::new();
        world.does(Some("u1"), Login, 0, 0);
        world.does(None, Logout, 21, 21);
        let late = world.does(Some("u2"), name, 7, 22);
        let next = world.does(None, ProductView, 24, 24);
        assert_eq!(world.whose(&late), ["user:u2"]);
        assert_eq!(world.whose(&next), ["visitor:v1"]);
        // In the same millisecond it comes after.
        let login = world.does(Some("u2"), Login, 24, 25);
        assert_eq!((world.whose(&login), world.whose(&next)), (vec!["user:u2".into()], vec!["user:u2".into()]));
    }
}

/// A logout that comes late gives the next person's stay the time from it on.
#[test]
fn what_was_done_after_a_late_logout_is_whose_the_device_was_next() {
    let mut world = World::new();
    world.does(Some("u1"), Login, 0, 0);
    world.does(Some("u2"), Login, 20, 20);
    world.does(Some("u1"), Logout, 10, 25);
    let between = world.does(None, ProductView, 15, 26);
    world.does(None, Logout, 30, 30);
    world.does(Some("u3"), Login, 40, 40);
    assert_eq!(world.whose(&between), ["user:u2"]);
}

/// Who has left as somebody else signed in has one visit there: what comes late of it is too late, as after a logout.
#[test]
fn what_comes_late_of_a_visit_that_somebody_else_ended_opens_no_other() {
    for (name, named) in [(ProductView, Some("u1")), (ProductView, None), (Logout, None)] {
        let mut world = World::new();
        world.does(Some("u1"), Login, 0, 0);
        world.does(None, ProductView, 5, 5);
        world.does(Some("u2"), Login, 20, 20);
        let late = world.does(named, name, 10, 25);
        assert_eq!(world.whose(&late), ["user:u1"], "it is in the windows that it belongs to");
        assert_eq!((world.visits("u1"), world.stream("u1").counters().too_late), (1, 1));
        // They are back: that is another visit.
        world.does(Some("u1"), Login, 26, 26);
        assert_eq!(world.visits("u1"), 2);
    }
}

/// Who leaves by name where nobody was known was there: theirs is what was done, and nothing of it is the next one's.
#[test]
fn who_leaves_by_name_was_there() {
    let mut world = World::new();
    let before = world.does(None, ProductView, 0, 0);
    world.does(Some("u1"), Logout, 5, 5);
    let next = world.does(None, ProductView, 10, 10);
    // Once more, which says nothing new but that the next one's visit is over, too.
    world.does(Some("u1"), Logout, 11, 11);
    let after = world.does(None, ProductView, 12, 12);
    world.does(Some("u2"), Login, 15, 15);
    assert_eq!(world.whose(&before), ["user:u1"]);
    assert_eq!(world.whose(&next), ["visitor:v1"]);
    assert_eq!(world.whose(&after), ["user:u2"]);
    assert_eq!(world.visits("u2"), 1);
}

/// A logout of somebody unknown: what they did is not the next one's who signs in, and is theirs once their login is heard of.
#[test]
fn what_was_done_before_a_logout_is_not_whose_the_device_is_next() {
    for late in [false, true] {
        let mut world = World::new();
        let before = world.does(None, ProductView, 0, 0);
        world.does(None, Logout, 5, 5);
        let next = world.does(None, ProductView, 10, 10);
        if late {
            world.does(Some("u1"), Login, -1, 12);
        }
        world.does(Some("u2"), Login, 15, 15);
        let of_before = if late { "user:u1" } else { "visitor:v1" };
        assert_eq!(
            (world.whose(&before), world.whose(&next)),
            (vec![of_before.into()], vec!["user:u2".into()]),
            "{late}"
        );
    }
}

/// A visit that somebody has left by saying once more that they had: whose it turns out to be has another one when they are back.
#[test]
fn a_visit_that_was_left_stays_so_at_another_home() {
    let mut world = World::new();
    world.does(Some("u1"), Login, 0, 0);
    world.does(None, Logout, 5, 5);
    world.does(None, ProductView, 6, 6);
    let last = world.does(None, ProductView, 8, 8);
    world.does(Some("u1"), Logout, 7, 9);
    let login = world.does(Some("u1"), Login, 20, 20);
    assert_eq!((world.whose(&last), world.whose(&login)), (vec!["user:u1".into()], vec!["user:u1".into()]));
    assert_eq!(world.stream("u1").counters().too_late, 0);
}

/// Who is not known, and refuses, has left all the same: their visit is over, and none of it is the next one's.
#[test]
fn a_logout_that_refuses_ends_a_visit() {
    let mut world = World::new();
    let before = world.does(None, ProductView, 0, 0);
    let mut logout = Event::new("shop".into(), "refusing".into(), Logout, START_MS + 5 * 60_000);
    (logout.visitor_id, logout.consent) = (Some("v1".into()), Consent::NONE);
    let at_ms = logout.occurred_at_ms;
    world.append(partition_of("v1", PARTITIONS), at_ms, Record::Event(Box::new(logout)));
    world.arrive(at_ms);
    assert_eq!(world.stream("v1").counters().refused, 1);
    let next = world.does(None, ProductView, 10, 10);
    world.does(Some("u2"), Login, 15, 15);
    assert_eq!((world.whose(&before), world.whose(&next)), (vec!["visitor:v1".into()], vec!["user:u2".into()]));
    assert_eq!(world.visits("u2"), 1);
}

/// A login (whatever its name) in the very millisecond of a logout comes after it, though nobody was known to be there.
#[test]
fn who_signs_in_in_the_millisecond_of_a_logout_has_nothing_of_before() {
    for name in [Login, ProductView] {
        let mut world = World::new();
        let before = world.does(None, ProductView, 0, 0);
        world.does(None, Logout, 5, 5);
        world.does(Some("u1"), name, 5, 5);
        assert_eq!((world.whose(&before), world.visits("u1")), (vec!["visitor:v1".into()], 1));
    }
}

/// What comes late of before a logout of somebody unknown is of no visit that began after it, though none was open then.
#[test]
fn a_late_event_of_before_a_logout_joins_no_visit_of_after_it() {
    for name in [ProductView, Logout] {
        let mut world = World::new();
        world.does(Some("u1"), Login, 0, 0);
        world.does(None, Logout, 2, 2);
        world.does(Some("u1"), Logout, 10, 10);
        let next = world.does(None, ProductView, 15, 15);
        let late = world.does(None, name.clone(), 9, 16);
        world.does(Some("u2"), Login, 20, 20);
        assert_eq!(
            (world.whose(&late), world.whose(&next)),
            (vec!["visitor:v1".into()], vec!["user:u2".into()]),
            "{name:?}"
        );
        assert_eq!((world.visits("u2"), world.stream("v1").counters().too_late), (1, 1), "{name:?}");
    }
}
