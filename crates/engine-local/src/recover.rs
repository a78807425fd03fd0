//! Opening a folder: what is durable, read from its files.

use crate::bytes::put_u32;
use crate::disk::Disk;
use crate::frame;
use crate::index::{self, Index};
use crate::journal::{Journal, Kind, Scan, Scanned, UNFINISHED};
use crate::part::{Batches, Located, Segment};
use crate::snapshot::{Slots, Snapshot};
use crate::store::Store;
use midsession_ports::LogError;
use std::path::Path;
use std::sync::Arc;

/// A file that takes no more commits.
pub struct Filled {
    pub journal: Arc<Journal>,
    /// How many of its bytes count.
    pub bytes: u64,
    /// The state at its end.
    pub state: Snapshot,
    /// Its index is there.
    pub indexed: bool,
}

/// A folder's content.
pub struct Recovered {
    pub store: Store,
    /// The state behind the last commit that is not `carried`.
    pub state: Snapshot,
    /// Number for a new file.
    pub number: u64,
    /// Body of the last commit of a file whose writer was stopped: whole, but perhaps only in the page cache. It is
    /// written again into a new file.
    pub carried: Option<Vec<u8>>,
    /// The last file and its end, when nothing about it is in doubt: appends go on there.
    pub resumed: Option<(Arc<Journal>, u64)>,
    /// All other journals, oldest first.
    pub filled: Vec<Filled>,
    /// The compacted file.
    pub compact: Option<Filled>,
}

/// A journal's content before it is counted in.
struct Loaded {
    journal: Arc<Journal>,
    start: Snapshot,
    index: Option<Index>,
    scan: Scan,
}

/// Reads a folder. `partitions` is for a new one; an old one keeps what it has. Without `write` it is left as it is.
pub fn recover(disk: &Arc<dyn Disk>, folder: &Path, partitions: u32, write: bool) -> Result<Recovered, LogError> {
    let names = tidy(&**disk, folder, write)?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| Kind::Journal.number(name)).collect();
    numbers.sort_unstable();
    let compacted = names.iter().filter_map(|name| Kind::Compact.number(name)).max();

    let mut loaded = Vec::new();
    let mut previous = None;
    for number in numbers.iter().rev() {
        let limit = previous.filter(|(of, _)| of == number).map(|(_, bytes)| bytes);
        let last = loaded.is_empty();
        let one = load(&**disk, folder, *number, limit, write && last)?;
        previous = one.start.previous;
        loaded.push(one);
    }
    let stored = loaded.first().and_then(|newest: &Loaded| newest.start.slots.partitions());
    if let Some(stored) = stored.filter(|stored| write && *stored != partitions) {
        tracing::warn!(stored, asked = partitions, "the folder keeps the number of partitions it was made with");
    }
    let slots = Slots::new(stored.unwrap_or(partitions));
    let mut recovered = Recovered {
        store: Store::new(disk.clone(), slots.clone()),
        state: Snapshot::new(slots),
        number: numbers.last().copied().max(compacted).map_or(1, |last| last + 1),
        carried: None,
        resumed: None,
        filled: Vec::new(),
        compact: None,
    };
    if let Some(number) = compacted {
        recovered.take_compact(&**disk, folder, number)?;
    }
    while let Some(one) = loaded.pop() {
        recovered.take(&**disk, one, write && loaded.is_empty())?;
    }
    recovered.store.positions.write().clone_from(&recovered.state.positions);
    Ok(recovered)
}

/// The folder's names, without what a stopped process left over.
fn tidy(disk: &dyn Disk, folder: &Path, write: bool) -> Result<Vec<String>, LogError> {
    let failed = |error: std::io::Error| LogError::Failed {
        cause: format!("can't read the folder {}: {error}", folder.display()),
    };
    let names = disk.list(folder).map_err(failed)?;
    let compacted = names.iter().filter_map(|name| Kind::Compact.number(name)).max();
    let left_over = |name: &String| {
        let without_file = name.strip_suffix(index::SUFFIX).is_some_and(|file| !names.iter().any(|name| name == file));
        let superseded = Kind::Compact.number(name).is_some_and(|number| Some(number) < compacted);
        name.ends_with(UNFINISHED) || without_file || superseded
    };
    let (drop, keep): (Vec<_>, Vec<_>) = names.iter().cloned().partition(left_over);
    if write {
        for name in drop {
            disk.remove(&folder.join(name)).map_err(failed)?;
        }
        // A process may have stopped between naming a file and making the name durable: what is written to it from
        // now on is only as durable as its name.
        disk.sync_folder(folder).map_err(failed)?;
    }
    Ok(keep)
}

