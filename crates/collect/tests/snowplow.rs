//! Snowplow's trackers, by what they really sent and by the rules of their protocol.

use crate::help::*;
use midsession_collect::{Collected, ConsentMode, Protocol, Source};
use midsession_event::{Consent, EventName, PropertyValue};

const TP2: &str = "/com.snowplowanalytics.snowplow/tp2";
const PAYLOAD: &str = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4";
const EID: &str = "f59777c7-c2ac-4286-bc07-e6e00eff01cc";

fn tp2(events: &str) -> Call {
    Call::post(TP2, format!(r#"{{"schema":"{PAYLOAD}","data":[{events}]}}"#))
}

fn page_view(more: &str) -> String {
    format!(r#"{{"e":"pv","p":"web","tv":"js-4","aid":"shop","eid":"{EID}","duid":"d1"{more}}}"#)
}

/// A self-describing event with entities, plain.
fn described(event: (&str, &str), entities: &[(&str, &str)]) -> String {
    let text = |value: serde_json::Value| serde_json::to_string(&value.to_string()).expect("JSON");
    let object = |(schema, data): &(&str, &str)| serde_json::json!({ "schema": format!("iglu:{schema}"), "data": serde_json::from_str::<serde_json::Value>(data).expect("JSON") });
    let ue = serde_json::json!({ "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": object(&event) });
    let co: Vec<_> = entities.iter().map(object).collect();
    let co =
        serde_json::json!({ "schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0", "data": co });
    format!(
        r#"{{"e":"ue","p":"web","tv":"js-4","aid":"shop","eid":"{EID}","duid":"d1","ue_pr":{},"co":{}}}"#,
        text(ue),
        text(co)
    )
}

fn names(collected: &Collected) -> Vec<&str> {
    collected.events.iter().map(|event| event.name.as_str()).collect()
}

/// The journey that the captures tell, in native words.
const JOURNEY: [&str; 16] = [
    "page_view",
    "list_view",
    "list_click",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "checkout_step",
    "checkout_step",
    "transaction",
    "trns_error",
    "refund",
    "promo_view",
    "promo_click",
    "open",
    "search",
    "size_chosen",
];

#[test]
fn captures_tell_the_journey() {
    for folder in
        ["snowplow-browser-post", "snowplow-browser-batch", "snowplow-browser-anonymous", "snowplow-browser-get"]
    {
        let (mut seen, mut sent_ids, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (file, call) in fixtures(folder) {
            let collected = call.to(&open_collector());
            assert_eq!(collected.protocol, Some(Protocol::Snowplow), "{file}");
            assert_eq!(collected.reply.status, 200, "{file}");
            assert!(collected.rejects.is_empty(), "{file}: {:?}", collected.rejects);
            let allow = collected.reply.header("access-control-allow-origin");
            if call.method != "GET" {
                assert!(allow.is_some_and(|origin| origin.starts_with("http://localhost")), "{file}");
            }
            match call.method {
                "POST" => {
                    assert_eq!(&collected.reply.body[..], b"ok");
                    let json = json_of(&call);
                    let data = json["data"].as_array().expect("events");
                    sent_ids.extend(data.iter().map(|event| event["eid"].as_str().expect("an id").to_owned()));
                }
                "GET" => {
                    assert_eq!(collected.reply.header("content-type"), Some("image/gif"));
                    let id =
                        form_urlencoded::parse(call.query.as_bytes()).find(|(key, _)| key == "eid").expect("an id").1;
                    sent_ids.push(id.into_owned());
                }
                _ => assert_eq!(
                    collected.reply.header("access-control-allow-headers"),
                    call.headers
                        .iter()
                        .find(|(name, _)| name == "access-control-request-headers")
                        .map(|(_, value)| value.as_str())
                ),
            }
            seen.extend(names(&collected).into_iter().map(str::to_owned));
            ids.extend(collected.events.iter().map(|event| event.event_id.to_string()));
            for event in &collected.events {
                let text = serde_json::to_string(event).expect("JSON");
                for personal in ["jane", "Elm", "10115", "192.0.2", "secret"] {
                    assert!(!text.contains(personal), "{file}: {personal} in {text}");
                }
                assert!(event.visitor_id.is_some() && event.occurred_at_ms <= NOW_MS);
                assert_eq!(event.campaign.as_ref().and_then(|campaign| campaign.name.as_deref()), Some("autumn"));
            }
            if folder == "snowplow-browser-anonymous" {
                assert!(
                    collected
                        .events
                        .iter()
                        .all(|event| event.consent == Consent::COOKIELESS && event.tracker_session_id.is_none())
                );
                assert_eq!(collected.reply.header("set-cookie"), None);
            }
        }
        assert_eq!(ids, sent_ids, "{folder}: as multisets, and in order");
        let pings = seen.iter().filter(|name| *name == "page_ping").count();
        seen.retain(|name| name != "page_ping");
        assert_eq!(seen, JOURNEY, "{folder}");
        assert!(pings >= 1, "{folder}");
    }
}

#[test]
fn ecommerce_in_native_words() {
    let (_, call) =
        fixtures("snowplow-browser-post").into_iter().find(|(_, call)| call.method == "POST").expect("a capture");
    let collected = call.to(&open_collector());
    let find = |name: &str| collected.events.iter().find(|event| event.name.as_str() == name).expect("in the journey");
    let added = find("add_to_cart");
    let product = &added.products[0];
    assert_eq!((product.id.as_str(), product.price, product.currency.as_deref()), ("p-1", Some(89.9), Some("EUR")));
    assert_eq!((product.brand.as_deref(), product.quantity, product.position), (Some("Föhn"), Some(1), Some(1)));
    let cart = added.cart.as_ref().expect("a cart");
    assert_eq!((cart.id.as_deref(), cart.total_value), (Some("c-1"), Some(89.9)));
    assert_eq!(find("list_view").products.len(), 2);
    assert_eq!(find("list_view").list.as_deref(), Some("Top this week"));
    let steps: Vec<_> = collected.events.iter().filter_map(|event| event.step).collect();
    assert_eq!(steps, [1, 2]);
    let order = find("transaction").order.as_ref().expect("an order");
    assert_eq!(
        (order.id.as_deref(), order.revenue, order.tax, order.shipping),
        (Some("t-1"), Some(89.9), Some(14.35), Some(4.9))
    );
    assert_eq!(find("refund").order.as_ref().and_then(|order| order.revenue), Some(10.0));
    assert_eq!(find("promo_view").promotion.as_ref().and_then(|promotion| promotion.id.as_deref()), Some("autumn"));
    assert_eq!(find("search").query.as_deref(), Some("boots red"));
    assert_eq!(find("size_chosen").properties.get("size"), Some(&PropertyValue::Int(42)));
    assert_eq!(find("open").properties.get("category"), Some(&PropertyValue::Text("menu".into())));
    // The ecommerce user entity names the user from then on.
    assert!(added.user_id.is_none());
    assert_eq!(find("transaction").user_id.as_ref().map(|id| id.as_str()), Some("u-5"));
    assert!(collected.events.iter().all(|event| event.tracker_session_id == added.tracker_session_id));
    let page = find("page_view").page.as_ref().expect("a page");
    assert_eq!(page.title.as_deref(), Some("Stiefel & Söckchen"));
    assert!(page.url.as_deref().is_some_and(|url| url.ends_with("/page.html")));
}

#[test]
fn the_node_tracker_speaks_for_its_shopper() {
    let (_, call) = fixtures("snowplow-node").remove(0);
    let collected = call.to(&open_collector());
    assert_eq!(names(&collected), ["page_view", "add-to-basket", "transaction"]);
    let event = &collected.events[2];
    assert_eq!(event.visitor_id.as_ref().map(|id| id.as_str()), Some("0f1e2d3c-4b5a-4978-8a9b-0c1d2e3f4a5b"));
    assert_eq!((event.user_id.as_ref().map(|id| id.as_str()), event.products.len()), (Some("u-4"), 1));
    // The agent it names, not its own.
    assert_eq!(event.device.as_ref().and_then(|device| device.class.as_deref()), Some("mobile"));
    assert!(!serde_json::to_string(event).expect("JSON").contains("192.0.2"));
}

#[test]
fn routes() {
    let body = format!(r#"{{"schema":"{PAYLOAD}","data":[{}]}}"#, page_view(""));
    let pixel = format!("e=pv&p=web&tv=js&aid=shop&eid={EID}&duid=d1");
    for (method, path, query, protocol, events) in [
        ("POST", TP2, "", Some(Protocol::Snowplow), 1),
        ("POST", "/com.acme/track", "", Some(Protocol::Snowplow), 1),
        ("POST", "/acme/t", "", Some(Protocol::Snowplow), 1),
        ("GET", "/i", pixel.as_str(), Some(Protocol::Snowplow), 1),
        ("HEAD", "/i", pixel.as_str(), Some(Protocol::Snowplow), 1),
        ("GET", "/ice.png", pixel.as_str(), Some(Protocol::Snowplow), 1),
        ("GET", TP2, pixel.as_str(), Some(Protocol::Snowplow), 1),
        ("GET", "/acme/t", pixel.as_str(), Some(Protocol::Snowplow), 1),
        ("GET", "/i", "", Some(Protocol::Snowplow), 0),
        ("GET", "/acme/page", "", None, 0),
        ("POST", "/v1/tp2", "", None, 0),
        ("GET", "/r/tp2", "u=https%3A%2F%2Fevil.example", None, 0),
        ("POST", "/r/tp2", "", None, 0),
        ("POST", "/a/b/c", "", None, 0),
        ("POST", "/i", "", None, 0),
    ] {
        let mut call = Call::post(path, if method == "POST" { body.clone() } else { String::new() });
        (call.method, call.query) = (
            if method == "HEAD" {
                "HEAD"
            } else if method == "GET" {
                "GET"
            } else {
                "POST"
            },
            query.into(),
        );
        let collected = call.send();
        assert_eq!((collected.protocol, collected.events.len()), (protocol, events), "{method} {path}");
        assert_eq!(collected.reply.status, if protocol.is_some() { 200 } else { 404 }, "{method} {path}");
    }
}

#[test]
fn what_is_wrong_goes_to_the_dead_letters_and_the_tracker_hears_ok() {
    let good = page_view("").replace("f59777c7", "a59777c7");
    let product = "com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0";
    let action = "com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2";
    for (event, code, field) in [
        (page_view("").replace(r#""e":"pv","#, ""), "field_missing", Some("e")),
        (page_view("").replace(r#""p":"web","#, ""), "field_missing", Some("p")),
        (page_view("").replace(r#""tv":"js-4","#, ""), "field_missing", Some("tv")),
        (page_view("").replace("pv", "xx"), "event_type_unknown", Some("e")),
        (page_view("").replace(EID, "no-uuid"), "id_invalid", Some("eid")),
        (page_view(r#","dtm":1795348800000"#), "wrong_type", Some("dtm")),
        (page_view(r#","uid":"undefined""#), "id_placeholder", Some("uid")),
        (page_view(r#","e":"pv""#), "duplicate_key", Some("e")),
        (page_view(r#","cx":"%%%""#), "base64_invalid", Some("co")),
        (page_view(r#","co":"{""#), "invalid_json", Some("co")),
        (page_view(r#","co":"{}""#), "not_self_describing", Some("co")),
        (described((action, r#"{"type":"buy"}"#), &[]), "schema_violation", Some("ue_pr.data.data.type")),
        (
            described(
                (action, r#"{"type":"product_view"}"#),
                &[(product, r#"{"id":"p","category":"c","currency":"EUR","price":-1}"#)],
            ),
            "schema_violation",
            Some("co.data[0].data.price"),
        ),
        (described(("nonsense", "{}"), &[]), "schema_address_invalid", Some("ue_pr.data.schema")),
    ] {
        let collected = tp2(&format!("{good},{event}")).send();
        assert_eq!(codes(&collected), [(1, code, field)], "{event}");
        assert_eq!(collected.events.len(), 1, "{event}");
        assert_eq!((collected.reply.status, &collected.reply.body[..]), (200, &b"ok"[..]));
        assert_eq!(collected.rejects[0].reject.payload, event.as_bytes());
    }
    for (body, code) in [
        ("", "body_empty"),
        ("[1,2]", "invalid_json"),
        (r#"{"schema":"iglu:com.acme/x/jsonschema/1-0-0","data":[]}"#, "payload_schema"),
        (&format!(r#"{{"schema":"{PAYLOAD}"}}"#), "field_missing"),
        (&format!(r#"{{"schema":"{PAYLOAD}","data":[]}}"#), "payload_empty"),
        (&"x".repeat((1 << 20) + 1), "body_too_large"),
    ] {
        // Not even the app id can be read: the only source there is keeps the bytes.
        let collected = Call::post(TP2, body).to(&collector());
        assert_eq!(codes(&collected)[0].1, code);
        assert_eq!(
            collected.reply.status, 200,
            "{code}: never a status that makes a tracker forget or resend for ever"
        );
    }
}

#[test]
fn poison_of_other_systems_is_an_event() {
    // Without product price and cart value.
    let action = "com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2";
    let collected = tp2(&described((action, r#"{"type":"add_to_cart"}"#), &[])).send();
    let event = one(&collected);
    assert_eq!((&event.name, event.cart.is_none(), event.products.len()), (&EventName::AddToCart, true, 0));
}

#[test]
fn unknown_schemas_are_custom_unless_strict() {
    let own = described(
        ("com.acme/size_chosen/jsonschema/1-0-0", r#"{"size":42}"#),
        &[("com.acme/shelf/jsonschema/1-0-0", r#"{"row":3}"#)],
    );
    let collected = tp2(&own).send();
    let event = one(&collected);
    assert_eq!(event.name.as_str(), "size_chosen");
    assert_eq!(event.properties.get("shelf.row"), Some(&PropertyValue::Int(3)));
    // A custom event by a native name is not the native event.
    let collected = tp2(&described(("com.acme/transaction/jsonschema/1-0-0", "{}"), &[])).send();
    assert_eq!(one(&collected).name, EventName::Custom("com.acme.transaction".into()));
    let strict = collector_of(vec![Source { strict: true, ..source() }]);
    assert_eq!(codes(&tp2(&own).to(&strict)), [(0, "schema_unknown", Some("ue_pr.data"))]);
    assert_eq!(codes(&tp2(&page_view(r#","zz":"1""#)).to(&strict)), [(0, "unknown_field", Some("zz"))]);
    assert_eq!(one(&tp2(&page_view(r#","tz":"UTC","res":"1x1""#)).to(&strict)).name, EventName::PageView);
}

#[test]
fn time_is_derived_as_snowplow_does() {
    for (parameters, expected) in [
        (format!(r#","dtm":"{}","stm":"{}""#, NOW_MS + 1_000, NOW_MS + 4_000), NOW_MS - 3_000),
        (format!(r#","dtm":"{}""#, NOW_MS - 9_000), NOW_MS),
        (format!(r#","dtm":"{0}","stm":"{0}""#, NOW_MS - 9_000), NOW_MS),
        (format!(r#","ttm":"{}","dtm":"{}","stm":"{}""#, NOW_MS - 5, NOW_MS, NOW_MS + 9), NOW_MS - 5),
        (r#","dtm":"yesterday","stm":"now""#.to_owned(), NOW_MS),
    ] {
        assert_eq!(one(&tp2(&page_view(&parameters)).send()).occurred_at_ms, expected, "{parameters}");
    }
}

#[test]
fn the_query_of_a_post_overrides_its_events() {
    let mut call = tp2(&page_view(r#","uid":"u1""#));
    call.query = "uid=u2&aid=shop".into();
    assert_eq!(one(&call.send()).user_id.as_ref().map(|id| id.as_str()), Some("u2"));
}

#[test]
fn base64_in_either_alphabet() {
    use base64::Engine;
    let co = r#"{"schema":"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0","data":[{"schema":"iglu:com.acme/x/jsonschema/1-0-0","data":{"t":"ÿ?>~ü"}}]}"#;
    for engine in [
        base64::engine::general_purpose::STANDARD,
        base64::engine::general_purpose::URL_SAFE,
        base64::engine::general_purpose::URL_SAFE_NO_PAD,
    ] {
        let collected = tp2(&page_view(&format!(r#","cx":"{}""#, engine.encode(co)))).send();
        assert_eq!(one(&collected).properties.get("x.t"), Some(&PropertyValue::Text("ÿ?>~ü".into())));
    }
}

#[test]
fn cookies() {
    let no_user = page_view("").replace(r#","duid":"d1""#, "");
    let cookie = "11111111-2222-4333-8444-555555555555";
    let shop = collector_of(vec![Source { cookie_domains: vec!["shop.example".into()], ..source() }]);
    let first = tp2(&no_user).header("origin", "https://shop.example").to(&shop);
    let set = first.reply.header("set-cookie").expect("a cookie").to_owned();
    let visitor = one(&first).visitor_id.clone().expect("a visitor");
    assert_eq!(
        set,
        format!("sp={visitor}; Max-Age=31536000; Path=/; Domain=shop.example; Secure; HttpOnly; SameSite=None")
    );
    let again = tp2(&no_user).header("cookie", &format!("x=1; sp={cookie}")).send();
    assert_eq!(one(&again).visitor_id.as_ref().map(|id| id.as_str()), Some(cookie));
    assert!(again.reply.header("set-cookie").is_some_and(|set| set.starts_with(&format!("sp={cookie}; "))));
    // A hostile cookie is not taken over.
    let hostile = tp2(&no_user).header("cookie", "sp=<script>").send();
    assert!(one(&hostile).visitor_id.as_ref().is_some_and(|id| uuid::Uuid::try_parse(id.as_str()).is_ok()));
    // SP-Anonymous: no cookie, and an existing one goes.
    let anonymous = tp2(&no_user).header("sp-anonymous", "*").header("cookie", &format!("sp={cookie}")).send();
    assert_eq!(anonymous.reply.header("set-cookie"), Some("sp=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=None"));
    let event = one(&anonymous);
    assert!(event.consent == Consent::COOKIELESS && event.visitor_id.as_ref().is_some_and(|id| id.as_str() != cookie));
    // Nothing is set where nothing was agreed to.
    for call in [tp2(&no_user).header("cookie", "doNotTrack=1"), tp2(&no_user)] {
        let mode = if call.headers.iter().any(|(name, _)| name == "cookie") {
            ConsentMode::Full
        } else {
            ConsentMode::Cookieless
        };
        let collected = call.to(&collector_of(vec![Source { consent_default: mode, ..source() }]));
        assert_eq!((collected.reply.status, collected.reply.header("set-cookie")), (200, None));
    }
    // The nil UUID is nobody.
    let nobody = tp2(&no_user.replace('}', r#","nuid":"00000000-0000-0000-0000-000000000000"}"#))
        .header("cookie", &format!("sp={cookie}"))
        .send();
    assert_eq!(one(&nobody).visitor_id.as_ref().map(|id| id.as_str()), Some(cookie));
}

#[test]
fn anonymous_events_have_nothing_of_address_agent_or_cookie() {
    let bare = page_view("").replace(r#","duid":"d1""#, "");
    let page = |id: &str| {
        format!(
            r#","co":"{{\"schema\":\"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0\",\"data\":[{{\"schema\":\"iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0\",\"data\":{{\"id\":\"{id}\"}}}}]}}""#
        )
    };
    let with = |more: &str| bare.replacen('}', &format!("{more}}}"), 1);
    let other_event = |event: &str| event.replace(EID, "a59777c7-c2ac-4286-bc07-e6e00eff01cc");
    let visitor = |event: &str, address: &str, agent: &str, cookie: &str| {
        let call = tp2(event).header("sp-anonymous", "*").header("user-agent", agent).header("cookie", cookie);
        let collected = call.header("x-forwarded-for", address).with(|request| {
            let request = midsession_collect::Request { peer_ip: address.parse().ok(), ..*request };
            collector().collect(&request, &mut || 0)
        });
        let event = one(&collected);
        assert!(event.user_id.is_none() && event.tracker_session_id.is_none() && event.geo.is_none());
        assert!(!serde_json::to_string(event).expect("JSON").contains("192.0.2"));
        event.visitor_id.as_ref().map(|id| id.to_string()).expect("an id of the day")
    };
    let here = |event: &str| visitor(event, "192.0.2.1", DESKTOP, "a=b");
    let page_one = "5f1d4c1e-0000-4000-8000-000000000001";
    for event in [
        with(""),
        with(&page(page_one)),
        with(r#","sid":"5f1d4c1e-0000-4000-8000-000000000002""#),
        with(r#","duid":"d1","uid":"u1""#),
    ] {
        let there = visitor(&event, "192.0.2.99", "other", "sp=11111111-2222-4333-8444-555555555555");
        assert_eq!(here(&event), there, "{event}");
    }
    // One page is one visitor; what says nothing of its page stands alone, and a lasting id says nothing.
    assert_eq!(here(&with(&page(page_one))), here(&other_event(&with(&page(page_one)))));
    assert_ne!(here(&with(&page(page_one))), here(&with(&page("5f1d4c1e-0000-4000-8000-000000000003"))));
    assert_ne!(here(&with("")), here(&other_event(&with(""))));
    assert_ne!(here(&with(r#","duid":"d1""#)), here(&other_event(&with(r#","duid":"d1""#))));
}

#[test]
fn old_ecommerce_and_pings() {
    let tr = page_view(r#","tr_id":"o1","tr_tt":"12.5","tr_cu":"EUR","tr_sh":"1""#).replace("pv", "tr");
    let ti = page_view(r#","ti_id":"o1","ti_sk":"p1","ti_pr":"12.5","ti_qu":"2""#).replace("pv", "ti");
    let pp = page_view(r#","pp_mix":"0","pp_may":"300""#).replace("pv", "pp");
    let collected = tp2(&format!("{tr},{ti},{pp}")).send();
    assert_eq!(names(&collected), ["transaction", "transaction_item", "page_ping"]);
    assert_eq!(collected.events[0].order.as_ref().and_then(|order| order.revenue), Some(12.5));
    assert_eq!(collected.events[1].products[0].quantity, Some(2));
    assert_eq!(collected.events[2].properties.get("max_y"), Some(&PropertyValue::Int(300)));
}

#[test]
fn the_source_is_found_without_a_write_key() {
    let other = Source {
        name: "other".into(),
        write_key: "wk_2".into(),
        app_ids: vec!["app2".into()],
        allowed_origins: Some(vec!["https://two.example".into()]),
        ..Source::default()
    };
    let both = collector_of(vec![source(), other.clone()]);
    let of = |call: Call| call.to(&both).source.map(|source| source.to_string());
    let anybody = page_view("").replace(r#""aid":"shop","#, "");
    assert_eq!(of(tp2(&page_view(""))).as_deref(), Some("shop"));
    assert_eq!(of(tp2(&page_view("").replace("shop", "app2"))).as_deref(), Some("other"));
    assert_eq!(of(tp2(&page_view("").replace("shop", "other"))).as_deref(), Some("other"), "by its name");
    assert_eq!(of(tp2(&anybody).header("origin", "https://two.example")).as_deref(), Some("other"), "by origin");
    // Nobody's: said so that it can be mended, and counted.
    for (event, said) in
        [(anybody.clone(), "names no app id"), (page_view("").replace("shop", "app3"), "app id `app3`")]
    {
        let refused = tp2(&event).to(&both);
        let problem: serde_json::Value = serde_json::from_slice(&refused.reply.body).expect("JSON");
        assert_eq!((refused.reply.status, refused.unattributed), (401, Some("app_id_unknown")));
        assert_eq!((&problem["code"], &problem["field"]), (&"app_id_unknown".into(), &"aid".into()));
        assert!(problem["title"].as_str().is_some_and(|title| title.contains(said)), "{problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("app_ids")), "{problem}");
    }
    // One source may take whatever is no other's; who lists the origin goes first.
    let rest = Source { name: "rest".into(), write_key: "wk_3".into(), app_ids: vec!["*".into()], ..Source::default() };
    let three = collector_of(vec![rest, source(), other]);
    let of = |call: Call| call.to(&three).source.map(|source| source.to_string());
    assert_eq!(of(tp2(&page_view("").replace("shop", "app3"))).as_deref(), Some("rest"));
    assert_eq!(of(tp2(&anybody)).as_deref(), Some("rest"));
    assert_eq!(of(tp2(&page_view(""))).as_deref(), Some("shop"), "its own");
    assert_eq!(of(tp2(&anybody).header("origin", "https://two.example")).as_deref(), Some("other"));
    assert_eq!(of(Call { query: "key=wrong".into(), ..tp2(&anybody) }), None, "a wrong key is a mistake");
    assert_eq!(one(&tp2(&anybody).send()).source.as_str(), "shop", "the only one");
}
