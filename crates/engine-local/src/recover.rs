//! Opening a folder: what is durable, read from its files.

use crate::disk::Disk;
use crate::journal::{Journal, Kind, Scan, Scanned, UNFINISHED};
use crate::part::Located;
use crate::snapshot::{Slots, Snapshot};
use crate::store::Store;
use midsession_ports::LogError;
use std::path::Path;
use std::sync::Arc;

/// A folder's content.
pub struct Recovered {
    pub store: Store,
    /// The state behind the last commit that is not `carried`.
    pub state: Snapshot,
    /// Number for the next file.
    pub number: u64,
    /// Body of the last commit of a file whose writer was stopped: whole, but perhaps only in the page cache. It is
    /// written again into the next file.
    pub carried: Option<Vec<u8>>,
    /// Files with the bytes of them that count.
    pub files: Vec<(Arc<Journal>, u64)>,
}

/// Reads a folder. `partitions` is for a new one; an old one keeps what it has.
pub fn recover(disk: &dyn Disk, folder: &Path, partitions: u32, write: bool) -> Result<Recovered, LogError> {
    let failed =
        |error: std::io::Error| LogError::Failed { cause: format!("can't list {}: {error}", folder.display()) };
    let mut numbers = Vec::new();
    for name in disk.list(folder).map_err(failed)? {
        if write && name.ends_with(UNFINISHED) {
            disk.remove(&folder.join(&name)).map_err(failed)?;
        }
        numbers.extend(Kind::Journal.number(&name));
    }
    numbers.sort_unstable();

    let mut scans: Vec<(Arc<Journal>, Scan)> = Vec::new();
    let mut next: Option<Snapshot> = None;
    for number in numbers.iter().rev() {
        let journal = Journal::open(disk, folder, Kind::Journal, *number, false)?;
        let followed = next.as_ref().and_then(|next| next.previous).filter(|(previous, _)| previous == number);
        let scan = journal.scan(followed.map(|(_, bytes)| bytes))?;
        if followed.is_none() && scan.cut_bytes > 0 {
            tracing::warn!(
                file = %journal.path.display(),
                at = scan.whole_bytes,
                bytes = scan.cut_bytes,
                "the last commit was not complete and is left out; it had not been acknowledged"
            );
        }
        next = Some(scan.snapshot.clone());
        scans.push((Arc::new(journal), scan));
    }
    scans.reverse();

    let stored = scans.last().and_then(|(_, scan)| scan.snapshot.slots.partitions());
    if let Some(stored) = stored.filter(|stored| *stored != partitions) {
        tracing::warn!(stored, asked = partitions, "the folder keeps the number of partitions it was made with");
    }
    let slots = Slots::new(stored.unwrap_or(partitions));
    let mut recovered = Recovered {
        store: Store::new(slots.clone()),
        state: Snapshot::new(slots),
        number: numbers.last().map_or(1, |last| last + 1),
        carried: None,
        files: Vec::new(),
    };
    let count = scans.len();
    for (at, (journal, scan)) in scans.into_iter().enumerate() {
        recovered.take(journal, scan, write && at + 1 == count)?;
    }
    recovered.store.positions.write().clone_from(&recovered.state.positions);
    Ok(recovered)
}

impl Recovered {
    /// Adds a file. The last one's last commit is carried into the next file.
    fn take(&mut self, journal: Arc<Journal>, mut scan: Scan, carry: bool) -> Result<(), LogError> {
        let map: Vec<Option<usize>> = scan
            .snapshot
            .slots
            .list()
            .map(|name| name.and_then(|(topic, partition)| self.store.slots.slot(topic, partition)))
            .collect();
        self.start_from(&journal, &scan.snapshot, &map);
        let carried = if carry { scan.frames.pop() } else { None };
        for found in &scan.frames {
            self.apply(&journal, found, &map)?;
        }
        let mut bytes = scan.whole_bytes;
        if let Some(found) = carried {
            bytes = found.at;
            let (head, body) = (crate::frame::FRAME_HEAD_BYTES as u64, found.bytes as usize);
            let mut carried = vec![0; body - head as usize];
            let unreadable = |error: std::io::Error| journal.corrupt(found.at, error.to_string());
            journal.file.read_at(&mut carried, found.at + head).map_err(unreadable)?;
            self.carried = Some(carried);
        }
        self.state.previous = Some((journal.number, bytes));
        self.files.push((journal, bytes));
        Ok(())
    }

    fn start_from(&mut self, journal: &Journal, snapshot: &Snapshot, map: &[Option<usize>]) {
        if snapshot.sequence != self.state.sequence && !self.files.is_empty() {
            tracing::warn!(
                file = %journal.path.display(),
                "what came before this file is missing; its records are gone from their partitions"
            );
        }
        self.state.sequence = snapshot.sequence;
        self.state.stamp_ms = self.state.stamp_ms.max(snapshot.stamp_ms);
        for (slot, next) in map.iter().zip(&snapshot.next) {
            if let Some(slot) = slot {
                self.state.next[*slot] = *next;
                self.store.parts[*slot].write().end = *next;
            }
        }
        for (place, position) in self.state.positions.iter_mut().zip(&snapshot.positions) {
            *place = *position;
        }
    }

    /// Counts in a commit.
    pub fn apply(&mut self, journal: &Arc<Journal>, found: &Scanned, map: &[Option<usize>]) -> Result<(), LogError> {
        for batch in &found.commit.batches {
            let at = found.place(batch.at);
            let slot =
                map.get(batch.slot as usize).ok_or_else(|| journal.corrupt(at, "it is of no known partition"))?;
            let Some(slot) = *slot else { continue };
            let due = self.state.next[slot];
            if batch.head.base != due {
                return Err(journal.corrupt(at, format!("offset {} where {due} was due", batch.head.base)));
            }
            let located = Located {
                first: batch.head.base,
                stamp_ms: batch.head.stamp_ms,
                at: at as u32,
                bytes: batch.head.bytes as u32,
            };
            self.state.stamp_ms = self.state.stamp_ms.max(located.stamp_ms);
            self.state.next[slot] = batch.head.end;
            self.store.parts[slot].write().push(journal, located, batch.head.end);
        }
        for (partition, offset) in &found.commit.positions {
            if let Some(place) = self.state.positions.get_mut(*partition as usize) {
                *place = *offset;
            }
        }
        self.state.sequence += 1;
        Ok(())
    }

    /// Counts in the carried commit, now that it is durable in a new file.
    pub fn apply_carried(&mut self, journal: &Arc<Journal>, at: u64) -> Result<(), LogError> {
        let Some(body) = self.carried.take() else { return Ok(()) };
        let commit = crate::frame::commit(&body).map_err(|what| journal.corrupt(at, what))?;
        let bytes = (crate::frame::FRAME_HEAD_BYTES + body.len()) as u64;
        let map: Vec<_> = (0..self.state.next.len()).map(Some).collect();
        self.apply(journal, &Scanned { at, bytes, commit }, &map)
    }
}
