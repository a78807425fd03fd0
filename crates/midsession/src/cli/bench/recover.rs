//! `bench recover`: a restart on a full state: from the last snapshots, and the records since.

use super::Peak;
use super::figures::{cpu_s, surroundings};
use super::peak::{self, Counts, Held};
use crate::cli::Failure;
use midsession_event::{PartitionId, Topic};
use midsession_ports::Log;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

pub(super) fn run(options: &Peak) -> Result<Value, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::new)?;
    let stamp = Arc::new(AtomicI64::new(0));
    let bar = indicatif::ProgressBar::new(options.events);
    peak::write(options, folder.path(), &stamp, &bar)?;
    bar.finish_and_clear();
    let live = peak::pass(options, folder.path(), &stamp)?;
    let dropped = std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok();
    let mut restarts = Vec::new();
    // The first from the disk, if its cache could be dropped.
    for page_cache_dropped in [dropped, false] {
        let mut restart = restart(options, folder.path(), &stamp)?;
        restart["page_cache_dropped"] = page_cache_dropped.into();
        restarts.push(restart);
    }
    Ok(json!({"bench": "recover", "surroundings": surroundings(), "parameters": {
        "events": options.events, "shoppers": options.shoppers, "partitions": options.partitions,
        "threads": options.threads, "zipf": options.zipf, "seed": options.seed},
        "live": live, "restarts": restarts}))
}

fn restart(options: &Peak, folder: &std::path::Path, stamp: &Arc<AtomicI64>) -> Result<Value, Failure> {
    let (cpu, began) = (cpu_s(std::process::id()), Instant::now());
    let log = peak::open(options, folder, stamp)?;
    let opened_s = began.elapsed().as_secs_f64();
    let driver = peak::start(options, folder, &log, &Arc::new(Counts::default()))?;
    let (mut restored_s, mut from) = (None, None);
    loop {
        if let Some(failure) = driver.failure() {
            return Err(failure.into());
        }
        let progress = driver.progress();
        if restored_s.is_none() && progress.restored {
            restored_s = Some(began.elapsed().as_secs_f64());
            from = Some(progress.replay_done);
        }
        if restored_s.is_some() && progress.replaying == 0 && driver.is_settled() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let fresh_s = began.elapsed().as_secs_f64();
    let cpu_s = cpu_s(std::process::id()) - cpu;
    let held = Held::of(&driver, options)?;
    driver.stop(Duration::from_secs(10));
    let ends = (0..options.partitions).map(|partition| log.extent(Topic::Behavior, PartitionId(partition)));
    let records: i64 = ends.map(|extent| extent.map(|extent| extent.end)).sum::<Result<_, _>>()?;
    let replayed = records - from.unwrap_or(0);
    Ok(json!({
        "log_opened_s": opened_s, "restored_s": restored_s, "fresh_s": fresh_s, "cpu_s": cpu_s,
        "shoppers": held.shoppers, "records": records, "replayed": replayed,
    }))
}
