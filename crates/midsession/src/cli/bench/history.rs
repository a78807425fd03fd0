//! `bench history`: a training set from a file of events in no order, by `midsession features` as a process of its own.

use super::Past;
use super::figures::{cpu_s, has_ended, peak_resident_bytes, surroundings};
use crate::cli::Failure;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first day begins here. Epoch ms.
const BEGIN_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const EVENTS_A_DAY: u64 = 100_000;
const VISITORS_A_DAY: u64 = 25_000;
/// A line stands so far from its place at most. ms.
const AWAY_MS: i64 = 6 * 3_600_000;
/// Between two looks at the memory of the process.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) fn run(options: &Past) -> Result<Value, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::new)?;
    let (events, asked) = (folder.path().join("events.jsonl"), folder.path().join("who.csv"));
    let mut rng = fastrand::Rng::with_seed(options.seed);
    write_events(options, &events, &mut rng).map_err(Failure::new)?;
    write_questions(options, &asked, &mut rng).map_err(Failure::new)?;
    let file_bytes = std::fs::metadata(&events).map_err(Failure::new)?.len();
    let began = Instant::now();
    let mut child = Command::new(std::env::current_exe().map_err(Failure::new)?)
        .args(["features", "--json", "--events", "events.jsonl", "--entities", "who.csv", "--output", "rows.parquet"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Failure::new)?;
    let mut peak_bytes = 0;
    // Ended and not waited for, its processor time can still be read.
    while !has_ended(child.id()) {
        peak_bytes = peak_resident_bytes(child.id()).max(peak_bytes);
        std::thread::sleep(LOOK_EVERY);
    }
    let (cpu_s, wall_s) = (cpu_s(child.id()), began.elapsed().as_secs_f64());
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut said).map_err(Failure::new)?;
    }
    let status = child.wait().map_err(Failure::new)?;
    let told: Value = serde_json::from_str(&said)
        .map_err(|_| Failure::new(format!("midsession features ended with {status} and said `{said}`")))?;
    if told["events"] != options.events || told["rows"] != options.questions {
        return Err(Failure::new(format!("not every event and question was taken: {told}")));
    }
    let count = options.events.max(1) as f64;
    Ok(json!({
        "bench": "history", "surroundings": surroundings(),
        "parameters": {
            "events": options.events, "questions": options.questions, "seed": options.seed,
            "visitors_a_day": VISITORS_A_DAY, "events_a_day": EVENTS_A_DAY, "away_h": AWAY_MS / 3_600_000,
        },
        "file_bytes": file_bytes, "bytes_per_event": file_bytes as f64 / count, "rows": told["rows"],
        "events_per_s": (count / wall_s).round(), "cpu_us_per_event": cpu_s * 1e6 / count,
        "peak_resident_bytes": peak_bytes,
    }))
}

/// A native event on each line, as a shop has them: its arrival as far as six hours from its place.
fn write_events(options: &Past, path: &Path, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let bar = indicatif::ProgressBar::new(options.events);
    for number in 0..options.events {
        let place_ms = BEGIN_MS + (number as i64 * DAY_MS) / EVENTS_A_DAY as i64;
        let at_ms = place_ms + rng.i64(-AWAY_MS..=AWAY_MS);
        let visitor = visitor(at_ms, rng);
        let (name, has_product) = match rng.u32(..100) {
            0..45 => ("page_view", false),
            45..80 => ("product_view", true),
            80..88 => ("list_view", false),
            88..97 => ("add_to_cart", true),
            _ => ("checkout_step", false),
        };
        let product = rng.u32(..200_000);
        let products = if has_product {
            let price = f64::from(product % 20_000) / 100.0;
            json!([{"id": format!("sku-{product}"), "category": format!("category-{}", product % 200), "price": price,
                "currency": "EUR", "quantity": 1}])
        } else {
            json!([])
        };
        let event = json!({
            "event_id": format!("{:016x}-{number:012x}", options.seed), "name": name, "visitor_id": visitor,
            "occurred_at": at_ms - rng.i64(0..2_000), "received_at": at_ms,
            "page": {"url": format!("https://shop.example/products/{}", product % 5_000), "title": "A page of the shop",
                "referrer": "https://search.example/"},
            "products": products,
        });
        serde_json::to_writer(&mut file, &event)?;
        file.write_all(b"\n")?;
        if number % 10_000 == 0 {
            bar.set_position(number);
        }
    }
    bar.finish_and_clear();
    file.flush()
}

/// One of the visitors of an instant's day.
fn visitor(at_ms: i64, rng: &mut fastrand::Rng) -> String {
    let day = (at_ms - BEGIN_MS).div_euclid(DAY_MS);
    format!("visitor-{:04}-{:05}", day + 1, rng.u64(..VISITORS_A_DAY))
}

/// Whose features, and as of when.
fn write_questions(options: &Past, path: &Path, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"user,at\n")?;
    let length_ms = (options.events as i64 * DAY_MS) / EVENTS_A_DAY as i64;
    for _ in 0..options.questions {
        let at_ms = BEGIN_MS + rng.i64(0..=length_ms);
        writeln!(file, "{},{at_ms}", visitor(at_ms, rng))?;
    }
    file.flush()
}
