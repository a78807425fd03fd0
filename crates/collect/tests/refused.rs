//! What is kept of an event that was refused: its bytes only of who may be kept.

use crate::help::{Call, KEY, collector_of, source};
use crate::said::{Known, shop};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use midsession_collect::{Collected, Collector, ConsentMode, Source};
use serde_json::{Value, json};
use std::sync::Arc;

fn native(body: &Value) -> Call {
    Call::post(&format!("/v1/events?key={KEY}"), body.to_string())
}

fn segment(body: &Value) -> Call {
    Call::post("/v1/batch", body.to_string()).header("authorization", "Basic d2tfc2hvcDo=")
}

fn snowplow(fields: &Value) -> Call {
    let schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4";
    Call::post("/com.snowplowanalytics.snowplow/tp2?aid=shop", json!({"schema": schema, "data": [fields]}).to_string())
}

/// How many were refused, and of how many the bytes are kept.
fn refused(call: &Call, collector: &Collector) -> (usize, usize) {
    let Collected { rejects, .. } = call.to(collector);
    (rejects.len(), rejects.iter().filter(|it| !it.reject.payload.is_empty()).count())
}

/// An event that is refused for its `step`.
fn bad(visitor: &str, user: &str, consent: Value) -> Value {
    json!({"event_id": "bad", "name": "checkout_step", "step": "two", "visitor_id": visitor, "user_id": user, "consent": consent,
        "properties": {"email": "jane@example.com"}})
}

