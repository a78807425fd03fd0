//! The log of a data folder as history: what the live machines read, read again.

use super::progress::Progress;
use super::sort::{Item, Merge, Ordered, merge};
use crate::assemble::Assembly;
use crate::cli::Failure;
use midsession_event::{DefinitionChange, PartitionId, Record, ShopperId, Str, Topic};
use midsession_machine::{Definitions as _, WINDOW_MAX_MS};
use midsession_ports::{Entry, Log};
use midsession_stream::{Config, Stream};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Bytes read from the log at a time.
const READ_BYTES: usize = 1 << 18;

/// The definitions that were in force, at one time or another.
#[derive(Debug, Default)]
pub struct PutInForce {
    /// Those of the configuration.
    pub configured: bool,
    /// Others.
    pub others: Vec<Arc<Assembly>>,
}

impl PutInForce {
    /// None: those of the configuration.
    fn take(&mut self, others: Option<Arc<Assembly>>) {
        match others {
            None => self.configured = true,
            Some(others) if self.others.iter().any(|known| Arc::ptr_eq(known, &others)) => {}
            Some(others) => self.others.push(others),
        }
    }
}

/// A data folder's log.
pub struct Logged<'a> {
    log: &'a Arc<dyn Log>,
    /// Records that could not be read as what they should be.
    dead: Cell<u64>,
    /// Stamp of the first record of a partition whose earlier ones have gone. Epoch ms.
    begins_ms: Option<i64>,
    /// It can't be told which definitions were in force.
    lacks_definitions: Cell<bool>,
    progress: Progress,
}

