//! Personal fields, refused events and consent in the real binary, as docs/privacy.md has them.

use crate::http::Connection;
use crate::server::{ADMIN_TOKEN, Server, WRITE_KEY};
use serde_json::{Value, json};
use std::path::Path;

/// A shop, and who may ask.
pub struct Shop {
    pub server: Server,
    collector: Connection,
    admin: Connection,
    pub key: &'static str,
    sent: u32,
}

impl Shop {
    pub fn open(data: &Path) -> Self {
        Self::of(Server::start(data, None))
    }

    pub fn of(server: Server) -> Self {
        let collector = Connection::open(&server.collector).unwrap();
        let admin = Connection::open(&server.admin).unwrap();
        Self { server, collector, admin, key: WRITE_KEY, sent: 0 }
    }

    /// Sends an event; it is durable when this returns.
    pub fn send(&mut self, mut event: Value) {
        self.sent += 1;
        let id = format!("e{}", self.sent);
        if let Some(one) = event.as_object_mut() {
            one.entry("event_id").or_insert(id.into());
        }
        let path = format!("/v1/events?key={}", self.key);
        let (status, body) = self.collector.ask("POST", &path, &[], &event.to_string()).unwrap();
        assert_eq!(status, 200, "{body}");
    }

    fn text(&mut self, path: &str) -> String {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        self.admin.ask("GET", path, &[("authorization", &bearer)], "").unwrap().1
    }

    pub fn admin(&mut self, method: &str, path: &str) -> (u16, Value) {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let (status, body) = self.admin.ask(method, path, &[("authorization", &bearer)], "").unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }
}

/// The values of a topic.
pub fn values(topic: &str, data: &Path, options: &[&str]) -> Vec<Value> {
    Server::log_read_with(topic, data, options).into_iter().map(|line| line["value"].clone()).collect()
}

