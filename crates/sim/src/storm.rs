//! A seeded run of the real assembly on a simulated disk: shoppers, crashes, torn writes, full disks, clock jumps and
//! bursts; after each recovery everything is held against the oracle.
//!
//! Invariants by id. L-1: what was acknowledged is in the log. L-2: offsets have no holes, stamps never go back. L-3:
//! what could be read once stays. L-4: what a partition sends to another is in the log once. L-5: every record can be
//! read. S-1: sessions and windows equal the oracle. S-2: the versions of a session rise. S-3: its last version told is
//! its state. F-1: features equal the oracle. F-2: who asks after an answer finds their events read. T-1: deadlines are
//! met, wherever the wall clock goes. D-1: each candidate is decided once. D-2 to D-7: see [`crate::audience`].

use crate::audience::{Audience, Watched};
use crate::audit::Audit;
use crate::draw::{Shoppers, id_of, key_of, unmerges};
use crate::house::{House, Plan};
use crate::port::Fault;
use crate::rng::Rng;
use crate::scenario::START_MS;
use bytes::Bytes;
use midsession::driver::SnapshotRule;
use midsession_edge::clock::Steady;
use midsession_engine_local::SimDisk;
use midsession_event::{PartitionId, Record, Topic, partition_of};
use midsession_ports::{Append, Log, LogError, Receipt, Unit};
use midsession_stream::Stream;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What runs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weathered {
    /// Simulated time. ms.
    pub simulated_ms: i64,
    /// Events acknowledged.
    pub acked: u64,
    /// Process deaths, the power's and the process's own.
    pub crashes: u64,
    /// Comparisons with the oracle.
    pub audits: u64,
    /// Decisions.
    pub decisions: u64,
    /// Sends answered with busy or full.
    pub refused: u64,
    /// Times that retention took something.
    pub shortened: u64,
    /// Snapshots that became whole.
    pub snapshots: u64,
    /// Snapshots damaged.
    pub rotten: u64,
    /// Frames written to pages.
    pub written: u64,
    /// Frames taken back because they were no longer true.
    pub retracted: u64,
    /// Connections that went on after a frame.
    pub resumed: u64,
}

impl Weathered {
    /// Adds another run.
    pub fn add(&mut self, other: &Weathered) {
        self.simulated_ms += other.simulated_ms;
        self.acked += other.acked;
        self.crashes += other.crashes;
        self.audits += other.audits;
        self.decisions += other.decisions;
        self.refused += other.refused;
        self.shortened += other.shortened;
        self.snapshots += other.snapshots;
        self.rotten += other.rotten;
        self.written += other.written;
        self.retracted += other.retracted;
        self.resumed += other.resumed;
    }
}

type Answer = (u64, Result<Vec<Receipt>, LogError>);

struct Storm {
    rng: Rng,
    disk: SimDisk,
    plan: Plan,
    /// True time. Epoch ms.
    now_ms: i64,
    /// How far the wall clock is off from it.
    skew_ms: i64,
    /// The clock of this process, and when the process was started. True time, epoch ms.
    steady: Steady,
    started_at_ms: i64,
    audience: Audience,
    /// By partition: a deadline by the log's time, and the true time that it must be met by. Epoch ms.
    owed: BTreeMap<u32, (i64, i64)>,
    /// Partitions with events acknowledged in this step.
    fresh: BTreeSet<u32>,
    wrong: Option<String>,
    clock_us: Arc<AtomicI64>,
    due: BTreeMap<(i64, u64), Record>,
    order: u64,
    flying: BTreeMap<u64, Vec<Record>>,
    answers: Arc<Mutex<Vec<Answer>>>,
    acked: BTreeSet<String>,
    commit_at_ms: Option<i64>,
    wake_at_ms: Option<i64>,
    dying: bool,
    weathered: Weathered,
}

