//! What stands in the clear in a dead letter: whatever was sent and wherever it stood, nothing of a shopper's.

use crate::help::*;
use midsession_collect::{Collected, Collector, Source};
use serde_json::{Value, json};

/// What is planted, and by what it is found again.
const PLANTS: [(&str, &str); 7] = [
    ("jane@example.com", "jane"),
    ("Jane <jane@example.com>", "jane"),
    ("amFuZUBleGFtcGxlLmNvbQ==", "amFu"),
    ("+31612345678", "612345678"),
    ("06-1234 5678", "1234"),
    ("4111111111111111", "4111"),
    ("4111 1111 1111 1111", "4111"),
];

/// Events that fill the fields that each protocol has.
fn payloads() -> Vec<(&'static str, Value)> {
    let product = json!({"id": "p1", "product_id": "p1", "item_id": "p1", "name": "Lamp", "category": "c", "brand": "b", "price": 9.5,
        "currency": "EUR", "quantity": 1, "position": 1});
    let shop = json!({"products": [product], "currency": "EUR", "order_id": "o1", "revenue": 9.5, "total": 9.5, "value": 9.5,
        "tax": 1, "shipping": 1, "discount": 1, "cart_id": "c1", "cart_value": 9.5, "step": 1, "query": "q", "list_id": "l",
        "promotion_id": "p", "extra": {"a": {"b": [1, "c"]}}});
    let ecommerce = |name: &str, data: Value| json!({"schema": format!("iglu:com.snowplowanalytics.snowplow.ecommerce/{name}/jsonschema/1-0-0"), "data": data});
    let unstruct = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
            "data": {"type": "transaction", "name": "n"}}});
    let contexts = json!({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0", "data": [
        ecommerce("product", json!({"id": "p1", "category": "c", "price": 9.5, "currency": "EUR", "name": "n", "quantity": 1})),
        ecommerce("cart", json!({"cart_id": "c1", "total_value": 9.5, "currency": "EUR"})),
        ecommerce("transaction", json!({"transaction_id": "o1", "revenue": 9.5, "payment_method": "card", "currency": "EUR",
            "total_quantity": 1, "tax": 1, "shipping": 1, "credit_order": false})),
        ecommerce("checkout_step", json!({"step": 1, "account_type": "guest"})),
    ]});
    let snowplow = |more: Value| {
        let mut event = json!({"e": "ue", "p": "web", "tv": "js", "aid": "shop", "duid": "d1", "uid": "u1", "page": "t", "url": "https://x.example/",
            "eid": "0190f8f0-0000-4000-8000-0000000000ab", "dtm": "1795348800000", "stm": "1795348800000"});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [event]})
    };
    let base = json!({"anonymousId": "a1", "userId": "u1", "messageId": "m1", "timestamp": "2026-11-22T12:00:00Z", "channel": "web",
        "context": {"page": {"url": "https://x.example/"}, "consent": {"categoryPreferences": {"analytics": true}}}});
    let call = |more: Value| {
        let mut call = base.clone();
        call.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        call
    };
    vec![
        (
            "/v1/events?key=wk_shop",
            json!({"event_id": "e1", "name": "transaction", "visitor_id": "v1", "user_id": "u1", "session_id": "s1",
                "occurred_at": "2026-11-22T12:00:00Z", "page": {"url": "/a", "title": "t", "referrer": "/b"},
                "campaign": {"source": "s"}, "device": {"class": "mobile", "os": "o"}, "products": [product],
                "cart": {"id": "c1", "total_value": 9.5, "currency": "EUR"}, "step": 1, "query": "q", "list": "l",
                "order": {"id": "o1", "revenue": 9.5, "currency": "EUR", "tax": 1, "shipping": 1, "discount": 1},
                "promotion": {"id": "p", "name": "n"}, "consent": {"analytics": true, "personalization": true},
                "properties": {"a": 1, "b": {"c": "d"}}}),
        ),
        (
            "/v1/batch",
            json!({"writeKey": "wk_shop", "sentAt": "2026-11-22T12:00:00Z", "context": {"page": {}}, "batch": [
                call(json!({"type": "track", "event": "Order Completed", "properties": shop})),
                call(json!({"type": "track", "event": "Product Added", "properties": product})),
                call(json!({"type": "track", "event": "Checkout Started", "properties": shop})),
                call(json!({"type": "page", "name": "Home", "properties": {"url": "/a"}})),
                call(json!({"type": "identify", "traits": {"a": 1}})),
                call(json!({"type": "group", "groupId": "g1"})),
                call(json!({"type": "alias", "previousId": "a0"})),
            ]}),
        ),
        (
            "/batch/",
            json!({"api_key": "wk_shop", "sent_at": "2026-11-22T12:00:00Z", "batch": [{"event": "Order Completed", "distinct_id": "d1",
                "uuid": "0190f8f0-0000-7000-8000-000000000001", "timestamp": "2026-11-22T12:00:00Z", "offset": 1,
                "properties": {"$device_id": "d1", "$user_id": "u1", "$session_id": "s1", "$anon_distinct_id": "d1", "$lib": "web",
                    "$screen_name": "s", "order_id": "o1", "revenue": 9.5, "currency": "EUR", "products": [product], "extra": [1]}}]}),
        ),
        (
            "/mp/collect?measurement_id=G-1&api_secret=wk_shop",
            json!({"client_id": "c1", "user_id": "u1", "timestamp_micros": 1_795_348_800_000_000i64, "consent": {"ad_user_data": "GRANTED"},
                "events": [{"name": "purchase", "params": {"transaction_id": "o1", "value": 9.5, "currency": "EUR", "tax": 1, "shipping": 1,
                    "items": [product], "session_id": "s1", "page_location": "/a", "checkout_step": 1, "extra": "x"}}]}),
        ),
        ("/com.snowplowanalytics.snowplow/tp2", snowplow(json!({"ue_pr": unstruct, "co": contexts}))),
        ("/com.snowplowanalytics.snowplow/tp2", snowplow(json!({"e": "se", "se_ca": "c", "se_ac": "a", "se_va": "1"}))),
        (
            "/com.snowplowanalytics.snowplow/tp2",
            snowplow(json!({"e": "tr", "tr_id": "o1", "tr_tt": "9.5", "tr_cu": "EUR"})),
        ),
        (
            "/com.snowplowanalytics.snowplow/tp2",
            snowplow(json!({"e": "ti", "ti_id": "o1", "ti_sk": "p1", "ti_pr": "9.5", "ti_qu": "1", "ti_cu": "EUR"})),
        ),
        (
            "/com.snowplowanalytics.iglu/v1?aid=shop",
            ecommerce(
                "product",
                json!({"id": "p1", "category": "c", "price": 9.5, "currency": "EUR", "size": "s", "quantity": 1}),
            ),
        ),
    ]
}

