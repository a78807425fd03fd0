//! Consent over all devices of a user: withdrawn on the phone while the laptop clicks.

#[path = "support/world.rs"]
mod world;

use midsession_event::{Consent, Event, EventName, Evidence, Purpose, Record, ShopperId, VisitorId, partition_of};
use midsession_machine::Effect;
use midsession_stream::Seam;
use world::{PARTITIONS, World};

const START_MS: i64 = 1_700_000_000_000;

impl World {
    fn event(&mut self, visitor: Option<&str>, user: Option<&str>, name: EventName, at_ms: i64) -> Event {
        self.made += 1;
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), name, at_ms);
        event.visitor_id = visitor.map(Into::into);
        event.user_id = user.map(Into::into);
        event
    }

    /// An event enters; what became of it there, and at home once all has arrived.
    fn send(&mut self, event: Event) -> Vec<Seam> {
        let at_ms = event.occurred_at_ms;
        let mut seams: Vec<Seam> = self.enter(event).into_iter().collect();
        seams.extend(self.arrive(at_ms));
        seams
    }

    fn enter(&mut self, event: Event) -> Option<Seam> {
        let (partition, at_ms) = (partition_of(event.key(), PARTITIONS), event.occurred_at_ms);
        self.append(partition, at_ms, Record::Event(Box::new(event)))
    }

    fn does(&mut self, visitor: &str, name: EventName, at_ms: i64) -> Vec<Seam> {
        let event = self.event(Some(visitor), None, name, at_ms);
        self.send(event)
    }

    fn signs_in(&mut self, visitor: &str, user: &str, at_ms: i64) {
        let login = self.event(Some(visitor), Some(user), EventName::Login, at_ms);
        self.send(login);
    }

    fn says(&mut self, visitor: Option<&str>, user: Option<&str>, consent: Consent, at_ms: i64) -> Event {
        let mut event = self.event(visitor, user, EventName::Consent, at_ms);
        (event.consent, event.consent_said) = (consent, true);
        event
    }

    fn evidence(&self) -> impl DoubleEndedIterator<Item = &Evidence> {
        self.told.iter().filter_map(|told| if let Effect::Evidence(evidence) = told { Some(&**evidence) } else { None })
    }

    /// How many facts there are of a user.
    fn facts(&self, user: &str) -> usize {
        let home = self.stream(user);
        home.view(&ShopperId::User(user.into()), home.as_of().1).map_or(0, |view| view.facts.all().len())
    }

    fn may_read(&self, user: &str) -> bool {
        self.stream(user).may_read(&ShopperId::User(user.into()))
    }
}

/// Phone, laptop and home in three partitions, so that what is told takes its way.
fn at_home() -> World {
    let places = ["phone", "laptop", "u1"].map(|key| partition_of(key, PARTITIONS));
    assert!(places[0] != places[1] && places[1] != places[2] && places[0] != places[2]);
    let mut world = World::new();
    world.signs_in("phone", "u1", START_MS);
    world.signs_in("laptop", "u1", START_MS + 1_000);
    assert_eq!(world.stream("u1").devices_of(&"u1".into()), ["phone".into(), "laptop".into()] as [VisitorId; 2]);
    world
}

