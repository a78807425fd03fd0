//! Personal fields whose name is not a key but a text beside the value: forms, lists of attributes, Snowplow's form tracking.

use crate::help::{Call, KEY, collector_of, one, source};
use midsession_collect::{Collected, PersonalRule, Source};
use serde_json::{Value, json};

fn send(event: &Value, personal_fields: PersonalRule) -> Collected {
    let mut event = event.clone();
    event["event_id"] = "e".into();
    event["visitor_id"] = "v".into();
    event["name"] = "x".into();
    let source = Source { allowed_origins: None, personal_fields, ..source() };
    Call::post(&format!("/v1/events?key={KEY}"), event.to_string()).to(&collector_of(vec![source]))
}

/// The properties as they are kept.
fn kept(properties: &Value) -> Value {
    let collected = send(&json!({"properties": properties}), PersonalRule::Drop);
    serde_json::to_value(&one(&collected).properties).expect("JSON")
}

/// A value of each kind that no pattern finds.
const PERSONAL: [(&str, &str); 6] = [
    ("lastname", "Zdoe"),
    ("cardnumber", "4111111111111111"),
    ("phone", "0612345678"),
    ("password", "Zhunter2"),
    ("Street", "Zdamrak 1"),
    ("IBAN", "NL91ABNA0417164300"),
];

#[test]
fn whatever_the_two_keys_are() {
    for (key, value) in [
        ("name", "value"),
        ("key", "value"),
        ("field", "val"),
        ("id", "content"),
        ("label", "text"),
        ("elementId", "value"),
        ("element_id", "value"),
        ("question", "answer"),
        ("fieldName", "response"),
        ("form_field", "form_value"),
        ("first_field_name", "first_field_value"),
        ("name", "new_value"),
        ("field", "oldValue"),
        ("name", "stringValue"),
        ("name", "string_value"),
    ] {
        for (name, personal) in PERSONAL {
            let pair = json!({key: name, value: personal, "size": 4});
            let without = json!({key: name, "size": 4});
            for properties in [
                pair.clone(),
                json!({"form": pair}),
                json!({"fields": [pair]}),
                json!({"payload": pair.to_string()}),
                json!({"payload": json!([pair]).to_string()}),
                json!({"payload": json!({"in": pair.to_string()}).to_string()}),
                json!({"fields": [{"group": [pair]}]}),
            ] {
                let kept = kept(&properties);
                assert!(!kept.to_string().contains(personal), "{properties}: {kept}");
                assert!(kept.to_string().contains(name), "{properties}: {kept}");
                assert!(kept.to_string().contains("size"), "{properties}: {kept}");
            }
            assert_eq!(kept(&json!({"form": [pair]}))["form"], json!([without]).to_string());
        }
        let harmless = json!({key: "colour", value: "red", "size": 4});
        assert_eq!(kept(&json!({"fields": [harmless]}))["fields"], json!([harmless]).to_string());
    }
}

