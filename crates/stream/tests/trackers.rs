//! The session id of a tracker leads to a session that carries it, whatever becomes of others that do.

mod support;

use midsession_event::{Campaign, Event, EventName, PartitionId, Record, SessionId, SessionState};
use midsession_machine::Effect;
use midsession_stream::{Config, Seam, Stream};
use support::Nothing;

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

/// One partition, at home in which everybody is.
struct World {
    stream: Stream,
    next: i64,
    /// In the ids of events, which those of sessions come from.
    round: i64,
}

/// Who sends an event, as which user, and the session id of their tracker.
type Who<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

impl World {
    fn new(round: i64) -> Self {
        Self { stream: Stream::new(PartitionId(0), Config { partitions: 1, ..Config::default() }), next: 0, round }
    }

    fn append(&mut self, at_ms: i64, record: Record) -> Option<Seam> {
        let mut out = Vec::new();
        let offset = self.next;
        self.next += 1;
        let seam = self.stream.on_record(offset, at_ms, record, &Nothing, &mut out);
        for effect in out {
            match effect {
                Effect::Handoff(handoff) => _ = self.append(at_ms, Record::Handoff(handoff)),
                Effect::Forward(forward) => return self.append(at_ms, Record::Forward(forward)),
                Effect::Recall(recall) => _ = self.append(at_ms, Record::Recall(recall)),
                _ => {}
            }
        }
        seam
    }

    /// Something done at one minute that arrives at another.
    fn sends(&mut self, (visitor, user, tracker): Who<'_>, minute: i64, at: i64) -> SessionId {
        let name = if user.is_some() { EventName::Login } else { EventName::PageView };
        let mut event =
            Event::new("shop".into(), format!("e{}-{}", self.round, self.next).into(), name, START + minute * MINUTE);
        (event.visitor_id, event.user_id) = (Some(visitor.into()), user.map(Into::into));
        event.tracker_session_id = tracker.map(Into::into);
        event.campaign = Some(Campaign { name: Some(format!("of minute {minute}").into()), ..Campaign::default() });
        match self.append(START + at * MINUTE, Record::Event(Box::new(event))) {
            Some(Seam::Applied(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// The session that an id leads to, now and after a restart from a snapshot.
    fn found(&mut self, tracker: &str) -> Option<SessionId> {
        let found = self.stream.resolve_tracker_session(tracker);
        let snapshot = self.stream.whole_snapshot().expect("writes");
        let config = Config { partitions: 1, ..Config::default() };
        let restored = Stream::restore(PartitionId(0), config, snapshot.as_slice()).expect("reads");
        assert_eq!(restored.resolve_tracker_session(tracker), found, "after a restart");
        let now_ms = self.stream.as_of().1;
        Some(self.stream.session_view(found?, now_ms)?.session?.id)
    }
}

#[test]
fn of_several_it_leads_to_the_one_that_was_heard_of_last() {
    let mut world = World::new(0);
    let one = world.sends(("v1", None, Some("t")), 0, 0);
    let other = world.sends(("v2", None, Some("t")), 1, 1);
    assert_eq!(world.found("t"), Some(other));
    world.sends(("v1", None, Some("t")), 2, 2);
    assert_eq!(world.found("t"), Some(one), "it carried it all the time");
    world.sends(("v2", None, Some("t")), 3, 3);
    world.sends(("v2", None, Some("t2")), 4, 4);
    assert_eq!((world.found("t"), world.found("t2")), (Some(one), Some(other)), "the other one takes another id");
    world.sends(("v1", None, Some("t3")), 5, 5);
    assert_eq!(
        (world.found("t"), world.found("t2")),
        (Some(one), Some(other)),
        "nobody carries it, this one was heard last"
    );
}

/// A login that opens a visit while the one before it is idle still brings both to the user at once.
#[test]
fn of_two_that_a_login_brings_it_leads_to_the_later_one() {
    for round in 0..16 {
        let mut world = World::new(round);
        let before = world.sends(("v1", None, Some("t")), 0, 0);
        let login = world.sends(("v1", Some("u1"), Some("t")), 31, 31);
        assert_ne!(before, login);
        assert_eq!(world.found("t"), Some(login), "{round}");
    }
}

#[test]
fn a_tracker_that_begins_another_one_is_found_by_both() {
    let mut world = World::new(0);
    let session = world.sends(("v1", None, Some("a")), 0, 0);
    world.sends(("v1", None, Some("b")), 2, 2);
    world.sends(("v1", None, Some("a")), 1, 3);
    world.sends(("v1", None, Some("late")), 1, 3);
    let now = |world: &World| {
        let view = world.stream.session_view(session, START + 3 * MINUTE).expect("there");
        view.session.expect("there").tracker_session_id.clone()
    };
    assert_eq!(now(&world).as_deref(), Some("b"), "of the event that is its last");
    for tracker in ["a", "b", "late"] {
        assert_eq!(world.found(tracker), Some(session), "{tracker}");
    }
    assert_eq!(world.sends(("v1", Some("u1"), None), 3, 3), session);
    for tracker in ["a", "b", "late"] {
        assert_eq!(world.found(tracker), Some(session), "{tracker} goes along to the user");
    }
    for number in 0..100 {
        world.sends(("v1", None, Some(&format!("made up {number}"))), 4, 4);
    }
    let found = (0..100).filter(|number| world.found(&format!("made up {number}")) == Some(session)).count();
    assert_eq!((found, world.found("made up 99"), world.found("b")), (8, Some(session), None));
}

#[test]
fn it_leads_to_the_one_that_is_left() {
    for stays in [0, 1] {
        let mut world = World::new(0);
        let visitors = ["v1", "v2"];
        let sessions = visitors.map(|visitor| world.sends((visitor, None, Some("t")), 0, 0));
        // The other one is forgotten half a day after it was closed.
        for round in 1..50 {
            world.sends((visitors[stays], None, Some("t")), round * 20, round * 20);
            assert_eq!(world.found("t"), Some(sessions[stays]), "{round}");
        }
        let now_ms = world.stream.as_of().1;
        assert!(world.stream.session_view(sessions[1 - stays], now_ms).is_none(), "it is forgotten");
    }
}

#[test]
fn it_goes_along_to_the_user() {
    let mut world = World::new(0);
    let session = world.sends(("v1", None, Some("t")), 0, 0);
    assert_eq!(world.sends(("v1", Some("u1"), None), 1, 1), session);
    assert_eq!(world.found("t"), Some(session));
}

#[test]
fn of_a_merge_it_leads_to_the_survivor_which_is_as_the_first_of_them_began() {
    for (first, second) in [(Some("t"), None), (None, Some("t")), (Some("t"), Some("u"))] {
        let mut smaller = [0, 0];
        for round in 0..16 {
            let mut world = World::new(round);
            let one = world.sends(("v1", None, first), 0, 0);
            let other = world.sends(("v1", None, second), 31, 31);
            assert_ne!(one, other);
            let bridged = world.sends(("v1", None, None), 15, 31);
            assert_eq!(bridged, one.min(other));
            smaller[usize::from(bridged == other)] += 1;
            for tracker in [first, second].into_iter().flatten() {
                assert_eq!(world.found(tracker), Some(bridged), "{tracker}");
            }
            let view = world.stream.session_view(bridged, START + 31 * MINUTE).expect("there");
            let session = view.session.expect("there");
            let campaign = session.campaign.as_ref().map(|campaign| campaign.text.as_str());
            assert_eq!((session.state, campaign), (SessionState::Open, Some("of minute 0")));
        }
        assert!(smaller.into_iter().all(|count| count > 0), "{smaller:?}");
    }
}
