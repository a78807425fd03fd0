//! Point in time: everything that had arrived by then, and nothing from later.
//!
//! The oracle looks through all events for each question. Times lie on a grid on which arrivals, window edges and
//! questions fall together.

use midsession::assemble::Assembly;
use midsession::config::Config;
use midsession::history::arrivals::Arrivals;
use midsession::history::context::PastContext;
use midsession::history::entities::Entities;
use midsession::history::features::Question;
use midsession::history::intake::Intake;
use midsession::history::progress::Progress;
use midsession::history::table::Table;
use midsession_collect::{Collector, Limits, Schemas, Settings, Source};
use midsession_feature::Key;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BEGIN_MS: i64 = 1_795_348_800_000;
const MINUTE_MS: i64 = 60_000;
const WINDOWS: [(&str, i64); 3] = [("5m", 5 * MINUTE_MS), ("1h", 60 * MINUTE_MS), ("24h", 24 * 60 * MINUTE_MS)];

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// An event as it was sent: who, what, when it happened and when it came in.
#[derive(Clone)]
struct Sent {
    id: u64,
    visitor: u64,
    product: u64,
    at_ms: i64,
    arrived_us: i64,
}

impl Sent {
    fn line(&self) -> String {
        let received = jiff::Timestamp::from_microsecond(self.arrived_us).unwrap().to_string();
        json!({
            "event_id": format!("e{}", self.id), "name": "product_view", "visitor_id": format!("v{}", self.visitor),
            "occurred_at": self.at_ms, "received_at": received, "products": [{"id": format!("p{}", self.product)}],
        })
        .to_string()
    }
}

/// A history on the grid, some of it late, some of it twice; and questions around its edges.
fn history(seed: u64) -> (Vec<Sent>, Vec<(u64, i64)>) {
    let mut dice = Dice(seed);
    let mut sent: Vec<Sent> = Vec::new();
    for id in 0..150 + dice.below(150) {
        let at_ms = BEGIN_MS + dice.below(30 * 12) as i64 * 5 * MINUTE_MS + dice.below(3) as i64 - 1;
        let late_us = if dice.below(4) == 0 { dice.below(120) as i64 * MINUTE_MS * 1000 } else { 0 };
        let event = Sent {
            id,
            visitor: dice.below(5),
            product: dice.below(6),
            at_ms,
            arrived_us: at_ms * 1000 + late_us + dice.below(3) as i64 * 400,
        };
        if dice.below(10) == 0 {
            // The same event again, a while later.
            sent.push(Sent {
                arrived_us: event.arrived_us + dice.below(90) as i64 * MINUTE_MS * 1000,
                ..event.clone()
            });
        }
        sent.push(event);
    }
    let questions = (0..120)
        .map(|_| {
            let event = &sent[dice.below(sent.len() as u64) as usize];
            let edges = [0, WINDOWS[0].1, WINDOWS[1].1, WINDOWS[2].1];
            let edge = event.at_ms + edges[dice.below(4) as usize] + dice.below(3) as i64 - 1;
            let arrival = event.arrived_us + dice.below(3) as i64 - 1;
            (event.visitor, if dice.below(2) == 0 { edge * 1000 } else { arrival })
        })
        .collect();
    (sent, questions)
}

/// What must come out: absent shoppers have nothing, known ones all of their windows.
fn oracle(sent: &[Sent], visitor: u64, at_us: i64) -> Option<Vec<(String, Value)>> {
    let mut seen = BTreeSet::new();
    let mut arrived: Vec<&Sent> = sent.iter().filter(|s| s.visitor == visitor && s.arrived_us <= at_us).collect();
    arrived.sort_by_key(|s| s.arrived_us);
    arrived.retain(|s| seen.insert(s.id));
    // Nobody is known for longer than the longest window, whatever others do meanwhile.
    let (now_ms, last_ms) = (at_us.div_euclid(1000), arrived.last()?.arrived_us.div_euclid(1000));
    if last_ms <= now_ms - WINDOWS[2].1 {
        return None;
    }
    let mut values = Vec::new();
    for (label, window_ms) in WINDOWS {
        // Event time is never past the arrival.
        let times = arrived.iter().map(|s| (s.at_ms.min(s.arrived_us.div_euclid(1000)), s.product));
        let within: Vec<(i64, u64)> = times.filter(|(t, _)| *t > now_ms - window_ms && *t <= now_ms).collect();
        let products: BTreeSet<u64> = within.iter().map(|(_, product)| *product).collect();
        values.push((format!("product_view_count_{label}"), json!(within.len())));
        values.push((format!("distinct_products_{label}"), json!(products.len())));
    }
    Some(values)
}

fn collector() -> Arc<Collector> {
    let settings = Settings { limits: Limits::default(), secret: [0; 32], accept_any_key: true };
    Arc::new(Collector::new(vec![Source::default()], settings, Schemas::shipped(), None))
}

