//! An owner's snapshots: taken up at the start, written piece by piece between slices.

use super::around::SnapshotTold;
use super::owner::Owner;
use super::slot::{self, Slot};
use midsession_event::{PartitionId, Topic};
use midsession_machine::Definitions;
use midsession_ports::{Log, LogError, Position, SnapshotPiece};
use midsession_stream::{Defect, Stream};
use parking_lot::Mutex;
use std::sync::Arc;

/// A partition that has been quiet for so long is saved all the same: the journal is shared, and would be kept from its
/// last snapshot but one on.
const QUIET_MS: i64 = 3_600_000;
/// After one that failed, the next is tried no sooner.
const RETRY_AFTER_MS: i64 = 60_000;

/// When a partition's next snapshot is due.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRule {
    /// When a restart would replay as many bytes of records as the last snapshot has, but not for fewer than these. So
    /// snapshots write no more than the log does, and a restart takes no longer than twice the state.
    pub bytes: u64,
    /// After this long, whatever little has come. ms.
    pub every_ms: i64,
    /// Written at once, between two slices of records.
    pub piece_bytes: usize,
}

/// Over all partitions about this much is replayed at a start, or as much as the state is. Bytes.
const REPLAYED_BYTES: u64 = 256 << 20;

impl Slot {
    /// Quiet for long, so that nothing lets the log go on: a tick gives it something to save.
    fn holds_back(&self, now_ms: i64) -> bool {
        let is_quiet = self.resumed && !self.behind && !self.tick_under_way && self.unsaved_bytes == 0;
        is_quiet && self.next > 0 && now_ms.saturating_sub(self.snapshot_at_ms) >= QUIET_MS
    }
}

impl SnapshotRule {
    /// For so many partitions.
    pub fn of(partitions: u32) -> Self {
        let bytes = (REPLAYED_BYTES / u64::from(partitions.max(1))).max(1 << 20);
        Self { bytes, every_ms: 600_000, piece_bytes: 64 << 10 }
    }

    fn is_due(&self, slot: &Slot, now_ms: i64) -> bool {
        let age_ms = now_ms.saturating_sub(slot.snapshot_at_ms);
        let is_much = slot.unsaved_bytes >= self.bytes.max(slot.snapshot_bytes);
        let is_new = slot.unsaved_bytes > 0 && now_ms >= slot.snapshot_not_before_ms;
        slot.resumed && is_new && (is_much || age_ms >= self.every_ms)
    }
}

/// Whether this state is one of this log's: a journal may have been taken away, and another one begun.
fn is_of(log: &dyn Log, stream: &Stream, next: i64) -> Result<(), String> {
    let partition = stream.partition();
    let (offset, now_ms) = stream.as_of();
    if offset + 1 != next {
        return Err(format!("it is as of {}", offset + 1));
    }
    // A snapshot counts once the position is durable: one ahead of it comes from elsewhere.
    let position = log.position(partition);
    if next > position {
        return Err(format!("it is ahead of this log, which has taken effect up to {position}"));
    }
    let extent = log.extent(Topic::Behavior, partition).map_err(|error| error.to_string())?;
    if next < extent.start {
        return Err(format!("the log begins at {}, behind it", extent.start));
    }
    // Its last record, if the log still has it, else the one after: stamps never go back.
    let mut entries = Vec::new();
    let from = offset.max(extent.start);
    log.read(Topic::Behavior, partition, from, 1, &mut entries).map_err(|error| error.to_string())?;
    match entries.first() {
        Some(entry) if entry.offset == offset && entry.stamp_ms != now_ms => {
            Err(format!("it is of another log: its last record is of {now_ms}, this log's of {}", entry.stamp_ms))
        }
        Some(entry) if entry.stamp_ms < now_ms => Err("it is of another, later log".into()),
        _ => Ok(()),
    }
}

/// A snapshot under way.
#[derive(Debug)]
pub(super) struct Walk {
    next: i64,
    begun_ms: i64,
    bytes: u64,
    is_first: bool,
    /// The last piece; it waits for the position to be durable.
    last: Option<Vec<u8>>,
    /// The answer to the piece on its way, and whether it is the last one.
    on_its_way: Option<(Answer, bool)>,
}

