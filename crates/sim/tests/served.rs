//! What a running server served, recomputed from its log: the same values, to the last digit.
//!
//! Shoppers send over HTTP (logins, late events and repeats among them) while readers ask for features, of products too, and write every
//! answer down with its `as_of`. Then `midsession features` reads the data folder at those places. Once all is quiet,
//! everybody is asked once more, and recomputed from a file of the events as they were sent.

use crate::http::Connection;
use crate::length::Length;
use crate::load::{Load, Running, VISITORS, visitor_id};
use crate::server::{ADMIN_TOKEN, Server};
use midsession_sim::rng::Rng;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values served before the server is stopped, unless asked otherwise.
const VALUES: u64 = 20_000;
const SENDERS: u64 = 2;
const READERS: u64 = 2;

fn values_of(answer: &Value) -> u64 {
    answer["features"].as_object().map_or(0, |features| features.len() as u64)
}

/// Asks for the features of visitors, users and sessions until enough values have been served; the answers as they
/// came.
fn read(admin: &str, seed: u64, served: &AtomicU64, enough: Length) -> Vec<Value> {
    let mut rng = Rng::new(seed);
    let mut http = Connection::open(admin).unwrap();
    let token = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", token.as_str())];
    let (mut answers, mut sessions): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    while enough.goes_on(served.load(Ordering::Relaxed)) {
        if sessions.is_empty() || rng.chance(1) {
            let list = http.json("/v1/sessions?limit=200", &headers).unwrap().unwrap();
            let list = list["sessions"].as_array().unwrap();
            sessions = list.iter().map(|row| row["session_id"].as_str().unwrap().to_owned()).collect();
        }
        let path = match rng.below(10) {
            0..=5 => format!("/v1/features/user/{}", visitor_id(rng.below(VISITORS))),
            6 => format!("/v1/features/user/u{}", rng.below(60)),
            7 => format!("/v1/features/product/p{}", rng.below(12)),
            _ if sessions.is_empty() => continue,
            _ => format!("/v1/features/session/{}", sessions[rng.below(sessions.len() as u64) as usize]),
        };
        match http.json(&path, &headers).unwrap() {
            Ok(answer) => {
                served.fetch_add(values_of(&answer), Ordering::Relaxed);
                answers.push(answer);
            }
            // Nobody is known; or too many wait to be told so, until all that came before is read.
            Err(404 | 503) => {}
            Err(status) => panic!("{path}: {status}"),
        }
    }
    answers
}

/// The load's seed, said for the next run.
fn seed() -> u64 {
    let asked = std::env::var("MIDSESSION_SIM_SEED").ok();
    let seed = asked.map_or_else(|| crate::load::now_ms() as u64, |seed| seed.parse().unwrap());
    println!("MIDSESSION_SIM_SEED={seed}");
    seed
}

/// A live run of so many values; the answers, in a file beside the folder.
fn serve(data: &Path, values: Length) -> Vec<Value> {
    let seed = seed();
    let load = Arc::new(Load::default());
    let server = Server::start(data, None);
    let running = Running::start(&load, &server.collector, seed, SENDERS);
    let unmerges = crate::unmerge::now_and_then(&load, &server.admin, seed);
    while running.acked.load(Ordering::SeqCst) < 500 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let served = AtomicU64::new(0);
    let answers = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let (admin, served) = (&server.admin, &served);
                scope.spawn(move || read(admin, seed * 7 + number, served, values))
            })
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    assert!(spilled(&server.admin) > 0, "all facts were in memory");
    // What is read back is the log as it was left, whatever was under way.
    server.kill();
    unmerges.join().unwrap();
    running.join();
    answers
}

/// How often facts have been written to disk, once that has been counted.
fn spilled(admin: &str) -> u64 {
    let mut http = Connection::open(admin).unwrap();
    let token = format!("Bearer {ADMIN_TOKEN}");
    for _ in 0..600 {
        let (_, text) = http.ask("GET", "/metrics", &[("authorization", token.as_str())], "").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("midsession_facts_spills_total "));
        match line.map_or(0, |count| count.trim().parse().unwrap()) {
            0 => std::thread::sleep(std::time::Duration::from_millis(100)),
            count => return count,
        }
    }
    0
}

/// Recomputes the answers and compares them one by one.
fn recomputed(data: &Path, answers: &[Value], defect: Option<&str>) -> Result<u64, String> {
    let (asked, rows) = (data.with_extension("served.jsonl"), data.with_extension("rows.jsonl"));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&asked).unwrap());
    answers.iter().for_each(|answer| writeln!(file, "{answer}").unwrap());
    file.into_inner().unwrap();
    Server::features_of("--data", data, data, &asked, &rows, defect);
    let mut expected: std::collections::BTreeMap<String, Vec<&Value>> = Default::default();
    let key = |row: &Value| format!("{} {} {} {}", row["user"], row["session"], row["product"], row["as_of"]);
    answers.iter().for_each(|answer| expected.entry(key(answer)).or_default().push(answer));
    let mut compared = 0;
    for line in std::fs::read_to_string(rows).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let answer =
            expected.get_mut(&key(&row)).and_then(Vec::pop).ok_or_else(|| format!("nobody asked for {row}"))?;
        if row["features"] != answer["features"] {
            let name =
                answer["features"].as_object().unwrap().iter().find(|(name, value)| row["features"][*name] != **value);
            return Err(format!(
                "served {name:?}, recomputed {}: {row}",
                name.map_or(&Value::Null, |(name, _)| &row["features"][name])
            ));
        }
        compared += values_of(answer);
    }
    match expected.values().map(Vec::len).sum::<usize>() {
        0 => Ok(compared),
        left => Err(format!("{left} answers were not recomputed")),
    }
}

