//! Interventions of the real binary that change while it runs: put, promoted and removed like features, decided by where their
//! record stands, capped across versions, and kept over kill -9.

use crate::http::Connection;
use crate::server::{Server, WRITE_KEY};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const HELLO: &str = r#"
[[intervention]]
name = "hello"
trigger = { event = "product_view" }
cap = ["1 per 1h"]
expires = "1m"
slot = "nudge"
payload = { title = "Hello" }
"#;

struct Shop<'s> {
    server: &'s Server,
    data: &'s Path,
}

impl<'s> Shop<'s> {
    fn of(server: &'s Server, data: &'s Path) -> Self {
        Self { server, data }
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.server.ask_admin(method, path, body)
    }

    fn views(&self, id: &str, visitor: &str) {
        let event =
            json!({ "event_id": id, "name": "product_view", "visitor_id": visitor, "products": [{ "id": "p1" }] });
        let mut http = Connection::open(&self.server.collector).unwrap();
        let key = format!("Bearer {WRITE_KEY}");
        let answer = http.ask("POST", "/v1/events", &[("authorization", &key)], &event.to_string()).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
    }

    /// The decisions of the rule so far, as `(visitor, outcome, version)` by visitor, once this one has one.
    fn decided(&self, visitor: &str) -> Vec<(String, String, String)> {
        for _ in 0..500 {
            let records = Server::log_read("decision", self.data).into_iter().map(|mut record| record["value"].take());
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut found: Vec<_> = records
                .filter(|decision| decision["rule"] == "hello" && decision["outcome"].is_string())
                .map(|one| (text(&one["visitor_id"]), text(&one["outcome"]), text(&one["rule_version"])))
                .collect();
            if found.iter().any(|(of, _, _)| of == visitor) {
                found.sort();
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no decision about {visitor} after ten seconds");
    }

    /// `name@version state`, of every intervention.
    fn listed(&self) -> Vec<String> {
        let (status, list) = self.admin("GET", "/v1/definitions", "");
        assert_eq!(status, 200, "{list}");
        let rows = list["definitions"].as_array().unwrap().iter().filter(|row| row["kind"] == "intervention");
        let text = |row: &Value| {
            format!("{}@{} {}", row["name"].as_str().unwrap(), row["version"], row["state"].as_str().unwrap())
        };
        rows.map(text).collect()
    }

    fn row(&self, name: &str) -> Option<Value> {
        let list = self.admin("GET", "/v1/interventions", "").1;
        list["interventions"].as_array().unwrap().iter().find(|row| row["name"] == name).cloned()
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_intervention_is_changed_while_running_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = write(folder.path(), "hello.toml", HELLO);
    let server = Server::start_with(&data, None, "");
    let shop = Shop::of(&server, &data);
    assert_eq!(shop.listed(), ["big_cart@1 live", "quiet_cart@1 live"]);
    shop.views("e1", "v1");
    let (code, out, err) = server.command(&["definition", "put", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("intervention/hello@1") && out.contains("When `product_view` happens"), "{out}");
    shop.views("e2", "v2");
    let decided = shop.decided("v2");
    assert_eq!(decided.len(), 1, "nothing is asked of the past: {decided:?}");
    assert_eq!(decided[0].1, "served");
    let first = decided[0].2.clone();

    // Another wording waits, and asks nobody.
    let changed = HELLO.replace("title = \"Hello\"", "title = \"Welcome\"");
    let (status, answer) = shop.admin("PUT", "/v1/definitions/intervention/hello", &changed);
    assert_eq!((status, &answer["definitions"][0]["state"]), (200, &json!("pending")), "{answer}");
    shop.views("e3", "v3");
    assert_eq!(shop.decided("v3")[1].2, first);
    assert_eq!(shop.row("hello").unwrap()["payload"]["title"], "Hello");
    assert_eq!(server.command(&["definition", "promote", "intervention/hello@2"]).0, Some(0));
    assert_eq!(shop.row("hello").unwrap()["payload"]["title"], "Welcome");
    // What the version before has decided counts: no change gives anybody a second showing.
    shop.views("e4", "v2");
    shop.views("e5", "v4");
    let decided = shop.decided("v4");
    assert_eq!(decided.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), ["v2", "v3", "v4"], "{decided:?}");
    assert_ne!(decided[2].2, first);
    let (status, counted) = shop.admin("POST", "/v1/interventions/hello/dry-run", "");
    assert_eq!((status, counted["shoppers"].as_i64() > Some(0)), (200, true), "{counted}");
    // The kill switch works as for one of a file.
    assert_eq!(shop.admin("PUT", "/v1/interventions/hello", r#"{"enabled": false}"#).0, 200);
    shop.views("e6", "v5");
    assert_eq!(shop.decided("v5")[3].1, "disabled");
    assert_eq!(shop.admin("PUT", "/v1/interventions/hello", r#"{"enabled": true}"#).0, 200);
    // One that stands in the file goes, too.
    assert_eq!(server.command(&["definition", "remove", "intervention/big_cart"]).0, Some(0));
    server.kill();

    let server = Server::start_with(&data, None, "");
    let shop = Shop::of(&server, &data);
    assert_eq!(shop.listed(), ["quiet_cart@1 live", "hello@2 live"], "as the log says");
    shop.views("e7", "v3");
    shop.views("e8", "v6");
    let decided = shop.decided("v6");
    assert_eq!((decided.len(), &decided[4].2), (5, &decided[2].2), "v3 has had theirs: {decided:?}");
    let served = |row: &Value| row["counts"]["served"].as_i64();
    let before = served(&shop.row("hello").unwrap());
    assert_eq!(server.command(&["definition", "remove", "intervention/hello"]).0, Some(0));
    assert_eq!((shop.listed(), shop.row("hello")), (vec!["quiet_cart@1 live".to_owned()], None));
    assert_eq!(shop.admin("GET", "/v1/definitions/intervention/hello", "").0, 404);
    shop.views("e9", "v7");
    assert_eq!(server.command(&["definition", "put", &file]).0, Some(0));
    assert_eq!(served(&shop.row("hello").unwrap()), before, "what it was counted stays");
    shop.views("e10", "v8");
    let decided = shop.decided("v8");
    assert!(decided.iter().all(|one| one.0 != "v7"), "it was not there: {decided:?}");
    server.kill();
    let topic = Server::log_read("definition", &data);
    let told = |key: &str| topic.iter().rev().find(|record| record["key"] == key).map(|record| record["value"].clone());
    assert_eq!(told("intervention/big_cart"), Some(Value::Null));
    assert!(told("intervention/hello").is_some_and(|value| value.is_object()));
}

#[test]
fn what_is_wrong_with_an_intervention_is_said_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, None, "");
    let shop = Shop::of(&server, &data);
    let wrong = HELLO.replace("trigger =", "when = 'user.no_such_feature_1h > 3'\ntrigger =");
    let wrong = write(folder.path(), "wrong.toml", &wrong);
    let (code, _, err) = server.command(&["definition", "put", &wrong]);
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("{wrong}:4:")) && err.contains("no_such_feature_1h"), "{err}");
    let late = HELLO.replace("event = \"product_view\"", "idle = \"1h\"");
    let (status, problem) = shop.admin("POST", "/v1/definitions?file=late.toml", &late);
    assert_eq!(status, 422, "{problem}");
    assert!(problem["title"].as_str().unwrap().contains("can never fire"), "{problem}");
    assert_eq!(shop.admin("PUT", "/v1/definitions/intervention/other", HELLO).0, 422, "another name");
    assert_eq!(shop.admin("PUT", "/v1/definitions/feature/hello", HELLO).0, 422, "no feature");
    assert_eq!(shop.admin("DELETE", "/v1/definitions/intervention/hello", "").0, 404);
    assert_eq!(shop.listed(), ["big_cart@1 live", "quiet_cart@1 live"]);
    server.kill();
}
