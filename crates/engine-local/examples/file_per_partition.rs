//! One shared journal beside a file per partition: the same records, commit by commit, alternating in one run.
//!
//! `cargo run --release -p midsession-engine-local --example file_per_partition -- FOLDER [ROUNDS]`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use bytes::Bytes;
use midsession_engine_local::{Clock, Config, LocalLog, RealDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Unit};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a record's value.
const VALUE_BYTES: usize = 150;

fn open(folder: &Path) -> LocalLog {
    let clock: Clock = Arc::new(|| 1_763_800_000_000);
    LocalLog::open_threadless(Arc::new(RealDisk), clock, Config { partitions: 256, ..Config::new(folder) }).unwrap()
}

fn record(partition: usize, noise: &mut u64) -> Append {
    let mut next = || {
        *noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *noise >> 33
    };
    let mut value = format!("product_view {:016x} https://shop.example/p/{} {:016x}", next(), next() % 20_000, next());
    value.extend(std::iter::repeat_n('.', VALUE_BYTES - value.len()));
    Append {
        topic: Topic::Behavior,
        partition: PartitionId(partition as u32),
        key: Bytes::from(format!("visitor-{:08x}", next())),
        value: Some(Bytes::from(value)),
    }
}

/// Commits a unit and says how long it took until all of it was durable.
fn commit(logs: &[(&LocalLog, Unit)]) -> Duration {
    let start = Instant::now();
    for (log, unit) in logs {
        log.append(unit.clone().into(), Box::new(|answer| drop(answer.unwrap())));
        log.commit_now();
    }
    start.elapsed()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder on the disk to measure");
    let rounds: usize = arguments.next().map_or(40, |rounds| rounds.parse().unwrap());
    println!(
        "partitions  records/commit  shared ms  per partition ms  ratio   shared records/s  per partition records/s"
    );
    let mut noise = 7;
    for partitions in [16usize, 256] {
        let folder = tempfile::tempdir_in(&folder).unwrap();
        let shared = open(&folder.path().join("shared"));
        let apart: Vec<_> = (0..partitions).map(|at| open(&folder.path().join(at.to_string()))).collect();
        for records in [1usize, 20, 400, 4_000] {
            let (mut shared_times, mut apart_times) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let all: Vec<_> = (0..records).map(|at| record((at * 7) % partitions, &mut noise)).collect();
                let of = |partition: usize| {
                    let here = |record: &&Append| record.partition.0 as usize == partition;
                    Unit { records: all.iter().filter(here).cloned().collect(), positions: vec![] }
                };
                let parts: Vec<_> = (0..partitions)
                    .map(|partition| (&apart[partition], of(partition)))
                    .filter(|(_, unit)| !unit.records.is_empty())
                    .collect();
                apart_times.push(commit(&parts));
                shared_times.push(commit(&[(&shared, Unit { records: all.clone(), positions: vec![] })]));
            }
            let (shared_ms, apart_ms) = (median(&mut shared_times), median(&mut apart_times));
            let rate = |ms: f64| records as f64 / ms * 1e3;
            println!(
                "{partitions:10}  {records:14}  {shared_ms:9.3}  {apart_ms:16.3}  {:5.1}   {:16.0}  {:23.0}",
                apart_ms / shared_ms,
                rate(shared_ms),
                rate(apart_ms)
            );
        }
    }
}
