//! What shoppers refused, and what is personal: none of it gets past the collector, by any way in.

use crate::help::{Call, KEY, codes, collector_of, one, source};
use midsession_collect::{PersonalRule, Secret, Source};
use midsession_event::{Consent, PropertyValue, Purpose};

fn native(body: &str) -> Call {
    Call::post(&format!("/v1/events?key={KEY}"), body)
}

#[test]
fn every_set_of_purposes_is_enforced() {
    for bits in 0..16 {
        let said: Vec<String> = Purpose::ALL
            .iter()
            .map(|(purpose, name)| format!("\"{name}\":{}", Consent(bits).allows(*purpose)))
            .collect();
        let event = format!(
            r#"{{"event_id":"e","name":"page_view","visitor_id":"v1","user_id":"u1","session_id":"s","consent":{{{}}}}}"#,
            said.join(",")
        );
        let collected = native(&event).send();
        let (counts, lasts) =
            (Consent(bits).allows(Purpose::Analytics), Consent(bits).allows(Purpose::Personalization));
        let kept = counts || lasts;
        assert_eq!((collected.events.len(), collected.dropped_no_consent()), (usize::from(kept), usize::from(!kept)));
        if !kept {
            continue;
        }
        let event = one(&collected);
        assert!(event.consent_said && event.consent == Consent(bits), "{bits}");
        let ids = (event.visitor_id.as_ref().map(|id| id.as_str() == "v1"), event.user_id.is_some());
        assert_eq!(ids, (Some(lasts), lasts), "{bits}");
        assert_eq!(event.tracker_session_id.is_some(), lasts, "{bits}");
    }
}

#[test]
fn a_default_is_told_from_a_word() {
    let plain = native(r#"{"event_id":"e","name":"page_view","visitor_id":"v1"}"#).send();
    assert!(!one(&plain).consent_said && one(&plain).consent == Consent::FULL);
    let silent = native(r#"{"event_id":"e","name":"consent","visitor_id":"v1"}"#).send();
    assert_eq!(codes(&silent)[0].1, "field_missing", "a consent event without a consent grants nothing");
}

/// A shop's web pages, its app and a partner, whose ids are to stay apart.
#[test]
fn a_hashed_id_is_one_person_in_all_sources_but_those_with_a_key_of_their_own() {
    let named = |name: &str, hash_key: Option<&str>| Source {
        name: name.into(),
        write_key: format!("wk_{name}"),
        personal_fields: PersonalRule::Hash,
        hash_key: hash_key.map(|key| Secret(key.to_owned())),
        allowed_origins: None,
        ..source()
    };
    let hashing = Source { hash_ids: true, ..named("till", None) };
    let collector =
        collector_of(vec![named("web", None), named("app", None), hashing, named("partner", Some("of its own"))]);
    let body = r#"{"event_id":"e","name":"x","visitor_id":"v1","user_id":"jane@mail.example","properties":{"email":"jane@mail.example"}}"#;
    let kept = |name: &str| {
        let event = one(&Call::post(&format!("/v1/events?key=wk_{name}"), body).to(&collector)).clone();
        (event.visitor_id.expect("a visitor").0, event.user_id.expect("a user").0, event.properties["email"].clone())
    };
    let [web, app, till, partner] = ["web", "app", "till", "partner"].map(kept);
    assert!(web.1 == app.1 && web.1 == till.1 && web.1 != partner.1, "{web:?} {app:?} {till:?} {partner:?}");
    assert!(web.2 != app.2 && web.2 != partner.2, "fields are each source's own");
    // Whoever has the id itself finds them by it, and nobody is looked for under an address.
    assert_eq!(collector.ids_of("jane@mail.example"), [web.1.clone(), partner.1.clone()]);
    assert_eq!(collector.ids_of("v1"), ["v1".into(), till.0.clone()]);
    for visitor in ["v1", &till.0] {
        let pairs = collector.kept_as(visitor, "jane@mail.example").into_iter();
        let pairs: Vec<_> = pairs.map(|(visitor, user)| (visitor.0, user.0)).collect();
        assert!(
            pairs.contains(&(till.0.clone(), till.1.clone())) && pairs.iter().all(|(v, _)| *v == till.0),
            "{pairs:?}"
        );
    }
}

/// Where a personal value may stand, in an event of each protocol.
fn planted() -> Vec<(&'static str, Call)> {
    let native_event = r#"{"event_id":"p1-jane.doe@example.com","name":"page_view","visitor_id":"v1","user_id":"004917012345678",
        "page":{"url":"https://shop.example/u/+4917012345678/orders?email=jane.doe@example.com","title":"For jane.doe@example.com",
        "referrer":"https://shop.example/u/jane.doe@example.com"},
        "device":{"class":"mobile","os":"jane.doe@example.com","browser":"+49 170 12345678"},
        "products":[{"id":"p","name":"for jane.doe@example.com"}],"query":"jane.doe@example.com",
        "properties":{"jane.doe@example.com":true,"billing_name":"Jane Doe","cardholder_name":"Jane Doe","contact_name":"Jane Doe",
        "customers":[{"first_name":"Jane","last_name":"Doe","address":"Elm Street 1","phone":"5551234567","size":4}],
        "contacts":[{"name":"Jane Doe","tel":"5551234567"}],"addresses":"Elm Street 1","note":["jane.doe@example.com"]}}"#;
    let segment = r#"{"type":"identify","messageId":"m","anonymousId":"a","userId":"u","traits":{"name":"Jane Doe",
        "addresses":[{"street":"Elm Street 1","city":"Springfield"}],"contacts":[{"name":"Jane Doe","tel":"5551234567"}]}}"#;
    let posthog = r#"{"api_key":"wk_shop","event":"x","distinct_id":"d","properties":{"$set":{"name":"Jane Doe","email":"jane.doe@example.com"},
        "people":[{"fullName":"Jane Doe"}]}}"#;
    let ga4 = r#"{"client_id":"c","events":[{"name":"x","params":{"billing_name":"Jane Doe","memo":"jane.doe@example.com"}}]}"#;
    vec![
        ("native", native(native_event)),
        ("segment", Call::post("/v1/identify", segment).header("authorization", "Basic d2tfc2hvcDo=")),
        ("posthog", Call::post("/i/v0/e/", posthog)),
        ("ga4", Call::post("/mp/collect?measurement_id=G&api_secret=wk_shop", ga4)),
    ]
}

