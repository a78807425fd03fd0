//! Who has left a device: what comes late of them there counts, and asks nothing of whoever is at it now.

#[path = "support/world.rs"]
mod world;

use midsession_event::{Event, EventName, PartitionId, Record, ShopperId, Tick, partition_of};
use midsession_machine::Effect;
use world::{PARTITIONS, Rules, World};

const START: i64 = 1_700_000_000_000;

impl World {
    fn does(&mut self, name: EventName, user: Option<&str>, time_ms: i64, at_ms: i64) {
        self.made += 1;
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), name, START + time_ms);
        (event.visitor_id, event.user_id) = (Some("tablet".into()), user.map(Into::into));
        self.append(partition_of("tablet", PARTITIONS), START + at_ms, Record::Event(Box::new(event)));
        self.arrive(START + at_ms);
    }

    /// Who was asked since, by which rule.
    fn asked(&mut self, until_ms: i64) -> Vec<(String, String)> {
        for partition in (0..PARTITIONS).map(PartitionId) {
            self.append(partition, START + until_ms, Record::Tick(Tick::default()));
        }
        let candidates = self.told.drain(..).filter_map(|effect| match effect {
            Effect::Candidate(candidate) => Some((candidate.shopper.to_string(), candidate.rule.to_string())),
            _ => None,
        });
        candidates.collect()
    }

    fn events_of(&self, user: &str) -> Vec<(i64, bool)> {
        let sessions =
            self.stream(user).shoppers_from(0).filter(|(_, shopper)| shopper.id == ShopperId::User(user.into()));
        sessions.flat_map(|(_, shopper)| shopper.sessions.iter().map(|s| (s.events, s.is_live()))).collect()
    }
}

fn world() -> World {
    let mut world = World::new();
    world.rules = Rules { are_there: true };
    world
}

fn both(user: &str) -> Vec<(String, String)> {
    ["seen", "silent"].map(|rule| (user.to_owned(), rule.to_owned())).into()
}

#[test]
fn whoever_is_at_the_device_is_asked() {
    let mut world = world();
    world.does(EventName::Login, Some("bob"), 0, 0);
    assert_eq!(world.asked(5_000), both("user:bob"));
}

#[test]
fn a_stay_that_is_heard_of_when_it_is_over_asks_nothing() {
    let mut world = world();
    world.does(EventName::Login, Some("bob"), 0, 0);
    world.asked(5_000);
    // Ann was here before, and her queue gets through now; what does not name her is hers all the same where she is known.
    world.does(EventName::Login, Some("ann"), -240_000, 6_000);
    world.does(EventName::ProductView, Some("ann"), -239_000, 6_000);
    world.does(EventName::AddToCart, Some("ann"), -238_000, 6_000);
    assert_eq!(world.asked(20_000), []);
    assert_eq!(world.events_of("ann"), [(3, true)], "and they are counted");
}

#[test]
fn what_comes_late_after_a_logout_asks_nothing_until_they_are_back() {
    let mut world = world();
    world.does(EventName::Login, Some("ann"), 0, 0);
    world.does(EventName::Logout, Some("ann"), 10_000, 10_000);
    world.asked(15_000);
    // Nobody is known to be there, but somebody may be.
    world.does(EventName::ProductView, None, 9_000, 16_000);
    world.does(EventName::ProductView, Some("ann"), 9_500, 16_000);
    assert_eq!(world.asked(20_000), []);
    world.does(EventName::Login, Some("bob"), 21_000, 21_000);
    world.asked(30_000);
    world.does(EventName::ProductView, Some("ann"), 9_600, 31_000);
    assert_eq!(world.asked(40_000), []);
    world.does(EventName::Login, Some("ann"), 41_000, 41_000);
    assert_eq!(world.asked(50_000), both("user:ann"));
}
