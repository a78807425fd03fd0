//! The admin listener: who gets in, from where, and what it answers.

use crate::support::*;
use midsession_edge::{LiveRow, ServeError, Unreadable};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const BEARER: (&str, &str) = ("Authorization", "Bearer an-admin-token-of-some-length");

#[tokio::test]
async fn nothing_is_read_without_the_token() {
    let server = start().await;
    let paths = midsession_edge::openapi();
    let mut asked = 0;
    for (path, operations) in paths["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let listeners = operation["x-listeners"].to_string();
            if !listeners.contains("admin") || operation["security"] == json!([]) {
                continue;
            }
            let target = path.replace(['{', '}'], "x");
            for headers in [vec![], vec![("Authorization", "Bearer wrong")], vec![("Cookie", "ms_admin=wrong")]] {
                let reply = ask(server.running.admin, &method.to_uppercase(), &target, &headers, b"{}").await;
                assert_eq!(reply.status, 401, "{method} {target} {headers:?}");
                asked += 1;
            }
            let public = ask(server.running.public, &method.to_uppercase(), &target, &[BEARER], b"{}").await;
            assert!(
                matches!(public.status, 404 | 405 | 401),
                "{method} {target} on the public listener: {}",
                public.status
            );
        }
    }
    assert!(asked > 30);
    // A write key opens nothing here.
    let key = ask(server.running.admin, "GET", &format!("/v1/overview?key={KEY}"), &[], b"").await;
    assert_eq!(key.status, 401);
}

#[tokio::test]
async fn a_browser_signs_in_by_link() {
    let server = start().await;
    let admin = server.running.admin;
    assert_eq!(ask(admin, "GET", "/?token=wrong-token-of-some-length", &[], b"").await.status, 401);
    let signed_in = ask(admin, "GET", &format!("/?token={ADMIN}"), &[], b"").await;
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/")));
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(ADMIN), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair");
    assert_eq!(ask(admin, "GET", "/v1/overview", &[("Cookie", cookie)], b"").await.status, 200);
    let host = admin.to_string();
    let put = async |headers: &[(&str, &str)]| {
        ask(admin, "PUT", "/v1/interventions/cart_stalled", headers, br#"{"enabled":false}"#).await.status
    };
    assert_eq!(put(&[("Cookie", cookie)]).await, 403, "no origin told");
    assert_eq!(put(&[("Cookie", cookie), ("Origin", "https://evil.example")]).await, 403);
    assert_eq!(put(&[("Cookie", cookie), ("Origin", "null")]).await, 403);
    assert_eq!(put(&[("Cookie", cookie), ("Sec-Fetch-Site", "cross-site")]).await, 403);
    assert_eq!(put(&[("Cookie", cookie), ("Origin", &format!("http://{host}"))]).await, 200);
    assert_eq!(put(&[("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")]).await, 200);
    assert_eq!(put(&[BEARER, ("Origin", "https://evil.example")]).await, 200, "a bearer is no browser's doing");
}

#[tokio::test]
async fn only_known_hosts() {
    let server = start_with(|config| config.admin_hosts = vec!["Console.Shop.example".into()]).await;
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:8081", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8081", 200),
        ("console.shop.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8081", 421),
    ] {
        let reply = ask(server.running.admin, "GET", "/v1/overview", &[("Host", host), BEARER], b"").await;
        assert_eq!(reply.status, status, "{host}");
    }
}

