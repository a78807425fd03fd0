//! A seeded run of the real assembly on a simulated disk: shoppers, crashes, torn writes, full disks, clock jumps and
//! bursts; after each recovery everything is held against the oracle.
//!
//! A failure names the invariant, by the ids of [`midsession_machine::Invariant`]. Here that is: what was acknowledged is
//! in the log, offsets have no holes, what could be read once stays (I1); sessions, windows and features equal the
//! oracle, and who asks after an answer finds their events read (I2); versions rise and the last one told is the state
//! (I3); what a partition sends to another is in the log once (I4); stamps never go back, deadlines are met, wherever the
//! wall clock goes (I5); each candidate is decided once, and pages have what they should (I6); nothing is decided for who
//! said no (I10, part of the oracle); once faults stop, everything is read within a minute (I12); changes of definitions
//! are in every partition or in none (I13), and what is served is what they put in force (I14).

mod calm;
mod keyed;
mod trouble;

use crate::audience::{Audience, Watched};
use crate::audit::Audit;
use crate::defining::Definer;
use crate::draw::{Shoppers, id_of, key_of, unmerges};
use crate::house::{House, Plan};
use crate::port::Fault;
use crate::rerun::Reruns;
use crate::rng::Rng;
use crate::scenario::START_MS;
use crate::shape::Shapes;
use crate::weathered::Weathered;
use bytes::Bytes;
use keyed::Keyed;
use midsession::driver::SnapshotRule;
use midsession_edge::clock::Steady;
use midsession_engine_local::{Failpoint, Fails, SimDisk};
use midsession_event::{PartitionId, Record, Topic, partition_of};
use midsession_ports::{Append, Log, LogError, Receipt, Unit};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

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
    shapes: Shapes,
    reruns: Reruns,
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
    keyed: Keyed,
    acked: BTreeSet<String>,
    commit_at_ms: Option<i64>,
    wake_at_ms: Option<i64>,
    dying: bool,
    /// The failpoint that was set has failed.
    has_fired: bool,
    definer: Definer,
    weathered: Weathered,
}

/// How long a disk takes that takes long. ms.
pub const DELAY_MS: i64 = 5_000;

/// A failpoint that is set: it fails once, after it was passed so often.
pub type Set = (Failpoint, u64, Fails);

/// Runs the storm of a seed. An error names the invariant that does not hold.
pub fn run(seed: u64, steps: usize, fault: Option<Fault>) -> Result<Weathered, String> {
    let mut storm = Storm::new(seed, steps, fault);
    storm.whole()?;
    Ok(storm.weathered)
}

/// Runs it with a failpoint set, or none; how often each failpoint was passed, and whether that one has failed.
pub fn pass(seed: u64, steps: usize, set: Option<Set>) -> Result<(BTreeMap<Failpoint, u64>, bool), String> {
    let mut storm = Storm::new(seed, steps, None);
    storm.disk.count_failpoints();
    if let Some((failpoint, after, fails)) = set {
        storm.disk.fail_at(failpoint, after, fails);
    }
    storm.whole()?;
    Ok((storm.disk.passed(), storm.has_fired))
}