#[test]
fn nothing_personal_is_in_any_text_of_an_event() {
    for (protocol, call) in planted() {
        let collected = call.to(&collector_of(vec![Source { allowed_origins: None, ..source() }]));
        let text = serde_json::to_string(one(&collected)).expect("JSON");
        for planted in
            ["jane.doe", "Jane Doe", "Elm Street", "5551234567", "4917012345678", "170 12345678", "Springfield"]
        {
            assert!(!text.contains(planted), "{protocol}: {planted} is in {text}");
        }
        assert!(protocol != "native" || text.contains("size"), "what is not personal stays: {text}");
    }
}

#[test]
fn who_refused_leaves_no_bytes_among_the_dead_letters() {
    let bad = r#"{"event_id":"e","name":"checkout_step","step":0,"visitor_id":"v1","user_id":"jane","consent":"none"}"#;
    let collected = native(bad).send();
    assert_eq!(collected.rejects[0].reject.payload, b"", "the reason stays, the bytes do not");
    let opted_out = native(r#"{"event_id":"e","name":"page_view","visitor_id":"\u0000","user_id":"jane"}"#);
    let collected = opted_out.header("cookie", "doNotTrack=1").send();
    assert_eq!((collected.rejects.len(), collected.dropped_no_consent()), (0, 1));
}

#[test]
fn what_has_no_source_is_counted() {
    let two =
        || collector_of(vec![source(), Source { name: "other".into(), write_key: "wk_2".into(), ..Source::default() }]);
    let collected = Call::post("/com.snowplowanalytics.snowplow/tp2", "nonsense").to(&two());
    assert_eq!((collected.rejects.len(), collected.unattributed), (0, Some("invalid_json")));
    let known = Call::post("/com.snowplowanalytics.snowplow/tp2?aid=shop", "nonsense").to(&two());
    assert_eq!((known.rejects.len(), known.unattributed), (1, None), "the query names it");
    let by_body = Call::post("/v1/batch", r#"{"writeKey" : "wk_2", "batch": ["#).to(&two());
    assert_eq!(by_body.source.as_ref().map(|source| source.as_str()), Some("other"), "its bytes do");
}

#[test]
fn a_repeat_of_a_made_up_visitor_is_a_repeat() {
    let event = r#"{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":[{"e":"pv","p":"web","tv":"x",
        "eid" : "0d3a4b5c-6f7e-4a01-9b2c-3d4e5f607182","aid" : "shop"}]}"#;
    let visitor = |event: &str| {
        let mut random = 0;
        let collected = Call::post("/com.snowplowanalytics.snowplow/tp2", event).with(|request| {
            collector_of(vec![source(), Source { name: "b".into(), write_key: "b".into(), ..Source::default() }])
                .collect(request, &mut || {
                    random += rand_of_this_call();
                    random
                })
        });
        one(&collected).visitor_id.clone()
    };
    assert_eq!(visitor(event), visitor(event), "no cookie, no id: a retry meets its first copy all the same");
    assert_ne!(visitor(event), visitor(&event.replace("0d3a", "0d3b")));
}

