//! `bench loop`: event → feature readable, and event → push written, beside a load at a fixed rate.

use super::Load;
use super::figures::{cpu_s, histogram, latency, resident_bytes, surroundings};
use super::load::offer;
use super::server::{ADMIN_TOKEN, Server};
use crate::cli::{Failure, serve};
use crate::load::client::Client;
use crate::load::shoppers::{self, Shop};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A rule that answers every added product.
const CONFIG: &str = r#"
[[intervention]]
name = "bench_added"
trigger = { event = "add_to_cart" }
when = 'session.cart_value > 80.0'
cap = ["100000 per session"]
holdout = 0.0
expires = "10s"
slot = "nudge"
payload = { title = "Added" }
"#;

/// What has not come by then counts as missed, or as this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events offered when the command names no rate.
const DEFAULT_EVENTS_PER_S: u64 = 50_000;

pub(super) fn run(load: &Load) -> Result<Value, Failure> {
    let server = Server::start(CONFIG)?;
    let mut load = load.clone();
    if load.events_per_s == 0 {
        load.events_per_s = DEFAULT_EVENTS_PER_S;
    }
    let measured = serve::runtime()?.block_on(async {
        let shop =
            Shop { collector: server.collector, write_key: server.write_key.clone(), catalog: Arc::new(Vec::new()) };
        let mut listeners = tokio::task::JoinSet::new();
        for number in 0..load.listeners {
            let (shop, for_) = (shop.clone(), load.for_);
            listeners.spawn(async move { listener(shop, number, for_).await });
        }
        let reader = tokio::spawn(reader(shop.clone(), server.admin, load.for_));
        let before = cpu_s(server.pid());
        let outcome = offer(&load, server.collector, &server.write_key).await;
        let cpu = cpu_s(server.pid()) - before;
        let (mut pushes, mut missed) = (histogram(), 0);
        while let Some(done) = listeners.join_next().await {
            if let Ok((histogram, lost)) = done {
                // Invariant: the same bounds everywhere.
                pushes.add(&histogram).unwrap_or_default();
                missed += lost;
            }
        }
        (outcome, cpu, pushes, missed, reader.await.unwrap_or_else(|_| histogram()))
    });
    let (outcome, cpu, pushes, missed, reads) = measured;
    let events = outcome.events.max(1) as f64;
    Ok(json!({
        "bench": "loop", "surroundings": surroundings(),
        "parameters": {"offered_events_per_s": load.events_per_s, "batch": load.batch, "shoppers": load.shoppers, "listeners": load.listeners},
        "events": outcome.events, "failed": outcome.failed, "events_per_s": (events / outcome.wall_s).round(),
        "cpu_us_per_event": cpu * 1e6 / events, "ack": latency(&outcome.acks),
        "event_to_feature_readable": latency(&reads), "event_to_push_received": latency(&pushes), "pushes_missed": missed,
        "server_resident_bytes": resident_bytes(server.pid()),
        "note": "times from the client's send to the client's read, load generator and server on the same cores"
    }))
}

/// A shopper who adds a product now and then and waits for the answer on the push stream.
async fn listener(shop: Shop, number: usize, for_: Duration) -> (Histogram<u64>, u64) {
    let (mut times, mut missed) = (histogram(), 0);
    let visitor = format!("loop-{number}");
    let (frames, mut arrived) = tokio::sync::mpsc::channel(16);
    let stream = tokio::spawn(shoppers::listen(shop.clone(), visitor.clone(), frames));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut client = Client::new(shop.collector);
    let began = Instant::now();
    let mut round = 0u32;
    // Spread over two seconds, so that rounds do not come in step. A round counts from when it was due.
    let mut due = began + Duration::from_millis(number as u64 * 37 % 2_000);
    while due.duration_since(began) < for_ {
        tokio::time::sleep_until(due.into()).await;
        round += 1;
        let event = json!({"event_id": format!("{visitor}-{round}"), "name": "add_to_cart", "visitor_id": visitor,
            "products": [{"id": "p1", "price": 90.0, "currency": "EUR"}], "cart": {"total_value": 90.0 + f64::from(round), "currency": "EUR"}});
        let is_pushed = client.events(&shop.write_key, &event).await.is_ok()
            && matches!(tokio::time::timeout(PATIENCE, arrived.recv()).await, Ok(Some(_)));
        if is_pushed {
            times.saturating_record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            missed += 1;
        }
        due += Duration::from_secs(2);
    }
    stream.abort();
    (times, missed)
}

/// Sends an event and reads its feature until it counts.
async fn reader(shop: Shop, admin: std::net::SocketAddr, for_: Duration) -> Histogram<u64> {
    let mut times = histogram();
    let (mut sender, mut asker) = (Client::new(shop.collector), Client::new(admin));
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < for_ {
        round += 1;
        let event = json!({"event_id": format!("read-{round}"), "name": "product_view", "visitor_id": "reader", "products": [{"id": format!("p{round}")}]});
        let sent = Instant::now();
        if sender.events(&shop.write_key, &event).await.is_err() {
            continue;
        }
        loop {
            let answer = asker.send("GET", "/v1/features/user/reader", &headers, Default::default()).await;
            let body = answer.map(|answer| answer.body).unwrap_or_default();
            let features: Value = serde_json::from_slice(&body).unwrap_or_default();
            let is_there = features["features"]["product_view_count_1h"].as_i64() == Some(round);
            if is_there || sent.elapsed() > PATIENCE {
                times.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    times
}
