//! Owners on threads of their own, woken by the log, by deadlines and by questions.

use super::around::Around;
use super::owner::Owner;
use super::slot::Progress;
use midsession_event::PartitionId;
use midsession_machine::Definitions;
use midsession_ports::LogError;
use midsession_stream::{Config, Stream};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Reads the wall clock, in µs since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Questions that may wait for one owner.
const QUESTIONS_MAX: usize = 16_384;
/// Longest sleep without a reason to wake.
const SLEEP_MAX_MS: i64 = 1_000;

/// What a partition's owner shows to a question.
#[derive(Debug)]
pub struct Seen<'a, D> {
    /// The machine.
    pub stream: &'a Stream,
    /// The definitions in force there.
    pub definitions: &'a Arc<D>,
    /// Epoch ms.
    pub now_ms: i64,
    /// The machine is still on its way through what was on the log at the start: it knows less than was known.
    pub is_replaying: bool,
    /// What came of the records below this offset is durable.
    pub durable_below: i64,
}

/// A question to a partition, answered by its owner between slices.
type Question<D> = Box<dyn FnOnce(Seen<'_, D>) + Send>;

/// Why the driver can't go on or can't answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DriverError {
    /// The log stopped.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Too many questions wait.
    #[error("too many reads wait for this partition; try again in a moment")]
    Busy,
    /// The owners were told to stop.
    #[error("the server is shutting down")]
    Stopping,
}

/// The running owners.
pub struct Driver<D> {
    desks: Vec<Arc<Desk<D>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    failure: Arc<Mutex<Option<LogError>>>,
    partitions: u32,
}

/// What reaches an owner from outside.
struct Desk<D> {
    state: Mutex<Inbox<D>>,
    bell: Condvar,
    stop: AtomicBool,
    /// Replay progress and counters, as of the last turn.
    progress: Mutex<Progress>,
    settled: AtomicBool,
    dead: AtomicU64,
}

struct Inbox<D> {
    rung: bool,
    /// Its owner has stopped: nobody looks in any more.
    is_closed: bool,
    grew: Vec<PartitionId>,
    questions: VecDeque<(PartitionId, Question<D>)>,
}

impl<D> Desk<D> {
    fn ring(&self, grew: impl IntoIterator<Item = PartitionId>) {
        let mut inbox = self.state.lock();
        inbox.rung = true;
        for partition in grew {
            if !inbox.grew.contains(&partition) {
                inbox.grew.push(partition);
            }
        }
        drop(inbox);
        self.bell.notify_one();
    }
}

