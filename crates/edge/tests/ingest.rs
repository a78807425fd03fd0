//! Events in: verdicts, CORS, bounds, overload.

use crate::support::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use midsession_edge::{Unreadable, bound_to_letter, bound_to_personal};
use midsession_event::{Personal, Reject, Topic, decode};
use midsession_observe::{Metric, Stage};
use midsession_ports::{LogError, Vault, VaultError};
use serde_json::json;
use std::io::Write;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_batch_is_answered_with_verdicts_and_receipts() {
    let server = start().await;
    let batch = format!("[{},{},{}]", event("e1"), r#"{"name":"page_view"}"#, event("e2"));
    let target = format!("/v1/events?key={KEY}&verdicts=1");
    let reply = ask(server.running.public, "POST", &target, &[("Content-Type", "text/plain")], batch.as_bytes()).await;
    let value = reply.json();
    assert_eq!((reply.status, value["accepted"].as_i64()), (200, Some(2)), "{value}");
    assert_eq!(value["rejected"][0]["index"], 1, "{value}");
    assert_eq!(value["receipts"].as_array().map(Vec::len), Some(2), "{value}");
    assert_eq!(value["receipts"][1]["topic"], "behavior");
    assert_eq!(server.log.event_ids(), ["e1", "e2"]);
    assert_eq!(server.log.count(Topic::DeadLetter), 1);
    assert_eq!(server.observe.stage(Stage::Log).count, 2);
    assert_eq!(server.observe.metrics.get(Metric::EventsAccepted, Some("shop")), 2);
    assert_eq!(server.observe.metrics.get(Metric::EventsRejected, Some("shop")), 1);
}

#[tokio::test]
async fn keys_are_needed() {
    let server = start().await;
    for (target, headers, status) in [
        ("/v1/events".to_owned(), vec![], 401),
        ("/v1/events?key=wrong".to_owned(), vec![], 401),
        ("/v1/events".to_owned(), vec![("Authorization", "Bearer wk_test")], 200),
    ] {
        let reply = ask(server.running.public, "POST", &target, &headers, event("e").as_bytes()).await;
        assert_eq!(reply.status, status, "{target}");
    }
    assert_eq!(server.log.event_ids(), ["e"]);
}

#[tokio::test]
async fn origins_are_echoed_only_where_listed() {
    let server = start().await;
    let target = format!("/v1/events?key={KEY}");
    for (origin, listed) in [(ORIGIN, true), ("https://evil.example", false), ("null", false)] {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type"),
        ];
        for (method, reply) in [
            ("OPTIONS", ask(server.running.public, "OPTIONS", &target, &headers, b"").await),
            ("POST", ask(server.running.public, "POST", &target, &headers[..1], event("e").as_bytes()).await),
            ("token", ask(server.running.public, "POST", &format!("/v1/token?key={KEY}"), &headers[..1], b"").await),
        ] {
            let granted =
                (reply.header("access-control-allow-origin"), reply.header("access-control-allow-credentials"));
            assert_eq!(granted, if listed { (Some(origin), Some("true")) } else { (None, None) }, "{method} {origin}");
            assert_eq!(reply.header("vary"), Some("Origin"), "{method} {origin}");
            assert_eq!(reply.status == 200, listed || method == "OPTIONS", "{method} {origin}");
        }
    }
    assert_eq!(server.log.event_ids(), ["e"], "what an unlisted origin sends is not kept");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("compresses");
    encoder.finish().expect("compresses")
}

