//! The bench of history, small: it takes every event and question, and says what it measured.

use crate::commands::rows;

#[test]
fn the_bench_says_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let told = &rows(&["bench", "history", "--events", "3000", "--questions", "50", "--json"], folder.path())[0];
    assert_eq!((&told["rows"], &told["parameters"]["events"]), (&50.into(), &3000.into()));
    let number = |name: &str| told[name].as_f64().unwrap();
    assert!((280.0..360.0).contains(&number("bytes_per_event")), "{told}");
    assert!(number("cpu_us_per_event") > 0.0 && number("peak_resident_bytes") > 1e6, "{told}");
    assert!(told["surroundings"]["revision"].is_string());
}
