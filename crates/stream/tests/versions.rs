//! What was decided under other definitions counts, and is shown to nobody any more.

use midsession_event::{Cart, Decision, Event, EventName, Outcome, PartitionId, Record, SessionId, ShopperId, Str};
use midsession_machine::{Ask, Definitions, Derived, Effect, View};
use midsession_stream::{Config, Stream};

/// One rule that asks at each cart event, in this version, with a condition that holds or not.
struct Rule {
    version: &'static str,
    holds: bool,
}

impl Definitions for Rule {
    fn derive(&self, _: &Event, _: &mut Vec<Derived>) {}
    fn idle_thresholds_ms(&self) -> &[i64] {
        &[]
    }
    fn on_event(&self, view: &View<'_>, _: &Event, ask: &mut dyn FnMut(Ask)) {
        let capped = !view.session.is_some_and(|session| self.allows(view, "r", session.id));
        if self.holds {
            ask(Ask { rule: "r".into(), inputs: Default::default(), capped });
        }
    }
    fn on_idle(&self, _: &View<'_>, _: i64, _: &mut dyn FnMut(Ask)) {}
    fn allows(&self, view: &View<'_>, _: &str, session: SessionId) -> bool {
        !view.caps.iter().any(|cap| cap.counts && cap.session_id == session)
    }
    fn version(&self, rule: &str) -> Option<&str> {
        (rule == "r").then_some(self.version)
    }
    fn still_holds(&self, _: &View<'_>, _: &str) -> bool {
        self.holds
    }
}

const START_MS: i64 = 1_700_000_000_000;

fn cart_event(number: i64) -> Record {
    let mut event =
        Event::new("shop".into(), format!("e{number}").into(), EventName::AddToCart, START_MS + number * 1_000);
    event.visitor_id = Some("v".into());
    event.cart = Some(Cart { total_value: Some(90.0 + number as f64), ..Cart::default() });
    Record::Event(Box::new(event))
}

/// The log of a life under `first`: an event, what it was decided, another event under `second`.
fn lives(first: &Rule, second: &Rule) -> (Vec<Effect>, Vec<Effect>) {
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let mut out = Vec::new();
    stream.on_record(0, START_MS, cart_event(0), first, &mut out);
    let candidate = out
        .drain(..)
        .find_map(|effect| match effect {
            Effect::Candidate(candidate) => Some(candidate),
            _ => None,
        })
        .expect("asked");
    let decision = Decision {
        decision_id: candidate.decision_id,
        rule: "r".into(),
        rule_version: first.version.into(),
        shopper: ShopperId::Visitor("v".into()),
        visitor_id: Some("v".into()),
        session_id: candidate.session_id,
        cart_version: candidate.cart_version as i64,
        outcome: Outcome::Served,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: START_MS + 60_000,
        asked_at_ms: candidate.asked_at_ms,
        inputs: Default::default(),
        cause: candidate.cause,
        cause_event_id: None::<Str>,
        by_silence: false,
        stamps_us: Default::default(),
        context: Default::default(),
    };
    // The second life reads the log anew.
    let mut stream = Stream::new(PartitionId(0), Config::default());
    let (mut decided, mut after) = (Vec::new(), Vec::new());
    stream.on_record(0, START_MS, cart_event(0), second, &mut Vec::new());
    stream.on_record(1, START_MS, Record::Decision(Box::new(decision)), second, &mut decided);
    stream.on_record(2, START_MS + 1_000, cart_event(1), second, &mut after);
    (decided, after)
}

fn decided(effects: &[Effect]) -> Option<(Outcome, i64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Decided(decision) => Some((decision.outcome, decision.expires_at_ms)),
        _ => None,
    })
}

#[test]
fn a_changed_condition_gives_no_second_place() {
    for (second, shown_until_ms) in
        [(Rule { version: "1", holds: true }, START_MS + 60_000), (Rule { version: "2", holds: true }, START_MS)]
    {
        let (decision, after) = lives(&Rule { version: "1", holds: true }, &second);
        assert_eq!(decided(&decision), Some((Outcome::Served, shown_until_ms)), "version {}", second.version);
        assert!(after.contains(&Effect::Capped { rule: "r".into() }), "{after:?}");
        assert!(!after.iter().any(|effect| matches!(effect, Effect::Candidate(_))), "{after:?}");
    }
}

#[test]
fn what_held_then_and_does_not_now_still_counts() {
    let (decision, _) = lives(&Rule { version: "1", holds: true }, &Rule { version: "2", holds: false });
    assert_eq!(decided(&decision), Some((Outcome::Served, START_MS)));
    let (decision, _) = lives(&Rule { version: "1", holds: true }, &Rule { version: "1", holds: false });
    assert_eq!(decided(&decision).map(|(outcome, _)| outcome), Some(Outcome::Expired), "the rule in force is judged");
}
