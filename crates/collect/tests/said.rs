//! What was said on consent before: in force, and earlier in the same request.

use crate::help::{Call, KEY, collector_of, source};
use midsession_collect::{Collected, Collector, ConsentInForce, ConsentMode, InForce, PersonalRule, Source};
use midsession_event::{Consent, Event, EventName, UserId, VisitorId};
use serde_json::{Value, json};
use std::sync::Arc;

/// `out` has withdrawn on their device, which is nobody's; `of-out` is who has withdrawn on another one; `in` is one on which
/// somebody is signed in who has.
pub struct Known;

impl ConsentInForce for Known {
    fn is_empty(&self) -> bool {
        false
    }

    fn of(&self, visitor: Option<&VisitorId>, user: Option<&UserId>) -> InForce {
        let is_out = visitor.is_some_and(|id| ["out", "in"].contains(&id.as_str()));
        let of_out = user.is_some_and(|id| id.as_str() == "of-out");
        let is_refused = is_out || of_out && visitor.is_none();
        let is_attached = visitor.is_some_and(|id| id.as_str() == "in");
        InForce {
            consent: if is_refused { Consent::NONE } else { Consent::FULL },
            said: (is_refused || of_out).then_some(Consent::NONE),
            is_tie: of_out && visitor.is_some(),
            is_attached,
            is_other: is_attached && user.is_some_and(|id| id.as_str() != "of-in"),
        }
    }
}

pub fn shop(consent_default: ConsentMode) -> Collector {
    let source = Source { allowed_origins: None, consent_default, personal_fields: PersonalRule::Encrypt, ..source() };
    collector_of(vec![source])
}

fn send(collector: &Collector, events: &Value) -> Collected {
    Call::post(&format!("/v1/events?key={KEY}"), events.to_string()).to(collector)
}

fn event(id: &str, name: &str, visitor: &str, user: &str, consent: &Value) -> Value {
    let mut event = json!({"event_id": id, "name": name, "session_id": "s1", "consent": consent,
        "properties": {"email": "jane@example.com", "plan": "gold"}});
    for (of, who) in [("visitor_id", visitor), ("user_id", user)] {
        if !who.is_empty() {
            event[of] = who.into();
        }
    }
    event
}

/// Ids, consents and whether something is left of what was told, of the events that were kept.
fn kept(collected: &Collected) -> Vec<(&str, i32, bool)> {
    assert!(collected.rejects.is_empty(), "{:?}", collected.rejects);
    let of = |it: &Event| it.consent.and(Consent::FULL).0;
    collected.events.iter().map(|it| (it.event_id.as_str(), of(it), !it.properties.is_empty())).collect()
}

#[test]
fn that_somebody_leaves_is_kept_whatever_they_allow() {
    let (full, counts, none) = (ConsentMode::Full, ConsentMode::Cookieless, ConsentMode::None);
    for (name, default, consent) in [
        ("logout", full, json!("none")),
        ("logout", full, json!("cookieless")),
        ("logout", full, json!({"personalization": false})),
        ("logout", counts, Value::Null),
        ("logout", none, Value::Null),
        ("login", full, json!("none")),
        ("login", counts, Value::Null),
    ] {
        for collector in [shop(default), shop(default).keeping_to(Arc::new(Known))] {
            let told = event("e-u1-s1", name, "v1", "u1", &consent);
            let collected = send(&collector, &told);
            assert_eq!(kept(&collected), [("e-u1-s1", 0, false)], "{told}");
            let [left] = &collected.events[..] else { panic!("{told}") };
            assert_eq!(left.name, EventName::Logout, "{told}");
            assert_eq!(left.visitor_id, Some("v1".into()), "{told}");
            assert!(left.user_id.is_none() && left.tracker_session_id.is_none(), "{told}");
            assert!(collected.personal.is_empty(), "{told}");
        }
    }
    // Nor does an id of theirs stand in the event's own.
    let left = send(&shop(counts), &event("out-customer-7", "logout", "v1", "customer-7", &Value::Null));
    assert_eq!(kept(&left), [("out-v1", 0, false)]);
    // Of who has withdrawn and is signed in nowhere, and of a device that is not named, there is nothing to know.
    let known = shop(full).keeping_to(Arc::new(Known));
    for (name, visitor, user) in [
        ("logout", "out", ""),
        ("login", "out", "u1"),
        ("login", "in", "of-in"),
        ("logout", "", "u1"),
        ("login", "", "u1"),
        ("page_view", "v1", "u1"),
    ] {
        let told = event("e", name, visitor, user, &json!("none"));
        assert_eq!(kept(&send(&known, &told)), [], "{told}");
    }
    let left = send(&known, &event("e", "logout", "in", "", &Value::Null));
    assert_eq!(left.events[0].visitor_id, Some("in".into()));
    // Somebody else where who has withdrawn is signed in is told by name, as that ends their stay.
    let other = send(&known, &event("e", "login", "in", "u2", &Value::Null));
    assert_eq!((&other.events[0].name, other.events[0].user_id.clone()), (&EventName::Login, Some("u2".into())));
    // Who may not be named is there all the same: the stay is over, by whatever they are named.
    for consent in ["none", "cookieless"] {
        let over = send(&known, &event("e", "page_view", "in", "u2", &consent.into()));
        assert_eq!(kept(&over), [("e", 0, false)]);
        assert_eq!((&over.events[0].name, over.events[0].user_id.clone()), (&EventName::Logout, None));
    }
    // With the cookie, too; and nothing else.
    for (name, count) in [("logout", 1), ("login", 1), ("page_view", 0), ("consent", 0)] {
        let body = event("e", name, "v1", "u1", &json!("full")).to_string();
        let call = Call::post(&format!("/v1/events?key={KEY}"), body).header("cookie", "doNotTrack=1");
        let collected = call.to(&shop(full));
        assert_eq!((collected.events.len(), collected.dropped_no_consent()), (count, 1 - count), "{name}");
        assert!(collected.events.iter().all(|it| it.name == EventName::Logout && it.user_id.is_none()));
    }
}

