//! `midsession demo`: it takes the keys that it prints, and no other; with the live-shopper profile it serves all of its keys.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const ADMIN_TOKEN: &str = "the-demo-s-admin-token";

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Best effort.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of an event that is posted with a key.
fn post(address: &str, key: &str) -> (u16, String) {
    ask(address, "POST /v1/events", key, r#"{"event_id":"e1","name":"page_view","visitor_id":"v1"}"#)
}

/// Status and body of a request.
fn ask(address: &str, what: &str, key: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    let head = format!("{what} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is answered");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

fn demo(more: &[&str]) -> (Demo, serde_json::Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_midsession"));
    command
        .args(["demo", "--json", "--shoppers", "1", "--replay-speed", "0", "--data"])
        .arg(folder.path().join("data"));
    command.args(["--port", "0", "--admin-port", "0", "--redis-port", "0"]).args(more);
    command.env_remove("MIDSESSION_WRITE_KEY").env("MIDSESSION_ADMIN_TOKEN", ADMIN_TOKEN).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("says where it is");
    (Demo(child), serde_json::from_str(&line).expect("JSON"), folder)
}

#[test]
fn the_demo_takes_its_own_keys_alone() {
    for (more, wrong) in [(&[][..], (401, "key_unknown")), (&["--accept-any-key"], (200, ""))] {
        let (_demo, said, _folder) = demo(more);
        let address = said["collector"].as_str().expect("text").trim_start_matches("http://");
        let (status, body) = post(address, "not-the-key");
        assert_eq!(status, wrong.0, "{body}");
        assert!(body.contains(wrong.1), "{body}");
        let (status, body) = post(address, said["write_key"].as_str().expect("text"));
        assert_eq!(status, 200, "{body}");
        let (status, body) = post(address, &format!("{}-simulated", said["write_key"].as_str().expect("text")));
        assert_eq!(status, 200, "the simulated shoppers have theirs: {body}");
    }
}

/// What a hash of the Redis protocol holds.
fn hash(address: &str, key: &str) -> BTreeMap<String, String> {
    let mut stream = TcpStream::connect(address).expect("connects");
    let command = format!("*2\r\n$7\r\nHGETALL\r\n${}\r\n{key}\r\n", key.len());
    stream.write_all(command.as_bytes()).expect("is sent");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let count: usize = lines.next().expect("an array")[1..].parse().expect("a length");
    // Each text has its length on the line before it.
    let texts: Vec<String> = (0..count).map(|_| lines.nth(1).expect("a text")).collect();
    texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// A visit of known answers, each event a second after the other, the last one at this instant.
fn visit(now_ms: i64) -> Vec<Value> {
    let page = |url: &str| json!({"name": "page_view", "page": {"url": url}});
    let product = |name: &str, id: &str, category: &str, price: f64| json!({"name": name, "products": [{"id": id, "category": category, "price": price, "currency": "USD"}]});
    let cart = |name: &str, id: &str, price: f64, total: f64| {
        let mut event = product(name, id, "Men", price);
        event["cart"] = json!({"total_value": total, "currency": "USD"});
        event
    };
    let mut events = vec![
        page("https://shop.example/"),
        page("https://shop.example/search?q=lamp"),
        json!({"name": "list_view", "list": "New series"}),
        product("product_view", "5", "Men", 40.0),
        product("product_view", "6", "Women", 60.0),
        product("product_view", "5", "Men", 50.0),
        cart("add_to_cart", "5", 50.0, 100.0),
        cart("remove_from_cart", "5", 50.0, 150.0),
        cart("add_to_cart", "6", 60.0, 100.0),
        json!({"name": "checkout_step", "step": 2}),
    ];
    let count = events.len() as i64;
    for (number, event) in (0..).zip(&mut events) {
        event["event_id"] = json!(format!("ls-{number}"));
        (event["visitor_id"], event["session_id"]) = (json!("ls-visitor"), json!("ls-session"));
        event["occurred_at"] = json!(now_ms - (count - 1 - number) * 1_000);
        event["device"] = json!({"class": "desktop"});
        event["properties"] = json!({"platform": "web"});
    }
    events[0]["campaign"] = json!({"name": "spring"});
    events
}

/// Every key of the profile with its value, as the Redis protocol writes it and as JSON.
fn known() -> [Vec<(String, &'static str, Value)>; 2] {
    let (short, all): (&[&str], &[&str]) = (&["5m", "1h"], &["5m", "1h", "24h"]);
    let user: [(&str, &[&str], &str, Value); 15] = [
        ("product_view_count", short, "2", json!(2)),
        ("avg_viewed_price", short, "50.0", json!(50.0)),
        ("return_view_count", short, "{5=2, 6=1}", json!({"5": 2, "6": 1})),
        ("price_range_viewed", short, "40.0-60.0", json!({"min": 40.0, "max": 60.0})),
        ("top_category", all, "Men", json!("Men")),
        ("unique_categories", all, "3", json!(3)),
        ("category_view_count", all, "{Men=2, New series=1, Women=1}", json!({"Men": 2, "New series": 1, "Women": 1})),
        ("cart_add_count", short, "2", json!(2)),
        ("cart_remove_count", short, "1", json!(1)),
        ("cart_update_frequency", short, "3", json!(3)),
        ("cart_value", short, "60.0", json!(60.0)),
        ("orders_count", &["24h"], "1", json!(1)),
        ("order_value", &["24h"], "160.0", json!(160.0)),
        ("avg_order_value", &["24h"], "160.0", json!(160.0)),
        ("cheap_return_count", &["1h"], "0", json!(0)),
    ];
    let session = [
        ("session_page_count", "2", json!(2)),
        ("session_search_count", "1", json!(1)),
        ("session_bounce", "false", json!(false)),
        ("session_marketing_campaign", "spring", json!("spring")),
        ("session_cart_ratio", "0", json!(0)),
        ("shopper_device_types", "[Desktop]", json!(["Desktop"])),
        ("shopper_latest_platform", "web", json!("web")),
        ("shopper_locations", "[]", json!([])),
        ("shopper_region_changes", "0", json!(0)),
    ];
    let windows = |(name, windows, text, value): (&str, &[&str], &'static str, Value)| {
        windows.iter().map(|window| (format!("{name}_{window}"), text, value.clone())).collect::<Vec<_>>()
    };
    [
        user.into_iter().flat_map(windows).collect(),
        session.into_iter().map(|(name, text, value)| (name.to_owned(), text, value)).collect(),
    ]
}

/// Holds values against the known ones: all of them, and no others but how long the visit has been going on.
fn holds<V: std::fmt::Debug + PartialEq>(
    mut found: BTreeMap<String, V>,
    known: Vec<(String, V)>,
    lasts: impl Fn(&V) -> i64,
) {
    for (name, value) in known {
        assert_eq!(found.remove(&name), Some(value), "{name}");
    }
    if let Some(duration) = found.remove("session_duration") {
        assert!((9_000..120_000).contains(&lasts(&duration)), "{duration:?}");
    }
    assert_eq!(found, BTreeMap::new());
}

#[test]
fn the_demo_serves_the_live_shopper_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("midsession.toml");
    std::fs::write(&config, "profile = \"live-shopper\"\n").expect("is written");
    let (_demo, said, _data) = demo(&["--config", config.to_str().expect("text")]);
    let address = |name: &str, scheme: &str| said[name].as_str().expect("text").trim_start_matches(scheme).to_owned();
    let (collector, admin) = (address("collector", "http://"), address("admin", "http://"));
    let redis = address("redis", "redis://");
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = since.expect("after 1970").as_millis() as i64;
    for event in visit(now_ms) {
        let key = said["write_key"].as_str().expect("text");
        let (status, body) = ask(&collector, "POST /v1/events", key, &event.to_string());
        assert_eq!(status, 200, "{body}");
    }
    let features = |path: &str| -> BTreeMap<String, Value> {
        let (status, body) = ask(&admin, &format!("GET /v1/features/{path}"), ADMIN_TOKEN, "");
        assert_eq!(status, 200, "{path}: {body}");
        let mut answer: Value = serde_json::from_str(&body).expect("JSON");
        serde_json::from_value(answer["features"].take()).expect("features")
    };
    // The last event has been read once its order is there.
    for _ in 0..500 {
        let (status, body) = ask(&admin, "GET /v1/features/user/ls-visitor", ADMIN_TOKEN, "");
        if status == 200 && body.contains("\"orders_count_24h\":1") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ms = |value: &Value| value.as_i64().expect("a number");
    let [user, session] = known();
    let typed = |known: &[(String, &str, Value)]| {
        known.iter().map(|(name, _, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let text = |known: &[(String, &str, Value)]| {
        known.iter().map(|(name, text, _)| (name.clone(), (*text).to_owned())).collect::<Vec<_>>()
    };
    holds(features("user/ls-visitor"), typed(&user), ms);
    holds(features("session/ls-session"), typed(&session), ms);
    let written = |value: &String| value.parse().expect("a number");
    // Maps are in no order.
    let sorted = |mut found: BTreeMap<String, String>| {
        for value in found.values_mut().filter(|value| value.starts_with('{')) {
            let mut parts: Vec<&str> = value[1..value.len() - 1].split(", ").collect();
            parts.sort_unstable();
            *value = format!("{{{}}}", parts.join(", "));
        }
        found
    };
    holds(sorted(hash(&redis, "user:ls-visitor")), text(&user), written);
    holds(sorted(hash(&redis, "session:ls-session")), text(&session), written);

    // The same visit as history.
    let file = folder.path().join("visit.jsonl");
    let lines: String = visit(now_ms).iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(&file, lines).expect("is written");
    let at = jiff::Timestamp::from_millisecond(now_ms).expect("a time").to_string();
    for (key, id, known) in [("--user", "ls-visitor", &user), ("--session", "ls-session", &session)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midsession"));
        command.args(["features", key, id, "--at", &at, "--config"]).arg(&config).arg("--events").arg(&file);
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut row: Value = serde_json::from_slice(&output.stdout).expect("a row");
        let found: BTreeMap<String, Value> = serde_json::from_value(row["features"].take()).expect("features");
        let known = typed(known).into_iter().filter(|(name, _)| !name.starts_with("cheap_return")).collect();
        holds(found, known, ms);
    }
}
