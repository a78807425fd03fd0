//! The context tables over HTTP: one row and many, what is refused and why, and events that are joined.

use crate::support::*;
use midsession_edge::Refusal;
use midsession_event::{EnrichmentMiss, Topic, decode};
use midsession_observe::Metric;
use serde_json::json;

const BEARER: (&str, &str) = ("Authorization", "Bearer an-admin-token-of-some-length");
const CSV: (&str, &str) = ("Content-Type", "text/csv; charset=utf-8");

#[tokio::test]
async fn a_row_is_put_read_and_taken_out() {
    let server = start().await;
    let admin = server.running.admin;
    let target = "/v1/context/product/a%2Fb%20%C3%BC";
    assert_eq!(ask(admin, "GET", target, &[BEARER], b"").await.code(), "not_found");
    let put = ask(admin, "PUT", target, &[BEARER], br#"{"brand":"Lumi","price":9.5}"#).await;
    let row = json!({ "kind": "product", "id": "a/b ü", "version": 7, "values": { "brand": "Lumi", "price": 9.5 } });
    assert_eq!((put.status, put.json()), (200, row.clone()));
    assert_eq!(ask(admin, "GET", target, &[BEARER], b"").await.json(), row);
    assert_eq!(ask(admin, "DELETE", target, &[BEARER], b"").await.json(), json!({ "removed": true, "version": 8 }));
    assert_eq!(ask(admin, "DELETE", target, &[BEARER], b"").await.status, 404);
    assert_eq!(ask(admin, "GET", "/v1/context", &[BEARER], b"").await.json(), json!({ "tables": [], "misses": [] }));
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let server = start().await;
    let admin = server.running.admin;
    for (method, target, body, status, code, said) in [
        ("PUT", "/v1/context/colour/a", "{}", 404, "kind_unknown", "product, price"),
        ("POST", "/v1/context/colour", "", 404, "kind_unknown", "product, price"),
        ("GET", "/v1/context/colour/a", "", 404, "kind_unknown", "product, price"),
        ("PUT", "/v1/context/price/a", "{\"price\":-1}", 400, "value_type", "price: a number from 0"),
        ("PUT", "/v1/context/price/a", "{\"price\":", 400, "json_invalid", "not JSON"),
        ("PUT", "/v1/context/profile/a", "{\"email\":\"x\"}", 400, "value_personal", "email: this is personal"),
        (
            "PUT",
            "/v1/context/product/a",
            "{\"name\":\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"}",
            400,
            "row_too_large",
            "row_bytes_max",
        ),
        ("POST", "/v1/context/price", "[{}]", 400, "json_lines_expected", "one object on each line"),
        ("POST", "/v1/context/price?format=csv", "sku,price\n", 400, "csv_header", "id,price,currency"),
        ("POST", "/v1/context/price?format=xml", "", 400, "format_unknown", "csv or jsonl"),
    ] {
        let reply = ask(admin, method, target, &[BEARER], body.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {target}");
        let title = reply.json()["title"].as_str().unwrap_or_default().to_owned();
        assert!(title.contains(said), "{method} {target}: {title}");
    }
    assert_eq!(server.observe.metrics.get(Metric::ContextRefused, Some("value_type")), 1);
    for (method, target) in [
        ("PUT", "/v1/context/price/a"),
        ("POST", "/v1/context/price"),
        ("DELETE", "/v1/context/price/a"),
        ("GET", "/v1/context"),
    ] {
        assert_eq!(ask(admin, method, target, &[], b"").await.status, 401, "{method} {target}");
        assert_eq!(ask(server.running.public, method, target, &[BEARER], b"").await.status, 404, "{method} {target}");
    }
    let large = vec![b' '; (8 << 20) + 1];
    assert_eq!(ask(admin, "POST", "/v1/context/price", &[BEARER], &large).await.code(), "body_too_large");
}

#[tokio::test]
async fn a_bad_line_costs_nothing_else() {
    let server = start().await;
    let admin = server.running.admin;
    let body = "{\"id\":\"a\",\"stock\":1}\n{\"id\":\"b\",\"stock\":\"many\"}\n{\"id\":\"c\",\"stock\":0}\n{\"id\":\"d\",\"stock\":1}\n";
    let reply = ask(admin, "POST", "/v1/context/inventory", &[BEARER], body.as_bytes()).await;
    assert_eq!(reply.status, 200);
    let told = reply.json();
    assert_eq!((&told["kind"], &told["loaded"], &told["refused"]), (&json!("inventory"), &json!(2), &json!(2)));
    assert_eq!(
        (&told["faults"][0]["line"], &told["faults"][0]["code"], &told["faults"][0]["field"]),
        (&json!(2), &json!("value_type"), &json!("stock"))
    );
    assert_eq!((&told["faults"][1]["line"], &told["faults"][1]["code"]), (&json!(4), &json!("table_full")));
    let csv = "id,price,currency\na,9.5,EUR\nb,-1,EUR\n";
    let told = ask(admin, "POST", "/v1/context/price", &[BEARER, CSV], csv.as_bytes()).await.json();
    assert_eq!((&told["loaded"], &told["faults"][0]["line"]), (&json!(1), &json!(3)));
    assert_eq!(server.observe.metrics.get(Metric::ContextRefused, Some("value_type")), 2);
    assert_eq!(server.observe.metrics.get(Metric::ContextRefused, Some("table_full")), 1);
    let full = ask(admin, "PUT", "/v1/context/inventory/e", &[BEARER], b"{\"stock\":1}").await;
    assert_eq!((full.status, full.code().as_str()), (507, "table_full"));
}

#[tokio::test]
async fn a_column_that_is_personal_is_left_out_and_named() {
    let server = start().await;
    let admin = server.running.admin;
    let csv = "id,brand,seller_email,note\na,Lumi,ada@example.org,tall\nb,Lumi,,ask bob@example.org\n";
    let told = ask(admin, "POST", "/v1/context/product", &[BEARER, CSV], csv.as_bytes()).await.json();
    assert_eq!((&told["loaded"], &told["refused"]), (&json!(2), &json!(0)), "{told}");
    assert_eq!(told["left_out"], json!(["note", "seller_email"]));
    for (id, values) in [("a", json!({"brand": "Lumi", "note": "tall"})), ("b", json!({"brand": "Lumi"}))] {
        let row = ask(admin, "GET", &format!("/v1/context/product/{id}"), &[BEARER], b"").await.json();
        assert_eq!(row["values"], values, "{id}");
    }
    let lines = "{\"id\":\"a\",\"days\":3,\"driver_name\":\"Ada\"}\n";
    let told = ask(admin, "POST", "/v1/context/delivery", &[BEARER], lines.as_bytes()).await.json();
    assert_eq!((&told["loaded"], &told["left_out"]), (&json!(1), &json!(["driver_name"])));
    let put = ask(admin, "PUT", "/v1/context/delivery/b", &[BEARER], br#"{"days":3,"phone":491701234567}"#).await;
    assert_eq!((put.status, put.json()["left_out"].clone()), (200, json!(["phone"])));
    assert_eq!(put.json()["values"], json!({"days": 3}));
}

#[tokio::test]
async fn a_log_that_says_no_is_asked_again_later() {
    let server = start().await;
    *server.rows.context_refusal.lock().expect("lock") = Some(Refusal::new(503, "log_unavailable", "the disk is full"));
    for (method, target, body) in [
        ("PUT", "/v1/context/price/a", "{\"price\":1}"),
        ("POST", "/v1/context/price", "{\"id\":\"a\",\"price\":1}"),
        ("DELETE", "/v1/context/price/a", ""),
    ] {
        let reply = ask(server.running.admin, method, target, &[BEARER], body.as_bytes()).await;
        assert_eq!(
            (reply.status, reply.code().as_str(), reply.header("retry-after")),
            (503, "log_unavailable", Some("1")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn events_are_joined_on_their_way_to_the_log_and_misses_go_with_them() {
    let server = start().await;
    ask(server.running.admin, "PUT", "/v1/context/product/p1", &[BEARER], br#"{"brand":"Lumi"}"#).await;
    let event = |id: &str, product: &str| json!({ "event_id": id, "name": "product_view", "visitor_id": "v1", "products": [{ "id": product }] });
    let body = json!([event("e1", "p1"), event("e2", "p2")]).to_string();
    let key = format!("Bearer {KEY}");
    let reply =
        ask(server.running.public, "POST", "/v1/events?verdicts=1", &[("Authorization", &key)], body.as_bytes()).await;
    let told = reply.json();
    assert_eq!((reply.status, told["receipts"].as_array().map(Vec::len)), (200, Some(2)), "a miss has no receipt");
    let brands: Vec<_> = server.log.events().iter().map(|event| event.products[0].brand.clone()).collect();
    assert_eq!(brands, [Some("Lumi".into()), None]);
    let records = server.log.records.lock().expect("lock");
    let misses: Vec<_> = records.iter().filter(|record| record.topic == Topic::EnrichmentMiss).collect();
    assert_eq!(misses.len(), 1);
    assert_eq!(misses[0].key.as_ref(), b"product/p2");
    let miss: EnrichmentMiss = decode(misses[0].value.as_deref().expect("a value")).expect("a miss");
    assert_eq!((miss.event_id.as_str(), miss.owner.as_str(), miss.source.as_str()), ("e2", "catalogue", "shop"));
}
