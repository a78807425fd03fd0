//! Definitions over HTTP: what is asked of the backend, and how it is answered.

use crate::support::*;
use serde_json::json;

const BEARER: (&str, &str) = ("Authorization", "Bearer an-admin-token-of-some-length");

#[tokio::test]
async fn definitions_are_put_promoted_and_removed() {
    let server = start().await;
    let admin = server.running.admin;
    for (method, target, body, status, answer) in [
        ("GET", "/v1/definitions", "", 200, json!({ "revision": 3, "of": null })),
        ("GET", "/v1/definitions/feature/views", "", 200, json!({ "revision": 3, "of": [false, "views"] })),
        ("POST", "/v1/definitions", "[[feature]]", 200, json!({ "revision": 4, "only": null })),
        (
            "PUT",
            "/v1/definitions/feature/views",
            "[[feature]]",
            200,
            json!({ "revision": 4, "only": [false, "views"] }),
        ),
        (
            "PUT",
            "/v1/definitions/intervention/chat",
            "[[intervention]]",
            200,
            json!({ "revision": 4, "only": [true, "chat"] }),
        ),
        ("GET", "/v1/definitions/intervention/chat", "", 200, json!({ "revision": 3, "of": [true, "chat"] })),
        (
            "POST",
            "/v1/definitions/feature/views/promote",
            "",
            200,
            json!({ "name": "views", "is_rule": false, "version": null }),
        ),
        (
            "POST",
            "/v1/definitions/feature/views/promote?version=2",
            "",
            200,
            json!({ "name": "views", "is_rule": false, "version": 2 }),
        ),
        (
            "POST",
            "/v1/definitions/intervention/chat/promote",
            "",
            200,
            json!({ "name": "chat", "is_rule": true, "version": null }),
        ),
    ] {
        let reply = ask(admin, method, target, &[BEARER], body.as_bytes()).await;
        assert_eq!((reply.status, reply.json()), (status, answer), "{method} {target}");
    }
    for (method, target, body, status, code) in [
        ("DELETE", "/v1/definitions/feature/views", "", 404, "definition_unknown"),
        ("DELETE", "/v1/definitions/feature/views?version=0", "", 400, "version_invalid"),
        ("DELETE", "/v1/definitions/intervention/chat", "", 404, "definition_unknown"),
        ("POST", "/v1/definitions/feature/views/promote?version=new", "", 400, "version_invalid"),
        ("PUT", "/v1/definitions/feature/views", "fold = \"conut\"", 422, "definition_invalid"),
    ] {
        let reply = ask(admin, method, target, &[BEARER], body.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {target}");
        assert_eq!(ask(admin, method, target, &[], body.as_bytes()).await.status, 401, "{method} {target}");
    }
}

#[tokio::test]
async fn a_mistake_is_told_with_its_place() {
    let server = start().await;
    let admin = server.running.admin;
    let reply = ask(admin, "POST", "/v1/definitions?file=sale.toml", &[BEARER], b"fold = \"conut\"").await;
    let said = reply.json();
    assert_eq!(said["title"], "sale.toml:3:8: there is no fold `conut`;  hint: did you mean `count`?");
    assert_eq!(
        said["mistakes"],
        json!([{ "file": "sale.toml", "line": 3, "column": 8, "message": "there is no fold `conut`", "hint": "did you mean `count`?" }])
    );
    let binary = ask(admin, "POST", "/v1/definitions", &[BEARER], &[0xff, 0xfe]).await;
    assert_eq!((binary.status, binary.code().as_str()), (400, "not_utf8"));
    let large = ask(admin, "POST", "/v1/definitions", &[BEARER], &vec![b'#'; 300_000]).await;
    assert_eq!((large.status, large.code().as_str()), (413, "body_too_large"));
}
