//! `bench ingest`: batches over HTTP until the answer says durable; processor time of the server process alone.

use super::Load;
use super::figures::{cpu_by_work_s, latency, resident_bytes, surroundings};
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
        let before = cpu_by_work_s(server.pid());
        let outcome = offer(load, server.collector, &server.write_key).await;
        (outcome, before, cpu_by_work_s(server.pid()))
    });
    let (outcome, before, after) = outcome;
    let events = outcome.events.max(1) as f64;
    let by_work: serde_json::Map<String, Value> = before
        .iter()
        .zip(&after)
        .map(|((work, before), (_, after))| ((*work).to_owned(), ((after - before) * 1e6 / events).into()))
        .collect();
    let cpu = before.iter().zip(&after).map(|(before, after)| after.1 - before.1).sum::<f64>();
    Ok(json!({
        "bench": "ingest", "surroundings": surroundings(),
        "parameters": {"format": format!("{:?}", load.format).to_lowercase(), "batch": load.batch, "connections": load.connections, "offered_events_per_s": load.events_per_s, "shoppers": load.shoppers},
        "events": outcome.events, "failed": outcome.failed,
        "events_per_s": (events / outcome.wall_s).round(), "cpu_us_per_event": cpu * 1e6 / events,
        "cpu_us_per_event_by_work": by_work, "open_loop": load.events_per_s > 0, "ack": latency(&outcome.acks), "server_resident_bytes": resident_bytes(server.pid()),
        "note": "edge and log are what an acknowledgement costs; stream is the partition machines working on the same events; the load generator shares the cores"
    }))
}
