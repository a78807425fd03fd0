//! Audits of what is served: each partition's last snapshot is computed again from the one before it and the log between
//! them, and its sessions are counted again from their facts; in the background, while the partitions go on.
//!
//! That the same log gives the same state is what restarts, history and every answer about the past stand on. Here it is
//! held in production, with the shop's own traffic. What differs is a fault of ours: counted as I8 and I2, and told.

use crate::app::Inner;
use crate::assemble::Assembly;
use crate::driver::in_force;
use midsession_event::{PartitionId, Record, Topic};
use midsession_machine::{Definitions, Effect, Invariant};
use midsession_observe::Metric;
use midsession_ports::{Entry, Log, LogError, Snapshots};
use midsession_stream::{Config, SnapshotError, Spilling, Stream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Read from the log at once. Bytes.
const READ_BYTES: usize = 64 << 10;
/// Of a snapshot, compared at once. Bytes.
const PIECE_BYTES: usize = 256 << 10;
/// Between two looks for a snapshot that was not audited.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of each step's time so many times more is spent at rest: a tenth of one core at most.
const REST: u32 = 9;

/// What an audit of one snapshot came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audited {
    /// All of it is what comes out again; so many records were run.
    Agrees(u64),
    /// This does not hold.
    Differs(Vec<(Invariant, String)>),
    /// A snapshot or a part of the log went meanwhile, as newer ones came.
    GivenUp(String),
}

/// An audit under way.
pub struct Audit<D> {
    log: Arc<dyn Log>,
    snapshots: Arc<dyn Snapshots>,
    definitions: Arc<D>,
    in_force: Arc<D>,
    config: Config,
    stream: Stream,
    /// Where the facts of the saved state go that are over a budget, if there is one.
    room: Option<Spilling>,
    next: i64,
    until: i64,
    records: u64,
}

impl<D: Definitions> Audit<D> {
    /// Of the newest snapshot of a partition, if it is newer than `after` (the offset that replay goes on at) and there is
    /// one before it. `room`: where facts over a budget go, of the machine that runs again and of the saved one.
    ///
    /// # Errors
    /// The snapshots can't be listed, or the older one can't be read.
    pub fn begin(
        log: &Arc<dyn Log>,
        snapshots: &Arc<dyn Snapshots>,
        definitions: &Arc<D>,
        config: Config,
        partition: PartitionId,
        after: i64,
        [room, room_of_saved]: [Option<Spilling>; 2],
    ) -> Result<Option<Self>, String> {
        let listed = snapshots.list(partition).map_err(|error| error.to_string())?;
        let [until, next, ..] = listed[..] else { return Ok(None) };
        if until <= after {
            return Ok(None);
        }
        let mut stream = restore(snapshots.as_ref(), partition, config, next, room)?;
        stream.define(definitions.initial());
        let in_force = in_force(definitions, &stream);
        Ok(Some(Self {
            log: Arc::clone(log),
            snapshots: Arc::clone(snapshots),
            definitions: Arc::clone(definitions),
            in_force,
            config,
            stream,
            room: room_of_saved,
            next,
            until,
            records: 0,
        }))
    }

    /// The offset of the snapshot that is looked at.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Runs some of the log; says what it came to once all of it has been.
    pub fn step(&mut self) -> Option<Audited> {
        match self.run() {
            Ok(false) => None,
            Ok(true) => Some(self.judge()),
            Err(error) => Some(Audited::GivenUp(error.to_string())),
        }
    }

    fn run(&mut self) -> Result<bool, LogError> {
        let mut entries: Vec<Entry> = Vec::new();
        self.log.read(Topic::Behavior, self.stream.partition(), self.next, READ_BYTES, &mut entries)?;
        if entries.is_empty() && self.next < self.until {
            let cause = format!("the log has nothing at {}, before the snapshot at {}", self.next, self.until);
            return Err(LogError::Snapshot { cause });
        }
        let mut effects: Vec<Effect> = Vec::new();
        for entry in entries {
            if entry.offset >= self.until {
                self.next = self.until;
                break;
            }
            self.next = entry.offset + 1;
            // What can't be read was left out by the owner, too.
            let Some(Ok(record)) = entry.value.as_deref().map(Record::decode) else { continue };
            let redefines = matches!(record, Record::Definition(_));
            self.stream.on_record(entry.offset, entry.stamp_ms, record, self.in_force.as_ref(), &mut effects);
            if redefines {
                self.in_force = in_force(&self.definitions, &self.stream);
            }
            effects.clear();
            self.records += 1;
        }
        Ok(self.next >= self.until)
    }

