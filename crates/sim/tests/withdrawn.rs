//! What derived topics say of who has withdrawn their consent.

use crate::http::Connection;
use crate::privacy::{Shop, on_the_log, values};
use crate::server::{Server, WRITE_KEY};
use serde_json::{Value, json};

/// The next person at the laptop of somebody who has withdrawn consent.
#[test]
fn a_logout_after_a_withdrawal_frees_the_device_and_says_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    for device in ["phone", "laptop"] {
        shop.send(json!({"name": "login", "visitor_id": device, "user_id": "u1"}));
    }
    shop.send(json!({"event_id": "no", "name": "consent", "visitor_id": "phone", "consent": "none"}));
    shop.send(
        json!({"event_id": "out", "name": "logout", "visitor_id": "laptop", "user_id": "u1", "session_id": "s-u1",
        "page": {"url": "https://shop.example/of-u1"}, "properties": {"note": "of-u1"}}),
    );
    let mut is_kept = false;
    for round in 0..500 {
        let id = format!("next-{round}");
        shop.send(json!({"event_id": id, "name": "product_view", "visitor_id": "laptop", "products": [{"id": "p1"}]}));
        is_kept = on_the_log(&data).contains(&(id, 15));
        if is_kept {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(is_kept, "who comes next has withdrawn nothing");
    let events = values("behavior", &data, &[]);
    let out: Vec<&Value> = events.iter().filter(|it| it.to_string().contains("\"out\"")).collect();
    assert!(!out.is_empty(), "the logout is on the log");
    for said in ["of-u1", "s-u1"] {
        assert!(out.iter().all(|it| !it.to_string().contains(said)), "{said} is in {out:?}");
    }
    let told = values("identity", &data, &[]);
    let left = told.iter().find(|it| it["visitor_id"] == "laptop" && !it["detached_at_ms"].is_null()).expect("told");
    assert!(left["user_id"].is_null(), "of nobody: {told:?}");
    // What is told of their visits from then on names nobody.
    let ends_without = |values: &[Value]| {
        let mut last: std::collections::BTreeMap<String, &Value> = std::collections::BTreeMap::new();
        for it in values.iter().filter(|it| it["session_id"].is_string()) {
            last.insert(it["session_id"].as_str().unwrap().to_owned(), it);
        }
        let of_state = |it: &&Value| it["state"] == "closed" && it["visitor_id"].is_null() && it["user_id"].is_null();
        (last.values().filter(|it| of_state(it)).count(), last.len())
    };
    let mut of_sessions = Vec::new();
    for _ in 0..1_000 {
        of_sessions = values("session", &data, &[]);
        if ends_without(&of_sessions).0 == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(ends_without(&of_sessions).0, 2, "the phone's and the laptop's: {of_sessions:?}");
    let closed = of_sessions.iter().filter(|it| it["visitor_id"].is_null());
    assert!(
        closed.clone().all(|it| it["events"] == 0 && it["started_at_ms"] == 0),
        "nor what they did: {of_sessions:?}"
    );
    assert!(closed.count() >= 2);
    // Theirs goes on to hold, where they are signed in and for the shop's server.
    shop.send(json!({"event_id": "p", "name": "product_view", "visitor_id": "phone", "products": [{"id": "p1"}]}));
    shop.send(json!({"event_id": "s", "name": "order_paid", "user_id": "u1"}));
    assert!(on_the_log(&data).iter().all(|(id, _)| id != "p" && id != "s"));
    assert_eq!(shop.admin("GET", "/v1/features/user/u1").0, 404);
}

/// Somebody signs in where somebody else is signed in who has withdrawn on that very device, and accepts all.
#[test]
fn what_the_next_person_says_gives_nothing_back_to_who_withdrew_there() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    for word in ["none", "cookieless"] {
        let [kiosk, phone, ann, ben] = ["kiosk", "phone", "ann", "ben"].map(|who| format!("{who}-{word}"));
        for device in [&phone, &kiosk] {
            shop.send(json!({"name": "login", "visitor_id": device, "user_id": ann}));
        }
        shop.send(json!({"name": "consent", "visitor_id": kiosk, "consent": word}));
        let read = |shop: &mut Shop, user: &str| shop.admin("GET", &format!("/v1/features/user/{user}")).0;
        let becomes = |shop: &mut Shop, user: &str, status: u16| {
            (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                read(shop, user) == status
            })
        };
        assert!(becomes(&mut shop, &ann, 404), "{word}");
        shop.send(json!({"name": "login", "visitor_id": kiosk, "user_id": ben, "properties": {"note": "of-ben"}}));
        shop.send(json!({"name": "consent", "visitor_id": kiosk, "consent": "full"}));
        shop.send(json!({"name": "product_view", "visitor_id": kiosk, "products": [{"id": "p1"}]}));
        assert!(becomes(&mut shop, &ben, 200), "{word}: what he says is for him");
        assert_eq!(read(&mut shop, &ann), 404, "{word}: and not for her");
        let (_, identity) = shop.admin("GET", &format!("/v1/identity/{kiosk}"));
        assert_eq!(identity["user_id"], ben.as_str(), "{word}");
        let governance = values("governance", &data, &[]);
        let of_ann = governance.iter().filter(|it| it["user_id"] == ann.as_str());
        assert!(of_ann.clone().all(|it| it["purposes"].as_array().unwrap().len() < 2), "{word}: {governance:?}");
        let identities = values("identity", &data, &[]);
        let last = |device: &str| identities.iter().rfind(|it| it["visitor_id"] == device).unwrap();
        assert!(last(&phone)["user_id"].is_null(), "{word}: told when she withdrew: {identities:?}");
    }
    let events = values("behavior", &data, &[]);
    assert!(events.iter().all(|it| !it.to_string().contains("of-ben")), "that he is there is all that was kept");
}