#[test]
fn who_allows_too_little_leaves_no_bytes() {
    let categories =
        |functional: bool| json!({"consent": {"categoryPreferences": {"Analytics": true, "Functional": functional}}});
    let call = |context: Value| json!({"type": "track", "anonymousId": "v1", "messageId": "m", "context": context, "properties": {"email": "j@x.nl"}});
    let posthog = |distinct: &str, mode: bool| {
        let event = json!({"api_key": KEY, "distinct_id": distinct, "properties": {"$cookieless_mode": mode}});
        Call::post("/i/v0/e/", event.to_string())
    };
    let ga4 = |word: &str| {
        let body =
            json!({"client_id": "v1", "consent": {"ad_personalization": word}, "events": [{"params": {"memo": "x"}}]});
        Call::post("/mp/collect?measurement_id=G&api_secret=wk_shop", body.to_string())
    };
    let page = json!({"e": "pv", "p": "web", "tv": "js-4", "eid": "no uuid", "duid": "v1"});
    for (default, call, is_kept) in [
        (ConsentMode::Full, native(&bad("v1", "u1", Value::Null)), true),
        (ConsentMode::Full, native(&bad("v1", "u1", "none".into())), false),
        (ConsentMode::Full, native(&bad("v1", "u1", "cookieless".into())), false),
        (ConsentMode::Full, native(&bad("v1", "u1", json!({"personalization": false}))), false),
        (ConsentMode::Full, native(&bad("v1", "u1", json!({"analytics": false}))), false),
        (ConsentMode::Full, native(&bad("v1", "u1", json!({"personalisation": false}))), false),
        (ConsentMode::Full, native(&bad("v1", "u1", json!({"marketing": false}))), true),
        (ConsentMode::None, native(&bad("v1", "u1", Value::Null)), false),
        (ConsentMode::Cookieless, native(&bad("v1", "u1", Value::Null)), false),
        (ConsentMode::None, native(&bad("v1", "u1", json!({"analytics": true}))), false),
        (ConsentMode::None, native(&bad("v1", "u1", "full".into())), true),
        (ConsentMode::Full, segment(&json!({"batch": [call(json!({}))]})), true),
        (ConsentMode::Full, segment(&json!({"batch": [call(categories(false))]})), false),
        (ConsentMode::Full, segment(&json!({"context": categories(false), "batch": [call(json!({}))]})), false),
        (ConsentMode::None, segment(&json!({"batch": [call(categories(true))]})), true),
        (ConsentMode::Full, posthog("v1", false), true),
        (ConsentMode::Full, posthog("v1", true), false),
        (ConsentMode::Full, ga4("GRANTED"), true),
        (ConsentMode::Full, ga4("DENIED"), false),
        (ConsentMode::Full, snowplow(&page), true),
        (ConsentMode::Full, snowplow(&page).header("sp-anonymous", "*"), false),
    ] {
        let (count, kept) = refused(&call, &shop(default));
        assert_eq!(
            (count, kept == 1),
            (1, is_kept),
            "{default:?} {} {}",
            call.path,
            String::from_utf8_lossy(&call.body)
        );
    }
    // What can't be read may say so, too.
    for (body, is_kept) in [
        (r#"{"event_id":"e","visitor_id":"v1","consent":"none","x":1,"x":2}"#, false),
        (r#"{"event_id":"e","visitor_id":"v1","consent":"none","#, false),
        (r#"{"event_id":"e","visitor_id":"v1","x":1,"x":2}"#, true),
        (r#"{"event_id":"e","visitor_id":"v1","#, true),
    ] {
        let call = Call::post(&format!("/v1/events?key={KEY}"), body);
        assert_eq!(refused(&call, &shop(ConsentMode::Full)), (1, usize::from(is_kept)), "{body}");
    }
}

#[test]
fn who_has_refused_before_leaves_no_bytes() {
    let known = shop(ConsentMode::Full).keeping_to(Arc::new(Known));
    let texts = |count: usize| json!({"visitor_id": "v1", "event_id": "e", "list": vec!["x"; count]});
    let page = |visitor: &str| json!({"e": "pv", "p": "web", "tv": "js-4", "eid": "no uuid", "duid": visitor});
    let track = |user: &str| json!({"batch": [{"type": "track", "messageId": "m", "userId": user}]});
    let ga4 = |visitor: &str| {
        Call::post(
            "/mp/collect?measurement_id=G&api_secret=wk_shop",
            json!({"client_id": visitor, "events": [{}]}).to_string(),
        )
    };
    let pixel = |visitor: &str| Call::get(&format!("/i?aid=shop&e=pv&p=web&tv=js&eid=no-uuid&duid={visitor}"));
    let broken =
        |visitor: &str| Call::post(&format!("/v1/events?key={KEY}"), format!(r#"{{"visitor_id": "{visitor}", "#));
    let raw = |text: &str| Call::post(&format!("/v1/events?key={KEY}"), text.to_owned());
    let preferences = |said: &str| json!({"schema": "iglu:com.snowplowanalytics.snowplow/consent_preferences/jsonschema/1-0-0", "data": {"eventType": said}});
    let context = |device: &str| json!({"schema": "iglu:nl.shop/visit/jsonschema/1-0-0", "data": {"userId": device}});
    let unstruct = |visitor: &str, inner: &Value, is_packed: bool| {
        let text =
            json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": inner})
                .to_string();
        let (field, text) = if is_packed { ("ue_px", STANDARD.encode(text)) } else { ("ue_pr", text) };
        let mut event = json!({"e": "ue", "p": "web", "tv": "js-4", "eid": "no uuid", "duid": visitor});
        event[field] = text.into();
        event
    };
    for (call, is_kept) in [
        (native(&bad("v1", "u1", "full".into())), true),
        (native(&bad("out", "u1", "full".into())), false),
        (native(&bad("v1", "of-out", Value::Null)), false),
        (native(&json!({"event_id": "e", "name": "x", "properties": [{"who": "out"}]})), false),
        (native(&texts(900)), true),
        (native(&texts(1_100)), false),
        (snowplow(&page("v1")), true),
        (snowplow(&page("out")), false),
        (segment(&track("u1")), true),
        (segment(&track("of-out")), false),
        (ga4("v1"), true),
        (ga4("out"), false),
        (pixel("v1"), true),
        (pixel("%6Fut"), false),
        (broken("v1"), true),
        (broken("out"), false),
        (raw("{'visitor_id':'v1','user_id':'u1'}"), true),
        (raw("{'visitor_id':'v1','user_id':'of-out'}"), false),
        (raw("{visitor_id:v1,user_id:of-out}"), false),
        (raw("user_id: of-out"), false),
        (raw(r#"{"visitor_id": "\u006fut", "#), false),
        (snowplow(&unstruct("v1", &context("v1"), false)), true),
        (snowplow(&unstruct("v1", &context("out"), false)), false),
        (snowplow(&unstruct("v1", &context("out"), true)), false),
        (snowplow(&unstruct("v1", &preferences("allow_all"), false)), true),
        (snowplow(&unstruct("v1", &preferences("deny_all"), false)), false),
        (snowplow(&unstruct("v1", &preferences("deny_all"), true)), false),
    ] {
        let (count, kept) = refused(&call, &known);
        assert_eq!(
            (count, kept == 1),
            (1, is_kept),
            "{} {} {}",
            call.path,
            call.query,
            String::from_utf8_lossy(&call.body)
        );
    }
    // In the same request.
    let word = |consent: &str| json!({"event_id": "w", "name": "consent", "visitor_id": "v1", "consent": consent});
    for (consent, kept) in [("none", 0), ("cookieless", 0), ("full", 1)] {
        let call = native(&json!([word(consent), bad("v1", "", Value::Null)]));
        assert_eq!(refused(&call, &shop(ConsentMode::Full)), (1, kept), "{consent}");
    }
    // By the ids as they are kept.
    let hashing = || Source { allowed_origins: None, hash_ids: true, ..source() };
    let hash = |id: &str| collector_of(vec![hashing()]).id_in("shop", id).expect("a source");
    struct Hashed(midsession_event::Str);
    impl midsession_collect::ConsentInForce for Hashed {
        fn is_empty(&self) -> bool {
            false
        }
        fn of(
            &self,
            visitor: Option<&midsession_event::VisitorId>,
            user: Option<&midsession_event::UserId>,
        ) -> midsession_collect::InForce {
            match visitor.is_some_and(|id| id.0 == self.0) {
                true => Known.of(Some(&"out".into()), None),
                false => Known.of(None, user),
            }
        }
    }
    let known = collector_of(vec![hashing()]).keeping_to(Arc::new(Hashed(hash("v1"))));
    assert_eq!(refused(&native(&bad("v1", "u1", Value::Null)), &known), (1, 0));
    assert_eq!(refused(&native(&bad("v2", "u1", Value::Null)), &known), (1, 1));
}

#[test]
fn the_id_of_a_refused_event_holds_none_that_is_hashed() {
    let hashing = collector_of(vec![Source { allowed_origins: None, hash_ids: true, ..source() }]);
    let id_of = |event_id: &str, collector: &Collector| {
        let mut event = bad("visitor-7", "u7", Value::Null);
        event["event_id"] = event_id.into();
        native(&event).to(collector).rejects[0].reject.event_id.clone().expect("an id").to_string()
    };
    for (id, is_hidden) in [("e1", false), ("u7", true), ("of-visitor-7-1", true), ("menu7", false)] {
        assert_eq!(id_of(id, &hashing) != id, is_hidden, "{id}");
        assert_eq!(id_of(id, &shop(ConsentMode::Full)), id);
    }
    let uuid = "0d3a4b5c-6f7e-4a01-9b2c-3d4e5f607182";
    let event = json!({"event_id": uuid, "visitor_id": uuid, "name": "checkout_step", "step": "two"});
    let rejected = native(&event).to(&hashing).rejects.remove(0).reject;
    assert!(rejected.event_id.is_some_and(|id| id.as_str() != uuid));
}
