//! How the whole product starts and ends: keys that are shown once, and a log that stopped; what is served is whole, or says
//! since when it is.

use midsession::app::{App, Start};
use midsession::config::Config;
use midsession::load::client::Client;
use midsession_engine_local::{LocalLog, RealDisk, SimDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Unit};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn config(data: &Path) -> Config {
    config_with(data, "")
}

fn config_with(data: &Path, more: &str) -> Config {
    let ports = "port = 0\nadmin_port = 0\nredis_port = 0\n";
    let mut config = Config::parse(&format!("{ports}{more}"), Path::new("test.toml")).expect("valid");
    config.data = data.to_owned();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_token_is_shown_once_and_found_later() {
    let folder = tempfile::tempdir().expect("a folder");
    // The keys are in the folder; log and keystore of an app that was drained are let go only when its process ends.
    let mut starts = 0;
    let mut start = || {
        let disk = SimDisk::default().process();
        let mut config = config(folder.path());
        starts += 1;
        config.privacy.keystore = Some(folder.path().join(format!("keystore-{starts}")));
        Start { config, accept_any_key: false, demo: false, disk }
    };
    let app = App::start(start()).await.expect("starts");
    let token = app.keys().admin_token.clone();
    assert!(app.console_url().ends_with(&format!("?token={token}")), "{}", app.console_url());
    assert_eq!(app.sign_in(), None);
    app.drain().await.expect("drains");

    let app = App::start(start()).await.expect("starts again");
    assert!(!app.console_url().contains(&token));
    let told = app.sign_in().expect("where the token is");
    let file = folder.path().join("keys.toml");
    assert!(told.contains(&format!("admin_token of {}", file.display())), "{told}");
    app.drain().await.expect("drains");

    // What the hint says works: another token is put in its place.
    let text = std::fs::read_to_string(&file).expect("the keys");
    assert!(text.contains(&token));
    std::fs::write(&file, text.replace(&token, "another-token-of-some-length")).expect("writes");
    let app = App::start(start()).await.expect("starts with the new one");
    assert_eq!(app.keys().admin_token, "another-token-of-some-length");
    app.drain().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_stopped_is_told_of_and_the_end_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = SimDisk::default();
    let start = Start { config: config(folder.path()), accept_any_key: true, demo: false, disk: disk.process() };
    let app = App::start(start).await.expect("starts");
    let mut client = Client::new(app.addresses().public);
    let mut health = async || {
        let answer = client.send("GET", "/health", &[], Default::default()).await.expect("an answer");
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(health().await, (200, "ok".to_owned()));
    disk.fail_next_sync();
    let event = serde_json::json!([{"event_id": "e1", "name": "page_view", "visitor_id": "v1"}]);
    let answer = Client::new(app.addresses().public).events("k", &event).await.expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    let (status, body) = health().await;
    assert_eq!(status, 200, "the process is alive");
    assert!(body.contains("the log stopped: "), "{body}");
    let failure = app.drain().await.expect_err("a failure, so that the process ends with 1");
    assert!(failure.cause.contains("the log stopped: ") && failure.cause.lines().count() == 1, "{}", failure.cause);
    assert!(failure.hint.is_some_and(|hint| hint.contains("start again")));
    assert!(!failure.is_usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_file_that_the_start_does_not_read_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = midsession_engine_local::Config::new(folder.path());
    let log = LocalLog::open_threadless(Arc::new(RealDisk), Arc::new(|| 1_000), log).expect("opens");
    for value in ["aaaa", "bbbb", "cccc"] {
        let (topic, partition) = (Topic::DeadLetter, PartitionId(0));
        let record = Append { topic, partition, key: Default::default(), value: Some(value.into()) };
        log.append(Arc::new(Unit { records: vec![record], positions: vec![] }), Box::new(|_| {}));
        log.commit_now();
    }
    // It leaves an index, which the next start goes by.
    drop(log);
    let file = folder.path().join("000000000001.journal");
    let mut bytes = std::fs::read(&file).expect("the log");
    let at = bytes.windows(4).position(|window| window == b"bbbb").expect("the second");
    bytes[at] ^= 4;
    std::fs::write(&file, bytes).expect("writes");

    let start = Start { config: config(folder.path()), accept_any_key: true, demo: false, disk: Arc::new(RealDisk) };
    let app = App::start(start).await.expect("starts");
    let mut admin = Client::new(app.addresses().admin);
    let token = format!("Bearer {}", app.keys().admin_token);
    let mut told = (String::new(), serde_json::Value::Null, String::new());
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut get = async |path: &str| {
            let head = [("authorization", token.as_str())];
            let answer = admin.send("GET", path, &head, Default::default()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{path}");
            String::from_utf8_lossy(&answer.body).into_owned()
        };
        let letters = serde_json::from_str(&get("/v1/dead-letters").await).expect("JSON");
        told = (get("/health").await, letters, get("/metrics").await);
        if told.0 != "ok" && told.1["unreadable"] != 0 {
            break;
        }
    }
    let (health, letters, metrics) = told;
    let named = format!("{} is damaged at byte ", file.display());
    assert!(health.contains(&named) && health.contains("restore the file"), "{health}");
    assert_eq!(letters["unreadable"], 1, "{letters}");
    for line in ["midsession_log_damaged_places 1", "midsession_log_errors_total{cause=\"damaged\"} 1"] {
        assert!(metrics.lines().any(|had| had == line), "{line} is not in {metrics}");
    }
    let mut get = async |path: &str| admin.send("GET", path, &[], Default::default()).await.expect("an answer").status;
    assert_eq!(get("/ready").await, 200, "everything else goes on");
    app.drain().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_starts_and_serves_what_is_there_however_often() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = SimDisk::default();
    let mut starts = 0;
    let mut start = || {
        let mut config = config(folder.path());
        starts += 1;
        config.privacy.keystore = Some(folder.path().join(format!("keystore-{starts}")));
        Start { config, accept_any_key: true, demo: false, disk: disk.process() }
    };
    let send = async |app: &App, id: &str| {
        let event = serde_json::json!([{"event_id": id, "name": "page_view", "visitor_id": "v1"}]);
        Client::new(app.addresses().public).events("k", &event).await.expect("an answer").status
    };
    let seen = async |app: &App| {
        let token = format!("Bearer {}", app.keys().admin_token);
        let head = [("authorization", token.as_str())];
        let mut client = Client::new(app.addresses().admin);
        for _ in 0..500 {
            let answer =
                client.send("GET", "/v1/sessions?open=true", &head, Default::default()).await.expect("an answer");
            if answer.status == 200 {
                let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                return body["sessions"][0]["page_views"].as_i64();
            }
            // It is still on its way through the log.
            assert_eq!(answer.status, 503, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it is never caught up")
    };
    let mut app = App::start(start()).await.expect("starts");
    assert_eq!(send(&app, "e1").await, 200);
    assert_eq!(seen(&app).await, Some(1));
    for round in 0..6 {
        disk.set_capacity(Some(disk.used()));
        assert_eq!(send(&app, &format!("f{round}")).await, 503, "{round}: there is no room");
        if round % 2 == 0 {
            app.drain().await.unwrap_or_else(|failure| panic!("{round}: {}", failure.cause));
        }
        disk.kill();
        app = App::start(start()).await.unwrap_or_else(|failure| panic!("{round}: {}", failure.cause));
        assert_eq!(seen(&app).await, Some(1), "{round}");
    }
    disk.set_capacity(None);
    assert_eq!(send(&app, "e2").await, 200, "there is room again");
    assert_eq!(seen(&app).await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_ready_answers_by_the_files_of_this_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = SimDisk::default();
    for (round, window) in ["1h", "5m", "24h"].into_iter().enumerate() {
        let feature = format!(
            "[[feature]]\nname = \"looks\"\nkey = \"user\"\nwhen = 'event.name == \"page_view\"'\nfold = \"count\"\n\
             windows = [\"{window}\"]\n"
        );
        let mut config = config_with(folder.path(), &feature);
        config.privacy.keystore = Some(folder.path().join(format!("keystore-{round}")));
        let start = Start { config, accept_any_key: true, demo: false, disk: disk.process() };
        let app = App::start(start).await.expect("starts");
        let (mut public, mut admin) = (Client::new(app.addresses().public), Client::new(app.addresses().admin));
        while public.send("GET", "/ready", &[], Default::default()).await.expect("an answer").status != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let event = serde_json::json!([{"event_id": "e", "name": "page_view", "visitor_id": "v1"}]);
        let sent = public.events("k", &event).await.expect("an answer").status;
        assert_eq!(sent, 200, "it counts once");
        let token = format!("Bearer {}", app.keys().admin_token);
        let head = [("authorization", token.as_str())];
        let answer =
            admin.send("GET", "/v1/definitions?name=looks", &head, Default::default()).await.expect("an answer");
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        let answer = admin.send("GET", "/v1/features/user/v1", &head, Default::default()).await.expect("an answer");
        let served: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let names: Vec<&String> = served["features"].as_object().expect("features").keys().collect();
        let looks: Vec<_> = names.iter().filter(|name| name.starts_with("looks_")).collect();
        assert_eq!(looks, [&&format!("looks_{window}")], "{told}");
        app.drain().await.expect("drains");
        disk.kill();
    }
}

/// A robot does more than is kept of one.
#[tokio::test(flavor = "multi_thread")]
async fn whose_facts_had_no_room_is_told_since_when_they_are_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "[[source]]\nname = \"shop\"\nwrite_key = \"wk_shop\"\n\
                  consent_default = [\"analytics\", \"personalization\"]\n";
    let config = config_with(folder.path(), source);
    let disk = SimDisk::default().process();
    let app = App::start(Start { config, accept_any_key: false, demo: false, disk }).await.expect("starts");
    let (mut public, mut admin) = (Client::new(app.addresses().public), Client::new(app.addresses().admin));
    let now_ms = midsession_edge::clock::now_us() / 1000;
    let products: Vec<_> = (0..200).map(|number| serde_json::json!({"id": format!("p{number}")})).collect();
    let event = |number: i64| {
        serde_json::json!({
            "event_id": format!("e{number}"), "name": "product_view", "visitor_id": "v1", "products": products,
            "occurred_at": now_ms - (110 - number) * 10_000, "sent_at": midsession_edge::clock::now_us() / 1000,
        })
    };
    let head = [("authorization", "Bearer wk_shop"), ("user-agent", "Googlebot/2.1")];
    let token = format!("Bearer {}", app.keys().admin_token);
    let mut answers = Vec::new();
    for part in [0..100_i64, 100..110] {
        for some in part.clone().collect::<Vec<i64>>().chunks(10) {
            let events: Vec<_> = some.iter().map(|number| event(*number)).collect();
            let body = serde_json::Value::from(events).to_string();
            let answer = public.send("POST", "/v1/events", &head, body.into()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let head = [("authorization", token.as_str())];
        let mut served = serde_json::Value::Null;
        while served["features"]["product_view_count_1h"] != part.end {
            let answer = admin.send("GET", "/v1/features/user/v1", &head, Default::default()).await.expect("an answer");
            assert!([200, 404].contains(&answer.status), "{answer:?}");
            served = serde_json::from_slice(&answer.body).expect("JSON");
        }
        answers.push(served);
    }
    assert!(answers[0].get("since").is_none(), "20,000 facts are kept: {}", answers[0]);
    let since = &answers[1]["since"];
    let since_ms = since["product_view_count_1h"].as_i64().expect("since when");
    // A quarter has gone, the oldest first: of 200 products of a view all but the first.
    let dropped_ms = now_ms - (110 - 5_000 / 199) * 10_000;
    assert!((since_ms - dropped_ms).abs() < 5_000, "{since}, and not {dropped_ms}");
    assert!(since.get("product_view_count_5m").is_none(), "those are all there: {since}");
    app.drain().await.expect("drains");
}
