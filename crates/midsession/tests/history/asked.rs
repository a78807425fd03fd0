//! What is asked for comes back in the row: the id as it was written, what stands beside it, and names as they are served.

use super::commands::{midsession, rows};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use std::path::Path;

const EVENTS: &str = r#"{"event_id":"1","name":"product_view","visitor_id":"v1","session_id":"T1","received_at":"2026-11-22T12:00:00Z","properties":{"storeId":"s1"},"products":[{"id":"p"}]}
{"event_id":"2","name":"login","visitor_id":"v1","session_id":"T1","user_id":"u1","received_at":"2026-11-22T12:01:00Z"}
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.jsonl"), EVENTS).unwrap();
    folder
}

/// The rows in a Parquet file, column by column.
fn parquet(folder: &Path) -> Vec<Vec<(String, String)>> {
    let file = std::fs::File::open(folder.join("rows.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let cells = |row: parquet::record::Row| {
        row.get_column_iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    };
    reader.get_row_iter(None).unwrap().map(|row| cells(row.unwrap())).collect()
}

#[test]
fn a_row_says_what_was_asked_and_what_stood_beside_it() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "who.csv",
        "user,session,at,label,zip,known,note\nv2,,2026-11-22T12:03:00Z,0,01234,9,\nv1,,2026-11-22T12:02:00Z,1,98765,9,x\n,T1,2026-11-22T12:02:30Z,1,98765,9,\n",
    );
    let asked = [
        "features",
        "--events",
        "events.jsonl",
        "--entities",
        "who.csv",
        "--features",
        "product_view_count_24h,product_view_count",
    ];
    let found = rows(&asked, folder.path());
    let session = found[1]["session"].clone();
    assert_eq!(session.as_str().map(str::len), Some(32), "ours: {}", found[1]);
    let expected = [
        json!({"user": "u1", "asked": "v1", "at": "2026-11-22T12:02:00Z", "label": 1, "zip": "98765", "note": "x",
            "features": {"product_view_count_24h": 1}}),
        json!({"session": session, "asked": "T1", "at": "2026-11-22T12:02:30Z", "label": 1, "zip": "98765",
            "features": {"product_view_count": 1}}),
        json!({"user": "v2", "at": "2026-11-22T12:03:00Z", "known": false, "label": 0, "zip": "01234", "features": {}}),
    ];
    assert_eq!(found, expected);
    rows(&[&asked[..], &["--output", "rows.parquet", "--json"]].concat(), folder.path());
    let told: Vec<[String; 4]> = parquet(folder.path())
        .iter()
        .map(|row| {
            ["asked", "label", "zip", "note"].map(|name| row.iter().find(|(known, _)| known == name).unwrap().1.clone())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["\"v1\"", "1", "\"98765\"", "\"x\""],
            ["\"T1\"", "1", "\"98765\"", "null"],
            ["null", "0", "\"01234\"", "null"]
        ]
    );
    // JSON lines: what is there goes along as it is, but for what rows say themselves.
    write(
        "who.jsonl",
        r#"{"user":"u1","at":"2026-11-22T12:02:00Z","label":"1","weights":[1,2],"since":7,"features":{"a":1}}"#,
    );
    let found = rows(
        &["features", "--events", "events.jsonl", "--entities", "who.jsonl", "--features", "product_view_count_24h"],
        folder.path(),
    );
    let expected = json!({"user": "u1", "at": "2026-11-22T12:02:00Z", "label": "1", "weights": [1, 2],
        "features": {"product_view_count_24h": 1}});
    assert_eq!(found, [expected]);
}

#[test]
fn a_property_of_any_name_is_a_key() {
    let folder = folder();
    let key = |key: &str| {
        let text = format!("[[feature]]\nname = \"views\"\nkey = '{key}'\nfold = \"count\"\nwindows = [\"1h\"]\n");
        std::fs::write(folder.path().join("c.toml"), text).unwrap();
    };
    for written in ["properties.storeId", "properties[\"storeId\"]"] {
        key(written);
        let asked = ["features", "--config", "c.toml", "--events", "events.jsonl", "--at", "2026-11-22T12:02:00Z"];
        let found = rows(&[&asked[..], &["--field", "properties.storeId=s1"]].concat(), folder.path());
        let expected = json!({"properties.storeId": "s1", "at": "2026-11-22T12:02:00Z", "features": {"views_1h": 1}});
        assert_eq!(found, [expected], "{written}");
    }
}

#[test]
fn names_with_another_suffix_are_asked_for() {
    let folder = folder();
    let at = ["--user", "v1", "--at", "2026-11-22T12:00:30Z", "--profile", "live-shopper"];
    let asked = |name: &str, more: &[&str]| {
        rows(&[&["features", "--events", "events.jsonl", "--features", name], &at[..], more].concat(), folder.path())
    };
    let (plain, other) = ("product_view_count_5m", "product_view_count_5min");
    let value = asked(plain, &[])[0]["features"][plain].clone();
    assert_ne!(value, Value::Null);
    assert_eq!(asked(other, &[])[0]["features"], json!({other: value}));
    asked(other, &["--output", "rows.parquet", "--json"]);
    let column = parquet(folder.path())[0].iter().find(|(name, _)| name == other).unwrap().1.clone();
    assert_eq!(column, value.to_string());
}

/// A nightly export says of itself when it came in: nothing of it is in a session, and that is told.
#[test]
fn what_is_too_late_for_a_session_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let event = |id: i64, hour: u8| {
        format!(
            "{{\"event_id\":\"{id}\",\"name\":\"page_view\",\"visitor_id\":\"v1\",\"occurred_at\":\"2026-11-22T12:00:00Z\",\"received_at\":\"2026-11-22T{hour}:00:00Z\"}}\n"
        )
    };
    std::fs::write(folder.path().join("e.jsonl"), [event(1, 12), event(2, 14), event(2, 14), event(3, 15)].concat())
        .unwrap();
    for command in ["sessions", "features"] {
        let output = midsession(&[command, "--events", "e.jsonl", "--output", "rows.jsonl", "--json"], folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("too late for a session: 2 events"), "{said}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&told["too_late"], &told["duplicates"], &told["events"]),
            (&2.into(), &1.into(), &4.into()),
            "{told}"
        );
    }
}