#[tokio::test]
async fn unsafe_settings_are_refused() {
    let server = start().await;
    let refused = async |change: fn(&mut midsession_edge::Config)| {
        let mut config = config();
        change(&mut config);
        midsession_edge::serve(config, server.handles()).await.err()
    };
    assert!(matches!(refused(|config| config.admin_token = "short".into()).await, Some(ServeError::WeakToken)));
    let exposed = |error| matches!(error, Some(ServeError::Exposed { .. }));
    assert!(exposed(refused(|config| config.admin = "0.0.0.0:0".parse().expect("an address")).await));
    assert!(exposed(refused(|config| config.redis = "0.0.0.0:0".parse().ok()).await));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let mut config = config();
    config.public = taken.local_addr().expect("an address");
    let error = midsession_edge::serve(config, server.handles()).await.err().expect("refused").to_string();
    assert!(error.contains("--port") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn reads() {
    let server = start().await;
    let get = async |target: &str| ask(server.running.admin, "GET", target, &[BEARER], b"").await;
    let features = get("/v1/features/user/u1").await.json();
    assert_eq!(features["as_of"], json!({ "partition": 1, "offset": 7, "now": 1_700_000_000_000i64 }));
    assert_eq!(features["user"], "u1");
    assert_eq!(features["features"], json!({ FEATURES[0]: 3, FEATURES[1]: 19.5, FEATURES[2]: "shoes" }));
    assert_eq!(
        get("/v1/features/user/u1?names=product_view_count_5m").await.json()["features"],
        json!({ FEATURES[0]: 3 })
    );
    assert_eq!(get("/v1/features/user/a%20b%3A%C3%BC").await.status, 200);
    assert_eq!(get("/v1/features/session/s1").await.json()["features"]["bounce"], false);
    assert_eq!(get("/v1/features/user/nobody").await.code(), "entity_unknown");
    let unknown = get("/v1/features/user/u1?profile=nativ").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (400, "profile_unknown"));
    assert!(unknown.json()["title"].as_str().is_some_and(|title| title.contains("there is: native")), "{unknown:?}");
    assert_eq!(get("/v1/features/user/u1?profile=native").await.json()["features"], features["features"]);
    let product = get("/v1/features/product/p1").await;
    assert_eq!((product.status, product.code().as_str()), (404, "key_unknown"));
    server.rows.more.store(true, std::sync::atomic::Ordering::Relaxed);
    let product = get("/v1/features/product/p1?profile=java").await.json();
    assert_eq!((&product["product"], &product["features"]), (&json!("p1"), &json!({ "views_1h": 2 })));
    assert_eq!(product["as_of"].as_array().map(Vec::len), Some(2), "one of each partition: {product}");
    assert_eq!(product["since"], json!({ "score_1h": 1_699_999_999_000_i64 }), "it may only not be counted yet");
    assert_eq!(get("/v1/features/product/p2").await.code(), "entity_unknown");
    server.rows.more.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(get("/v1/sessions/s%2F1").await.json()["session"], "s/1");
    assert_eq!(get("/v1/sessions/none").await.status, 404);
    assert_eq!(get("/v1/decisions?limit=7").await.json()["limit"], 7);
    assert_eq!(get("/v1/decisions?limit=9999999").await.json()["limit"], 5_000);
    let asked = get("/v1/sessions?open=true&q=abc&source=shop").await.json();
    assert!(asked["asked"].as_str().is_some_and(|text| text.contains("open: true") && text.contains("abc")), "{asked}");
    assert_eq!(get("/v1/budget").await.json()["stages"].as_array().map(Vec::len), Some(8));
    let metrics = get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("midsession_http_requests_total"), "{metrics:?}");
    assert_eq!(get("/ready").await.status, 200);
    server.rows.ready.store(false, Ordering::Relaxed);
    assert_eq!((get("/ready").await.status, get("/health").await.status), (503, 200));
}

