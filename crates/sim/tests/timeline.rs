//! A session's timeline in the real binary: the seam of a login, what was late or joined, and what each event changed.

use crate::http::Connection;
use crate::load::now_ms;
use crate::server::{ADMIN_TOKEN, Server, WRITE_KEY};
use midsession_event::partition_of;
use serde_json::{Value, json};
use std::path::Path;

struct Shop {
    collector: Connection,
    admin: Connection,
}

impl Shop {
    fn open(server: &Server) -> Self {
        let (collector, admin) = (Connection::open(&server.collector), Connection::open(&server.admin));
        Self { collector: collector.unwrap(), admin: admin.unwrap() }
    }

    fn send(&mut self, id: &str, visitor: &str, at_ms: i64, mut event: Value) {
        (event["event_id"], event["visitor_id"], event["occurred_at"]) = (id.into(), visitor.into(), at_ms.into());
        let path = format!("/v1/events?key={WRITE_KEY}");
        let (status, body) = self.collector.ask("POST", &path, &[], &event.to_string()).unwrap();
        assert_eq!(status, 200, "{body}");
    }

    fn get(&mut self, path: &str) -> Result<Value, u16> {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        self.admin.json(path, &[("authorization", &bearer)]).unwrap()
    }

    /// The entries of the session that this event opened or joined, once there are so many.
    fn timeline(&mut self, visitor: &str, least: usize) -> Vec<Value> {
        for _ in 0..500 {
            let sessions = self.get(&format!("/v1/sessions?q={visitor}")).unwrap();
            if let Some(id) = sessions["sessions"][0]["session_id"].as_str() {
                let timeline = self.get(&format!("/v1/sessions/{id}")).unwrap()["timeline"].as_array().unwrap().clone();
                if timeline.len() >= least {
                    return timeline;
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no {least} entries of {visitor}");
    }
}

fn start(data: &Path) -> (Server, Shop) {
    let server = Server::start_for_long(data);
    let shop = Shop::open(&server);
    (server, shop)
}

fn line(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let late = if entry["late"] == true { " late" } else { "" };
    let joined = if entry["joined"].is_string() { " joined" } else { "" };
    format!("{} {} {}{late}{joined}", text("shopper"), text("kind"), text("name"))
}

#[test]
fn a_timeline_shows_the_seam_of_a_login_and_what_each_event_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut shop) = start(&folder.path().join("data"));
    let begin = now_ms() - 900;
    let product = json!([{"id": "p1", "price": 20.0, "currency": "EUR", "quantity": 1}]);
    shop.send("e1", "v1", begin, json!({"name": "page_view"}));
    shop.send("e2", "v1", begin + 100, json!({"name": "add_to_cart", "products": product}));
    shop.send("e3", "v1", begin + 200, json!({"name": "login", "user_id": "u1"}));
    shop.send("e2", "v1", begin + 100, json!({"name": "add_to_cart", "products": product}));
    shop.send("e4", "v1", begin + 150, json!({"name": "product_view", "products": product}));
    shop.send("e5", "v1", begin + 400, json!({"name": "product_view", "user_id": "u1", "products": product}));
    let timeline = shop.timeline("v1", 7);
    let mut lines: Vec<String> = timeline.iter().map(line).collect();
    let mut repeats = lines.extract_if(.., |line| line.contains("duplicate"));
    assert_eq!((repeats.next().as_deref(), repeats.next()), (Some("visitor:v1 duplicate add_to_cart"), None));
    drop(repeats);
    assert_eq!(
        lines,
        [
            "visitor:v1 event page_view",
            "visitor:v1 event add_to_cart",
            "user:u1 login login",
            "user:u1 event login",
            "user:u1 event product_view late",
            "user:u1 event product_view",
        ]
    );
    let entry = |kind: &str, name: &str| timeline.iter().find(|it| it["kind"] == kind && it["name"] == name).unwrap();
    let seam = &entry("login", "login")["handoff"];
    assert_eq!((&seam["visitor_id"], &seam["user_id"], &seam["returns"]), (&json!("v1"), &json!("u1"), &json!(false)));
    assert_eq!(seam["to"]["partition"], partition_of("u1", 4).0);
    assert_eq!(seam["from"]["partition"], partition_of("v1", 4).0);
    assert_eq!(seam["sessions"], 1);
    // What it was right before, and what it is after.
    let cart = entry("event", "add_to_cart");
    assert_eq!((&cart["before"]["cart_add_count_5m"], &cart["features"]["cart_add_count_5m"]), (&json!(0), &json!(1)));
    assert!(cart["changed"].as_array().unwrap().contains(&json!("cart_add_count_5m")));
    assert!(!cart["changed"].as_array().unwrap().contains(&json!("product_view_count_5m")));
    assert_eq!(entry("duplicate", "add_to_cart")["changed"], json!([]), "a repeat changes nothing");
    let late = timeline.iter().find(|it| it["late"] == true).unwrap();
    let views = "product_view_count_5m";
    assert_eq!((&late["before"][views], &late["features"][views]), (&json!(0), &json!(1)));

    // What was done before at the same device is nobody's business, though it comes once more while they are there.
    shop.send("a1", "tablet", begin, json!({"name": "login", "user_id": "ann"}));
    shop.send("a2", "tablet", begin + 10, json!({"name": "search", "query": "a present for bob"}));
    shop.send("a3", "tablet", begin + 20, json!({"name": "logout"}));
    shop.send("b1", "tablet", begin + 30, json!({"name": "page_view"}));
    shop.send("a2", "tablet", begin + 10, json!({"name": "search", "query": "a present for bob"}));
    shop.send("b2", "tablet", begin + 40, json!({"name": "login", "user_id": "bob"}));
    shop.send("a2", "tablet", begin + 10, json!({"name": "search", "query": "a present for bob"}));
    shop.send("a4", "tablet", begin + 15, json!({"name": "product_view", "products": product}));
    shop.send("b2", "tablet", begin + 40, json!({"name": "login", "user_id": "bob"}));
    shop.send("b3", "tablet", begin + 50, json!({"name": "page_view"}));
    let mut lines: Vec<String> = shop.timeline("bob", 5).iter().map(line).collect();
    // A repeat comes to the device's partition, where it is stamped before or after what the user's home has read meanwhile.
    lines.sort();
    assert_eq!(
        lines,
        [
            "user:bob event login",
            "user:bob event page_view",
            "user:bob login login",
            "visitor:tablet duplicate login",
            "visitor:tablet event page_view",
        ]
    );

    // Two visits, and a late event that shows that they were one.
    let minutes_ago = |minutes: i64| now_ms() - minutes * 60_000;
    shop.send("m1", "v7", minutes_ago(40), json!({"name": "page_view"}));
    shop.send("m2", "v3", minutes_ago(31), json!({"name": "page_view"}));
    shop.send("m3", "v3", minutes_ago(0), json!({"name": "search", "query": "red"}));
    shop.send("m4", "v3", minutes_ago(16), json!({"name": "page_view"}));
    let timeline = shop.timeline("v3", 4);
    let lines: Vec<String> = timeline.iter().map(line).filter(|line| !line.contains("timer")).collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains(" joined")).count(),
        2,
        "an event of the other one, and the merge: {lines:?}"
    );
    assert!(lines.contains(&"visitor:v3 merge merged joined".to_owned()), "{lines:?}");
    assert!(lines.contains(&"visitor:v3 event page_view late".to_owned()), "{lines:?}");
    // Long over when it came in.
    assert!(shop.get("/v1/sessions?q=v7").unwrap()["sessions"].as_array().unwrap().is_empty());

    // What its shopper had done before it began stands beside its first event.
    let views = "product_view_count_1h";
    shop.send("b1", "v8", minutes_ago(55), json!({"name": "product_view", "products": product}));
    shop.send("b2", "v8", minutes_ago(0), json!({"name": "product_view", "products": product}));
    let timeline = shop.timeline("v8", 2);
    assert_eq!(
        (line(&timeline[0]), &timeline[0]["features"][views]),
        ("visitor:v8 too_late product_view".into(), &json!(1))
    );
    assert_eq!(
        (line(&timeline[1]), &timeline[1]["before"][views]),
        ("visitor:v8 event product_view".into(), &json!(1))
    );
    assert_eq!(timeline[1]["features"][views], 2);
    let features = timeline[1]["features"].as_object().unwrap();
    assert!(
        !features.keys().any(|name| name.contains("lifetime")),
        "a day of the log does not say these: {features:?}"
    );

    // All that they had done, at another device of theirs too; and nothing of theirs at one that is not theirs yet.
    let of_cat = json!({"name": "product_view", "products": product, "user_id": "cat"});
    for (number, visitor, minutes) in [(0, "v10", 25), (1, "v10", 24), (2, "v11", 55), (3, "v11", 0)] {
        shop.send(&format!("d{number}"), visitor, minutes_ago(minutes), of_cat.clone());
    }
    shop.send("d4", "v12", minutes_ago(0), json!({"name": "product_view", "products": product}));
    shop.send("d5", "v12", minutes_ago(0), json!({"name": "login", "user_id": "cat"}));
    let seen = |timeline: &[Value]| -> Vec<(String, Value, Value)> {
        let of = |entry: &Value| (line(entry), entry["before"][views].clone(), entry["features"][views].clone());
        timeline.iter().filter(|entry| entry["kind"] != "timer").map(of).collect()
    };
    let of_phone = shop.timeline("v11", 1);
    let first = of_phone.iter().find(|entry| entry["kind"] == "event").unwrap();
    assert_eq!((&first["before"][views], &first["features"][views]), (&json!(3), &json!(4)), "{:?}", seen(&of_phone));
    let of_tablet = seen(&shop.timeline("v12", 3));
    assert_eq!(
        of_tablet,
        [
            ("visitor:v12 event product_view".into(), Value::Null, json!(1)),
            ("user:cat login login".into(), json!(1), json!(5)),
            ("user:cat event login".into(), Value::Null, json!(5)),
        ]
    );

    // The newest entries of a long visit, each with what was right before it.
    let (many, shown) = (620, 500);
    for number in 0..many {
        let at_ms = minutes_ago(25) + 2_000 * number;
        shop.send(&format!("l{number}"), "v9", at_ms, json!({"name": "product_view", "products": product}));
    }
    let mut timeline = shop.timeline("v9", shown);
    for _ in 0..500 {
        if timeline[shown - 1]["features"][views] == many {
            break;
        }
        timeline = shop.timeline("v9", shown);
    }
    let last: Vec<&Value> = timeline.iter().filter(|entry| entry["kind"] == "event").collect();
    assert_eq!((timeline.len(), last.len()), (shown, shown));
    for (entry, number) in last.iter().zip(many as u64 - shown as u64..) {
        assert_eq!((&entry["before"][views], &entry["features"][views]), (&json!(number), &json!(number + 1)));
    }

    // A merge that was undone stands in the timeline of whom it was undone for, with what was done as the user.
    let begin = now_ms();
    shop.send("w1", "v4", begin, json!({"name": "page_view"}));
    shop.send("w2", "v4", begin + 1, json!({"name": "login", "user_id": "u2"}));
    shop.send("w3", "v4", begin + 2, json!({"name": "search", "query": "red"}));
    // The search has come home: the order of two partitions is that of their stamps.
    shop.timeline("v4", 4);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let body = json!({"visitor_id": "v4", "user_id": "u2"}).to_string();
    let path = "/v1/identity/unmerge";
    assert_eq!(shop.admin.ask("POST", path, &[("authorization", &bearer)], &body).unwrap().0, 200);
    shop.send("w4", "v4", now_ms(), json!({"name": "page_view"}));
    let lines: Vec<String> = shop.timeline("v4", 6).iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "visitor:v4 event page_view",
            "user:u2 login login",
            "user:u2 event login",
            "user:u2 event search",
            "visitor:v4 unmerge unmerge",
            "visitor:v4 event page_view",
        ]
    );
    server.kill();
}