#[test]
fn personal_fields_are_read_with_their_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    shop.send(json!({"event_id": "e1", "name": "sign_up", "visitor_id": "v1", "user_id": "u1",
        "properties": {"email": "jane@example.com", "plan": "gold"}}));
    shop.send(json!({"event_id": "e2", "name": "sign_up", "visitor_id": "v2", "properties": {"phone": "5551234567"}}));
    // Refused: it has no name.
    shop.send(json!({"event_id": "e3", "visitor_id": "v1", "properties": {"email": "joe@example.com"}}));
    assert_eq!(
        values("behavior", &data, &[]).iter().find(|event| event["event_id"] == "e1").unwrap()["properties"],
        json!({"plan": "gold"})
    );
    let plain: Vec<Value> =
        values("behavior-pii", &data, &["--decrypt"]).into_iter().map(|it| it["fields"].clone()).collect();
    let by_kind = |fields: &Value| plain.iter().any(|it| it == fields);
    assert_eq!(plain.len(), 2);
    assert!(
        by_kind(&json!({"email": {"email": "jane@example.com"}}))
            && by_kind(&json!({"phone": {"phone": "5551234567"}}))
    );
    assert!(values("behavior-pii", &data, &[]).iter().all(|it| it["fields"].is_null() && it["sealed"].is_string()));
    let letter = |options: &[&str]| values("dead-letter", &data, options).remove(0);
    assert_eq!((letter(&[])["code"].clone(), letter(&[])["payload"].clone()), (json!("name_missing"), Value::Null));
    assert!(letter(&["--decrypt"])["payload"].as_str().unwrap().contains("joe@example.com"));
    // The console's way: the list without bytes, the bytes one by one, and that somebody looked.
    let mut listed = shop.admin("GET", "/v1/dead-letters");
    while listed.1["dead_letters"].as_array().is_none_or(Vec::is_empty) {
        listed = shop.admin("GET", "/v1/dead-letters");
    }
    assert!(!listed.1.to_string().contains("joe@"), "{listed:?}");
    let (status, opened) = shop.admin("GET", "/v1/dead-letters/0");
    assert!(status == 200 && opened["payload"].as_str().unwrap().contains("joe@example.com"), "{opened}");
    assert_eq!(shop.admin("GET", "/v1/dead-letters/7").0, 404);
    let evidence = values("governance", &data, &[]);
    assert_eq!((&evidence[0]["kind"], &evidence[0]["detail"]), (&json!("opened"), &json!("dead-letter/0/0")));
    // No file of the data folder but the keystore's has anything of it, and that nothing in the clear.
    for planted in ["jane@example.com", "joe@example.com", "5551234567"] {
        let hits = files(&data).into_iter().filter(|path| holds(path, planted)).collect::<Vec<_>>();
        assert!(hits.is_empty(), "{planted} is in {hits:?}");
    }
    // That somebody opened what is sealed is in the folder, record by record, and nothing of what they saw.
    let opened = || -> Vec<Value> {
        let text = std::fs::read_to_string(data.join("opened.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let of = |topic: &str| -> i64 {
        opened().iter().filter(|it| it["topic"] == topic).map(|it| it["records"].as_i64().unwrap()).sum()
    };
    let told = opened();
    assert_eq!((of("behavior-pii"), of("dead-letter")), (2, 1), "{told:?}");
    assert!(told.iter().all(|it| it["uid"].is_u64() && it["at_ms"].as_i64().unwrap() > 0), "{told:?}");
    assert!(told.iter().all(|it| it["to"].as_i64() > it["from"].as_i64()), "{told:?}");
    assert_eq!(values("behavior-pii", &data, &[]).len(), 2);
    assert_eq!(opened(), told, "who opens nothing leaves nothing");
    // Without room for it nothing is opened.
    std::fs::rename(data.join("opened.jsonl"), data.join("kept.jsonl")).unwrap();
    std::fs::create_dir(data.join("opened.jsonl")).unwrap();
    let refused = Server::log_refused("behavior-pii", &data, &["--decrypt"]);
    assert!(refused.0.is_empty() && refused.1.contains("nothing is opened without evidence"), "{refused:?}");
    std::fs::remove_dir(data.join("opened.jsonl")).unwrap();
    std::fs::rename(data.join("kept.jsonl"), data.join("opened.jsonl")).unwrap();
    // A restart knows the keys; a destroyed one is known to nobody.
    shop.server.kill();
    let mut shop = Shop::open(&data);
    assert_eq!(values("behavior-pii", &data, &["--decrypt"]).iter().filter(|it| it["fields"].is_object()).count(), 2);
    assert_eq!(shop.admin("DELETE", "/v1/personal/u1"), (200, json!({"id": "u1", "keys": 1})));
    let left: Vec<Value> =
        values("behavior-pii", &data, &["--decrypt"]).into_iter().map(|it| it["fields"].clone()).collect();
    assert_eq!(left.iter().filter(|it| it.is_object()).count(), 1, "{left:?}");
    assert_eq!(of("behavior-pii"), 2 + 2 + 1, "twice two, and the one whose key is there");
    assert!(!left.iter().any(|it| it.to_string().contains("jane")));
    assert!(values("governance", &data, &[]).iter().any(|it| it["kind"] == "key_destroyed"));
}

#[test]
fn who_is_forgotten_is_so_on_every_device_that_they_were_signed_in_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    let mail = |visitor: &str, mail: &str| json!({"name": "sign_up", "visitor_id": visitor, "properties": {"email": format!("{mail}@example.com")}});
    // Before the login, and as the user on a device whose events do not name them.
    shop.send(mail("kiosk", "before"));
    shop.send(json!({"name": "login", "visitor_id": "kiosk", "user_id": "u1"}));
    shop.send(mail("kiosk", "within"));
    shop.send(json!({"name": "logout", "visitor_id": "kiosk"}));
    // Somebody else has that device now; another one is only said to be theirs.
    shop.send(json!({"name": "login", "visitor_id": "kiosk", "user_id": "u2"}));
    let mut others = mail("kiosk", "others");
    others["user_id"] = "u2".into();
    shop.send(others);
    shop.send(json!({"name": "login", "visitor_id": "phone", "user_id": "u1"}));
    shop.send(mail("phone", "phone"));
    shop.send(json!({"name": "login", "visitor_id": "tablet", "user_id": "u1"}));
    shop.send(mail("tablet", "tablet"));
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let wrong = json!({"visitor_id": "tablet", "user_id": "u1"}).to_string();
    let undone = shop.admin.ask("POST", "/v1/identity/unmerge", &[("authorization", &bearer)], &wrong).unwrap();
    assert_eq!(undone.0, 200, "{}", undone.1);
    shop.send(json!({"name": "logout", "visitor_id": "phone"}));
    let mut log = Vec::new();
    for _ in 0..500 {
        // What was done on the kiosk has come home.
        log = values("behavior", &data, &[]);
        if log.iter().any(|it| it["user_id"] == "u2" && it["event"]["user_id"] == "u2") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(!log.is_empty());
    assert_eq!(shop.admin("DELETE", "/v1/personal/u1"), (200, json!({"id": "u1", "keys": 2})));
    let left: Vec<Value> = values("behavior-pii", &data, &["--decrypt"]);
    let left: Vec<&Value> = left.iter().map(|it| &it["fields"]["email"]["email"]).filter(|it| it.is_string()).collect();
    let mut left: Vec<&str> = left.into_iter().filter_map(Value::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["others@example.com", "tablet@example.com"]);
}

#[test]
fn consent_withdrawn_on_the_phone_holds_for_the_laptop_when_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    for device in ["phone", "laptop"] {
        shop.send(json!({"name": "login", "visitor_id": device, "user_id": "u1"}));
    }
    shop.send(json!({"name": "product_view", "visitor_id": "laptop", "products": [{"id": "p1", "price": 9.0}],
        "properties": {"email": "jane@example.com"}}));
    let mut read = shop.admin("GET", "/v1/features/user/u1");
    for _ in 0..1_000 {
        if read.0 == 200 && read.1["features"]["product_view_count_5m"] == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        read = shop.admin("GET", "/v1/features/user/u1");
    }
    assert_eq!(read.1["features"]["product_view_count_5m"], 1);
    shop.send(json!({"event_id": "c1", "name": "consent", "visitor_id": "phone", "consent": "none",
        "properties": {"policy_version": "2026-11"}}));
    // Answered: it holds. Nothing is read, and nothing is made of what the laptop goes on to do.
    for id in ["u1", "laptop", "phone"] {
        assert_eq!(shop.admin("GET", &format!("/v1/features/user/{id}")).0, 404, "{id}");
    }
    assert_eq!(shop.admin("GET", "/v1/sessions").1["sessions"], json!([]));
    assert_eq!(
        shop.admin(
            "GET",
            &format!("/v1/sessions/{}", values("session", &data, &[])[0]["session_id"].as_str().unwrap())
        )
        .0,
        404
    );
    let told = values("governance", &data, &[]);
    let told: Vec<Value> = told
        .iter()
        .map(|it| json!([it["kind"], it["visitor_id"], it["said_by"], it["purposes"], it["policy_version"]]))
        .collect();
    assert_eq!(told[0], json!(["consent", "phone", "phone", [], "2026-11"]));
    let sessions = values("session", &data, &[]).len();
    for _ in 0..3 {
        shop.send(json!({"name": "add_to_cart", "visitor_id": "laptop", "products": [{"id": "p1", "price": 90.0}]}));
    }
    // Nor is anything personal kept, whichever device it comes from.
    shop.send(json!({"name": "sign_up", "visitor_id": "laptop", "properties": {"email": "joe@example.com"}}));
    assert_eq!(values("behavior-pii", &data, &[]).len(), 1, "what was said before");
    // A word of somebody else, answered after what came before it has been read.
    shop.send(json!({"name": "consent", "visitor_id": "laptop", "consent": "none"}));
    let told = values("governance", &data, &[]);
    assert!(
        told.iter()
            .any(|it| it["kind"] == "consent_applied" && it["visitor_id"] == "laptop" && it["said_by"] == "phone")
    );
    let forwarded = Server::log_read("behavior", &data).into_iter().filter(|line| line["schema"] == "behavior-forward");
    let forwarded = forwarded.filter(|line| line["value"]["event"]["name"] == "add_to_cart").count();
    assert_eq!(forwarded, 0, "the laptop's partition sends nothing on");
    let later: Vec<Value> = values("session", &data, &[]).split_off(sessions);
    assert!(later.iter().all(|session| session["add_to_carts"] == 0), "{later:?}");
    assert!(values("decision", &data, &[]).iter().all(|decision| decision["outcome"] != "served"));
    // The answer is repeated for a word that comes again.
    shop.send(json!({"event_id": "c1", "name": "consent", "visitor_id": "phone", "consent": "none"}));
}

