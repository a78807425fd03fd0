//! The GA4 Measurement Protocol.

use crate::help::*;
use midsession_collect::Protocol;
use midsession_event::{Consent, EventName, PropertyValue};

fn collect(body: &str) -> midsession_collect::Collected {
    Call::post(&format!("/mp/collect?measurement_id=G-1&api_secret={KEY}"), body).send()
}

#[test]
fn events_in_native_words() {
    let body = format!(
        r#"{{"client_id":"c1.2","user_id":"u1","timestamp_micros":"{}","consent":{{"ad_user_data":"DENIED"}},"events":[
        {{"name":"add_to_cart","params":{{"currency":"EUR","value":89.9,"session_id":"s1","engagement_time_msec":100,
            "items":[{{"item_id":"p1","item_name":"Boots","item_category":"Shoes","item_brand":"B","price":89.9,"quantity":1,"index":0}}]}}}},
        {{"name":"begin_checkout","params":{{"currency":"EUR","value":89.9}}}},
        {{"name":"purchase","params":{{"transaction_id":"t1","currency":"EUR","value":"94.8","tax":1,"shipping":4.9,"items":[]}}}},
        {{"name":"search","params":{{"search_term":"boots jane@example.com"}}}},
        {{"name":"page_view","params":{{"page_location":"https://shop.example/?utm_source=news&email=a@b.example"}}}},
        {{"name":"level_up","params":{{"level":3}}}}]}}"#,
        NOW_MS * 1_000 - 5_000_000
    );
    let collected = collect(&body);
    assert_eq!((collected.protocol, collected.reply.status, collected.reply.body.len()), (Some(Protocol::Ga4), 204, 0));
    assert!(collected.rejects.is_empty(), "{:?}", collected.rejects);
    let names: Vec<_> = collected.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["add_to_cart", "checkout_step", "transaction", "search", "page_view", "level_up"]);
    let added = &collected.events[0];
    assert_eq!(
        (added.visitor_id.as_ref().map(|id| id.as_str()), added.tracker_session_id.as_deref()),
        (Some("c1.2"), Some("s1"))
    );
    let product = &added.products[0];
    assert_eq!((product.id.as_str(), product.currency.as_deref(), product.position), ("p1", Some("EUR"), Some(1)));
    assert_eq!(collected.events[1].cart.as_ref().and_then(|cart| cart.total_value), Some(89.9));
    assert_eq!(collected.events[2].order.as_ref().and_then(|order| order.revenue), Some(94.8));
    assert_eq!(collected.events[3].query.as_deref(), Some("boots [email]"));
    assert_eq!(collected.events[5].properties.get("level"), Some(&PropertyValue::Int(3)));
    assert!(collected.events.iter().all(|event| event.occurred_at_ms == NOW_MS - 5_000 && event.consent == Consent(7)));
    // Sent again, each is the same event.
    let ids = |collected: &midsession_collect::Collected| {
        collected.events.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&collected), ids(&collect(&body)));
}

#[test]
fn always_204() {
    for body in ["", "{", "[]", r#"{"events":[]}"#, r#"{"client_id":"c","events":[{"name":""}]}"#] {
        assert_eq!(collect(body).reply.status, 204, "{body}");
    }
    assert_eq!(
        Call::post("/mp/collect?api_secret=no", r#"{"client_id":"c","events":[{"name":"x"}]}"#).send().reply.status,
        204
    );
    let mixed = collect(r#"{"client_id":"c","events":[{"name":"purchase","params":{"value":-1}},{"name":"login"}]}"#);
    assert_eq!(codes(&mixed), [(0, "money_invalid", Some("params.value"))]);
    assert_eq!(mixed.events[0].name, EventName::Login);
}
