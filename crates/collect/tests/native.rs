//! The native protocol, and what holds for all: verdicts, consent, personal fields, origins.

use crate::help::*;
use midsession_collect::{ConsentMode, Overload, PersonalRule, Protocol, Source};
use midsession_event::{Campaign, Consent, EventName, PropertyValue};

fn native(body: &str) -> Call {
    Call::post("/v1/events", body).header("authorization", &format!("Bearer {KEY}"))
}

const FULL: &str = r#"{
    "event_id": "e1", "name": "add_to_cart", "visitor_id": "v1", "user_id": "u1", "session_id": "s1",
    "occurred_at": "2026-11-22T11:59:55Z", "sent_at": 1795348798000,
    "page": {"url": "https://shop.example/p/1?utm_source=news&token=x&q=a", "title": "Boots", "referrer": "https://search.example/?q=boots"},
    "products": [{"id": 7, "name": "Boots", "category": "Shoes", "brand": "B", "price": "42.99", "currency": "eur", "quantity": 2, "position": 1}],
    "cart": {"id": "c", "total_value": 85.98, "currency": "EUR"},
    "order": {"id": "o", "revenue": 1, "currency": "EUR", "tax": 0.1, "shipping": 0, "discount": null},
    "promotion": {"id": "p", "name": "Autumn"}, "list": "Top", "step": 2, "query": "boots jane@example.com",
    "consent": {"marketing": false}, "properties": {"color": "red", "n": 1, "f": 0.5, "b": true, "x": null, "o": {"a": [1]}, "email": "a@b.example"},
    "own": "thing"
}"#;