#[test]
fn what_was_decided_of_who_has_withdrawn_is_read_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    let cart = |visitor: &str| {
        json!({"name": "add_to_cart", "visitor_id": visitor, "products": [{"id": "p1"}],
        "cart": {"total_value": 90.0, "currency": "EUR"}})
    };
    // On the phone before they sign in there, on the laptop as themselves; somebody else besides.
    shop.send(cart("phone"));
    shop.send(cart("other"));
    shop.send(json!({"name": "login", "visitor_id": "laptop", "user_id": "u1"}));
    shop.send(cart("laptop"));
    let decided = |shop: &Shop| -> Vec<(String, String)> {
        let rows = shop.server.ask_admin("GET", "/v1/decisions", "").1;
        let rows = rows["decisions"].as_array().unwrap().iter().filter(|row| row["rule"] == "big_cart");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut rows: Vec<_> = rows.map(|row| (text(&row["visitor_id"]), text(&row["decision_id"]))).collect();
        rows.sort();
        rows
    };
    let mut before = decided(&shop);
    for _ in 0..500 {
        if before.len() == 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        before = decided(&shop);
    }
    assert_eq!(before.iter().map(|(of, _)| of.as_str()).collect::<Vec<_>>(), ["laptop", "other", "phone"]);
    shop.send(json!({"name": "login", "visitor_id": "phone", "user_id": "u1"}));
    let ask = |shop: &Shop, method: &str, path: &str, body: &str| shop.server.ask_admin(method, path, body);
    let reached = |shop: &Shop| ask(shop, "POST", "/v1/interventions/big_cart/dry-run", "").1["shoppers"].clone();
    let preview = |shop: &Shop, visitor: &str| {
        let body = json!({"visitor_id": visitor}).to_string();
        ask(shop, "POST", "/v1/interventions/big_cart/preview", &body)
    };
    assert!(reached(&shop).as_i64() > Some(1));
    assert_eq!((preview(&shop, "phone").0, ask(&shop, "GET", "/v1/identity/phone", "").0), (202, 200));
    shop.send(json!({"name": "consent", "visitor_id": "laptop", "consent": "none"}));
    let nothing_is_read = |shop: &Shop| {
        assert_eq!(decided(shop), before[1..2]);
        for (of, id) in &before {
            let status = ask(shop, "GET", &format!("/v1/decisions/{id}"), "").0;
            assert_eq!(status == 200, of == "other", "{of}: {status}");
        }
        assert_eq!(reached(shop), 1);
        for device in ["phone", "laptop"] {
            assert_eq!(ask(shop, "GET", &format!("/v1/identity/{device}"), "").0, 404, "{device}");
        }
        assert_eq!(preview(shop, "other").0, 202);
    };
    nothing_is_read(&shop);
    for device in ["phone", "laptop"] {
        let (status, refused) = preview(&shop, device);
        assert_eq!((status, &refused["code"]), (409, &json!("consent_withdrawn")), "{device}");
    }
    // Whoever has the phone next is not them; what was decided there before goes on to be.
    shop.send(json!({"name": "logout", "visitor_id": "phone", "user_id": "u1"}));
    nothing_is_read(&shop);
    shop.server.kill();
    nothing_is_read(&Shop::open(&data));
}