#[test]
fn withdrawn_on_the_phone_while_the_laptop_clicks() {
    let mut world = at_home();
    world.does("laptop", EventName::ProductView, START_MS + 2_000);
    let before = world.facts("u1");
    assert!(before > 0 && world.may_read("u1"));
    // The word enters at the phone's partition and travels; meanwhile the laptop goes on.
    let word = world.says(Some("phone"), None, Consent::NONE, START_MS + 3_000);
    assert_eq!(world.enter(word), Some(Seam::Forwarded));
    let click = world.event(Some("laptop"), None, EventName::AddToCart, START_MS + 3_001);
    assert_eq!(world.enter(click), Some(Seam::Forwarded), "the laptop's partition has not been told yet");
    let seams = world.arrive(START_MS + 3_002);
    assert!(matches!(seams[..], [Seam::Applied(_), Seam::Refused]), "at home it holds at once: {seams:?}");
    assert_eq!(world.facts("u1"), before + 1, "nothing but the word itself");
    assert!(!world.may_read("u1"));
    // From the record on that tells it there, nothing leaves the laptop's partition.
    assert_eq!(world.does("laptop", EventName::AddToCart, START_MS + 4_000), [Seam::Refused]);
    assert_eq!(world.does("phone", EventName::PageView, START_MS + 4_001), [Seam::Refused]);
    assert_eq!(world.facts("u1"), before + 1);
    // The evidence: what was said where, and where it holds.
    let told: Vec<(&str, Option<&str>, Option<&str>)> = world
        .evidence()
        .map(|it| {
            (it.kind.as_str(), it.visitor_id.as_ref().map(|id| id.as_str()), it.said_by.as_ref().map(|id| id.as_str()))
        })
        .collect();
    assert_eq!(told, [("consent", Some("phone"), Some("phone")), ("consent_applied", Some("laptop"), Some("phone"))]);
    assert!(world.evidence().all(|it| it.purposes.is_empty() && it.cause.is_some()));
    // Only a word brings it back, and that from any device too.
    let word = world.says(Some("laptop"), None, Consent::FULL, START_MS + 5_000);
    world.send(word);
    assert!(world.may_read("u1"));
    for device in ["phone", "laptop"] {
        let seams = world.does(device, EventName::PageView, START_MS + 6_000);
        assert!(matches!(seams[..], [Seam::Forwarded, Seam::Applied(_)]), "{device}: {seams:?}");
    }
}

#[test]
fn said_by_the_shop_s_server_it_holds_on_every_device() {
    let mut world = at_home();
    let word = world.says(None, Some("u1"), Consent::NONE.with(Purpose::Analytics, true), START_MS + 2_000);
    world.send(word);
    assert!(!world.may_read("u1"));
    for device in ["phone", "laptop"] {
        let seams = world.does(device, EventName::ProductView, START_MS + 3_000);
        assert!(matches!(seams[..], [Seam::Forwarded, Seam::Applied(_)]), "counting goes on: {seams:?}");
    }
    let home = world.stream("u1");
    let (_, shopper) = home.shoppers_from(0).next().expect("the user");
    assert!(shopper.sessions.iter().all(|session| session.consent == Consent::COOKIELESS), "{:?}", shopper.sessions);
    let word = world.says(None, Some("u1"), Consent::NONE, START_MS + 4_000);
    world.send(word);
    for device in ["phone", "laptop"] {
        assert_eq!(world.does(device, EventName::ProductView, START_MS + 5_000), [Seam::Refused], "{device}");
    }
}

#[test]
fn who_signs_in_later_is_told_and_who_signs_in_after_is_not_concerned() {
    let mut world = at_home();
    let word = world.says(Some("phone"), None, Consent::NONE, START_MS + 2_000);
    world.send(word);
    world.signs_in("tablet", "u1", START_MS + 3_000);
    assert_eq!(world.does("tablet", EventName::PageView, START_MS + 4_000), [Seam::Refused], "told at once");
    // The next person at the laptop is somebody else.
    world.does("laptop", EventName::Logout, START_MS + 5_000);
    world.signs_in("laptop", "u2", START_MS + 6_000);
    let seams = world.does("laptop", EventName::PageView, START_MS + 7_000);
    assert!(matches!(seams[..], [Seam::Forwarded, Seam::Applied(_)]), "{seams:?}");
    assert!(world.may_read("u2") && !world.may_read("u1"));
    // And what was said there before by somebody else goes on to hold.
    let mut world = at_home();
    world.does("laptop", EventName::Logout, START_MS + 2_000);
    let word = world.says(Some("laptop"), None, Consent::NONE, START_MS + 3_000);
    world.send(word);
    world.signs_in("laptop", "u1", START_MS + 4_000);
    let word = world.says(Some("phone"), None, Consent::FULL, START_MS + 5_000);
    world.send(word);
    assert_eq!(world.does("laptop", EventName::PageView, START_MS + 6_000), [Seam::Refused]);
}