/// Twenty events as a tracker sends them.
pub fn batch_of_20() -> String {
    let events: Vec<String> = (0..20)
        .map(|index| {
            FULL.replace(r#""e1""#, &format!(r#""018f-{index}""#))
                .replace("\n", "")
                .replace(r#", "email": "a@b.example""#, "")
        })
        .collect();
    format!("[{}]", events.join(","))
}

#[test]
fn every_field_arrives() {
    let collected = native(FULL).send();
    let event = one(&collected);
    assert_eq!(collected.protocol, Some(Protocol::Native));
    assert_eq!((event.event_id.as_str(), event.source.as_str(), &event.name), ("e1", "shop", &EventName::AddToCart));
    assert_eq!(event.visitor_id.as_ref().map(|id| id.as_str()), Some("v1"));
    assert_eq!(event.user_id.as_ref().map(|id| id.as_str()), Some("u1"));
    assert_eq!(event.tracker_session_id.as_deref(), Some("s1"));
    // Sent 3 s after it happened by the device's clock, which is 2 s behind.
    assert_eq!(event.occurred_at_ms, NOW_MS - 3_000);
    assert_eq!((event.device_at_ms, event.sent_at_ms), (Some(NOW_MS - 5_000), Some(NOW_MS - 2_000)));
    let page = event.page.as_ref().expect("a page");
    assert_eq!(page.url.as_deref(), Some("https://shop.example/p/1?q=a"));
    assert_eq!(page.referrer.as_deref(), Some("https://search.example/?q=boots"));
    assert_eq!(event.campaign, Some(Campaign { source: Some("news".into()), ..Campaign::default() }));
    let product = &event.products[0];
    assert_eq!(
        (product.id.as_str(), product.price, product.quantity, product.position),
        ("7", Some(42.99), Some(2), Some(1))
    );
    assert_eq!(product.currency.as_deref(), Some("EUR"));
    assert_eq!(event.cart.as_ref().and_then(|cart| cart.total_value), Some(85.98));
    assert_eq!(event.order.as_ref().map(|order| (order.tax, order.discount)), Some((Some(0.1), None)));
    assert_eq!(event.promotion.as_ref().and_then(|promotion| promotion.name.as_deref()), Some("Autumn"));
    assert_eq!((event.list.as_deref(), event.step), (Some("Top"), Some(2)));
    assert_eq!(event.query.as_deref(), Some("boots [email]"));
    assert_eq!(event.consent, Consent(7));
    let properties: Vec<(&str, &PropertyValue)> =
        event.properties.iter().map(|(key, value)| (key.as_str(), value)).collect();
    assert_eq!(
        properties,
        [
            ("b", &PropertyValue::Bool(true)),
            ("color", &PropertyValue::Text("red".into())),
            ("f", &PropertyValue::Float(0.5)),
            ("n", &PropertyValue::Int(1)),
            ("o.a", &PropertyValue::Text("[1]".into())),
            ("own", &PropertyValue::Text("thing".into())),
            ("x", &PropertyValue::Null),
        ]
    );
    let device = event.device.as_ref().expect("a device");
    assert_eq!(
        (device.class.as_deref(), device.browser.as_deref(), event.bot),
        (Some("desktop"), Some("Chrome"), false)
    );
    assert_eq!(collected.reply.status, 200);
}

#[test]
fn bodies_of_every_shape() {
    let event = |id: &str| format!(r#"{{"event_id":"{id}","name":"page_view","visitor_id":"v1"}}"#);
    let (a, b) = (event("a"), event("b"));
    let pretty = a.replace(',', ",\n  ");
    for (body, expected) in [
        (a.clone(), vec!["a"]),
        (pretty, vec!["a"]),
        (format!("[{a},\n{b}]"), vec!["a", "b"]),
        (format!("{a}\n{b}\n"), vec!["a", "b"]),
        (format!("{a}\r\n\r\n{b}"), vec!["a", "b"]),
        (format!(r#"{{"batch":[{a},{b}],"sent_at":{NOW_MS}}}"#), vec!["a", "b"]),
        ("[]".to_owned(), vec![]),
    ] {
        let collected = native(&body).send();
        let ids: Vec<&str> = collected.events.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, expected, "{body}");
        assert!(collected.rejects.is_empty(), "{body}");
        assert_eq!(collected.reply.status, 200);
    }
    // An event whose properties hold a batch is an event.
    let collected = native(&a.replace('}', r#","properties":{"batch":[1]}}"#)).send();
    assert_eq!(one(&collected).event_id.as_str(), "a");
}

#[test]
fn one_bad_event_never_costs_its_siblings() {
    let good = r#"{"event_id":"g","name":"page_view","visitor_id":"v1"}"#;
    let bad = |change: &str| format!(r#"{{"event_id":"b","name":"page_view","visitor_id":"v1",{change}}}"#);
    let deep = format!(r#""properties":{}1{}"#, r#"{"a":"#.repeat(40), "}".repeat(40));
    let many: Vec<String> = (0..600).map(|index| format!("\"k{index}\":1")).collect();
    for (change, code, field) in [
        (r#""products":[{"id":"1"},{"id":"2","price":-1}]"#, "money_invalid", Some("products[1].price")),
        (r#""products":[{"name":"x"}]"#, "field_missing", Some("products[0].id")),
        (r#""products":{"id":"1"}"#, "wrong_type", Some("products")),
        (r#""products":[3]"#, "wrong_type", Some("products[0]")),
        (r#""cart":{"total_value":"12,50"}"#, "money_invalid", Some("cart.total_value")),
        (r#""order":{"currency":"Euro"}"#, "currency_invalid", Some("order.currency")),
        (r#""order":{"revenue":1e400}"#, "number_out_of_range", None),
        (r#""step":0"#, "number_invalid", Some("step")),
        (r#""step":1.5"#, "number_invalid", Some("step")),
        (r#""occurred_at":1795348800"#, "time_invalid", Some("occurred_at")),
        (r#""occurred_at":"soon""#, "time_invalid", Some("occurred_at")),
        (r#""user_id":"undefined""#, "id_placeholder", Some("user_id")),
        (r#""user_id":"a\u0000b""#, "id_control_character", Some("user_id")),
        (r#""user_id":["x"]"#, "wrong_type", Some("user_id")),
        (r#""consent":"maybe""#, "consent_invalid", Some("consent")),
        (r#""page":"x""#, "wrong_type", Some("page")),
        (r#""name":"twice""#, "duplicate_key", Some("name")),
        (r#""x":18446744073709551616"#, "number_out_of_range", None),
        (r#""x":nope"#, "invalid_json", None),
        (deep.as_str(), "too_deep", None),
        (&format!(r#""properties":{{{}}}"#, many.join(",")), "too_many_properties", None),
        (&format!(r#""{}":1"#, "k".repeat(129)), "key_too_long", None),
        (&format!(r#""user_id":"{}""#, "u".repeat(257)), "id_too_long", Some("user_id")),
        (&format!(r#""query":"{}""#, "q".repeat(70_000)), "event_too_large", None),
    ] {
        let bad = bad(change);
        let collected = native(&format!("[{good},{bad},{good}]")).send();
        assert_eq!(collected.events.len(), 2, "{change}");
        let rejected = &collected.rejects[0];
        assert_eq!((rejected.index, rejected.reject.code.as_str()), (1, code), "{change}");
        if field.is_some() {
            assert_eq!(rejected.reject.field.as_deref(), field, "{change}");
        }
        assert_eq!(rejected.reject.payload, bad.as_bytes()[..bad.len().min(64 << 10)], "the original bytes");
        assert_eq!((rejected.reject.owner.as_str(), rejected.reject.source.as_str()), ("tracker", "shop"));
        assert_eq!(collected.reply.status, 200);
    }
    for (event, code, field) in [
        (r#"{"name":"x","visitor_id":"v1"}"#, "field_missing", Some("event_id")),
        (r#"{"event_id":"e","visitor_id":"v1"}"#, "name_missing", Some("name")),
        (r#"{"event_id":"e","name":"","visitor_id":"v1"}"#, "name_missing", Some("name")),
        (r#"{"event_id":"e","name":"x"}"#, "identity_missing", Some("visitor_id")),
        (r#"{"event_id":"e","name":"x","visitor_id":""}"#, "identity_missing", Some("visitor_id")),
        (
            r#"{"event_id":"e","name":"x","visitor_id":"00000000-0000-0000-0000-000000000000"}"#,
            "id_placeholder",
            Some("visitor_id"),
        ),
        ("3", "wrong_type", None),
        ("nope", "invalid_json", None),
    ] {
        let collected = native(&format!("[{event},{good}]")).send();
        assert_eq!(codes(&collected), [(0, code, field)], "{event}");
        assert_eq!(collected.events.len(), 1, "{event}");
    }
}

#[test]
fn verdicts_tell_what_to_do() {
    let body = r#"[{"event_id":"a","name":"x","visitor_id":"v1"},{"event_id":"b","name":"x","visitor_id":"NaN"}]"#;
    let mut call = native(body);
    call.query = "verdicts=1".into();
    let collected = call.send();
    assert!(collected.wants_verdicts);
    assert_eq!(collected.rejects[0].reject.event_id.as_ref().map(|id| id.as_str()), Some("b"));
    let reply = collected.verdicts([("behavior", 3, 99)].into_iter());
    let value: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(value["accepted"], 1);
    assert_eq!(value["rejected"][0]["index"], 1);
    assert_eq!(value["rejected"][0]["code"], "id_placeholder");
    assert_eq!(value["rejected"][0]["field"], "visitor_id");
    assert!(value["rejected"][0]["hint"].is_string());
    assert_eq!(value["receipts"][0], serde_json::json!({"topic": "behavior", "partition": 3, "offset": 99}));
}

#[test]
fn what_a_rule_left_out_has_its_verdict_too() {
    let event = |id: &str, more: &str| format!(r#"{{"event_id":"{id}","name":"x","visitor_id":"{id}"{more}}}"#);
    let events = [
        event("a", r#","consent":"none""#),
        event("b", r#","step":0"#),
        event("c", ""),
        event("d", r#","consent":"none""#),
    ];
    let verdicts = |call: Call, source: Source| {
        let collected = Call { query: "verdicts=1".into(), ..call }.to(&collector_of(vec![source]));
        serde_json::from_slice::<serde_json::Value>(&collected.reply.body).expect("JSON")
    };
    let of = |value: &serde_json::Value| -> Vec<(u64, String)> {
        let rejected = value["rejected"].as_array().expect("a list");
        for verdict in rejected {
            assert!(verdict["message"].is_string(), "{verdict}");
        }
        let pair = |verdict: &serde_json::Value| {
            (verdict["index"].as_u64().expect("an index"), verdict["code"].as_str().expect("a code").to_owned())
        };
        rejected.iter().map(pair).collect()
    };
    let call = native(&format!("[{}]", events.join(",")));
    let value = verdicts(call.clone(), source());
    let said =
        |codes: &[(u64, &str)]| codes.iter().map(|(index, code)| (*index, (*code).to_owned())).collect::<Vec<_>>();
    assert_eq!(of(&value), said(&[(0, "no_consent"), (1, "number_invalid"), (3, "no_consent")]));
    assert_eq!((&value["accepted"], &value["dropped"]), (&1.into(), &2.into()));
    let none = verdicts(call.clone(), Source { sample: 0.0, ..source() });
    assert_eq!(of(&none)[2], (2, "sampled_out".to_owned()));
    let opted_out = verdicts(call.header("cookie", "doNotTrack=1"), source());
    assert_eq!(of(&opted_out), (0..4).map(|index| (index, "opted_out".to_owned())).collect::<Vec<_>>());
}

#[test]
fn whole_requests_refused() {
    let good = r#"{"event_id":"g","name":"page_view","visitor_id":"v1"}"#;
    for (call, status, code) in [
        (native("").clone(), 400, "body_empty"),
        (Call::post("/v1/events", good), 401, "key_missing"),
        (Call::post("/v1/events?key=other", good), 401, "key_unknown"),
        (Call::post("/v1/nothing", good), 404, "route_unknown"),
        (native(good).header("origin", "https://evil.example"), 403, "origin_not_allowed"),
        (native(good).header("content-encoding", "zstd"), 415, "unsupported_encoding"),
        (native(&" ".repeat((1 << 20) + 1)), 413, "body_too_large"),
    ] {
        let collected = call.send();
        assert_eq!(collected.reply.status, status, "{code}");
        let value: serde_json::Value = serde_json::from_slice(&collected.reply.body).expect("JSON");
        assert_eq!(value["code"], code);
        assert_eq!(collected.reply.header("content-type"), Some("application/problem+json"));
        assert!(collected.events.is_empty());
    }
    // What belongs to a source is kept for it; strangers fill no topic.
    assert_eq!(native("").send().rejects.len(), 1);
    assert!(Call::post("/v1/events?key=other", good).send().rejects.is_empty());
}

#[test]
fn batches_are_bounded() {
    let events: Vec<String> =
        (0..1_003).map(|index| format!(r#"{{"event_id":"{index}","name":"x","visitor_id":"v1"}}"#)).collect();
    let collected = native(&format!("[{}]", events.join(","))).send();
    assert_eq!(
        (collected.reply.status, collected.events.len()),
        (413, 0),
        "none of them, so that the sender has them all"
    );
    assert_eq!(codes(&collected), [(0, "batch_too_long", None)]);
    for most in [format!("[{}]", events[..1_000].join(",")), events[..1_000].join("\n")] {
        let collected = native(&most).send();
        assert_eq!((collected.reply.status, collected.events.len(), collected.rejects.len()), (200, 1_000, 0));
    }
    assert_eq!(native(&events.join("\n")).send().reply.status, 413);
    // Millions of nothings are one dead letter, not millions.
    for body in [format!("[{}0]", "0,".repeat(400_000)), "x\n".repeat(400_000)] {
        assert_eq!(native(&body).send().rejects.len(), 1);
    }
}

#[test]
fn consent_decides_what_is_kept() {
    let event = |consent: &str| {
        format!(
            r#"{{"event_id":"e","name":"page_view","visitor_id":"v1","user_id":"u1","session_id":"s","consent":{consent}}}"#
        )
    };
    let none = native(&event(r#""none""#)).send();
    assert_eq!((none.events.len(), none.dropped_no_consent(), none.reply.status), (0, 1, 200));
    let cookieless = native(&event(r#""cookieless""#)).send();
    let first = one(&cookieless);
    let visitor = first.visitor_id.clone().expect("an id of the day");
    assert!(visitor.as_str().starts_with("c_") && first.user_id.is_none() && first.tracker_session_id.is_none());
    assert_eq!(first.consent, Consent::COOKIELESS);
    // Same shopper, same day: same id. Another day's salt, another agent: another id.
    assert_eq!(one(&native(&event(r#""cookieless""#)).send()).visitor_id, Some(visitor.clone()));
    let other = native(&event(r#""cookieless""#)).header("user-agent", "other").send();
    assert_ne!(one(&other).visitor_id, Some(visitor.clone()));
    let salted = native(&event(r#""cookieless""#)).with(|request| {
        let request = midsession_collect::Request { daily_salt: Some([1; 32]), ..*request };
        collector().collect(&request, &mut || 0)
    });
    assert_ne!(one(&salted).visitor_id, Some(visitor));
    // Cookies and source defaults.
    let opted_out = native(&event("null")).header("cookie", "a=b; doNotTrack=1").send();
    assert_eq!((opted_out.events.len(), opted_out.dropped_no_consent()), (0, 1));
    let closed = collector_of(vec![Source { consent_default: ConsentMode::None, ..source() }]);
    assert_eq!(native(&event("null")).to(&closed).dropped_no_consent(), 1);
    assert_eq!(one(&native(&event(r#"{"analytics":true,"personalization":true}"#)).to(&closed)).consent, Consent(3));
    assert_eq!(one(&native(&event("null")).header("sec-gpc", "1").send()).consent, Consent(7));
}

#[test]
fn a_refusal_is_kept_as_a_refusal() {
    let body = r#"{"event_id":"e","name":"consent","visitor_id":"v1","consent":"none","page":{"url":"/x"},"properties":{"a":1}}"#;
    let collected = native(body).send();
    let event = one(&collected);
    assert_eq!((event.consent, event.visitor_id.as_ref().map(|id| id.as_str())), (Consent::NONE, Some("v1")));
    assert!(event.page.is_none() && event.properties.is_empty() && event.device.is_none());
}

#[test]
fn personal_fields_never_arrive() {
    let body = r#"{"event_id":"e","name":"search","visitor_id":"v1","user_id":"jane@example.com",
        "page":{"url":"https://j:pw@shop.example/a?email=jane@example.com&q=jane%40example.com","title":"Hi jane@example.com","referrer":"https://x.example/?phone=1"},
        "query":"call +49 30 12345678","properties":{"email":"jane@example.com","phone":4930123456,"address":{"street":"Elm 1"},
        "ip":"192.0.2.9","note":"jane@example.com or 0171 234 5678","first_name":"Jane","newsletter_email":true,"host":"192.0.2.9"}}"#;
    for rule in [PersonalRule::Drop, PersonalRule::Hash] {
        let collector = collector_of(vec![Source { personal_fields: rule, ..source() }]);
        let collected = native(body).to(&collector);
        let event = one(&collected);
        let text = serde_json::to_string(event).expect("JSON");
        for personal in ["jane", "Jane", "Elm", "192.0.2", "1234", "pw", "4930123456", "0171"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        let user = event.user_id.as_ref().expect("still the same user");
        assert!(user.as_str().starts_with("h_"), "an address as user id is hashed");
        assert_eq!(event.properties.get("newsletter_email"), Some(&PropertyValue::Bool(true)));
        assert_eq!(event.properties.contains_key("email"), rule == PersonalRule::Hash);
    }
    let hashed = collector_of(vec![Source { hash_ids: true, ..source() }]);
    let body =
        r#"{"event_id":"e","name":"x","visitor_id":"v1","user_id":"customer-7","properties":{"who":"customer-7"}}"#;
    let collected = native(body).to(&hashed);
    let event = one(&collected);
    assert!(event.visitor_id.as_ref().is_some_and(|id| id.as_str().starts_with("h_")));
    let user = event.user_id.as_ref().map(|id| PropertyValue::Text(id.0.clone()));
    assert_eq!(event.properties.get("who"), user.as_ref(), "wherever it stands");
}

#[test]
fn the_allow_list_holds_for_properties_and_parameters() {
    let allowed = Source { allowed_properties: Some(vec!["color".into(), "email".into()]), ..source() };
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1","page":{"url":"/p?color=red&q=a&utm_medium=m"},"properties":{"color":"red","size":4,"email":"a@b.example"}}"#;
    let collected = native(body).to(&collector_of(vec![allowed]));
    let event = one(&collected);
    assert_eq!(event.properties.keys().map(|key| key.as_str()).collect::<Vec<_>>(), ["color"], "personal ones never");
    assert_eq!(event.page.as_ref().and_then(|page| page.url.as_deref()), Some("/p?color=red"));
    assert_eq!(event.campaign.as_ref().and_then(|campaign| campaign.medium.as_deref()), Some("m"));
}

#[test]
fn strict_sources_know_their_fields() {
    let strict = collector_of(vec![Source { strict: true, ..source() }]);
    let collected = native(r#"{"event_id":"e","name":"x","visitor_id":"v1","vistor":"v"}"#).to(&strict);
    assert_eq!(codes(&collected), [(0, "unknown_field", Some("vistor"))]);
}

#[test]
fn robots_are_marked() {
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1"}"#;
    let robot =
        native(body).header("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
    assert!(one(&robot.send()).bot);
    let said = native(&body.replace('}', r#","device":{"class":"bot"}}"#));
    assert!(one(&said.send()).bot);
}

#[test]
fn a_servers_library_is_no_robot() {
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1"}"#;
    for agent in ["python-requests/2.32.3", "okhttp/4.12.0", "axios/1.7.7", "node-fetch/1.0", "curl/8.9.1"] {
        let collected = native(body).header("user-agent", agent).send();
        let event = one(&collected);
        assert_eq!((event.bot, &event.device), (false, &None), "{agent}");
    }
    let said = body.replace('}', r#","device":{"class":"mobile"}}"#);
    let collected = native(&said).header("user-agent", "python-requests/2.32.3").send();
    let device = one(&collected).device.clone().expect("what the event says");
    assert_eq!((device.class.as_deref(), one(&collected).bot), (Some("mobile"), false));
}

#[test]
fn people_and_addresses_are_in_no_text() {
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1","query":"call 415-555-2671",
        "device":{"os":"Linux 192.0.2.7","browser":"Chrome 120.0.0.0 2001:db8::1"},
        "properties":{"name":"Jane Doe","recipient":"Jane Doe","product":{"name":"Lamp"},"note":"from 192.0.2.7"}}"#;
    let collected = native(body).send();
    let event = one(&collected);
    let device = event.device.clone().expect("a device");
    assert_eq!(event.query.as_deref(), Some("call [phone]"));
    assert_eq!((device.os.as_deref(), device.browser.as_deref()), (Some("Linux [ip]"), Some("Chrome 120.0.0.0 [ip]")));
    let left: Vec<&str> = event.properties.keys().map(|name| name.as_str()).collect();
    assert_eq!(left, ["note", "product.name"]);
}

#[test]
fn samples_keep_whole_visitors() {
    let half = collector_of(vec![Source { sample: 0.5, ..source() }]);
    let mut kept = 0;
    for visitor in 0..200 {
        let event = |id: u8| format!(r#"{{"event_id":"{id}","name":"x","visitor_id":"v{visitor}"}}"#);
        let collected = native(&format!("[{},{}]", event(1), event(2))).to(&half);
        assert_eq!(collected.events.len() + collected.dropped_sampled(), 2);
        assert_ne!(collected.events.len(), 1, "all of a visitor or nothing");
        kept += collected.events.len() / 2;
    }
    assert!((60..140).contains(&kept), "{kept} of 200");
}

#[test]
fn origins() {
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1"}"#;
    let allow = "access-control-allow-origin";
    let listed = native(body).header("origin", "https://shop.example").send().reply;
    assert_eq!(listed.header(allow), Some("https://shop.example"));
    assert_eq!(listed.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(listed.header("vary"), Some("Origin"));
    let unlisted = native(body).header("origin", "https://evil.example").send().reply;
    assert_eq!((unlisted.header(allow), unlisted.header("vary")), (None, Some("Origin")));
    // A page behind the same host (first-party proxy) is at home.
    let own = native(body).header("origin", "https://t.example").header("host", "t.example").send();
    assert_eq!((own.events.len(), own.reply.header(allow)), (1, Some("https://t.example")));
    // `null` is nobody.
    for listed in [Some(vec!["null".to_owned()]), None] {
        let collector = collector_of(vec![Source { allowed_origins: listed, ..source() }]);
        assert_eq!(native(body).header("origin", "null").to(&collector).reply.header(allow), None);
    }
    let preflight = |origin: &str| {
        let mut call =
            native("").header("origin", origin).header("access-control-request-headers", "anonymousid,x-other");
        call.method = "OPTIONS";
        call.send().reply
    };
    assert_eq!(preflight("https://shop.example").header(allow), Some("https://shop.example"));
    assert_eq!(preflight("https://shop.example").header("access-control-allow-headers"), Some("anonymousid,x-other"));
    assert_eq!(preflight("https://evil.example").header(allow), None);
}

#[test]
fn overload_is_said_so_that_trackers_come_back() {
    let call = native("").header("origin", "https://shop.example");
    for (why, status) in [(Overload::Unavailable, 503), (Overload::RateLimited, 429)] {
        let reply = call.with(|request| collector().overload(request, why, 7));
        assert_eq!((reply.status, reply.header("retry-after")), (status, Some("7")));
        assert!(reply.header("access-control-allow-origin").is_some());
    }
}
