//! Whose an event is for a day, where the shopper allows no id that lasts.

use crate::help::{Call, DESKTOP, KEY, NOW_MS, collector_of, one, source};
use midsession_collect::{Collected, Collector, ConsentMode, Protocol, Request, Source};
use midsession_event::Event;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn cookieless() -> Collector {
    collector_of(vec![Source { allowed_origins: None, consent_default: ConsentMode::Cookieless, ..source() }])
}

fn visitor(event: &Event) -> String {
    let id = event.visitor_id.as_ref().expect("a visitor of the day").to_string();
    assert!(id.starts_with("c_") && event.user_id.is_none() && event.tracker_session_id.is_none(), "{event:?}");
    id
}

/// A line of a file: without address and agent.
fn import(event: &Value, salt: u8) -> Collected {
    let body = event.to_string();
    let request = Request {
        method: "POST",
        path: "",
        query: "",
        headers: &[],
        body: body.as_bytes(),
        peer_ip: None,
        received_at_us: NOW_MS * 1_000,
        daily_salt: Some([salt; 32]),
    };
    cookieless().import(Protocol::Native, &request, &mut || 7)
}

fn imported(event: &Value) -> Event {
    one(&import(event, 9)).clone()
}

/// A call of Segment's library beside the shop's server.
fn by_server(call: &Value) -> Event {
    let call = Call::post("/v1/track", call.to_string())
        .header("authorization", "Basic d2tfc2hvcDo=")
        .header("user-agent", "analytics-node/3.0.13");
    one(&call.to(&cookieless())).clone()
}

#[test]
fn shoppers_of_a_file_stay_apart() {
    let event = |number: u8, visitor: u8, session: u8| json!({"event_id": format!("e{number}"), "name": "x", "visitor_id": format!("v{visitor}"), "session_id": format!("s{session}")});
    let visitors: BTreeSet<String> =
        (0..200).map(|number| visitor(&imported(&event(number, number, number)))).collect();
    assert_eq!(visitors.len(), 200);
    let first = visitor(&imported(&event(1, 1, 1)));
    assert_eq!(visitor(&imported(&event(2, 1, 1))), first, "a visit is one visitor's");
    assert_ne!(visitor(&imported(&event(3, 2, 1))), first, "sessions are numbered by the second in some trackers");
    assert_ne!(visitor(one(&import(&event(1, 1, 1), 8))), first, "not beyond the day");
}

#[test]
fn shoppers_behind_a_server_stay_apart() {
    let call = |number: u8, context: Value| json!({"event": "x", "messageId": "m", "anonymousId": format!("anonymous-{number}"), "context": context});
    let events: Vec<Event> = (0..150).map(|number| by_server(&call(number, json!({})))).collect();
    assert_eq!(events.iter().map(visitor).collect::<BTreeSet<_>>().len(), 150);
    assert!(events.iter().all(|event| !event.bot && event.device.is_none()), "a server is no shopper's robot");
    assert_eq!(visitor(&by_server(&call(0, json!({})))), visitor(&events[0]));
    // One half of a device is many people's.
    for half in [json!({"ip": "192.0.2.9"}), json!({"userAgent": DESKTOP})] {
        assert_ne!(visitor(&by_server(&call(1, half.clone()))), visitor(&by_server(&call(2, half))));
    }
    let whole = json!({"ip": "192.0.2.7", "userAgent": DESKTOP});
    let known = visitor(&by_server(&call(1, whole.clone())));
    assert_eq!(visitor(&by_server(&call(2, whole))), known, "who is known by address and agent is so still");
    let own = json!({"event_id": "e", "name": "x", "visitor_id": "v1", "session_id": "s1"});
    let call = Call::post(&format!("/v1/events?key={KEY}"), own.to_string());
    assert_eq!(visitor(one(&call.to(&cookieless()))), known, "as if it had come from the browser");
    // A user is not thrown together with others, and a login does not cut a visit in two.
    let of = |who: Value| {
        let mut event = json!({"event": "x", "messageId": "m"});
        event.as_object_mut().expect("an object").extend(who.as_object().expect("an object").clone());
        visitor(&by_server(&event))
    };
    assert_ne!(of(json!({"userId": "u1"})), of(json!({"userId": "u2"})));
    assert_eq!(of(json!({"userId": "u1", "anonymousId": "a1"})), of(json!({"anonymousId": "a1"})));
}

#[test]
fn who_is_told_by_nothing_stands_alone() {
    let event = |id: &str| json!({"event_id": id, "name": "x"});
    assert_ne!(visitor(&imported(&event("e1"))), visitor(&imported(&event("e2"))));
    assert_eq!(visitor(&imported(&event("e1"))), visitor(&imported(&event("e1"))), "a repeat is one");
}

#[test]
fn an_agent_that_a_pipeline_wrote_down_is_no_shoppers() {
    let call = |number: u8| {
        let context = json!({"ip": "192.0.2.9", "userAgent": "python-requests/2.32.3"});
        json!({"event": "x", "messageId": "m", "anonymousId": format!("a{number}"), "context": context})
    };
    assert_ne!(visitor(&by_server(&call(1))), visitor(&by_server(&call(2))));
}

/// An id that lasts would last in a property as well.
#[test]
fn the_ids_are_nowhere_else() {
    let event = imported(&json!({
        "event_id": "e1", "name": "x", "visitor_id": "visitor-1", "user_id": "customer-7", "session_id": "session-3",
        "page": {"url": "https://shop.example/account/customer-7", "title": "Hello customer-7"},
        "properties": {"who": "customer-7", "device": "of visitor-1", "visit": "session-3", "size": 4},
    }));
    let text = serde_json::to_string(&event).expect("JSON");
    for id in ["visitor-1", "customer-7", "session-3"] {
        assert!(!text.contains(id), "{id} is in {text}");
    }
}