/// Memory for facts: in half of the storms none or next to none, and in some of those little disk, too. Bytes.
fn facts_bytes(seed: u64) -> (usize, u64) {
    // Dice of their own, as those of the changes.
    let mut rng = Rng::new(seed.rotate_left(32) ^ !seed);
    (rng.pick(&[usize::MAX, usize::MAX, usize::MAX, 0, 0, 1_000]), rng.pick(&[1 << 30, 1 << 30, 500]))
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
    fn new(seed: u64, steps: usize, fault: Option<Fault>) -> Self {
        let mut rng = Rng::new(seed);
        // Dice of its own: a storm without changes is the same as if there were none.
        let definer = Definer::new(Rng::new(!seed), fault);
        let plan = Plan {
            partitions: rng.pick(&[1, 2, 3]),
            owners: rng.pick(&[1, 2]),
            fault,
            twice: rng.chance(30),
            journal_bytes: rng.pick(&[4_000, 20_000, 200_000, 10_000_000]),
            // Changes of definitions let every partition go on: no less is kept than what a decision may be shown for.
            keep_ms: rng.pick(&[
                7 * 24 * 3_600_000,
                24 * 3_600_000,
                3_600_000,
                if definer.is_idle() { 0 } else { 180_000 },
            ]),
            keep_bytes: rng.pick(&[10 << 30, 30_000, 0]),
            snapshot: SnapshotRule {
                bytes: rng.pick(&[0, 1_000, 20_000, u64::MAX]),
                every_ms: rng.pick(&[1_000, 600_000, 24 * 3_600_000]),
                piece_bytes: rng.pick(&[1, 1_000, 256 << 10]),
            },
            facts_bytes: facts_bytes(seed),
            rots: rng.pick(&[10, 30, 90]),
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
        Self {
            rng,
            disk,
            plan,
            now_ms: START_MS,
            skew_ms: 0,
            steady: Steady::default(),
            started_at_ms: START_MS,
            audience,
            shapes: Shapes::default(),
            reruns: Reruns::default(),
            owed: BTreeMap::new(),
            fresh: BTreeSet::new(),
            wrong: None,
            clock_us: Arc::new(AtomicI64::new(START_MS * 1000)),
            due,
            order,
            flying: BTreeMap::new(),
            answers: Arc::default(),
            keyed: Keyed::default(),
            acked: BTreeSet::new(),
            commit_at_ms: None,
            wake_at_ms: None,
            dying: false,
            has_fired: false,
            definer,
            weathered: Weathered::default(),
        }
    }

    fn whole(&mut self) -> Result<(), String> {
        let mut audit = Audit::new(self.plan);
        self.weather(&mut audit).map_err(|cause| format!("{cause}\n{:?}", self.plan))
    }

    fn weather(&mut self, audit: &mut Audit) -> Result<(), String> {
        let mut house = self.start()?;
        self.reruns = Reruns::begin(&house);
        // Let all sessions end, and what they set off.
        let mut rounds = 0;
        loop {
            let next = self.due.keys().next().map(|(at_ms, _)| *at_ms);
            let wake = self.wake_at_ms.map(|at_ms| self.true_ms(at_ms));
            let next = next.into_iter().chain(wake).chain(self.commit_at_ms).min();
            rounds += 1;
            let Some(next_ms) = next else { break };
            if rounds > 200_000 {
                return Err(format!("I12: no end in sight; next at {next_ms}, now {}", self.now_ms));
            }
            self.now_ms = self.now_ms.max(next_ms);
            self.set_clock();
            let mut failure = self.step(&mut house).err();
            // A process that a failpoint has ended can read nothing more.
            self.fired();
            if let Some(cause) = house.spill_failure().filter(|_| failure.is_some() && !self.dying) {
                return Err(format!("I2: {cause}"));
            }
            if let Some(error @ (LogError::StateLost { .. } | LogError::Corrupt { .. })) = &failure
                && !self.dying
            {
                // No disk of a storm loses that much: started again, it would say so again, for ever.
                return Err(format!("I1: {error}"));
            }
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
        (self.weathered.decisions, self.weathered.ruled) = audit.finish(&house)?;
        self.weathered.acked = self.acked.len() as u64;
        (self.weathered.redefined, self.weathered.filled) = (self.definer.changes, self.definer.filled);
        self.weathered.simulated_ms = self.now_ms - START_MS;
        let Watched { written, retracted, resumed } = self.audience.watched;
        (self.weathered.written, self.weathered.retracted, self.weathered.resumed) = (written, retracted, resumed);
        Ok(())
    }

    fn restart(&mut self, house: House, audit: &mut Audit) -> Result<House, String> {
        if !self.dying && self.rng.chance(self.plan.rots) {
            // Retention takes what it may just before a snapshot turns out to be damaged.
            audit.collect(&house)?;
            self.keep_house(&house);
        }
        self.crash(house);
        if self.plan.fault.is_none() && self.rng.chance(10) {
            self.flip(audit)?;
        }
        let house = self.start()?;
        audit.restarted();
        self.reruns = Reruns::begin(&house);
        self.shapes.restarted();
        match audit.collect(&house) {
            // A failpoint has ended it on its way up.
            Err(_) if self.dying => return Ok(house),
            read => read?,
        }
        self.audience.begin(&house, audit)?;
        Ok(house)
    }

    /// Holds everything against the oracle.
    fn audit(&mut self, house: &House, audit: &mut Audit) -> Result<(), String> {
        self.weathered.audits += 1;
        audit.run(house, &self.acked, &mut self.definer)?;
        self.keyed.check(house)?;
        self.weathered.reruns += self.reruns.run(house)?;
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
            for stream in house.partitions().filter_map(|number| house.stream(number)) {
                self.shapes.look(stream, self.plan.fault.is_none())?;
            }
        }
        if self.rng.chance(5) {
            match audit.collect(house) {
                Err(_) if self.dying => return Ok(()),
                read => read?,
            }
            self.keep_house(house);
        }
        Ok(())
    }

    fn keep_house(&mut self, house: &House) {
        let before = self.kept(house);
        self.disk.observe(false);
        house.keep_house();
        self.disk.observe(true);
        self.weathered.shortened += u64::from(self.kept(house) != before);
        self.fired();
    }

    /// What has become of the failpoint that was set.
    fn fired(&mut self) {
        match self.disk.take_fired() {
            None => return,
            Some(Fails::Delay(late_ms)) => {
                self.now_ms += late_ms;
                // Nothing could be done meanwhile.
                self.owed.values_mut().for_each(|(_, by_ms)| *by_ms += late_ms);
                self.set_clock();
            }
            Some(Fails::Crash | Fails::Error) => self.dying = true,
        }
        self.has_fired = true;
    }

    /// Where the partitions begin.
    fn kept(&self, house: &House) -> Vec<i64> {
        let start = |partition| house.port.extent(Topic::Behavior, partition).map_or(0, |extent| extent.start);
        partitions(self.plan).map(start).collect()
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

    /// The process goes on for a moment.
    fn step(&mut self, house: &mut House) -> Result<(), LogError> {
        self.disk.observe(false);
        let gone_on = self.go_on(house);
        self.disk.observe(true);
        self.fired();
        gone_on
    }

    /// Sends what is due, commits, turns the owners.
    fn go_on(&mut self, house: &mut House) -> Result<(), LogError> {
        self.send(house);
        self.definer.step(house, self.clock_us.load(Ordering::Relaxed) / 1000);
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
                self.wrong = Some(format!("I2: {partition} was read up to {read:?} of {end} after an answer"));
            }
        }
        self.wake_at_ms = house.turn(now_us)?;
        self.definer.take_back(house);
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
        self.order += 1;
        let number = self.order;
        let keyed = self.rng.chance(30).then(|| self.keyed.next(number));
        let records = batch
            .iter()
            .filter_map(|record| {
                let partition = partition_of(key_of(record), self.plan.partitions);
                let (key, value) = (Bytes::copy_from_slice(key_of(record).as_bytes()), record.encode().ok()?);
                Some(Append { topic: Topic::Behavior, partition, key, value: Some(value.into()) })
            })
            .chain(keyed)
            .collect();
        let answers = Arc::clone(&self.answers);
        self.flying.insert(number, batch);
        let done = Box::new(move |answer| answers.lock().push((number, answer)));
        house.port.append(Unit { records, positions: Vec::new() }.into(), done);
    }

    /// Looks at the answers; what was refused is sent again.
    fn land(&mut self) {
        let answers = std::mem::take(&mut *self.answers.lock());
        for (number, answer) in answers {
            self.keyed.answered(number, answer.is_ok());
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

    fn start(&mut self) -> Result<House, String> {
        self.steady = Steady::default();
        self.started_at_ms = self.now_ms;
        self.set_clock();
        self.commit_at_ms = None;
        self.owed.clear();
        self.fresh.clear();
        self.disk.observe(false);
        let house = self.definer.start(&self.disk, &self.clock_us, &self.plan);
        let house = house.map_err(|error| format!("I12: no start: {error}"));
        self.disk.observe(true);
        let house = house?;
        self.fired();
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
