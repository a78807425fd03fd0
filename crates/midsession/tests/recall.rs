//! What an earlier life decided to show is shown after a start if it is still true, and by rules in force alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use midsession::driver::Sink;
use midsession::world::World;
use midsession_edge::{HubLimits, Message, PushHub, Reason};
use midsession_engine_local::{Config, LocalLog, SimDisk};
use midsession_event::{
    Decision, DecisionId, EventName, Outcome, OutputId, PartitionId, Reaction, SessionId, ShopperId, Topic, VisitorId,
    encode,
};
use midsession_observe::{Metric, Observe};
use midsession_ports::{Append, Log, Unit};
use std::collections::HashSet;
use std::sync::Arc;

const NOW_MS: i64 = 1_700_000_000_000;
const ID: DecisionId = DecisionId(7);

fn decision() -> Decision {
    Decision {
        decision_id: ID,
        rule: "cart_stalled".into(),
        rule_version: "v1".into(),
        shopper: ShopperId::Visitor("v".into()),
        visitor_id: Some("v".into()),
        session_id: SessionId(1),
        cart_version: 1,
        outcome: Outcome::Served,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: NOW_MS + 60_000,
        asked_at_ms: NOW_MS - 1_000,
        inputs: Default::default(),
        cause: OutputId { partition: PartitionId(0), offset: 0, ordinal: 0 },
        cause_event_id: None,
        by_silence: false,
        stamps_us: Default::default(),
        context: Vec::new(),
    }
}

/// What a page gets that comes back after the start, knowing these.
fn told(known: &[DecisionId], is_true: bool, version_in_force: &str) -> Vec<String> {
    told_of(&[decision()], known, is_true, version_in_force, HubLimits::default()).0
}

/// The same where so much was decided; and what was let go of it.
fn told_of(
    decisions: &[Decision],
    known: &[DecisionId],
    is_true: bool,
    version_in_force: &str,
    limits: HubLimits,
) -> (Vec<String>, [u64; 2]) {
    let log = LocalLog::open_threadless(
        SimDisk::default().process(),
        Arc::new(|| NOW_MS),
        Config { partitions: 1, ..Config::new("/data") },
    )
    .unwrap();
    let record = |decision| {
        let value = Some(Bytes::from(encode(decision).unwrap()));
        Append { topic: Topic::Decision, partition: PartitionId(0), key: Bytes::new(), value }
    };
    let records = decisions.iter().map(record).collect();
    log.append(Unit { records, positions: Vec::new() }.into(), Box::new(|answer| drop(answer.unwrap())));
    log.commit_now();
    let observe = Observe::new();
    let hub = PushHub::with_clock(Arc::clone(&observe), limits, Arc::new(|| NOW_MS));
    let world = World::new(Arc::clone(&hub), Arc::clone(&observe), Arc::new(|| NOW_MS * 1000));
    world.recall(&log).unwrap();
    let shown: HashSet<DecisionId> = decisions.iter().map(|of| of.decision_id).filter(|_| is_true).collect();
    world.release(&shown, &|rule, version| rule == "cart_stalled" && version == version_in_force);
    let mut page = hub.subscribe(&VisitorId::from("v"), known);
    let told = std::iter::from_fn(|| page.try_next())
        .map(|(message, _)| match message {
            Message::Frame(frame) => format!("show {}", frame.decision_id.0),
            Message::Retract(id, Reason::Overtaken) => format!("take back {}", id.0),
            Message::Retract(id, reason) => format!("{} {reason:?}", id.0),
        })
        .collect();
    let counted = |cause| observe.metrics.get(Metric::PushDropped, Some(cause)).unsigned_abs();
    (told, ["recall_full", "held_full"].map(counted))
}

#[test]
fn of_very_many_the_newest_are_kept_in_mind() {
    let decisions: Vec<Decision> = (0..20).map(|id| Decision { decision_id: DecisionId(id), ..decision() }).collect();
    let known: Vec<DecisionId> = decisions.iter().map(|of| of.decision_id).collect();
    let limits = HubLimits { frames: 4, ..HubLimits::default() };
    let (told, dropped) = told_of(&decisions, &known, false, "v1", limits);
    assert_eq!(told, ["take back 16", "take back 17", "take back 18", "take back 19"]);
    assert_eq!(dropped, [16, 16]);
    let (told, _) = told_of(&decisions, &[], true, "v1", limits);
    assert_eq!(told, ["show 0", "show 1", "show 2", "show 3"]);
}

#[test]
fn what_is_still_true_is_shown() {
    assert_eq!(told(&[], true, "v1"), ["show 7"]);
    assert!(told(&[ID], true, "v1").is_empty(), "the page has it");
}

#[test]
fn what_is_not_true_any_more_is_taken_back() {
    assert!(told(&[], false, "v1").is_empty());
    assert_eq!(told(&[ID], false, "v1"), ["take back 7"]);
}

#[test]
fn what_a_changed_or_switched_off_rule_decided_is_shown_to_nobody() {
    assert!(told(&[], true, "v2").is_empty());
    assert_eq!(told(&[ID], true, "v2"), ["take back 7"]);
}

/// What a page gets that has painted what `v1` decided, when only this version is to be shown from now on.
fn told_after_a_change(version: Option<&str>, is_answered: bool) -> Vec<String> {
    let observe = Observe::new();
    let hub = PushHub::with_clock(Arc::clone(&observe), HubLimits::default(), Arc::new(|| NOW_MS));
    let world = World::new(Arc::clone(&hub), observe, Arc::new(|| NOW_MS * 1000));
    world.release(&HashSet::new(), &|_, _| true);
    let mut page = hub.subscribe(&VisitorId::from("v"), &[]);
    let newer = Decision { decision_id: DecisionId(8), rule_version: "v2".into(), ..decision() };
    for decided in [decision(), newer, Decision { decision_id: DecisionId(9), rule: "other".into(), ..decision() }] {
        world.decided(&decided, NOW_MS * 1000);
    }
    world.painted(ID);
    if is_answered {
        world.reacted(&Reaction {
            decision_id: ID,
            name: EventName::Click,
            rule: "cart_stalled".into(),
            visitor_id: Some("v".into()),
            cause: decision().cause,
            occurred_at_ms: NOW_MS,
            properties: Default::default(),
            source: "shop".into(),
            preview: false,
            bot: false,
        });
    }
    while page.try_next().is_some() {}
    world.end_others("cart_stalled", version);
    let mut told: Vec<String> = std::iter::from_fn(|| page.try_next())
        .map(|(message, _)| match message {
            Message::Frame(frame) => format!("show {}", frame.decision_id.0),
            Message::Retract(id, reason) => format!("{} {reason:?}", id.0),
        })
        .collect();
    told.sort_unstable();
    told
}

#[test]
fn what_another_version_has_on_pages_is_taken_back_though_it_was_painted() {
    assert_eq!(told_after_a_change(Some("v2"), false), ["7 Overtaken"]);
    assert_eq!(told_after_a_change(Some("v1"), false), ["8 Overtaken"]);
    assert_eq!(told_after_a_change(None, false), ["7 Overtaken", "8 Overtaken"]);
    assert!(told_after_a_change(Some("v2"), true).is_empty(), "it was answered: that is the page's own affair");
}
