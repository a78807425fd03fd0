//! Whom visitors are taken for over HTTP, and undoing a wrong merge: what is asked, what is refused and why.

use crate::support::*;
use serde_json::json;

const BEARER: (&str, &str) = ("Authorization", "Bearer an-admin-token-of-some-length");
const UNMERGE: &str = "/v1/identity/unmerge";

#[tokio::test]
async fn a_wrong_merge_is_undone_by_whoever_may() {
    let server = start().await;
    let admin = server.running.admin;
    let body = br#"{"visitor_id":"v1","user_id":"u1","reason":"shared tablet"}"#;
    assert_eq!(ask(admin, "POST", UNMERGE, &[], body).await.status, 401);
    let asked = ask(admin, "POST", UNMERGE, &[BEARER], body).await;
    let expected = r#"UnmergeAsk { visitor_id: "v1", user_id: "u1", reason: Some("shared tablet") }"#;
    assert_eq!((asked.status, asked.json()), (200, json!({ "asked": expected })));
    assert_eq!(ask(admin, "GET", "/v1/identity/v1", &[BEARER], b"").await.json(), json!({ "visitor_id": "v1" }));
    assert_eq!(ask(admin, "GET", "/v1/identity/v2", &[BEARER], b"").await.code(), "not_found");
    assert_eq!(ask(admin, "GET", "/v1/identity/v1", &[], b"").await.status, 401);
    // A write key's listener knows nothing of it.
    assert_eq!(ask(server.running.public, "POST", UNMERGE, &[BEARER], body).await.status / 100, 4);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let server = start().await;
    let admin = server.running.admin;
    let long = "x".repeat(257);
    for (body, status, code, said) in [
        (String::new(), 400, "json_invalid", "EOF"),
        ("{\"visitor_id\":\"v1\"}".into(), 400, "json_invalid", "user_id"),
        ("{\"visitor_id\":\"v1\",\"user_id\":7}".into(), 400, "json_invalid", "string"),
        ("{\"visitor_id\":\"v1\",\"user_id\":\"u1\",\"from\":1}".into(), 400, "json_invalid", "from"),
        ("{\"visitor_id\":\"\",\"user_id\":\"u1\"}".into(), 400, "id_length", "visitor_id"),
        (format!("{{\"visitor_id\":\"v1\",\"user_id\":\"{long}\"}}"), 400, "id_length", "user_id"),
        (
            format!("{{\"visitor_id\":\"v1\",\"user_id\":\"u1\",\"reason\":\"{}\"}}", long.repeat(4)),
            400,
            "reason_length",
            "1000 bytes",
        ),
        (" ".repeat(17 << 10), 413, "body_too_large", "16 KiB"),
    ] {
        let reply = ask(admin, "POST", UNMERGE, &[BEARER], body.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body:.80}");
        let title = reply.json()["title"].as_str().unwrap_or_default().to_owned();
        assert!(title.contains(said), "{title}");
    }
}