#[tokio::test]
async fn bodies_are_bounded_before_and_after_decompression() {
    let server = start().await;
    let target = format!("/v1/events?key={KEY}");
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let bomb_of_bombs = gzip(&bomb);
    for (what, headers, body, status) in [
        ("wire", vec![], vec![b' '; (1 << 20) + 1], 413),
        ("bomb by header", vec![("Content-Encoding", "gzip")], bomb.clone(), 413),
        ("bomb by magic", vec![], bomb, 413),
        ("twice", vec![("Content-Encoding", "gzip, gzip")], bomb_of_bombs, 413),
        ("sound", vec![("Content-Encoding", "gzip")], gzip(event("e").as_bytes()), 200),
    ] {
        let reply = ask(server.running.public, "POST", &target, &headers, &body).await;
        assert_eq!(reply.status, status, "{what}: {}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(server.log.event_ids(), ["e"]);
}

/// A body of unknown length is cut at the limit too.
#[tokio::test]
async fn endless_chunks_end() {
    let server = start().await;
    let mut bytes =
        format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        bytes.extend_from_slice(b"10000\r\n");
        bytes.extend_from_slice(&vec![b' '; 0x10000]);
        bytes.extend_from_slice(b"\r\n");
    }
    let answer = raw(server.running.public, &bytes).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{:?}", String::from_utf8_lossy(&answer));
}

/// Of a body over the limit its beginning is kept, announced, in chunks or inside of gzip: trackers that are told 200 forget it.
#[tokio::test]
async fn of_what_is_too_large_the_beginning_is_kept() {
    let announced = |bytes: usize| {
        let head = format!(
            "POST /com.snowplowanalytics.snowplow/tp2?aid=shop HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n"
        );
        [head.into_bytes(), marked(bytes)].concat()
    };
    let mut chunked =
        format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in marked(2 << 20).chunks(0x8000) {
        chunked.extend_from_slice(b"8000\r\n");
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    let bomb = gzip(&marked(8 << 20));
    let mut zipped = format!(
        "POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    zipped.extend_from_slice(&bomb);
    let breaks_off = announced(2 << 20)[..1_000].to_vec();
    for (what, request, code, truncated, expected) in [
        ("announced", announced(2 << 20), "body_too_large", true, &marked(64 << 10)[..]),
        ("chunked", chunked, "body_too_large", true, &marked(64 << 10)),
        ("gzip", zipped, "decoded_too_large", false, &bomb),
        ("breaks off", breaks_off, "body_too_large", true, b"0123456789"),
    ] {
        let server = start().await;
        if what == "breaks off" {
            tokio::net::TcpStream::connect(server.running.public)
                .await
                .expect("connects")
                .write_all(&request)
                .await
                .expect("sent");
        } else {
            raw(server.running.public, &request).await;
        }
        let letter = || values(&server, Topic::DeadLetter).first().cloned();
        while letter().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let reject: Reject = decode(&letter().expect("a letter")).expect("decodes");
        assert_eq!((reject.code.as_str(), reject.truncated), (code, truncated), "{what}");
        let bound = bound_to_letter(reject.source.as_str(), reject.received_at_us);
        let payload = server.vault.open(&bound, &reject.payload).expect("opens");
        assert!(payload.starts_with(expected), "{what}: {} bytes", payload.len());
        assert!(payload.len() <= 64 << 10, "{what}: {} bytes", payload.len());
    }
}

/// Bytes that tell their place.
fn marked(bytes: usize) -> Vec<u8> {
    b"0123456789".iter().copied().cycle().take(bytes).collect()
}

#[tokio::test]
async fn an_overloaded_log_asks_to_try_again() {
    let server = start().await;
    let target = format!("/v1/events?key={KEY}");
    for (cause, retry_after) in [
        (LogError::Busy { queued: 1 }, "1"),
        (LogError::DiskFull { folder: "/data".into() }, "10"),
        (LogError::Failed { cause: "fsync".into() }, "30"),
    ] {
        *server.log.fails_with.lock().expect("lock") = Some(cause);
        let reply = ask(server.running.public, "POST", &target, &[("Origin", ORIGIN)], event("e").as_bytes()).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some(retry_after)));
        assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN), "the tracker must see it to try again");
    }
    *server.log.fails_with.lock().expect("lock") = None;
    assert_eq!(ask(server.running.public, "POST", &target, &[], event("e").as_bytes()).await.status, 200);
    assert_eq!(server.log.event_ids(), ["e"]);
}