    fn judge(&mut self) -> Audited {
        let room = self.room.take();
        let saved = restore(self.snapshots.as_ref(), self.stream.partition(), self.config, self.until, room);
        let mut saved = match saved {
            Ok(saved) => saved,
            Err(cause) => return Audited::GivenUp(cause),
        };
        let mut found = Vec::new();
        match is_same(&mut self.stream, &mut saved) {
            Ok(true) => {}
            Ok(false) => {
                let first = self.stream.first_difference(&saved);
                let first = first.unwrap_or_else(|| "what stands beside all that is compared by name".to_owned());
                found.push((Invariant::Rerun, format!("another one: {first}")));
            }
            Err(cause) => return Audited::GivenUp(cause.to_string()),
        }
        if let Err(cause) = self.stream.recount() {
            found.push((Invariant::Exact, cause));
        }
        // What is made of facts that could not be read says nothing.
        if let Some(cause) = [&self.stream, &saved].into_iter().find_map(Stream::spill_failure) {
            return Audited::GivenUp(cause.to_owned());
        }
        if found.is_empty() { Audited::Agrees(self.records) } else { Audited::Differs(found) }
    }
}

fn restore(
    snapshots: &dyn Snapshots,
    partition: PartitionId,
    config: Config,
    next: i64,
    room: Option<Spilling>,
) -> Result<Stream, String> {
    let input = snapshots.open(partition, next).map_err(|error| error.to_string())?;
    let mut stream = Stream::new(partition, config);
    room.into_iter().for_each(|room| stream.spill(room));
    stream.restored(input).map_err(|error| error.to_string())
}

/// Both write down the same, byte by byte; compared a piece at a time.
fn is_same(one: &mut Stream, other: &mut Stream) -> Result<bool, SnapshotError> {
    one.begin_snapshot()?;
    other.begin_snapshot()?;
    loop {
        match (one.snapshot_some(PIECE_BYTES)?, other.snapshot_some(PIECE_BYTES)?) {
            (Some(piece), Some(same)) if piece.bytes == same.bytes && piece.is_last == same.is_last => {
                if piece.is_last {
                    return Ok(true);
                }
            }
            _ => return Ok(false),
        }
    }
}

/// Audits every snapshot of this process, one after the other, for as long as it runs.
pub(crate) async fn keep_auditing(inner: Arc<Inner>, snapshots: Arc<dyn Snapshots>) {
    let partitions = inner.log.partitions(Topic::Behavior);
    // What an earlier process saved came of its configuration.
    let newest = |number: u32| {
        let listed = snapshots.list(PartitionId(number)).unwrap_or_default();
        listed.first().copied().unwrap_or(0)
    };
    let mut audited: Vec<i64> = (0..partitions).map(newest).collect();
    let mut seen = 0;
    loop {
        // To list them reads their folder: only when there are more.
        let written = inner.observe.metrics.get(Metric::Snapshots, None);
        if written == seen {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        seen = written;
        for number in 0..partitions {
            let place = &mut audited[number as usize];
            let (known, kept, after) = (Arc::clone(&inner), Arc::clone(&snapshots), *place);
            let begun = tokio::task::spawn_blocking(move || {
                let Inner { log, assembly, stream_config, spill, .. } = known.as_ref();
                let partition = PartitionId(number);
                // Memory is short: none for a second machine with all of its facts.
                let is_short = spill.stats().entries.load(Ordering::Relaxed) > 0;
                let room = if is_short { spill.of_audit(partition) } else { [None, None] };
                Audit::<Assembly>::begin(log, &kept, assembly, *stream_config, partition, after, room)
            });
            // An error: the process ends.
            let Ok(begun) = begun.await else { return };
            match begun {
                Ok(None) => {}
                Ok(Some(audit)) => {
                    *place = audit.until();
                    let Some(outcome) = carry_on(audit).await else { return };
                    tell(&inner, PartitionId(number), &outcome);
                }
                // It may have gone between listing and reading; a damaged one is told at the next start.
                Err(cause) => tracing::debug!(partition = number, cause, "a snapshot could not be audited"),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Step by step, at rest most of the time. `None`: the process ends.
async fn carry_on(mut audit: Audit<Assembly>) -> Option<Audited> {
    loop {
        let stepped = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let outcome = audit.step();
            (audit, outcome, begun.elapsed())
        });
        let (stepping, outcome, took) = stepped.await.ok()?;
        audit = stepping;
        tokio::time::sleep(took * REST).await;
        if outcome.is_some() {
            return outcome;
        }
    }
}

fn tell(inner: &Inner, partition: PartitionId, outcome: &Audited) {
    let metrics = &inner.observe.metrics;
    let label = match outcome {
        Audited::Agrees(records) => {
            metrics.add(Metric::AuditedRecords, *records);
            "agrees"
        }
        Audited::Differs(found) => {
            for (invariant, cause) in found {
                metrics.add_by(Metric::InvariantViolations, invariant.id(), 1);
                let (partition, id, words) = (partition.0, invariant.id(), invariant.words());
                tracing::error!(partition, invariant = id, cause, "does not hold: {words}; please report this");
            }
            "differs"
        }
        Audited::GivenUp(cause) => {
            tracing::debug!(partition = partition.0, cause, "an audit was given up");
            "given_up"
        }
    };
    metrics.add_by(Metric::Audits, label, 1);
}