fn load(disk: &dyn Disk, folder: &Path, number: u64, limit: Option<u64>, write: bool) -> Result<Loaded, LogError> {
    let journal = Arc::new(Journal::open(disk, folder, Kind::Journal, number, write)?);
    let (start, begin) = journal.start()?;
    let index = index::read(disk, &journal).filter(|index| index.bytes <= limit.unwrap_or(u64::MAX));
    let (from, sequence) = index.as_ref().map_or((begin, start.sequence), |index| (index.bytes, index.state.sequence));
    let scan = journal.scan(from, sequence, limit)?;
    if write && scan.cut_bytes > 0 {
        tracing::warn!(
            file = %journal.path.display(),
            at = scan.whole_bytes,
            bytes = scan.cut_bytes,
            "the last commit was not complete and is left out: it had not been acknowledged"
        );
    }
    Ok(Loaded { journal, start, index, scan })
}

impl Recovered {
    /// The journals up to this number have their keyed records in the compacted file.
    fn compacted(&self) -> u64 {
        self.compact.as_ref().map_or(0, |made| made.journal.number)
    }

    /// The slots of this folder for those of a file.
    fn map(&self, slots: &Slots) -> Vec<Option<usize>> {
        let here = |(topic, partition)| self.store.slots.slot(topic, partition);
        slots.list().map(|name| name.and_then(here)).collect()
    }

    /// Adds the compacted file: all of it must be whole.
    fn take_compact(&mut self, disk: &dyn Disk, folder: &Path, number: u64) -> Result<(), LogError> {
        let journal = Arc::new(Journal::open(disk, folder, Kind::Compact, number, false)?);
        let (start, begin) = journal.start()?;
        let map = self.map(&start.slots);
        let bytes = journal.size()?;
        match index::read(disk, &journal).filter(|index| index.bytes == bytes) {
            Some(index) => {
                for (slot, segment) in index.segments {
                    if let Some(Some(slot)) = map.get(slot as usize) {
                        let mut part = self.store.parts[*slot].write();
                        part.end = part.end.max(segment.end);
                        part.segments.push_back(segment);
                    }
                }
            }
            None => {
                for found in journal.scan(begin, start.sequence, Some(bytes))?.frames {
                    for (slot, located, end) in placed(&journal, &found, &map)? {
                        self.store.parts[slot].write().push(&journal, located, end);
                    }
                }
            }
        }
        // Slots as they are here; what it says of offsets and positions, the journals say too.
        let state = Snapshot { sequence: start.sequence, ..self.state.clone() };
        self.compact = Some(Filled { journal, bytes, state, indexed: true });
        Ok(())
    }

    /// Adds a journal. Of the last one, the commit that is in doubt is carried.
    fn take(&mut self, disk: &dyn Disk, one: Loaded, last: bool) -> Result<(), LogError> {
        let Loaded { journal, start, index, mut scan } = one;
        self.start_from(&journal, &start);
        let indexed = index.is_some() && scan.frames.is_empty() && !last;
        if let Some(index) = index {
            self.take_index(disk, index, !indexed)?;
        }
        // A version with other topics numbers them otherwise: it begins a file of its own.
        let resume = last && scan.frames.is_empty() && scan.cut_bytes == 0 && start.slots == self.store.slots;
        let carried = if last { scan.frames.pop() } else { None };
        let map = self.map(&start.slots);
        for found in &scan.frames {
            self.apply(&journal, found, &map)?;
        }
        let mut bytes = scan.whole_bytes;
        if let Some(found) = carried {
            bytes = found.at;
            self.carried = Some(carry(&journal, &found, &map)?);
        }
        if resume {
            self.resumed = Some((journal, bytes));
            return Ok(());
        }
        self.state.previous = Some((journal.number, bytes));
        self.filled.push(Filled { journal, bytes, state: self.state.clone(), indexed });
        Ok(())
    }