impl<D: Definitions + Send + Sync + 'static> Driver<D> {
    /// Starts `threads` owners over all partitions of `behavior`.
    pub fn start(around: &Around<D>, config: Config, threads: u32, clock: &Clock) -> Result<Arc<Self>, DriverError> {
        let threads = threads.clamp(1, config.partitions.max(1));
        let failure = Arc::new(Mutex::new(None));
        let committed_us = Arc::new(AtomicI64::new(clock()));
        let mut desks = Vec::new();
        let mut handles = Vec::new();
        for thread in 0..threads {
            let partitions: Vec<_> =
                (0..config.partitions).filter(|p| p % threads == thread).map(PartitionId).collect();
            let desk = Arc::new(Desk {
                state: Mutex::new(Inbox { rung: true, is_closed: false, grew: Vec::new(), questions: VecDeque::new() }),
                bell: Condvar::new(),
                stop: AtomicBool::new(false),
                progress: Mutex::new(Progress { restored: false, replaying: partitions.len(), ..Progress::default() }),
                settled: AtomicBool::new(false),
                dead: AtomicU64::new(0),
            });
            let wake = {
                let desk = Arc::clone(&desk);
                Arc::new(move || desk.ring([]))
            };
            let owner = Owner::new(around.clone(), &partitions, config, Arc::clone(&committed_us), wake)?;
            let (clock, failure) = (Arc::clone(clock), Arc::clone(&failure));
            let desk_of_thread = Arc::clone(&desk);
            let handle = std::thread::Builder::new()
                .name(format!("stream-{thread}"))
                .spawn(move || {
                    // A panic is a fault of ours; it must not look like a partition with nothing to do.
                    let ran = catch_unwind(AssertUnwindSafe(|| run(owner, &desk_of_thread, &clock)));
                    let stopped = ran.unwrap_or_else(|_| {
                        Err(LogError::Failed { cause: "a stream owner panicked; its message stands above".into() })
                    });
                    if let Err(error) = stopped {
                        tracing::error!(%error, "a stream owner stopped");
                        failure.lock().get_or_insert(error);
                    }
                    // Questions that wait are dropped: their askers learn it at once.
                    let mut inbox = desk_of_thread.state.lock();
                    inbox.is_closed = true;
                    inbox.questions.clear();
                })
                .map_err(|cause| LogError::Failed { cause: format!("a thread could not be started: {cause}") })?;
            handles.push(handle);
            desks.push(desk);
        }
        {
            let desks = desks.clone();
            let clock = Arc::clone(clock);
            around.log.on_commit(Box::new(move |grew| {
                committed_us.store(clock(), Ordering::Release);
                for (index, desk) in desks.iter().enumerate() {
                    let mut own = grew.iter().copied().filter(|p| p.0 as usize % desks.len() == index).peekable();
                    if own.peek().is_some() {
                        desk.ring(own);
                    }
                }
            }));
        }
        // What was committed between the owners' start and the subscription.
        for (index, desk) in desks.iter().enumerate() {
            desk.ring((0..config.partitions).filter(|p| *p as usize % desks.len() == index).map(PartitionId));
        }
        Ok(Arc::new(Self { desks, threads: Mutex::new(handles), failure, partitions: config.partitions }))
    }

    /// Puts a question to a partition's owner. It is dropped unanswered when the owner stops.
    pub fn ask(
        &self,
        partition: PartitionId,
        question: impl FnOnce(Seen<'_, D>) + Send + 'static,
    ) -> Result<(), DriverError> {
        let desk = &self.desks[partition.0 as usize % self.desks.len()];
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure.into());
        }
        let mut inbox = desk.state.lock();
        if inbox.is_closed {
            return Err(DriverError::Stopping);
        }
        if inbox.questions.len() >= QUESTIONS_MAX {
            return Err(DriverError::Busy);
        }
        inbox.questions.push_back((partition, Box::new(question)));
        inbox.rung = true;
        drop(inbox);
        desk.bell.notify_one();
        Ok(())
    }

    /// Partitions of `behavior`.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Why an owner stopped, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.failure.lock().clone()
    }

    /// How far the replay is, over all owners.
    pub fn progress(&self) -> Progress {
        self.desks.iter().map(|desk| *desk.progress.lock()).fold(Progress::default(), Progress::and)
    }

    /// Everything read has been committed.
    pub fn is_settled(&self) -> bool {
        self.desks.iter().all(|desk| desk.settled.load(Ordering::Acquire))
    }

    /// Records that could not be read.
    pub fn dead_records(&self) -> u64 {
        self.desks.iter().map(|desk| desk.dead.load(Ordering::Relaxed)).sum()
    }

    /// Stops the owners once they are settled, or after a while.
    pub fn stop(&self, patience: Duration) {
        let until = std::time::Instant::now() + patience;
        while !self.is_settled() && self.failure().is_none() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        for desk in &self.desks {
            desk.stop.store(true, Ordering::Release);
            desk.ring([]);
        }
        for thread in self.threads.lock().drain(..) {
            // A panicked owner has been reported by its own message.
            let _ = thread.join();
        }
    }
}

/// Processor time of this thread so far. µs.
pub(crate) fn thread_cpu_us() -> i64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.tv_sec * 1_000_000 + spent.tv_nsec / 1_000
}

fn run<D: Definitions>(mut owner: Owner<D>, desk: &Desk<D>, clock: &Clock) -> Result<(), LogError> {
    let mut questions: Vec<(PartitionId, Question<D>)> = Vec::new();
    loop {
        let mut inbox = desk.state.lock();
        inbox.rung = false;
        questions.extend(inbox.questions.drain(..));
        for partition in inbox.grew.drain(..) {
            owner.grew(partition);
        }
        drop(inbox);
        // Whoever asks after their event was acknowledged finds it counted, whichever partition's turn it is.
        for (partition, _) in &questions {
            owner.look(*partition, clock())?;
        }
        let turn = owner.turn(clock())?;
        let (begun, cpu_us) = (std::time::Instant::now(), thread_cpu_us());
        let saved = owner.snapshot(clock());
        if saved {
            let took_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
            owner.around.sink.snapshot_piece(took_us, thread_cpu_us() - cpu_us);
        }
        let now_ms = clock() / 1000;
        for (partition, question) in questions.drain(..) {
            if let Some(stream) = owner.stream(partition) {
                let is_replaying = owner.is_replaying(partition);
                let durable_below = owner.durable_below(partition);
                question(Seen {
                    stream,
                    definitions: owner.definitions(partition),
                    now_ms,
                    is_replaying,
                    durable_below,
                });
            }
        }
        *desk.progress.lock() = owner.progress();
        desk.dead.store(owner.dead_records(), Ordering::Relaxed);
        desk.settled.store(!turn.worked && owner.is_settled(), Ordering::Release);
        if desk.stop.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut inbox = desk.state.lock();
        if !turn.worked && !saved && !inbox.rung {
            let now_us = clock();
            let sleep_us = turn.wake_at_ms.map_or(SLEEP_MAX_MS * 1000, |at_ms| at_ms * 1000 - now_us);
            let sleep_us = sleep_us.clamp(0, SLEEP_MAX_MS * 1000).unsigned_abs();
            desk.bell.wait_for(&mut inbox, Duration::from_micros(sleep_us));
        }
    }
}
