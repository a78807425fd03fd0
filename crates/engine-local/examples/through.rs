//! What the log takes of the processor and the disk when much goes through it, and how long opening takes then.
//!
//! `cargo run --release -p midsession-engine-local --example through -- FOLDER [MILLION_RECORDS]`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use bytes::Bytes;
use midsession_engine_local::{Clock, Config, LocalLog, RealDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, LogError, Unit};
use std::sync::Arc;
use std::time::Instant;

const PARTITIONS: u32 = 256;
/// Records per unit.
const UNIT: u64 = 1_000;

fn open(folder: &std::path::Path) -> LocalLog {
    let clock: Clock = Arc::new(|| 1_763_800_000_000);
    let config = Config { partitions: PARTITIONS, keep_bytes: 1 << 40, ..Config::new(folder) };
    LocalLog::open(Arc::new(RealDisk), clock, config).unwrap()
}

fn unit(number: u64) -> Unit {
    let record = |at: u64| {
        let id = (number * UNIT + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut value =
            format!("product_view {id:016x} https://shop.example/p/{} {:016x}", id % 20_000, id.rotate_left(23));
        value.extend(std::iter::repeat_n('.', 150 - value.len()));
        Append {
            topic: Topic::Behavior,
            partition: PartitionId((id >> 32) as u32 % PARTITIONS),
            key: Bytes::from(format!("visitor-{:08x}", id >> 40)),
            value: Some(Bytes::from(value)),
        }
    };
    Unit { records: (0..UNIT).map(record).collect(), positions: vec![] }
}

/// Processor time of this process. Ns.
fn cpu_ns() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 =
        stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    ticks as f64 * 1e7
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder on the disk to measure");
    let folder = tempfile::tempdir_in(folder).unwrap();
    let units = arguments.next().map_or(5, |count| count.parse::<u64>().unwrap()) * 1_000_000 / UNIT;
    let records = (units * UNIT) as f64;
    let (begun, cpu) = (Instant::now(), cpu_ns());
    for number in 0..units {
        std::hint::black_box(unit(number));
    }
    let making = (cpu_ns() - cpu) / records;
    println!("make:   {making:5.0} ns/record ({:.1} s)", begun.elapsed().as_secs_f64());

    let log = open(folder.path());
    let (begun, cpu) = (Instant::now(), cpu_ns());
    for number in 0..units {
        let unit = unit(number);
        while log.stats().queued_bytes > 32 << 20 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        log.append(unit.into(), Box::new(|answer: Result<_, LogError>| drop(answer.unwrap())));
    }
    while log.stats().units < units {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let (seconds, stats) = (begun.elapsed().as_secs_f64(), log.stats());
    println!(
        "append: {:5.0} ns cpu/record, {:.0} records/s, {:.0} MB/s in {} commits, {:.0} bytes/record",
        (cpu_ns() - cpu) / records - making,
        records / seconds,
        stats.written_bytes as f64 / 1e6 / seconds,
        stats.commits,
        stats.written_bytes as f64 / records
    );

    let (begun, cpu, mut count, mut entries) = (Instant::now(), cpu_ns(), 0, Vec::new());
    for partition in (0..PARTITIONS).map(PartitionId) {
        let mut from = 0;
        loop {
            entries.clear();
            log.read(Topic::Behavior, partition, from, 256 << 10, &mut entries).unwrap();
            let Some(last) = entries.last() else { break };
            (from, count) = (last.offset + 1, count + entries.len());
        }
    }
    assert_eq!(count as f64, records);
    let seconds = begun.elapsed().as_secs_f64();
    println!("read:   {:5.0} ns cpu/record, {:.0} records/s", (cpu_ns() - cpu) / records, records / seconds);

    drop(log);
    let begun = Instant::now();
    drop(open(folder.path()));
    println!("open after a close: {:.3} s", begun.elapsed().as_secs_f64());
    // As after a kill: no index of the last file.
    let indexes = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut indexes: Vec<_> = indexes.filter(|path| path.extension().is_some_and(|end| end == "index")).collect();
    indexes.sort();
    std::fs::remove_file(indexes.pop().unwrap()).unwrap();
    let begun = Instant::now();
    drop(open(folder.path()));
    println!("open after a kill:  {:.3} s", begun.elapsed().as_secs_f64());
    for index in indexes {
        std::fs::remove_file(index).unwrap();
    }
    let begun = Instant::now();
    drop(open(folder.path()));
    println!("open with no index: {:.3} s", begun.elapsed().as_secs_f64());
}
