//! What was known beside the events of files: joined as of each event's arrival, nothing from later, against a plain look
//! through all rows.

use crate::commands::{midsession, rows};
use serde_json::{Value, json};
use std::path::Path;

const BEGIN_MS: i64 = 1_795_348_800_000;
const MINUTE_MS: i64 = 60_000;
const MAX_AGE_MS: i64 = 40 * MINUTE_MS;
const CONFIG: &str = "[context.max_age_s]\nprice = 2400\n";

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// The prices in the order of the file: of which product, since when, how much; those that are multiples of six take it out.
fn prices(seed: u64) -> Vec<(u64, Option<i64>, u64)> {
    (0..60)
        .map(|number| {
            let drawn = midsession_event::hash64(&["price", &seed.to_string(), &number.to_string()]);
            let at_ms = (!drawn.is_multiple_of(7)).then_some(BEGIN_MS + (drawn >> 8) as i64 % 240 * MINUTE_MS);
            let price = number + 1;
            // What was never there is not taken out.
            ((drawn >> 32) % 5, at_ms.or_else(|| is_gone(price).then_some(BEGIN_MS)), price)
        })
        .collect()
}

fn is_gone(price: u64) -> bool {
    price.is_multiple_of(6)
}

/// The price that an event of this instant is joined with: the last of its product by then, in the order of time and then of
/// the file, unless that is too old.
fn in_force(prices: &[(u64, Option<i64>, u64)], product: u64, at_ms: i64) -> Option<f64> {
    let of_product = prices.iter().filter(|(of, since, _)| *of == product && since.is_none_or(|since| since <= at_ms));
    let (_, since, price) = of_product.max_by_key(|(_, since, price)| (*since, *price))?;
    (!is_gone(*price) && since.is_none_or(|since| at_ms - since <= MAX_AGE_MS)).then_some(*price as f64)
}

#[test]
fn an_event_is_joined_with_what_had_been_known_when_it_came_in() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.toml", CONFIG);
    let mut counts = [0; 3];
    for seed in 0..6u64 {
        let prices = prices(seed);
        let csv = seed % 2 == 0;
        let lines = prices.iter().map(|(product, at_ms, price)| match (csv, at_ms) {
            (true, Some(at_ms)) if is_gone(*price) => format!("p{product},{at_ms},,true\n"),
            (true, Some(at_ms)) => format!("p{product},{at_ms},{price},\n"),
            (true, None) => format!("p{product},,{price},false\n"),
            (false, Some(at_ms)) => {
                let at = jiff::Timestamp::from_millisecond(*at_ms).unwrap().to_string();
                let mut row = json!({"id": format!("p{product}"), "at": at, "price": price});
                if is_gone(*price) {
                    row = json!({"id": format!("p{product}"), "at": at, "removed": true});
                }
                format!("{row}\n")
            }
            (false, None) => format!("{}\n", json!({"id": format!("p{product}"), "price": price})),
        });
        let text = if csv { "id,at,price,removed\n" } else { "" }.to_owned() + &lines.collect::<String>();
        write(folder.path(), "prices", &text);
        // Each by a visitor of its own, at the instants of rows and beside them, on one line before the other; an event that
        // is late is joined with what was known when it came in.
        let events: Vec<(u64, i64)> = (0..300)
            .map(|number| {
                let drawn = midsession_event::hash64(&["event", &seed.to_string(), &number.to_string()]);
                let edge = [-1, 0, 1][(drawn >> 40) as usize % 3];
                (drawn % 6, BEGIN_MS + (drawn >> 8) as i64 % 300 * MINUTE_MS + edge)
            })
            .collect();
        let lines = events.iter().enumerate().map(|(number, (product, at_ms))| {
            let event = json!({"event_id": format!("e{number}"), "name": "product_view", "visitor_id": format!("v{number}"),
                "occurred_at": at_ms - number as i64 % 3 * MINUTE_MS, "received_at": at_ms,
                "products": [{"id": format!("p{product}")}]});
            format!("{event}\n")
        });
        write(folder.path(), "events", &lines.collect::<String>());
        let arguments = ["features", "--config", "x.toml", "--events", "events", "--context", "price=prices"];
        let found = rows(&[&arguments[..], &["--features", "avg_viewed_price_1h"]].concat(), folder.path());
        assert_eq!(found.len(), events.len());
        for row in &found {
            let number: usize = row["event_id"].as_str().unwrap()[1..].parse().unwrap();
            let (product, at_ms) = events[number];
            let expected = in_force(&prices, product, at_ms);
            let value = &row["features"]["avg_viewed_price_1h"];
            assert_eq!(value.as_f64(), expected, "seed {seed}, p{product} at {at_ms}: {row}");
            let later = prices.iter().any(|(of, since, _)| *of == product && since.is_some_and(|since| since > at_ms));
            counts[0] += usize::from(expected.is_some());
            counts[1] += usize::from(expected.is_none() && later);
            counts[2] += usize::from(expected.is_none() && !later);
        }
        // Without the table nothing has a price.
        let bare = rows(&["features", "--events", "events", "--features", "avg_viewed_price_1h"], folder.path());
        assert!(bare.iter().all(|row| row["features"]["avg_viewed_price_1h"].is_null()));
    }
    println!("{counts:?} with a price, with none but a later one, with none");
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

