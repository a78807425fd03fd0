//! The past of definitions by a field: each partition's log is run through a machine once more, which adds up nothing but
//! them, up to the record from which they count by themselves. So an event counts where it took effect, and once.
//!
//! What comes of it is offered to the partition to be put aside, from the beginning each time; an edit adds it.

use super::fill::{Next, READ_BYTES, begins, ends};
use crate::assemble::Assembly;
use bytes::Bytes;
use midsession_event::{
    DefinitionChange, DefinitionEdit, EditKind, Event, Filled, FilledSeries, Forward, PartitionId, Record, ShopperId,
    Topic, encode,
};
use midsession_machine::partial::Heard;
use midsession_machine::{Defined, Definitions, PROFILES, Partials};
use midsession_ports::{Append, Entry, Log, LogError, Unit};
use midsession_stream::{Config, Stream};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Events of shoppers whose login the log has lost: so many are kept in mind, about 100 MB.
const FORWARDED_MAX: usize = 4_000_000;
/// One record's series are about as long. Bytes.
const RECORD_BYTES: usize = 256 << 10;

/// What is added up, and nothing else: nobody is asked about the past.
struct Counting {
    assembly: Arc<Assembly>,
    /// Under these slots.
    open: Vec<u32>,
}

/// Definitions by a field on their way through the past.
pub(super) struct Past {
    assembly: Arc<Assembly>,
    config: Config,
    /// From when on each slot counts by itself. Epoch ms.
    since: Vec<(u32, i64)>,
    /// What was read until then has gone from the log, at least in part. Epoch ms.
    after_ms: Option<i64>,
    /// Likewise, with what retention has taken meanwhile.
    begins_ms: Option<i64>,
    partitions: u32,
    /// Of each partition: events without a user that their user's home has counted.
    forwarded: Vec<BTreeSet<i64>>,
    stage: Stage,
}

enum Stage {
    /// The log has lost logins: first to all that was forwarded on their account.
    Settle,
    Forwarded {
        partition: u32,
        next: i64,
        ends: Vec<i64>,
    },
    Run(Box<Run>),
    Offer {
        partition: u32,
        out: VecDeque<Unit>,
    },
    Over,
}

/// One partition's machine.
struct Run {
    stream: Stream,
    counting: Counting,
    next: i64,
}

impl Past {
    /// Of these slots, each with when it began to count by itself; `begins_ms`: since when the log has everything.
    pub(super) fn new(
        assembly: Arc<Assembly>,
        since: Vec<(u32, i64)>,
        begins_ms: Option<i64>,
        partitions: u32,
    ) -> Self {
        Self {
            config: assembly.stream_config(partitions),
            assembly,
            since,
            after_ms: begins_ms,
            begins_ms,
            partitions,
            forwarded: vec![BTreeSet::new(); partitions as usize],
            stage: Stage::Settle,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Since when the log had everything.
    pub(super) fn begins_ms(&self) -> Option<i64> {
        self.begins_ms
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.since.iter().map(|(slot, _)| *slot)
    }

    /// Goes on by a little.
    ///
    /// # Errors
    /// The log can't be read.
    pub(super) fn step(&mut self, log: &dyn Log, read: &mut u64) -> Result<Next, LogError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Settle if self.after_ms.is_none() => {
                self.stage = self.begin(log, 0)?;
                Ok(Next::Read)
            }
            Stage::Settle => {
                // Where an event went whose login has gone can be told by what has arrived alone: all of it.
                self.stage = Stage::Forwarded { partition: 0, next: 0, ends: Vec::new() };
                Ok(Next::Settle)
            }
            Stage::Forwarded { partition, next, ends: known } => {
                let ends = if known.is_empty() { ends(log, self.partitions)? } else { known };
                let start = log.extent(Topic::Behavior, PartitionId(partition))?.start;
                let entries = entries(log, partition, next.max(start))?;
                let last = entries.last().map(|entry| entry.offset + 1);
                entries.iter().for_each(|entry| self.arrived(entry));
                if self.forwarded.iter().map(BTreeSet::len).sum::<usize>() > FORWARDED_MAX {
                    return Ok(Next::TooMany);
                }
                self.stage = match last.filter(|last| *last < ends[partition as usize]) {
                    Some(next) => Stage::Forwarded { partition, next, ends },
                    None if partition + 1 < self.partitions => {
                        Stage::Forwarded { partition: partition + 1, next: 0, ends }
                    }
                    None => self.begin(log, 0)?,
                };
                Ok(Next::Read)
            }
            Stage::Run(mut run) => {
                let partition = run.stream.partition();
                let entries = entries(log, partition.0, run.next)?;
                *read +=
                    entries.iter().map(|entry| entry.value.as_ref().map_or(0, |value| value.len() as u64)).sum::<u64>();
                let is_over = entries.is_empty() || entries.into_iter().any(|entry| self.run(&mut run, &entry));
                self.stage = if is_over {
                    Stage::Offer { partition: partition.0, out: self.offered(partition, &run.stream) }
                } else {
                    Stage::Run(run)
                };
                Ok(Next::Read)
            }
            Stage::Offer { partition, mut out } => {
                let Some(unit) = out.pop_front() else {
                    if partition + 1 < self.partitions {
                        self.stage = self.begin(log, partition + 1)?;
                    }
                    return Ok(Next::Read);
                };
                self.stage = Stage::Offer { partition, out };
                Ok(Next::Append(unit))
            }
            Stage::Over => Ok(Next::Read),
        }
    }

