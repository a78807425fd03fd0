//! What one request costs from body to encoded events: `cargo bench -p midsession-collect`. Times are for 20 events.

use divan::{Bencher, black_box};
use midsession_collect::{Collector, Limits, Request, Schemas, Settings, Source};

fn main() {
    divan::main();
}

const EVENTS: usize = 20;
const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

fn collector() -> Collector {
    let source =
        Source { name: "shop".into(), write_key: "wk".into(), app_ids: vec!["shop".into()], ..Source::default() };
    let settings = Settings { limits: Limits::default(), secret: [1; 32], accept_any_key: false };
    Collector::new(vec![source], settings, Schemas::shipped(), None)
}

fn run(bencher: Bencher<'_, '_>, path: &str, headers: &[(&str, &str)], body: &str) {
    let collector = collector();
    let mut out = Vec::with_capacity(64 << 10);
    bencher.counter(divan::counter::ItemsCount::new(EVENTS)).bench_local(|| {
        let request = Request {
            method: "POST",
            path,
            query: "",
            headers,
            body: black_box(body.as_bytes()),
            peer_ip: None,
            received_at_us: 1_795_348_800_000_000,
            daily_salt: None,
        };
        let collected = collector.collect(&request, &mut || 7);
        assert_eq!(collected.events.len(), EVENTS);
        out.clear();
        for event in &collected.events {
            midsession_event::encode_into(event, &mut out).expect("encodes");
        }
        out.len()
    });
}

/// The event that the ingest benchmark sends: about 300 bytes.
#[divan::bench]
fn native(bencher: Bencher<'_, '_>) {
    let events: Vec<String> = (0..EVENTS)
        .map(|index| {
            format!(
                r#"{{"event_id":"018f3a5c-7b1e-4c3e-9d57-{index:012}","name":"add_to_cart","visitor_id":"v-4711","session_id":"s-1","occurred_at":1795348799000,"sent_at":1795348799500,"page":{{"url":"https://shop.example/p/{index}"}},"products":[{{"id":"p-{index}","category":"Shoes","price":89.9,"currency":"EUR","quantity":1}}],"cart":{{"total_value":89.9,"currency":"EUR"}}}}"#
            )
        })
        .collect();
    let headers = [("authorization", "Bearer wk"), ("user-agent", AGENT)];
    run(bencher, "/v1/events", &headers, &format!("[{}]", events.join(",")));
}

/// Product views with a product, a session and a page entity, as the browser tracker posts them: about 2 KB each.
#[divan::bench]
fn snowplow(bencher: Bencher<'_, '_>) {
    let ue = r#"{\"schema\":\"iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0\",\"data\":{\"schema\":\"iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2\",\"data\":{\"type\":\"product_view\"}}}"#;
    let co = r#"{\"schema\":\"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0\",\"data\":[{\"schema\":\"iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0\",\"data\":{\"id\":\"p-1\",\"name\":\"Trail boots\",\"category\":\"Shoes/Trail\",\"brand\":\"Föhn\",\"price\":89.9,\"currency\":\"EUR\",\"quantity\":1}},{\"schema\":\"iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0\",\"data\":{\"id\":\"2428ec41-cad8-4f95-9cd1-0dcf18e46ba8\"}},{\"schema\":\"iglu:com.snowplowanalytics.snowplow/client_session/jsonschema/1-0-2\",\"data\":{\"userId\":\"915102ed-8922-4432-bddc-5317c845f095\",\"sessionId\":\"915102ed-8922-4432-bddc-5317c845f095\",\"eventIndex\":1,\"sessionIndex\":1,\"previousSessionId\":null,\"storageMechanism\":\"COOKIE_1\",\"firstEventId\":\"c1db248d-53c2-4991-bcdf-6b77de8e04ad\",\"firstEventTimestamp\":\"2026-11-23T13:26:35.434Z\"}}]}"#;
    let events: Vec<String> = (0..EVENTS)
        .map(|index| {
            format!(
                r#"{{"e":"ue","p":"web","tv":"js-4.10.1","tna":"sp","aid":"shop","eid":"f59777c7-c2ac-4286-bc07-{index:012}","dtm":"1795348799000","stm":"1795348799500","duid":"915102ed-8922-4432-bddc-5317c845f095","sid":"915102ed-8922-4432-bddc-5317c845f095","vid":"1","url":"https://shop.example/p/{index}","page":"Boots","refr":"https://search.example/","lang":"de-DE","cookie":"1","res":"1280x720","vp":"1280x720","ds":"1280x3029","cs":"UTF-8","cd":"24","tz":"UTC","ue_pr":"{ue}","co":"{co}"}}"#
            )
        })
        .collect();
    let body = format!(
        r#"{{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":[{}]}}"#,
        events.join(",")
    );
    run(bencher, "/com.snowplowanalytics.snowplow/tp2", &[("user-agent", AGENT)], &body);
}

/// Segment's batch with a context per call.
#[divan::bench]
fn segment(bencher: Bencher<'_, '_>) {
    let events: Vec<String> = (0..EVENTS)
        .map(|index| {
            format!(
                r#"{{"type":"track","event":"Product Viewed","messageId":"ajs-next-1795440302267-{index:012}","anonymousId":"e5f4f2dc-49e9-4d0b-88ee-8d4a55ab8a2d","userId":null,"originalTimestamp":"2026-11-22T11:59:59.000Z","properties":{{"product_id":"p-{index}","name":"Trail boots","category":"Shoes","price":89.9,"currency":"EUR","quantity":1}},"context":{{"page":{{"url":"https://shop.example/p/1","title":"Boots","referrer":"https://search.example/"}},"userAgent":"{AGENT}","library":{{"name":"analytics.js","version":"1"}}}}}}"#
            )
        })
        .collect();
    let body = format!(r#"{{"batch":[{}],"sentAt":"2026-11-22T11:59:59.500Z","writeKey":"wk"}}"#, events.join(","));
    run(bencher, "/v1/batch", &[("authorization", "Basic d2s6")], &body);
}
