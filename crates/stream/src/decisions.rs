//! Decisions read back from the log: only then do caps and state change, and only then is anything shown.

use crate::Defect;
use crate::shopper::{Shopper, Shown};
use crate::stream::Stream;
use midsession_event::{CapEntry, Decision, Outcome, Purpose, SessionId};
use midsession_machine::{Definitions, Effect, Session, View};

/// What is shown to one shopper in live sessions and may have to be taken back; of more than that the oldest is let go.
const SHOWN_MAX: usize = 16;

impl Stream {
    pub(crate) fn on_decision<D: Definitions>(
        &mut self,
        mut decision: Decision,
        definitions: &D,
        out: &mut Vec<Effect>,
    ) {
        let now_ms = self.now_ms;
        // First, as a session that is not known any more is past its time.
        let is_past = decision.expires_at_ms <= now_ms;
        // Decided under other definitions, before a restart: whether its condition held and its caps left room can't be
        // told by those of today. It counts as it was decided, so that nobody sees more than the caps allow, and it is
        // not shown any more.
        let is_foreign = definitions.version(&decision.rule) != Some(decision.rule_version.as_str());
        if is_foreign {
            decision.expires_at_ms = decision.expires_at_ms.min(now_ms);
        } else if decision.outcome == Outcome::Served && !is_past && !self.consents(&decision) {
            // Withdrawn while it was being decided.
            decision.outcome = Outcome::NoConsent;
        }
        let is_served = decision.outcome == Outcome::Served && !is_foreign;
        if is_served && (is_past || !self.still_holds(&decision, definitions)) {
            // Bought, say, while it was being decided: nothing is shown that is stale or no longer true.
            decision.outcome = Outcome::Expired;
        }
        let takes_place = matches!(decision.outcome, Outcome::Served | Outcome::Holdout) && !is_foreign;
        if takes_place && !self.has_room(&decision, definitions) {
            // Another decision has taken the last place since it was asked.
            decision.outcome = Outcome::Capped;
        }
        let twice = self.config.has(Defect::DecisionTwice);
        let is_pending =
            |shopper: &Shopper| shopper.pending.iter().any(|pending| pending.decision_id == decision.decision_id);
        let is_new = |shopper: &Shopper| {
            shopper.caps.iter().all(|entry| entry.decision_id != decision.decision_id)
                && shopper.sessions.iter().any(|session| session.id == decision.session_id)
        };
        let index = self.shoppers.find(&decision.shopper);
        if let Some(index) = index {
            self.keep_shopper(index);
        }
        let shopper = index
            .and_then(|index| self.shoppers[index as usize].as_mut())
            .filter(|shopper| twice || is_pending(shopper) || is_new(shopper));
        let Some(shopper) = shopper else {
            // Decided before (the first one won), or the shopper has moved to another home since.
            self.counters.orphaned_decisions += 1;
            return;
        };
        if is_new(shopper) {
            // Asked by definitions that have been changed since: what was decided then still counts.
            shopper.caps.push(CapEntry {
                decision_id: decision.decision_id,
                rule: decision.rule.clone(),
                session_id: decision.session_id,
                at_ms: now_ms,
                counts: false,
                visitor_id: decision.visitor_id.clone(),
            });
        }
        shopper.pending.retain(|pending| pending.decision_id != decision.decision_id);
        let session_id = session_now(shopper, &decision);
        let counts = matches!(decision.outcome, Outcome::Served | Outcome::Holdout);
        for entry in shopper.caps.iter_mut().filter(|entry| entry.decision_id == decision.decision_id) {
            entry.counts = counts;
            entry.at_ms = now_ms;
        }
        if decision.outcome == Outcome::Served {
            if shopper.shown.len() >= SHOWN_MAX {
                shopper.shown.remove(0);
            }
            shopper.shown.push(Shown {
                decision_id: decision.decision_id,
                rule: decision.rule.clone(),
                session_id,
                expires_at_ms: decision.expires_at_ms,
            });
        }
        out.push(Effect::Decided(Box::new(decision)));
    }

    /// The shopper that it concerns, in the session that it concerns now, with that session's id; the session may be
    /// forgotten. `None` when the shopper is not at home here.
    fn concerned(&self, decision: &Decision) -> Option<(View<'_>, SessionId)> {
        let index = self.shoppers.find(&decision.shopper)?;
        let shopper = self.shoppers.get(index as usize)?;
        let session_id = session_now(shopper, decision);
        let session = shopper.sessions.iter().find(|session| session.id == session_id);
        Some((self.view_of(shopper, session, self.now_ms), session_id))
    }

    /// Whether the session still allows it. One that is not known any more is past its time.
    fn consents(&self, decision: &Decision) -> bool {
        let allows = |session: &Session| session.consent.allows(Purpose::Personalization);
        self.config.has(Defect::ConsentLate)
            || self.concerned(decision).is_some_and(|(view, _)| view.session.is_none_or(allows))
    }

    /// Whether the caps leave room for it.
    fn has_room<D: Definitions>(&self, decision: &Decision, definitions: &D) -> bool {
        self.config.has(Defect::CapsAtAsk)
            || self.concerned(decision).is_none_or(|(view, id)| definitions.allows(&view, &decision.rule, id))
    }

    /// Whether its session goes on, and its rule's condition is still true. After a logout the page is somebody else's.
    fn still_holds<D: Definitions>(&self, decision: &Decision, definitions: &D) -> bool {
        self.concerned(decision).is_some_and(|(view, _)| {
            view.session.is_some_and(Session::is_live) && definitions.still_holds(&view, &decision.rule)
        })
    }
}

/// The session that a decision concerns: the one that its own has been merged into, if so.
fn session_now(shopper: &Shopper, decision: &Decision) -> SessionId {
    let entry = shopper.caps.iter().find(|entry| entry.decision_id == decision.decision_id);
    entry.map_or(decision.session_id, |entry| entry.session_id)
}