/// Every place of a value, from the root.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), out)),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), out));
        }
        _ => {}
    }
}

/// Snowplow carries JSON as text.
fn wire(mut value: Value) -> String {
    for event in value.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
        for name in ["ue_pr", "co"] {
            if let Some(inner) = event.get_mut(name).filter(|inner| !inner.is_string()) {
                *inner = Value::String(twice(&inner.to_string()));
            }
        }
    }
    twice(&value.to_string())
}

/// The marked name, and what stands for it: the same name a second time, which no `Value` can hold.
fn twice(text: &str) -> String {
    PLANTS.iter().fold(text.to_owned(), |text, (plant, _)| {
        text.replace(&format!("\"TWICE{plant}\":1"), &format!("\"{plant}\":1,\"{plant}\":2"))
    })
}

/// The payload with the plant at this place, in each way that it can stand there.
fn planted(payload: &Value, place: &str, plant: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut put = |value: Value| {
        let mut planted = payload.clone();
        *planted.pointer_mut(place).expect("a place") = value;
        all.push(planted);
    };
    put(json!(plant));
    put(json!([plant]));
    put(json!({ plant: plant }));
    if let Ok(number) = plant.parse::<i64>() {
        put(json!(number));
    }
    if let Some(Value::Object(members)) = payload.pointer(place) {
        for name in [plant.to_owned(), format!("TWICE{plant}"), format!("{plant}{}", "k".repeat(128))] {
            let mut members = members.clone();
            members.insert(name, json!(1));
            put(Value::Object(members));
        }
        // One is enough to miss each member in turn.
        for key in members.keys().filter(|_| plant == PLANTS[0].0) {
            let mut members = members.clone();
            let value = members.remove(key).expect("a member");
            members.insert(plant.to_owned(), value);
            put(Value::Object(members));
        }
    }
    all
}

/// How many were refused; nothing in the clear holds what was planted.
fn look(collected: &Collected, mark: &str, sent: &str) -> usize {
    for rejected in &collected.rejects {
        let reject = &rejected.reject;
        let plain =
            format!("{:?} {:?} {} {:?} {:?}", reject.code, reject.field, reject.message, reject.hint, reject.event_id);
        assert!(!plain.contains(mark), "{plain}\nof {sent}");
    }
    collected.rejects.len()
}

#[test]
fn nothing_of_a_shoppers_in_the_clear() {
    let strict = Source { strict: true, ..source() };
    let collectors: [Collector; 2] = [collector(), collector_of(vec![strict])];
    for (path, payload) in payloads() {
        for collector in &collectors {
            let untouched = Call::post(path, wire(payload.clone())).to(collector);
            assert!(untouched.rejects.is_empty() && !untouched.events.is_empty(), "{path}: {:?}", untouched.rejects);
        }
        let mut all = Vec::new();
        places(&payload, "", &mut all);
        let mut refused = 0;
        for place in &all {
            for (plant, mark) in PLANTS {
                for planted in planted(&payload, place, plant) {
                    let text = wire(planted);
                    for collector in &collectors {
                        refused += look(&Call::post(path, text.clone()).to(collector), mark, &text);
                    }
                }
            }
        }
        assert!(refused > all.len(), "{path}: {refused} refused");
    }
}

#[test]
fn reasons_still_say_what_to_mend() {
    let money = Call::post(
        "/v1/events?key=wk_shop",
        r#"{"event_id":"e1","name":"transaction","visitor_id":"v1","order":{"id":"o1","revenue":"jane@example.com"}}"#,
    )
    .send();
    let reject = &money.rejects[0].reject;
    assert_eq!(
        (reject.field.as_deref(), reject.message.as_str()),
        (Some("order.revenue"), "a text of 16 characters is not a plain number")
    );
    let extra = Call::post(
        "/com.snowplowanalytics.iglu/v1?aid=shop",
        r#"{"schema":"iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0","data":{"id":"p1","category":"c","price":1,"currency":"EUR","colour":1,"jane@example.com":2}}"#,
    )
    .send();
    let reject = &extra.rejects[0].reject;
    assert_eq!(reject.message, "the schema knows no property colour, (a name of 16 characters)");
    assert_eq!(reject.field.as_deref(), Some("data"));
}
