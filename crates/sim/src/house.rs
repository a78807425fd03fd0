//! The real assembly on a simulated disk, without threads: log, owners, features and interventions, started and
//! killed at will.

use crate::port::{Fault, Port};
use crate::spilled::FreedEarly;
use midsession::assemble::Assembly;
use midsession::config::Config;
use midsession::context::ContextTables;
use midsession::desk::Desk;
use midsession::driver::{Around, Clock, Decider, Owner, Sink, SnapshotRule, SnapshotTold, Spills};
use midsession::switches::Switches;
use midsession::world::World;
use midsession_edge::{HubLimits, PushHub, Subscription};
use midsession_engine_local::{LocalLog, LocalSnapshots, LocalSpills, SimDisk, SpillStats};
use midsession_event::{Decision, DecisionId, Outcome, PartitionId, Reaction, SessionUpdate, Str, Topic, VisitorId};
use midsession_machine::Defined;
use midsession_ports::{Log, LogError, Snapshots};
use midsession_stream::{Seam, Spilling, Stream};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
    /// Records older than this may go. ms.
    pub keep_ms: i64,
    /// When there is more than this, the oldest may go. Bytes.
    pub keep_bytes: u64,
    /// When snapshots are due.
    pub snapshot: SnapshotRule,
    /// Memory for facts, and disk for those over it. Bytes.
    pub facts_bytes: (usize, u64),
    /// How often the newest snapshot is damaged when a process has gone. Percent.
    pub rots: u64,
}

/// The product's own sink, and what passed through it since the start.
struct Notes {
    world: Arc<World>,
    fault: Option<Fault>,
    shown: Mutex<BTreeSet<u128>>,
    retracted: Mutex<BTreeSet<u128>>,
    wrong: Mutex<Option<String>>,
    snapshots: AtomicU64,
}

impl Sink for Notes {
    fn seam(&self, partition: PartitionId, seam: Seam, received_us: i64, now_us: i64) {
        self.world.seam(partition, seam, received_us, now_us);
    }

    fn session(&self, update: &SessionUpdate) {
        self.world.session(update);
    }

    fn decided(&self, decision: &Decision, durable_us: i64) {
        let is_new = decision.outcome != Outcome::Served || self.shown.lock().insert(decision.decision_id.0);
        if !is_new {
            *self.wrong.lock() = Some(format!("I6: shown twice in one life: {decision:?}"));
        }
        self.world.decided(decision, durable_us);
    }

    fn capped(&self, rule: &Str) {
        self.world.capped(rule);
    }

    fn retract(&self, decision: DecisionId, visitor: Option<&VisitorId>) {
        self.retracted.lock().insert(decision.0);
        if self.fault != Some(Fault::RetractUntold) {
            self.world.retract(decision, visitor);
        }
    }

    fn painted(&self, decision: DecisionId) {
        if self.fault != Some(Fault::PaintedUntold) {
            self.world.painted(decision);
        }
    }

    fn reacted(&self, reaction: &Reaction) {
        self.world.reacted(reaction);
    }

    fn snapshot(&self, told: &SnapshotTold) {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.world.snapshot(told);
    }
}

/// Every decision on the log: what a start would show that asks nobody what is still true.
fn everything(log: &dyn Log) -> Result<HashSet<DecisionId>, LogError> {
    let mut all = HashSet::new();
    for partition in (0..log.partitions(Topic::Decision)).map(PartitionId) {
        let start = log.extent(Topic::Decision, partition)?.start;
        midsession::history::for_each(log, Topic::Decision, partition, start, |entry| {
            let decision = entry.value.as_deref().map(midsession_event::decode::<Decision>);
            all.extend(decision.and_then(Result::ok).map(|decision| decision.decision_id));
        })?;
    }
    Ok(all)
}

/// Where the partitions' facts go.
fn spills(files: LocalSpills, plan: Plan) -> Spills {
    let (memory, most) = plan.facts_bytes;
    let is_early = plan.fault == Some(Fault::SpillReused);
    Arc::new(move |partition| {
        let file = files.of(partition, most);
        Some(if is_early {
            Spilling::new(Box::new(FreedEarly(file)), memory)
        } else {
            Spilling::new(Box::new(file), memory)
        })
    })
}

/// The running assembly.
pub struct House {
    /// The log as the assembly sees it.
    pub port: Arc<Port>,
    /// The compiled definitions.
    pub assembly: Arc<Assembly>,
    /// What the machines go by.
    pub config: midsession_stream::Config,
    owners: Vec<Owner<Assembly>>,
    notes: Arc<Notes>,
    hub: Arc<PushHub>,
    /// What was spilled of facts.
    pub spilled: Arc<SpillStats>,
    /// What was on the log at the start, by partition, until it has been caught up with.
    ends: Option<Vec<i64>>,
    grew: Arc<Mutex<Vec<PartitionId>>>,
    partitions: u32,
    fault: Option<Fault>,
}