impl<'a> Logged<'a> {
    /// Looks at the partitions.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn new(log: &'a Arc<dyn Log>, progress: &Progress) -> Result<Self, Failure> {
        let mut begins_ms = None;
        for partition in (0..log.partitions(Topic::Behavior)).map(PartitionId) {
            begins_ms = begins_ms.max(begin_of(log.as_ref(), partition)?);
            progress.add_length(log.extent(Topic::Behavior, partition)?.bytes);
        }
        Ok(Self { log, dead: Cell::new(0), begins_ms, lacks_definitions: Cell::new(false), progress: progress.clone() })
    }

    /// What a window that ends then would need has gone from the log, at least in part; or what was in force.
    pub fn lacks(&self, now_ms: i64) -> bool {
        self.lacks_definitions.get() || lacks(self.begins_ms, now_ms)
    }

    /// Changes of definitions have gone from the log, and nobody knows what they came to.
    pub fn lacks_definitions(&self) {
        self.lacks_definitions.set(true);
    }

    /// Records that could not be read as what they should be.
    pub fn dead(&self) -> u64 {
        self.dead.get()
    }

    /// A record, if it can be read.
    pub fn decode(&self, entry: &Entry) -> Option<Record> {
        match entry.value.as_deref().map(Record::decode) {
            Some(Ok(record)) => Some(record),
            _ => {
                self.dead.set(self.dead.get() + 1);
                None
            }
        }
    }

    /// Whose an event record is, and the event's id.
    pub fn event_of(record: &Record) -> Option<(ShopperId, Str)> {
        match record {
            Record::Event(event) => {
                let shopper = match (&event.visitor_id, &event.user_id) {
                    (Some(visitor), _) => ShopperId::Visitor(visitor.clone()),
                    (None, Some(user)) => ShopperId::User(user.clone()),
                    (None, None) => return None,
                };
                Some((shopper, event.event_id.0.clone()))
            }
            Record::Forward(forward) if forward.is_parting() => None,
            Record::Forward(forward) => {
                Some((ShopperId::User(forward.user_id.clone()), forward.event.event_id.0.clone()))
            }
            Record::Tick(_) | Record::Decision(_) | Record::Handoff(_) | Record::Told(_) => None,
            Record::Unmerge(_) | Record::Recall(_) | Record::Definition(_) | Record::Filled(_) => None,
        }
    }

    /// One partition from its first record on. `follows`: by the definitions that its log puts in force, else by these.
    ///
    /// # Errors
    /// There is no such partition, or it can't be read.
    pub fn replay<'l>(
        &'l self,
        partition: u32,
        config: Config,
        assembly: &'l Assembly,
        follows: bool,
    ) -> Result<Replay<'l>, Failure> {
        let partitions = self.log.partitions(Topic::Behavior);
        if partition >= partitions {
            let hint = "as_of names a partition of the server that answered: is this its data folder?";
            return Err(Failure::new(format!("there is no partition {partition}: the log has {partitions}")).hint(hint));
        }
        let partition = PartitionId(partition);
        let extent = self.log.extent(Topic::Behavior, partition)?;
        let mut stream = Stream::new(partition, config);
        if follows {
            stream.define(assembly.initial());
        }
        Ok(Replay {
            logged: self,
            assembly,
            follows,
            in_force: follows.then(|| assembly.of(stream.defined())).flatten(),
            stream,
            start: extent.start,
            end: extent.end,
            next: extent.start,
            begins_ms: begin_of(self.log.as_ref(), partition)?,
            ahead: VecDeque::new(),
        })
    }

    /// Every set of definitions that the log has put in force, from the one that it was begun with on. Each partition has
    /// the same changes.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn put_in_force(&self, assembly: &Assembly) -> Result<PutInForce, Failure> {
        let mut defined = assembly.initial();
        let mut found = PutInForce::default();
        found.take(assembly.of(&defined));
        super::for_each(self.log.as_ref(), Topic::Behavior, PartitionId(0), 0, |entry| {
            if let Some(Ok(change)) = entry.value.as_deref().map(midsession_event::decode::<DefinitionChange>) {
                defined.apply(&change, entry.stamp_ms);
                found.take(assembly.of(&defined));
            }
        })?;
        Ok(found)
    }

    /// All records of all partitions, by their stamps.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn records(&self) -> Result<Records, Failure> {
        let streams: Result<Vec<Ordered>, Failure> = (0..self.log.partitions(Topic::Behavior))
            .map(|partition| {
                let partition = PartitionId(partition);
                let extent = self.log.extent(Topic::Behavior, partition)?;
                let log = Arc::clone(self.log);
                let (next, end, progress) = (extent.start, extent.end, self.progress.clone());
                let read = Partition { log, partition, next, end, entries: VecDeque::new(), progress };
                Ok(Box::new(read) as Ordered)
            })
            .collect();
        Ok(Records(merge(streams?).map_err(Failure::new)?))
    }
}

/// Stamp of the first record, where earlier ones have gone.
fn begin_of(log: &dyn Log, partition: PartitionId) -> Result<Option<i64>, Failure> {
    let extent = log.extent(Topic::Behavior, partition)?;
    if extent.start == 0 || extent.start == extent.end {
        return Ok(None);
    }
    let mut entries = Vec::new();
    log.read(Topic::Behavior, partition, extent.start, 1, &mut entries)?;
    Ok(entries.first().map(|entry| entry.stamp_ms))
}

fn lacks(begins_ms: Option<i64>, now_ms: i64) -> bool {
    begins_ms.is_some_and(|begins_ms| begins_ms > now_ms.saturating_sub(WINDOW_MAX_MS))
}

/// One partition, run as far as is asked.
pub struct Replay<'l> {
    logged: &'l Logged<'l>,
    assembly: &'l Assembly,
    follows: bool,
    /// Those that its log has put in force, if they are others.
    in_force: Option<Arc<Assembly>>,
    /// Its state.
    pub stream: Stream,
    start: i64,
    end: i64,
    next: i64,
    begins_ms: Option<i64>,
    ahead: VecDeque<Entry>,
}