/// Read right after the answer to a login or a first event, while what is known of the visitor is on its way to the user's home.
#[test]
fn nobody_is_unknown_while_they_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (server, mut shop) = start(&data);
    let (mut asked, mut served) = (String::new(), Vec::new());
    for number in 0..300 {
        let (visitor, user) = (format!("v{number}"), format!("u{number}"));
        shop.send(&format!("a{number}"), &visitor, now_ms(), json!({"name": "search", "query": "red"}));
        shop.send(&format!("b{number}"), &visitor, now_ms(), json!({"name": "login", "user_id": user}));
        let session = shop.get(&format!("/v1/sessions?q={visitor}")).unwrap();
        // By the device, by the person, and by the session, which is theirs from the first event on.
        for path in [format!("user/{visitor}"), format!("user/{user}")] {
            let answer = shop.get(&format!("/v1/features/{path}"));
            let count = answer.as_ref().map(|answer| answer["features"]["search_count_1h"].as_i64());
            assert_eq!(count, Ok(Some(1)), "{path}: {answer:?}");
        }
        if let Some(id) = session["sessions"][0]["session_id"].as_str() {
            let answer = shop.get(&format!("/v1/features/session/{id}"));
            assert!(answer.is_ok(), "{id} of {visitor}: {answer:?}");
        }
        // Whose first event says who they are.
        let (visitor, user) = (format!("w{number}"), format!("x{number}"));
        shop.send(
            &format!("c{number}"),
            &visitor,
            now_ms(),
            json!({"name": "search", "query": "red", "user_id": user}),
        );
        for path in [format!("user/{user}"), format!("user/{visitor}")] {
            let answer = shop.get(&format!("/v1/features/{path}"));
            let answer = answer.unwrap_or_else(|status| panic!("{path}: {status}"));
            asked += &format!("{}\n", json!({"user": path.trim_start_matches("user/"), "as_of": answer["as_of"]}));
            served.push(answer["features"].clone());
        }
    }
    server.kill();
    // Asked once more of the log by the same ids, as of the same place.
    let (entities, output) = (folder.path().join("asked.jsonl"), folder.path().join("rows.jsonl"));
    std::fs::write(&entities, asked).unwrap();
    Server::features_of("--data", &data, &data, &entities, &output, None);
    let rows = std::fs::read_to_string(&output).unwrap();
    let mut found: Vec<String> =
        rows.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["features"].to_string()).collect();
    let mut served: Vec<String> = served.iter().map(Value::to_string).collect();
    // Rows come in the order of their instants.
    found.sort();
    served.sort();
    assert_eq!(found, served);
}

