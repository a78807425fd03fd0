//! Context that changes under a live server, and the same values from the raw events with the rows as files of the past.

use crate::http::Connection;
use crate::server::{ADMIN_TOKEN, Server, WRITE_KEY};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const MORE: &str = r#"
[[feature]]
name = "golden"
key = "user"
when = 'event.context.segment.tier == "gold"'
fold = "count"
windows = ["1h"]

[[feature]]
name = "newer_price"
key = "user"
when = 'event.context.price.version > 2 && event.context.price.price < 50.0'
fold = "count"
windows = ["1h"]

[[feature]]
name = "in_stock"
key = "user"
when = 'event.context.inventory.stock > 0'
fold = "count"
windows = ["1h"]

[[feature]]
name = "was_stale"
key = "user"
when = 'event.context.inventory.stale == true'
fold = "count"
windows = ["1h"]

[context.max_age_s]
inventory = 1
"#;

const VISITORS: u64 = 8;

struct Shop<'s> {
    server: &'s Server,
    sent: Vec<Value>,
    answers: Vec<Value>,
}

impl Shop<'_> {
    fn puts(&self, kind: &str, rows: &[Value]) {
        // Not in the millisecond of an event before it.
        std::thread::sleep(Duration::from_millis(5));
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let mut http = Connection::open(&self.server.admin).unwrap();
        let token = format!("Bearer {ADMIN_TOKEN}");
        let headers = [("authorization", token.as_str())];
        let (status, text) = http.ask("POST", &format!("/v1/context/{kind}"), &headers, &body).unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &told["loaded"]), (200, &json!(rows.len())), "{text}");
        std::thread::sleep(Duration::from_millis(5));
    }

    /// Rows are taken out.
    fn removes(&self, kind: &str, ids: &[&str]) {
        std::thread::sleep(Duration::from_millis(5));
        let mut http = Connection::open(&self.server.admin).unwrap();
        let token = format!("Bearer {ADMIN_TOKEN}");
        for id in ids {
            let headers = [("authorization", token.as_str())];
            let (status, text) = http.ask("DELETE", &format!("/v1/context/{kind}/{id}"), &headers, "").unwrap();
            assert!((200..300).contains(&status), "{status} {text}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }

    /// Each visitor looks at things, two of them signed in; then everybody's features are read.
    fn round(&mut self, names: &[&str]) {
        let mut http = Connection::open(&self.server.collector).unwrap();
        let key = format!("Bearer {WRITE_KEY}");
        for visitor in 0..VISITORS {
            for (number, name) in names.iter().enumerate() {
                let mut product = json!({"id": format!("p{}", (visitor + number as u64) % 5)});
                if visitor == 7 {
                    // What the event says itself goes first.
                    product["price"] = json!(1.5);
                    product["currency"] = json!("EUR");
                }
                let mut event = json!({"event_id": format!("e{}", self.sent.len()), "name": name,
                    "visitor_id": format!("v{visitor}"), "products": [product]});
                if visitor < 2 {
                    event["user_id"] = json!(format!("u{visitor}"));
                }
                let answer = http.ask("POST", "/v1/events", &[("authorization", &key)], &event.to_string()).unwrap();
                assert_eq!(answer.0, 200, "{}", answer.1);
                self.sent.push(event);
            }
        }
        // What is under way between partitions arrives.
        std::thread::sleep(Duration::from_millis(400));
        let mut http = Connection::open(&self.server.admin).unwrap();
        let token = format!("Bearer {ADMIN_TOKEN}");
        for visitor in 0..VISITORS {
            let id = if visitor < 2 { format!("u{visitor}") } else { format!("v{visitor}") };
            let answer = http.json(&format!("/v1/features/user/{id}"), &[("authorization", &token)]).unwrap().unwrap();
            self.answers.push(answer);
        }
    }
}

#[test]
fn history_with_the_rows_of_the_past_is_what_was_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, None, MORE);
    let mut shop = Shop { server: &server, sent: Vec::new(), answers: Vec::new() };
    let views = ["product_view", "add_to_cart", "product_view"];
    let price = |id: &str, price: f64| json!({"id": id, "price": price, "currency": "EUR"});
    shop.puts("price", &[price("p0", 10.0), price("p1", 20.0), price("p2", 80.0)]);
    shop.puts("product", &[json!({"id": "p0", "category": "Lamps"}), json!({"id": "p1", "category": "Chairs"})]);
    shop.puts("inventory", &[json!({"id": "p0", "stock": 3}), json!({"id": "p1", "stock": 0})]);
    shop.puts("segment", &[json!({"id": "u0", "tier": "gold"}), json!({"id": "v3", "tier": "gold"})]);
    shop.round(&views);
    shop.puts("price", &[price("p0", 30.0), price("p3", 5.0)]);
    shop.puts("segment", &[json!({"id": "u0", "tier": "silver"}), json!({"id": "u1", "tier": "gold"})]);
    shop.puts("product", &[json!({"id": "p0", "category": "Lights"})]);
    shop.round(&views);
    // The stock was told too long ago by then.
    std::thread::sleep(Duration::from_millis(1_300));
    shop.round(&["product_view"]);
    shop.puts("inventory", &[json!({"id": "p1", "stock": 9})]);
    shop.puts("price", &[price("p1", 2.0), price("p4", 4.0)]);
    shop.round(&views);
    // One is taken out and comes back, others are only taken out.
    shop.removes("price", &["p0", "p4"]);
    shop.removes("segment", &["v3"]);
    shop.removes("inventory", &["p1"]);
    shop.round(&views);
    shop.puts("price", &[price("p0", 3.0)]);
    shop.round(&views);
    let Shop { sent, answers, .. } = shop;

    let mut received: BTreeMap<String, i64> = BTreeMap::new();
    for record in Server::log_read("behavior", &data) {
        if record["schema"] == "behavior-event" {
            let id = record["value"]["event_id"].as_str().unwrap().to_owned();
            received.insert(id, record["value"]["stamps"]["received_at_us"].as_i64().unwrap());
        }
    }
    let lines = sent.iter().map(|event| {
        let at_us = received[event["event_id"].as_str().unwrap()];
        let mut event = event.clone();
        event["received_at"] = jiff::Timestamp::from_microsecond(at_us).unwrap().to_string().into();
        format!("{event}\n")
    });
    let events = folder.path().join("events.jsonl");
    std::fs::write(&events, lines.collect::<String>()).unwrap();
    let mut tables: BTreeMap<String, String> = BTreeMap::new();
    for record in Server::log_read("context", &data) {
        let (kind, id) = record["key"].as_str().unwrap().split_once('/').unwrap();
        let mut row = match &record["value"] {
            Value::Null => json!({"removed": true}),
            value => value["values"].clone(),
        };
        (row["id"], row["version"], row["at"]) = (json!(id), record["offset"].clone(), record["timestamp"].clone());
        *tables.entry(kind.to_owned()).or_default() += &format!("{row}\n");
    }
    server.kill();
    assert_eq!(tables.keys().collect::<Vec<_>>(), ["inventory", "price", "product", "segment"]);
    let files: Vec<String> = tables
        .into_iter()
        .map(|(kind, rows)| {
            let path = folder.path().join(format!("{kind}.jsonl"));
            std::fs::write(&path, rows).unwrap();
            format!("{kind}={}", path.display())
        })
        .collect();
    let asked = folder.path().join("asked.csv");
    let mut answers: Vec<&Value> = answers.iter().collect();
    answers.sort_by_key(|answer| answer["as_of"]["now"].as_i64());
    let lines =
        answers.iter().map(|answer| format!("{},{}\n", answer["user"].as_str().unwrap(), answer["as_of"]["now"]));
    std::fs::write(&asked, format!("user,at\n{}", lines.collect::<String>())).unwrap();
    let rows = |more: &[&str]| -> Vec<Value> {
        let output = folder.path().join("rows.jsonl");
        Server::features_with("--events", &events, &data, &asked, &output, more);
        let text = std::fs::read_to_string(output).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let same = |rows: &[Value]| -> Result<usize, String> {
        assert_eq!(rows.len(), answers.len());
        let mut compared = 0;
        for (row, answer) in rows.iter().zip(&answers) {
            let (mut found, mut served) = (row["features"].clone(), answer["features"].clone());
            // A matter of the log's stamps, and of what sessions were told meanwhile.
            for features in [&mut found, &mut served] {
                features.as_object_mut().unwrap().remove("lifetime_since_ms");
            }
            if (&row["user"], &found) != (&answer["user"], &served) {
                let names = served.as_object().unwrap().iter();
                let differ: Vec<_> = names.filter(|(name, value)| found[name.as_str()] != **value).collect();
                return Err(format!("{}: served {differ:?}: {row}", answer["user"]));
            }
            compared += served.as_object().unwrap().len();
        }
        Ok(compared)
    };
    let context: Vec<&str> = files.iter().flat_map(|file| ["--context", file.as_str()]).collect();
    let compared = same(&rows(&context)).unwrap_or_else(|what| panic!("{what}"));
    println!("{compared} values of {} answers equal", answers.len());
    let sum = |name: &str| answers.iter().filter_map(|answer| answer["features"][name].as_i64()).sum::<i64>();
    for name in ["golden_1h", "newer_price_1h", "in_stock_1h", "was_stale_1h"] {
        assert!(sum(name) > 0, "{name} was never anything");
    }
    // Without the rows, or without one of the tables, it is another history.
    assert!(same(&rows(&[])).is_err());
    for left_out in &files {
        let others = files.iter().filter(|file| *file != left_out);
        let context: Vec<&str> = others.flat_map(|file| ["--context", file.as_str()]).collect();
        assert!(same(&rows(&context)).is_err(), "nothing came of {left_out}");
    }
    // Nor where nothing is ever taken out.
    let all: Vec<String> =
        files.iter().map(|file| std::fs::read_to_string(file.split_once('=').unwrap().1).unwrap()).collect();
    for (file, text) in files.iter().zip(&all) {
        let stays = text.lines().filter(|line| !line.contains("\"removed\"")).map(|line| format!("{line}\n"));
        std::fs::write(file.split_once('=').unwrap().1, stays.collect::<String>()).unwrap();
    }
    assert!(same(&rows(&context)).is_err(), "nothing came of what was taken out");
    // Nor is it the same by rows that hold all along: a price from later would be read.
    for (file, text) in files.iter().zip(&all) {
        let path = file.split_once('=').unwrap().1;
        let timeless = text.lines().filter(|line| !line.contains("\"removed\"")).map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row.as_object_mut().unwrap().remove("at");
            format!("{row}\n")
        });
        std::fs::write(path, timeless.collect::<String>()).unwrap();
    }
    assert!(same(&rows(&context)).is_err());
}