#[tokio::test]
async fn requests_in_flight_are_capped() {
    let server = start_with(|config| config.limits.in_flight_bytes = 4_000).await;
    let head = format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 3900\r\n\r\n");
    let _held = Open::send(server.running.public, &head).await;
    let target = format!("/v1/events?key={KEY}");
    let body = format!("[{},{}]", event("e1"), event("e2"));
    // The held request may take a moment to be read; small ones pass until then.
    loop {
        let reply = ask(server.running.public, "POST", &target, &[], body.as_bytes()).await;
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), Some("1"));
            break;
        }
    }
    assert!(server.observe.metrics.get(Metric::HttpOverload, Some("in_flight")) > 0);
}

#[tokio::test]
async fn events_over_a_web_socket() {
    let server = start().await;
    let url = format!("ws://{}/v1/events?key={KEY}", server.running.public);
    let (mut socket, _) = connect(&url, None).await.expect("connects");
    for (message, expected) in [
        (event("w1"), json!({ "accepted": 1 })),
        (format!("[{},{}]", event("w2"), r#"{"name":5}"#), json!({ "accepted": 1 })),
        ("nonsense".to_owned(), json!({ "accepted": 0 })),
    ] {
        use futures_util::{SinkExt, StreamExt};
        socket.send(message.into()).await.expect("sends");
        let answer = socket.next().await.expect("an answer").expect("an answer").into_text().expect("text");
        let value: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(value["accepted"], expected["accepted"], "{value}");
    }
    assert_eq!(server.log.event_ids(), ["w1", "w2"]);
    for (url, origin, status) in [
        (&url, Some("https://evil.example"), 403),
        (&url, Some("null"), 403),
        (&format!("ws://{}/v1/events?key=wrong", server.running.public), None, 401),
    ] {
        assert_eq!(connect(url, origin).await.expect_err("refused"), status, "{url} {origin:?}");
    }
    assert!(connect(&url, Some(ORIGIN)).await.is_ok());
    let plain = ask(server.running.public, "GET", &format!("/v1/events?key={KEY}"), &[], b"").await;
    assert_eq!(plain.status, 426);
}

/// 64 KiB is the longest message; the connection that sends more is closed.
#[tokio::test]
async fn web_socket_messages_are_bounded() {
    use futures_util::{SinkExt, StreamExt};
    let server = start().await;
    let url = format!("ws://{}/v1/events?key={KEY}", server.running.public);
    for (length, is_answered) in [(60 << 10, true), (65 << 10, false)] {
        let (mut socket, _) = connect(&url, None).await.expect("connects");
        let padded = event("e").replace("{", &format!("{{\"x\":\"{}\",", "y".repeat(length)));
        // A server that has closed may refuse the end of the message.
        let _ = socket.send(padded.into()).await;
        let answer = socket.next().await;
        assert_eq!(matches!(&answer, Some(Ok(message)) if message.is_text()), is_answered, "{length}: {answer:?}");
    }
}

/// After a refused upgrade nothing more is read as HTTP.
#[tokio::test]
async fn a_refused_upgrade_closes_the_connection() {
    let server = start().await;
    let text =
        "GET /v1/push HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /health HTTP/1.1\n\n";
    let answer = String::from_utf8_lossy(&raw(server.running.public, text.as_bytes()).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

/// The values on a topic, in order.
fn values(server: &Server, topic: Topic) -> Vec<Vec<u8>> {
    let records = server.log.records.lock().expect("lock");
    let of_topic = records.iter().filter(|append| append.topic == topic);
    of_topic.map(|append| append.value.as_deref().expect("a value").to_vec()).collect()
}

#[tokio::test]
async fn what_is_personal_is_sealed_before_it_is_kept() {
    let server = start().await;
    let target = "/v1/events?key=wk_sealing".to_owned();
    let signup = |id: &str, email: &str| {
        json!({"event_id": id, "name": "signup", "visitor_id": "v1", "properties": {"email": email}}).to_string()
    };
    let refused = r#"{"event_id":"e9","visitor_id":"v1","properties":{"email":"jane@example.com"}}"#;
    let batch = format!("[{},{refused},{}]", signup("e1", "jane@example.com"), signup("e2", "full@example.com"));
    let reply = ask(server.running.public, "POST", &target, &[], batch.as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(server.log.event_ids(), ["e1", "e2"]);
    for topic in [Topic::Behavior, Topic::DeadLetter, Topic::BehaviorPii] {
        for value in values(&server, topic) {
            assert!(!value.windows(8).any(|window| window == b"@example"), "in the clear on {topic:?}");
        }
    }
    let [personal] = &values(&server, Topic::BehaviorPii)[..] else { panic!("one: the other found no room") };
    let personal: Personal = decode(personal).expect("decodes");
    assert_eq!((personal.event_id.as_str(), &personal.kinds[..]), ("e1", &["email".into()][..]));
    let opened = server.vault.open(&bound_to_personal("sealing", "e1"), &personal.sealed).expect("opens");
    assert_eq!(opened, br#"{"email":{"email":"jane@example.com"}}"#);
    let [letter] = &values(&server, Topic::DeadLetter)[..] else { panic!("one") };
    let letter: Reject = decode(letter).expect("decodes");
    let opened = server.vault.open(&bound_to_letter("sealing", letter.received_at_us), &letter.payload).expect("opens");
    assert_eq!(opened, refused.as_bytes());
    let metrics = &server.observe.metrics;
    assert_eq!(metrics.get(Metric::PersonalSealed, Some("sealing")), 1);
    assert_eq!(metrics.get(Metric::PersonalDropped, Some("sealing")), 1);
    // Who has withdrawn that has nothing kept; where it can't be asked, nothing is taken in.
    let withdrawn = signup("e5", "joe@example.com").replace("\"v1\"", "\"withdrawn\"");
    assert_eq!(ask(server.running.public, "POST", &target, &[], withdrawn.as_bytes()).await.status, 200);
    assert_eq!(values(&server, Topic::BehaviorPii).len(), 1);
    assert_eq!(metrics.get(Metric::PersonalWithheld, Some("sealing")), 1);
    *server.rows.unreadable.lock().expect("lock") = Some(Unreadable::Loading);
    let reply = ask(server.running.public, "POST", &target, &[], signup("e6", "jane@example.com").as_bytes()).await;
    assert_eq!(reply.status, 503);
    *server.rows.unreadable.lock().expect("lock") = None;
    // Without a keystore nothing personal is taken in, and what is not goes on.
    *server.vault.fails_with.lock().expect("lock") = Some(VaultError::Failed { cause: "a test's doing".into() });
    let reply = ask(server.running.public, "POST", &target, &[], signup("e3", "jane@example.com").as_bytes()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("30")));
    let reply = ask(server.running.public, "POST", &target, &[], event("e4").as_bytes()).await;
    assert_eq!((reply.status, server.log.event_ids()), (200, ["e1", "e2", "e5", "e4"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_word_on_consent_is_answered_when_it_holds_everywhere() {
    let server = start().await;
    let target = format!("/v1/events?key={KEY}");
    let said = r#"{"event_id":"c1","name":"consent","visitor_id":"v1","user_id":"u1","consent":"none"}"#;
    let batch = format!("[{},{said}]", event("e1"));
    assert_eq!(ask(server.running.public, "POST", &target, &[], batch.as_bytes()).await.status, 200);
    let told = server.rows.consented.lock().expect("lock").clone();
    let [told] = &told[..] else { panic!("one word: {told:?}") };
    assert_eq!((told.visitor_id.clone(), told.user_id.clone()), (Some("v1".into()), Some("u1".into())));
    *server.rows.unreadable.lock().expect("lock") = Some(Unreadable::Busy);
    let reply = ask(server.running.public, "POST", &target, &[], said.replace("c1", "c2").as_bytes()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "not yet: send it again");
    assert_eq!(ask(server.running.public, "POST", &target, &[], event("e2").as_bytes()).await.status, 200);
}
