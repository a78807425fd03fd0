//! What every bench says beside its figures: machine, load, revision; and how processor time is read.

use serde_json::{Value, json};

/// Machine, load average and revision.
pub(super) fn surroundings() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo").lines().find_map(|line| {
        line.strip_prefix("model name").map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    json!({
        "machine": {"cpu": cpu, "cores": cores}, "load_average": load, "revision": env!("MIDSESSION_REVISION"),
        "version": env!("CARGO_PKG_VERSION"), "optimised": !cfg!(debug_assertions),
        "memory_cpu_ms_per_2_mib": memory_cpu_ms(),
    })
}

/// Processor time that 2 MiB of memory cost to write for the first time and again. Where the machine is a virtual one whose
/// host gives memory only when it is touched, the first time is far dearer, and that is in every figure. ms.
fn memory_cpu_ms() -> Value {
    const PIECES: usize = 32;
    let mut memory: Vec<u8> = Vec::with_capacity(PIECES << 21);
    let mut written = |byte: u8| {
        let before_us = crate::driver::thread_cpu_us();
        memory.clear();
        memory.resize(PIECES << 21, byte);
        std::hint::black_box(&memory);
        (crate::driver::thread_cpu_us() - before_us) as f64 / 1000.0 / PIECES as f64
    };
    json!({"first": written(1), "again": written(2)})
}

/// Processor time (user and system) of a process so far. s.
pub(super) fn cpu_s(pid: u32) -> f64 {
    cpu_of(&format!("/proc/{pid}/stat"))
}

/// Processor time of a process so far by the work its threads do: HTTP with collecting and encoding, the log with its
/// syncs, the partition machines. s.
pub(super) fn cpu_by_work_s(pid: u32) -> [(&'static str, f64); 3] {
    let mut work = [("edge", 0.0), ("log", 0.0), ("stream", 0.0)];
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let path = task.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let index = if name.starts_with("stream") {
            2
        } else if name.starts_with("log") {
            1
        } else {
            0
        };
        work[index].1 += cpu_of(&path.join("stat").display().to_string());
    }
    work
}

fn cpu_of(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name may hold spaces: fields are counted from behind its parenthesis. utime and stime are 12th and 13th.
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    // Linux reports these in hundredths of a second on every architecture it supports.
    ticks as f64 / 100.0
}

/// Whether a child has ended, also where nobody has waited for it yet.
pub(super) fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: its state.
    stat.rsplit(')').next().is_none_or(|rest| matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
}

/// Resident memory of a process. Bytes.
pub(super) fn resident_bytes(pid: u32) -> u64 {
    memory_of(pid, "VmRSS:")
}

/// The most that has been resident of a process so far. Bytes.
pub(super) fn peak_resident_bytes(pid: u32) -> u64 {
    memory_of(pid, "VmHWM:")
}

fn memory_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A latency histogram as the benches print it. Recorded in µs.
pub(super) fn latency(histogram: &hdrhistogram::Histogram<u64>) -> Value {
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    json!({"count": histogram.len(), "p50_ms": ms(0.5), "p99_ms": ms(0.99), "p999_ms": ms(0.999), "max_ms": histogram.max() as f64 / 1000.0})
}

/// A histogram for latencies up to a minute, in µs.
pub(super) fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 3).expect("invariant: bounds and digits are ones it takes")
}
