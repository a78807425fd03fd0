//! `bench peak`: a backlog on the durable log, through the partition machines, until every feature is readable.

use super::Peak;
use super::figures::{cpu_s, histogram, latency, resident_bytes, surroundings};
use crate::assemble::Assembly;
use crate::cli::Failure;
use crate::config::Config;
use crate::driver::{Around, Cause, Clock, Decider, Driver, Seen, Sink, SnapshotRule, SnapshotTold};
use bytes::Bytes;
use midsession_engine_local::{LocalLog, LocalSnapshots, RealDisk};
use midsession_event::{
    Cart, Decision, Event, EventName, Outcome, PartitionId, Product, Record, ShopperId, Topic, partition_of,
};
use midsession_machine::Candidate;
use midsession_ports::{Append, Log, Unit};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The instant at which the simulated rush begins. Epoch ms.
const BEGIN_MS: i64 = 1_790_000_000_000;
/// Its length: front-loaded, as half of it comes in the first third. ms.
const RUSH_MS: i64 = 90_000;
/// The clock stands here while the machines run: all of the rush lies behind. Epoch ms.
const END_MS: i64 = BEGIN_MS + RUSH_MS + 1;
/// Records of one unit while the input is written: what comes in at a million events a second while a commit of ten
/// milliseconds is under way.
const UNIT: usize = 10_000;

pub(super) fn run(options: &Peak) -> Result<Value, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::new)?;
    let stamp = Arc::new(AtomicI64::new(BEGIN_MS));
    let bar = indicatif::ProgressBar::new(options.events);
    write(options, folder.path(), &stamp, &bar)?;
    bar.finish_and_clear();
    // A pass writes to its log, so each has a copy of the input of its own.
    let copy = tempfile::tempdir().map_err(Failure::new)?;
    for entry in std::fs::read_dir(folder.path()).map_err(Failure::new)? {
        let entry = entry.map_err(Failure::new)?;
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).map_err(Failure::new)?;
    }
    let dropped = std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok();
    let mut cold = pass(options, folder.path(), &stamp)?;
    cold["page_cache_dropped"] = dropped.into();
    for entry in std::fs::read_dir(copy.path()).map_err(Failure::new)? {
        std::fs::read(entry.map_err(Failure::new)?.path()).map_err(Failure::new)?;
    }
    let warm = pass(options, copy.path(), &stamp)?;
    Ok(json!({"bench": "peak", "surroundings": surroundings(), "parameters": {
        "events": options.events, "shoppers": options.shoppers, "partitions": options.partitions,
        "threads": options.threads, "zipf": options.zipf, "seed": options.seed, "rush_ms": RUSH_MS,
        "facts_memory_mib": options.facts_memory_mib, "interventions": options.interventions,
        "known": 0.3, "duplicates": 0.01, "late": 0.02, "bots": 0.01},
        "cold": cold, "warm": warm}))
}

pub(super) fn open(options: &Peak, folder: &std::path::Path, stamp: &Arc<AtomicI64>) -> Result<Arc<LocalLog>, Failure> {
    let mut config = midsession_engine_local::Config::new(folder);
    config.partitions = options.partitions;
    config.keep_bytes = 1 << 40;
    let stamp = Arc::clone(stamp);
    let clock = Arc::new(move || stamp.load(Ordering::Relaxed));
    Ok(Arc::new(LocalLog::open(Arc::new(RealDisk), clock, config)?))
}

