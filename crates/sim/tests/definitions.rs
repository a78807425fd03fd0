//! Definitions of the real binary that change while it runs: put, promoted and removed by its command, kept over kill -9,
//! recomputed from the log, and files that were edited between two starts.

use crate::http::Connection;
use crate::server::{Server, WRITE_KEY};
use midsession_engine_local::{LocalSnapshots, RealDisk};
use midsession_event::{PartitionId, partition_of};
use midsession_ports::Snapshots;
use midsession_stream::defined_in;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// In the configuration file of every start here.
pub const FILED: &str = r#"
[[feature]]
name = "sale_views"
key = "user"
when = 'event.name == "product_view" && event.properties.on_sale == true'
fold = "count"
windows = ["1h"]

[[feature]]
name = "looks"
key = ["user", "session", "product"]
when = 'event.name == "product_view"'
fold = "count"
windows = ["1h"]
"#;

/// A shop that can be asked.
pub struct Shop<'s> {
    server: &'s Server,
}

impl<'s> Shop<'s> {
    pub fn of(server: &'s Server) -> Self {
        Self { server }
    }

    pub fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.server.ask_admin(method, path, body)
    }

    pub fn views(&self, id: &str, visitor: &str, on_sale: bool) {
        let event = json!({
            "event_id": id, "name": "product_view", "visitor_id": visitor, "properties": { "on_sale": on_sale },
            "products": [{ "id": "p1", "category": "shoes" }],
        });
        let mut http = Connection::open(&self.server.collector).unwrap();
        let key = format!("Bearer {WRITE_KEY}");
        let answer = http.ask("POST", "/v1/events", &[("authorization", &key)], &event.to_string()).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
    }

    /// A user's features, and since when those count that do not look back all the way.
    pub fn user(&self, id: &str) -> (Value, Value) {
        let mut answer = self.served(id);
        (answer["features"].take(), answer["since"].take())
    }

    fn served(&self, id: &str) -> Value {
        let (status, answer) = self.admin("GET", &format!("/v1/features/user/{id}"), "");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Waits until the past has been counted in for this definition.
    fn counts_all(&self, name: &str) {
        for _ in 0..1_000 {
            let (_, list) = self.admin("GET", &format!("/v1/definitions/feature/{name}"), "");
            let rows = list["definitions"].as_array().map_or(&[][..], Vec::as_slice);
            if rows.iter().all(|row| row["since_ms"].is_null()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{name} still counts from its beginning on after twenty seconds");
    }

    /// `name@version state looks_back`, of each definition with one of these names.
    pub fn listed(&self, names: &[&str]) -> Vec<String> {
        let (status, list) = self.admin("GET", "/v1/definitions", "");
        assert_eq!(status, 200, "{list}");
        let rows = list["definitions"].as_array().unwrap().iter();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
        rows.filter(|row| names.contains(&row["name"].as_str().unwrap()))
            .map(|row| {
                format!("{}@{} {} {}", text(row, "name"), row["version"], text(row, "state"), text(row, "looks_back"))
            })
            .collect()
    }
}

/// What was served, recomputed from the folder at the same place.
fn recomputed(data: &Path, answer: &Value) -> Value {
    let (entities, output) = (data.with_extension("asked.jsonl"), data.with_extension("answered.jsonl"));
    let asked = json!({ "user": answer["user"], "as_of": answer["as_of"] });
    std::fs::write(&entities, format!("{asked}\n")).unwrap();
    Server::features_of("--data", data, data, &entities, &output, None);
    let row: Value = serde_json::from_str(std::fs::read_to_string(&output).unwrap().trim()).unwrap();
    row["features"].clone()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const CHANGED: &str = r#"
[[feature]]
name = "looks"
key = ["user", "session", "product"]
when = 'event.name == "product_view" && event.product.category == "shoes"'
fold = "count"
windows = ["5m", "1h"]

[[feature]]
name = "bargains"
key = "user"
when = 'event.properties.on_sale == false'
fold = "count"
windows = ["1h"]

[[feature]]
name = "acts"
key = "user"
when = 'event.name == "product_view"'
fold = "count"
windows = ["lifetime"]

[[feature]]
name = "seen"
key = "product"
when = 'event.name == "product_view"'
fold = "count"
windows = ["lifetime", "5m"]
"#;

#[test]
fn a_definition_is_changed_while_running_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = write(folder.path(), "more.toml", CHANGED);
    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    shop.views("e1", "v1", true);
    shop.views("e2", "v1", false);
    let before_put_ms = crate::load::now_ms();
    let (code, out, err) = server.command(&["definition", "put", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("looks@2") && out.contains("user.looks@2_5m") && out.contains("bargains@1"), "{out}");
    let (_, acts) = shop.admin("GET", "/v1/definitions/feature/acts", "");
    let put_ms = acts["definitions"][0]["since_ms"].clone();
    let lifetime = |shop: &Shop<'_>, visitor: &str| {
        let (features, since) = shop.user(visitor);
        (features["acts_lifetime"].clone(), since["acts_lifetime"].clone())
    };
    assert_eq!(
        lifetime(&shop, "v1"),
        (json!(0), put_ms.clone()),
        "who was there before has done more than this: {acts}"
    );
    shop.views("e3", "v1", false);
    shop.views("e5", "v2", false);
    assert_eq!(lifetime(&shop, "v1"), (json!(1), put_ms.clone()));
    assert_eq!(lifetime(&shop, "v2"), (json!(1), Value::Null), "all that they did");
    let mut served = vec![shop.served("v1")];
    shop.counts_all("bargains");
    shop.counts_all("looks");
    served.push(shop.served("v1"));
    let (features, since) = shop.user("v1");
    assert_eq!(
        json!([features["looks_1h"], features["looks@2_1h"], features["looks@2_5m"], features["bargains_1h"]]),
        json!([3, 3, 3, 2]),
        "what facts hold is looked back on, for the rest the log is read again: {features}"
    );
    assert_eq!(since, json!({ "acts_lifetime": put_ms }));
    let names = ["looks", "bargains", "sale_views"];
    let waits = [
        "sale_views@1 live until_backfilled",
        "looks@1 live until_backfilled",
        "bargains@1 live until_backfilled",
        "looks@2 pending until_backfilled",
    ];
    assert_eq!(shop.listed(&names), waits);
    let product = |shop: &Shop<'_>| shop.admin("GET", "/v1/features/product/p1", "").1;
    let of_product = product(&shop);
    assert_eq!((&of_product["features"]["looks_1h"], &of_product["features"]["looks@2_1h"]), (&json!(4), &json!(4)));
    shop.counts_all("seen");
    let of_product = product(&shop);
    let seen =
        |answer: &Value| [&answer["features"]["seen_lifetime"], &answer["features"]["seen_5m"]].map(Value::clone);
    assert_eq!(seen(&of_product), [json!(4), json!(4)], "over all shoppers too, the past is counted in: {of_product}");
    let since = of_product["since"].as_object().unwrap();
    assert_eq!(since.keys().collect::<Vec<_>>(), ["seen_lifetime"], "{of_product}");
    assert!(since["seen_lifetime"].as_i64().unwrap() <= before_put_ms, "by its first event: {of_product}");
    assert_eq!(server.command(&["definition", "put", &file]).1.lines().next(), Some("it is so already"));
    server.kill();

    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    assert_eq!(shop.listed(&names), waits, "as the log says");
    assert_eq!(shop.user("v1").0["bargains_1h"], 2);
    let (code, out, err) = server.command(&["definition", "promote", "looks"]);
    assert_eq!(code, Some(0), "{out}{err}");
    served.push(shop.served("v1"));
    let features = shop.user("v1").0;
    assert_eq!((&features["looks_5m"], &features["looks@2_5m"]), (&json!(3), &Value::Null), "{features}");
    assert_eq!(seen(&product(&shop)), [json!(4), json!(4)], "kept by a restart");
    let of_product = product(&shop)["features"].clone();
    assert_eq!((&of_product["looks_5m"], &of_product["looks@2_5m"]), (&json!(4), &Value::Null));
    let (code, _, err) = server.command(&["definition", "remove", "bargains"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(server.command(&["definition", "remove", "bargains"]).0, Some(1));
    server.kill();

    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    assert_eq!(shop.listed(&names), ["sale_views@1 live until_backfilled", "looks@2 live until_backfilled"]);
    let features = shop.user("v1").0;
    assert_eq!((&features["looks_1h"], &features["bargains_1h"]), (&json!(3), &Value::Null), "{features}");
    // It comes back, and counts what the log still has, once.
    shop.views("e4", "v1", false);
    server.command(&["definition", "put", &file]);
    served.push(shop.served("v1"));
    shop.counts_all("bargains");
    assert_eq!(shop.user("v1").0["bargains_1h"], 3);
    served.push(shop.served("v1"));
    let topic = Server::log_read("definition", &data);
    let told = |key: &str| topic.iter().rev().find(|record| record["key"] == key).map(|record| record["value"].clone());
    let looks = told("feature/looks").unwrap();
    let body: Value = serde_json::from_str(looks["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["version"], &body["state"]), (&json!(2), &json!("live")));
    assert_eq!(told("feature/looks@2"), Some(Value::Null), "what was promoted does not wait any more");
    server.kill();
    // What was served by each of them comes out of the log again.
    for answer in served {
        assert_eq!(recomputed(&data, &answer), answer["features"]);
    }
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let rule = "[[intervention]]\nname = \"many\"\ntrigger = { event = \"product_view\" }\nwhen = 'user.looks_1h > 3'\n\
                slot = \"nudge\"\npayload = { title = \"x\" }\n";
    let server = Server::start_with(&data, None, &format!("{FILED}\n{rule}"));
    let shop = Shop::of(&server);
    let wrong = write(
        folder.path(),
        "wrong.toml",
        "\n[[feature]]\nname = \"n\"\nkey = \"user\"\nfold = \"conut\"\nwindows = [\"1h\"]\n",
    );
    let (code, _, err) = server.command(&["definition", "put", &wrong]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("{wrong}:5:8: there is no fold `conut`")) && err.contains("did you mean `count`?"),
        "{err}"
    );
    let not_ours = "[[intervention]]\nname = \"x\"\n";
    let (status, problem) = shop.admin("POST", "/v1/definitions", not_ours);
    assert_eq!((status, &problem["code"]), (422, &json!("definition_invalid")), "{problem}");
    let other = "[[feature]]\nname = \"n\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"1h\"]\n";
    assert_eq!(shop.admin("PUT", "/v1/definitions/feature/m", other).0, 422);
    // A rule looks at it: it can't go, and no version without that window can take its place.
    let (status, problem) = shop.admin("DELETE", "/v1/definitions/feature/looks", "");
    assert_eq!(status, 422, "{problem}");
    assert!(problem["title"].as_str().unwrap().contains("looks_1h"), "{problem}");
    let narrow = "[[feature]]\nname = \"looks\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"5m\"]\n";
    assert_eq!(shop.admin("PUT", "/v1/definitions/feature/looks", narrow).0, 200);
    assert_eq!(shop.admin("POST", "/v1/definitions/feature/looks/promote", "").0, 422);
    assert_eq!(shop.admin("DELETE", "/v1/definitions/feature/looks?version=2", "").0, 200);
    assert_eq!(shop.listed(&["looks", "n"]), ["looks@1 live until_backfilled"]);
    server.kill();
}

/// Rows of history from the folder.
fn history(data: &Path, asked: &str, more: &[&str]) -> Vec<Value> {
    let (entities, output) = (data.with_extension("asked.csv"), data.with_extension("answered.jsonl"));
    std::fs::write(&entities, asked).unwrap();
    Server::features_with("--data", data, data, &entities, &output, more);
    let text = std::fs::read_to_string(&output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_instant_is_looked_at_by_the_definitions_that_were_in_force_then() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = write(folder.path(), "more.toml", CHANGED);
    // No two records around an answer in its millisecond.
    let apart = || std::thread::sleep(std::time::Duration::from_millis(10));
    let serve = |shop: &Shop<'_>| {
        apart();
        let answer = shop.served("v1");
        apart();
        answer
    };
    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    shop.views("e1", "v1", true);
    shop.views("e2", "v1", false);
    let mut served = vec![serve(&shop)];
    assert_eq!(server.command(&["definition", "put", &file]).0, Some(0));
    shop.counts_all("bargains");
    served.push(serve(&shop));
    assert_eq!(server.command(&["definition", "promote", "looks"]).0, Some(0));
    shop.views("e3", "v1", false);
    served.push(serve(&shop));
    assert_eq!(server.command(&["definition", "remove", "bargains"]).0, Some(0));
    server.kill();
    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    shop.views("e4", "v1", true);
    served.push(serve(&shop));
    // A snapshot comes each second.
    let last = || LocalSnapshots::look(Arc::new(RealDisk), &data).list(PartitionId(0)).unwrap_or_default();
    let before = last();
    let there = (0..).map(|number| format!("w{number}")).find(|id| partition_of(id, 4) == PartitionId(0)).unwrap();
    for number in 0..1_000 {
        if last() != before {
            break;
        }
        shop.views(&format!("more{number}"), &there, true);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.kill();
    let has = |name: &str| served.iter().map(|answer| answer["features"].get(name).is_some()).collect::<Vec<_>>();
    assert_eq!(has("looks@2_5m"), [false, true, false, false]);
    assert_eq!(has("looks_5m"), [false, false, true, true]);
    assert_eq!(has("bargains_1h"), [false, true, true, false]);

    // What is in force can be told from a snapshot alone, for when the changes have gone from the log.
    let snapshots = LocalSnapshots::look(Arc::new(RealDisk), &data);
    let next = snapshots.list(PartitionId(0)).unwrap()[0];
    let defined = defined_in(snapshots.open(PartitionId(0), next).unwrap()).unwrap().unwrap();
    let known: Vec<_> =
        defined.served().map(|(known, version)| format!("{}@{}", known.name, version.version)).collect();
    assert!(
        known.contains(&"looks@2".to_owned()) && !known.iter().any(|name| name.starts_with("bargains")),
        "{known:?}"
    );

    let asked: String = served.iter().map(|answer| format!("v1,{}\n", answer["as_of"]["now"])).collect();
    let rows = history(&data, &format!("user,at\n{asked}"), &[]);
    assert_eq!(rows.len(), served.len());
    for (row, answer) in rows.iter().zip(&served) {
        assert_eq!(row["features"], answer["features"], "{row}");
    }
    // By those of the configuration alone, where a profile is asked for.
    let rows = history(&data, &format!("user,at\n{asked}"), &["--profile", "native"]);
    let looks: Vec<&Value> = rows.iter().map(|row| &row["features"]["looks_1h"]).collect();
    assert_eq!(looks, [&json!(2), &json!(2), &json!(3), &json!(4)]);
    assert!(
        rows.iter()
            .all(|row| row["features"].get("bargains_1h").is_none() && row["features"].get("looks_5m").is_none())
    );
    // Nobody in particular: what follows each event is of its instant, too.
    let rows = Server::rows_of(&data, &["--features", "looks_1h,looks@2_1h,bargains_1h"]);
    let of_shopper = rows.iter().filter(|row| row["user"] == "v1");
    let by_event: Vec<(&str, &Value)> =
        of_shopper.map(|row| (row["event_id"].as_str().unwrap(), &row["features"])).collect();
    assert_eq!(
        by_event,
        [
            ("e1", &json!({"looks_1h": 1})),
            ("e2", &json!({"looks_1h": 2})),
            ("e3", &json!({"looks_1h": 3, "bargains_1h": 2})),
            ("e4", &json!({"looks_1h": 4})),
        ]
    );
}

/// What a profile that is added at a start writes for itself has no past in the snapshots: it says so, until the log has been
/// read.
#[test]
fn a_further_profile_counts_the_past_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with_one_profile(&data);
    let send = |id: &str, event: Value| {
        let mut event = event;
        (event["event_id"], event["visitor_id"]) = (id.into(), "v1".into());
        let mut http = Connection::open(&server.collector).unwrap();
        let key = format!("Bearer {WRITE_KEY}");
        let answer = http.ask("POST", "/v1/events", &[("authorization", &key)], &event.to_string()).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
    };
    let product = json!([{ "id": "p1", "price": 10.25, "currency": "EUR" }]);
    send(
        "e1",
        json!({ "name": "add_to_cart", "products": product, "cart": { "total_value": 0.75, "currency": "EUR" } }),
    );
    send("e2", json!({ "name": "checkout_step", "step": 2 }));
    // Until the partition has a snapshot with these in it.
    let snapshots = |data: &Path| {
        let all = LocalSnapshots::open(Arc::new(RealDisk), data).unwrap();
        all.list(PartitionId(partition_of("v1", 4).0)).unwrap().len()
    };
    for number in 0.. {
        assert!(number < 200, "no snapshot");
        send(&format!("more{number}"), json!({ "name": "page_view" }));
        std::thread::sleep(std::time::Duration::from_millis(50));
        if number > 40 && snapshots(&data) > 1 {
            break;
        }
    }
    server.kill();
    let server = Server::start_with(&data, None, "");
    let shop = Shop::of(&server);
    let path = "/v1/features/user/v1?profile=live-shopper&names=orders_count_24h,order_value_24h";
    for _ in 0..500 {
        let (status, answer) = shop.admin("GET", path, "");
        assert_eq!(status, 200, "{answer}");
        let values = (&answer["features"]["orders_count_24h"], &answer["features"]["order_value_24h"]);
        if values == (&json!(1), &json!(11.0)) {
            return server.kill();
        }
        assert!(!answer["since"].is_null(), "it says that it is not whole: {answer}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the past was not counted in: {:?}", shop.admin("GET", path, ""));
}
