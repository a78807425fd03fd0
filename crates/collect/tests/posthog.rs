//! PostHog's SDKs, by what they really sent.

use crate::help::*;
use midsession_collect::Protocol;
use midsession_event::{Consent, EventName};

const JOURNEY: [&str; 11] = [
    "search",
    "list_view",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "checkout_step",
    "checkout_step",
    "transaction",
    "refund",
    "promo_view",
    "Song Played",
];

fn play(folder: &str) -> Vec<midsession_event::Event> {
    let mut events = Vec::new();
    for (file, call) in fixtures(folder) {
        let collected = call.to(&open_collector());
        assert_eq!((collected.protocol, collected.reply.status), (Some(Protocol::PostHog), 200), "{file}");
        assert!(collected.rejects.is_empty(), "{file}: {:?}", collected.rejects);
        if call.method == "POST" && !call.path.starts_with("/flags") {
            let json = json_of(&call);
            let sent: Vec<_> =
                json["batch"].as_array().expect("events").iter().map(|event| event["uuid"].as_str()).collect();
            let ids: Vec<_> = collected.events.iter().map(|event| Some(event.event_id.as_str())).collect();
            assert_eq!(ids, sent, "{file}");
        }
        events.extend(collected.events);
    }
    for event in &events {
        let text = serde_json::to_string(event).expect("JSON");
        for personal in ["jane", "Jane", "Elm", "1234567", "secret", "wk_shop"] {
            assert!(!text.contains(personal), "{folder}: {personal} in {text}");
        }
    }
    events
}

#[test]
fn in_the_browser() {
    let mut events = play("posthog-browser");
    let device = events[0].visitor_id.clone();
    assert!(device.is_some() && events.iter().all(|event| event.visitor_id == device), "the device stays the visitor");
    assert!(events.iter().all(|event| event.tracker_session_id == events[0].tracker_session_id));
    // Requests overtake each other ($identify arrives before what came earlier): by time they are in order.
    events.sort_by_key(|event| event.device_at_ms);
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).filter(|name| !name.starts_with('$')).collect();
    let mut expected = JOURNEY.to_vec();
    expected.extend(["login", "product_view", "leaving"]);
    let at = names.iter().position(|name| *name == "page_view").expect("a page view");
    let without: Vec<_> = names.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, name)| *name).collect();
    assert_eq!(without, expected);
    let login = events.iter().find(|event| event.name == EventName::Login).expect("$identify");
    assert_eq!(login.user_id.as_ref().map(|id| id.as_str()), Some("u-8"));
    assert!(events.iter().filter(|event| event.device_at_ms < login.device_at_ms).all(|event| event.user_id.is_none()));
    assert_eq!(events.last().and_then(|event| event.user_id.as_ref()).map(|id| id.as_str()), Some("u-8"));
    let view = events.iter().find(|event| event.name == EventName::ProductView).expect("a view");
    assert_eq!((view.products[0].id.as_str(), view.products[0].price), ("p-1", Some(89.9)));
    assert!(view.properties.keys().all(|key| !key.starts_with('$')), "{:?}", view.properties);
    assert_eq!(view.campaign.as_ref().and_then(|campaign| campaign.source.as_deref()), Some("news"));
    assert_eq!(view.device.as_ref().and_then(|device| device.class.as_deref()), Some("desktop"));
}

#[test]
fn in_node() {
    let events = play("posthog-node");
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    let mut expected = JOURNEY.to_vec();
    expected.extend(["page_view", "login", "login", "$groupidentify"]);
    assert_eq!(names.iter().filter(|name| **name != "$feature_flag_called").copied().collect::<Vec<_>>(), expected);
    // Whom a shop's server names is a person.
    assert_eq!(events[0].visitor_id, None);
    assert_eq!(events[0].user_id.as_ref().map(|id| id.as_str()), Some("d-1"));
    let aliased = &events[13];
    assert_eq!(
        (aliased.visitor_id.as_ref().map(|id| id.as_str()), aliased.user_id.as_ref().map(|id| id.as_str())),
        (Some("d-1"), Some("u-3"))
    );
    assert_eq!(events[0].device, None, "a server's agent");
}

