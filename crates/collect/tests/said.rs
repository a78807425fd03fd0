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
        ("logout", &full, json!("none")),
        ("logout", &full, json!("cookieless")),
        ("logout", &full, json!({"personalization": false})),
        ("logout", &counts, Value::Null),
        ("logout", &none, Value::Null),
        ("login", &full, json!("none")),
        ("login", &counts, Value::Null),
    ] {
        for collector in [shop(default.clone()), shop(default.clone()).keeping_to(Arc::new(Known))] {
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
    let left = send(&shop(counts.clone()), &event("out-customer-7", "logout", "v1", "customer-7", &Value::Null));
    assert_eq!(kept(&left), [("out-v1", 0, false)]);
    // Of who has withdrawn and is signed in nowhere, and of a device that is not named, there is nothing to know.
    let known = shop(full.clone()).keeping_to(Arc::new(Known));
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
    // With the cookie, too; and nothing else.
    for (name, count) in [("logout", 1), ("login", 1), ("page_view", 0), ("consent", 0)] {
        let body = event("e", name, "v1", "u1", &json!("full")).to_string();
        let call = Call::post(&format!("/v1/events?key={KEY}"), body).header("cookie", "doNotTrack=1");
        let collected = call.to(&shop(full.clone()));
        assert_eq!((collected.events.len(), collected.dropped_no_consent()), (count, 1 - count), "{name}");
        assert!(collected.events.iter().all(|it| it.name == EventName::Logout && it.user_id.is_none()));
    }
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
