//! Clients that are too slow, and too many of them. Deadlines are short here; nothing asserts how long one took.

use crate::support::*;
use midsession_edge::Limits;
use midsession_observe::Metric;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SHORT: Duration = Duration::from_millis(150);

fn hasten(limits: &mut Limits) {
    let timeouts = &mut limits.timeouts;
    (timeouts.first_byte, timeouts.head, timeouts.body, timeouts.body_grace) = (SHORT, SHORT, SHORT * 2, SHORT);
    timeouts.write = SHORT;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_ended() {
    let server = start_with(|config| hasten(&mut config.limits)).await;
    for (phase, bytes, answer) in [
        ("first_byte", String::new(), ""),
        ("head", "POST /v1/events HTTP/1.1\r\nHos".to_owned(), ""),
        (
            "body",
            format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{{}}"),
            "HTTP/1.1 408 ",
        ),
        (
            "body",
            format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n"),
            "HTTP/1.1 408 ",
        ),
    ] {
        let before = server.observe.metrics.get(Metric::HttpTimeouts, Some(phase));
        let answered = raw(server.running.public, bytes.as_bytes()).await;
        assert!(String::from_utf8_lossy(&answered).starts_with(answer), "{phase}");
        assert_eq!(server.observe.metrics.get(Metric::HttpTimeouts, Some(phase)), before + 1, "{phase}");
    }
    assert_eq!(server.log.event_ids(), [""; 0]);
}

/// A byte now and then does not keep a connection for ever.
#[tokio::test]
async fn a_dripping_head_is_ended() {
    let server = start_with(|config| hasten(&mut config.limits)).await;
    let mut stream = TcpStream::connect(server.running.public).await.expect("connects");
    let mut ended = false;
    for byte in b"GET /health HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
        .iter()
        .cycle()
        .take(500)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if stream.write_all(&[*byte]).await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended, "still open");
    assert_eq!(server.observe.metrics.get(Metric::HttpTimeouts, Some("head")), 1);
}

/// A client that asks and does not listen.
#[tokio::test]
async fn unread_answers_are_ended() {
    let server = start_with(|config| hasten(&mut config.limits)).await;
    let mut stream = TcpStream::connect(server.running.admin).await.expect("connects");
    let request = format!("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(1000));
    let mut refused = false;
    for _ in 0..100_000 {
        if stream.write_all(request.as_bytes()).await.is_err() {
            refused = true;
            break;
        }
    }
    assert!(refused, "still open");
    assert_eq!(server.observe.metrics.get(Metric::HttpTimeouts, Some("write")), 1);
}

#[tokio::test]
async fn connections_are_capped_and_counted() {
    let server = start_with(|config| config.limits.connections = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut open = Open::send(server.running.public, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(open.until("200 OK").await);
        held.push(open);
    }
    let mut third = TcpStream::connect(server.running.public).await.expect("connects");
    let mut answer = Vec::new();
    let _ = third.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1"), "{answer}");
    assert_eq!(server.observe.metrics.get(Metric::ConnectionsRefused, Some("public")), 1);
    // The admin is not shut out by the collector's load.
    assert_eq!(ask(server.running.admin, "GET", "/health", &[], b"").await.status, 200);
    drop(held);
    assert!(server.running.drain(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn draining_ends_streams_and_finishes_requests() {
    let server = start().await;
    let mut idle = Open::send(server.running.public, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(idle.until("200 OK").await);
    let head = format!("GET /v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n");
    let mut live = Open::send(server.running.admin, &head).await;
    assert!(live.until("event: overview").await, "{}", live.text);
    let (public, drained) = (server.running.public, server.running.drain(Duration::from_secs(20)).await);
    assert!(drained);
    assert!(!idle.until("never").await && !live.until("never").await, "closed");
    assert!(TcpStream::connect(public).await.is_err(), "still listening");
}