/// Another number at each call, as two requests would have.
fn rand_of_this_call() -> u128 {
    static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    u128::from(CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

#[test]
fn two_equal_ga4_events_are_two_and_a_repeat_is_none() {
    let twice = r#"{"client_id":"c","timestamp_micros":1795348800000000,"events":[{"name":"add_to_cart"},{"name":"add_to_cart"}]}"#;
    let ids = || {
        let collected = Call::post("/mp/collect?measurement_id=G&api_secret=wk_shop", twice).send();
        collected.events.iter().map(|event| event.event_id.to_string()).collect::<Vec<_>>()
    };
    assert_ne!(ids()[0], ids()[1]);
    assert_eq!(ids(), ids());
}

/// What is personal by name goes beside the event, in the kinds that the source keeps, and never in it.
#[test]
fn encrypted_fields_go_beside_the_event() {
    use midsession_collect::{PersonalKind, PersonalRule};
    use midsession_event::ShopperId;
    let keeps = |kinds: &[PersonalKind]| Source {
        allowed_origins: None,
        personal_fields: PersonalRule::Encrypt,
        encrypted_fields: kinds.to_vec(),
        ..source()
    };
    for (protocol, call) in planted() {
        let collected = call.to(&collector_of(vec![keeps(&keeps(&[]).encrypted_fields)]));
        assert!(collected.personal.is_empty(), "{protocol}: nothing was to be kept");
        let all = [PersonalKind::Email, PersonalKind::Phone, PersonalKind::Name, PersonalKind::Address];
        let collected = call.to(&collector_of(vec![keeps(&all)]));
        let text = serde_json::to_string(one(&collected)).expect("JSON");
        for planted in ["jane.doe", "Jane Doe", "Elm Street", "5551234567", "4917012345678", "Springfield"] {
            assert!(!text.contains(planted), "{protocol}: {planted} is in {text}");
        }
    }
    let body = r#"{"event_id":"e","name":"signup","visitor_id":"v1","properties":{"email":"jane@example.com","phone":4917012345678,
        "password":"s3cret","plan":"gold","billing.name":"Jane Doe","name":"Jane"}}"#;
    let all = [PersonalKind::Email, PersonalKind::Phone, PersonalKind::Name, PersonalKind::Ip];
    let call = |body: &str| native(body).to(&collector_of(vec![keeps(&all)]));
    let collected = call(body);
    let [kept] = &collected.personal[..] else { panic!("one event's: {:?}", collected.personal) };
    assert_eq!((kept.event, &kept.whose), (0, &ShopperId::Visitor("v1".into())));
    let told: Vec<String> = kept
        .fields
        .iter()
        .flat_map(|(kind, fields)| fields.iter().map(move |(name, value)| format!("{}:{name}={value}", kind.as_str())))
        .filter(|field| !field.starts_with("ip:"))
        .collect();
    let expected =
        ["email:email=jane@example.com", "phone:phone=4917012345678", "name:billing.name=Jane Doe", "name:name=Jane"];
    assert_eq!(told, expected);
    let names: Vec<&str> = one(&collected).properties.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["plan"]);
    // The person's key once there is one; nothing without the purpose that ids need; nothing of a refusal.
    let known = call(&body.replace("\"visitor_id\":\"v1\"", "\"visitor_id\":\"v1\",\"user_id\":\"u1\""));
    assert_eq!(known.personal[0].whose, ShopperId::User("u1".into()));
    for consent in ["cookieless", "none"] {
        let said = format!("\"visitor_id\":\"v1\",\"consent\":\"{consent}\"");
        assert!(call(&body.replace("\"visitor_id\":\"v1\"", &said)).personal.is_empty(), "{consent}");
    }
}