impl Replay<'_> {
    /// The definitions that were in force at the last record taken.
    pub fn definitions(&self) -> &Assembly {
        self.in_force.as_deref().unwrap_or(self.assembly)
    }

    /// Takes every record up to this one. Whether the log holds all of that: where retention has passed the place, or
    /// the log is another one's, it does not.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn run(&mut self, offset: i64) -> Result<bool, Failure> {
        let mut effects = Vec::new();
        while self.next <= offset && self.next < self.end {
            if self.ahead.is_empty() {
                let mut entries = Vec::new();
                self.logged.log.read(Topic::Behavior, self.stream.partition(), self.next, READ_BYTES, &mut entries)?;
                self.logged.progress.add(bytes_of(&entries));
                self.ahead.extend(entries);
            }
            let Some(entry) = self.ahead.pop_front() else { break };
            self.next = entry.offset + 1;
            if let Some(record) = self.logged.decode(&entry) {
                let changes = matches!(record, Record::Definition(_));
                if (changes || matches!(record, Record::Filled(_))) && !self.follows {
                    continue;
                }
                let definitions = self.in_force.as_deref().unwrap_or(self.assembly);
                self.stream.on_record(entry.offset, entry.stamp_ms, record, definitions, &mut effects);
                effects.clear();
                if changes {
                    self.in_force = self.assembly.of(self.stream.defined());
                }
            }
        }
        Ok(offset < self.end && (offset >= self.start || self.start == 0))
    }

    /// What a window that ends then would need has gone from the log, at least in part.
    pub fn lacks(&self, now_ms: i64) -> bool {
        self.logged.lacks_definitions.get() || lacks(self.begins_ms, now_ms)
    }
}

/// See [`Logged::records`].
pub struct Records(Merge);

/// Bits of an item's place that are the offset.
const OFFSET_BITS: u32 = 48;

impl Records {
    /// The next record with its partition.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn next_record(&mut self) -> Result<Option<(PartitionId, Entry)>, Failure> {
        let Some(item) = self.0.next().transpose().map_err(Failure::new)? else { return Ok(None) };
        let partition = PartitionId((item.place >> OFFSET_BITS) as u32);
        let offset = (item.place & ((1 << OFFSET_BITS) - 1)) as i64;
        let value = (item.tag == 1).then(|| item.bytes.into());
        Ok(Some((partition, Entry { offset, stamp_ms: item.at_us, key: Default::default(), value })))
    }
}

/// The records of one partition as items: sorted by their stamp, then by partition and offset.
struct Partition {
    log: Arc<dyn Log>,
    partition: PartitionId,
    next: i64,
    end: i64,
    entries: VecDeque<Entry>,
    progress: Progress,
}

impl Iterator for Partition {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        if self.entries.is_empty() && self.next < self.end {
            let mut entries = Vec::new();
            let read = self.log.read(Topic::Behavior, self.partition, self.next, READ_BYTES, &mut entries);
            if let Err(error) = read {
                return Some(Err(io::Error::other(error)));
            }
            self.progress.add(bytes_of(&entries));
            self.entries.extend(entries);
        }
        let entry = self.entries.pop_front().filter(|entry| entry.offset < self.end)?;
        self.next = entry.offset + 1;
        let place = u64::from(self.partition.0) << OFFSET_BITS | entry.offset.unsigned_abs();
        let (tag, bytes) = entry.value.map_or((0, Vec::new()), |value| (1, value.to_vec()));
        Some(Ok(Item { at_us: entry.stamp_ms, place, tag, bytes }))
    }
}

/// About as many as the log has for them.
fn bytes_of(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len())).sum::<usize>()
        as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_what_has_gone_is_incomplete() {
        let day = WINDOW_MAX_MS;
        for (begins_ms, now_ms, expected) in
            [(None, 0, false), (Some(10), day, true), (Some(10), day + 9, true), (Some(10), day + 10, false)]
        {
            assert_eq!(lacks(begins_ms, now_ms), expected, "{begins_ms:?} {now_ms}");
        }
    }
}
