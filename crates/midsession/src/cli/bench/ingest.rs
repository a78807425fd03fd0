//! `bench ingest`: batches over HTTP until the answer says durable; processor time of the server process alone.

use super::Load;
use super::figures::{cpu_s, latency, resident_bytes, surroundings};
use super::load::offer;
use super::server::Server;
use crate::cli::{Failure, serve};
use serde_json::{Value, json};

pub(super) fn run(load: &Load) -> Result<Value, Failure> {
    let server = Server::start("")?;
    let outcome = serve::runtime()?.block_on(async {
        // Connections, pages and caches are warm before anything counts.
        let warm = Load { for_: std::time::Duration::from_secs(1), ..load.clone() };
        offer(&warm, server.collector, &server.write_key).await;
        let before = cpu_s(server.pid());
        let outcome = offer(load, server.collector, &server.write_key).await;
        (outcome, cpu_s(server.pid()) - before)
    });
    let (outcome, cpu) = outcome;
    let events = outcome.events.max(1) as f64;
    Ok(json!({
        "bench": "ingest", "surroundings": surroundings(),
        "parameters": {"format": format!("{:?}", load.format).to_lowercase(), "batch": load.batch, "connections": load.connections, "offered_events_per_s": load.events_per_s, "shoppers": load.shoppers},
        "events": outcome.events, "failed": outcome.failed,
        "events_per_s": (events / outcome.wall_s).round(), "cpu_us_per_event": cpu * 1e6 / events,
        "ack": latency(&outcome.acks), "server_resident_bytes": resident_bytes(server.pid()),
        "note": "the server also runs the partition machines on these events; the load generator shares the cores"
    }))
}
