//! The desk that decides on candidates: by the definitions in force where they were asked, with the live switches and stock.

use crate::assemble::Assembly;
use crate::context::ContextTables;
use crate::driver::{Cause, Clock, Decider};
use crate::switches::Switches;
use midsession_decide::{Live, decide};
use midsession_event::{Decision, Str};
use midsession_machine::Candidate;
use midsession_observe::{Metric, Observe};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decides on candidates with the live switches.
pub struct Desk {
    /// The switches.
    pub switches: Arc<Switches>,
    /// Signs discount codes.
    pub signing_key: Vec<u8>,
    /// The clock.
    pub clock: Clock,
    /// Counts what was asked.
    pub observe: Arc<Observe>,
    /// The stock.
    pub context: Arc<ContextTables>,
}

impl Decider<Assembly> for Desk {
    fn decide(&self, candidate: &Candidate, assembly: &Assembly, now_us: i64, cause: Option<Cause>) -> Decision {
        self.observe.metrics.add_by(Metric::Candidates, &candidate.rule, 1);
        let rule = assembly.rule(&candidate.rule);
        let switch = self.switches.get(&candidate.rule);
        let stock = self.context.stock(midsession_decide::products_of(candidate), now_us / 1000);
        let live = Live {
            now_ms: now_us / 1000,
            enabled: switch.enabled.unwrap_or_else(|| rule.is_some_and(|rule| rule.enabled)),
            dry_run: switch.dry_run.unwrap_or_else(|| rule.is_some_and(|rule| rule.dry_run)),
            holdout: switch.holdout.unwrap_or_else(|| rule.map_or(0.0, |rule| rule.holdout)),
            signing_key: &self.signing_key,
            stock: &stock,
        };
        let mut stamps_us: BTreeMap<Str, i64> = BTreeMap::new();
        if let Some(cause) = cause.filter(|_| candidate.cause_event.is_some()) {
            stamps_us.insert("received".into(), cause.stamps.received_at_us);
            stamps_us.insert("collected".into(), cause.stamps.collected_at_us);
            stamps_us.insert("durable".into(), cause.durable_us);
        }
        let asked_us = (self.clock)();
        stamps_us.insert("machine".into(), asked_us);
        let mut decision = decide(candidate, rule, &live, stamps_us);
        decision.stamps_us.insert("decided".into(), (self.clock)());
        decision
    }
}