type Answer = Arc<Mutex<Option<Result<(), LogError>>>>;

impl<D: Definitions> Owner<D> {
    /// Whether a partition still replays: its state is one of the past.
    pub fn is_replaying(&self, partition: PartitionId) -> bool {
        self.slots.iter().any(|slot| slot.stream.partition() == partition && slot.is_replaying())
    }

    /// Takes up the newest snapshot that is sound and of this log. An error: none is and some are needed, or one can't be opened.
    pub(super) fn restore(&mut self, index: usize, now_ms: i64) -> Result<(), LogError> {
        let config = self.config;
        let slot = &mut self.slots[index];
        let partition = slot.stream.partition();
        slot.restored = true;
        slot.snapshot_at_ms = now_ms;
        let log = self.around.log.as_ref();
        let mut unusable = Vec::new();
        let mut found = self.around.snapshots.list(partition)?;
        let empty = || slot::stream(partition, config, &self.around.spills);
        while let Some(next) = found.first().copied() {
            // One that can't be opened now may be sound: nothing is given up for it.
            let input = self.around.snapshots.open(partition, next)?;
            let restored = empty()
                .restored(input)
                .map_err(|error| error.to_string())
                .and_then(|stream| is_of(log, &stream, next).map(|()| stream));
            match restored {
                Ok(stream) => {
                    slot.stream = stream;
                    slot.next = next;
                    break;
                }
                Err(cause) => {
                    tracing::error!(partition = partition.0, next, cause, "a snapshot is not used");
                    unusable.push((next, cause));
                    found.remove(0);
                }
            }
        }
        if found.is_empty() && slot.next > 0 && !self.around.accept_lost_state {
            let tried: Vec<_> = unusable.iter().map(|(next, cause)| format!("the one as of {next}: {cause}")).collect();
            let cause = format!(
                "the log of behavior partition {} begins at {}, and there is no snapshot of its state from before ({}). \
                 Bring back the folder `snapshots` of this data folder; or set `[log] accept_lost_state = true` to go on \
                 with what is still in the log: open sessions, caps and consents from before are lost then",
                partition.0,
                slot.next,
                if tried.is_empty() { "none is there".to_owned() } else { tried.join("; ") }
            );
            return Err(LogError::StateLost { cause });
        }
        for (next, _) in unusable {
            self.around.snapshots.set_aside(partition, next)?;
        }
        slot.snapshots = found;
        if config.has(Defect::ReplayAloud) {
            slot.aloud_from = slot.next;
        }
        slot.stream.define(self.around.definitions.initial());
        self.redefine(index);
        self.tell_all_words(index);
        self.keep(index);
        Ok(())
    }

    /// Writes on at a snapshot, or begins one that is due. Says whether something was done; there may be more at once.
    pub fn snapshot(&mut self, now_us: i64) -> bool {
        let now_ms = now_us / 1000;
        if let Some(index) = self.slots.iter().position(|slot| slot.walk.is_some()) {
            return self.walk(index, now_ms);
        }
        let rule = self.around.snapshot_rule;
        if let Some(index) = self.slots.iter().position(|slot| slot.holds_back(now_ms)) {
            self.append_tick(index, now_ms, now_ms);
            return true;
        }
        // One at a time, the one first that has waited longest.
        let due = (0..self.slots.len()).filter(|index| rule.is_due(&self.slots[*index], now_ms));
        let Some(index) = due.min_by_key(|index| self.slots[*index].snapshot_at_ms) else { return false };
        let slot = &mut self.slots[index];
        slot.snapshot_at_ms = now_ms;
        if let Err(error) = slot.stream.begin_snapshot() {
            tracing::error!(partition = slot.stream.partition().0, %error, "no snapshot could be begun");
            slot.snapshot_not_before_ms = now_ms.saturating_add(RETRY_AFTER_MS);
            return false;
        }
        slot.unsaved_bytes = 0;
        slot.walk =
            Some(Walk { next: slot.next, begun_ms: now_ms, bytes: 0, is_first: true, last: None, on_its_way: None });
        true
    }