/// What was withdrawn under an id holds where that is written otherwise: by a source that hashes ids, or no longer does.
#[test]
fn a_refusal_holds_in_whichever_form_an_id_is_written() {
    struct Refused(Vec<String>);
    impl ConsentInForce for Refused {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        fn of(&self, visitor: Option<&VisitorId>, user: Option<&UserId>) -> InForce {
            let ids = [visitor.map(|id| id.as_str()), user.map(|id| id.as_str())];
            let is_out = ids.into_iter().flatten().any(|id| self.0.iter().any(|out| out == id));
            let consent = if is_out { Consent::NONE } else { Consent::FULL };
            InForce { consent, said: None, is_tie: false, is_attached: false, is_other: false }
        }
    }
    let sources = || {
        let of = |key: &str, hash_ids: bool| Source {
            name: key.into(),
            write_key: key.into(),
            allowed_origins: None,
            hash_ids,
            ..source()
        };
        vec![of("plain", false), of("hashing", true)]
    };
    let view = event("e", "page_view", "v1", "u1", &Value::Null);
    let send = |collector: &Collector, key: &str| {
        Call::post(&format!("/v1/events?key={key}"), view.to_string()).to(collector).events
    };
    let hashed = send(&collector_of(sources()), "hashing");
    let forms = |of: fn(&Event) -> String, plain: &str| [plain.to_owned(), of(&hashed[0])];
    let visitors = forms(|event| event.visitor_id.as_ref().expect("named").to_string(), "v1");
    let users = forms(|event| event.user_id.as_ref().expect("named").to_string(), "u1");
    for id in visitors.into_iter().chain(users) {
        let collector = collector_of(sources()).keeping_to(Arc::new(Refused(vec![id.clone()])));
        for key in ["plain", "hashing"] {
            assert_eq!(send(&collector, key).len(), 0, "{id} through {key}");
            // Nor are the bytes kept of an event of theirs that can't be read.
            let mut broken = view.clone();
            broken["name"] = 7.into();
            let refused = Call::post(&format!("/v1/events?key={key}"), broken.to_string()).to(&collector).rejects;
            assert!(refused.len() == 1 && refused[0].reject.payload.is_empty(), "{id} through {key}");
        }
    }
    let collector = collector_of(sources()).keeping_to(Arc::new(Refused(vec!["v2".into()])));
    assert!(["plain", "hashing"].iter().all(|key| send(&collector, key).len() == 1));
}

#[test]
fn who_wants_no_id_is_no_device() {
    let schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4";
    let unstruct = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": "iglu:com.acme/logout/jsonschema/1-0-0", "data": {}}});
    let data = json!({"schema": schema, "data": [{"e": "ue", "p": "web", "tv": "js-4", "aid": "shop", "duid": "v1",
        "eid": "0d3a4b5c-6f7e-4a01-9b2c-3d4e5f607182", "ue_pr": unstruct.to_string()}]});
    let call = Call::post("/com.snowplowanalytics.snowplow/tp2", data.to_string()).header("sp-anonymous", "*");
    let collected = call.to(&shop(ConsentMode::Full));
    assert!(collected.events.iter().all(|it| it.visitor_id != Some("v1".into())), "{:?}", collected.events);
}

