//! What shoppers said to the consent tools of others: a refusal is heard, by whatever name, and never read as leave.

use crate::help::*;
use crate::import::{import, line};
use midsession_collect::{Collected, Collector, ConsentMode, Protocol, Source};
use midsession_event::{Consent, Event, EventName, PropertyValue};
use serde_json::{Value, json};

const EID: &str = "f59777c7-c2ac-4286-bc07-e6e00eff01cc";

fn shop(strict: bool) -> Collector {
    let own = [("BG4", Consent::COOKIELESS), ("BG7", Consent::NONE)];
    let consent_categories = own.map(|(category, consent)| (category.to_owned(), ConsentMode::Purposes(consent)));
    collector_of(vec![Source {
        allowed_origins: None,
        strict,
        consent_categories: consent_categories.into(),
        ..source()
    }])
}

/// The purposes that an event says, and those that it says nothing of.
fn said(event: &Event) -> Option<(Consent, Consent)> {
    let of = Consent(event.consent.0 & 15);
    // Of a refusal that much is kept and no more.
    (event.consent_said || event.name == EventName::Consent).then_some((of, event.consent.left()))
}

fn segment(collector: &Collector, event: &str, context: &Value) -> Collected {
    let call = json!({"type": "track", "event": event, "messageId": "m1", "anonymousId": "a1", "context": context});
    Call::post("/v1/track", call.to_string()).header("authorization", "Basic d2tfc2hvcDo=").to(collector)
}

#[test]
fn categories_are_purposes_by_their_usual_names() {
    let preferences = |categories: Value| json!({"consent": {"categoryPreferences": categories}});
    let rudder = |allowed: &[&str], denied: &[&str]| json!({"consentManagement": {"allowedConsentIds": allowed, "deniedConsentIds": denied}});
    // What is allowed, and of what nothing is said: analytics 1, personalization 2, experiments 4, marketing 8.
    for (context, expected) in [
        (preferences(json!({"Advertising": false, "Analytics": true, "X": true})), Some((7, 6))),
        (preferences(json!({"Advertising": false, "Analytics": false, "Functional": false})), Some((0, 0))),
        (preferences(json!({"C0001": true, "C0002": false, "C0003": false, "C0004": false})), Some((0, 0))),
        (
            preferences(json!({"C0001": true, "C0002": true, "C0003": true, "C0004": false, "C0005": false})),
            Some((7, 0)),
        ),
        (preferences(json!({"targeting": false, "PERFORMANCE": true, "Preferences": false})), Some((1, 0))),
        (preferences(json!({"Functional": false, "Experiments": true})), Some((13, 9))),
        (preferences(json!({"Strictly Necessary": true, "Social Media": false})), Some((7, 7))),
        // Two categories of one purpose: who refuses either refuses it.
        (preferences(json!({"Functional": true, "Preferences": false})), Some((9, 9))),
        // Refused by an unknown name: whatever nothing else is said of.
        (preferences(json!({"Analytics": true, "DataSharing": false})), Some((1, 0))),
        (preferences(json!({"DataSharing": false})), Some((0, 0))),
        (preferences(json!({"DataSharing": true})), None),
        (preferences(json!({"Analytics": "no"})), Some((14, 14))),
        (preferences(json!({"Analytics": null})), None),
        (preferences(json!({"Necessary": true})), None),
        // Names of the shop's own.
        (preferences(json!({"BG4": false, "BG7": false})), Some((14, 14))),
        (rudder(&["c1"], &["marketing"]), Some((7, 7))),
        (rudder(&["C0001", "C0002"], &["C0003", "C0004"]), Some((1, 0))),
        (rudder(&["C0001"], &["c1"]), Some((0, 0))),
        (json!({}), None),
    ] {
        let expected = expected.map(|(allowed, left)| (Consent(allowed), Consent(left)));
        let word = segment(&shop(false), "Segment Consent Preference Updated", &context);
        let word = one(&word);
        assert_eq!(said(word), expected, "{context}");
        assert_eq!(word.name == EventName::Consent, expected.is_some(), "{context}: {:?}", word.name);
        for name in ["Segment Consent Preference", "Consent Management Interaction"] {
            let word = segment(&shop(false), name, &context);
            assert_eq!(one(&word).name == EventName::Consent, expected.is_some(), "{context}: {name}");
        }
        // With any other event it is a word in passing.
        let passing = segment(&shop(false), "Product Viewed", &context);
        let is_refused = expected.is_some_and(|(allowed, _)| allowed.is_refusal());
        assert_eq!(
            (passing.events.len(), passing.dropped_no_consent()),
            (usize::from(!is_refused), usize::from(is_refused))
        );
        assert!(passing.events.iter().all(|event| event.name == EventName::ProductView));
    }
}

