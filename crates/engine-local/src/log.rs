//! The log itself: its queue, its thread, and the port's methods.

use crate::check::{Check, Checked};
use crate::config::Config;
use crate::disk::{Disk, Lock, LockError};
use crate::keeper::{Keeper, Surroundings};
use crate::recover::recover;
use crate::reserve;
use crate::store::Store;
use crate::writer::Writer;
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Done, Entry, Extent, Log, LogError, Position, Unit, Wake};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time, as the log is told. Epoch ms.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The keeper looks around at least this often: files age.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// The keeper waits for the writer at most this long per step. Ms.
const GIVE_WAY_MS: u32 = 5;

/// A unit of more bytes than this is refused: it must fit a frame.
pub const UNIT_BYTES: u64 = 256 << 20;

/// What the log has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Commits: each one write and one fdatasync.
    pub commits: u64,
    /// Units made durable.
    pub units: u64,
    /// Bytes written by commits.
    pub written_bytes: u64,
    /// Time spent in commits. Us.
    pub commit_us: u64,
    /// Units refused because the queue was full.
    pub busy: u64,
    /// Units refused because the disk was full.
    pub disk_full: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// Bytes of all record batches that can be read.
    pub stored_bytes: u64,
}

#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    units: AtomicU64,
    written_bytes: AtomicU64,
    commit_us: AtomicU64,
    busy: AtomicU64,
    disk_full: AtomicU64,
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

struct Waiting {
    unit: Arc<Unit>,
    done: Done,
    bytes: u64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: u64,
    /// A file was filled and the keeper has not looked yet.
    filled: bool,
    closed: bool,
}

struct Core {
    config: Config,
    clock: Clock,
    store: Store,
    queue: Mutex<Queue>,
    arrived: Condvar,
    writer: Mutex<Writer>,
    failed: OnceLock<String>,
    wakes: RwLock<Vec<Wake>>,
    keep: Mutex<Option<Vec<i64>>>,
    keeper: Mutex<Keeper>,
    /// Wakes the keeper's thread.
    filled: Condvar,
    threaded: bool,
    full_at_ms: AtomicI64,
    counts: Counts,
    _lock: Lock,
}

/// The embedded log. Dropping it writes what waits and lets the folder go.
pub struct LocalLog {
    core: Arc<Core>,
    threads: Vec<JoinHandle<()>>,
}

impl LocalLog {
    /// Opens a folder (made if missing) with a thread that commits and one that keeps house.
    pub fn open(disk: Arc<dyn Disk>, clock: Clock, config: Config) -> Result<Self, LogError> {
        let mut core = Core::open(disk, clock, config)?;
        core.threaded = true;
        let mut log = Self { core: Arc::new(core), threads: Vec::new() };
        for (name, run) in [("log", Core::run as fn(&Core)), ("log-keeper", Core::keep_house)] {
            let core = log.core.clone();
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(&core));
            let failed = |error| LogError::Failed { cause: format!("can't start the log's thread: {error}") };
            log.threads.push(thread.map_err(failed)?);
        }
        Ok(log)
    }

    /// Opens a folder without threads: the caller drives it by [`Self::commit_now`] and [`Self::keep_house_now`].
    pub fn open_threadless(disk: Arc<dyn Disk>, clock: Clock, config: Config) -> Result<Self, LogError> {
        Ok(Self { core: Arc::new(Core::open(disk, clock, config)?), threads: Vec::new() })
    }

    /// Commits what waits now, up to the bound of one commit; the number of units answered. Callbacks run here.
    pub fn commit_now(&self) -> usize {
        self.core.commit()
    }

    /// Does the housekeeping that is due: indexes for filled files, retention, compaction.
    pub fn keep_house_now(&self) -> Result<(), LogError> {
        self.core.keep()
    }

    /// Where to go on reading when what stands at `from` is damaged: behind its batch.
    pub fn behind(&self, topic: Topic, partition: PartitionId, from: i64) -> Result<i64, LogError> {
        self.core.store.behind(self.core.store.slot(topic, partition)?, from)
    }

    /// Reads some of the files that a start trusts by their indexes, and of those filled since; each once per `check`. Reads
    /// from the disk for as long as a MiB takes: what to wait between steps is up to the caller.
    pub fn check_some(&self, check: &mut Check) -> Checked {
        self.core.check(check)
    }

    /// Why it has stopped for good, if it has.
    pub fn failure(&self) -> Option<LogError> {
        self.core.failure()
    }

    /// When the disk was last found full, if it has had no room since. Epoch ms.
    pub fn full_at_ms(&self) -> Option<i64> {
        Some(self.core.full_at_ms.load(Ordering::Relaxed)).filter(|at_ms| *at_ms > 0)
    }

    /// The last stamp given. Waits for a commit under way. Epoch ms.
    pub fn last_stamp_ms(&self) -> i64 {
        self.core.writer.lock().stamp_ms()
    }

    /// What it has done and holds.
    pub fn stats(&self) -> Stats {
        let (core, counts) = (&self.core, &self.core.counts);
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            commits: get(&counts.commits),
            units: get(&counts.units),
            written_bytes: get(&counts.written_bytes),
            commit_us: get(&counts.commit_us),
            busy: get(&counts.busy),
            disk_full: get(&counts.disk_full),
            queued_bytes: core.queue.lock().bytes,
            stored_bytes: core.store.parts.iter().map(|part| part.read().extent().bytes).sum(),
        }
    }
}