/// Writes the input.
pub(super) fn write(
    options: &Peak,
    folder: &std::path::Path,
    stamp: &Arc<AtomicI64>,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let log = open(options, folder, stamp)?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let zipf = Zipf::new(options.shoppers, options.zipf);
    let mut last: Option<Event> = None;
    let mut number = 0;
    while number < options.events {
        // Half of the events in the first third of the rush.
        let part = number as f64 / options.events as f64;
        let at_ms = BEGIN_MS
            + (RUSH_MS as f64 * if part < 0.5 { part * 2.0 / 3.0 } else { 1.0 / 3.0 + (part - 0.5) * 4.0 / 3.0 })
                as i64;
        stamp.store(at_ms, Ordering::Relaxed);
        let mut unit = Unit::default();
        while unit.records.len() < UNIT && number < options.events {
            let event = match last.take() {
                Some(event) if rng.u32(..100) == 0 => event,
                _ => event(number, at_ms, &zipf, &mut rng),
            };
            let key = Bytes::copy_from_slice(event.key().as_bytes());
            let partition = partition_of(event.key(), options.partitions);
            last = Some(event.clone());
            let value = Record::Event(Box::new(event)).encode().map_err(Failure::new)?;
            unit.records.push(Append { topic: Topic::Behavior, partition, key, value: Some(value.into()) });
            number += 1;
        }
        bar.set_position(number);
        let (sender, receiver) = std::sync::mpsc::channel();
        log.append(unit.into(), Box::new(move |result| drop(sender.send(result.map(|_| ())))));
        receiver.recv().map_err(Failure::new)??;
    }
    Ok(())
}

fn event(number: u64, at_ms: i64, zipf: &Zipf, rng: &mut fastrand::Rng) -> Event {
    let shopper = zipf.draw(rng);
    let late_ms = if rng.u32(..100) < 2 { rng.i64(1_000..120_000) } else { 0 };
    let name = match rng.u32(..100) {
        0..45 => EventName::PageView,
        45..75 => EventName::ProductView,
        75..88 => EventName::ListView,
        88..96 => EventName::AddToCart,
        96..98 => EventName::CheckoutStep,
        98 => EventName::Transaction,
        _ => EventName::Search,
    };
    let mut event = Event::new("shop".into(), format!("e{number}").into(), name, at_ms - late_ms);
    event.visitor_id = Some(format!("visitor-{shopper:012x}").into());
    // 30 % are known; what they do goes to another home unless both hashes agree.
    if shopper % 10 < 3 {
        event.user_id = Some(format!("user-{shopper}").into());
    }
    event.bot = shopper % 100 == 99;
    event.page = Some(midsession_event::Page {
        url: Some(format!("https://shop.example/p/{}", shopper % 5000).into()),
        ..Default::default()
    });
    if matches!(event.name, EventName::ProductView | EventName::AddToCart) {
        let product = rng.u32(..200_000);
        event.products = vec![Product {
            id: format!("sku-{product}").into(),
            category: Some(format!("category-{}", product % 200).into()),
            price: Some(f64::from(product % 20_000) / 100.0),
            currency: Some("EUR".into()),
            quantity: Some(1),
            ..Product::default()
        }];
    }
    if event.name == EventName::AddToCart {
        event.cart = Some(Cart {
            id: None,
            total_value: Some(f64::from(rng.u32(..30_000)) / 100.0),
            currency: Some("EUR".into()),
        });
    }
    event
}