/// Runs the storm of a seed. An error names the invariant that does not hold.
pub fn run(seed: u64, steps: usize, fault: Option<Fault>) -> Result<Weathered, String> {
    let mut rng = Rng::new(seed);
    let plan = Plan {
        partitions: rng.pick(&[1, 2, 3]),
        owners: rng.pick(&[1, 2]),
        fault,
        twice: rng.chance(30),
        journal_bytes: rng.pick(&[4_000, 20_000, 200_000, 10_000_000]),
        keep_ms: rng.pick(&[7 * 24 * 3_600_000, 24 * 3_600_000, 3_600_000, 0]),
        keep_bytes: rng.pick(&[10 << 30, 30_000, 0]),
        snapshot: SnapshotRule {
            bytes: rng.pick(&[0, 1_000, 20_000, u64::MAX]),
            every_ms: rng.pick(&[1_000, 600_000, 24 * 3_600_000]),
            piece_bytes: rng.pick(&[1, 1_000, 256 << 10]),
        },
    };
    let mut due = BTreeMap::new();
    let mut order = 0;
    for (at_ms, record) in arrivals(&mut rng, steps) {
        order += 1;
        due.insert((at_ms, order), record);
    }
    let disk = SimDisk::default();
    if fault == Some(Fault::NoSync) {
        disk.skip_syncs();
    }
    let audience = Audience::new(Rng::new(rng.bits()));
    let mut storm = Storm {
        rng,
        disk,
        plan,
        now_ms: START_MS,
        skew_ms: 0,
        steady: Steady::default(),
        started_at_ms: START_MS,
        audience,
        owed: BTreeMap::new(),
        fresh: BTreeSet::new(),
        wrong: None,
        clock_us: Arc::new(AtomicI64::new(START_MS * 1000)),
        due,
        order,
        flying: BTreeMap::new(),
        answers: Arc::default(),
        acked: BTreeSet::new(),
        commit_at_ms: None,
        wake_at_ms: None,
        dying: false,
        weathered: Weathered::default(),
    };
    let mut audit = Audit::new(plan);
    storm.weather(&mut audit).map_err(|cause| format!("{cause}\n{plan:?}"))?;
    Ok(storm.weathered)
}

/// Shoppers; now and then a burst: the same within a twentieth of the time.
fn arrivals(rng: &mut Rng, steps: usize) -> Vec<(i64, Record)> {
    let mut all = Shoppers::draw(Rng::new(rng.bits()), START_MS, steps);
    if rng.chance(30) {
        for (at_ms, event) in &mut all {
            let earlier_ms = (*at_ms - START_MS) * 19 / 20;
            *at_ms -= earlier_ms;
            event.occurred_at_ms -= earlier_ms;
        }
    }
    let unmerges = unmerges(rng, &all).into_iter().map(|(at_ms, unmerge)| (at_ms, Record::Unmerge(Box::new(unmerge))));
    all.into_iter().map(|(at_ms, event)| (at_ms, Record::Event(Box::new(event)))).chain(unmerges).collect()
}

impl Storm {
    fn weather(&mut self, audit: &mut Audit) -> Result<(), String> {
        let mut house = self.start()?;
        // Let all sessions end, and what they set off.
        let mut rounds = 0;
        loop {
            let next = self.due.keys().next().map(|(at_ms, _)| *at_ms);
            let wake = self.wake_at_ms.map(|at_ms| self.true_ms(at_ms));
            let next = next.into_iter().chain(wake).chain(self.commit_at_ms).min();
            rounds += 1;
            let Some(next_ms) = next else { break };
            if rounds > 200_000 {
                return Err(format!("L-6: no end in sight; next at {next_ms}, now {}", self.now_ms));
            }
            self.now_ms = self.now_ms.max(next_ms);
            self.set_clock();
            let mut failure = self.step(&mut house).err();
            if failure.is_none() {
                self.watch(&mut house, audit)?;
            }
            if failure.is_none() && self.rng.chance(1) {
                failure = self.trouble();
            }
            if failure.is_some() || (self.dying && self.rng.chance(5)) {
                drop(failure);
                house = self.restart(house, audit)?;
            }
            if !self.dying && house.is_settled() && self.rng.chance(if rounds < 2_000 { 20 } else { 2 }) {
                self.audit(&house, audit)?;
            }
        }
        house = self.restart(house, audit)?;
        self.drain(&mut house, audit)?;
        self.audit(&house, audit)?;
        self.weathered.decisions = audit.finish(&house)?;
        self.weathered.acked = self.acked.len() as u64;
        self.weathered.simulated_ms = self.now_ms - START_MS;
        let Watched { written, retracted, resumed } = self.audience.watched;
        (self.weathered.written, self.weathered.retracted, self.weathered.resumed) = (written, retracted, resumed);
        Ok(())
    }

    fn restart(&mut self, house: House, audit: &mut Audit) -> Result<House, String> {
        let house = self.crash(house)?;
        audit.restarted();
        audit.collect(&house)?;
        self.audience.begin(&house, audit);
        Ok(house)
    }

    /// A last start without trouble, until nothing is under way.
    fn drain(&mut self, house: &mut House, audit: &mut Audit) -> Result<(), String> {
        for _ in 0..10_000 {
            self.now_ms += 1;
            self.set_clock();
            self.step(house).map_err(|error| format!("L-7: {error}"))?;
            self.watch(house, audit)?;
            let is_owed = self.due.keys().next().is_some_and(|(at_ms, _)| *at_ms <= self.now_ms + 10_000);
            if house.is_settled() && !is_owed && self.flying.is_empty() {
                return Ok(());
            }
        }
        Err("L-6: never quiet after the last start".into())
    }

