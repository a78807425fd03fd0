//! What a source keeps of free text and of objects: its lists hold in every protocol, and for the past.

use crate::help::{Call, KEY, NOW_MS, collector_of, one, source};
use midsession_collect::{FreeText, Protocol, Request, Source};
use midsession_event::Event;
use serde_json::{Value, json};

const LINK: &str = "https://shop.example/search?q=lamp&utm_source=mail&utm_term=term-1&utm_content=content-1";

fn keeping(texts: &[FreeText]) -> Source {
    Source { allowed_origins: None, allowed_texts: texts.to_vec(), ..source() }
}

/// One search of a shopper in the words of every protocol.
fn calls() -> [(Protocol, Call); 5] {
    let native = json!({"event_id": "e", "visitor_id": "v", "name": "search", "query": "query-1", "list": "list-1",
        "page": {"url": LINK, "title": "title-1"}});
    let segment = json!({"writeKey": KEY, "batch": [{"type": "track", "event": "Product List Viewed", "messageId": "m", "anonymousId": "a",
        "properties": {"query": "query-1", "list": "list-1"}, "context": {"page": {"url": LINK, "title": "title-1"}}}]});
    let posthog = json!({"api_key": KEY, "event": "Product List Viewed", "distinct_id": "d",
        "properties": {"query": "query-1", "list": "list-1", "$current_url": LINK, "title": "title-1"}});
    let ga4 = json!({"client_id": "a", "events": [{"name": "search", "params": {"search_term": "query-1", "item_list_name": "list-1",
        "page_location": LINK, "page_title": "title-1"}}]});
    let search = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": {
        "schema": "iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0", "data": {"terms": ["query-1"]}}});
    let snowplow = json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [{"e": "ue",
        "ue_pr": search.to_string(), "p": "web", "tv": "js", "aid": "shop", "duid": "d", "url": LINK, "page": "title-1"}]});
    let post = |path: &str, body: Value| Call::post(path, body.to_string());
    [
        (Protocol::Native, post(&format!("/v1/events?key={KEY}"), native)),
        (Protocol::Segment, post("/v1/batch", segment)),
        (Protocol::PostHog, post("/e/", posthog)),
        (Protocol::Ga4, post(&format!("/mp/collect?measurement_id=G&api_secret={KEY}"), ga4)),
        (Protocol::Snowplow, post("/com.snowplowanalytics.snowplow/tp2", snowplow)),
    ]
}

/// Which texts are in an event.
fn texts(event: &Event) -> Vec<&'static str> {
    let text = serde_json::to_string(event).expect("JSON");
    ["query-1", "title-1", "list-1", "term-1", "content-1"].into_iter().filter(|part| text.contains(part)).collect()
}

#[test]
fn free_text_passes_its_list_in_every_protocol() {
    for (protocol, call) in calls() {
        let kept = |allowed: &[FreeText]| {
            let collected = call.to(&collector_of(vec![keeping(allowed)]));
            let event = one(&collected).clone();
            let source = event.campaign.as_ref().and_then(|campaign| campaign.source.as_deref());
            assert_eq!(source, Some("mail"), "{protocol:?}: where it came from is no free text");
            let url = event.page.as_ref().and_then(|page| page.url.as_deref());
            assert_eq!(
                url,
                Some("https://shop.example/search?q=lamp"),
                "{protocol:?}: addresses have a list of their own"
            );
            texts(&event)
        };
        let has_list = protocol != Protocol::Snowplow;
        let all = ["query-1", "title-1", "list-1", "term-1", "content-1"];
        let all: Vec<&str> = all.into_iter().filter(|text| has_list || *text != "list-1").collect();
        assert_eq!(kept(&FreeText::ALL), all, "{protocol:?}");
        assert_eq!(kept(&[]), Vec::<&str>::new(), "{protocol:?}");
        assert_eq!(kept(&[FreeText::Title, FreeText::CampaignTerm]), ["title-1", "term-1"], "{protocol:?}");
        assert_eq!(kept(&[FreeText::Search, FreeText::CampaignContent]), ["query-1", "content-1"], "{protocol:?}");
        assert_eq!(kept(&[FreeText::List]).len(), usize::from(has_list), "{protocol:?}");
    }
}

#[test]
fn free_text_passes_its_list_in_history() {
    for (protocol, call) in calls().into_iter().filter(|(protocol, _)| *protocol != Protocol::Ga4) {
        let request = Request {
            method: "POST",
            path: "",
            query: "",
            headers: &[],
            body: &call.body,
            peer_ip: None,
            received_at_us: NOW_MS * 1_000,
            daily_salt: None,
        };
        for (allowed, expected) in [(&[][..], &[][..]), (&[FreeText::Search], &["query-1"])] {
            let collected = collector_of(vec![keeping(allowed)]).import(protocol, &request, &mut || 7);
            assert_eq!(texts(one(&collected)), expected, "{protocol:?}");
        }
    }
}

#[test]
fn a_page_of_which_nothing_is_left_is_none() {
    let event = r#"{"event_id":"e","name":"page_view","visitor_id":"v","page":{"title":"x"},"campaign":{"term":"x"}}"#;
    let call = Call::post(&format!("/v1/events?key={KEY}"), event);
    let kept = one(&call.to(&collector_of(vec![keeping(&[])]))).clone();
    assert_eq!((kept.page, kept.campaign), (None, None));
}

#[test]
fn what_a_listed_object_has_is_listed() {
    let event = json!({"event_id": "e", "name": "x", "visitor_id": "v", "properties": {
        "plan": {"tier": "gold", "seats": {"taken": 4}, "email": "jane@b.example", "note": "of jane@b.example"},
        "plans": {"tier": "gold"}, "tier": "gold", "by": {"plan": "gold"},
    }});
    let listed = Source { allowed_properties: Some(vec!["plan".into()]), ..keeping(&FreeText::ALL) };
    let collected = Call::post(&format!("/v1/events?key={KEY}"), event.to_string()).to(&collector_of(vec![listed]));
    let kept = serde_json::to_value(&one(&collected).properties).expect("JSON");
    assert_eq!(kept, json!({"plan.tier": "gold", "plan.seats.taken": 4, "plan.note": "of [email]"}));
}