    fn start_from(&mut self, journal: &Journal, start: &Snapshot) {
        if start.sequence != self.state.sequence && !self.filled.is_empty() {
            tracing::warn!(
                file = %journal.path.display(),
                "what came before this file is missing: its records are gone from their partitions"
            );
        }
        self.become_state(start);
        for (part, next) in self.store.parts.iter().zip(&self.state.next) {
            let mut part = part.write();
            part.end = part.end.max(*next);
        }
    }

    /// Takes the state that a file says.
    fn become_state(&mut self, state: &Snapshot) {
        for (slot, next) in self.map(&state.slots).iter().zip(&state.next) {
            if let Some(slot) = slot {
                self.state.next[*slot] = *next;
            }
        }
        self.state.sequence = state.sequence;
        self.state.stamp_ms = self.state.stamp_ms.max(state.stamp_ms);
        for (place, position) in self.state.positions.iter_mut().zip(&state.positions) {
            *place = *position;
        }
    }

    /// Whether a file's records of this slot are in the compacted file.
    fn is_elsewhere(&self, journal: &Journal, slot: usize) -> bool {
        journal.number <= self.compacted() && self.store.parts[slot].read().keyed
    }

    fn take_index(&mut self, disk: &dyn Disk, index: Index, held: bool) -> Result<(), LogError> {
        let map = self.map(&index.state.slots);
        for (slot, mut segment) in index.segments {
            let Some(Some(slot)) = map.get(slot as usize).copied() else { continue };
            if self.is_elsewhere(&segment.journal, slot) {
                continue;
            }
            if let (true, Batches::Listed(listed)) = (held, &segment.batches) {
                segment.batches = Batches::Held(index::load(disk, &segment.journal, *listed)?);
            }
            let mut part = self.store.parts[slot].write();
            part.end = part.end.max(segment.end);
            part.segments.push_back(segment);
        }
        self.become_state(&index.state);
        Ok(())
    }

    /// Counts in a commit.
    fn apply(&mut self, journal: &Arc<Journal>, found: &Scanned, map: &[Option<usize>]) -> Result<(), LogError> {
        for (slot, located, end) in placed(journal, found, map)? {
            let due = self.state.next[slot];
            if located.first != due {
                let what = format!("offset {} where {due} was due", located.first);
                return Err(journal.corrupt(u64::from(located.at), what));
            }
            self.state.stamp_ms = self.state.stamp_ms.max(located.stamp_ms);
            self.state.next[slot] = end;
            if self.is_elsewhere(journal, slot) {
                self.store.parts[slot].write().end = end;
            } else {
                self.store.parts[slot].write().push(journal, located, end);
            }
        }
        for (partition, offset) in &found.commit.positions {
            if let Some(place) = self.state.positions.get_mut(*partition as usize) {
                *place = *offset;
            }
        }
        self.state.sequence += 1;
        Ok(())
    }

    /// Counts in what was added to the last file, of which `bytes` are known. Gives how many there are now.
    pub fn go_on(&mut self, journal: &Arc<Journal>, bytes: u64) -> Result<u64, LogError> {
        let scan = journal.scan(bytes, self.state.sequence, None)?;
        let map = self.map(&journal.start()?.0.slots);
        for found in &scan.frames {
            self.apply(journal, found, &map)?;
        }
        Ok(scan.whole_bytes)
    }

    /// Counts in the carried commit, now that it is durable in a new file.
    pub fn apply_carried(&mut self, journal: &Arc<Journal>, at: u64) -> Result<(), LogError> {
        let Some(body) = self.carried.take() else { return Ok(()) };
        let commit = frame::commit(&body).map_err(|what| journal.corrupt(at, what))?;
        let map: Vec<_> = (0..self.state.next.len()).map(Some).collect();
        self.apply(journal, &Scanned { at, commit }, &map)?;
        self.store.positions.write().clone_from(&self.state.positions);
        Ok(())
    }
}