/// A consent event of Snowplow's as a tracker sends it, and as a pipeline writes it down.
fn snowplow(collector: &Collector, name: &str, version: &str, data: &Value) -> [Collected; 2] {
    let schema = format!("iglu:com.snowplowanalytics.snowplow/{name}/jsonschema/{version}");
    let wrapped = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
        "data": {"schema": schema, "data": data}})
    .to_string();
    let event = json!({"e": "ue", "p": "web", "tv": "js-4", "aid": "shop", "eid": EID, "duid": "d1", "ue_pr": wrapped});
    let payload =
        json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [event]});
    let enriched = line(&[
        ("app_id", "shop"),
        ("collector_tstamp", "2026-11-22 12:00:00.000"),
        ("event", "unstruct"),
        ("event_id", EID),
        ("domain_userid", "d1"),
        ("unstruct_event", &wrapped),
    ]);
    [
        Call::post("/com.snowplowanalytics.snowplow/tp2", payload.to_string()).to(collector),
        import(collector, Protocol::SnowplowTsv, &enriched),
    ]
}

#[test]
fn snowplows_consent_events_are_words_that_last() {
    let chosen = |kind: &str, scopes: Value| {
        json!({"eventType": kind, "basisForProcessing": "consent", "consentUrl": "https://shop.example/privacy",
            "consentVersion": "2026-11", "consentScopes": scopes, "domainsApplied": ["shop.example"], "gdprApplies": true})
    };
    for (name, data, expected) in [
        ("consent_preferences", chosen("allow_all", json!(["all"])), Some(15)),
        ("consent_preferences", chosen("deny_all", json!(["necessary"])), Some(0)),
        ("consent_preferences", chosen("deny_all", json!([])), Some(0)),
        ("consent_preferences", chosen("withdrawn", json!(["analytics"])), Some(0)),
        ("consent_preferences", chosen("expired", json!(["analytics"])), Some(0)),
        ("consent_preferences", chosen("allow_selected", json!(["necessary", "preferences", "statistics"])), Some(7)),
        ("consent_preferences", chosen("allow_selected", json!(["analytics", "advertisement"])), Some(9)),
        ("consent_preferences", chosen("allow_selected", json!(["necessary", "something"])), Some(0)),
        ("consent_preferences", chosen("allow_selected", json!(["BG4"])), Some(1)),
        ("consent_preferences", json!({"eventType": "allow_selected"}), Some(0)),
        ("consent_preferences", chosen("pending", json!(["analytics"])), None),
        ("consent_preferences", chosen("implicit_consent", json!(["analytics"])), None),
        ("consent_withdrawn", json!({"all": true}), Some(0)),
        ("consent_withdrawn", json!({"all": false}), None),
        ("cmp_visible", json!({"elapsedTime": 1.5}), None),
        ("consent_granted", json!({"expiry": "2027-11-22T12:00:00Z"}), None),
    ] {
        for read in snowplow(&shop(false), name, "1-0-0", &data) {
            let event = one(&read);
            assert_eq!(said(event), expected.map(|allowed| (Consent(allowed), Consent::NONE)), "{data}");
            let is_consent = expected.is_some();
            assert_eq!(event.name == EventName::Consent, is_consent, "{data}: {:?}", event.name);
            let policy = event.properties.get("policy_version");
            let version =
                (is_consent && data["consentVersion"].is_string()).then(|| PropertyValue::Text("2026-11".into()));
            assert_eq!(policy, version.as_ref(), "{data}");
        }
    }
    let [sent, written] = snowplow(&shop(true), "consent_preferences", "1-0-0", &chosen("deny_all", json!([])));
    assert!([&sent, &written].iter().all(|read| one(read).name == EventName::Consent), "strict sources know it");
    let [sent, _] = snowplow(&shop(false), "consent_preferences", "2-0-0", &chosen("deny_all", json!([])));
    assert_ne!(one(&sent).name, EventName::Consent, "of another model nothing is known");
}
