//! Decisions read back from the log: only then do caps and state change, and only then is anything shown.

use crate::Defect;
use crate::shopper::{Shopper, Shown};
use crate::stream::Stream;
use midsession_event::{Decision, Outcome, SessionId};
use midsession_machine::{Definitions, Effect};

impl Stream {
    pub(crate) fn on_decision<D: Definitions>(
        &mut self,
        mut decision: Decision,
        definitions: &D,
        out: &mut Vec<Effect>,
    ) {
        let now_ms = self.now_ms;
        let is_past = decision.expires_at_ms <= now_ms;
        if decision.outcome == Outcome::Served && (is_past || !self.still_holds(&decision, definitions)) {
            // Bought, say, while it was being decided: nothing is shown that is stale or no longer true.
            decision.outcome = Outcome::Expired;
        }
        let twice = self.config.has(Defect::DecisionTwice);
        let shopper =
            self.by_id.get(&decision.shopper).and_then(|index| self.shoppers[*index as usize].as_mut()).filter(
                |shopper| twice || shopper.pending.iter().any(|pending| pending.decision_id == decision.decision_id),
            );
        let Some(shopper) = shopper else {
            // Decided before (the first one won), or the shopper has moved to another home since.
            self.counters.orphaned_decisions += 1;
            return;
        };
        shopper.pending.retain(|pending| pending.decision_id != decision.decision_id);
        let session_id = session_now(shopper, &decision);
        let counts = matches!(decision.outcome, Outcome::Served | Outcome::Holdout);
        for entry in shopper.caps.iter_mut().filter(|entry| entry.decision_id == decision.decision_id) {
            entry.counts = counts;
            entry.at_ms = now_ms;
        }
        if decision.outcome == Outcome::Served {
            shopper.shown.retain(|shown| shown.expires_at_ms > now_ms);
            shopper.shown.push(Shown {
                decision_id: decision.decision_id,
                rule: decision.rule.clone(),
                session_id,
                expires_at_ms: decision.expires_at_ms,
            });
        }
        out.push(Effect::Decided(Box::new(decision)));
    }

    fn still_holds<D: Definitions>(&self, decision: &Decision, definitions: &D) -> bool {
        let index = self.by_id.get(&decision.shopper);
        let Some(shopper) = index.and_then(|index| self.shoppers[*index as usize].as_ref()) else { return false };
        let session_id = session_now(shopper, decision);
        let session = shopper.sessions.iter().find(|session| session.id == session_id);
        definitions.still_holds(&self.view_of(shopper, session, self.now_ms), &decision.rule)
    }
}

/// The session that a decision concerns: the one that its own has been merged into, if so.
fn session_now(shopper: &Shopper, decision: &Decision) -> SessionId {
    let entry = shopper.caps.iter().find(|entry| entry.decision_id == decision.decision_id);
    entry.map_or(decision.session_id, |entry| entry.session_id)
}