#[test]
fn what_was_served_is_recomputed() {
    let values = Length::of("MIDSESSION_SERVED_VALUES", VALUES).at_least(VALUES);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let answers = serve(&data, values);
    let compared = recomputed(&data, &answers, None).unwrap_or_else(|what| panic!("{what}"));
    let by_field: u64 = answers.iter().filter(|answer| answer["product"].is_string()).map(values_of).sum();
    assert!(by_field > 0, "nobody asked by a field");
    let places: std::collections::BTreeSet<String> = answers.iter().map(|answer| answer["as_of"].to_string()).collect();
    println!(
        "{compared} values of {} answers at {} places served and recomputed, {by_field} of them by a field: 0 differ",
        answers.len(),
        places.len()
    );
    assert!(!values.goes_on(compared), "{compared}");
    // A record from later leaks in: the comparison must not let it pass.
    let leaked = recomputed(&data, &answers, Some("history_leaks")).expect_err("the leak was not noticed");
    println!("with a record from later: {}", leaked.chars().take(200).collect::<String>());
}

/// Events as they were sent, with the receive stamps that the log has of them, in native JSON lines.
fn as_sent(data: &Path, load: &Load) -> String {
    let journal = load.journal.lock().unwrap();
    let mut lines = String::new();
    let mut last_us: std::collections::BTreeMap<u64, i64> = Default::default();
    for record in Server::log_read("behavior", data) {
        if record["schema"] != "behavior-event" {
            continue;
        }
        let id = record["value"]["event_id"].as_str().unwrap();
        let mut event = journal.sent[id].clone();
        let received_us = record["value"]["stamps"]["received_at_us"].as_i64().unwrap();
        // Two requests may reach the log in another order than they came in: what a file has no word of.
        let last_us = last_us.entry(record["partition"].as_u64().unwrap()).or_default();
        *last_us = received_us.max(*last_us);
        let received_us = *last_us;
        event["received_at"] = jiff::Timestamp::from_microsecond(received_us).unwrap().to_string().into();
        lines += &event.to_string();
        lines.push('\n');
    }
    lines
}

#[test]
fn what_is_served_in_quiet_comes_out_of_the_events_as_sent() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let load = Arc::new(Load { consents_apart: true, ..Load::default() });
    let server = Server::start(&data, None);
    let running = Running::start(&load, &server.collector, seed(), SENDERS);
    while running.acked.load(Ordering::SeqCst) < 3_000 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    running.join();
    // What is under way between partitions arrives, and the last sessions end.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let mut http = Connection::open(&server.admin).unwrap();
    let token = format!("Bearer {ADMIN_TOKEN}");
    let ids = (0..VISITORS).map(visitor_id).chain((0..60).map(|number| format!("u{number}")));
    let ids = ids.map(|id| format!("user/{id}")).chain((0..12).map(|number| format!("product/p{number}")));
    let answers: Vec<Value> = ids
        .filter_map(|id| http.json(&format!("/v1/features/{id}"), &[("authorization", &token)]).unwrap().ok())
        .collect();
    assert!(answers.iter().any(|answer| answer["product"].is_string()), "nobody looked at anything");
    // By a field the instant is that of the partition asked last.
    let now_ms = |answer: &Value| match answer["as_of"].as_array() {
        Some(all) => all.iter().filter_map(|one| one["now"].as_i64()).max(),
        None => answer["as_of"]["now"].as_i64(),
    };
    let events = folder.path().join("events.jsonl");
    std::fs::write(&events, as_sent(&data, &load)).unwrap();
    server.kill();
    let (asked, rows) = (folder.path().join("asked.csv"), folder.path().join("rows.jsonl"));
    let lines: Vec<String> = answers
        .iter()
        .map(|answer| {
            let id = |key: &str| answer[key].as_str().unwrap_or_default();
            format!("{},{},{}\n", id("user"), id("product"), now_ms(answer).unwrap())
        })
        .collect();
    std::fs::write(&asked, format!("user,product,at\n{}", lines.concat())).unwrap();
    Server::features_of("--events", &events, &data, &asked, &rows, None);
    let rows = std::fs::read_to_string(rows).unwrap();
    let mut compared = 0;
    let mut expected: Vec<&Value> = answers.iter().collect();
    // Rows come in the order of their instants; as many of one instant as were asked for keep theirs.
    expected.sort_by_key(|answer| now_ms(answer));
    for (row, answer) in rows.lines().zip(&expected) {
        let mut row: Value = serde_json::from_str(row).unwrap();
        let mut answer = (*answer).clone();
        // Since when a lifetime counts is a matter of stamps, and the stamps of a file are when its events came in.
        for features in [&mut row["features"], &mut answer["features"]] {
            features.as_object_mut().unwrap().remove("lifetime_since_ms");
        }
        let of = |row: &Value| (row["user"].clone(), row["product"].clone());
        assert_eq!(of(&row), of(&answer), "{row}");
        if row["features"] != answer["features"] {
            let (ours, served) = (row["features"].as_object().unwrap(), answer["features"].as_object().unwrap());
            let names: std::collections::BTreeSet<&String> = ours.keys().chain(served.keys()).collect();
            let other: Vec<_> = names.iter().filter(|name| ours.get(**name) != served.get(**name)).collect();
            let other: Vec<_> = other.iter().map(|name| (name, ours.get(**name), served.get(**name))).collect();
            panic!("{:?} at {}: of the file and served: {other:?}; kept in {:?}", of(&row), row["at"], folder.keep());
        }
        compared += values_of(&answer);
    }
    assert_eq!(rows.lines().count(), answers.len());
    println!(
        "{compared} values of {} shoppers and products served and recomputed from the events as sent",
        answers.len()
    );
    assert!(compared > 5_000, "{compared}");
}