#[test]
fn every_format_is_joined_and_every_kind_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "price.csv", "id,price,currency\np1,20,EUR\nbol-214,7,EUR\n");
    write(
        folder.path(),
        "product.jsonl",
        "{\"id\":\"p1\",\"category\":\"Lamps\"}\n{\"id\":\"bol-214\",\"category\":\"Books\"}\n",
    );
    write(folder.path(), "segment.jsonl", "{\"id\":\"u1\",\"at\":1795348700000,\"tier\":\"gold\",\"version\":41}\n");
    write(folder.path(), "promotion.csv", "id,name\npr1,Winter\n");
    write(
        folder.path(),
        "x.toml",
        "[[feature]]\nname = \"golden\"\nkey = \"user\"\n\
         when = 'event.context.segment.tier == \"gold\" && event.context.segment.version == 41'\n\
         fold = \"count\"\nwindows = [\"1h\"]\n",
    );
    write(
        folder.path(),
        "segment",
        r#"{"type":"track","event":"Product Viewed","messageId":"m1","anonymousId":"d1","userId":"u1","receivedAt":"2026-11-22T12:00:01Z","properties":{"product_id":"p1"}}"#,
    );
    write(
        folder.path(),
        "native",
        r#"{"event_id":"e1","name":"product_view","visitor_id":"d1","user_id":"u1","occurred_at":"2026-11-22T12:00:00Z","products":[{"id":"p1"}]}"#,
    );
    write(folder.path(), "serenade", "SessionId\tItemId\tTime\n1\t214\t1396808691.295\n");
    let tables = ["product=product.jsonl", "price=price.csv", "segment=segment.jsonl", "promotion=promotion.csv"];
    let context: Vec<&str> = tables.iter().flat_map(|table| ["--context", table]).collect();
    for (name, price, category, golden) in
        [("segment", 20.0, "Lamps", 1), ("native", 20.0, "Lamps", 1), ("serenade", 7.0, "Books", 0)]
    {
        let arguments = [&["features", "--config", "x.toml", "--events", name][..], &context].concat();
        let found = rows(&arguments, folder.path());
        let features = &found.last().unwrap()["features"];
        assert_eq!(
            (&features["avg_viewed_price_1h"], &features["top_category_1h"], &features["golden_1h"]),
            (&json!(price), &json!(category), &json!(golden)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn sessions_are_joined_too() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "price.csv", "id,price,currency\np1,20,EUR\n");
    write(
        folder.path(),
        "events",
        r#"{"event_id":"e1","name":"add_to_cart","visitor_id":"d1","occurred_at":"2026-11-22T12:00:00Z","products":[{"id":"p1","quantity":2}]}"#,
    );
    let value = |more: &[&str]| {
        rows(&[&["sessions", "--events", "events"][..], more].concat(), folder.path())[0]["cart_value"].clone()
    };
    assert_eq!(value(&["--context", "price=price.csv"]), 40.0);
    assert_eq!(value(&[]), Value::Null);
}

/// What holds from the beginning was not loaded later than a price that is too old.
#[test]
fn a_product_without_a_time_does_not_stand_in_for_a_stale_price() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "price.csv", "id,at,price,currency\np1,2026-11-20T10:00:00Z,30,EUR\n");
    write(folder.path(), "product.csv", "id,price,currency\np1,5,EUR\n");
    write(folder.path(), "later.csv", "id,at,price,currency\np1,2026-11-22T11:00:00Z,6,EUR\n");
    write(
        folder.path(),
        "events",
        r#"{"event_id":"e1","name":"product_view","visitor_id":"v1","received_at":"2026-11-22T12:00:00Z","products":[{"id":"p1"}]}"#,
    );
    let price = |tables: &[&str]| {
        let tables = tables.iter().flat_map(|table| ["--context", table]);
        let asked = ["features", "--events", "events", "--features", "avg_viewed_price_1h"];
        rows(&asked.into_iter().chain(tables).collect::<Vec<_>>(), folder.path())[0]["features"]["avg_viewed_price_1h"]
            .clone()
    };
    assert_eq!(price(&["price=price.csv", "product=product.csv"]), Value::Null);
    assert_eq!(price(&["price=price.csv", "product=later.csv"]), 6.0);
    assert_eq!(price(&["product=product.csv"]), 5.0);
}