    fn walk(&mut self, index: usize, now_ms: i64) -> bool {
        let slot = &mut self.slots[index];
        let Some(walk) = &mut slot.walk else { return false };
        if let Some((answer, is_last)) = &walk.on_its_way {
            let is_last = *is_last;
            let Some(answer) = answer.lock().take() else { return false };
            walk.on_its_way = None;
            match answer {
                Err(error) => self.give_up(index, now_ms, &error),
                Ok(()) if is_last => self.finish(index, now_ms),
                Ok(()) => {}
            }
            return true;
        }
        let partition = slot.stream.partition();
        let bytes = match walk.last.take() {
            Some(bytes) => bytes,
            None => match slot.stream.snapshot_some(self.around.snapshot_rule.piece_bytes) {
                Ok(Some(piece)) if piece.is_last => {
                    walk.last = Some(piece.bytes);
                    return true;
                }
                Ok(Some(piece)) => {
                    self.send(index, piece.bytes, false);
                    return true;
                }
                Ok(None) => {
                    // The machine gave it up, as its names have new numbers: another one at once.
                    slot.walk = None;
                    slot.snapshot_at_ms = i64::MIN;
                    return true;
                }
                Err(error) => {
                    self.give_up(index, now_ms, &error);
                    return true;
                }
            },
        };
        // It counts once all that it comes from has taken effect for good: after a crash nothing before it is run again.
        if self.around.log.position(partition) < walk.next {
            walk.last = Some(bytes);
            return !std::mem::replace(&mut self.wants_position, true);
        }
        self.send(index, bytes, true);
        true
    }

    fn send(&mut self, index: usize, bytes: Vec<u8>, is_last: bool) {
        let slot = &mut self.slots[index];
        let Some(walk) = &mut slot.walk else { return };
        let answer = Answer::default();
        let (told, wake) = (Arc::clone(&answer), Arc::clone(&self.wake));
        walk.on_its_way = Some((answer, is_last));
        walk.bytes += bytes.len() as u64;
        let is_first = std::mem::replace(&mut walk.is_first, false);
        let piece = SnapshotPiece { partition: slot.stream.partition(), next: walk.next, bytes, is_first, is_last };
        let done = Box::new(move |result| {
            *told.lock() = Some(result);
            wake();
        });
        self.around.snapshots.write(piece, done);
    }

    fn give_up(&mut self, index: usize, now_ms: i64, error: &dyn std::fmt::Display) {
        let slot = &mut self.slots[index];
        tracing::error!(partition = slot.stream.partition().0, %error, "a snapshot was given up; another one is tried later");
        slot.stream.drop_snapshot();
        slot.walk = None;
        slot.snapshot_not_before_ms = now_ms.saturating_add(RETRY_AFTER_MS);
        // What it would have saved is still to be saved.
        slot.unsaved_bytes = slot.unsaved_bytes.saturating_add(slot.snapshot_bytes).max(1);
        self.around.sink.snapshot_failed();
    }

    fn finish(&mut self, index: usize, now_ms: i64) {
        let slot = &mut self.slots[index];
        let Some(walk) = slot.walk.take() else { return };
        slot.snapshot_bytes = walk.bytes;
        slot.snapshots.insert(0, walk.next);
        slot.snapshots.truncate(2);
        self.around.sink.snapshot(&SnapshotTold {
            partition: slot.stream.partition(),
            next: walk.next,
            bytes: walk.bytes,
            took_ms: now_ms - walk.begun_ms,
        });
        self.keep(index);
    }

    /// Tells the log what it must keep: all since the snapshot before the last, should the last be damaged. Until there are
    /// two, everything.
    fn keep(&self, index: usize) {
        let slot = &self.slots[index];
        if let [_, offset] = slot.snapshots[..] {
            self.around.log.keep_from(&[Position { partition: slot.stream.partition(), offset }]);
        }
    }
}