/// A commit's body, with this folder's slots.
fn carry(journal: &Journal, found: &Scanned, map: &[Option<usize>]) -> Result<Vec<u8>, LogError> {
    let mut body = Vec::new();
    frame::put_positions(&mut body, &found.commit.positions);
    for (slot, located, _) in placed(journal, found, map)? {
        put_u32(&mut body, slot as u32);
        let at = body.len();
        body.resize(at + located.bytes as usize, 0);
        let unreadable = |error: std::io::Error| journal.corrupt(u64::from(located.at), error.to_string());
        journal.file.read_at(&mut body[at..], u64::from(located.at)).map_err(unreadable)?;
    }
    Ok(body)
}

/// The segments of a file, by slot.
pub fn segments_of(store: &Store, journal: &Arc<Journal>) -> Vec<(u32, Segment)> {
    let mut found = Vec::new();
    for (slot, part) in store.parts.iter().enumerate() {
        let part = part.read();
        let here = part.segments.iter().filter(|segment| Arc::ptr_eq(&segment.journal, journal));
        found.extend(here.map(|segment| (slot as u32, segment.clone())));
    }
    found
}

/// The batches of a commit, by this folder's slots.
fn placed(journal: &Journal, found: &Scanned, map: &[Option<usize>]) -> Result<Vec<(usize, Located, i64)>, LogError> {
    let mut all = Vec::new();
    for batch in &found.commit.batches {
        let at = found.place(batch.at);
        let slot = map.get(batch.slot as usize).ok_or_else(|| journal.corrupt(at, "it is of no known partition"))?;
        let (first, stamp_ms, bytes) = (batch.head.base, batch.head.stamp_ms, batch.head.bytes as u32);
        all.extend(slot.map(|slot| (slot, Located { first, stamp_ms, at: at as u32, bytes }, batch.head.end)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::frame::FileHead;
    use crate::{Config, LocalLog};
    use midsession_event::{PartitionId, Topic};
    use midsession_ports::{Append, Log, Unit};

    /// A folder of a version with other topics in another order, its last commit in doubt.
    fn other_version(folder: &Path) {
        let slots = Slots::of([("context", 1), ("gone", 3), ("behavior", 2)]);
        let mut state = Snapshot::new(slots);
        state.next[5] = 70;
        let mut body = Vec::new();
        frame::put_positions(&mut body, &[(1, 12)]);
        for (slot, offset) in [(1u32, 0), (5, 70), (0, 0)] {
            put_u32(&mut body, slot);
            let mut batch = crate::batch::BatchBuilder::default();
            batch.push(offset, 99, b"key", Some(b"value"));
            batch.finish(&mut crate::lz4::Lz4::default(), &mut body);
        }
        let head = FileHead::new(1, 5);
        let mut framed = Vec::new();
        frame::begin(&mut framed);
        framed.extend_from_slice(&body);
        frame::seal(&mut framed, head.salt, 1);
        Journal::create(&RealDisk, folder, head, &state, &framed).unwrap();
    }

    #[test]
    fn topics_may_come_and_go_between_versions() {
        let folder = tempfile::tempdir().unwrap();
        other_version(folder.path());
        for round in 0..3i64 {
            let log =
                LocalLog::open_threadless(Arc::new(RealDisk), Arc::new(|| 1), Config::new(folder.path())).unwrap();
            assert_eq!(log.partitions(Topic::Behavior), 2, "the folder keeps its partitions");
            assert_eq!(log.position(PartitionId(1)), 12);
            for (topic, partition, start) in [(Topic::Behavior, 1, 70), (Topic::Context, 0, 0), (Topic::Session, 1, 0)]
            {
                let old = i64::from(topic != Topic::Session);
                let extent = log.extent(topic, PartitionId(partition)).unwrap();
                assert_eq!((extent.start, extent.end), (start, start + old + round), "{topic:?}");
                let mut entries = Vec::new();
                log.read(topic, PartitionId(partition), start, 1 << 20, &mut entries).unwrap();
                assert_eq!(entries.len() as i64, old + round);
                let (key, value) = ("key".into(), Some("value".into()));
                let unit = vec![Append { topic, partition: PartitionId(partition), key, value }];
                log.append(Unit { records: unit, positions: vec![] }.into(), Box::new(|done| assert!(done.is_ok())));
            }
            assert_eq!(log.commit_now(), 3);
        }
    }
}
