//! The decision on a candidate: one row per outcome, and codes only where something is served.

use crate::kit::{rule, rules};
use midsession_decide::codes::{CodeError, verify};
use midsession_decide::{Live, decide, is_held_out};
use midsession_event::{Decision, DecisionId, Outcome, OutputId, SessionId, ShopperId};
use midsession_machine::Candidate;
use std::collections::BTreeMap;

const KEY: &[u8] = b"key";

fn candidate() -> Candidate {
    Candidate {
        decision_id: DecisionId(42 << 64),
        rule: "r".into(),
        shopper: ShopperId::Visitor("v1".into()),
        visitor_id: Some("v1".into()),
        session_id: SessionId(1),
        cart_version: 3,
        inputs: BTreeMap::from([("source".into(), midsession_event::PropertyValue::Text("shop".into()))]),
        cause: OutputId::default(),
        cause_event: None,
        asked_at_ms: 1_000,
        consented: true,
        bot: false,
    }
}

fn live() -> Live<'static> {
    Live { now_ms: 1_500, enabled: true, dry_run: false, holdout: 0.0, signing_key: KEY, stock: &[] }
}

fn decided(candidate: &Candidate, live: &Live<'_>) -> Decision {
    let rules =
        rules(&rule("r", "expires = \"2m\"").replace("title = \"T\"", "title = \"T\", code = { percent = 15 }"));
    decide(candidate, rules.rule(&candidate.rule), live, BTreeMap::new())
}

#[test]
fn outcomes() {
    let mut no_experiment = candidate();
    no_experiment.inputs.insert("consent.no_experiment".into(), midsession_event::PropertyValue::Bool(true));
    let cases: &[(&str, Candidate, Live<'_>, Outcome)] = &[
        ("served", candidate(), live(), Outcome::Served),
        ("switched off", candidate(), Live { enabled: false, ..live() }, Outcome::Disabled),
        ("dry run", candidate(), Live { dry_run: true, ..live() }, Outcome::DryRun),
        ("everybody held out", candidate(), Live { holdout: 1.0, ..live() }, Outcome::Holdout),
        ("everybody held out who agrees to be", no_experiment, Live { holdout: 1.0, ..live() }, Outcome::Served),
        ("a robot", Candidate { bot: true, ..candidate() }, live(), Outcome::Disabled),
        ("no consent", Candidate { consented: false, ..candidate() }, live(), Outcome::NoConsent),
        ("the last millisecond", candidate(), Live { now_ms: 120_999, ..live() }, Outcome::Served),
        ("too late", candidate(), Live { now_ms: 121_000, ..live() }, Outcome::Expired),
        ("its definition is gone", Candidate { rule: "gone".into(), ..candidate() }, live(), Outcome::Disabled),
    ];
    for (name, candidate, live, outcome) in cases {
        let decision = decided(candidate, live);
        assert_eq!(decision.outcome, *outcome, "{name}");
        let has_code = decision.payload.contains("\"code\":");
        assert_eq!(has_code, *outcome == Outcome::Served, "{name}: a code is only in what is served");
        assert_eq!(decision.decision_id, candidate.decision_id, "{name}");
        assert_eq!(decision.inputs, candidate.inputs, "{name}");
    }
}

#[test]
fn a_served_code_is_good_once_it_is_read_back() {
    let decision = decided(&candidate(), &live());
    let payload: serde_json::Value = serde_json::from_str(&decision.payload).expect("JSON");
    assert_eq!((&payload["title"], &payload["percent"]), (&"T".into(), &15.into()));
    let code = payload["code"].as_str().expect("a code");
    let read = verify(KEY, code, Some("v1"), 1_500).expect("good");
    assert_eq!((read.decision, read.percent), (42, 15), "the decision that the shop remembers as used");
    assert!(read.expires_at_ms > decision.expires_at_ms, "there is time to check out");
    assert_eq!(verify(KEY, code, Some("v2"), 1_500), Err(CodeError::Unknown), "another's");
    assert_eq!(verify(KEY, code, Some("v1"), read.expires_at_ms), Err(CodeError::Expired));
    assert_eq!(decided(&candidate(), &live()), decision, "asked again it is the same, bit for bit");
}

#[test]
fn a_larger_holdout_holds_the_smaller_one() {
    let held = |share: f64| (0..10_000).filter(|n| is_held_out("r", &n.to_string(), share)).collect::<Vec<_>>();
    let (small, large) = (held(0.1), held(0.2));
    assert!(small.iter().all(|n| large.contains(n)));
    assert!(large.len() > small.len());
}
