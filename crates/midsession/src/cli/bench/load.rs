//! Open-loop load: requests leave at their due times, and a late answer counts from when it was due.

use super::figures::histogram;
use super::{Format, Load};
use crate::load::client::Client;
use base64::Engine as _;
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a load came to.
pub(super) struct Outcome {
    pub(super) events: u64,
    pub(super) failed: u64,
    pub(super) wall_s: f64,
    /// Due → answered. µs.
    pub(super) acks: Histogram<u64>,
}

/// Offers the load.
pub(super) async fn offer(load: &Load, collector: SocketAddr, write_key: &str) -> Outcome {
    let began = Instant::now();
    let numbers = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..load.connections {
        let (load, key, numbers) = (load.clone(), write_key.to_owned(), Arc::clone(&numbers));
        tasks.spawn(async move { one(&load, connection, collector, &key, began, &numbers).await });
    }
    let mut outcome = Outcome { events: 0, failed: 0, wall_s: 0.0, acks: histogram() };
    while let Some(done) = tasks.join_next().await {
        if let Ok((events, failed, acks)) = done {
            outcome.events += events;
            outcome.failed += failed;
            // Invariant: both histograms have the same bounds.
            outcome.acks.add(&acks).unwrap_or_default();
        }
    }
    outcome.wall_s = began.elapsed().as_secs_f64();
    outcome
}

async fn one(
    load: &Load,
    connection: usize,
    collector: SocketAddr,
    key: &str,
    began: Instant,
    numbers: &AtomicU64,
) -> (u64, u64, Histogram<u64>) {
    let mut client = Client::new(collector);
    let mut acks = histogram();
    let (mut events, mut failed) = (0, 0);
    let every = (load.events_per_s > 0)
        .then(|| Duration::from_secs_f64(load.batch as f64 * load.connections as f64 / load.events_per_s as f64));
    let mut due = began + every.unwrap_or_default().mul_f64(connection as f64 / load.connections as f64);
    let (path, headers) = address(load.format, key);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    while began.elapsed() < load.for_ {
        let first = numbers.fetch_add(load.batch as u64, Ordering::Relaxed);
        let body = body(first, load);
        if let Some(every) = every {
            tokio::time::sleep_until(due.into()).await;
            due += every;
        }
        // At a fixed rate an answer counts from when its request was due, however late it left.
        let asked = every.map_or_else(Instant::now, |every| due - every);
        match client.send("POST", path, &headers, body).await {
            Ok(answer) if answer.status == 200 => {
                events += load.batch as u64;
                acks.saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok(_) | Err(_) => failed += load.batch as u64,
        }
    }
    (events, failed, acks)
}

/// Where a protocol's requests go, and what they carry for the write key.
fn address(format: Format, key: &str) -> (&'static str, Vec<(&'static str, String)>) {
    let basic = || base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
    let json = ("content-type", "application/json".to_owned());
    match format {
        Format::Native => ("/v1/events", vec![json, ("authorization", format!("Bearer {key}"))]),
        Format::Snowplow => ("/com.snowplowanalytics.snowplow/tp2", vec![json]),
        Format::Segment => ("/v1/batch", vec![json, ("authorization", format!("Basic {}", basic()))]),
    }
}

/// A batch of ordinary events, about 300 bytes each in the native form.
fn body(first: u64, load: &Load) -> Bytes {
    let numbers = first..first + load.batch as u64;
    // A step that shares no factor with the number of shoppers spreads neighbours over all of them.
    let events = numbers.map(|number| (number, number.wrapping_mul(7_919) % load.shoppers.max(1)));
    let body = match load.format {
        Format::Native => json!(events.map(|(number, shopper)| native(number, shopper)).collect::<Vec<_>>()),
        Format::Snowplow => json!({
            "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
            "data": events.map(|(number, shopper)| snowplow(number, shopper)).collect::<Vec<_>>(),
        }),
        Format::Segment => {
            json!({"batch": events.map(|(number, shopper)| segment(number, shopper)).collect::<Vec<_>>()})
        }
    };
    Bytes::from(body.to_string())
}

fn native(number: u64, shopper: u64) -> Value {
    json!({
        "event_id": format!("load-{number}"), "name": if number.is_multiple_of(3) { "product_view" } else { "page_view" },
        "visitor_id": format!("load-visitor-{shopper}"),
        "page": {"url": format!("https://shop.example/p/{}", number % 5_000), "title": "A product of the shop"},
        "products": [{"id": format!("sku-{}", number % 20_000), "category": format!("c{}", number % 40), "price": 19.5, "currency": "EUR"}],
    })
}

/// A page view, or a product view with the entities of the ecommerce plugin.
fn snowplow(number: u64, shopper: u64) -> Value {
    let uuid = |high: u64, low: u64| uuid::Uuid::from_u64_pair(high, low).to_string();
    let mut event = json!({
        "e": "pv", "p": "web", "tv": "js-4.10.1", "aid": "shop", "eid": uuid(0x4000, number | 1 << 63),
        "duid": uuid(0x4001, shopper | 1 << 63), "url": format!("https://shop.example/p/{}", number % 5_000),
        "page": "A product of the shop",
    });
    if number.is_multiple_of(3) {
        let schema = |name: &str| format!("iglu:com.snowplowanalytics.snowplow.ecommerce/{name}");
        let product = json!({"id": format!("sku-{}", number % 20_000), "category": format!("c{}", number % 40), "price": 19.5, "currency": "EUR"});
        event["e"] = "ue".into();
        event["ue_pr"] = json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
            "data": {"schema": schema("snowplow_ecommerce_action/jsonschema/1-0-2"), "data": {"type": "product_view"}}})
        .to_string()
        .into();
        event["co"] = json!({"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1",
            "data": [{"schema": schema("product/jsonschema/1-0-0"), "data": product}]})
        .to_string()
        .into();
    }
    event
}

fn segment(number: u64, shopper: u64) -> Value {
    let name = if number.is_multiple_of(3) { "Product Viewed" } else { "Article Read" };
    json!({
        "type": "track", "event": name, "messageId": format!("load-{number}"), "anonymousId": format!("load-visitor-{shopper}"),
        "context": {"page": {"url": format!("https://shop.example/p/{}", number % 5_000), "title": "A product of the shop"}},
        "properties": {"product_id": format!("sku-{}", number % 20_000), "category": format!("c{}", number % 40), "price": 19.5, "currency": "EUR"},
    })
}
