//! One partition under its owner: where it stands in the log, and what it still has to do.

use super::around::Spills;
use super::consents::Told;
use super::state::Walk;
use midsession_event::PartitionId;
use midsession_machine::{Invariant, Violations};
use midsession_ports::{Extent, LogError};
use midsession_stream::{Config, Stream};

/// A partition's place in its log.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) stream: Stream,
    /// The next offset to read.
    pub(super) next: i64,
    /// Records below this took effect before the restart: replayed silently.
    pub(super) aloud_from: i64,
    /// Records below this were on the log at the start: until they are read, the state is one of the past.
    pub(super) known_below: i64,
    /// The log may hold more than was read.
    pub(super) behind: bool,
    /// Since when the log has held more than was read, by the stamp of the last record read of it. Epoch ms.
    pub(super) behind_since_ms: Option<i64>,
    /// The state of the last snapshot has been taken up, or there is none.
    pub(super) restored: bool,
    /// The snapshot under way.
    pub(super) walk: Option<Walk>,
    /// Where the last snapshots stand, the newest first.
    pub(super) snapshots: Vec<i64>,
    /// Bytes of the last one.
    pub(super) snapshot_bytes: u64,
    /// When the last one was begun. Epoch ms.
    pub(super) snapshot_at_ms: i64,
    /// No other is begun before this. Epoch ms.
    pub(super) snapshot_not_before_ms: i64,
    /// Bytes of records read since then: what a restart would replay.
    pub(super) unsaved_bytes: u64,
    /// Candidates left over by the replay have been asked again.
    pub(super) resumed: bool,
    /// A tick is on its way through the log.
    pub(super) tick_under_way: bool,
    /// When the last tick was appended. Epoch ms.
    pub(super) ticked_at_ms: i64,
    /// What the machine saw of itself that must not be, as far as it has been told.
    pub(super) violations: Violations,
    /// Whose consent the outside was told of.
    pub(super) told: Told,
}

impl Slot {
    pub(super) fn new(
        partition: PartitionId,
        config: Config,
        extent: Extent,
        aloud_from: i64,
        spills: &Spills,
    ) -> Self {
        Self {
            stream: stream(partition, config, spills),
            next: extent.start,
            aloud_from,
            known_below: extent.end,
            behind: true,
            behind_since_ms: None,
            restored: false,
            walk: None,
            snapshots: Vec::new(),
            snapshot_bytes: 0,
            snapshot_at_ms: i64::MIN,
            snapshot_not_before_ms: i64::MIN,
            unsaved_bytes: 0,
            resumed: false,
            tick_under_way: false,
            ticked_at_ms: i64::MIN,
            violations: Violations::default(),
            told: Told::default(),
        }
    }

    /// An error where what the machine says is not to be trusted any more.
    pub(super) fn sound(&self) -> Result<(), LogError> {
        let failure = self.stream.spill_failure();
        failure.map_or(Ok(()), |cause| Err(LogError::Failed { cause: cause.to_owned() }))
    }

    /// Says what must never happen and did, a slice's at once.
    pub(super) fn tell_violations(&mut self) {
        let found = self.stream.violations();
        let before = std::mem::replace(&mut self.violations, found);
        if found == before {
            return;
        }
        for invariant in Invariant::ALL.into_iter().filter(|one| found.of(*one) > before.of(*one)) {
            let (partition, id, words) = (self.stream.partition().0, invariant.id(), invariant.words());
            tracing::error!(partition, next = self.next, invariant = id, "does not hold: {words}; please report this");
        }
    }

    /// Whether its state is still one from before the start.
    pub(super) fn is_replaying(&self) -> bool {
        self.next < self.replayed_at() || !self.resumed
    }

    /// Where the replay ends: once all is read that was on the log at the start, whether it had taken effect then or not.
    pub(super) fn replayed_at(&self) -> i64 {
        self.aloud_from.max(self.known_below)
    }
}

/// A machine that has read nothing yet.
pub(super) fn stream(partition: PartitionId, config: Config, spills: &Spills) -> Stream {
    let mut stream = Stream::new(partition, config);
    if let Some(spilling) = spills(partition) {
        stream.spill(spilling);
    }
    stream
}

/// How far an owner's partitions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Every partition has taken up its last snapshot, or there is none.
    pub restored: bool,
    /// Partitions that still replay.
    pub replaying: usize,
    /// Records to be replayed in all.
    pub replay_total: i64,
    /// Records replayed so far.
    pub replay_done: i64,
    /// Since when some partition has not caught up with its log. Epoch ms.
    pub behind_since_ms: Option<i64>,
}

/// Of no partitions.
impl Default for Progress {
    fn default() -> Self {
        Self { restored: true, replaying: 0, replay_total: 0, replay_done: 0, behind_since_ms: None }
    }
}

impl Progress {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            restored: self.restored && other.restored,
            replaying: self.replaying + other.replaying,
            replay_total: self.replay_total + other.replay_total,
            replay_done: self.replay_done + other.replay_done,
            behind_since_ms: self.behind_since_ms.into_iter().chain(other.behind_since_ms).min(),
        }
    }
}