/// Runs the whole input once.
pub(super) fn pass(options: &Peak, folder: &std::path::Path, stamp: &Arc<AtomicI64>) -> Result<Value, Failure> {
    let log = open(options, folder, stamp)?;
    let input: i64 = (0..options.partitions)
        .map(|partition| log.extent(Topic::Behavior, PartitionId(partition)).map(|extent| extent.end))
        .sum::<Result<_, _>>()?;
    let input_bytes = stored(log.as_ref())?;
    let counts = Arc::new(Counts::default());
    stamp.store(END_MS, Ordering::Relaxed);
    let pid = std::process::id();
    let (memory, cpu, began) = (resident_bytes(pid), cpu_s(pid), Instant::now());
    let driver = start(options, folder, &log, &counts)?;
    let mut reads = histogram();
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let held = loop {
        if let Some(failure) = driver.failure() {
            return Err(failure.into());
        }
        read(&driver, options, &mut rng, &mut reads)?;
        // An owner that has nothing to do may be about to be sent something: all is done when all has arrived.
        if driver.is_settled() {
            let held = Held::of(&driver, options)?;
            if held.counters.events == input as u64 && held.counters.arrived == held.counters.forwarded {
                break held;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (wall_s, cpu_used_s) = (began.elapsed().as_secs_f64(), cpu_s(pid) - cpu);
    let memory = resident_bytes(pid).saturating_sub(memory);
    // Before they go with their machines.
    let spilled = counts.spill.get().map(crate::spill::SpillFolder::figures);
    driver.stop(Duration::from_secs(10));
    if !held.counters.adds_up() {
        return Err(Failure::new(format!("events are not accounted for: {:?}", held.counters)));
    }
    // Copies forwarded to a home come back as input: events count once, by what the load sent.
    let events = options.events as f64;
    Ok(json!({
        "events_per_s": (events / wall_s).round(), "cpu_us_per_event": cpu_used_s * 1e6 / events,
        "wall_s": wall_s, "cpu_s": cpu_used_s, "records_read": input,
        "input_mb_per_s": input_bytes as f64 / 1e6 / wall_s,
        "output_mb_per_s": (stored(log.as_ref())? - input_bytes) as f64 / 1e6 / wall_s,
        "shoppers": held.shoppers, "bytes_per_shopper": held.bytes / held.shoppers.max(1),
        // By the process: only the first pass starts from an empty heap.
        "resident_bytes_per_shopper": memory / held.shoppers.max(1),
        "forwarded": held.counters.forwarded, "duplicates": held.counters.duplicates, "late": held.counters.late,
        "session_updates": counts.sessions.load(Ordering::Relaxed), "applied": held.counters.on_time + held.counters.late,
        "snapshots": counts.snapshots.load(Ordering::Relaxed),
        "snapshot_mb": counts.snapshot_bytes.load(Ordering::Relaxed) as f64 / 1e6,
        "snapshot_piece_cpu": latency(&counts.pieces.lock().cpu_us), "snapshot_piece": latency(&counts.pieces.lock().took_us),
        "facts_spilled": spilled,
        "read_meanwhile": latency(&reads),
    }))
}

/// Starts the machines.
pub(super) fn start(
    options: &Peak,
    folder: &std::path::Path,
    log: &Arc<LocalLog>,
    counts: &Arc<Counts>,
) -> Result<Arc<Driver<Assembly>>, Failure> {
    let mut config = Config::default();
    (config.data, config.facts_memory_mib) = (folder.to_owned(), options.facts_memory_mib);
    config.is_without_rules = !options.interventions;
    let spill = crate::spill::open(&config, Arc::new(RealDisk), options.partitions)?;
    let around = Around {
        log: log.clone(),
        snapshots: Arc::new(LocalSnapshots::open(Arc::new(RealDisk), folder)?),
        snapshot_rule: SnapshotRule::of(options.partitions),
        spills: spill.spills(),
        accept_lost_state: false,
        definitions: Arc::new(Assembly::load(&config, true)?),
        decider: Arc::new(Refuses),
        sink: counts.clone(),
    };
    // Started once in each pass.
    _ = counts.spill.set(spill);
    let clock: Clock = Arc::new(|| END_MS * 1000);
    let config = midsession_stream::Config { partitions: options.partitions, ..Default::default() };
    Driver::start(&around, config, options.threads, &clock).map_err(Failure::new)
}

/// What the machines hold in the end.
#[derive(Default)]
pub(super) struct Held {
    pub(super) counters: midsession_stream::Counters,
    pub(super) shoppers: u64,
    bytes: u64,
}

impl Held {
    pub(super) fn of(driver: &Driver<Assembly>, options: &Peak) -> Result<Self, Failure> {
        let (sender, receiver) = std::sync::mpsc::channel();
        for partition in (0..options.partitions).map(PartitionId) {
            let sender = sender.clone();
            let question = move |seen: Seen<'_, Assembly>| {
                // The bench ends: nobody listens.
                let _ =
                    sender.send((seen.stream.counters(), seen.stream.len() as u64, seen.stream.heap_bytes() as u64));
            };
            driver.ask(partition, question).map_err(Failure::new)?;
        }
        drop(sender);
        Ok(receiver.iter().fold(Self::default(), |sum, (counters, shoppers, bytes)| Self {
            counters: sum.counters.plus(&counters),
            shoppers: sum.shoppers + shoppers,
            bytes: sum.bytes + bytes,
        }))
    }
}

/// Bytes that the log holds.
fn stored(log: &dyn Log) -> Result<u64, Failure> {
    let mut bytes = 0;
    for topic in Topic::ALL {
        for partition in (0..log.partitions(*topic)).map(PartitionId) {
            bytes += log.extent(*topic, partition)?.bytes;
        }
    }
    Ok(bytes)
}

fn read(
    driver: &Driver<Assembly>,
    options: &Peak,
    rng: &mut fastrand::Rng,
    reads: &mut hdrhistogram::Histogram<u64>,
) -> Result<(), Failure> {
    let shopper = rng.u64(..options.shoppers);
    let id = format!("visitor-{shopper:012x}");
    let partition = partition_of(&id, options.partitions);
    let (sender, receiver) = std::sync::mpsc::channel();
    let asked = Instant::now();
    let question = move |seen: Seen<'_, Assembly>| {
        let values = seen
            .stream
            .view(&ShopperId::Visitor(id.as_str().into()), seen.now_ms)
            .map(|view| seen.definitions.user_values(&view, &[]).len());
        // The bench ends: nobody listens.
        let _ = sender.send(values);
    };
    driver.ask(partition, question).map_err(Failure::new)?;
    if receiver.recv_timeout(Duration::from_secs(5)).is_ok() {
        reads.saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Decides nothing: deciding is measured by `bench loop`.
struct Refuses;

impl<D> Decider<D> for Refuses {
    fn decide(&self, candidate: &Candidate, _: &D, now_us: i64, _cause: Option<Cause>) -> Decision {
        Decision {
            decision_id: candidate.decision_id,
            rule: candidate.rule.clone(),
            rule_version: "bench".into(),
            shopper: candidate.shopper.clone(),
            visitor_id: candidate.visitor_id.clone(),
            session_id: candidate.session_id,
            cart_version: candidate.cart_version as i64,
            outcome: Outcome::Disabled,
            slot: "none".into(),
            payload: "{}".into(),
            expires_at_ms: now_us / 1000,
            asked_at_ms: candidate.asked_at_ms,
            inputs: Default::default(),
            cause: candidate.cause,
            cause_event_id: None,
            by_silence: candidate.cause_event.is_none(),
            stamps_us: Default::default(),
            context: Default::default(),
        }
    }
}

#[derive(Default)]
pub(super) struct Counts {
    sessions: AtomicU64,
    snapshots: AtomicU64,
    snapshot_bytes: AtomicU64,
    pieces: parking_lot::Mutex<Pieces>,
    spill: OnceLock<crate::spill::SpillFolder>,
}

/// How long pieces of snapshots held up their partition, and how much of the processor's time they took.
struct Pieces {
    took_us: hdrhistogram::Histogram<u64>,
    cpu_us: hdrhistogram::Histogram<u64>,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { took_us: histogram(), cpu_us: histogram() }
    }
}

impl Sink for Counts {
    fn session(&self, _: &midsession_event::SessionUpdate) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }
    fn snapshot(&self, told: &SnapshotTold) {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.snapshot_bytes.fetch_add(told.bytes, Ordering::Relaxed);
    }
    fn snapshot_piece(&self, took_us: i64, cpu_us: i64) {
        let mut pieces = self.pieces.lock();
        pieces.took_us.saturating_record(took_us.max(1).unsigned_abs());
        pieces.cpu_us.saturating_record(cpu_us.max(1).unsigned_abs());
    }
}

/// Shoppers by a Zipf law, drawn by inverting the distribution of its continuous relative on 1..=n.
struct Zipf {
    shoppers: u64,
    exponent: f64,
    span: f64,
}

impl Zipf {
    fn new(shoppers: u64, exponent: f64) -> Self {
        let exponent = exponent.clamp(0.0, 0.99);
        let span = ((shoppers + 1) as f64).powf(1.0 - exponent) - 1.0;
        Self { shoppers, exponent, span }
    }

    fn draw(&self, rng: &mut fastrand::Rng) -> u64 {
        let rank = (1.0 + rng.f64() * self.span).powf(1.0 / (1.0 - self.exponent));
        (rank as u64 - 1).min(self.shoppers - 1)
    }
}