#[test]
fn who_comes_after_a_logout_is_not_bound_by_what_somebody_else_said_elsewhere() {
    for word in [Consent::NONE, Consent::COOKIELESS] {
        let mut world = at_home();
        let said = world.says(Some("phone"), None, word, START_MS + 2_000);
        world.send(said);
        // A tracker that was never told tells more than is allowed.
        let mut logout = world.event(Some("laptop"), None, EventName::Logout, START_MS + 3_000);
        logout.query = Some("of u1".into());
        let entered = world.enter(logout);
        assert_eq!(entered, Some(Seam::Forwarded), "it is heard");
        let carried = world.routed.iter().filter_map(|(_, record)| match record {
            Record::Forward(forward) => Some(&forward.event),
            _ => None,
        });
        let carried: Vec<_> = carried.map(|event| (event.consent, event.query.clone())).collect();
        let kept = (word == Consent::COOKIELESS).then(|| "of u1".into());
        assert_eq!(carried, [(word, kept)], "and nothing else of it goes on, where nothing may be counted");
        let home = world.arrive(START_MS + 3_000);
        assert_eq!(matches!(home[..], [Seam::Refused]), word == Consent::NONE, "{home:?}");
        assert_eq!(world.stream("u1").devices_of(&"u1".into()), ["phone".into()], "the device is not theirs any more");
        // Whoever comes next is somebody else, signed in or not; they are not told of what u1 says from now on.
        let next = world.does("laptop", EventName::PageView, START_MS + 4_000);
        assert!(matches!(next[..], [Seam::Applied(_)]), "{next:?}");
        let laptop = world.stream("laptop");
        let words = laptop.words(&ShopperId::Visitor("laptop".into())).expect("it was told");
        assert_eq!((words.allow(None), words.signed_in), (Consent::FULL, None));
        assert!(!world.may_read("u1"), "whose word goes on to hold for them");
        assert_eq!(
            world.does("phone", EventName::PageView, START_MS + 5_000).last() == Some(&Seam::Refused),
            word == Consent::NONE
        );
        // Back as u1 it binds again.
        world.signs_in("laptop", "u1", START_MS + 6_000);
        let back = world.does("laptop", EventName::PageView, START_MS + 7_000);
        assert_eq!(back.last() == Some(&Seam::Refused), word == Consent::NONE, "{back:?}");
    }
}

#[test]
fn a_logout_of_nobody_is_refused_like_the_rest() {
    let mut world = World::new();
    let word = world.says(Some("v1"), None, Consent::NONE, START_MS);
    world.send(word);
    assert_eq!(world.does("v1", EventName::Logout, START_MS + 1_000), [Seam::Refused], "nobody was signed in");
    // What was said on the device before somebody signed in there is the device's, before and after.
    world.signs_in("v1", "u1", START_MS + 2_000);
    assert_eq!(world.does("v1", EventName::Logout, START_MS + 3_000).last(), Some(&Seam::Refused));
    assert_eq!(world.does("v1", EventName::PageView, START_MS + 4_000), [Seam::Refused]);
}

#[test]
fn the_later_word_holds_whichever_way_it_took() {
    let mut world = at_home();
    // Said first on the phone, but it is on its way for a while.
    let slow = world.says(Some("phone"), None, Consent::FULL, START_MS + 2_000);
    let word = world.says(Some("laptop"), None, Consent::NONE, START_MS + 3_000);
    world.send(word);
    let mut late = slow;
    late.occurred_at_ms = START_MS + 2_500;
    world.append(partition_of("phone", PARTITIONS), START_MS + 4_000, Record::Event(Box::new(late)));
    world.arrive(START_MS + 4_000);
    assert!(!world.may_read("u1"));
    for device in ["phone", "laptop"] {
        assert_eq!(world.does(device, EventName::PageView, START_MS + 5_000).last(), Some(&Seam::Refused), "{device}");
    }
}

/// Whoever brings back on a new device what they had withdrawn on another one is told of it there after their own word.
#[test]
fn what_is_brought_back_on_a_new_device_names_them_there() {
    let mut world = at_home();
    world.signs_in("phone", "u1", START_MS);
    let withdrawn = world.says(Some("phone"), None, Consent(0), START_MS + 1_000);
    world.send(withdrawn);
    world.does("laptop", EventName::PageView, START_MS + 1_500);
    let brought_back = world.says(Some("laptop"), Some("u1"), Consent::FULL, START_MS + 2_000);
    world.send(brought_back);
    let laptop = ShopperId::Visitor("laptop".into());
    assert!(world.stream("laptop").allowed_of(&laptop, Some(&"u1".into())).allows(Purpose::Personalization));
    assert!(world.may_read("u1"));
}