    fn begin(&mut self, log: &dyn Log, partition: u32) -> Result<Stage, LogError> {
        let partition = PartitionId(partition);
        self.begins_ms = self.begins_ms.max(begins(log, partition)?);
        if self.after_ms.is_none() && self.begins_ms.is_some() {
            // What was lost meanwhile: logins among it.
            self.after_ms = self.begins_ms;
            return Ok(Stage::Settle);
        }
        let counting = Counting { assembly: Arc::clone(&self.assembly), open: self.slots().collect() };
        let stream = Stream::new(partition, self.config);
        Ok(Stage::Run(Box::new(Run { stream, counting, next: log.extent(Topic::Behavior, partition)?.start })))
    }

    /// An event has counted at its user's home; one that names the user would be sent there again.
    fn arrived(&mut self, entry: &Entry) {
        if let Some(Ok(Record::Forward(forward))) = entry.value.as_deref().map(Record::decode)
            && let Forward { id, event, .. } = *forward
            && event.user_id.is_none()
            && let Some(offsets) = self.forwarded.get_mut(id.partition.0 as usize)
        {
            offsets.insert(id.offset);
        }
    }

    /// Takes a record; true once all slots count by themselves.
    fn run(&self, run: &mut Run, entry: &Entry) -> bool {
        let Run { stream, counting, next } = run;
        *next = entry.offset + 1;
        if self.since.iter().all(|(_, since_ms)| entry.stamp_ms > *since_ms) {
            return true;
        }
        let Some(Ok(record)) = entry.value.as_deref().map(Record::decode) else { return false };
        match &record {
            Record::Definition(change) => {
                let put = self.put(change);
                let begins = |slot: &u32| self.since.contains(&(*slot, entry.stamp_ms)) && put.contains(slot);
                counting.open.retain(|slot| !begins(slot));
                return counting.open.is_empty();
            }
            Record::Filled(_) => return false,
            _ => {}
        }
        let is_elsewhere = matches!(&record, Record::Event(event) if event.user_id.is_none())
            && self.forwarded[stream.partition().0 as usize].contains(&entry.offset);
        let is_early = self.after_ms.is_some_and(|after_ms| entry.stamp_ms <= after_ms);
        let open = if is_elsewhere || is_early { std::mem::take(&mut counting.open) } else { Vec::new() };
        stream.on_record(entry.offset, entry.stamp_ms, record, counting, &mut Vec::new());
        if !open.is_empty() {
            counting.open = open;
        }
        false
    }

    /// Under which slots something is written for what a change has put.
    fn put(&self, change: &DefinitionChange) -> Vec<u32> {
        let puts = change.edits.iter().filter(|edit| edit.what == EditKind::Put && edit.kind == "feature");
        let put = Defined::initial(puts.map(|edit| (edit.name.clone(), edit.text.clone(), edit.file.clone(), 0)));
        let apart = change.edits.iter().filter(|edit| edit.kind == PROFILES && edit.what == EditKind::Filed);
        let mut slots = self.assembly.slots_alone(&put);
        slots.extend(apart.flat_map(DefinitionEdit::slots));
        slots
    }

    /// What a partition is offered: first that it is from the beginning.
    fn offered(&self, partition: PartitionId, stream: &Stream) -> VecDeque<Unit> {
        let fields = &stream.partials().fields;
        let packed = self.slots().flat_map(|slot| {
            let of_slot = fields.pack(slot).into_iter();
            of_slot.map(move |(id, steps)| FilledSeries { slot: i64::from(slot), id, steps })
        });
        let mut records = vec![Filled { begins: self.slots().map(i64::from).collect(), ..Filled::default() }];
        let mut bytes = 0;
        for series in packed {
            bytes += series.steps.len();
            match records.last_mut().filter(|_| bytes < RECORD_BYTES) {
                Some(last) => last.series.push(series),
                None => {
                    bytes = series.steps.len();
                    records.push(Filled { series: vec![series], ..Filled::default() });
                }
            }
        }
        let unit = |filled: Filled| {
            // Never: what is packed fits its schema.
            let value = Some(Bytes::from(encode(&filled).ok()?));
            let record = Append { topic: Topic::Behavior, partition, key: Bytes::from_static(b"filled"), value };
            Some(Unit { records: vec![record], positions: Vec::new() })
        };
        records.into_iter().filter_map(unit).collect()
    }
}

fn entries(log: &dyn Log, partition: u32, next: i64) -> Result<Vec<Entry>, LogError> {
    let mut entries = Vec::new();
    let partition = PartitionId(partition);
    if next < log.extent(Topic::Behavior, partition)?.end {
        log.read(Topic::Behavior, partition, next, READ_BYTES, &mut entries)?;
    }
    Ok(entries)
}

impl Definitions for Counting {
    fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        if !self.open.is_empty() {
            let is_meant = |slot: u32| self.open.contains(&slot);
            self.assembly.accumulate_where(&is_meant, event, shopper, heard, now_ms, partials);
        }
    }
}