#[test]
fn a_word_on_consent_names_its_policy_and_nothing_else() {
    let source = || Source { allowed_origins: None, allowed_properties: Some(vec!["plan".into()]), ..source() };
    for consent in ["none", "cookieless", "full"] {
        let said = format!(
            r#"{{"event_id":"c","name":"consent","visitor_id":"v1","consent":"{consent}","properties":{{"policy_version":"2026-11","x":1}}}}"#
        );
        let collected = native(&said).to(&collector_of(vec![source()]));
        let event = one(&collected);
        assert_eq!(
            serde_json::to_string(&event.properties).expect("JSON"),
            r#"{"policy_version":"2026-11"}"#,
            "{consent}"
        );
        assert_eq!(event.visitor_id.as_ref().map(|id| id.as_str()), Some("v1"));
    }
    let long = format!(
        r#"{{"event_id":"c","name":"consent","visitor_id":"v1","consent":"none","properties":{{"policy_version":"{}"}}}}"#,
        "x".repeat(65)
    );
    for consent in ["none", "full"] {
        assert!(one(&native(&long.replace("none", consent)).send()).properties.is_empty(), "{consent}");
    }
}

/// Whatever tells who somebody is, wherever an event has room for text of the sender's.
#[test]
fn no_place_keeps_what_reaches_somebody() {
    let places = [
        r#"{"event_id":"e","name":"consent","visitor_id":"v1","consent":"CONSENT","properties":{"policy_version":"as of WHO"}}"#,
        r#"{"event_id":"e","name":"sign_up","visitor_id":"v1","properties":{"asked WHO":1,"seen":{"WHO":"twice"},"note":"by WHO, once"}}"#,
        r#"{"event_id":"e","name":"page_view","visitor_id":"v1","page":{"url":"https://shop.example/of/WHO/x?q=for+WHO&WHO=1#/to/WHO",
            "referrer":"https://search.example/of/WHO?q=WHO","title":"Of WHO"}}"#,
        r#"{"event_id":"e","name":"called WHO","visitor_id":"v1","query":"of WHO"}"#,
        r#"{"event_id":"e","name":"page_view","visitor_id":"v1","page":{"url":"https://shop.example/","referrer":"http://WHO/x"}}"#,
    ];
    let open = || Source { allowed_properties: Some(vec!["*".into()]), ..source() };
    for who in ["jane@example.com", "+31612345678", "192.0.2.7", "2001:db8::7"] {
        for place in places {
            for consent in ["none", "full"] {
                let body = place.replace("WHO", who).replace("CONSENT", consent);
                let collected = native(&body).to(&collector_of(vec![open()]));
                let text = serde_json::to_string(one(&collected)).expect("JSON");
                assert!(!text.contains(&who[1..]), "{who} in {place}: {text}");
            }
        }
    }
    for version in ["2026-11-01", "1.2.3", "v1.2.3.4", "2026.11", "version 1.2.3.4"] {
        let body = places[0].replace("as of WHO", version).replace("CONSENT", "full");
        let kept = native(&body).to(&collector_of(vec![open()]));
        assert_eq!(one(&kept).properties.get("policy_version"), Some(&PropertyValue::Text(version.into())));
    }
}

#[test]
fn names_in_other_languages_and_digits_that_are_called() {
    let event = r#"{"event_id":"e","name":"sign_up","visitor_id":"v1","order":{"id":"0612345678"},"properties":{
        "klant_gsm":"0612345678","Prénom":"Zazie","straat":"Kerkstraat","billing":{"town":"Utrecht","line2":"bis"},"dob":"1980-01-31",
        "callback_number":"0687654321","smsTo":687654321,"calls":[{"dial":"0687654321","size":4}],
        "order_id":"0612345679","ean":"4006381333931","article":4006381333931,"nominal":"a1","telemetry":"b2","linear":"c3",
        "capacity":"d4","contact_id":"0612345670","nom_produit":"e5"}}"#;
    let call = native(event);
    let collected = call.send();
    let kept = one(&collected);
    let text = serde_json::to_string(&kept.properties).expect("JSON");
    for personal in ["klant", "\"0612345678", "Zazie", "Kerkstraat", "Utrecht", "bis", "1980", "687654321"] {
        assert!(!text.contains(personal), "{personal} is in {text}");
    }
    for kept in ["0612345679", "\"4006381333931", ":4006381333931", "a1", "b2", "c3", "d4", "0612345670", "e5", "size"]
    {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    assert_eq!(kept.order.as_ref().and_then(|order| order.id.as_deref()), Some("0612345678"));
    let encrypting = Source { personal_fields: midsession_collect::PersonalRule::Encrypt, ..source() };
    let sealed = native(event).to(&collector_of(vec![encrypting])).personal.remove(0).fields;
    let kinds: Vec<String> = sealed
        .iter()
        .map(|(kind, fields)| {
            format!("{}: {}", kind.as_str(), fields.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected =
        ["phone: callback_number klant_gsm smsTo", "name: Prénom", "address: billing.line2 billing.town straat"];
    assert_eq!(kinds, expected);
}