#[test]
fn a_user_has_so_many_devices() {
    let mut world = World::new();
    for number in 0..1_030 {
        world.signs_in(&format!("v{number}"), "u1", START_MS + number);
    }
    let devices = world.stream("u1").devices_of(&"u1".into());
    assert_eq!((devices.len(), world.stream("u1").counters().devices_dropped), (1_024, 6));
    assert_eq!(devices.first(), Some(&VisitorId::from("v6")), "the one that was heard least lately went");
}

#[test]
fn a_withdrawal_is_kept_longer_than_the_silence_that_it_brings() {
    const DAY_MS: i64 = 86_400_000;
    let mut world = at_home();
    world.signs_in("phone", "u1", START_MS);
    world.signs_in("laptop", "u1", START_MS);
    let no = world.says(Some("phone"), None, Consent::NONE, START_MS + 1);
    world.send(no);
    let ids = ["phone", "laptop", "u1"];
    let id = |id: &str| if id == "u1" { ShopperId::User(id.into()) } else { ShopperId::Visitor(id.into()) };
    let known = |world: &World| ids.map(|name| world.stream(name).words(&id(name)).is_some());
    assert_eq!(world.stream("laptop").words(&id("laptop")).unwrap().allow(None), Consent::NONE);
    assert_eq!(world.stream("laptop").restricted().map(|(who, _)| who.clone()).collect::<Vec<_>>(), [id("laptop")]);
    for (day, expected) in [(399, [true; 3]), (402, [false; 3])] {
        for name in ids {
            for number in 0..64 {
                // Nobody's: what they bring is that everybody is looked at.
                let mut tick = world.event(Some(name), None, EventName::PageView, START_MS + day * DAY_MS + number);
                tick.visitor_id = None;
                world.append(
                    partition_of(name, PARTITIONS),
                    START_MS + day * DAY_MS + number,
                    Record::Event(Box::new(tick)),
                );
            }
        }
        assert_eq!(known(&world), expected, "after {day} days");
    }
}

/// A word of some purposes alone, on this device, on another one of the same user, and by somebody who is nobody.
#[test]
fn a_word_of_one_purpose_leaves_the_others_as_they_were() {
    let of = |purpose: Purpose, allowed: bool| {
        Consent::FULL.with(purpose, allowed).leaving(Consent::FULL.with(purpose, false))
    };
    let mut world = at_home();
    let none = world.says(Some("phone"), None, Consent::NONE, START_MS + 10);
    world.send(none);
    for (step, visitor, word, may_read) in [
        (20, Some("phone"), of(Purpose::Marketing, false), false),
        (30, Some("laptop"), of(Purpose::Marketing, true), false),
        (40, None, Consent::FULL.leaving(Consent::FULL), false),
        (50, Some("laptop"), of(Purpose::Personalization, true), true),
        (60, Some("phone"), of(Purpose::Marketing, false), true),
        (70, Some("phone"), of(Purpose::Personalization, false), false),
        (80, Some("laptop"), of(Purpose::Analytics, false), false),
    ] {
        let word = world.says(visitor, visitor.is_none().then_some("u1"), word, START_MS + step);
        world.send(word);
        assert_eq!(world.may_read("u1"), may_read, "after {step}");
    }
    let last = world.evidence().rfind(|evidence| evidence.kind == "consent").expect("said");
    assert_eq!(last.purposes, Vec::<midsession_event::Str>::new(), "as it stands after the word");
    let somebody = ShopperId::Visitor("somebody".into());
    for (step, word, expected) in [
        (90, of(Purpose::Personalization, false), false),
        (91, of(Purpose::Marketing, false), false),
        (92, of(Purpose::Personalization, true), true),
    ] {
        let word = world.says(Some("somebody"), None, word, START_MS + step);
        world.send(word);
        let stream = world.stream("somebody");
        assert_eq!(stream.may_read(&somebody), expected, "after {step}");
    }
}
