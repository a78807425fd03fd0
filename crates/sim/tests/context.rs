//! The context tables of the real binary: loaded by its command, joined, decided by, and kept over kill -9.

use crate::http::Connection;
use crate::server::{ADMIN_TOKEN, Server, WRITE_KEY};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const MORE: &str = r#"
[[intervention]]
name = "in_stock_only"
trigger = { event = "add_to_cart" }
when = 'event.context.price.price <= 20.0'
requires_stock = true
cap = ["1 per session"]
expires = "1m"
slot = "offer"
payload = { title = "While it lasts" }

[context]
rows_max = 1000

[context.max_age_s]
inventory = 3600
"#;

struct Shop<'s> {
    server: &'s Server,
    token: String,
}

impl<'s> Shop<'s> {
    fn of(server: &'s Server) -> Self {
        Self { server, token: format!("Bearer {ADMIN_TOKEN}") }
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut http = Connection::open(&self.server.admin).unwrap();
        let (status, text) = http.ask(method, path, &[("authorization", &self.token)], body).unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn does(&self, id: &str, name: &str, visitor: &str, product: &Value) {
        let event = json!({ "event_id": id, "name": name, "visitor_id": visitor, "products": [product] });
        let mut http = Connection::open(&self.server.collector).unwrap();
        let key = format!("Bearer {WRITE_KEY}");
        let answer = http.ask("POST", "/v1/events", &[("authorization", &key)], &event.to_string()).unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
}

/// The event of this id as it stands on the log.
fn event(data: &Path, id: &str) -> Value {
    let records = Server::log_read("behavior", data);
    let found = records.into_iter().find(|record| record["value"]["event_id"] == id);
    found.unwrap_or_else(|| panic!("no event {id}"))["value"].clone()
}

/// The decisions of the rule, by visitor, once there are so many.
fn decisions(data: &Path, count: usize) -> BTreeMap<String, Value> {
    for _ in 0..500 {
        let records = Server::log_read("decision", data);
        let of_rule = records.into_iter().map(|mut record| record["value"].take());
        let of_rule = of_rule.filter(|decision| decision["rule"] == "in_stock_only" && decision["outcome"].is_string());
        let found: BTreeMap<_, _> =
            of_rule.map(|decision| (decision["visitor_id"].as_str().unwrap().to_owned(), decision)).collect();
        if found.len() >= count {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("fewer than {count} decisions after ten seconds");
}

#[test]
fn tables_are_loaded_joined_decided_by_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("products.csv.gz");
    let rows =
        "id,name,category,brand,margin\np1,\"Lamp, tall\",Lighting,Lumi,0.4\np2,Chair\np3,Stool,Seats,Norra,0.1\n";
    let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(&file).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, rows.as_bytes()).unwrap();
    packed.finish().unwrap();
    let first = {
        let server = Server::start_with(&data, None, MORE);
        let shop = Shop::of(&server);
        let (code, said, complained) =
            server.command(&["context", "load", "product", file.to_str().unwrap(), "--json"]);
        assert_eq!((code, complained.lines().count()), (Some(1), 3), "{complained}");
        let told: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&told["loaded"], &told["refused"]), (&json!(2), &json!(1)));
        assert!(complained.starts_with(&format!("{}:3: 2 fields", file.display())), "{complained}");

        let lines = "{\"id\":\"p1\",\"stock\":3}\n{\"id\":\"p2\",\"stock\":0}\n";
        assert_eq!(shop.admin("POST", "/v1/context/inventory", lines).1["loaded"], 2);
        for (id, price) in [("p1", 9.5), ("p2", 12.0), ("p3", 15.0), ("p4", 99.0)] {
            let body = json!({ "price": price, "currency": "EUR" }).to_string();
            assert_eq!(shop.admin("PUT", &format!("/v1/context/price/{id}"), &body).0, 200);
        }
        for (number, product) in ["p1", "p2", "p3", "p4"].into_iter().enumerate() {
            shop.does(&format!("add{number}"), "add_to_cart", &format!("visitor{number}"), &json!({ "id": product }));
        }
        shop.does(
            "own",
            "product_view",
            "visitor9",
            &json!({ "id": "p1", "price": 8, "currency": "USD", "brand": "Own" }),
        );
        let row = shop.admin("GET", "/v1/context/price/p1", "").1;

        let added = event(&data, "add0");
        let product = &added["products"][0];
        assert_eq!(
            (&product["name"], &product["category"], &product["brand"]),
            (&json!("Lamp, tall"), &json!("Lighting"), &json!("Lumi"))
        );
        assert_eq!((&product["price"], &product["currency"]), (&json!(9.5), &json!("EUR")));
        let joined: Vec<_> =
            added["context"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
        assert_eq!(joined, ["product", "price", "inventory"]);
        assert_eq!((&added["context"][1]["version"], &added["context"][1]["stale"]), (&row["version"], &json!(false)));
        assert_eq!(added["context"][0]["values"]["margin"], 0.4);
        let own = &event(&data, "own")["products"][0];
        assert_eq!(
            (&own["price"], &own["currency"], &own["brand"], &own["name"]),
            (&json!(8.0), &json!("USD"), &json!("Own"), &json!("Lamp, tall"))
        );

        // p4 is too dear for the rule.
        let decided = decisions(&data, 3);
        let of = |visitor: &str| &decided[visitor];
        assert_eq!(of("visitor0")["outcome"], "served");
        let stock = &of("visitor0")["context"][0];
        assert_eq!(
            (&stock["kind"], &stock["id"], &stock["values"]["stock"]),
            (&json!("inventory"), &json!("p1"), &json!(3))
        );
        assert_eq!(stock["version"], shop.admin("GET", "/v1/context/inventory/p1", "").1["version"]);
        let inputs = &of("visitor0")["inputs"];
        assert_eq!(
            (&inputs["event.context.price.price"], &inputs["event.context.price.version"]),
            (&json!(9.5), &row["version"])
        );
        assert_eq!(inputs["stock.product.0"], "p1");
        assert_eq!(
            (&of("visitor1")["outcome"], &of("visitor1")["context"][0]["values"]["stock"]),
            (&json!("out_of_stock"), &json!(0))
        );
        assert_eq!((&of("visitor2")["outcome"], &of("visitor2")["context"]), (&json!("out_of_stock"), &json!([])));

        let misses: Vec<_> = Server::log_read("enrichment-miss", &data);
        let mut keys: Vec<_> = misses.iter().map(|miss| miss["key"].as_str().unwrap().to_owned()).collect();
        keys.sort();
        assert_eq!(keys, ["inventory/p3", "inventory/p4", "product/p2", "product/p4"]);
        assert!(misses.iter().all(|miss| miss["value"]["misses"] == 1 && miss["value"]["owner"].is_string()));
        let tables = shop.admin("GET", "/v1/context", "").1;
        let of_kind = |kind: &str| {
            tables["tables"].as_array().unwrap().iter().find(|table| table["kind"] == kind).unwrap().clone()
        };
        assert_eq!((&of_kind("price")["rows"], &of_kind("inventory")["misses"]), (&json!(4), &json!(2)));
        let (code, said, _) = server.command(&["context", "tables"]);
        assert!(code == Some(0) && said.lines().any(|line| line.starts_with("price               4")), "{said}");
        server.kill();
        row
    };
    {
        let server = Server::start_with(&data, None, MORE);
        let shop = Shop::of(&server);
        let mut again = shop.admin("GET", "/v1/context/price/p1", "").1;
        let mut first = first;
        for row in [&mut again, &mut first] {
            row.as_object_mut().unwrap().remove("age_ms").unwrap();
        }
        assert_eq!(again, first, "the same after a kill");
        shop.does("view", "product_view", "visitor5", &json!({ "id": "p3" }));
        assert_eq!(event(&data, "view")["products"][0]["brand"], "Norra", "the first event after a start is joined");
        assert_eq!(shop.admin("DELETE", "/v1/context/product/p3", "").0, 200);
        server.kill();
    }
    let server = Server::start_with(&data, None, MORE);
    assert_eq!(Shop::of(&server).admin("GET", "/v1/context/product/p3", "").0, 404, "gone after a kill");
    server.kill();
}
