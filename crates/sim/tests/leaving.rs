//! Who leaves a device, or comes to one, without allowing that they be named: who is there next is taken for nobody.

use crate::http::Connection;
use crate::privacy::{Shop, on_the_log, values};
use crate::server::{Server, WRITE_KEY};
use serde_json::{Value, json};

const SOURCES: &str = r#"
[[source]]
name = "counting"
write_key = "counting-alone"
consent_default = "cookieless"
[[source]]
name = "nothing"
write_key = "nothing-unsaid"
consent_default = "none"
"#;

fn view(visitor: &str, consent: &str) -> Value {
    json!({"name": "product_view", "visitor_id": visitor, "consent": consent, "products": [{"id": "p1"}]})
}

fn is_soon(mut is_so: impl FnMut() -> bool) -> bool {
    (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        is_so()
    })
}

#[test]
fn who_is_next_at_a_device_is_not_who_was_there_whatever_was_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::of(Server::start_with(&data, None, SOURCES));
    let logout =
        |consent: Value| json!({"name": "logout", "user_id": "of-them", "session_id": "s-them", "consent": consent});
    let login = |consent: Value| json!({"name": "login", "user_id": "of-them", "consent": consent});
    let refusing =
        json!({"consent": {"categoryPreferences": {"Analytics": false, "Functional": false, "Advertising": false}}});
    let segment = |of: &str| json!({"type": "track", "event": "Signed Out", "context": refusing, "of": of});
    let ways = [
        (WRITE_KEY, logout("none".into())),
        (WRITE_KEY, logout("cookieless".into())),
        (WRITE_KEY, logout(json!({"personalization": false}))),
        ("counting-alone", logout(Value::Null)),
        ("nothing-unsaid", logout(Value::Null)),
        (WRITE_KEY, segment("anonymousId")),
        (WRITE_KEY, login("none".into())),
        (WRITE_KEY, login("cookieless".into())),
        ("counting-alone", login(Value::Null)),
    ];
    // Whether or not the one who is there has said something, which need not be a refusal.
    let words = [Value::Null, json!({"marketing": false}), "full".into()];
    let all = words.into_iter().flat_map(|word| ways.clone().map(|(key, way)| (word.clone(), key, way)));
    for (round, (word, key, mut way)) in all.enumerate() {
        shop.key = WRITE_KEY;
        let [device, user] = ["device", "user"].map(|of| format!("{of}-{round}"));
        let mut first = view(&device, "full");
        first["user_id"] = user.clone().into();
        shop.send(first);
        if !word.is_null() {
            shop.send(json!({"name": "consent", "visitor_id": device, "user_id": user, "consent": word}));
        }
        shop.key = key;
        if let Some(of) = way["of"].as_str().map(ToOwned::to_owned) {
            (way[of], way["messageId"]) = (device.clone().into(), format!("left-{round}").into());
            let mut http = Connection::open(&shop.server.collector).unwrap();
            let body = json!({"writeKey": key, "batch": [way]}).to_string();
            assert_eq!(http.ask("POST", "/v1/batch", &[], &body).unwrap().0, 200);
        } else {
            (way["visitor_id"], way["event_id"]) = (device.clone().into(), format!("left-{round}").into());
            shop.send(way.clone());
        }
        // The instant in which they leave is theirs.
        std::thread::sleep(std::time::Duration::from_millis(5));
        shop.send(view(&device, "full"));
        let mut seen = |who: &str| {
            let (status, body) = shop.admin("GET", &format!("/v1/features/user/{who}"));
            (status, body["user"].clone(), body["features"]["product_view_count_1h"].clone())
        };
        let apart = |(status, _, count): (u16, Value, Value)| status == 200 && count == 1;
        let is_apart = is_soon(|| seen(&device).1 == device.as_str() && apart(seen(&device)) && apart(seen(&user)));
        assert!(is_apart, "{way}: {:?} {:?}", seen(&device), seen(&user));
        let (_, identity) = shop.admin("GET", &format!("/v1/identity/{device}"));
        assert!(identity["detached_at_ms"].is_i64(), "{way}: {identity}");
    }
    // That they left is all that is on the log.
    let kept = on_the_log(&data);
    assert!(kept.iter().filter(|(id, _)| id.starts_with("left-")).all(|(_, consent)| *consent == 0), "{kept:?}");
    let said = values("behavior", &data, &[]);
    assert!(said.iter().all(|it| !it.to_string().contains("them")), "{said:?}");
    // Nobody to leave: nothing comes of it.
    shop.key = WRITE_KEY;
    shop.send(json!({"name": "logout", "visitor_id": "nobodys", "consent": "none"}));
    shop.send(view("somebodys", "full"));
    assert!(is_soon(|| shop.admin("GET", "/v1/features/user/somebodys").0 == 200));
    assert_eq!(shop.admin("GET", "/v1/features/user/nobodys").0, 404);
}

#[test]
fn a_word_holds_from_the_next_event_of_its_request_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut shop = Shop::open(&data);
    let of = |id: &str, mut event: Value| {
        event["event_id"] = id.into();
        event
    };
    let word = |consent: &str| json!({"name": "consent", "visitor_id": "v1", "user_id": "u1", "consent": consent});
    let silent = || json!({"name": "product_view", "visitor_id": "v1", "products": [{"id": "p1"}]});
    let sign_up = || json!({"name": "sign_up", "visitor_id": "v1", "properties": {"email": "jane@example.com"}});
    shop.send(json!([of("yes", word("full")), of("before", silent())]));
    shop.send(json!([
        of("no", word("none")),
        of("after", silent()),
        of("mail", sign_up()),
        of("out", json!({"name": "logout", "visitor_id": "v1"}))
    ]));
    shop.send(of("gone", silent()));
    shop.send(json!([of("again", word("full")), of("back", silent()), of("backer", silent())]));
    let mut kept: Vec<String> = on_the_log(&data).into_iter().map(|(id, _)| id).collect();
    kept.sort();
    assert_eq!(kept, ["again", "back", "backer", "before", "no", "out", "yes"]);
    assert!(values("behavior-pii", &data, &[]).is_empty(), "nor is what is personal");
}