#[test]
fn whom_a_server_names() {
    const DEVICE: &str = "0190f8f0-1111-7000-8000-000000000001";
    let person = (None, Some("cust"));
    let device = (Some(DEVICE), None);
    let both = (Some(DEVICE), Some("cust"));
    for (name, distinct, properties, expected) in [
        ("Order Completed", "cust", r#""$lib":"posthog-node","$is_server":true"#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-python""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-php""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-ruby""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-go""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-java""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-dotnet""#, person),
        ("Order Completed", "cust", r#""$lib":"posthog-elixir""#, person),
        ("Order Completed", "cust", r#""$is_server":true"#, person),
        // A person's id may be a UUID of another version.
        (
            "Order Completed",
            "1e0c1f0a-6f1d-4a53-9c4b-0c1d2e3f4a5b",
            r#""$lib":"posthog-go""#,
            (None, Some("1e0c1f0a-6f1d-4a53-9c4b-0c1d2e3f4a5b")),
        ),
        // The device's id passed on, a capture without a person, and a version 7 UUID that is said to be a person's.
        ("Order Completed", DEVICE, r#""$lib":"posthog-node""#, device),
        ("Order Completed", "d1", r#""$lib":"posthog-python","$process_person_profile":false"#, (Some("d1"), None)),
        (
            "Order Completed",
            DEVICE,
            r#""$lib":"posthog-node","$user_id":"0190f8f0-1111-7000-8000-000000000001""#,
            (None, Some(DEVICE)),
        ),
        // Browsers and apps name devices until they know better.
        ("Order Completed", "d1", r#""$lib":"web""#, (Some("d1"), None)),
        ("Order Completed", "d1", r#""$lib":"posthog-react-native""#, (Some("d1"), None)),
        ("Order Completed", "d1", r#""$lib":"posthog-android""#, (Some("d1"), None)),
        ("Order Completed", "d1", r#""$lib":"posthog-node","$is_server":false"#, (Some("d1"), None)),
        ("Order Completed", "d1", "", (Some("d1"), None)),
        ("$identify", "cust", r#""$lib":"posthog-node","$set":{}"#, person),
        (
            "$identify",
            "cust",
            r#""$lib":"posthog-node","$anon_distinct_id":"0190f8f0-1111-7000-8000-000000000001""#,
            both,
        ),
        ("$create_alias", "cust", r#""$lib":"posthog-node","alias":"0190f8f0-1111-7000-8000-000000000001""#, both),
        ("$create_alias", DEVICE, r#""$lib":"posthog-node","alias":"cust""#, both),
        (
            "$create_alias",
            DEVICE,
            r#""$lib":"web","$device_id":"0190f8f0-1111-7000-8000-000000000001","alias":"cust""#,
            both,
        ),
        ("$create_alias", "cust", r#""$lib":"web","alias":"0190f8f0-1111-7000-8000-000000000001""#, both),
        ("$groupidentify", "$company_acme", r#""$lib":"posthog-node""#, (Some("$company_acme"), None)),
        ("$groupidentify", "cust", r#""$lib":"posthog-node""#, person),
    ] {
        let body = format!(
            r#"{{"api_key":"wk_shop","batch":[{{"event":"{name}","uuid":"e1","distinct_id":"{distinct}","properties":{{{properties}}}}}]}}"#
        );
        let collected = Call::post("/batch/", body).send();
        let event = one(&collected);
        let ids = (event.visitor_id.as_ref().map(|id| id.as_str()), event.user_id.as_ref().map(|id| id.as_str()));
        assert_eq!(ids, expected, "{name} {distinct} {properties}");
    }
}

#[test]
fn bodies_and_paths() {
    let event = r#"{"event":"$pageview","uuid":"e1","distinct_id":"d1","properties":{"token":"wk_shop","$current_url":"/a"},"offset":5000}"#;
    for path in ["/e/", "/e", "/i/v0/e/", "/capture", "/capture/", "/track", "/batch/"] {
        let collected = Call::post(path, event).send();
        assert_eq!(
            (&one(&collected).name, one(&collected).occurred_at_ms),
            (&EventName::PageView, NOW_MS - 5_000),
            "{path}"
        );
    }
    assert_eq!(Call::post("/e/", format!("[{event},{event}]")).send().events.len(), 2);
    // A page that is left: a form, base64 in it.
    use base64::Engine;
    let form = format!(
        "data={}",
        form_urlencoded::byte_serialize(base64::engine::general_purpose::STANDARD.encode(event).as_bytes())
            .collect::<String>()
    );
    let left =
        Call::post("/e/?compression=base64", form).header("content-type", "application/x-www-form-urlencoded").send();
    assert_eq!(one(&left).event_id.as_str(), "e1");
    assert_eq!(Call::post("/e/", event.replace("wk_shop", "no")).send().reply.status, 401);
    assert_eq!(
        codes(&Call::post("/e/", event.replace("\"d1\"", "\"[object Object]\"")).send()),
        [(0, "id_placeholder", Some("distinct_id"))]
    );
    let nobody = Call::post("/e/", event.replace("\"d1\"", "\"$posthog_cookieless\"")).send();
    assert_eq!(one(&nobody).consent, Consent::COOKIELESS);
}

#[test]
fn what_sdks_ask() {
    for (call, part) in [
        (Call::post("/flags/?v=2", "{}"), "featureFlags"),
        (Call::post("/decide/?v=3", "{}"), "featureFlags"),
        (Call::get("/array/wk_shop/config"), "supportedCompression"),
    ] {
        let reply = call.send().reply;
        let value: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(reply.status == 200 && !value[part].is_null(), "{}", call.path);
    }
    let script = Call::get("/array/wk_shop/config.js").send().reply;
    assert!(script.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")));
    // A key can't break out of the script.
    let hostile = Call::get("/array/\"]=1;alert(1);//</script>/config.js").send().reply;
    assert!(!String::from_utf8_lossy(&hostile.body).contains("c[\"\"]"));
}
