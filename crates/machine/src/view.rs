//! The read-only view of a shopper that features and rules look through.

use crate::{LazyFacts, Names, Partials, Session};
use midsession_event::{CapEntry, ShopperId};

/// One shopper, and one of their sessions where one is meant, at an instant.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Who.
    pub shopper: &'a ShopperId,
    /// All facts of the last 24 h, over all devices.
    pub facts: LazyFacts<'a>,
    /// They are whole after this: of those before it some were dropped for want of room. `i64::MIN` where none were. Epoch ms.
    pub whole_after_ms: i64,
    /// The session that is meant.
    pub session: Option<&'a Session>,
    /// The partition's names. Currency numbers are kept in a space of their own, see [`View::currencies`].
    pub names: &'a Names,
    /// The partition's currencies.
    pub currencies: &'a Names,
    /// Decisions so far that count or wait, for the caps.
    pub caps: &'a [CapEntry],
    /// What the partition has added up over lifetimes.
    pub partials: &'a Partials,
    /// Since when what is written for definitions has been written, by slot: see [`crate::since_of`].
    pub since: &'a [(u32, i64)],
    /// Stamp of the shopper's last own event. Epoch ms.
    pub last_stamp_ms: i64,
    /// The instant. Epoch ms.
    pub now_ms: i64,
}

impl View<'_> {
    /// When the shopper last did something, as far as that is known. Epoch ms.
    pub fn acted_ms(&self) -> Option<i64> {
        let in_session_ms = self.session.map(|session| session.ended_at_ms);
        let newest_ms = || self.facts.all().last().map(|fact| fact.time_ms);
        let stamp_ms = || Some(self.last_stamp_ms).filter(|stamp_ms| *stamp_ms > i64::MIN);
        in_session_ms.or_else(newest_ms).or_else(stamp_ms)
    }
}