#[test]
fn misses_and_refused_rows_are_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.toml", "[context]\nrows_max = 3\n[context.owner]\nprice = \"pricing@shop.example\"\n");
    write(
        folder.path(),
        "price.csv",
        "id,at,price,version,removed\np1,2026-11-22T11:00:00Z,9,5,\np2,,cheap,,\np3,2026-11-22T13:00:00Z,7,,\np1,2026-11-22T11:30:00Z,8,4,\np4,,1,,\np5,,1,,\np8,2026-11-22T11:40:00Z,1,,\np1,2026-11-22T11:50:00Z,,3,true\n",
    );
    write(folder.path(), "profile.jsonl", "{\"id\":\"u9\",\"tier\":\"gold\"}\n");
    let event = |id: &str, product: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"name\":\"product_view\",\"visitor_id\":\"v1\",\"user_id\":\"u1\",\"received_at\":\"2026-11-22T12:00:00Z\",\"products\":[{{\"id\":\"{product}\"}}]}}\n"
        )
    };
    write(folder.path(), "events", &[event("1", "p1"), event("2", "p2"), event("3", "p3"), event("4", "p2")].concat());
    let arguments = [
        "features",
        "--config",
        "x.toml",
        "--events",
        "events",
        "--context",
        "price=price.csv",
        "--context",
        "profile=profile.jsonl",
        "--features",
        "avg_viewed_price_1h",
        "--output",
        "rows.jsonl",
        "--json",
    ];
    let output = midsession(&arguments, folder.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    for line in [
        "refused: price.csv:3: value_type: price: a number from 0, like 12.5 is wanted here",
        "refused: price.csv:5: version_older: version: 4 is not above the one before",
        "refused: price.csv:8: table_full:",
        "refused: price.csv:9: version_older: version: 3 is not above the one before",
        "missed: 3 times no row of price, like p2, p3 (1 joined; owner: pricing@shop.example)",
        "missed: 4 times no row of profile (0 joined; owner: crm)",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        told["context"]["tables"],
        json!([
            {"kind": "price", "joined": 1, "stale": 0, "misses": 3, "missed": ["p2", "p3"], "owner": "pricing@shop.example"},
            {"kind": "profile", "joined": 0, "stale": 0, "misses": 4, "missed": [], "owner": "crm"},
        ]),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "events",
        "{\"event_id\":\"e1\",\"name\":\"page_view\",\"visitor_id\":\"d1\",\"occurred_at\":1795348800000}\n",
    );
    write(folder.path(), "array", "[{\"id\":1}]");
    write(folder.path(), "bare.csv", "sku,price\na,1\n");
    for (table, code, said) in [
        ("prices.csv", 2, "KIND=FILE is wanted"),
        ("colour=x", 2, "no kind `colour`; one of: product, price"),
        ("price=", 2, "which file?"),
        ("price=missing.csv", 1, "missing.csv: No such file"),
        ("price=array", 2, "array: this is one JSON array"),
        ("price=bare.csv", 2, "bare.csv: the first line names no column id"),
    ] {
        let output = midsession(&["sessions", "--events", "events", "--context", table], folder.path());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{table}: {text}");
        assert!(text.contains(said), "{table}: {text}");
    }
    let output = midsession(&["sessions", "--data", ".", "--context", "price=bare.csv"], folder.path());
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be used with"));
}