/// Events on `behavior`, by id, with the consent they stand there with.
pub fn on_the_log(data: &Path) -> Vec<(String, i64)> {
    let lines = Server::log_read("behavior", data).into_iter();
    let events = lines.filter(|line| line["schema"] == "behavior-event").map(|line| line["value"].clone());
    events.map(|it| (it["event_id"].as_str().unwrap().to_owned(), it["consent"].as_i64().unwrap())).collect()
}

#[test]
fn who_has_withdrawn_is_not_on_the_log_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    // Rows of the person are on their events, until they withdraw.
    for (kind, values) in [("profile", r#"{"tier": "gold"}"#), ("segment", r#"{"of": "regulars"}"#)] {
        let (path, bearer) = (format!("/v1/context/{kind}/u1"), format!("Bearer {ADMIN_TOKEN}"));
        assert_eq!(shop.admin.ask("PUT", &path, &[("authorization", &bearer)], values).unwrap().0, 200);
    }
    let view = |id: &str, visitor: &str| {
        json!({"event_id": id, "name": "product_view", "visitor_id": visitor,
        "products": [{"id": "p1"}], "properties": {"note": format!("of-{visitor}")}})
    };
    for device in ["phone", "laptop"] {
        shop.send(json!({"event_id": format!("in-{device}"), "name": "login", "visitor_id": device, "user_id": "u1"}));
    }
    for (id, visitor) in [("a1", "laptop"), ("b1", "alone"), ("c1", "other")] {
        shop.send(view(id, visitor));
    }
    shop.send(json!({"event_id": "no-1", "name": "consent", "visitor_id": "phone", "consent": "none"}));
    shop.send(json!({"event_id": "no-2", "name": "consent", "visitor_id": "alone", "consent": "cookieless"}));
    // Trackers that were never told go on: nothing of it is kept, and it is answered as it always is.
    let goes_on = |shop: &mut Shop, round: &str| {
        for (id, visitor) in [("a", "laptop"), ("p", "phone"), ("b", "alone"), ("c", "other")] {
            shop.send(view(&format!("{id}{round}"), visitor));
        }
        let mut with_user = view(&format!("u{round}"), "laptop");
        with_user["user_id"] = "u1".into();
        shop.send(with_user);
        // Said in passing it is no news: another tab may not know.
        let mut full = view(&format!("f{round}"), "phone");
        full["consent"] = "full".into();
        shop.send(full);
        shop.send(json!({"event_id": format!("s{round}"), "name": "order_paid", "user_id": "u1"}));
    };
    goes_on(&mut shop, "2");
    // So it is after a crash, from the first event on that is taken in, and after one that goes on from a snapshot.
    for round in ["3", "4"] {
        shop.server.kill();
        shop = Shop::open(&data);
        goes_on(&mut shop, round);
        std::thread::sleep(std::time::Duration::from_millis(1_500));
    }
    // Another device signs in as them: who it is is kept, as that is what tells it; what it saw is not.
    let mut login = view("in-tablet", "tablet");
    (login["name"], login["user_id"]) = ("login".into(), "u1".into());
    shop.send(login);
    shop.send(json!({"event_id": "no-3", "name": "consent", "user_id": "u1", "consent": "none"}));
    shop.send(view("t5", "tablet"));
    let ids = |data: &Path| on_the_log(data).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    let mut kept = ids(&data);
    kept.sort();
    let expected = ["a1", "b1", "b2", "b3", "b4", "c1", "c2", "c3", "c4", "in-laptop", "in-phone", "in-tablet"];
    assert_eq!(kept, [&expected[..], &["no-1", "no-2", "no-3"]].concat());
    let events = Server::log_read("behavior", &data);
    for event in events.iter().filter(|line| line["schema"] == "behavior-event").map(|line| &line["value"]) {
        match event["event_id"].as_str().unwrap() {
            "b2" | "b3" | "b4" => {
                assert_eq!(event["consent"], 1, "{event}");
                assert!(event["visitor_id"] != "alone" && event["user_id"].is_null(), "no lasting id: {event}");
            }
            "in-tablet" => {
                assert!(["products", "context"].iter().all(|of| event[of].as_array().unwrap().is_empty()), "{event}");
            }
            "in-phone" => assert_eq!(event["context"].as_array().unwrap().len(), 2, "{event}"),
            id if id.starts_with("no-") => {}
            _ => assert_eq!(event["consent"], 15, "{event}"),
        }
    }
    let counted = |shop: &mut Shop| {
        shop.text("/metrics").lines().any(|line| line.starts_with("midsession_events_no_consent_total{"))
    };
    assert!(counted(&mut shop), "counted as not consented");
    // Another word brings them back, on every device; the one alone too.
    shop.send(json!({"event_id": "yes-1", "name": "consent", "visitor_id": "laptop", "consent": "full"}));
    for (id, visitor) in [("a9", "laptop"), ("p9", "phone"), ("t9", "tablet")] {
        shop.send(view(id, visitor));
    }
    let kept = on_the_log(&data);
    for id in ["a9", "p9", "t9"] {
        assert!(kept.contains(&(id.to_owned(), 15)), "{id} in {kept:?}");
    }
}