#[test]
fn pairs_as_arrays_of_two() {
    let pairs =
        json!([["lastname", "Zdoe"], ["phone", 612345678], ["colour", "red"], ["mail", "post", "letter"], ["zip"]]);
    let expected = r#"[["lastname"],["phone"],["colour","red"],["mail","post","letter"],["zip"]]"#;
    assert_eq!(kept(&json!({"fields": pairs})), json!({"fields": expected}));
    assert_eq!(
        kept(&json!({"payload": json!({"of": pairs}).to_string()}))["payload"],
        format!(r#"{{"of":{expected}}}"#)
    );
    // A list of names is none.
    assert_eq!(kept(&json!({"fields": ["email", "phone"]}))["fields"], r#"["email","phone"]"#);
}

#[test]
fn usual_spellings_and_shapes() {
    for properties in [
        json!({"fname": "Zdoe", "lName": "Zdoe", "f_name": "Zdoe"}),
        json!({"fn": "Zdoe", "ln": "Zdoe"}),
        json!({"fn": "Zdoe", "email": "x"}),
        json!({"customer": {"fn": "Zdoe", "lastname": "Zdoe"}}),
        json!({"people": [{"fn": "Zdoe", "ln": "Zdoe"}]}),
        json!({"link": "https://x.nl/?fn=Zdoe&ln=Zdoe"}),
        json!({"form": [{"name": "fn", "value": "Zdoe"}, {"name": "ln", "value": "Zdoe"}]}),
        json!({"cvc": 7731, "cvv2": "7731", "card_cvc": "7731", "cc_cvv": 7731, "cardcvc": "7731", "securityCode": "7731"}),
        json!({"pin": 7731, "pincode": 7731, "passport_number": "7731", "payment": {"cvc": "7731"}}),
        json!({"property": "cvv", "value": 7731}),
        json!({"label": "pin", "value": 7731}),
        json!({"fields": [{"name": "cvc", "value": 7731}, {"property": "cvv", "value": 7731}, ["csc", 7731]]}),
        json!({"fields": [{"name": "lname", "value": "Zdoe"}, {"name": "passport", "value": "7731"}]}),
        json!({"question": "Your last name", "answers": ["Zdoe"]}),
        json!({"fields": [{"question": "Your last name", "answers": ["Zdoe", "x"]}]}),
        json!({"fields": [{"name": "card.number", "values": ["4111111111187731"]}]}),
        json!({"field": {"name": "lastname"}, "value": "Zdoe"}),
        json!({"fields": [{"field": {"id": "q1", "name": "lastname"}, "value": "Zdoe"}]}),
        json!({"payload": json!({"field": {"name": "lastname"}, "value": "Zdoe"}).to_string()}),
        json!({"entered": ["lastname", "Zdoe"]}),
        json!({"entered": json!(["pin", 7731]).to_string()}),
    ] {
        let text = kept(&properties).to_string();
        assert!(!text.contains("Zdoe") && !text.contains("7731"), "{properties}: {text}");
    }
    for properties in [
        json!({"fn": "addToCart", "size": 4}),
        json!({"fname_count": 2, "material": "rolling_pin", "rolling_pin": "beech", "product.field": "x"}),
        json!({"field.name": "colour", "value": "red"}),
        json!({"label": "lastname", "value": 1}),
    ] {
        assert_eq!(kept(&properties), properties);
    }
    assert_eq!(kept(&json!({"entered": ["lastname", "Zdoe"]}))["entered"], r#"["lastname"]"#);
    for list in
        [r#"["lastname","firstname"]"#, r#"["address","payment"]"#, r#"["mobile","desktop"]"#, r#"["lastname",true]"#]
    {
        assert_eq!(kept(&json!({"steps": list}))["steps"], list);
    }
}

#[test]
fn what_a_shop_calls_so_too_stays() {
    for pair in [
        json!({"name": "Mobile", "value": "yes"}),
        json!({"name": "Mobile", "value": true}),
        json!({"name": "phone", "value": "iPhone 15"}),
        json!({"name": "email", "value": "newsletter1"}),
        json!({"id": "phone", "text": "Call us"}),
        json!({"id": "address", "text": "Change"}),
        json!({"id": "birthday", "content": "sale20"}),
        json!({"label": "Mobile", "content": "menu"}),
        json!({"name": "address", "value": 345}),
        json!({"name": "birthday", "value": 10}),
        json!({"name": "mobile", "value": 12.5}),
        json!({"name": "phone", "content": "iphone"}),
        json!({"name": "summer sale"}),
        json!({"name": "summer sale", "value": "x", "first": 1}),
    ] {
        assert_eq!(kept(&pair), pair);
        assert_eq!(kept(&json!({"buttons": [pair]}))["buttons"], json!([pair]).to_string());
        assert_eq!(kept(&json!({"payload": pair.to_string()}))["payload"], pair.to_string());
    }
}

/// What was typed goes, also where the shop uses the word for something else.
#[test]
fn what_was_typed_goes_all_the_same() {
    for pair in [
        json!({"name": "Mobile", "value": "06 7731 7731"}),
        json!({"name": "Mobile", "value": 677317731}),
        json!({"name": "phone", "content": "7731"}),
        json!({"name": "email", "value": "7731@x"}),
        json!({"id": "email", "text": "7731.x.nl"}),
        json!({"id": "phone", "text": "7731-7731"}),
        json!({"id": "address", "text": "Damrak 7731"}),
        json!({"elementId": "address", "content": "Z7731"}),
        json!({"name": "address", "value": "7731"}),
        json!({"id": "birthday", "content": "1-2-7731"}),
        json!({"name": "birthday", "value": 7731}),
        json!({"id": "lastname", "text": "Z7731"}),
        json!({"id": "cvc", "content": 7731}),
        json!({"name": "zip", "value": 7731}),
        json!({"name": "pin", "value": 7731.5}),
        json!({"name": "Zip", "value": "Z7731"}),
        json!({"name": "City", "value": "Z7731"}),
        json!({"name": "email or phone", "value": "Z7731"}),
    ] {
        for properties in [pair.clone(), json!({"buttons": [pair]}), json!({"payload": pair.to_string()})] {
            let text = kept(&properties).to_string();
            assert!(!text.contains("7731"), "{properties}: {text}");
        }
    }
    // In a form there is no doubt.
    let typed = json!({"id": "address", "text": "Zdamrak"});
    for properties in [
        json!({"id": "address", "text": "Zdamrak", "nodeName": "INPUT"}),
        json!({"id": "address", "content": "Zdamrak", "type": "text"}),
        json!({"id": "birthday", "content": "Zdamrak", "formId": 4}),
        json!({"form": typed}),
        json!({"fields": [typed]}),
        json!({"list": [typed, {"id": "size", "text": "4", "fieldId": 7}]}),
        json!({"payload": json!([typed, {"id": "size", "text": "4", "type": "text"}]).to_string()}),
        json!({"name": "address", "value": "Zdamrak"}),
    ] {
        let text = kept(&properties).to_string();
        assert!(!text.contains("Zdamrak"), "{properties}: {text}");
    }
    assert_eq!(kept(&json!({"name": "lastname", "value": "Zdoe"})), json!({"name": "lastname"}));
    assert_eq!(kept(&json!({"name": "Zdoe", "lastname": "Zdoe", "size": 4})), json!({"size": 4}));
}

#[test]
fn fields_beside_one_another() {
    // Whose `name` it is, is told by the fields beside it, as in an object.
    let form =
        json!([{"name": "name", "value": "Zdoe"}, {"name": "email", "value": "j@x"}, {"name": "size", "value": "4"}]);
    assert_eq!(
        kept(&json!({"form": form}))["form"],
        r#"[{"name":"name"},{"name":"email"},{"name":"size","value":"4"}]"#
    );
    let list = json!([{"name": "name", "value": "Lamp"}, {"name": "size", "value": "4"}]);
    assert_eq!(kept(&json!({"form": list}))["form"], list.to_string());
    let flat = json!({"first_field_name": "name", "first_field_value": "Zdoe", "second_field_name": "phone", "second_field_value": "06 1"});
    assert_eq!(kept(&flat), json!({"first_field_name": "name", "second_field_name": "phone"}));
    let nested = json!({"key": "lastname", "value": {"string_value": "Zdoe"}});
    assert_eq!(kept(&nested), json!({"key": "lastname"}));
    assert_eq!(kept(&json!({"params": [nested]}))["params"], r#"[{"key":"lastname"}]"#);
    for properties in [
        json!({"product_id": "phone", "value": 12, "content": "x"}),
        json!({"label": "phone", "value": 1}),
        json!({"form_id": "contact", "value": "x"}),
        json!({"value": "x", "city_id": 4}),
    ] {
        assert_eq!(kept(&properties), properties);
    }
    assert_eq!(kept(&json!({"label": "phone", "value": 612345678})), json!({"label": "phone"}));
}

/// As a field of that name would be.
#[test]
fn sealed_hashed_or_dropped() {
    let event = json!({"properties": {"form_field": "lastname", "form_value": "Zdoe", "a": {"key": "phone", "value": 612345678},
        "b_name": "password", "b_value": "Zhunter2", "c_name": "card", "c_value": "4111111111111111", "d_label": "E-mail", "d_text": "j@x"}});
    let names = json!({"form_field": "lastname", "a.key": "phone", "b_name": "password", "c_name": "card", "d_label": "E-mail"});
    let collected = send(&event, PersonalRule::Encrypt);
    assert_eq!(serde_json::to_value(&one(&collected).properties).expect("JSON"), names);
    let sealed = serde_json::to_value(&collected.personal[0].fields).expect("JSON");
    let expected = json!({"name": {"lastname": "Zdoe"}, "phone": {"a.phone": "612345678"}, "email": {"E-mail": "j@x"}});
    assert_eq!(sealed, expected);
    let hashed = serde_json::to_value(&one(&send(&event, PersonalRule::Hash)).properties).expect("JSON");
    for key in ["form_value", "a.value", "b_value", "c_value", "d_text"] {
        assert!(hashed[key].as_str().is_some_and(|hash| hash.starts_with("h_")), "{key}: {hashed}");
    }
    assert!(send(&event, PersonalRule::Drop).personal.is_empty());
    let lists = json!({"properties": {"phones": ["0612345678"], "buyer": ["Jan"], "card": ["4111111111111111"]}});
    let sealed = serde_json::to_value(&send(&lists, PersonalRule::Encrypt).personal[0].fields).expect("JSON");
    assert_eq!(sealed, json!({"name": {"buyer": r#"["Jan"]"#}, "phone": {"phones": r#"["0612345678"]"#}}));
}

#[test]
fn in_the_words_of_segment_and_ga4() {
    let fields = json!([{"name": "lastname", "value": "Zdoe"}, {"name": "plan", "value": "gold"}]);
    let segment = json!({"type": "track", "event": "Form Submitted", "messageId": "m", "anonymousId": "a", "properties": {"fields": fields}});
    let identify = json!({"type": "identify", "messageId": "m", "anonymousId": "a", "traits": {"fields": fields}});
    let ga4 = json!({"client_id": "c", "events": [{"name": "form_submit", "params":
        {"first_field_name": "lastname", "first_field_value": "Zdoe", "form_id": "f", "plan": "gold"}}]});
    let open = || collector_of(vec![Source { allowed_origins: None, ..source() }]);
    for call in [
        Call::post("/v1/track?writeKey=wk_shop", segment.to_string()),
        Call::post("/v1/identify?writeKey=wk_shop", identify.to_string()),
        Call::post("/mp/collect?measurement_id=G&api_secret=wk_shop", ga4.to_string()),
    ] {
        let text = serde_json::to_string(one(&call.to(&open()))).expect("JSON");
        assert!(!text.contains("Zdoe") && text.contains("gold"), "{text}");
    }
}

/// Snowplow's own form tracking tells what was entered: none of it is kept, however the field is called.
#[test]
fn what_is_entered_in_a_form_that_snowplow_tracks() {
    let element =
        |id: &str, kind: &str| json!({"elementId": id, "name": id, "nodeName": "INPUT", "type": kind, "value": "Zdoe"});
    let changed = |name: &str, id: &str| {
        let schema = format!("iglu:com.snowplowanalytics.snowplow/{name}/jsonschema/1-0-0");
        json!({"schema": schema, "data": {"formId": "f", "elementId": id, "nodeName": "INPUT", "type": "text", "elementClasses": ["big"], "value": "Zdoe"}})
    };
    let submitted = json!({"schema": "iglu:com.snowplowanalytics.snowplow/submit_form/jsonschema/1-0-0",
        "data": {"formId": "f", "formClasses": [], "elements": [element("lastname", "text"), element("q7", "textarea")]}});
    for (event, field) in [
        (changed("change_form", "lastname"), "lastname"),
        (changed("change_form", "q7"), "q7"),
        (changed("focus_form", "q7"), "q7"),
        (submitted.clone(), "lastname"),
        (submitted, "q7"),
    ] {
        let wrapped =
            json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": event});
        let payload = json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [{
            "e": "ue", "ue_pr": wrapped.to_string(), "p": "web", "tv": "x", "duid": "v", "eid": "62222222-2222-4222-8222-000000000001", "aid": "shop"}]});
        for call in [
            Call::post("/com.snowplowanalytics.snowplow/tp2", payload.to_string()),
            Call::post("/com.snowplowanalytics.iglu/v1?aid=shop&duid=v", event.to_string()),
        ] {
            let collected = call.to(&collector_of(vec![Source { allowed_origins: None, ..source() }]));
            let text = serde_json::to_string(one(&collected)).expect("JSON");
            assert!(!text.contains("Zdoe"), "{text}");
            for kept in [field, "INPUT", "formId", "elementId"] {
                assert!(text.contains(kept), "{kept} is not in {text}");
            }
        }
    }
}
