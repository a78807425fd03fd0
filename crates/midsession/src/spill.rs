//! Facts over the memory budget: each partition's share of memory and disk, and the metrics of what is on disk.

use crate::config::Config;
use crate::driver::Spills;
use midsession_engine_local::{Disk, LOADS_WITHIN_US, LocalSpills, SpillStats};
use midsession_event::PartitionId;
use midsession_observe::{Metric, Metrics};
use midsession_ports::LogError;
use midsession_stream::Spilling;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The labels of loads, by how long they took.
const LOADS_WITHIN: [&str; LOADS_WITHIN_US.len() + 1] = ["10us", "100us", "1ms", "10ms", "more"];

/// Where facts go that are over the budget.
pub struct SpillFolder {
    files: Arc<LocalSpills>,
    /// A partition's share of memory.
    memory_bytes: usize,
    /// Of the disk.
    disk_bytes: u64,
    told: Mutex<Told>,
}

/// A machine of an audit has this part of its partition's share of memory.
const AUDIT_SHARE: usize = 8;

/// Counts as the metrics have them.
#[derive(Default)]
struct Told {
    written: u64,
    refused: u64,
    loads: [u64; LOADS_WITHIN_US.len() + 1],
}

/// Opens the folder of a configuration.
pub fn open(config: &Config, disk: Arc<dyn Disk>, partitions: u32) -> Result<SpillFolder, LogError> {
    let share = |mib: u32| (u64::from(mib) << 20) / u64::from(partitions.max(1));
    let memory_bytes = usize::try_from(share(config.facts_memory_mib)).unwrap_or(usize::MAX);
    SpillFolder::open(disk, &config.data, memory_bytes, share(config.facts_spill_mib))
}

impl SpillFolder {
    /// In this data folder, with these shares of each partition.
    pub fn open(disk: Arc<dyn Disk>, data: &Path, memory_bytes: usize, disk_bytes: u64) -> Result<Self, LogError> {
        let files = Arc::new(LocalSpills::open(disk, data)?);
        Ok(Self { files, memory_bytes, disk_bytes, told: Mutex::default() })
    }

    /// For the partitions' owners.
    pub fn spills(&self) -> Spills {
        let (files, memory_bytes, disk_bytes) = (Arc::clone(&self.files), self.memory_bytes, self.disk_bytes);
        Arc::new(move |partition| {
            let file = || Box::new(files.of(partition, disk_bytes));
            (disk_bytes > 0).then(|| Spilling::new(file(), memory_bytes))
        })
    }

    /// For an audit while memory is short: two machines of a partition with an eighth of its share each, and files of their
    /// own.
    pub fn of_audit(&self, partition: PartitionId) -> [Option<Spilling>; 2] {
        ["audit-", "saved-"].map(|prefix| {
            let file = self.files.beside(prefix).of(partition, self.disk_bytes);
            Some(Spilling::new(Box::new(file), self.memory_bytes / AUDIT_SHARE))
        })
    }

    /// What is on disk.
    pub fn stats(&self) -> &SpillStats {
        self.files.stats()
    }

    /// In numbers, for a bench.
    pub fn figures(&self) -> serde_json::Value {
        let stats = self.stats();
        let loads: serde_json::Map<_, _> = LOADS_WITHIN
            .iter()
            .zip(&stats.loads)
            .map(|(within, loads)| ((*within).to_owned(), loads.load(Relaxed).into()))
            .collect();
        serde_json::json!({
            "shoppers": stats.entries.load(Relaxed), "mb": stats.bytes.load(Relaxed) as f64 / 1e6,
            "file_mb": stats.file_bytes.load(Relaxed) as f64 / 1e6, "written": stats.written.load(Relaxed),
            "refused": stats.refused.load(Relaxed), "loads_within": loads,
        })
    }

    /// Sets the gauges and moves the counters on.
    pub fn gauges(&self, metrics: &Metrics) {
        let stats = self.stats();
        let held = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.set(Metric::FactsSpilledShoppers, held(stats.entries.load(Relaxed)));
        metrics.set(Metric::FactsSpilledBytes, held(stats.bytes.load(Relaxed)));
        metrics.set(Metric::FactsSpillFileBytes, held(stats.file_bytes.load(Relaxed)));
        let mut told = self.told.lock();
        let now = Told {
            written: stats.written.load(Relaxed),
            refused: stats.refused.load(Relaxed),
            loads: std::array::from_fn(|class| stats.loads[class].load(Relaxed)),
        };
        metrics.add(Metric::FactsSpills, now.written.saturating_sub(told.written));
        metrics.add(Metric::FactsSpillsRefused, now.refused.saturating_sub(told.refused));
        for (class, within) in LOADS_WITHIN.iter().enumerate() {
            metrics.add_by(Metric::FactsLoads, within, now.loads[class].saturating_sub(told.loads[class]));
        }
        *told = now;
    }
}
