//! Decisions read back from the log: only then do caps and state change, and only then is anything shown.

use crate::shopper::Shown;
use crate::stream::Stream;
use midsession_event::{Decision, Outcome};
use midsession_machine::Effect;

impl Stream {
    pub(crate) fn on_decision(&mut self, decision: Decision, out: &mut Vec<Effect>) {
        let now_ms = self.now_ms;
        let shopper = self
            .by_id
            .get(&decision.shopper)
            .and_then(|index| self.shoppers[*index as usize].as_mut())
            .filter(|shopper| shopper.pending.iter().any(|pending| pending.decision_id == decision.decision_id));
        let Some(shopper) = shopper else {
            // Decided before (the first one won), or the shopper has moved to another home since.
            self.counters.orphaned_decisions += 1;
            return;
        };
        shopper.pending.retain(|pending| pending.decision_id != decision.decision_id);
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
                session_id: decision.session_id,
                expires_at_ms: decision.expires_at_ms,
            });
        }
        out.push(Effect::Decided(Box::new(decision)));
    }
}