    /// Holds everything against the oracle.
    fn audit(&mut self, house: &House, audit: &mut Audit) -> Result<(), String> {
        self.weathered.audits += 1;
        audit.run(house, &self.acked)?;
        if house.has_caught_up() {
            self.audience.judge(house, audit, self.clock_ms())?;
        }
        Ok(())
    }

    /// What can be seen between two steps: pages, questions, deadlines; now and then the log's housekeeping.
    fn watch(&mut self, house: &mut House, audit: &mut Audit) -> Result<(), String> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        // A process whose disk fails under it may not be able to read it any more.
        if !self.dying {
            let reports = self.audience.look(house, audit, self.now_ms, self.clock_ms())?;
            for (at_ms, event) in reports {
                self.order += 1;
                self.due.insert((at_ms, self.order), Record::Event(Box::new(event)));
            }
            if house.has_caught_up() {
                self.deadlines(house)?;
            }
        }
        if self.rng.chance(5) {
            match audit.collect(house) {
                Err(_) if self.dying => return Ok(()),
                read => read?,
            }
            let before = self.kept(house);
            house.keep_house();
            self.weathered.shortened += u64::from(self.kept(house) != before);
        }
        Ok(())
    }

    /// Where the partitions begin.
    fn kept(&self, house: &House) -> Vec<i64> {
        let start = |partition| house.port.extent(Topic::Behavior, partition).map_or(0, |extent| extent.start);
        partitions(self.plan).map(start).collect()
    }

    /// T-1: what is due by the log's time is met soon by true time, wherever the wall clock went.
    fn deadlines(&mut self, house: &House) -> Result<(), String> {
        let log_ms = self.clock_ms().max(house.port.inner.last_stamp_ms());
        for partition in house.partitions() {
            let Some(due_ms) = house.stream(partition).and_then(Stream::next_deadline_ms) else {
                self.owed.remove(&partition);
                continue;
            };
            let by_ms = self.now_ms + (due_ms - log_ms).max(0) * 8 / 7 + 1_000;
            let owed = self.owed.entry(partition).or_insert((due_ms, by_ms));
            if owed.0 != due_ms {
                *owed = (due_ms, by_ms);
            } else if owed.1 < self.now_ms {
                return Err(format!("T-1: partition {partition} was to go on at {due_ms}, it is {log_ms}"));
            }
        }
        Ok(())
    }

    fn clock_ms(&self) -> i64 {
        self.clock_us.load(Ordering::Relaxed) / 1000
    }

    fn wall_ms(&self) -> i64 {
        self.now_ms + self.skew_ms
    }

    fn set_clock(&mut self) {
        let clock_ns = match self.plan.fault {
            Some(Fault::ClockBack) => self.wall_ms() * 1_000_000,
            _ => self.steady.read(self.wall_ms() * 1_000_000, (self.now_ms - self.started_at_ms) * 1_000_000),
        };
        self.clock_us.store(clock_ns / 1000, Ordering::Relaxed);
    }

    /// The true time at which the clock of the process will say this. Epoch ms.
    fn true_ms(&self, clock_ms: i64) -> i64 {
        let slowly_ms = self.now_ms + ((clock_ms - self.clock_ms()) * 8 + 6) / 7;
        let by_wall_ms = clock_ms - self.skew_ms;
        if self.plan.fault == Some(Fault::ClockBack) { by_wall_ms } else { slowly_ms.min(by_wall_ms) }
    }

    /// Sends what is due, commits, turns the owners.
    fn step(&mut self, house: &mut House) -> Result<(), LogError> {
        self.send(house);
        if self.commit_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.commit_at_ms = None;
            house.commit();
        }
        self.land();
        let now_us = self.clock_us.load(Ordering::Relaxed);
        for partition in std::mem::take(&mut self.fresh) {
            if !house.has_caught_up() {
                break;
            }
            let read = house.ask(partition, now_us)?;
            let end = house.port.extent(Topic::Behavior, PartitionId(partition))?.end;
            if read.is_some_and(|next| next < end) {
                self.wrong = Some(format!("F-2: {partition} was read up to {read:?} of {end} after an answer"));
            }
        }
        self.wake_at_ms = house.turn(now_us)?;
        if house.waits() && self.commit_at_ms.is_none() {
            self.commit_at_ms = Some(self.now_ms + self.rng.between(0, 3));
        }
        Ok(())
    }

    fn send(&mut self, house: &House) {
        let mut batch = Vec::new();
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now_ms
            && batch.len() < 20
        {
            batch.push(entry.remove());
        }
        if batch.is_empty() {
            return;
        }
        let records = batch
            .iter()
            .filter_map(|record| {
                let partition = partition_of(key_of(record), self.plan.partitions);
                let (key, value) = (Bytes::copy_from_slice(key_of(record).as_bytes()), record.encode().ok()?);
                Some(Append { topic: Topic::Behavior, partition, key, value: Some(value.into()) })
            })
            .collect();
        self.order += 1;
        let (number, answers) = (self.order, Arc::clone(&self.answers));
        self.flying.insert(number, batch);
        let done = Box::new(move |answer| answers.lock().push((number, answer)));
        house.port.append(Unit { records, positions: Vec::new() }.into(), done);
    }

    /// Looks at the answers; what was refused is sent again.
    fn land(&mut self) {
        let answers = std::mem::take(&mut *self.answers.lock());
        for (number, answer) in answers {
            let Some(batch) = self.flying.remove(&number) else { continue };
            if answer.is_ok() {
                self.fresh.extend(batch.iter().map(|record| partition_of(key_of(record), self.plan.partitions).0));
                self.acked.extend(batch.iter().filter_map(id_of));
            } else {
                self.weathered.refused += 1;
                self.send_later(batch);
            }
        }
    }

    fn send_later(&mut self, batch: Vec<Record>) {
        let at_ms = self.now_ms + self.rng.between(1, 5_000);
        for record in batch {
            self.order += 1;
            self.due.insert((at_ms, self.order), record);
        }
    }

    /// Something bad; an error means that the process is gone at once.
    fn trouble(&mut self) -> Option<LogError> {
        let gone = || Some(LogError::Failed { cause: "killed".into() });
        match self.rng.below(8) {
            0..=2 => return gone(),
            // Within the next changes to the disk.
            3 | 4 => {
                self.disk.kill_after(self.rng.below(4));
                self.dying = true;
            }
            5 => {
                self.disk.fail_next_sync();
                self.dying = true;
            }
            6 => {
                let room = if self.rng.chance(50) { Some(self.disk.used() + self.rng.below(2_000)) } else { None };
                self.disk.set_capacity(room);
                if room.is_some() {
                    // Room is made some time later, by a restart at the latest.
                    self.dying = true;
                }
            }
            _ => {
                self.skew_ms = self.rng.pick(&[0, 0, -3_600_000, -1, 90_000, 40 * 60_000]);
                self.set_clock();
            }
        }
        None
    }

    /// The process or the power goes; a new process starts on what is left.
    fn crash(&mut self, house: House) -> Result<House, String> {
        self.weathered.crashes += 1;
        self.weathered.snapshots += house.snapshots();
        if self.rng.chance(50) {
            self.disk.lose_power(self.rng.bits());
        } else {
            self.disk.kill();
        }
        self.audience.cut_off(&house);
        drop(house);
        self.dying = false;
        self.disk.set_capacity(None);
        if self.rng.chance(30) {
            // The newest snapshot of a partition that has two: the one before and the log since must do.
            self.weathered.rotten += u64::from(self.disk.rot(".state", self.rng.bits()).is_some());
        }
        // Who waited for an answer sends again.
        self.land();
        for batch in std::mem::take(&mut self.flying).into_values() {
            self.send_later(batch);
        }
        self.answers = Arc::default();
        self.now_ms += self.rng.pick(&[0, 5, 1_000, 60_000, 31 * 60_000]);
        self.start()
    }

    fn start(&mut self) -> Result<House, String> {
        self.steady = Steady::default();
        self.started_at_ms = self.now_ms;
        self.set_clock();
        self.commit_at_ms = None;
        self.owed.clear();
        self.fresh.clear();
        // A fault of the disk that waited may meet the start; the next one must do.
        let house = House::start(&self.disk, &self.clock_us, &self.plan)
            .or_else(|_| {
                self.disk.kill();
                House::start(&self.disk, &self.clock_us, &self.plan)
            })
            .map_err(|error| format!("L-7: no start: {error}"))?;
        if self.plan.fault != Some(Fault::ClockForgets) {
            self.steady.not_before(house.port.inner.last_stamp_ms());
        }
        self.set_clock();
        self.wake_at_ms = Some(self.clock_ms());
        Ok(house)
    }
}

/// The partitions of a plan.
pub fn partitions(plan: Plan) -> impl Iterator<Item = PartitionId> {
    (0..plan.partitions).map(PartitionId)
}
