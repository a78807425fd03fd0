//! Segment's and RudderStack's SDKs, by what they really sent.

use crate::help::*;
use midsession_collect::{Collected, Protocol};
use midsession_event::{Campaign, Consent, EventName, PropertyValue};

/// The status that the problem in a reply's body tells.
fn body_status(reply: &midsession_collect::Reply) -> u16 {
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status")
}

/// The journey of the captures in native words.
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

/// Message ids as the SDK sent them.
fn sent_ids(call: &Call) -> Vec<String> {
    let json = json_of(call);
    let batch = json["batch"].as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
    batch.iter().map(|message| message["messageId"].as_str().expect("an id").to_owned()).collect()
}

fn names(events: &[midsession_event::Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// Sends a folder of captures and returns the events, in the order they arrived.
fn play(folder: &str) -> Vec<midsession_event::Event> {
    let mut events = Vec::new();
    for (file, call) in fixtures(folder) {
        let collected = call.to(&open_collector());
        assert_eq!(collected.protocol, Some(Protocol::Segment), "{file}");
        assert_eq!(collected.reply.status, 200, "{file}");
        assert!(collected.rejects.is_empty(), "{file}: {:?}", collected.rejects);
        let ids: Vec<String> = collected.events.iter().map(|event| event.event_id.to_string()).collect();
        if call.method == "POST" {
            assert_eq!(ids, sent_ids(&call), "{file}");
        }
        if let Some((_, asked)) = call.headers.iter().find(|(name, _)| name == "access-control-request-headers") {
            assert_eq!(collected.reply.header("access-control-allow-headers"), Some(asked.as_str()), "{file}");
            assert_eq!(collected.reply.header("access-control-allow-credentials"), Some("true"), "{file}");
        }
        events.extend(collected.events);
    }
    for event in &events {
        let text = serde_json::to_string(event).expect("JSON");
        for personal in ["jane", "Jane", "Elm", "1234567", "192.0.2", "secret"] {
            assert!(!text.contains(personal), "{folder}: {personal} in {text}");
        }
    }
    events
}

#[test]
fn segment_in_node() {
    let events = play("segment-node");
    let mut expected = JOURNEY.to_vec();
    expected.extend(["page_view", "page_view", "login", "group", "login"]);
    assert_eq!(names(&events), expected);
    let added = &events[3];
    assert_eq!(added.visitor_id.as_ref().map(|id| id.as_str()), Some("a-1"));
    let product = &added.products[0];
    assert_eq!((product.id.as_str(), product.price, product.currency.as_deref()), ("p-1", Some(89.9), Some("EUR")));
    assert_eq!(added.properties.get("sku"), Some(&PropertyValue::Text("sku-1".into())));
    assert_eq!(added.cart.as_ref().and_then(|cart| cart.id.as_deref()), Some("c-1"));
    assert_eq!(events[0].query.as_deref(), Some("boots für [email]"));
    assert_eq!((events[1].products.len(), events[1].list.as_deref()), (2, Some("top")));
    assert_eq!((events[5].step, events[6].step), (Some(1), Some(2)));
    assert_eq!(events[5].cart.as_ref().and_then(|cart| cart.total_value), Some(89.9));
    assert!(events[5].order.is_none(), "a checkout that starts is no order");
    let order = events[7].order.as_ref().expect("an order");
    assert_eq!(
        (order.id.as_deref(), order.revenue, order.tax, order.shipping),
        (Some("o-1"), Some(89.9), Some(2.09), Some(4.9))
    );
    assert_eq!(events[8].order.as_ref().and_then(|order| order.revenue), Some(96.89));
    assert_eq!(events[9].promotion.as_ref().and_then(|promotion| promotion.id.as_deref()), Some("autumn"));
    assert_eq!(events[10].properties.get("seconds"), Some(&PropertyValue::Int(12)));
    // The shopper's agent and page from the context, not the server's own.
    assert_eq!(added.device.as_ref().and_then(|device| device.class.as_deref()), Some("mobile"));
    assert_eq!(added.page.as_ref().and_then(|page| page.url.as_deref()), Some("https://shop.example/p/1"));
    assert_eq!(added.campaign, Some(Campaign { source: Some("mail".into()), ..Campaign::default() }));
    let login = &events[13];
    assert_eq!(
        (login.visitor_id.as_ref().map(|id| id.as_str()), login.user_id.as_ref().map(|id| id.as_str())),
        (Some("a-1"), Some("u-1"))
    );
    assert_eq!(login.properties.get("traits.plan"), Some(&PropertyValue::Text("gold".into())));
    assert_eq!(login.device, None, "the server's agent says nothing of the shopper");
    assert_eq!(events[15].visitor_id.as_ref().map(|id| id.as_str()), Some("a-1"), "alias names whom it renames");
}

#[test]
fn segment_in_the_browser() {
    let events = play("segment-browser");
    let mut expected = vec!["page_view"];
    expected.extend(JOURNEY);
    expected.extend(["login", "group", "login", "page_view"]);
    assert_eq!(names(&events), expected);
    let visitor = events[0].visitor_id.clone();
    assert!(visitor.is_some() && events.iter().all(|event| event.visitor_id == visitor));
    assert_eq!(
        events[0].campaign,
        Some(Campaign { source: Some("news".into()), name: Some("autumn".into()), ..Campaign::default() })
    );
    assert_eq!(events[0].page.as_ref().and_then(|page| page.title.as_deref()), Some("Stiefel & Söckchen"));
    assert_eq!(names(&play("segment-browser-batch")), JOURNEY);
}

#[test]
fn rudderstack() {
    let events = play("rudder-node");
    let mut expected = JOURNEY.to_vec();
    expected.extend(["login", "page_view"]);
    assert_eq!(names(&events), expected);
    for folder in ["rudder-browser", "rudder-browser-beacon"] {
        let events = play(folder);
        let mut seen = names(&events);
        // Requests of its own for each call: their order on the wire is nobody's promise.
        seen.sort_unstable();
        let mut expected = vec!["page_view"];
        expected.extend(JOURNEY);
        if folder == "rudder-browser" {
            expected.extend(["login", "group", "login"]);
        }
        expected.sort_unstable();
        assert_eq!(seen, expected, "{folder}");
        assert!(events.iter().all(|event| event.tracker_session_id.is_some() && event.visitor_id.is_some()));
    }
}

#[test]
fn what_sdks_ask_before_they_send() {
    let settings = Call::get("/v1/projects/wk_shop/settings")
        .header("host", "t.shop.example")
        .header("x-forwarded-proto", "https")
        .send();
    let value: serde_json::Value = serde_json::from_slice(&settings.reply.body).expect("JSON");
    let segment = &value["integrations"]["Segment.io"];
    assert_eq!(
        (&segment["apiKey"], &segment["apiHost"], &segment["protocol"]),
        (&"wk_shop".into(), &"t.shop.example/v1".into(), &"https".into())
    );
    let config = Call::get("/sourceConfig/?p=npm&writeKey=wk_shop").header("origin", "https://shop.example").send();
    let value: serde_json::Value = serde_json::from_slice(&config.reply.body).expect("JSON");
    assert_eq!((&value["source"]["writeKey"], &value["source"]["enabled"]), (&"wk_shop".into(), &true.into()));
    assert_eq!(config.reply.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(config.events.is_empty() && config.rejects.is_empty());
}

/// Whoever is named as the one before becomes the user, whatever else the call carries.
#[test]
fn alias_names_whom_it_renames() {
    for (ids, visitor) in [
        (r#""previousId":"former","anonymousId":"device""#, "former"),
        (r#""anonymousId":"device","previousId":"former""#, "former"),
        (r#""previousId":"former""#, "former"),
        (r#""anonymousId":"device""#, "device"),
        (r#""previousId":null,"anonymousId":"device""#, "device"),
        (r#""previousId":"","anonymousId":"device""#, "device"),
        (r#""previousId":"u","anonymousId":"device""#, "device"),
    ] {
        let body = format!(r#"{{"type":"alias","messageId":"m","userId":"u",{ids}}}"#);
        for path in ["/v1/alias", "/v1/a", "/v1/batch"] {
            let collected = track(path, &body);
            let event = one(&collected);
            let named = (event.visitor_id.as_ref().map(|id| id.as_str()), event.user_id.as_ref().map(|id| id.as_str()));
            assert_eq!((&event.name, named), (&EventName::Login, (Some(visitor), Some("u"))), "{path}: {ids}");
        }
    }
    let placeholder = r#"{"messageId":"m","userId":"u","anonymousId":"device","previousId":"undefined"}"#;
    assert_eq!(codes(&track("/v1/alias", placeholder)), [(0, "id_placeholder", Some("previousId"))]);
    let renamed =
        play("rudder-browser").into_iter().find(|event| event.user_id == Some("u-7b".into())).expect("an alias");
    assert_eq!(renamed.visitor_id, Some("u-7".into()));
}

fn track(path: &str, body: &str) -> Collected {
    Call::post(path, body).header("authorization", "Basic d2tfc2hvcDo=").send()
}

#[test]
fn paths_keys_and_bodies() {
    let body = r#"{"event":"Product Viewed","messageId":"m1","anonymousId":"a1","properties":{"product_id":"p1"}}"#;
    for path in ["/v1/track", "/v1/t"] {
        assert_eq!(one(&track(path, body)).name, EventName::ProductView, "{path}");
    }
    let page = r#"{"messageId":"m1","anonymousId":"a1"}"#;
    for path in ["/v1/page", "/v1/p", "/v1/screen", "/v1/s"] {
        assert_eq!(one(&track(path, page)).name, EventName::PageView, "{path}");
    }
    let batch = format!(r#"{{"batch":[{}]}}"#, body.replacen('{', r#"{"type":"track","#, 1));
    for path in ["/v1/batch", "/v1/b", "/v1/import"] {
        assert_eq!(one(&track(path, &batch)).name, EventName::ProductView, "{path}");
    }
    // The key wherever an SDK puts it.
    let keyed = batch.replacen('{', r#"{"writeKey":"wk_shop","#, 1);
    assert_eq!(Call::post("/v1/batch", keyed).send().events.len(), 1);
    assert_eq!(Call::post("/beacon/v1/batch?writeKey=wk_shop", batch.clone()).send().events.len(), 1);
    assert_eq!(Call::post("/v1/batch", batch.clone()).send().reply.status, 401);
    for (body, status) in
        [("{", 400), ("", 400), ("3", 400), (&" ".repeat((1 << 20) + 1), 400), (r#"{"batch":[]}"#, 200)]
    {
        let reply = track("/v1/batch", body).reply;
        assert_eq!(reply.status, status);
        assert!(status == 200 || body_status(&reply) == status, "the body says the same");
    }
    let deflated = Call::post("/v1/batch", batch).header("content-encoding", "deflate").send().reply;
    assert_eq!((deflated.status, body_status(&deflated)), (415, 415));
    let bad = r#"{"batch":[{"type":"track","event":"","anonymousId":"a"},{"type":"dance","anonymousId":"a"},{"type":"track","event":"x"},{"type":"track","event":"x","anonymousId":"null"},{"type":"track","event":"x","anonymousId":"a","userId":""}]}"#;
    let collected = track("/v1/batch", bad);
    assert_eq!(
        codes(&collected),
        [
            (0, "name_missing", Some("event")),
            (1, "event_type_unknown", Some("type")),
            (2, "identity_missing", Some("visitor_id")),
            (3, "id_placeholder", Some("anonymousId"))
        ]
    );
    assert_eq!((collected.events.len(), collected.reply.status), (1, 200));
    assert!(uuid::Uuid::try_parse(collected.events[0].event_id.as_str()).is_ok(), "an id of its own");
}

#[test]
fn a_servers_batch_makes_no_robot() {
    let call = |context: &str| {
        let body =
            format!(r#"{{"batch":[{{"type":"track","event":"x","messageId":"1","anonymousId":"a"{context}}}]}}"#);
        let call = Call::post("/v1/batch?writeKey=wk_shop", body).header("user-agent", "python-requests/2.32.3");
        let event = one(&call.send()).clone();
        (event.bot, event.device.and_then(|device| device.class))
    };
    assert_eq!(call(""), (false, None));
    let said = |agent: &str| format!(r#","context":{{"userAgent":"{agent}"}}"#);
    assert_eq!(call(&said(DESKTOP)), (false, Some("desktop".into())));
    assert_eq!(call(&said("Googlebot/2.1 (+http://www.google.com/bot.html)")), (true, Some("bot".into())));
    assert!(call(&said("python-requests/2.32.3")).0, "the shop's own visitor was a program");
}

#[test]
fn the_batchs_context_is_its_events_context() {
    let body = r#"{"batch":[
        {"type":"track","event":"x","messageId":"1","anonymousId":"a","context":{"page":{"url":"/own"}}},
        {"type":"track","event":"x","messageId":"2","anonymousId":"a"}],
        "context":{"page":{"url":"/shared"},"campaign":{"source":"s"},"consent":{"categoryPreferences":{"Marketing":false}}},"sentAt":"2026-11-22T13:00:00Z"}"#;
    let collected = track("/v1/batch", body);
    let urls: Vec<_> =
        collected.events.iter().map(|event| event.page.as_ref().and_then(|page| page.url.as_deref())).collect();
    assert_eq!(urls, [Some("/own"), Some("/shared")]);
    assert!(collected.events.iter().all(|event| event.campaign.is_some() && event.consent == Consent(7)));
    assert!(collected.events.iter().all(|event| event.sent_at_ms == Some(NOW_MS + 3_600_000)));
}

#[test]
fn clocks_are_corrected() {
    let body = r#"{"batch":[{"type":"track","event":"x","messageId":"1","anonymousId":"a","originalTimestamp":"2026-11-22T09:59:58Z","timestamp":"2020-01-01T00:00:00Z"}],"sentAt":"2026-11-22T10:00:00Z"}"#;
    assert_eq!(track("/v1/batch", body).events[0].occurred_at_ms, NOW_MS - 2_000);
}

/// Where Segment has corrected the time, that is the time; what an SDK sends is the device's.
#[test]
fn what_segment_has_corrected_is_corrected_once() {
    let corrected = "2026-11-22T11:59:58Z";
    // The device's clock is an hour ahead.
    let (device, sent) = ("2026-11-22T12:59:58Z", "2026-11-22T13:00:00Z");
    let received = "\"receivedAt\":\"2026-11-22T12:00:00Z\"";
    for (times, expected) in [
        (format!("\"timestamp\":\"{corrected}\",\"sentAt\":\"{sent}\",{received}"), NOW_MS - 2_000),
        (format!("{received},\"sentAt\":\"{sent}\",\"timestamp\":\"{corrected}\""), NOW_MS - 2_000),
        (format!("\"timestamp\":\"{corrected}\",{received}"), NOW_MS - 2_000),
        (
            format!(
                "\"originalTimestamp\":\"{device}\",\"timestamp\":\"{corrected}\",\"sentAt\":\"{sent}\",{received}"
            ),
            NOW_MS - 2_000,
        ),
        (format!("\"originalTimestamp\":\"{device}\",\"sentAt\":\"{sent}\",{received}"), NOW_MS - 2_000),
        // As an SDK sends it, also where a line of a file says when it came in.
        (format!("\"timestamp\":\"{device}\",\"sentAt\":\"{sent}\""), NOW_MS - 2_000),
        (format!("\"timestamp\":\"{device}\",\"sentAt\":\"{sent}\",\"receivedAt\":null"), NOW_MS - 2_000),
        (
            format!("\"timestamp\":\"{device}\",\"sentAt\":\"{sent}\",\"received_at\":\"2026-11-22T12:00:00Z\""),
            NOW_MS - 2_000,
        ),
    ] {
        let call = format!(r#"{{"type":"track","event":"x","messageId":"1","anonymousId":"a",{times}}}"#);
        assert_eq!(track("/v1/track", &call).events[0].occurred_at_ms, expected, "{call}");
        let batch = format!(r#"{{"batch":[{call}],"sentAt":"{sent}"}}"#);
        assert_eq!(track("/v1/batch", &batch).events[0].occurred_at_ms, expected, "{batch}");
    }
}