#[test]
fn a_word_holds_for_the_later_events_of_its_request() {
    let say = |id: &str, visitor: &str, user: &str, consent: Value| event(id, "consent", visitor, user, &consent);
    let act = |id: &str, visitor: &str, user: &str| event(id, "sign_up", visitor, user, &Value::Null);
    let full = || shop(ConsentMode::Full);
    let ids = |collector: &Collector, events: Value| -> Vec<(String, i32)> {
        kept(&send(collector, &events)).into_iter().map(|(id, consent, _)| (id.to_owned(), consent)).collect()
    };
    let expect = |expected: &[(&str, i32)]| -> Vec<(String, i32)> {
        expected.iter().map(|(id, consent)| ((*id).to_owned(), *consent)).collect()
    };
    // What was refused: for the device, and for the person.
    let events = json!([
        act("a", "v1", "u1"),
        say("no", "v1", "u1", "none".into()),
        act("b", "v1", ""),
        act("c", "v1", "u2"),
        act("d", "", "u1"),
        act("e", "v2", "u1"),
        act("f", "v2", ""),
        act("g", "", "u2")
    ]);
    assert_eq!(ids(&full(), events.clone()), expect(&[("a", 15), ("no", 0), ("f", 15), ("g", 15)]));
    let collected = send(&full(), &events);
    assert_eq!(collected.personal.iter().map(|it| it.event).collect::<Vec<_>>(), [0, 2, 3], "nor what is personal");
    let events = json!([
        say("no", "v1", "", "cookieless".into()),
        act("b", "v1", ""),
        event("c", "page_view", "v1", "", &json!("full"))
    ]);
    assert_eq!(ids(&full(), events), expect(&[("no", 1), ("b", 1), ("c", 1)]));
    // That they leave is heard still, and that they are who signs in elsewhere.
    let events = json!([
        say("no", "v1", "u1", "none".into()),
        act("b", "v1", ""),
        event("out", "logout", "v1", "u1", &Value::Null)
    ]);
    assert_eq!(ids(&full(), events), expect(&[("no", 0), ("out", 0)]));
    let events = json!([say("no", "", "u1", "none".into()), event("in", "login", "v1", "u1", &Value::Null)]);
    let tied = send(&full(), &events);
    assert_eq!(kept(&tied), [("no", 0, false), ("in", 15, false)]);
    assert_eq!(tied.events[1].user_id, Some("u1".into()));
    // With a word in passing it is what both allow.
    let events = json!([
        say("some", "v1", "", json!({"marketing": false})),
        act("b", "v1", ""),
        event("c", "page_view", "v1", "", &json!({"experiments": false}))
    ]);
    assert_eq!(ids(&full(), events), expect(&[("some", 7), ("b", 7), ("c", 3)]));
    // Of two words on some purposes the second leaves what the first has said.
    let events = json!([
        say("no", "v1", "", "none".into()),
        say("some", "v1", "", json!({"marketing": true})),
        act("b", "v1", "")
    ]);
    assert_eq!(ids(&full(), events), expect(&[("no", 0), ("some", 8)]));
    let events = json!([say("no", "v1", "", "none".into()), say("yes", "v1", "", "full".into()), act("b", "v1", "")]);
    assert_eq!(ids(&full(), events), expect(&[("no", 0), ("yes", 15), ("b", 15)]));
    // What was granted takes the place of what was withdrawn before, for whoever granted it.
    let known = full().keeping_to(Arc::new(Known));
    let events = json!([
        act("a", "out", "u1"),
        say("yes", "out", "u1", "full".into()),
        act("b", "out", ""),
        act("c", "out", "u1"),
        act("d", "out", "u2")
    ]);
    assert_eq!(ids(&known, events), expect(&[("yes", 15), ("b", 15), ("c", 15)]));
    let events = json!([say("yes", "v1", "of-out", "full".into()), act("b", "v1", "of-out"), act("c", "", "of-out")]);
    assert_eq!(ids(&known, events), expect(&[("yes", 15), ("b", 15)]));
    let events = json!([say("yes", "", "of-out", "full".into()), act("b", "", "of-out")]);
    assert_eq!(ids(&known, events), expect(&[("yes", 15), ("b", 15)]));
    // And goes beyond the default until they leave.
    let none = shop(ConsentMode::None);
    let events = json!([
        say("yes", "v1", "u1", json!({"analytics": true, "personalization": true})),
        act("b", "v1", ""),
        act("c", "v1", "u2"),
        act("d", "v2", "u1"),
        event("out", "logout", "v1", "", &Value::Null),
        act("f", "v1", "")
    ]);
    assert_eq!(ids(&none, events), expect(&[("yes", 3), ("b", 3), ("out", 3)]));
    let events = json!([
        say("yes", "v1", "", "full".into()),
        event("in", "login", "v1", "u1", &Value::Null),
        act("b", "v1", "")
    ]);
    assert_eq!(ids(&none, events), expect(&[("yes", 15), ("in", 15), ("b", 15)]), "they sign in");
}

#[test]
fn segments_words_hold_in_a_batch() {
    let refusing = json!({"consent": {"categoryPreferences": {"Analytics": false, "Functional": false}}});
    let call = |id: &str, event: &str, context: &Value| {
        json!({"type": "track", "event": event, "anonymousId": "v1", "messageId": id,
        "context": context, "properties": {"email": "jane@example.com"}})
    };
    let word = call("no", "consent", &refusing);
    let body = json!({"batch": [word, call("b", "Product Viewed", &json!({})), call("c", "Signed Up", &json!({}))]});
    let call = Call::post("/v1/batch", body.to_string()).header("authorization", "Basic d2tfc2hvcDo=");
    let collected = call.to(&shop(ConsentMode::Full));
    let kept: Vec<&str> = collected.events.iter().map(|it| it.event_id.as_str()).collect();
    assert_eq!((kept, collected.personal.len()), (vec!["no"], 0), "{:?}", collected.events);
}
