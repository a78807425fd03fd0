//! `midsession log read`: the words for where it begins and ends, against a log with a clock of the test's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use midsession_engine_local::{Config, LocalLog, RealDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Unit};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn append(log: &LocalLog) {
    let (topic, partition) = (Topic::DeadLetter, PartitionId(0));
    let record = Append { topic, partition, key: Default::default(), value: Some("x".into()) };
    log.append(Arc::new(Unit { records: vec![record], positions: vec![] }), Box::new(|_| {}));
    log.commit_now();
}

fn command(data: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_midsession"));
    command.args(["log", "read", "dead-letter", "--data"]).arg(data).args(options);
    command
}

fn offsets(stdout: Vec<u8>) -> Vec<i64> {
    let text = String::from_utf8(stdout).unwrap();
    let offset = |line: &str| serde_json::from_str::<Value>(line).unwrap()["offset"].as_i64().unwrap();
    text.lines().map(offset).collect()
}

#[test]
fn from_and_to_in_every_word() {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let clock = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&clock);
    let clock_ms = Arc::new(move || told.load(Ordering::Relaxed));
    let log = LocalLog::open_threadless(Arc::new(RealDisk), clock_ms, Config::new(folder.path())).unwrap();
    for minutes in [3 * 24 * 60, 180, 10, 1] {
        clock.store(now_ms - minutes * 60_000, Ordering::Relaxed);
        append(&log);
    }
    let read = |options: &[&str]| {
        let output = command(folder.path(), options).output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        offsets(output.stdout)
    };
    let instant = jiff::Timestamp::from_millisecond(now_ms - 20 * 60_000).unwrap().to_string();
    let cases: [(&[&str], &[i64]); 12] = [
        (&[], &[0, 1, 2, 3]),
        (&["--from", "earliest", "--to", "latest"], &[0, 1, 2, 3]),
        (&["--from", "latest"], &[]),
        (&["--from", "5m"], &[3]),
        (&["--from", "4h"], &[1, 2, 3]),
        (&["--from", "4h", "--to", "5m"], &[1, 2]),
        (&["--from", "7d", "--to", "2h"], &[0, 1]),
        (&["--from", "2", "--to", "5m"], &[2]),
        (&["--from", &instant], &[2, 3]),
        (&["--to", &instant], &[0, 1]),
        // With a past end there is nothing to wait for.
        (&["--follow", "--to", "5m"], &[0, 1, 2]),
        (&["--follow", "--to", "latest"], &[0, 1, 2, 3]),
    ];
    for (options, expected) in cases {
        assert_eq!(read(options), expected, "{options:?}");
    }
    let wrong: [(&[&str], &str, &str); 5] = [
        (&["--from", "-5m"], "--from -5m: where would that be?", "how long ago like 5m"),
        (&["--to", "newest"], "--to newest: where would that be?", "`latest`"),
        (&["--from", "5m", "--to", "2h"], "--to is not behind --from", "the earlier one"),
        (&["--from", "latest", "--to", "latest"], "--to is not behind --from", "the earlier one"),
        (&["--partition", "1"], "dead-letter has no partition 1", "they are 0 to 0"),
    ];
    for (options, cause, hint) in wrong {
        let output = command(folder.path(), options).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {told}");
        assert!(told.contains(cause) && told.contains(hint), "{options:?}: {told}");
    }
}

#[test]
fn latest_is_followed_without_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open_threadless(Arc::new(RealDisk), Arc::new(|| 1_000), Config::new(folder.path())).unwrap();
    for _ in 0..5 {
        append(&log);
    }
    let mut child = command(folder.path(), &["--from", "latest", "--follow", "--to", "60"]);
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    for _ in 0..3_000 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        append(&log);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.try_wait().unwrap().is_some(), "it ends at its offset");
    let found = offsets(child.wait_with_output().unwrap().stdout);
    assert!(found.is_empty() || found[0] >= 5, "{found:?}");
    // Where the machine was so slow that all 60 were there at its begin, there is nothing to print.
    assert_eq!(found, (found.first().copied().unwrap_or(60)..60).collect::<Vec<_>>(), "all from there on, once");
}

#[test]
fn a_folder_without_a_log_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("gone")] {
        let output = command(&path, &[]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("holds no log") || told.contains("is not there"), "{told}");
        assert!(told.contains("hint: pass --data"), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left in it");
}
