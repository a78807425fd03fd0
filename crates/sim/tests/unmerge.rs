//! Undoing a wrong merge in the real binary: by the shop's people over HTTP, and between the kills.

use crate::http::Connection;
use crate::load::{Load, VISITORS, visitor_id};
use crate::server::{ADMIN_TOKEN, Server, WRITE_KEY};
use midsession_sim::rng::Rng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const PATH: &str = "/v1/identity/unmerge";

/// Undoes merges that somebody's login made, at random, for as long as the server lives.
pub fn now_and_then(load: &Arc<Load>, admin: &str, seed: u64) -> JoinHandle<()> {
    let (load, admin, mut rng) = (Arc::clone(load), admin.to_owned(), Rng::new(seed));
    std::thread::spawn(move || {
        let Ok(mut http) = Connection::open(&admin) else { return };
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        loop {
            std::thread::sleep(Duration::from_millis(rng.below(60)));
            let visitor = visitor_id(rng.below(VISITORS));
            let user = {
                let journal = load.journal.lock().unwrap();
                let theirs = journal.sent.values().rev().filter(|event| event["visitor_id"] == visitor.as_str());
                theirs.filter_map(|event| event["user_id"].as_str()).next().map(str::to_owned)
            };
            let Some(user) = user else { continue };
            let body = json!({"visitor_id": visitor, "user_id": user}).to_string();
            if http.ask("POST", PATH, &[("authorization", &bearer)], &body).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_wrong_merge_is_undone_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, None);
    let (mut collector, mut admin) =
        (Connection::open(&server.collector).unwrap(), Connection::open(&server.admin).unwrap());
    let mut sent = 0;
    let mut send = |event: Value| {
        sent += 1;
        let mut event = event;
        event["event_id"] = format!("e{sent}").into();
        let body = event.to_string();
        let (status, answer) = collector.ask("POST", &format!("/v1/events?key={WRITE_KEY}"), &[], &body).unwrap();
        assert_eq!(status, 200, "{answer}");
    };
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let view = |visitor: &str| json!({"name": "product_view", "visitor_id": visitor, "products": [{"id": "p1"}]});
    send(view("v1"));
    send(json!({"name": "login", "visitor_id": "v1", "user_id": "u1"}));
    send(json!({"name": "login", "visitor_id": "v2", "user_id": "u1"}));
    send(view("v2"));
    // A visit of somebody else's that is over before anything is undone.
    send(
        json!({"name": "transaction", "visitor_id": "v4", "user_id": "u4", "order": {"id": "o1", "revenue": 50.0, "currency": "EUR"}}),
    );
    send(json!({"name": "logout", "visitor_id": "v4", "user_id": "u4"}));
    let mut features = |id: &str| {
        let answer = admin.json(&format!("/v1/features/user/{id}"), &headers).unwrap().unwrap();
        let names = ["product_view_count_24h", "act_count_lifetime"];
        (answer["user"].as_str().unwrap().to_owned(), names.map(|name| answer["features"][name].as_i64().unwrap()))
    };
    // It is read where it ends up, once it has: asking waits for neither.
    while features("v1") != ("u1".into(), [2, 4]) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let body = json!({"visitor_id": "v2", "user_id": "u1", "reason": "a friend's phone, says jane@shop.example, +31612345678"}).to_string();
    let mut other = Connection::open(&server.admin).unwrap();
    let (status, answer) = other.ask("POST", PATH, &headers, &body).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["known"], true, "{answer}");
    assert_eq!((status, &answer["settled"], &answer["receipt"]["topic"]), (200, &json!(true), &json!("behavior")));
    assert_eq!(features("u1"), ("u1".into(), [1, 2]));
    assert_eq!(features("v1"), ("u1".into(), [1, 2]), "the other device stays");
    assert_eq!(features("v2"), ("v2".into(), [1, 2]), "with what it did itself");
    let budget = other.json("/v1/budget", &headers).unwrap().unwrap();
    assert_eq!(budget["handoff"]["count"], 1, "v1 had something to hand over, v2 had nothing");
    let mut identity = |visitor: &str| other.json(&format!("/v1/identity/{visitor}"), &headers).unwrap();
    assert_eq!(identity("v1").unwrap()["user_id"], "u1");
    assert_eq!(identity("v2").unwrap()["user_id"], Value::Null);
    assert_eq!(identity("v3"), Err(404));
    // The topic says the same, and where it was said.
    let told: Vec<Value> = Server::log_read("identity", &data);
    let last = told.iter().rev().find(|line| line["key"] == "v2").unwrap();
    assert_eq!((&last["schema"], &last["value"]["user_id"]), (&json!("identity"), &Value::Null));
    assert_eq!(last["value"]["cause"]["offset"], answer["receipt"]["offset"]);
    assert_eq!(last["value"]["cause"]["partition"], answer["receipt"]["partition"]);
    assert_eq!(told.iter().filter(|line| line["key"] == "v2").count(), 2, "attached, and undone");
    let evidence = Server::log_read("governance", &data);
    let evidence: Vec<&Value> =
        evidence.iter().map(|line| &line["value"]).filter(|it| it["kind"] == "unmerged").collect();
    assert_eq!((evidence.len(), &evidence[0]["detail"]), (1, &json!("a friend's phone, says [email], [phone]")));
    let strangers = json!({"visitor_id": "v1", "user_id": "v2"}).to_string();
    assert!(other.ask("POST", PATH, &headers, &strangers).unwrap().1.contains(r#""known":false"#));
    // What had ended goes back, too, and is told once.
    let ended = |user: Value| {
        let theirs = Server::log_read("session", &data).into_iter().map(|line| line["value"].clone());
        let mut theirs = theirs.filter(|it| it["visitor_id"] == "v4" && it["state"] == "closed");
        theirs.any(|it| it["user_id"] == user)
    };
    let waits = |user: Value| {
        for _ in 0..1_000 {
            if ended(user.clone()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{user}: {:?}", Server::log_read("session", &data));
    };
    waits(json!("u4"));
    let body = json!({"visitor_id": "v4", "user_id": "u4"}).to_string();
    assert_eq!(other.ask("POST", PATH, &headers, &body).unwrap().0, 200);
    waits(Value::Null);
    let told = Server::sessions_of(&data);
    let told: Vec<&Value> = told.iter().filter(|row| row["visitor_id"] == "v4").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["user_id"], &told[0]["revenue"]), (&Value::Null, &json!(50.0)));
    // After a restart it is as it was.
    server.kill();
    let server = Server::start(&data, None);
    let mut admin = Connection::open(&server.admin).unwrap();
    let answer = admin.json("/v1/features/user/v2", &headers).unwrap().unwrap();
    assert_eq!(answer["features"]["product_view_count_24h"], 1);
    assert_eq!(admin.json("/v1/identity/v2", &headers).unwrap().unwrap()["user_id"], Value::Null);
    server.kill();
}

/// Whoever undoes a merge has the ids that the shop has; the log has hashes of some.
#[test]
fn a_merge_is_undone_by_ids_that_the_log_has_as_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let sources = "[[source]]\nname = \"app\"\nwrite_key = \"wk-app\"\n\
                   [[source]]\nname = \"till\"\nwrite_key = \"wk-till\"\nhash_ids = true\npersonal_fields = \"encrypt\"\n";
    let server = Server::start_with(&data, None, sources);
    let mut collector = Connection::open(&server.collector).unwrap();
    let mut send = |key: &str, event: Value| {
        let body = event.to_string();
        assert_eq!(collector.ask("POST", &format!("/v1/events?key={key}"), &[], &body).unwrap().0, 200);
    };
    let login = |id: &str, visitor: &str, user: &str| json!({"event_id": id, "name": "login", "visitor_id": visitor, "user_id": user});
    send(WRITE_KEY, login("e1", "tablet", "jane@mail.example"));
    let mut signs_up = login("e2", "till-visitor", "till-customer");
    signs_up["properties"] = json!({"email": "kim@mail.example"});
    send("wk-till", signs_up);
    let undo = |visitor: &str, user: &str| {
        let body = json!({"visitor_id": visitor, "user_id": user}).to_string();
        let (status, answer) = server.ask_admin("POST", PATH, &body);
        assert_eq!((status, &answer["settled"]), (200, &json!(true)), "{answer}");
        answer
    };
    for (visitor, user) in [("tablet", "jane@mail.example"), ("till-visitor", "till-customer")] {
        let answer = undo(visitor, user);
        assert_eq!(answer["known"], true, "{answer}");
        let kept = answer["visitor_id"].as_str().unwrap();
        assert_eq!(server.ask_admin("GET", &format!("/v1/identity/{kept}"), "").1["user_id"], Value::Null);
        let told = Server::log_read("identity", &data);
        assert!(told.iter().rfind(|line| line["key"] == kept).unwrap()["value"]["user_id"].is_null(), "{told:?}");
        assert_eq!(undo(visitor, user)["known"], false, "it is undone");
    }
    // Nobody is known by these.
    assert_eq!(undo("joe@mail.example", "+31612345678")["known"], false);
    let erased = server.ask_admin("DELETE", "/v1/personal/till-customer", "");
    assert_eq!(erased, (200, json!({"id": "till-customer", "keys": 1})));
    for topic in ["behavior", "identity", "governance", "session"] {
        let told = Server::log_read(topic, &data).into_iter().map(|line| line.to_string()).collect::<String>();
        for id in ["mail.example", "31612345678", "till-customer"] {
            assert!(!told.contains(id), "{id} is on {topic}: {told}");
        }
    }
    // One person, through whichever source: what is said in the app holds on the tablet.
    send(WRITE_KEY, login("e3", "laptop", "jane@mail.example"));
    send("wk-app", json!({"event_id": "e4", "name": "consent", "user_id": "jane@mail.example", "consent": "none"}));
    send(WRITE_KEY, json!({"event_id": "e5", "name": "page_view", "visitor_id": "laptop"}));
    assert!(Server::log_read("behavior", &data).iter().all(|line| line["value"]["event_id"] != "e5"));
    server.kill();
}

/// Two shoppers whose trackers say the same session id, at home in different partitions.
#[test]
fn the_same_session_id_of_two_trackers_is_counted_and_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_for_long(&folder.path().join("data"));
    let mut collector = Connection::open(&server.collector).unwrap();
    let mut admin = Connection::open(&server.admin).unwrap();
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let place = |visitor: &&String| midsession_event::partition_of(visitor, 4).0;
    let ids: Vec<String> = (0..40).map(visitor_id).collect();
    let one = ids.iter().find(|id| place(id) == 3).unwrap();
    let other = ids.iter().find(|id| place(id) == 0).unwrap();
    for (number, visitor) in [one, other, one].into_iter().enumerate() {
        let event =
            json!({"event_id": format!("e{number}"), "name": "page_view", "visitor_id": visitor, "session_id": "t1"});
        let path = format!("/v1/events?key={WRITE_KEY}");
        assert_eq!(collector.ask("POST", &path, &[], &event.to_string()).unwrap().0, 200);
        // The answer comes before its effect, the effect of one partition before that of another.
        let session = format!("/v1/sessions?q={visitor}");
        while admin.json(&session, &headers).unwrap().unwrap()["sessions"][0]["events"] != 1 + number / 2 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let found = admin.json("/v1/sessions/t1", &headers).unwrap().unwrap();
        assert_eq!(found["session"]["visitor_id"], visitor.as_str(), "the one that it was heard of last");
        let features = admin.json("/v1/features/session/t1", &headers).unwrap().unwrap();
        assert_eq!(features["session"], found["session"]["session_id"]);
    }
    let (_, metrics) = admin.ask("GET", "/metrics", &headers, "").unwrap();
    assert!(metrics.contains("midsession_tracker_session_ids_shared_total 1\n"), "{metrics}");
    server.kill();
}
