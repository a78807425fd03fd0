//! What a partition keeps of one shopper, and of one visitor.

use crate::seen::Seen;
use midsession_event::{CapEntry, DecisionId, SessionId, ShopperId, Str, UserId};
use midsession_machine::{Candidate, Facts, Session};

/// A shopper at home: all that is known of them is here.
#[derive(Clone, Debug)]
pub struct Shopper {
    /// Who.
    pub id: ShopperId,
    /// What they did within the longest window.
    pub facts: Facts,
    /// Their sessions: live ones and those still readable.
    pub sessions: Vec<Session>,
    /// The number of the last session; facts carry it.
    pub last_session: u32,
    /// What was decided for them, or is being decided.
    pub caps: Vec<CapEntry>,
    /// Candidates whose decision has not been read yet.
    pub pending: Vec<Candidate>,
    /// Shown and neither painted nor expired yet.
    pub shown: Vec<Shown>,
    /// Stamp of their last own event. Epoch ms.
    pub last_stamp_ms: i64,
    /// Silence thresholds up to this have fired since. ms.
    pub idle_fired_ms: i64,
    /// The deadline that counts; others that come up are old.
    pub armed_ms: Option<i64>,
}

impl Shopper {
    pub(crate) fn new(id: ShopperId) -> Self {
        Self {
            id,
            facts: Facts::default(),
            sessions: Vec::new(),
            last_session: 0,
            caps: Vec::new(),
            pending: Vec::new(),
            shown: Vec::new(),
            last_stamp_ms: i64::MIN,
            idle_fired_ms: 0,
            armed_ms: None,
        }
    }

    /// The live session with the latest event, else the latest of all.
    pub fn current_session(&self) -> Option<&Session> {
        self.sessions.iter().max_by_key(|session| (session.is_live(), session.ended_at_ms, session.number))
    }
}

/// A served decision that may still have to be taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Which.
    pub decision_id: DecisionId,
    /// Its rule.
    pub rule: Str,
    /// Its session.
    pub session_id: SessionId,
    /// Gone by itself after this. Epoch ms.
    pub expires_at_ms: i64,
}

/// A visitor at the partition where their events enter.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Event ids that took effect.
    pub seen: Seen,
    /// Who they were, by event time. The last one may be open.
    pub attachments: Vec<Attachment>,
    /// Stamp of the last event. Epoch ms.
    pub last_stamp_ms: i64,
}

/// An interval of event time in which a visitor is a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Who.
    pub user: UserId,
    /// From this event time on. Epoch ms.
    pub from_ms: i64,
    /// Up to this one; open while signed in. Epoch ms.
    pub to_ms: Option<i64>,
}

impl Attachment {
    /// Whether this instant of event time lies in it.
    pub fn holds(&self, time_ms: i64) -> bool {
        self.from_ms <= time_ms && self.to_ms.is_none_or(|to_ms| time_ms <= to_ms)
    }
}
