//! The numbers that sessions are cut by.

use midsession_machine::Session;

/// Facts of one shopper; over it those go first that are about neither orders nor carts. Nobody who is taken for a person
/// has so many within 24 hours but by pages that report long lists of products. All of them fit a hand-off, whatever the
/// names in them.
pub(crate) const FACTS_MAX: usize = 1 << 16;
/// The same of robots.
pub(crate) const FACTS_OF_ROBOTS_MAX: usize = 20_000;
/// Sessions of one shopper that are live or readable; over it the one that ended first goes.
pub(crate) const SESSIONS_MAX: usize = 256;

/// Session rules. All in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Two events further apart than this are in different sessions.
    pub gap_ms: i64,
    /// How long after the gap late events still change a session.
    pub grace_ms: i64,
    /// Session updates between milestones at most this often.
    pub cadence_ms: i64,
    /// How long a closed session stays readable.
    pub readable_ms: i64,
    /// How long an event id takes effect only once.
    pub duplicate_horizon_ms: i64,
    /// How long attachments without events, and what was said on consent, are kept.
    pub memory_ms: i64,
    /// How long decisions are remembered: the longest time that a cap looks back.
    pub cap_memory_ms: i64,
    /// Partitions of `behavior`.
    pub partitions: u32,
    /// Shoppers, and visitors, that one partition holds at most.
    pub shoppers_max: usize,
    /// What features by a field take at most in one partition. Bytes.
    pub field_bytes_max: usize,
    /// Not only what was withdrawn is told outside, but all that was said on consent: where somewhere less is allowed than that
    /// as long as nothing was said.
    pub tells_grants: bool,
    /// A fault to be made on purpose, so that tests can show that they would find it. Builds without debug assertions
    /// ignore it.
    pub defect: Option<Defect>,
}

/// A fault to be made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Repeats take effect.
    DedupeOff,
    /// An event between two sessions joins one of them only.
    MergesOne,
    /// A hand-off or forward that comes again is applied again.
    HandoffTwice,
    /// A later decision on the same candidate takes effect too.
    DecisionTwice,
    /// A timer that comes up counts although the shopper has been heard since it was armed.
    StaleTimer,
    /// What was decided before a login is forgotten.
    CapsLeftBehind,
    /// A user's home does not learn that somebody else has signed in on their device.
    PartingUntold,
    /// What comes late of who has left a device asks its rules there.
    LeftAsked,
    /// When somebody logged out whom nobody knew is not remembered: whose login comes late is signed in from then on.
    LogoutForgotten,
    /// A login takes along all that was done on its device, also before a logout of somebody unknown.
    WholeHandedOver,
    /// What comes late of a visit that somebody else's login ended opens another one.
    VisitAgain,
    /// Who was at a device before and after whom it was taken for has nothing of it after an unmerge.
    NeighboursForgotten,
    /// A hand-off that returns after an unmerge is applied again when it comes again.
    UnmergeTwice,
    /// Facts that are in no session stay with the wrong user after an unmerge.
    FactLeftBehind,
    /// An event that names the wrong user and comes after the unmerge merges them again.
    UndoneAgain,
    /// A withdrawn consent does not stop what is being decided or shown.
    ConsentLate,
    /// Caps are looked at when a rule asks, not when its decision is read.
    CapsAtAsk,
    /// A withdrawal that was overtaken by another event on its way does not reach the session.
    ConsentInOrder,
    /// What a user says on one device holds there alone.
    ConsentNotFanned,
    /// What was shown is forgotten when it expires, though it may be on the page.
    PaintedExpires,
    /// What was answered is taken back all the same.
    AnsweredStays,
    /// The owner replays aloud after a restart.
    ReplayAloud,
    /// What changes while a snapshot is written goes into it as it is by then.
    SnapshotBlurred,
    /// Timers are not armed again from a snapshot.
    TimersForgotten,
    /// Definitions that were changed while running are not in a snapshot.
    DefinitionsForgotten,
    /// After a change the definitions before it go on to answer.
    OldVersionServed,
    /// What was added up for a definition that is gone is there again when it comes back.
    PartialsStay,
    /// What was there before a definition came back counts with it.
    SinceForgotten,
    /// What is offered of the past twice is there twice.
    FilledTwice,
    /// An intervention that was removed goes on to ask.
    RemovedRuleStays,
    /// What was put aside by a reading of the past that broke off stays.
    AsideTwice,
    /// Timers look at facts that are spilled as if there were none.
    SpilledUnseen,
    /// Facts that are spilled are not in a snapshot.
    SpilledUnsaved,
    /// Of two sessions that merge, the later one says which campaign and device they are of.
    LaterCampaign,
    /// What the checkout, an order and a refund do to a session is told at the cadence.
    MilestoneWaits,
    /// Whoever acts faster than people do is taken for one.
    HasteUnseen,
}

impl Config {
    /// Whether a session is readable no more, whether or not somebody has looked at it since.
    pub(crate) fn is_past(&self, session: &Session, now_ms: i64) -> bool {
        session.ended_at_ms <= self.unreadable_ms(now_ms)
    }

    /// Sessions that ended by then are readable no more. Epoch ms.
    pub(crate) fn unreadable_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.gap_ms + self.grace_ms + self.readable_ms)
    }

    /// Whether this fault is to be made.
    pub fn has(&self, defect: Defect) -> bool {
        cfg!(debug_assertions) && self.defect == Some(defect)
    }
}

impl Default for Config {
    fn default() -> Self {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        Self {
            gap_ms: 30 * MINUTE,
            grace_ms: 2 * MINUTE,
            cadence_ms: 5_000,
            readable_ms: 12 * HOUR,
            duplicate_horizon_ms: 24 * HOUR,
            memory_ms: 30 * 24 * HOUR,
            cap_memory_ms: 30 * 24 * HOUR,
            partitions: 16,
            shoppers_max: 1 << 20,
            field_bytes_max: 16 << 20,
            tells_grants: false,
            defect: None,
        }
    }
}
