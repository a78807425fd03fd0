//! Strict framing, as bytes on the wire.

use crate::support::*;
use midsession_observe::Metric;

/// The refusal's code, from its body.
fn code(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_problem = head.to_lowercase().contains("\r\ncontent-type: application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(body).ok().filter(|_| is_problem)?;
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", problem["status"])), "{answer:?}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{answer:?}");
    Some(problem["code"].as_str()?.to_owned())
}

/// Whatever is broken: 400 with the rule, closed, nothing taken in, and what is smuggled behind it is not answered.
#[tokio::test]
async fn broken_framing_is_refused() {
    let server = start().await;
    let body = event("smuggled");
    let length = body.len();
    for (rule, head) in [
        ("length_and_chunked", format!("Host: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n")),
        ("length_and_chunked", format!("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n")),
        ("length_twice", format!("Host: a\r\nContent-Length: {length}\r\nContent-Length: {length}\r\n")),
        ("length_value", format!("Host: a\r\nContent-Length: {length}, {length}\r\n")),
        ("length_value", format!("Host: a\r\nContent-Length: +{length}\r\n")),
        ("host_twice", format!("Host: a\r\nHost: a\r\nContent-Length: {length}\r\n")),
        ("host_missing", format!("Content-Length: {length}\r\n")),
        ("host_value", format!("Host: a/b\r\nContent-Length: {length}\r\n")),
        ("obs_fold", format!("Host: a\r\nX: y\r\n folded\r\nContent-Length: {length}\r\n")),
        ("header_name", format!("Host : a\r\nContent-Length: {length}\r\n")),
        ("bare_lf", format!("Host: a\nContent-Length: {length}\r\n")),
        ("bare_cr", format!("Host: a\r\nX: y\rContent-Length: 0\r\nContent-Length: {length}\r\n")),
        ("transfer_encoding", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n".to_owned()),
        ("transfer_encoding", "Host: a\r\nTransfer-Encoding: xchunked\r\n".to_owned()),
    ] {
        let before = server.observe.metrics.get(Metric::HttpFramingRefused, Some(rule));
        let request =
            format!("POST /v1/events?key={KEY} HTTP/1.1\r\n{head}\r\n{body}GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = String::from_utf8_lossy(&raw(server.running.public, request.as_bytes()).await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?} is answered {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?} is answered {answer:?}");
        assert_eq!(code(&answer).as_deref(), Some(rule), "{head:?} is answered {answer:?}");
        assert_eq!(server.observe.metrics.get(Metric::HttpFramingRefused, Some(rule)), before + 1, "{head:?}");
    }
    assert_eq!(server.log.event_ids(), [""; 0]);
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let server = start().await;
    let head = format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let body = event("chunked");
    for chunks in [
        format!("{:x}\n{body}\r\n0\r\n\r\n", body.len()),
        format!("+{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("{:x}\r\n{body}XX0\r\n\r\n", body.len()),
        format!("0x{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
    ] {
        let answer = raw(server.running.public, format!("{head}{chunks}").as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?} is answered {answer:?}");
        assert_eq!(code(&answer).as_deref(), Some("body_broken"), "{chunks:?} is answered {answer:?}");
    }
    assert_eq!(server.log.event_ids(), [""; 0]);
    let sound =
        format!("{head}5;ext=1\r\n{}\r\n{:x}\r\n{}\r\n0\r\nTrailer: t\r\n\r\n", &body[..5], body.len() - 5, &body[5..]);
    let mut open = Open::send(server.running.public, &sound).await;
    assert!(open.until("200 OK").await, "{}", open.text);
    assert_eq!(server.log.event_ids(), ["chunked"]);
}

#[tokio::test]
async fn requests_in_a_row_on_one_connection() {
    let server = start().await;
    let post = |id: &str| {
        let body = event(id);
        format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let broken = "GET /health HTTP/1.1\r\n\r\n";
    let text = [post("e1"), post("e2"), broken.to_owned(), post("e3")].concat();
    let answer = String::from_utf8_lossy(&raw(server.running.public, text.as_bytes()).await).into_owned();
    let statuses: Vec<&str> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{answer}");
    assert_eq!(server.log.event_ids(), ["e1", "e2"]);
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = start().await;
    let fields = |count: usize| (0..count).map(|index| format!("X-{index}: y\r\n")).collect::<String>();
    for (head, status) in [
        (format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", fields(62)), "200"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(64)), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "y".repeat(31 << 10)), "200"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(33 << 10)), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(300 << 10)), "431"),
    ] {
        let answer = raw(server.running.public, head.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{} bytes are answered {answer:?}", head.len());
        assert_eq!(code(&answer).is_some(), status == "431", "{answer:?}");
    }
}

#[tokio::test]
async fn odd_targets_and_methods() {
    let server = start().await;
    for (line, status) in [
        ("GET http://evil.example/health HTTP/1.1", "400"),
        ("CONNECT evil.example:80 HTTP/1.1", "400"),
        ("GET /r/tp2?u=https://evil.example HTTP/1.1", "404"),
        ("DELETE /v1/events HTTP/1.1", "405"),
        ("GET /nothing HTTP/1.1", "404"),
        ("GET /v1/overview HTTP/1.1", "404"),
        ("GET /health", "400"),
        ("GET /health HTTP/2.0", "400"),
        ("GET  /health HTTP/1.1", "400"),
        ("HEAD /health HTTP/1.1", "200"),
    ] {
        let text = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(server.running.public, text.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} is answered {answer:?}");
        assert!(!answer.to_lowercase().contains("\r\nlocation:"), "{line} is redirected");
    }
}

/// The HTTP library refuses broken heads without a word of why: it must not get to see any, whatever is broken.
#[tokio::test]
async fn no_refusal_is_without_its_reason() {
    let server = start().await;
    let sound = "POST /a?b HTTP/1.1\r\nHost: a\r\nX-y: z\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mutable = sound.find("Connection").expect("the header that ends it");
    for at in 0..mutable {
        for byte in [0, b' ', b'\t', b'\r', b'\n', b':', b'/', b'2', 0x7f, 0x80, 0xff] {
            let mut head = sound.as_bytes().to_vec();
            head[at] = byte;
            // Whatever it became, it comes to an end.
            head.extend_from_slice(b"\r\n\r\n");
            let answer = raw(server.running.public, &head).await;
            let answer = String::from_utf8_lossy(&answer);
            let is_refused = !answer.starts_with("HTTP/1.1 2");
            assert_eq!(code(&answer).is_some(), is_refused, "{:?}: {answer:?}", String::from_utf8_lossy(&head));
        }
    }
}

/// A head in pieces is one head, and what came before a refused one is answered before it.
#[tokio::test]
async fn heads_come_in_pieces() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = start().await;
    let get = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = format!("POST /v1/events?key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]");
    let text = [get, &post, get, "GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n", get].concat();
    for size in [1, 2, 7, 40, 90] {
        let mut stream = tokio::net::TcpStream::connect(server.running.public).await.expect("connects");
        stream.set_nodelay(true).expect("a socket");
        let mut answer = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            // The refused one may be closed before its end.
            let _ = stream.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        stream.read_to_end(&mut answer).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer);
        let statuses: Vec<&str> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "200", "200", "400"], "in pieces of {size}: {answer}");
        assert!(answer.ends_with('}') && answer.contains("\"code\":\"host_twice\""), "{answer}");
    }
    // Its method by itself means nothing.
    let own = "REFUSED / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(server.running.public, own.as_bytes()).await;
    assert_eq!(code(&String::from_utf8_lossy(&answer)).as_deref(), Some("method_not_allowed"));
}