/// The rows that come of files and questions.
fn run(
    folder: &Path,
    files: &[PathBuf],
    questions: &Path,
    memory_bytes: usize,
    profile: &str,
    leak: bool,
) -> Vec<Value> {
    let config = Config::parse(profile, Path::new("x.toml")).unwrap();
    let assembly = Assembly::load(&config, false).unwrap();
    let collector = collector();
    let context = PastContext::open(&[], &config.context, 0).unwrap_or_else(|failure| panic!("{}", failure.cause));
    let mut intake = Intake { collector, context };
    let mut arrivals = Arrivals::open(files, None, &intake.collector, memory_bytes, &Progress::new())
        .unwrap_or_else(|failure| panic!("{}", failure.cause));
    let entities = Entities::open(questions, &[], memory_bytes).unwrap_or_else(|failure| panic!("{}", failure.cause));
    let names = Vec::new();
    let entities = Some(entities);
    let question = Question { assembly: &assembly, put_in_force: None, key: Key::User, names, entities, leak };
    let output = folder.join("rows.jsonl");
    let mut table =
        Table::create(Some(&output), question.columns()).unwrap_or_else(|failure| panic!("{}", failure.cause));
    question
        .of_files(&mut arrivals, &mut intake, config.stream(3), &mut table)
        .unwrap_or_else(|failure| panic!("{}", failure.cause));
    assert_eq!(arrivals.report.borrow().refused, 0, "{:?}", arrivals.report.borrow());
    table.finish().unwrap_or_else(|failure| panic!("{}", failure.cause));
    let text = std::fs::read_to_string(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Compares one history with the oracle; how many values are equal, or what differs.
fn compare(seed: u64, memory_bytes: usize, profile: &str, leak: bool) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let (mut sent, questions) = history(seed);
    let mut dice = Dice(!seed);
    match seed % 3 {
        // In order, in any order, or in order within each of three files.
        0 => sent.sort_by_key(|s| s.arrived_us),
        1 => (1..sent.len()).for_each(|at| sent.swap(at, dice.below(at as u64 + 1) as usize)),
        _ => sent.sort_by_key(|s| (s.id % 3, s.arrived_us)),
    }
    let mut files = Vec::new();
    for (number, part) in sent.chunks(sent.len().div_ceil(3)).enumerate() {
        let file = folder.path().join(format!("{number}.jsonl"));
        let lines: Vec<String> = part.iter().map(Sent::line).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        files.push(file);
    }
    let asked = folder.path().join("asked.jsonl");
    let lines: Vec<String> = questions
        .iter()
        .map(|(visitor, at_us)| {
            let at = jiff::Timestamp::from_microsecond(*at_us).unwrap().to_string();
            json!({"user": format!("v{visitor}"), "at": at}).to_string()
        })
        .collect();
    std::fs::write(&asked, lines.join("\n")).unwrap();
    let rows = run(folder.path(), &files, &asked, memory_bytes, profile, leak);
    if rows.len() != questions.len() {
        return Err(format!("{} rows for {} questions", rows.len(), questions.len()));
    }
    let mut compared = 0;
    for row in &rows {
        let visitor: u64 = row["user"].as_str().unwrap()[1..].parse().unwrap();
        let at_us = row["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond();
        match oracle(&sent, visitor, at_us) {
            Some(expected) => {
                for (name, value) in expected {
                    let found = &row["features"][&name];
                    if *found != value {
                        return Err(format!("{name} is {found}, not {value}: {row}"));
                    }
                    compared += 1;
                }
            }
            None if row["known"] == false => compared += 1,
            None => return Err(format!("nobody was known yet, or any more: {row}")),
        }
    }
    Ok(compared)
}

#[test]
fn rows_hold_what_had_arrived_and_nothing_else() {
    let mut compared = 0;
    for seed in 0..60 {
        // With little memory the same history goes through a temporary file.
        let memory_bytes = if seed % 2 == 0 { 4_000 } else { usize::MAX };
        compared += compare(seed, memory_bytes, "", false).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    println!("{compared} values of 60 histories equal");
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn an_event_from_later_is_noticed() {
    assert!((0..5).any(|seed| compare(seed, usize::MAX, "", true).is_err()));
}

#[test]
fn a_window_a_millisecond_too_long_is_noticed() {
    // The native feature by another profile, its first window with the edge in the wrong place.
    let profile = |window: &str| {
        format!(
            "[[feature]]\nname = \"seen\"\nkey = \"user\"\nwhen = 'event.name == \"product_view\"'\nfold = \"count\"\n\
             windows = [\"{window}\"]\ndoc = \"x\"\n"
        )
    };
    let differs = |window: &str| {
        (0..5).any(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let (sent, questions) = history(seed);
            let file = folder.path().join("events.jsonl");
            std::fs::write(&file, sent.iter().map(Sent::line).collect::<Vec<_>>().join("\n")).unwrap();
            let asked = folder.path().join("asked.csv");
            let lines = questions.iter().map(|(visitor, at_us)| format!("v{visitor},{}\n", at_us.div_euclid(1000)));
            std::fs::write(&asked, format!("user,at\n{}", lines.collect::<String>())).unwrap();
            let rows = run(folder.path(), &[file], &asked, usize::MAX, &profile(window), false);
            rows.iter().any(|row| row["features"][format!("seen_{window}")] != row["features"]["product_view_count_5m"])
        })
    };
    assert!(!differs("300000ms"));
    assert!(differs("300001ms"));
}
