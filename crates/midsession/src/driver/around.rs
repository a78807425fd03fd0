//! What an owner works with: log, snapshots, definitions, and who decides and listens.

use super::state::SnapshotRule;
use midsession_event::{
    Decision, DecisionId, OutputId, PartitionId, Reaction, SessionUpdate, ShopperId, Stamps, Str, VisitorId,
};
use midsession_machine::Candidate;
use midsession_ports::{Log, Snapshots};
use midsession_stream::{Seam, Spilling, Words};
use std::sync::Arc;

/// Answers a candidate. `now_us` is the clock; `stamps` are those of the event that caused it.
pub trait Decider<D>: Send + Sync {
    /// The decision by the definitions in force where it was asked, ready to be appended.
    fn decide(&self, candidate: &Candidate, definitions: &D, now_us: i64, cause: Option<Cause>) -> Decision;
}

/// Where the event behind a candidate has been so far. Epoch µs.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// By the collector.
    pub stamps: Stamps,
    /// Durable on the log.
    pub durable_us: i64,
}

/// Learns what happens, in the order of the partition. What took effect before the start is not told again, but for what
/// must not be shown any more. Calls come from the owner's thread: hand over and return.
pub trait Sink: Send + Sync {
    /// An event took effect (or did not); `received_us` is when its first byte came in.
    fn seam(&self, _partition: PartitionId, _seam: Seam, _received_us: i64, _now_us: i64) {}
    /// A session's next version.
    fn session(&self, _update: &SessionUpdate) {}
    /// A decision took effect. Served ones are to be shown. `durable_us`: when its record became durable.
    fn decided(&self, _decision: &Decision, _durable_us: i64) {}
    /// A cap held a rule back before anybody was asked.
    fn capped(&self, _rule: &Str) {}
    /// A snapshot of a partition is whole.
    fn snapshot(&self, _told: &SnapshotTold) {}
    /// A piece of one took an owner so long, and so much of the processor's time. µs.
    fn snapshot_piece(&self, _took_us: i64, _cpu_us: i64) {}
    /// One could not be written.
    fn snapshot_failed(&self) {}
    /// What was shown is to be taken back.
    fn retract(&self, _decision: DecisionId, _visitor: Option<&VisitorId>) {}
    /// A browser reports that it has painted this, or that it was dismissed. Told where the report enters, before it
    /// has reached the user's home: what a restart finds pending elsewhere must not be shown again.
    fn painted(&self, _decision: DecisionId) {}
    /// A visitor who has signed in was handed over, by a record appended then. Epoch ms.
    fn handed_over(&self, _handoff: OutputId, _appended_ms: i64) {}
    /// They have arrived at the user's home.
    fn taken_over(&self, _handoff: OutputId, _now_us: i64) {}
    /// What a device or person has said on consent, whenever it may have changed, and at the start of everybody who has
    /// withdrawn something; none: nothing is withdrawn.
    fn words(&self, _who: &ShopperId, _words: Option<Words>) {}
    /// A shopper reacted.
    fn reacted(&self, _reaction: &Reaction) {}
}

/// A whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTold {
    /// Of which partition.
    pub partition: PartitionId,
    /// Replay goes on at this offset.
    pub next: i64,
    /// Its size.
    pub bytes: u64,
    /// From its beginning to where it is durable. ms.
    pub took_ms: i64,
}

/// Where a partition's facts go that are over the memory budget, if there is one.
pub type Spills = Arc<dyn Fn(PartitionId) -> Option<Spilling> + Send + Sync>;

/// What an owner works with.
pub struct Around<D> {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Where snapshots are kept.
    pub snapshots: Arc<dyn Snapshots>,
    /// When one is due.
    pub snapshot_rule: SnapshotRule,
    /// Where facts go that are over the memory budget.
    pub spills: Spills,
    /// Go on with what is in the log where a state from before it is missing.
    pub accept_lost_state: bool,
    /// The definitions in force.
    pub definitions: Arc<D>,
    /// Answers candidates.
    pub decider: Arc<dyn Decider<D>>,
    /// Learns what happened.
    pub sink: Arc<dyn Sink>,
}

impl<D> Clone for Around<D> {
    fn clone(&self) -> Self {
        let Self { log, snapshots, snapshot_rule, spills, accept_lost_state, definitions, decider, sink } = self;
        Self {
            log: log.clone(),
            snapshots: snapshots.clone(),
            snapshot_rule: *snapshot_rule,
            spills: spills.clone(),
            accept_lost_state: *accept_lost_state,
            definitions: definitions.clone(),
            decider: decider.clone(),
            sink: sink.clone(),
        }
    }
}
