//! The page on features: what it shows is valid, and gives what it says.

use crate::kit::{Shopper, event, product};
use midsession_event::Event;
use midsession_feature::fold::FOLDS;
use midsession_feature::{FeatureSet, Key, check};
use serde_json::Value as Json;

const PAGE: &str = include_str!("../../../../docs/features.md");
const NOW: i64 = 1_000_000_000;

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    PAGE.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn what_it_shows_is_valid() {
    let definitions: Vec<&str> = blocks("toml").into_iter().filter(|block| block.contains("[[feature]]")).collect();
    assert!(definitions.len() >= 3);
    for block in definitions {
        assert_eq!(check(block, "docs/features.md"), [], "{block}");
    }
}

#[test]
fn every_fold_is_told() {
    for row in FOLDS {
        assert!(PAGE.contains(&format!("`{}`", row.name)), "{} is missing", row.name);
    }
}

#[test]
fn the_example_gives_what_it_says() {
    let definitions = blocks("toml").into_iter().find(|block| block.contains("view_then_cart")).expect("an example");
    let set = FeatureSet::load(&[("docs/features.md", definitions)]).expect("valid");
    let mut shopper = Shopper::new();
    let visit = blocks("json").into_iter().find(|block| block.contains("minutes_ago")).expect("a visit");
    for line in visit.lines() {
        let line: Json = serde_json::from_str(line).expect("JSON");
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let told = &line["products"][0];
        let price = told["price"].as_f64().unwrap_or(f64::NAN);
        let product = product(&text(&told["id"]), &text(&told["category"]), price);
        let at_ms = NOW - line["minutes_ago"].as_i64().expect("minutes") * 60_000;
        shopper.take(&Event { products: vec![product], ..event(&text(&line["name"]), at_ms) }, 1, &set);
    }
    let table = PAGE.split("| feature | value |").nth(1).expect("a table").split("\n\n").next().unwrap_or_default();
    let mut told = 0;
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [name, value] = cells.as_slice() else { panic!("{row}") };
        let value: Json = serde_json::from_str(value).expect(row);
        let found = set.read(&shopper.view(NOW), Key::User, name).map(|value| serde_json::json!(value));
        assert_eq!(found, Some(value), "{name}");
        told += 1;
    }
    assert_eq!(told, set.names(Key::User).count(), "each of them is told");
}
