//! Interventions down: tokens, streams, resumption, expiry, several tabs.

use crate::support::*;
use midsession_edge::Frame;
use midsession_event::{DecisionId, VisitorId};
use midsession_observe::{Metric, Stage};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64
}

fn frame(id: u128, expires_in_ms: i64) -> Frame {
    Frame {
        decision_id: DecisionId(id),
        rule: "cart_stalled".into(),
        slot: "nudge".into(),
        payload: json!({ "title": "Still\nthinking?" }),
        expires_at_ms: now_us() / 1_000 + expires_in_ms,
        preview: false,
        cause_event_id: Some("e1".into()),
        by_silence: false,
        deadline_ms: None,
        stamps_us: [("received".into(), 5), ("decision_durable".into(), now_us())].into(),
    }
}

async fn token(server: &Server, cookie: &str, origin: Option<&str>) -> Value {
    let mut headers = vec![("Cookie", cookie)];
    headers.extend(origin.map(|origin| ("Origin", origin)));
    let reply = ask(server.running.public, "POST", &format!("/v1/token?key={KEY}"), &headers, b"").await;
    assert_eq!(reply.status, 200);
    reply.json()
}

async fn stream(server: &Server, token: &Value, headers: &str) -> Open {
    let token = token["token"].as_str().expect("a token");
    let head = format!("GET /v1/push?token={token} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let mut open = Open::send(server.running.public, &head).await;
    assert!(open.until("retry: 1000\n\n").await, "{}", open.text);
    open
}

/// The data of an event in the stream's text.
fn data(text: &str, id: u128) -> Value {
    let at = text.find(&format!("event: intervention\nid: {id:032x}\ndata: ")).expect("the event");
    let line = text[at..].lines().nth(2).expect("a data line").strip_prefix("data: ").expect("data");
    serde_json::from_str(line).expect("JSON")
}

#[tokio::test]
async fn visitors_are_named_by_their_cookies() {
    let server = start().await;
    for (cookie, visitor) in [
        ("a=b; _ms_vid=v1; _sp_id.1fff=duid.0.1", "v1"),
        ("_sp_id.1fff=d-u-i-d.1700000000.1.1700000000.1700000000.s", "d-u-i-d"),
        ("_ms_vid=a%20b", "a b"),
    ] {
        let answer = token(&server, cookie, None).await;
        assert_eq!(answer["visitor_id"], visitor, "{cookie}");
        let life_ms = answer["expires_at"].as_i64().expect("a number") - now_us() / 1_000;
        assert!((29 * 60_000..=30 * 60_000).contains(&life_ms), "{life_ms}");
    }
    let target = format!("/v1/token?key={KEY}");
    let fresh = ask(server.running.public, "POST", &target, &[("Origin", ORIGIN)], b"").await;
    let cookie = fresh.header("set-cookie").expect("a cookie");
    let visitor = fresh.json()["visitor_id"].as_str().expect("an id").to_owned();
    assert!(
        cookie.starts_with(&format!("_ms_vid={visitor}; Path=/; Max-Age=31536000; SameSite=Lax; Secure")),
        "{cookie}"
    );
    assert_eq!(ask(server.running.public, "POST", "/v1/token?key=wrong", &[], b"").await.status, 401);
    let evil = ask(server.running.public, "POST", &target, &[("Origin", "https://evil.example")], b"").await;
    assert_eq!((evil.status, evil.code()), (403, "origin_not_allowed".to_owned()));
}

/// What a source does to ids, it does to the push's too.
#[tokio::test]
async fn pushes_follow_the_id_that_the_log_has() {
    let server = start().await;
    let headers = [("Cookie", "_ms_vid=v1")];
    let token = ask(server.running.public, "POST", "/v1/token?key=wk_hash", &headers, b"").await.json();
    assert_eq!(token["visitor_id"], "v1");
    ask(server.running.public, "POST", "/v1/events?key=wk_hash", &[], event("e").as_bytes()).await;
    let key = server.log.records.lock().expect("lock")[0].key.clone();
    let logged = VisitorId::from(std::str::from_utf8(&key).expect("text"));
    assert_ne!(logged.as_str(), "v1");
    let mut open = stream(&server, &token, "").await;
    server.hub.push(&logged, frame(1, 60_000));
    assert!(open.until(&format!("id: {:032x}", 1)).await);
    // A preview for the id in one's cookie goes the same way.
    let bearer = format!("Bearer {ADMIN}");
    for (visitor, connections) in [("v1", 1), (logged.as_str(), 1), ("v2", 0)] {
        let body = serde_json::json!({ "visitor_id": visitor }).to_string();
        let target = "/v1/interventions/cart_stalled/preview";
        let preview =
            ask(server.running.admin, "POST", target, &[("Authorization", &bearer)], body.as_bytes()).await.json();
        assert_eq!(preview["connections"], connections, "{visitor}");
    }
    // An id that the collector would refuse is replaced.
    for hostile in ["null", "%00", &"x".repeat(300)] {
        let cookie = format!("_ms_vid={hostile}");
        let target = format!("/v1/token?key={KEY}");
        let reply = ask(server.running.public, "POST", &target, &[("Cookie", &cookie)], b"").await;
        assert!(reply.header("set-cookie").is_some(), "{hostile} is kept");
    }
}

#[tokio::test]
async fn who_said_no_gets_no_cookie() {
    let server = start().await;
    for (cookie, is_set) in [("a=b", true), ("doNotTrack=1", false), ("a=b; doNotTrack=0", true)] {
        let headers = [("Cookie", cookie)];
        let reply = ask(server.running.public, "POST", &format!("/v1/token?key={KEY}"), &headers, b"").await;
        assert_eq!(reply.header("set-cookie").is_some(), is_set, "{cookie}");
    }
}

#[tokio::test]
async fn tokens_are_bound() {
    let server = start().await;
    let token = token(&server, "_ms_vid=v1", Some(ORIGIN)).await;
    let token = token["token"].as_str().expect("a token");
    for (target, origin, status) in [
        ("/v1/push".to_owned(), None, 401),
        ("/v1/push?token=nonsense".to_owned(), None, 401),
        (format!("/v1/push?token={token}x"), None, 401),
        (format!("/v1/push?token={token}"), Some("https://evil.example"), 403),
        (format!("/v1/push?token={token}"), Some("https://other.example"), 403),
        (format!("/v1/push?token={token}"), Some(ORIGIN), 200),
        (format!("/v1/push?token={token}"), Some("HTTPS://Shop.example"), 200),
        (format!("/v1/push?token={token}"), None, 200),
    ] {
        let origin_line = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{origin_line}\r\n");
        // What is let in is a stream without an end: the first line has to do.
        let mut open = Open::send(server.running.public, &head).await;
        assert!(open.until("\r\n").await, "{target} {origin:?}");
        assert!(open.text.starts_with(&format!("HTTP/1.1 {status} ")), "{target} {origin:?}: {}", open.text);
    }
}

#[tokio::test]
async fn every_tab_gets_it_and_one_paints() {
    let server = start().await;
    let visitor = VisitorId::from("v1");
    let token = token(&server, "_ms_vid=v1", Some(ORIGIN)).await;
    let mut one = stream(&server, &token, &format!("Origin: {ORIGIN}\r\n")).await;
    let mut two = stream(&server, &token, "").await;
    assert!(one.text.to_lowercase().contains(&format!("access-control-allow-origin: {ORIGIN}")), "{}", one.text);
    server.hub.push(&visitor, frame(1, 60_000));
    for open in [&mut one, &mut two] {
        assert!(open.until("\"now_ms\"").await && open.until("\n\n").await);
        let value = data(&open.text, 1);
        assert_eq!((&value["rule"], &value["cause_event_id"]), (&json!("cart_stalled"), &json!("e1")));
        assert_eq!(value["payload"]["title"], "Still\nthinking?");
        assert_eq!(value["stamps_us"]["received"], 5);
        let (pushed, now) = (value["stamps_us"]["pushed"].as_i64(), value["now_ms"].as_i64());
        assert_eq!(pushed.map(|us| us / 1_000), now);
    }
    server.hub.painted(DecisionId(1));
    for open in [&mut one, &mut two] {
        assert!(open.until("event: retract\ndata: ").await && open.until("\"painted\"").await);
    }
    assert_eq!(server.observe.stage(Stage::Push).count, 2);
    assert_eq!(server.observe.metrics.get(Metric::PushConnections, None), 2);
    drop((one, two));
    while server.hub.connections() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_reconnect_resumes_and_nothing_stale_is_sent() {
    let server = start().await;
    let visitor = VisitorId::from("v1");
    let token = token(&server, "_ms_vid=v1", None).await;
    let deadline_ms = now_us() / 1_000;
    for (id, expires_in_ms) in [(1, 60_000), (2, 60_000), (3, 60_000), (4, 80)] {
        server.hub.push(&visitor, Frame { deadline_ms: Some(deadline_ms), ..frame(id, expires_in_ms) });
    }
    server.hub.retract(DecisionId(2), None);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut resumed = stream(&server, &token, &format!("Last-Event-ID: {:032x}\r\n", 1)).await;
    server.hub.push(&visitor, Frame { deadline_ms: Some(deadline_ms), ..frame(5, 60_000) });
    assert!(resumed.until(&format!(",{:032x}", 5)).await);
    let ids: Vec<&str> = resumed.text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, [format!("{:032x}", 3), format!("{:032x},{:032x}", 3, 5)]);
    assert_eq!(server.observe.stage(Stage::Push).count, 1, "the wait for a page is not the push's time");
    // Nor is it the way's from the deadline to the pixel.
    let live = format!("\"deadline_ms\":{deadline_ms},");
    assert!(resumed.until(&live).await, "{}", resumed.text);
    assert_eq!(data(&resumed.text, 3)["deadline_ms"], Value::Null);
    // Another visitor's page gets none of it.
    let other =
        ask(server.running.public, "POST", &format!("/v1/token?key={KEY}"), &[("Cookie", "_ms_vid=v2")], b"").await;
    let mut other = stream(&server, &other.json(), "").await;
    server.hub.push(&"v2".into(), frame(9, 60_000));
    assert!(other.until(&format!("id: {:032x}", 9)).await);
    assert_eq!(other.text.matches("event: intervention").count(), 1);
}

/// The address says what a page knew when it asked, the browser's header what it got since: both count, also at a
/// process that was started meanwhile and hears of the retractions from its log.
#[tokio::test]
async fn a_page_learns_what_was_taken_back_while_the_process_was_away() {
    let server = start().await;
    let visitor = VisitorId::from("v1");
    let answer = token(&server, "_ms_vid=v1", None).await;
    let mut before = stream(&server, &answer, "").await;
    for id in 3..=40 {
        server.hub.push(&visitor, frame(id, 60_000));
        server.hub.painted(DecisionId(id));
        assert!(before.until(&format!("{id:032x}\ndata")).await, "{}", before.text);
    }
    let last = before.text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().expect("an id").to_owned();
    assert_eq!(last.split(',').count(), 32, "bounded: {last}");
    drop(before);

    let server = start().await;
    let answer = token(&server, "_ms_vid=v1", None).await;
    let overtaken = [1, 2, 3, 20, 39];
    overtaken.iter().for_each(|id| server.hub.retract(DecisionId(*id), Some(&visitor)));
    let target =
        format!("/v1/push?token={}&last=junk,{:032x},{:032x}", answer["token"].as_str().expect("a token"), 1, 41);
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {last}\r\n\r\n");
    let mut after = Open::send(server.running.public, &head).await;
    server.hub.push(&visitor, frame(50, 60_000));
    assert!(after.until(&format!("id: {:032x}\n", 50)).await, "{}", after.text);
    let told = |id: u128| after.text.contains(&format!("\"decision_id\":\"{id:032x}\",\"reason\":\"overtaken\""));
    assert_eq!([1, 2, 3, 9, 20, 39, 41].map(told), [true, false, false, false, true, true, false], "{}", after.text);
}

#[tokio::test]
async fn interventions_over_a_web_socket() {
    use futures_util::StreamExt;
    let server = start().await;
    let token = token(&server, "_ms_vid=v1", Some(ORIGIN)).await;
    let url = format!("ws://{}/v1/push?token={}", server.running.public, token["token"].as_str().expect("a token"));
    assert_eq!(connect(&url, Some("https://evil.example")).await.expect_err("refused"), 403);
    let (mut socket, _) = connect(&url, Some(ORIGIN)).await.expect("connects");
    server.hub.push(&"v1".into(), frame(1, 60_000));
    let text = socket.next().await.expect("a message").expect("a message").into_text().expect("text");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&value["event"], &value["id"]), (&json!("intervention"), &json!(format!("{:032x}", 1))));
    assert_eq!(value["data"]["slot"], "nudge");
    // Draining tells the page goodbye.
    assert!(server.running.drain(std::time::Duration::from_secs(20)).await);
    assert!(socket.next().await.is_none_or(|message| message.is_ok_and(|message| message.is_close())));
}