/// A feature of several values is in a timeline what it is when it is served.
#[test]
fn several_values_are_no_text() {
    const PAGES: &str = "[[feature]]\nname = \"seen\"\nkey = \"session\"\nwhen = 'event.name == \"product_view\"'\n\
                         fold = \"count_per_value\"\nof = \"product.category\"\n";
    let folder = tempfile::tempdir().unwrap();
    let (server, mut shop) = start(&folder.path().join("data"));
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let head = [("authorization", bearer.as_str()), ("content-type", "application/toml")];
    let (status, answer) = shop.admin.ask("PUT", "/v1/definitions/feature/seen", &head, PAGES).unwrap();
    assert_eq!(status, 200, "{answer}");
    for number in 0..2 {
        let view = json!({"name": "product_view", "products": [{"id": format!("p{number}"), "category": "shoes"}]});
        shop.send(&format!("e{number}"), "v1", now_ms(), view);
    }
    let timeline = shop.timeline("v1", 2);
    assert_eq!(timeline[1]["features"]["seen"], json!({"shoes": 2}), "{timeline:?}");
    let id = shop.get("/v1/sessions?q=v1").unwrap()["sessions"][0]["session_id"].as_str().unwrap().to_owned();
    let served = shop.get(&format!("/v1/features/session/{id}")).unwrap();
    assert_eq!(served["features"]["seen"], json!({"shoes": 2}), "{served}");
    server.kill();
}

