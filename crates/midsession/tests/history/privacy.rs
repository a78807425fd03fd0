//! What a source keeps of people holds for the past as well.

use crate::commands::rows;
use std::collections::BTreeSet;

/// A file has neither addresses nor agents: whoever allows no id that lasts is told from others all the same.
#[test]
fn cookieless_shoppers_of_a_file_are_not_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("m.toml", "[[source]]\nname = \"shop\"\nconsent_default = \"cookieless\"\n");
    let line = |number: usize, event: usize| {
        let (minute, second) = (number / 60, number % 60);
        format!(
            "{{\"event_id\":\"e{number}-{event}\",\"name\":\"product_view\",\"visitor_id\":\"visitor-{number}\",\
             \"session_id\":\"session-{number}\",\"received_at\":\"2026-11-22T12:{:02}:{second:02}Z\",\
             \"products\":[{{\"id\":\"p1\"}}]}}\n",
            minute + 10 * event
        )
    };
    let lines: String = (0..2).flat_map(|event| (0..200).map(move |number| line(number, event))).collect();
    write("events", &lines);
    let log = ["--config", "m.toml", "--events", "events"];
    let sessions = rows(&[&["sessions"], &log[..]].concat(), folder.path());
    assert_eq!(sessions.len(), 200);
    assert!(sessions.iter().all(|row| row["events"] == 2), "{}", sessions[0]);
    let features = rows(&[&["features"], &log[..], &["--features", "product_view_count_24h"]].concat(), folder.path());
    let users: BTreeSet<&str> = features.iter().map(|row| row["user"].as_str().unwrap()).collect();
    assert_eq!((features.len(), users.len()), (400, 200));
    assert!(
        features.iter().all(|row| row["features"]["product_view_count_24h"].as_i64() <= Some(2)),
        "{}",
        features[0]
    );
    assert!(!users.iter().any(|user| user.contains("visitor")));
}
