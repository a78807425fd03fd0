//! What a machine sees of itself that must not be: a few comparisons per record, counted by the ids of the invariants.
//!
//! Only what costs next to nothing is looked at here; the simulator's oracle looks at all of it.

use crate::stream::Stream;
use midsession_event::{DecisionId, Event, EventName, Outcome, Purpose, SessionId};
use midsession_machine::{Effect, Invariant, Violations};

/// Sessions, and decisions, that are remembered to see whether they are told again: each has one place, by its id.
const REMEMBERED: usize = 128;

/// What was seen, and what was told lately. Of an id the lower half is enough.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    violations: Violations,
    /// With the version; versions begin at 1.
    versions: Vec<(u64, i64)>,
    decided: Vec<u64>,
}

impl Watch {
    /// One more of these.
    pub(crate) fn saw(&mut self, invariant: Invariant) {
        self.violations.count(invariant);
    }

    fn session(&mut self, id: SessionId, version: i64) {
        self.versions.resize(REMEMBERED, (0, 0));
        let place = &mut self.versions[id.0 as usize % REMEMBERED];
        if place.0 == id.0 as u64 && place.1 >= version {
            self.violations.count(Invariant::Versions);
        }
        *place = (id.0 as u64, version);
    }

    fn decision(&mut self, id: DecisionId) {
        self.decided.resize(REMEMBERED, 0);
        if std::mem::replace(&mut self.decided[id.0 as usize % REMEMBERED], id.0 as u64) == id.0 as u64 {
            self.violations.count(Invariant::Once);
        }
    }
}

impl Stream {
    /// What it saw of itself that must not be, since the start.
    pub fn violations(&self) -> Violations {
        self.watch.violations
    }

    /// A record comes behind those before it, and not earlier. What can't be read is left out, so offsets may be missing.
    pub(crate) fn watch_place(&mut self, offset: i64, stamp_ms: i64) {
        if offset <= self.offset {
            self.watch.saw(Invariant::Accounted);
        }
        if stamp_ms < self.now_ms {
            self.watch.saw(Invariant::Time);
        }
    }

    /// An event has taken effect in this session.
    pub(crate) fn watch_session(&mut self, index: u32, id: SessionId, event: &Event) {
        if event.consent.is_refusal() && event.name != EventName::Consent {
            self.watch.saw(Invariant::Consent);
        }
        let Some(shopper) = self.shoppers[index as usize].as_ref().filter(|shopper| shopper.sessions.len() > 1) else {
            return;
        };
        let Some(session) = shopper.sessions.iter().find(|session| session.id == id && session.is_live()) else {
            return;
        };
        let gap_ms = self.config.gap_ms;
        let is_near = shopper.sessions.iter().any(|other| {
            other.is_live()
                && other.number != session.number
                && other.visitor == session.visitor
                && other.started_at_ms <= session.ended_at_ms + gap_ms
                && session.started_at_ms <= other.ended_at_ms + gap_ms
        });
        if is_near {
            self.watch.saw(Invariant::Sessions);
        }
    }

    /// What a record has brought about, and the sums behind it.
    pub(crate) fn watch_effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Session(update) => self.watch.session(update.session_id, update.version),
                Effect::Decided(decision) => {
                    self.watch.decision(decision.decision_id);
                    let shopper =
                        self.shoppers.find(&decision.shopper).and_then(|index| self.shoppers[index as usize].as_ref());
                    let session = shopper
                        .and_then(|shopper| shopper.sessions.iter().find(|session| session.id == decision.session_id));
                    let forbids = session
                        .is_some_and(|session| session.is_live() && !session.consent.allows(Purpose::Personalization));
                    // One of other definitions counts as it was decided, and is not shown.
                    let is_to_be_shown = decision.outcome == Outcome::Served && decision.expires_at_ms > self.now_ms;
                    if is_to_be_shown && forbids {
                        self.watch.saw(Invariant::Consent);
                    }
                }
                _ => {}
            }
        }
        if !self.counters.adds_up() {
            self.watch.saw(Invariant::Accounted);
        }
        if self.shoppers.taken().max(self.visitors.taken()) > self.config.shoppers_max.max(self.room.restored) {
            self.watch.saw(Invariant::Bounded);
        }
    }
}