/// What can't be read now is not told as absent, nor as a shorter list.
#[tokio::test]
async fn what_is_unreadable_is_not_absent() {
    let server = start().await;
    for (cause, code, retry_after, said) in [
        (Unreadable::Busy, "busy", "1", "too many reads"),
        (Unreadable::Loading, "loading", "2", "replays its log"),
        (Unreadable::Stopped("a disk failed".into()), "stopped", "30", "a disk failed"),
    ] {
        *server.rows.unreadable.lock().expect("lock") = Some(cause);
        for target in [
            "/v1/features/user/u1",
            "/v1/features/user/nobody",
            "/v1/features/session/s1",
            "/v1/overview",
            "/v1/sessions",
            "/v1/sessions/s%2F1",
            "/v1/decisions",
            "/v1/decisions/d1",
            "/v1/live",
        ] {
            let reply = ask(server.running.admin, "GET", target, &[BEARER], b"").await;
            let told = (reply.status, reply.code(), reply.header("retry-after"));
            assert_eq!(told, (503, code.to_owned(), Some(retry_after)), "{target}");
            assert!(reply.json()["title"].as_str().is_some_and(|title| title.contains(said)), "{target}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn what_load_balancers_and_robots_ask() {
    let server = start().await;
    let get = async |target: &str| ask(server.running.public, "GET", target, &[], b"").await;
    for (target, body) in [("/health", "ok"), ("/sink-health", "ok"), ("/robots.txt", "User-agent: *\nDisallow: /\n")] {
        let answer = get(target).await;
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (200, body), "{target}");
    }
    server.rows.ready.store(false, Ordering::Relaxed);
    assert_eq!((get("/sink-health").await.status, get("/health").await.status), (503, 200));
    *server.rows.failure.lock().expect("lock") = Some("the log stopped: a test's doing".into());
    let answer = get("/health").await;
    assert_eq!(answer.status, 200, "alive");
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(body, "alive, but nothing is taken in: the log stopped: a test's doing\n");
}

#[tokio::test]
async fn switches() {
    let server = start().await;
    let send = async |method: &str, target: &str, body: &str| {
        ask(server.running.admin, method, target, &[BEARER], body.as_bytes()).await
    };
    for (method, target, body, status) in [
        ("PUT", "/v1/interventions/cart_stalled", r#"{"enabled":true}"#, 200),
        ("PUT", "/v1/interventions/none", r#"{"enabled":true}"#, 404),
        ("PUT", "/v1/interventions/cart_stalled", r#"{"enabeld":true}"#, 400),
        ("PUT", "/v1/interventions/cart_stalled", r#"{"holdout":1.5}"#, 400),
        ("PUT", "/v1/interventions/cart_stalled", "nonsense", 400),
        ("POST", "/v1/interventions/cart_stalled/dry-run", "", 200),
        ("POST", "/v1/interventions/cart_stalled/preview", r#"{"visitor_id":"v1"}"#, 202),
        ("POST", "/v1/interventions/cart_stalled/preview", "{}", 400),
    ] {
        assert_eq!(send(method, target, body).await.status, status, "{method} {target} {body}");
    }
    let used = ask(server.running.public, "POST", "/shop/api/checkout", &[], b"{}").await;
    assert_eq!(
        (used.status, used.code(), used.header("content-type")),
        (409, "coupon_used".into(), Some("application/problem+json"))
    );
}

#[tokio::test]
async fn the_console_hears_what_changes_in_batches() {
    let server = start().await;
    let head = format!("GET /v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n");
    let mut live = Open::send(server.running.admin, &head).await;
    assert!(live.until("event: overview\ndata: {\"now_ms\":1}\n\n").await, "{}", live.text);
    for version in 0..5 {
        let row = json!({ "session_id": "s1", "version": version });
        server.rows.live.send(LiveRow::Session(Arc::new(row))).expect("a listener");
    }
    server.rows.live.send(LiveRow::DeadLetter(Arc::new(json!({ "code": "</script>" })))).expect("a listener");
    assert!(
        live.until("event: batch\ndata: ").await
            && live.until("dead_letters").await
            && live.until("\"missed\":0}\n\n").await
    );
    assert_eq!(live.text.matches("event: batch").count(), 1, "{}", live.text);
    assert!(live.text.contains(r#""sessions":[{"session_id":"s1","version":4}]"#), "{}", live.text);
}

#[tokio::test]
async fn pages_are_strict() {
    let server = start().await;
    for (addr, target, headers) in [
        (server.running.admin, "/", vec![BEARER]),
        (server.running.admin, "/sessions/abc", vec![BEARER, ("Accept", "text/html,*/*;q=0.8")]),
        (server.running.public, "/shop/", vec![]),
        (server.running.public, "/shop/cart", vec![]),
    ] {
        let reply = ask(addr, "GET", target, &headers, b"").await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{target}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{target}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{target}");
        // A binary without its front ends says so.
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 200 || text.contains("npm run build"), "{target}: {text}");
    }
    let tracker = ask(server.running.public, "GET", "/midsession.js", &[("Accept-Encoding", "gzip")], b"").await;
    if tracker.status == 200 {
        assert_eq!(tracker.header("content-encoding"), Some("gzip"));
        let etag = tracker.header("etag").expect("an ETag").to_owned();
        let again = ask(server.running.public, "GET", "/midsession.js", &[("If-None-Match", &etag)], b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        let plain = ask(server.running.public, "GET", "/midsession.js", &[], b"").await;
        assert!(plain.header("content-encoding").is_none() && plain.body.len() > tracker.body.len());
    }
    for hostile in ["/shop/../../Cargo.toml", "/shop/..%2f..%2fCargo.toml", "/assets/none.js"] {
        let reply = ask(server.running.public, "GET", hostile, &[], b"").await;
        assert!(matches!(reply.status, 404 | 400), "{hostile}: {}", reply.status);
    }
}

#[tokio::test]
async fn a_path_that_is_none_is_not_a_page() {
    let server = start().await;
    let page = ("Accept", "text/html,application/xhtml+xml");
    for (target, headers) in [
        ("/subjects", vec![BEARER]),
        ("/subjects/behavior-value/versions", vec![BEARER, page]),
        ("/nope", vec![BEARER, page]),
        ("/sessions", vec![BEARER]),
        ("/sessions", vec![BEARER, ("Accept", "application/json")]),
        ("/v1/funnel", vec![BEARER, page]),
        ("/assets/none.js", vec![BEARER]),
    ] {
        let reply = ask(server.running.admin, "GET", target, &headers, b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "route_unknown"), "{target}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{target}");
    }
}

#[tokio::test]
async fn ids_are_read_as_their_source_hashes_them() {
    let server = start().await;
    let hashed = server.handles().collector.id_in("hashing", "u1").expect("a source");
    assert_ne!(hashed, "u1");
    server.rows.users.lock().expect("lock").push(hashed.clone());
    for (source, status, id) in [("hashing", 200, hashed.as_str()), ("shop", 200, "u1"), ("nope", 400, "")] {
        let target = format!("/v1/features/user/u1?source={source}");
        let reply = ask(server.running.admin, "GET", &target, &[BEARER], b"").await;
        assert_eq!((reply.status, reply.json()["user"].as_str().unwrap_or_default()), (status, id), "{source}");
    }
}

#[tokio::test]
async fn bytes_of_refused_events_are_asked_for_one_by_one_and_keys_destroyed() {
    let server = start().await;
    for (method, target, status, answer) in [
        ("GET", "/v1/dead-letters/7", 200, json!({ "payload": "as it came" })),
        ("GET", "/v1/dead-letters/8", 404, json!(null)),
        ("GET", "/v1/dead-letters/first", 404, json!(null)),
        ("DELETE", "/v1/personal/a%2Fb", 200, json!({ "id": "a/b", "keys": 1 })),
    ] {
        let reply = ask(server.running.admin, method, target, &[BEARER], b"").await;
        assert_eq!(reply.status, status, "{method} {target}");
        if status == 200 {
            assert_eq!(reply.json(), answer);
        }
    }
}

#[tokio::test]
async fn a_query_that_says_nothing_readable_is_refused_by_name() {
    let server = start().await;
    let admin = server.running.admin;
    for (target, status, said) in [
        ("/v1/sessions?limit=10&open=true", 200, ""),
        ("/v1/sessions?limit=abc", 400, "`limit` is a whole number"),
        ("/v1/sessions?limit=-1", 400, "`limit` is a whole number"),
        ("/v1/sessions?open=maybe", 400, "`open` is true or false"),
        ("/v1/decisions?limit=x", 400, "`limit` is a whole number"),
    ] {
        let reply = ask(admin, "GET", target, &[BEARER], b"").await;
        assert_eq!(reply.status, status, "{target}");
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(text.contains(said), "{target}: {text}");
    }
    let reply = ask(admin, "PATCH", "/v1/sessions", &[BEARER], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.contains("this path takes GET"), "{text}");
}
