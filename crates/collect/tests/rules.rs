//! The rules of the trackers' protocols that no capture shows: answers to the letter, whose id goes first, bounds, names.

use crate::help::*;
use midsession_collect::{Overload, Source};
use midsession_event::{Dialect, EventName, canonical_name};

const TP2: &str = "/com.snowplowanalytics.snowplow/tp2";
const COOKIE: &str = "11111111-2222-4333-8444-555555555555";
const OTHER: &str = "22222222-2222-4333-8444-555555555555";
const THIRD: &str = "33333333-2222-4333-8444-555555555555";

fn event(eid: &str, more: &str) -> String {
    format!(r#"{{"e":"pv","p":"web","tv":"js-4","aid":"shop","eid":"f59777c7-c2ac-4286-bc07-e6e00eff0{eid}"{more}}}"#)
}

fn tp2(events: &str) -> Call {
    let schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4";
    Call::post(TP2, format!(r#"{{"schema":"{schema}","data":[{events}]}}"#))
}

#[test]
fn answers_to_the_letter() {
    let posted = tp2(&event("001", "")).send().reply;
    assert_eq!(&posted.body[..], b"ok");
    assert!(posted.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert!(posted.header("set-cookie").is_some_and(|cookie| cookie.starts_with("sp=")));
    for method in ["GET", "HEAD"] {
        let query = "e=pv&p=web&tv=js&aid=shop&eid=f59777c7-c2ac-4286-bc07-e6e00eff0001".to_owned();
        let pixel = Call { method, query, ..Call::get("/i") }.send();
        assert_eq!(pixel.reply.header("content-type"), Some("image/gif"));
        assert_eq!(pixel.reply.header("cache-control"), Some("no-cache, no-store, must-revalidate"));
        assert!(pixel.reply.body.starts_with(b"GIF89a") && pixel.reply.header("set-cookie").is_some());
        assert_eq!(pixel.events.len(), 1, "{method}");
    }
    let asked = [("origin", "https://shop.example"), ("access-control-request-headers", "content-type,sp-anonymous")];
    let preflight = asked.iter().fold(tp2(""), |call, (name, value)| call.header(name, value));
    let granted = Call { method: "OPTIONS", ..preflight }.send().reply;
    for (name, value) in [
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "content-type,sp-anonymous"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!((granted.status, granted.header(name)), (200, Some(value)));
    }
    let unasked = Call { method: "OPTIONS", ..tp2("") }.header("origin", "https://shop.example").send().reply;
    assert!(unasked.header("access-control-allow-headers").is_some_and(|names| names.contains("SP-Anonymous")));
}

#[test]
fn whose_id_goes_first() {
    let of = |more: &str, query: &str| {
        let call = Call { query: query.into(), ..tp2(&event("001", more)) }.header("cookie", &format!("sp={COOKIE}"));
        let collected = call.send();
        let cookie = collected.reply.header("set-cookie").and_then(|set| set.split([';', '=']).nth(1));
        (one(&collected).visitor_id.as_ref().map(|id| id.to_string()).expect("a visitor"), cookie.map(str::to_owned))
    };
    let said = |id: &str, cookie: &str| (id.to_owned(), Some(cookie.to_owned()));
    let both = format!(r#","nuid":"{THIRD}","tnuid":"{OTHER}""#);
    assert_eq!(of("", ""), said(COOKIE, COOKIE), "the cookie");
    assert_eq!(of("", &format!("nuid={OTHER}")), said(OTHER, OTHER), "a nuid in the query before the cookie");
    assert_eq!(of(&format!(r#","nuid":"{THIRD}""#), "").0, THIRD, "one of the event");
    assert_eq!(of(&both, "").0, OTHER, "tnuid overrides nuid");
    assert_eq!(of(&format!(r#"{both},"duid":"d1""#), "").0, "d1", "the domain's own user before the network's");
}

#[test]
fn who_said_no_by_cookie_is_answered_and_not_kept() {
    let collected = tp2(&event("001", "")).header("cookie", "doNotTrack=1").send();
    assert_eq!((collected.reply.status, &collected.reply.body[..]), (200, &b"ok"[..]));
    assert_eq!((collected.events.len(), collected.rejects.len(), collected.dropped_no_consent()), (0, 0, 1));
}

#[test]
fn a_big_batch_is_taken_event_by_event() {
    let text = |bytes: usize| format!(r#","page":"{}""#, "p".repeat(bytes));
    let [small, big, last] = [event("001", ""), event("002", &text(600_000)), event("003", &text(300_000))];
    let bounded = collector_of(vec![Source { event_bytes: Some(400_000), ..source() }]);
    let collected = tp2(&[small, big, last].join(",")).to(&bounded);
    assert_eq!(codes(&collected), [(1, "event_too_large", None)], "its siblings are taken");
    assert_eq!((collected.events.len(), collected.reply.status), (2, 200));
    assert_eq!(collected.rejects[0].reject.payload.len(), 64 << 10, "a part of it is kept");
}

#[test]
fn a_pixel_may_carry_long_entities() {
    let query = format!("stm=1795348800000&e=pv&p=web&tv=js&aid=shop&duid=d1&page={}", "p".repeat(20_480));
    assert_eq!(Call { query, ..Call::get("/i") }.send().events.len(), 1);
}

#[test]
fn every_ecommerce_schema_holds() {
    let shop = "iglu:com.snowplowanalytics.snowplow.ecommerce";
    let check = |name: &str, version: &str, data: &serde_json::Value| {
        let body = serde_json::json!({ "schema": format!("{shop}/{name}/jsonschema/{version}"), "data": data });
        let collected = Call::post("/com.snowplowanalytics.iglu/v1?duid=d1", body.to_string()).send();
        collected.rejects.first().map(|rejected| rejected.reject.code.to_string())
    };
    for (name, version, good, required) in [
        ("snowplow_ecommerce_action", "1-0-2", r#"{"type":"refund"}"#, &["type"][..]),
        (
            "product",
            "1-0-0",
            r#"{"id":"p","category":"c","price":0,"currency":"EUR","quantity":1}"#,
            &["id", "category", "price", "currency"],
        ),
        ("cart", "1-0-0", r#"{"total_value":9999999,"currency":"EUR"}"#, &["total_value", "currency"]),
        ("checkout_step", "1-0-0", r#"{"step":90,"coupon_code":"x"}"#, &["step"]),
        (
            "transaction",
            "1-0-0",
            r#"{"transaction_id":"t","revenue":1,"payment_method":"card","currency":"EUR","total_quantity":1,"tax":0.5}"#,
            &["transaction_id", "revenue", "payment_method", "currency", "total_quantity"],
        ),
        (
            "refund",
            "1-0-0",
            r#"{"transaction_id":"t","currency":"EUR","refund_amount":1}"#,
            &["transaction_id", "currency", "refund_amount"],
        ),
        ("promotion", "1-0-0", r#"{"id":"x"}"#, &["id"]),
        ("page", "1-0-0", r#"{"type":"home"}"#, &["type"]),
        ("user", "1-0-0", r#"{"id":"u"}"#, &["id"]),
        ("transaction_error", "1-0-0", "{}", &[]),
    ] {
        let good: serde_json::Value = serde_json::from_str(good).expect("JSON");
        assert_eq!(check(name, version, &good), None, "{name}");
        let changed = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
            let mut data = good.clone();
            change(data.as_object_mut().expect("an object"));
            check(name, version, &data)
        };
        let violation = Some("schema_violation".to_owned());
        for field in required {
            assert_eq!(changed(&|data| drop(data.remove(*field))), violation, "{name} without {field}");
        }
        assert_eq!(changed(&|data| drop(data.insert("other".into(), 1.into()))), violation, "{name} with another");
        for field in ["price", "total_value", "revenue", "refund_amount", "tax"] {
            if good.get(field).is_some() {
                assert_eq!(changed(&|data| drop(data.insert(field.into(), (-1).into()))), violation, "{name}.{field}");
                assert_eq!(changed(&|data| drop(data.insert(field.into(), 10_000_000.into()))), violation, "{name}");
            }
        }
        for (field, wrong) in [("currency", "EURO".into()), ("step", 0.into()), ("step", 91.into())] {
            if good.get(field).is_some() {
                assert_eq!(
                    changed(&|data| drop(data.insert(field.into(), serde_json::Value::clone(&wrong)))),
                    violation
                );
            }
        }
    }
}

#[test]
fn one_mapping_for_all_dialects() {
    use Dialect::{Ga4, PostHog, Segment, Snowplow};
    for (native, step, foreign) in [
        (
            EventName::ProductView,
            None,
            &[(Snowplow, "product_view"), (Segment, "Product Viewed"), (Ga4, "view_item")][..],
        ),
        (
            EventName::ListView,
            None,
            &[(Snowplow, "list_view"), (Segment, "Product List Viewed"), (Ga4, "view_item_list")],
        ),
        (EventName::AddToCart, None, &[(Snowplow, "add_to_cart"), (Segment, "Product Added"), (Ga4, "add_to_cart")]),
        (EventName::RemoveFromCart, None, &[(Snowplow, "remove_from_cart"), (Segment, "Product Removed")]),
        (EventName::CheckoutStep, Some(1), &[(Segment, "Checkout Started"), (Ga4, "begin_checkout")]),
        (EventName::CheckoutStep, None, &[(Snowplow, "checkout_step"), (Segment, "Checkout Step Completed")]),
        (EventName::CheckoutStep, Some(2), &[(Ga4, "add_shipping_info")]),
        (EventName::CheckoutStep, Some(3), &[(Ga4, "add_payment_info")]),
        (EventName::Transaction, None, &[(Snowplow, "transaction"), (Segment, "Order Completed"), (Ga4, "purchase")]),
        (EventName::Refund, None, &[(Snowplow, "refund"), (Segment, "Order Refunded"), (Ga4, "refund")]),
    ] {
        for (dialect, name) in foreign {
            assert_eq!(canonical_name(*dialect, name), (native.clone(), step), "{name}");
            if *dialect == Segment {
                assert_eq!(canonical_name(PostHog, name), (native.clone(), step), "PostHog users send {name} too");
            }
        }
    }
}

#[test]
fn posthog_events_name_somebody() {
    let nobody = Call::post("/i/v0/e/", r#"{"api_key":"wk_shop","event":"x","uuid":"e1"}"#).send();
    assert_eq!(codes(&nobody), [(0, "identity_missing", Some("visitor_id"))]);
    let nameless = Call::post("/i/v0/e/", r#"{"api_key":"wk_shop","distinct_id":"d1","uuid":"e1"}"#).send();
    assert_eq!(codes(&nameless), [(0, "name_missing", Some("event"))]);
}

#[test]
fn posthogs_cookieless_mode_is_the_days_visitor() {
    let event = |id: &str| {
        format!(
            r#"{{"api_key":"wk_shop","event":"x","uuid":"{id}","distinct_id":"$posthog_cookieless","properties":{{"$device_id":null}}}}"#
        )
    };
    let visitor = |id: &str, agent: &str| {
        let collected = Call::post("/i/v0/e/", event(id)).header("user-agent", agent).send();
        one(&collected).visitor_id.clone()
    };
    assert_eq!(visitor("e1", DESKTOP), visitor("e2", DESKTOP));
    assert_ne!(visitor("e1", DESKTOP), visitor("e1", "other"));
    let closed = collector_of(vec![Source { consent_default: midsession_collect::ConsentMode::None, ..source() }]);
    assert_eq!(Call::post("/i/v0/e/", event("e1")).to(&closed).dropped_no_consent(), 1, "it grants nothing");
}

#[test]
fn who_is_over_the_rate_hears_when_to_come_back() {
    let reply = tp2("").with(|request| collector().overload(request, Overload::RateLimited, 7));
    let reset_s = NOW_MS / 1_000 + 7;
    assert_eq!(reply.header("x-ratelimit-reset"), Some(reset_s.to_string().as_str()));
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
}

#[test]
fn a_cart_that_is_listed_whole_has_its_total() {
    let product =
        r#"{"product_id":"p1","item_id":"p1","id":"p1","category":"c","price":90,"quantity":2,"currency":"EUR"}"#;
    let nameless = r#"{"price":10,"currency":"EUR"}"#;
    let segment = |name: &str, properties: String| {
        let body = format!(
            r#"{{"writeKey":"{KEY}","batch":[{{"type":"track","event":"{name}","anonymousId":"a","messageId":"m","properties":{{{properties}}}}}]}}"#
        );
        Call::post("/v1/batch", body)
    };
    let posthog = |name: &str, properties: String| {
        let body = format!(
            r#"{{"api_key":"{KEY}","batch":[{{"event":"{name}","distinct_id":"a","properties":{{{properties}}}}}]}}"#
        );
        Call::post("/batch/", body)
    };
    let ga4 = |name: &str, params: String| {
        let body = format!(r#"{{"client_id":"a","events":[{{"name":"{name}","params":{{{params}}}}}]}}"#);
        Call::post(&format!("/mp/collect?measurement_id=G&api_secret={KEY}"), body)
    };
    let native = |name: &str, fields: String| {
        let body = format!(r#"{{"event_id":"e","name":"{name}","visitor_id":"a",{fields}}}"#);
        Call::post(&format!("/v1/events?key={KEY}"), body)
    };
    let snowplow = |kind: &str| {
        let shop = "iglu:com.snowplowanalytics.snowplow.ecommerce";
        let inner = serde_json::json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data":
            {"schema": format!("{shop}/snowplow_ecommerce_action/jsonschema/1-0-2"), "data": {"type": kind}}});
        let entity = serde_json::json!({"schema": format!("{shop}/product/jsonschema/1-0-0"),
            "data": {"id": "p1", "category": "c", "price": 90, "quantity": 2, "currency": "EUR"}});
        let entities = serde_json::json!({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0", "data": [entity]});
        let body = serde_json::json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
            "data": [{"e": "ue", "p": "web", "tv": "js", "aid": "shop", "duid": "d", "ue_pr": inner.to_string(), "co": entities.to_string()}]});
        Call::post("/com.snowplowanalytics.snowplow/tp2", body.to_string())
    };
    let products = format!(r#""products":[{product}]"#);
    let items = format!(r#""items":[{product}]"#);
    let some = Some((180.0, Some("EUR")));
    for (call, expected) in [
        (segment("Cart Viewed", format!(r#""cart_id":"c",{products}"#)), some),
        (segment("Checkout Started", products.clone()), some),
        (segment("Cart Viewed", format!(r#""value":150,"currency":"EUR",{products}"#)), Some((150.0, Some("EUR")))),
        (segment("Cart Viewed", format!(r#""currency":"USD",{products}"#)), None),
        (segment("Cart Viewed", format!(r#""products":[{product},{nameless}]"#)), None),
        (segment("Product Added", products.clone()), None),
        (segment("Order Completed", products.clone()), None),
        (posthog("Cart Viewed", products.clone()), some),
        (posthog("Checkout Started", products.clone()), some),
        (ga4("view_cart", items.clone()), some),
        (ga4("begin_checkout", items.clone()), some),
        (ga4("view_cart", r#""currency":"EUR","items":[{"item_id":"p1","price":90,"quantity":2}]"#.to_owned()), some),
        (ga4("view_cart", format!(r#""items":[{product},{nameless}]"#)), None),
        (ga4("add_to_cart", items.clone()), None),
        (native("cart_view", products.clone()), some),
        (native("cart_view", format!(r#""cart":{{"id":"c","currency":"EUR"}},{products}"#)), some),
        (native("checkout_step", products.clone()), some),
        (native("add_to_cart", products.clone()), None),
        (snowplow("checkout_step"), some),
        (snowplow("add_to_cart"), None),
    ] {
        let collected = call.send();
        let cart = one(&collected).cart.as_ref();
        let found = cart.and_then(|cart| Some((cart.total_value?, cart.currency.as_deref())));
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(&call.body));
    }
}
