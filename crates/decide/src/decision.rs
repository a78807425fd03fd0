//! The decision on a candidate: a pure function of the candidate, the rule, the live switches and the clock given.

use crate::definition::Rule;
use crate::rules::NO_EXPERIMENT;
use crate::{codes, stock};
use midsession_event::{Decision, Joined, Outcome, Str, hash64};
use midsession_machine::Candidate;
use std::collections::BTreeMap;

/// Live state that a decision reads; everything in it may change between two decisions.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// Epoch ms.
    pub now_ms: i64,
    /// On, by switch or by definition.
    pub enabled: bool,
    /// Dry run, by switch or by definition.
    pub dry_run: bool,
    /// Share held out, by switch or by definition.
    pub holdout: f64,
    /// Signs discount codes.
    pub signing_key: &'a [u8],
    /// Rows of the inventory about the candidate's products ([`stock::products_of`]).
    pub stock: &'a [Joined],
}

/// Decides. `rule` is `None` when the definition is gone.
pub fn decide(candidate: &Candidate, rule: Option<&Rule>, live: &Live<'_>, stamps_us: BTreeMap<Str, i64>) -> Decision {
    let expires_at_ms = candidate.asked_at_ms + rule.map_or(0, |rule| rule.expires_ms);
    let outcome = match rule {
        None => Outcome::Disabled,
        Some(_) if !live.enabled || candidate.bot => Outcome::Disabled,
        Some(_) if !candidate.consented => Outcome::NoConsent,
        Some(_) if expires_at_ms <= live.now_ms => Outcome::Expired,
        Some(rule) if rule.requires_stock && !stock::is_shown(candidate, live.stock) => Outcome::OutOfStock,
        Some(_) if live.dry_run => Outcome::DryRun,
        Some(rule)
            if !candidate.inputs.contains_key(NO_EXPERIMENT)
                && is_held_out(&rule.name, candidate.shopper.as_str(), live.holdout) =>
        {
            Outcome::Holdout
        }
        Some(_) => Outcome::Served,
    };
    let payload = match rule {
        Some(rule) if outcome == Outcome::Served => payload(candidate, rule, live, expires_at_ms),
        _ => serde_json::Value::Null,
    };
    Decision {
        decision_id: candidate.decision_id,
        rule: candidate.rule.clone(),
        rule_version: rule.map(|rule| rule.version.clone()).unwrap_or_default(),
        shopper: candidate.shopper.clone(),
        visitor_id: candidate.visitor_id.clone(),
        session_id: candidate.session_id,
        cart_version: i64::try_from(candidate.cart_version).unwrap_or(i64::MAX),
        outcome,
        slot: rule.map(|rule| rule.slot.clone()).unwrap_or_default(),
        payload: payload.to_string().into(),
        expires_at_ms,
        asked_at_ms: candidate.asked_at_ms,
        inputs: candidate.inputs.clone(),
        cause: candidate.cause,
        cause_event_id: candidate.cause_event.clone(),
        by_silence: candidate.cause_event.is_none(),
        stamps_us,
        context: live.stock.to_vec(),
    }
}

/// Whether a shopper is in a rule's holdout: by a stable hash, so that it never changes for them, and a larger share
/// holds out all of a smaller one.
pub fn is_held_out(rule: &str, shopper: &str, share: f64) -> bool {
    // The upper 53 bits as a number from 0 up to 1.
    let draw = (hash64(&["holdout", rule, shopper]) >> 11) as f64 / (1u64 << 53) as f64;
    draw < share
}

fn payload(candidate: &Candidate, rule: &Rule, live: &Live<'_>, expires_at_ms: i64) -> serde_json::Value {
    /// A code outlives the card that shows it, so that there is time to check out. ms.
    const CODE_LIVES_MS: i64 = 30 * 60_000;
    let mut payload = rule.payload.clone();
    if let (Some(percent), Some(fields)) = (rule.code_percent, payload.as_object_mut()) {
        let visitor = candidate.visitor_id.as_ref();
        let code =
            codes::issue(live.signing_key, candidate.decision_id, visitor, percent, expires_at_ms + CODE_LIVES_MS);
        fields.insert("code".into(), code.into());
        fields.insert("percent".into(), percent.into());
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdouts_are_stable_shares() {
        let held =
            |rule: &str, share: f64| (0..100_000).filter(|n| is_held_out(rule, &format!("shopper-{n}"), share)).count();
        // Three standard deviations of a binomial with p = 0.1, n = 100,000 are 285.
        assert!(held("a", 0.1).abs_diff(10_000) < 285, "{}", held("a", 0.1));
        assert_eq!((held("a", 0.0), held("a", 1.0)), (0, 100_000));
        let both = (0..100_000)
            .filter(|n| {
                is_held_out("a", &format!("shopper-{n}"), 0.1) && is_held_out("b", &format!("shopper-{n}"), 0.1)
            })
            .count();
        assert!(both.abs_diff(1_000) < 100, "rules hold out independently: {both}");
    }
}