/// A source that keeps nothing of who has said nothing.
#[test]
fn what_was_granted_once_holds_where_the_default_allows_less() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let source = "[[source]]\nname = \"shop\"\nwrite_key = \"nothing-unsaid\"\nconsent_default = \"none\"\n";
    let open = || Shop { key: "nothing-unsaid", ..Shop::of(Server::start_with(&data, None, source)) };
    let mut shop = open();
    let view = |id: &str, of: &str, who: &str| json!({"event_id": id, "name": "product_view", of: who, "products": [{"id": "p1"}]});
    for (of, who) in [("visitor_id", "v1"), ("user_id", "u1"), ("visitor_id", "v2")] {
        shop.send(view(&format!("before-{who}"), of, who));
    }
    shop.send(json!({"event_id": "yes-v1", "name": "consent", "visitor_id": "v1", "consent": "full"}));
    shop.send(json!({"event_id": "yes-u1", "name": "consent", "user_id": "u1", "consent": {"analytics": true, "personalization": true}}));
    let goes_on = |shop: &mut Shop, round: &str| {
        for (of, who) in [("visitor_id", "v1"), ("user_id", "u1"), ("visitor_id", "v2")] {
            shop.send(view(&format!("{round}-{who}"), of, who));
        }
    };
    goes_on(&mut shop, "after");
    // A person's word holds on their devices, which say nothing themselves, once these have been told.
    shop.send(json!({"event_id": "in", "name": "login", "visitor_id": "v3", "user_id": "u1"}));
    std::thread::sleep(std::time::Duration::from_millis(500));
    shop.send(view("after-v3", "visitor_id", "v3"));
    // What somebody agreed to is not what the next person at the device agrees to.
    shop.send(json!({"event_id": "yes-v6", "name": "consent", "visitor_id": "v6", "user_id": "u6", "consent": "full"}));
    shop.send(view("after-v6", "visitor_id", "v6"));
    shop.send(json!({"event_id": "out-v6", "name": "logout", "visitor_id": "v6"}));
    std::thread::sleep(std::time::Duration::from_millis(500));
    shop.send(view("next-v6", "visitor_id", "v6"));
    // In one request, too.
    shop.send(json!([
        {"event_id": "yes-v4", "name": "consent", "visitor_id": "v4", "consent": "full"}, view("after-v4", "visitor_id", "v4"),
        view("after-v5", "visitor_id", "v5"),
    ]));
    // And after a crash.
    shop.server.kill();
    let mut shop = open();
    goes_on(&mut shop, "again");
    shop.send(json!({"event_id": "no-v1", "name": "consent", "visitor_id": "v1", "consent": "none"}));
    shop.send(view("gone-v1", "visitor_id", "v1"));
    let mut kept = on_the_log(&data);
    kept.sort();
    // Beyond the purposes it says what the word left open.
    let kept: Vec<String> = kept.iter().map(|(id, consent)| format!("{id} {}", consent & 15)).collect();
    let granted = "after-u1 3, after-v1 15, after-v3 3, after-v4 15, after-v6 15, again-u1 3, again-v1 15, in 3, no-v1 0, \
                   out-v6 15, yes-u1 3, yes-v1 15, yes-v4 15, yes-v6 15";
    assert_eq!(kept.join(", "), granted);
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Journals are compressed: what is short and stands once is in there as it is.
fn holds(path: &Path, text: &str) -> bool {
    std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}