impl Drop for LocalLog {
    fn drop(&mut self) {
        self.core.queue.lock().closed = true;
        self.core.arrived.notify_all();
        self.core.filled.notify_all();
        for thread in self.threads.drain(..) {
            // A callback may hold the last handle: its thread can't wait for itself, it ends on its own.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        while self.core.commit() > 0 {}
        self.core.close();
    }
}

impl Core {
    fn open(disk: Arc<dyn Disk>, clock: Clock, config: Config) -> Result<Self, LogError> {
        let folder = &config.folder;
        let failed = |error: std::io::Error| crate::journal::io_error(folder, folder, "open", &error);
        disk.make_folder(folder).map_err(failed)?;
        let lock = disk.lock(&folder.join("lock")).map_err(|error| match error {
            LockError::Held(owner) => LogError::Locked { folder: folder.display().to_string(), owner },
            LockError::Io(error) => failed(error),
        })?;
        let mut found = recover(&disk, folder, config.partitions, true)?;
        let writer = match Writer::start(disk.clone(), &config, clock(), &mut found) {
            Err(LogError::DiskFull { .. }) if reserve::give_back(&*disk, folder) => {
                Writer::start(disk.clone(), &config, clock(), &mut found)
            }
            started => started,
        }?;
        reserve::keep(&*disk, folder, config.reserve_bytes);
        Ok(Self {
            config,
            clock,
            store: found.store,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            writer: Mutex::new(writer),
            failed: OnceLock::new(),
            wakes: RwLock::default(),
            keep: Mutex::default(),
            keeper: Mutex::new(Keeper { disk, files: found.filled.into(), compact: found.compact }),
            filled: Condvar::new(),
            threaded: false,
            full_at_ms: AtomicI64::new(0),
            counts: Counts::default(),
            _lock: lock,
        })
    }

    /// The keeper's thread.
    fn keep_house(&self) {
        loop {
            if let Err(error) = self.keep() {
                tracing::warn!(%error, "the log's housekeeping did not finish; it is tried again");
            }
            let mut queue = self.queue.lock();
            if !queue.closed && !queue.filled {
                self.filled.wait_for(&mut queue, KEEP_EVERY);
            }
            if queue.closed {
                return;
            }
            queue.filled = false;
        }
    }

    fn keep(&self) -> Result<(), LogError> {
        let mut keeper = self.keeper.lock();
        let now_ms = (self.clock)();
        let (filled, active_bytes) = {
            let mut writer = self.writer.lock();
            if self.failed.get().is_none() {
                writer.roll_if_due(now_ms)?;
            }
            (std::mem::take(&mut writer.filled), writer.bytes())
        };
        let keep = self.keep.lock().clone();
        let pause = || self.give_way();
        let around =
            Surroundings { store: &self.store, config: &self.config, now_ms, active_bytes, keep, pause: &pause };
        keeper.run(filled, &around)
    }

    fn check(&self, check: &mut Check) -> Checked {
        if check.is_idle() {
            let keeper = self.keeper.lock();
            let active = self.writer.lock().active();
            check.list(keeper.files.iter().chain(&keeper.compact), &active);
        }
        check.step(|file| self.store.damaged_list(file))
    }