/// A shopper who refuses in the banner of somebody else's tool, told by that tool's own event.
#[test]
fn what_is_refused_in_a_consent_tool_stays_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, None);
    let mut collector = Connection::open(&server.collector).unwrap();
    let mut post = |path: &str, body: Value| {
        let (status, answer) = collector.ask("POST", path, &[], &body.to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
    };
    let track = |id: &str, event: &str, context: Value| {
        json!({"writeKey": WRITE_KEY, "type": "track", "messageId": id, "anonymousId": "by-segment", "event": event,
            "properties": {"product_id": "p1"}, "context": context})
    };
    let snowplow = |number: u32, more: Value| {
        let mut event = json!({"e": "pv", "p": "web", "tv": "js-4", "duid": "by-snowplow",
            "eid": format!("f59777c7-c2ac-4286-bc07-e6e00eff01{number:02}")});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [event]})
    };
    let tp2 = format!("/com.snowplowanalytics.snowplow/tp2?key={WRITE_KEY}");
    let read = |visitor: &str, status: u16| {
        let path = format!("/v1/features/user/{visitor}");
        let is_so = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            server.ask_admin("GET", &path, "").0 == status
        });
        assert!(is_so, "{visitor} is not {status}");
    };
    post("/v1/track", track("m1", "Product Viewed", json!({})));
    post(&tp2, snowplow(1, json!({})));
    read("by-segment", 200);
    read("by-snowplow", 200);
    let refused =
        json!({"consent": {"categoryPreferences": {"C0001": true, "C0002": false, "C0003": false, "C0004": false}}});
    post("/v1/track", track("m2", "Segment Consent Preference Updated", refused));
    let denied = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": "iglu:com.snowplowanalytics.snowplow/consent_preferences/jsonschema/1-0-0",
            "data": {"eventType": "deny_all", "basisForProcessing": "consent", "consentUrl": "https://shop.example/privacy",
                "consentVersion": "7", "consentScopes": ["necessary"], "domainsApplied": ["shop.example"]}}});
    post(&tp2, snowplow(2, json!({"e": "ue", "ue_pr": denied.to_string()})));
    read("by-segment", 404);
    read("by-snowplow", 404);
    // What comes next says nothing itself.
    post("/v1/track", track("m3", "Product Viewed", json!({})));
    post(&tp2, snowplow(3, json!({})));
    let mut kept: Vec<(String, i64)> = on_the_log(&data);
    kept.sort();
    let kept: Vec<String> = kept.iter().map(|(id, consent)| format!("{id} {consent}")).collect();
    let ids = ["f59777c7-c2ac-4286-bc07-e6e00eff0101 15", "f59777c7-c2ac-4286-bc07-e6e00eff0102 0", "m1 15", "m2 0"];
    assert_eq!(kept, ids);
    let evidence = values("governance", &data, &[]);
    for (visitor, policy) in [("by-segment", Value::Null), ("by-snowplow", json!("7"))] {
        let said = evidence.iter().find(|it| it["kind"] == "consent" && it["visitor_id"] == visitor).expect("evidence");
        assert_eq!((&said["purposes"], &said["policy_version"]), (&json!([]), &policy), "{evidence:?}");
    }
    server.kill();
}