impl House {
    /// Starts on what the disk holds. `now_us`: the clock. Epoch µs. `text`: what the file of definitions says; `begun`:
    /// what there was at the first start.
    pub fn start(
        disk: &SimDisk,
        now_us: &Arc<AtomicI64>,
        plan: &Plan,
        text: &str,
        begun: Option<&Defined>,
    ) -> Result<Self, LogError> {
        let broken = |cause: String| LogError::Failed { cause };
        let is_edge_wrong = plan.fault == Some(Fault::WindowEdge);
        let text = if is_edge_wrong { text.replace("5m", "300001ms") } else { text.to_owned() };
        let config = Config::parse(&text, Path::new("sim.toml")).map_err(broken)?;
        let assembly = Arc::new(Assembly::load(&config, true).map_err(broken)?);
        begun.into_iter().for_each(|begun| assembly.begin_with(begun.clone()));
        let mut stream = config.stream(plan.partitions);
        if let Some(Fault::Machine(defect)) = plan.fault {
            stream.defect = Some(defect);
        }
        let clock = Arc::clone(now_us);
        let log_config = midsession_engine_local::Config {
            partitions: plan.partitions,
            journal_bytes: plan.journal_bytes,
            keep_ms: plan.keep_ms,
            keep_bytes: plan.keep_bytes,
            ..midsession_engine_local::Config::new("/data")
        };
        let log_clock = Arc::new(move || clock.load(Ordering::Relaxed) / 1000);
        let inner = Arc::new(LocalLog::open_threadless(disk.process(), log_clock, log_config)?);
        let snapshots = Arc::new(LocalSnapshots::open_threadless(disk.process(), Path::new("/data"))?);
        let files = LocalSpills::open(disk.process(), Path::new("/data"))?;
        let (spilled, spills) = (Arc::clone(files.stats()), spills(files, *plan));
        let kept = Arc::clone(&snapshots) as Arc<dyn Snapshots>;
        let port = Arc::new(Port { inner, fault: plan.fault, twice: plan.twice, snapshots: kept });
        let clock: Clock = {
            let now_us = Arc::clone(now_us);
            Arc::new(move || now_us.load(Ordering::Relaxed))
        };
        let observe = midsession_observe::Observe::new();
        let log: Arc<dyn Log> = port.clone();
        let context = ContextTables::new(&Default::default(), log, Arc::clone(&observe));
        let decider: Arc<dyn Decider<Assembly>> = Arc::new(Desk {
            switches: Arc::new(Switches::default()),
            signing_key: b"simulated".to_vec(),
            clock: Arc::clone(&clock),
            observe: Arc::clone(&observe),
            context: Arc::new(context),
        });
        // The fault: a clock that stands still since the start.
        let (hub_clock, started_us) = (Arc::clone(&clock), clock());
        let stands = plan.fault == Some(Fault::HubClockStands);
        let hub_clock = Arc::new(move || if stands { started_us } else { hub_clock() } / 1000);
        let hub = PushHub::with_clock(Arc::clone(&observe), HubLimits::default(), hub_clock);
        let notes = Arc::new(Notes {
            world: World::new(Arc::clone(&hub), observe, clock),
            fault: plan.fault,
            shown: Mutex::default(),
            retracted: Mutex::default(),
            wrong: Mutex::default(),
            snapshots: AtomicU64::new(0),
        });
        notes.world.recall(port.as_ref())?;
        let ends = (0..plan.partitions)
            .map(|partition| Ok(port.extent(Topic::Behavior, PartitionId(partition))?.end))
            .collect::<Result<Vec<_>, LogError>>()?;
        if plan.fault == Some(Fault::ReleasedEarly) {
            notes.world.release(&everything(port.as_ref())?, &|_, _| true);
        }
        let committed_us = Arc::new(AtomicI64::new(now_us.load(Ordering::Relaxed)));
        let owners = (0..plan.owners)
            .map(|number| {
                let partitions: Vec<_> = (0..plan.partitions)
                    .filter(|partition| partition % plan.owners == number)
                    .map(PartitionId)
                    .collect();
                let around = Around {
                    log: Arc::clone(&port) as Arc<dyn Log>,
                    snapshots: Arc::clone(&snapshots) as Arc<dyn Snapshots>,
                    snapshot_rule: plan.snapshot,
                    spills: Arc::clone(&spills),
                    accept_lost_state: false,
                    definitions: Arc::clone(&assembly),
                    decider: Arc::clone(&decider),
                    sink: Arc::clone(&notes) as Arc<dyn Sink>,
                };
                Owner::new(around, &partitions, stream, Arc::clone(&committed_us), Arc::new(|| ()))
            })
            .collect::<Result<_, _>>()?;
        let grew = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&grew);
        port.on_commit(Box::new(move |partitions| told.lock().extend_from_slice(partitions)));
        let (partitions, fault, ends) = (plan.partitions, plan.fault, Some(ends));
        Ok(Self { port, assembly, config: stream, owners, notes, hub, spilled, ends, grew, partitions, fault })
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
                    // One piece a turn, so that records come between them.
                    let more = owner.snapshot(now_us).then_some(now_us / 1000 + 1);
                    wake_at_ms = wake_at_ms.into_iter().chain(turn.wake_at_ms).chain(more).min();
                    break;
                }
            }
        }
        let is_read = |(partition, end): (u32, &i64)| {
            *end == 0 || self.stream(partition).is_some_and(|stream| stream.as_of().0 + 1 >= *end)
        };
        if self.ends.as_ref().is_some_and(|ends| (0..).zip(ends).all(is_read)) {
            self.ends = None;
            let shown = self.partitions().filter_map(|partition| self.stream(partition)).flat_map(Stream::shown);
            // What was on the logs at the start is in force in all partitions alike.
            let in_force = self.definitions(0);
            let is_in_force = |rule: &str, version: &str| in_force.is_in_force(rule, version, None);
            self.notes.world.release(&shown.collect(), &is_in_force);
        }
        Ok(wake_at_ms)
    }

    /// What other versions of a rule than the one in force showed is taken back, as the server does after a change.
    pub fn end_others(&self, rule: &str) {
        let row = self.definitions(0).rule_row(rule);
        self.notes.world.end_others(rule, row.as_ref().and_then(|row| row["version"].as_str()));
    }

    /// Housekeeping of the log. What it can't do now it does later.
    pub fn keep_house(&self) {
        let _ = self.port.inner.keep_house_now();
    }

    /// A question to a partition, as the driver answers it: how far has it read?
    pub fn ask(&mut self, partition: u32, now_us: i64) -> Result<Option<i64>, LogError> {
        let partition = PartitionId(partition);
        let mut owners = self.owners.iter_mut();
        let Some(owner) = owners.find(|owner| owner.stream(partition).is_some()) else { return Ok(None) };
        if self.fault != Some(Fault::StaleRead) {
            owner.look(partition, now_us)?;
        }
        Ok(owner.stream(partition).map(|stream| stream.as_of().0 + 1))
    }

    /// Opens a page's connection; the page says what it knows.
    pub fn listen(&self, visitor: &VisitorId, known: &[DecisionId]) -> Subscription {
        self.hub.subscribe(visitor, known)
    }

    /// The decisions that are still on the log.
    pub fn decided(&self) -> Result<HashSet<DecisionId>, LogError> {
        everything(self.port.as_ref())
    }

    /// What the machines have taken back since the start.
    pub fn retracted(&self) -> BTreeSet<u128> {
        self.notes.retracted.lock().clone()
    }

    /// The machine has taken it back.
    pub fn is_retracted(&self, decision: u128) -> bool {
        self.notes.retracted.lock().contains(&decision)
    }

    /// Snapshots that became whole since the start.
    pub fn snapshots(&self) -> u64 {
        self.notes.snapshots.load(Ordering::Relaxed)
    }

    /// What was on the log at the start has been read.
    pub fn has_caught_up(&self) -> bool {
        self.ends.is_none()
    }

    /// Nothing is under way anywhere.
    pub fn is_settled(&self) -> bool {
        !self.waits() && self.owners.iter().all(Owner::is_settled)
    }

    /// The machine of a partition.
    pub fn stream(&self, partition: u32) -> Option<&Stream> {
        self.owners.iter().find_map(|owner| owner.stream(PartitionId(partition)))
    }

    /// The definitions in force in a partition.
    pub fn definitions(&self, partition: u32) -> &Assembly {
        let mut owners = self.owners.iter().filter(|owner| owner.stream(PartitionId(partition)).is_some());
        owners.next().map_or(&self.assembly, |owner| owner.definitions(PartitionId(partition)))
    }

    /// What the logs have put in force, once all partitions are as far.
    pub fn defined(&self) -> Option<Defined> {
        let mut all = self.partitions().filter_map(|partition| self.stream(partition)).map(Stream::defined);
        let first = all.next()?;
        all.all(|other| other.revision == first.revision).then(|| first.clone())
    }

    /// Why facts that were spilled could not be read.
    pub fn spill_failure(&self) -> Option<&str> {
        self.partitions().filter_map(|number| self.stream(number)).find_map(Stream::spill_failure)
    }

    /// Numbers of all partitions.
    pub fn partitions(&self) -> std::ops::Range<u32> {
        0..self.partitions
    }

    /// What the sink saw that must not be, and records that could not be read.
    pub fn complaint(&self) -> Option<String> {
        let dead: u64 = self.owners.iter().map(Owner::dead_records).sum();
        self.notes.wrong.lock().clone().or_else(|| (dead > 0).then(|| format!("I1: {dead} records can't be read")))
    }
}