    /// Lets the writer go first, for a moment.
    fn give_way(&self) {
        for _ in 0..GIVE_WAY_MS {
            if !self.threaded || self.queue.lock().bytes == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Leaves the file being written with its index: the next start reads nothing through, and a byte of it that changes
    /// meanwhile is found.
    fn close(&self) {
        if self.failed.get().is_some() {
            return;
        }
        let active = self.writer.lock().active();
        if let Err(error) = self.keeper.lock().seal(&active, &self.store, &self.config) {
            tracing::warn!(%error, "the log was closed without an index; the next start reads its last file through");
        }
    }

    fn run(&self) {
        loop {
            {
                let mut queue = self.queue.lock();
                while queue.waiting.is_empty() {
                    if queue.closed {
                        return;
                    }
                    self.arrived.wait(&mut queue);
                }
            }
            self.commit();
        }
    }

    /// Takes what waits, up to the bound of one commit.
    fn take(&self) -> (Vec<Arc<Unit>>, Vec<Done>) {
        let mut queue = self.queue.lock();
        let (mut units, mut dones, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < self.config.commit_bytes
            && let Some(next) = queue.waiting.pop_front()
        {
            bytes += next.bytes;
            units.push(next.unit);
            dones.push(next.done);
        }
        queue.bytes -= bytes;
        (units, dones)
    }

    fn commit(&self) -> usize {
        let mut writer = self.writer.lock();
        let (units, dones) = self.take();
        if units.is_empty() {
            return 0;
        }
        let begun = Instant::now();
        let outcome = match self.failure() {
            Some(error) => Err(error),
            None => writer.commit(&self.store, &units, (self.clock)()),
        };
        if let Err(LogError::Failed { cause }) = &outcome
            && self.failed.set(cause.clone()).is_ok()
        {
            tracing::error!(cause, "the log stopped acknowledging");
        }
        // Who handed a unit in may use it again.
        drop(units);
        let filled = !writer.filled.is_empty();
        drop(writer);
        add(&self.counts.commit_us, begun.elapsed().as_micros() as u64);
        if filled {
            self.queue.lock().filled = true;
            self.filled.notify_all();
        }
        let count = dones.len();
        match outcome {
            Ok(committed) => {
                self.full_at_ms.store(0, Ordering::Relaxed);
                add(&self.counts.commits, 1);
                add(&self.counts.units, count as u64);
                add(&self.counts.written_bytes, committed.bytes);
                for (done, receipts) in dones.into_iter().zip(committed.receipts) {
                    guarded(|| done(Ok(receipts)));
                }
                for wake in self.wakes.read().iter() {
                    guarded(|| wake(&committed.grown));
                }
            }
            Err(error) => {
                if matches!(error, LogError::DiskFull { .. }) {
                    self.full_at_ms.store((self.clock)(), Ordering::Relaxed);
                    add(&self.counts.disk_full, count as u64);
                }
                for done in dones {
                    guarded(|| done(Err(error.clone())));
                }
            }
        }
        count
    }

    fn failure(&self) -> Option<LogError> {
        self.failed.get().map(|cause| LogError::Failed { cause: cause.clone() })
    }

    /// Why a unit can't be taken.
    fn refusal(&self, unit: &Unit, bytes: u64) -> Option<LogError> {
        if let Some(failed) = self.failure() {
            return Some(failed);
        }
        if bytes > UNIT_BYTES {
            return Some(LogError::TooLarge { bytes, most: UNIT_BYTES });
        }
        let partitions = self.store.partitions(Topic::Behavior);
        let beyond =
            unit.positions.iter().map(|position| position.partition).find(|partition| partition.0 >= partitions);
        if let Some(partition) = beyond {
            return Some(LogError::NoPartition { topic: Topic::Behavior.name(), partition: partition.0 });
        }
        unit.records.iter().find_map(|record| self.store.slot(record.topic, record.partition).err())
    }
}

/// Runs a caller's function: its panic must not end the log's thread.
fn guarded(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!("a callback of the log panicked");
    }
}

/// What a unit takes of the queue's bound.
fn weight(unit: &Unit) -> u64 {
    let record = |key: usize, value: usize| (key + value + crate::batch::RECORD_OVERHEAD_BYTES) as u64;
    let records =
        unit.records.iter().map(|append| record(append.key.len(), append.value.as_ref().map_or(0, |v| v.len())));
    records.sum::<u64>() + 16 * (1 + unit.positions.len() as u64)
}

impl Log for LocalLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.core.store.partitions(topic)
    }

    fn append(&self, unit: Arc<Unit>, done: Done) {
        let bytes = weight(&unit);
        if let Some(error) = self.core.refusal(&unit, bytes) {
            return done(Err(error));
        }
        let mut queue = self.core.queue.lock();
        // A unit larger than the bound goes alone.
        if queue.bytes > 0 && queue.bytes + bytes > self.core.config.queue_bytes {
            let queued = queue.bytes;
            drop(queue);
            add(&self.core.counts.busy, 1);
            return done(Err(LogError::Busy { queued }));
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Waiting { unit, done, bytes });
        drop(queue);
        self.core.arrived.notify_one();
    }

    fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        self.core.store.read(self.core.store.slot(topic, partition)?, from, max_bytes, out)
    }

    fn extent(&self, topic: Topic, partition: PartitionId) -> Result<Extent, LogError> {
        Ok(self.core.store.extent(self.core.store.slot(topic, partition)?))
    }

    fn offset_at(&self, topic: Topic, partition: PartitionId, time_ms: i64) -> Result<i64, LogError> {
        self.core.store.offset_at(self.core.store.slot(topic, partition)?, time_ms)
    }

    fn position(&self, partition: PartitionId) -> i64 {
        self.core.store.positions.read().get(partition.0 as usize).copied().unwrap_or(0)
    }

    fn on_commit(&self, wake: Wake) {
        self.core.wakes.write().push(wake);
    }

    fn keep_from(&self, positions: &[Position]) {
        let mut keep = self.core.keep.lock();
        let keep = keep.get_or_insert_with(|| vec![0; self.core.store.partitions(Topic::Behavior) as usize]);
        for position in positions {
            if let Some(place) = keep.get_mut(position.partition.0 as usize) {
                *place = position.offset;
            }
        }
    }
}