/// A visit passed through the hands of somebody who has withdrawn since: it says nothing of them.
#[test]
fn nothing_of_who_has_withdrawn_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut shop) = start(&folder.path().join("data"));
    let order = json!({"name": "transaction", "user_id": "wanda", "order": {"id": "o1", "revenue": 4321.25}});
    shop.send("o1", "desk", now_ms(), order);
    shop.send("a1", "tablet", now_ms(), json!({"name": "page_view"}));
    shop.send("a2", "tablet", now_ms(), json!({"name": "login", "user_id": "wanda"}));
    shop.send("a3", "tablet", now_ms(), json!({"name": "page_view"}));
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let mistake = json!({"visitor_id": "tablet", "user_id": "wanda"}).to_string();
    let head = [("authorization", bearer.as_str())];
    let (status, answer) = shop.admin.ask("POST", "/v1/identity/unmerge", &head, &mistake).unwrap();
    assert!(status == 200 && answer.contains("\"settled\":true"), "{answer}");
    shop.send("a4", "tablet", now_ms(), json!({"name": "page_view"}));
    let told = |timeline: Vec<Value>| serde_json::to_string(&timeline).unwrap();
    let before = told(shop.timeline("tablet", 6));
    assert!(before.contains("wanda") && before.contains("4321.25"), "{before}");
    shop.send("w1", "desk", now_ms(), json!({"name": "consent", "user_id": "wanda", "consent": "none"}));
    let after = told(shop.timeline("tablet", 6));
    assert!(!after.contains("wanda") && !after.contains("4321.25") && after.contains("page_view"), "{after}");
    server.kill();
}
