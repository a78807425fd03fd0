//! What came of rules, counted: by rule and by source.

use midsession_event::{Decision, EventName, Outcome, Reaction, Str, hash64};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// Shoppers remembered per rule for «reached in the last hour».
const REACHED_MAX: usize = 200_000;

/// The counts of all rules and sources.
#[derive(Debug, Default)]
pub struct Tally {
    rules: Mutex<BTreeMap<Str, RuleCounts>>,
    by_source: Mutex<BTreeMap<Str, SourceCounts>>,
}

/// What came of one rule since a day before the start. Robots and previews are left out.
#[derive(Clone, Debug, Default)]
pub struct RuleCounts {
    /// By outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Painted, clicked, dismissed, exposed.
    pub reactions: BTreeMap<Str, u64>,
    /// (Epoch ms, hash of the shopper), in order.
    reached: VecDeque<(i64, u64)>,
}

impl RuleCounts {
    /// Shoppers that it reached (or would have) since then.
    pub fn reached_since(&self, since_ms: i64) -> usize {
        let mut shoppers: Vec<u64> =
            self.reached.iter().rev().take_while(|(at, _)| *at >= since_ms).map(|(_, shopper)| *shopper).collect();
        shoppers.sort_unstable();
        shoppers.dedup();
        shoppers.len()
    }
}

/// What came of interventions in one source, counted like those of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Sent.
    pub served: u64,
    /// Reported as painted.
    pub painted: u64,
    /// Clicked.
    pub clicked: u64,
    /// Dismissed.
    pub dismissed: u64,
}

/// An outcome's name on the wire.
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Served => "served",
        Outcome::Holdout => "holdout",
        Outcome::Capped => "capped",
        Outcome::DryRun => "dry_run",
        Outcome::Expired => "expired",
        Outcome::Disabled => "disabled",
        Outcome::NoConsent => "no_consent",
        Outcome::OutOfStock => "out_of_stock",
    }
}

impl Tally {
    /// What came of a rule.
    pub fn counts(&self, rule: &str) -> RuleCounts {
        self.rules.lock().get(rule).cloned().unwrap_or_default()
    }

    /// Sums over all rules, by name of outcome and reaction.
    pub fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for counts in self.rules.lock().values() {
            for (name, count) in &counts.outcomes {
                *totals.entry((*name).to_owned()).or_default() += count;
            }
            for (name, count) in &counts.reactions {
                *totals.entry(name.to_string()).or_default() += count;
            }
        }
        totals
    }

    /// What came of interventions, by source.
    pub fn by_source(&self) -> BTreeMap<Str, SourceCounts> {
        self.by_source.lock().clone()
    }

    /// Counts a decision.
    pub fn decision(&self, decision: &Decision) {
        let mut rules = self.rules.lock();
        let counts = rules.entry(decision.rule.clone()).or_default();
        *counts.outcomes.entry(outcome_name(decision.outcome)).or_default() += 1;
        if matches!(decision.outcome, Outcome::Served | Outcome::DryRun) {
            if counts.reached.len() >= REACHED_MAX {
                counts.reached.pop_front();
            }
            counts.reached.push_back((decision.asked_at_ms, hash64(&[decision.shopper.as_str()])));
        }
        drop(rules);
        if decision.outcome == Outcome::Served {
            self.by_source.lock().entry(source_of(decision)).or_default().served += 1;
        }
    }

    /// Counts a reaction.
    pub fn reaction(&self, reaction: &Reaction) {
        if !reaction.preview && !reaction.bot && !reaction.rule.is_empty() {
            let mut rules = self.rules.lock();
            let counts = rules.entry(reaction.rule.clone()).or_default();
            *counts.reactions.entry(reaction.name.as_str().into()).or_default() += 1;
            drop(rules);
            let mut by_source = self.by_source.lock();
            let counts = by_source.entry(reaction.source.as_str().into()).or_default();
            match reaction.name {
                EventName::Painted => counts.painted += 1,
                EventName::Click => counts.clicked += 1,
                EventName::Dismiss => counts.dismissed += 1,
                _ => {}
            }
        }
    }

    /// A cap held a rule back.
    pub fn capped(&self, rule: &Str) {
        let mut rules = self.rules.lock();
        let counts = rules.entry(rule.clone()).or_default();
        *counts.outcomes.entry(outcome_name(Outcome::Capped)).or_default() += 1;
    }

    /// What was counted in no order is put into that of time.
    pub fn sort(&self) {
        self.rules.lock().values_mut().for_each(|counts| counts.reached.make_contiguous().sort_unstable());
    }
}

/// Which source its session came through.
pub fn source_of(decision: &Decision) -> Str {
    decision.inputs.get("source").and_then(text_of).unwrap_or_default()
}

fn text_of(value: &midsession_event::PropertyValue) -> Option<Str> {
    match value {
        midsession_event::PropertyValue::Text(text) => Some(text.clone()),
        _ => None,
    }
}
