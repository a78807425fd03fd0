//! Open-loop load: requests leave at their due times, and a late answer counts from when it was due.

use super::Load;
use super::figures::histogram;
use crate::load::client::Client;
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde_json::json;
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
    let authorization = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    while began.elapsed() < load.for_ {
        match every {
            Some(every) => {
                tokio::time::sleep_until(due.into()).await;
                due += every;
            }
            None => due = Instant::now(),
        }
        let asked = every.map_or(due, |every| due - every);
        let first = numbers.fetch_add(load.batch as u64, Ordering::Relaxed);
        let body = body(first, load);
        match client.send("POST", "/v1/events", &headers, body).await {
            Ok(answer) if answer.status == 200 => events += load.batch as u64,
            Ok(_) | Err(_) => failed += load.batch as u64,
        }
        acks.saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    (events, failed, acks)
}

/// A batch of ordinary events, about 300 bytes each.
fn body(first: u64, load: &Load) -> Bytes {
    let events: Vec<_> = (first..first + load.batch as u64)
        .map(|number| {
            // A step that shares no factor with the number of shoppers spreads neighbours over all of them.
            let shopper = number.wrapping_mul(7_919) % load.shoppers.max(1);
            json!({
                "event_id": format!("load-{number}"), "name": if number % 3 == 0 { "product_view" } else { "page_view" },
                "visitor_id": format!("load-visitor-{shopper}"),
                "page": {"url": format!("https://shop.example/p/{}", number % 5_000), "title": "A product of the shop"},
                "products": [{"id": format!("sku-{}", number % 20_000), "category": format!("c{}", number % 40), "price": 19.5, "currency": "EUR"}],
            })
        })
        .collect();
    Bytes::from(json!(events).to_string())
}
