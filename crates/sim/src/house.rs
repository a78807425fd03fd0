//! The real assembly on a simulated disk, without threads: log, owners, features and interventions, started and
//! killed at will.

use crate::port::{Fault, Port};
use midsession::assemble::{Assembly, Desk};
use midsession::config::Config;
use midsession::driver::{Decider, Owner, Sink};
use midsession::switches::Switches;
use midsession_engine_local::{LocalLog, SimDisk};
use midsession_event::{Decision, Outcome, PartitionId};
use midsession_ports::{Log, LogError};
use midsession_stream::Stream;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How the house is built.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Partitions of `behavior`.
    pub partitions: u32,
    /// Owners that share them.
    pub owners: u32,
    /// What goes wrong on purpose.
    pub fault: Option<Fault>,
    /// Routed records are written twice.
    pub twice: bool,
    /// A journal file is closed at about this size. Bytes.
    pub journal_bytes: u64,
}

/// What was shown since the start.
#[derive(Default)]
struct Notes {
    shown: Mutex<BTreeSet<u128>>,
    wrong: Mutex<Option<String>>,
}

impl Sink for Notes {
    fn decided(&self, decision: &Decision, _durable_us: i64, replayed: bool) {
        let is_new =
            replayed || decision.outcome != Outcome::Served || self.shown.lock().insert(decision.decision_id.0);
        if !is_new {
            *self.wrong.lock() = Some(format!("D-2: shown twice in one life: {decision:?}"));
        }
    }
}

/// The running assembly.
pub struct House {
    /// The log as the assembly sees it.
    pub port: Arc<Port>,
    /// The compiled definitions.
    pub assembly: Arc<Assembly>,
    owners: Vec<Owner<Assembly>>,
    notes: Arc<Notes>,
    grew: Arc<Mutex<Vec<PartitionId>>>,
    partitions: u32,
}

impl House {
    /// Starts on what the disk holds. `now_us`: the clock. Epoch µs.
    pub fn start(disk: &SimDisk, now_us: &Arc<AtomicI64>, plan: &Plan) -> Result<Self, LogError> {
        let broken = |cause: String| LogError::Failed { cause };
        let window_ms = 300_000 + i64::from(plan.fault == Some(Fault::WindowEdge));
        let text = format!(
            "[[feature]]\nname = \"edge\"\nkey = \"user\"\nwhen = 'event.name == \"product_view\"'\nfold = \"count\"\n\
             windows = [\"{window_ms}ms\"]\ndoc = \"x\"\n"
        );
        let config = Config::parse(&text, Path::new("sim.toml")).map_err(broken)?;
        let assembly = Arc::new(Assembly::load(&config, true).map_err(broken)?);
        let mut stream = config.stream(plan.partitions);
        if let Some(Fault::Machine(defect)) = plan.fault {
            stream.defect = Some(defect);
        }
        let clock = Arc::clone(now_us);
        let log_config = midsession_engine_local::Config {
            partitions: plan.partitions,
            journal_bytes: plan.journal_bytes,
            ..midsession_engine_local::Config::new("/data")
        };
        let log_clock = Arc::new(move || clock.load(Ordering::Relaxed) / 1000);
        let inner = Arc::new(LocalLog::open_threadless(disk.process(), log_clock, log_config)?);
        let port = Arc::new(Port { inner, fault: plan.fault, twice: plan.twice });
        let clock = Arc::clone(now_us);
        let decider: Arc<dyn Decider> = Arc::new(Desk {
            assembly: Arc::clone(&assembly),
            switches: Arc::new(Switches::default()),
            signing_key: b"simulated".to_vec(),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            observe: midsession_observe::Observe::new(),
        });
        let notes = Arc::new(Notes::default());
        let committed_us = Arc::new(AtomicI64::new(now_us.load(Ordering::Relaxed)));
        let owners = (0..plan.owners)
            .map(|number| {
                let partitions: Vec<_> = (0..plan.partitions)
                    .filter(|partition| partition % plan.owners == number)
                    .map(PartitionId)
                    .collect();
                Owner::new(
                    Arc::clone(&port) as Arc<dyn Log>,
                    &partitions,
                    stream,
                    Arc::clone(&assembly),
                    Arc::clone(&decider),
                    Arc::clone(&notes) as Arc<dyn Sink>,
                    Arc::clone(&committed_us),
                    Arc::new(|| ()),
                )
            })
            .collect::<Result<_, _>>()?;
        let grew = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&grew);
        port.on_commit(Box::new(move |partitions| told.lock().extend_from_slice(partitions)));
        Ok(Self { port, assembly, owners, notes, grew, partitions: plan.partitions })
    }

    /// One commit of the log.
    pub fn commit(&mut self) {
        self.port.inner.commit_now();
        for partition in std::mem::take(&mut *self.grew.lock()) {
            self.owners.iter_mut().for_each(|owner| owner.grew(partition));
        }
    }

    /// Bytes that wait to be written.
    pub fn waits(&self) -> bool {
        self.port.inner.stats().queued_bytes > 0
    }

    /// Turns every owner until nothing moves; when the next one wants to be woken. Epoch ms.
    pub fn turn(&mut self, now_us: i64) -> Result<Option<i64>, LogError> {
        let mut wake_at_ms: Option<i64> = None;
        for owner in &mut self.owners {
            loop {
                let turn = owner.turn(now_us)?;
                if !turn.worked {
                    wake_at_ms = wake_at_ms.into_iter().chain(turn.wake_at_ms).min();
                    break;
                }
            }
        }
        Ok(wake_at_ms)
    }

    /// Nothing is under way anywhere.
    pub fn is_settled(&self) -> bool {
        !self.waits() && self.owners.iter().all(Owner::is_settled)
    }

    /// The machine of a partition.
    pub fn stream(&self, partition: u32) -> Option<&Stream> {
        self.owners.iter().find_map(|owner| owner.stream(PartitionId(partition)))
    }

    /// Numbers of all partitions.
    pub fn partitions(&self) -> std::ops::Range<u32> {
        0..self.partitions
    }

    /// What the sink saw that must not be, and records that could not be read.
    pub fn complaint(&self) -> Option<String> {
        let dead: u64 = self.owners.iter().map(Owner::dead_records).sum();
        self.notes.wrong.lock().clone().or_else(|| (dead > 0).then(|| format!("L-5: {dead} records can't be read")))
    }
}
