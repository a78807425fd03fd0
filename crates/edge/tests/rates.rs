//! What one network of clients may send and bring; it is told by the address that a trusted proxy names.

use crate::support::*;
use midsession_edge::Config;
use midsession_observe::Metric;

async fn start_behind_a_proxy(change: fn(&mut Config)) -> Server {
    start_with(|config| {
        config.trusted_proxies = 1;
        change(config);
    })
    .await
}

async fn send(server: &Server, from: &str, target: &str, body: &str) -> Reply {
    let headers = [("X-Forwarded-For", from), ("Origin", ORIGIN)];
    ask(server.running.public, "POST", &format!("{target}?key={KEY}"), &headers, body.as_bytes()).await
}

fn of_visitors(range: std::ops::Range<u32>) -> String {
    let event = |id| format!(r#"{{"event_id":"e{id}","name":"page_view","visitor_id":"v{id}"}}"#);
    format!("[{}]", range.map(event).collect::<Vec<_>>().join(","))
}

/// Asked to wait, in the open for the page's tracker to see it.
fn is_held_up(reply: &Reply) -> bool {
    let waits_s: u32 = reply.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(0);
    reply.status == 429
        && reply.code() == "rate_limited"
        && waits_s > 0
        && reply.header("access-control-allow-origin") == Some(ORIGIN)
}

#[tokio::test]
async fn a_network_sends_so_many_events() {
    let server = start_behind_a_proxy(|config| config.limits.events_per_s_per_network = 1).await;
    // Far more than ten seconds' worth: what is overdrawn is waited for.
    assert_eq!(send(&server, "192.0.2.1", "/v1/events", &of_visitors(0..1_000)).await.status, 200);
    assert!(is_held_up(&send(&server, "192.0.2.99", "/v1/events", &of_visitors(0..1)).await));
    assert_eq!(send(&server, "198.51.100.1", "/v1/events", &of_visitors(0..1)).await.status, 200);
    assert_eq!(server.observe.metrics.get(Metric::HttpOverload, Some("rate_limited")), 1);
}

#[tokio::test]
async fn a_network_brings_so_many_new_visitors() {
    let server = start_behind_a_proxy(|config| config.limits.new_visitors_per_s_per_network = 1).await;
    let from = "192.0.2.1";
    assert_eq!(send(&server, from, "/v1/events", &of_visitors(0..1_000)).await.status, 200);
    let new_user = r#"{"event_id":"u","name":"login","visitor_id":"v1","user_id":"made up"}"#;
    for (target, body) in [
        ("/v1/events", of_visitors(1_000..1_001)),
        ("/v1/events", of_visitors(999..1_001)),
        ("/v1/events", new_user.to_owned()),
        ("/v1/track", r#"{"event":"x","messageId":"m","anonymousId":"made up"}"#.to_owned()),
        ("/v1/token", String::new()),
    ] {
        let reply = send(&server, from, target, &body).await;
        assert!(is_held_up(&reply), "{target} {body}: {reply:?}");
    }
    assert_eq!(server.observe.metrics.get(Metric::HttpOverload, Some("new_visitors")), 5);
    assert_eq!(server.log.event_ids().len(), 1_000, "what was held up is not stored: it comes again");
    assert_eq!(send(&server, from, "/v1/events", &of_visitors(0..1_000)).await.status, 200, "known ones pass");
    assert_eq!(send(&server, "198.51.100.1", "/v1/events", &of_visitors(1_000..1_001)).await.status, 200);
    assert_eq!(send(&server, from, "/v1/events", &of_visitors(1_000..1_001)).await.status, 200, "known by now");
}

#[tokio::test]
async fn a_source_brings_so_many_new_visitors_from_wherever() {
    let server = start_behind_a_proxy(|config| {
        (config.limits.new_visitors_per_s_per_network, config.limits.new_visitors_per_s_per_source) = (0, 1);
    })
    .await;
    // Each from a network of its own, and this machine like any: a source's key is in everybody's page.
    let from = |id: u32| format!("198.51.{id}.1");
    assert_eq!(send(&server, &from(1), "/v1/events", &of_visitors(0..1)).await.status, 200);
    assert_eq!(send(&server, &from(2), "/v1/events", &of_visitors(0..1_000)).await.status, 200, "overdrawn");
    for (from, target, body) in
        [(from(200), "/v1/events", of_visitors(999..1_001)), ("127.0.0.1".to_owned(), "/v1/token", String::new())]
    {
        let reply = send(&server, &from, target, &body).await;
        assert!(is_held_up(&reply), "{from} {target}: {reply:?}");
    }
    assert_eq!(server.observe.metrics.get(Metric::HttpOverload, Some("new_visitors_of_source")), 2);
    assert_eq!(send(&server, &from(201), "/v1/events", &of_visitors(0..1_000)).await.status, 200, "known ones pass");
}

#[tokio::test]
async fn this_machine_is_not_limited() {
    let server = start_with(|config| {
        config.limits.events_per_s_per_network = 1;
        config.limits.new_visitors_per_s_per_network = 1;
    })
    .await;
    for round in 0..3 {
        let body = of_visitors(round * 1_000..(round + 1) * 1_000);
        assert_eq!(send(&server, "192.0.2.1", "/v1/events", &body).await.status, 200, "no proxy is trusted");
    }
}
