//! The rule that changes during storms, judged by the logs: what it asked, by which version it was decided, and what of
//! that is shown.
//!
//! I14: each decision was set off by what a version says that was in force since it was asked, and made by one of those.
//! I6: what another version decided than the one in force where the decision is read is not shown (D-8), and a cap of one
//! per session counts it all the same.

use crate::oracle::{Log, RULE, Trigger, Versions, rule_of, title_of};
use midsession_event::{Decision, EventName, Outcome, Record};
use std::collections::BTreeMap;

/// What it came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ruled {
    /// Decisions that took effect.
    pub decisions: u64,
    /// Those that a silence set off.
    pub by_silence: u64,
    /// Those that another version had made than the one in force where they are read.
    pub foreign: u64,
}

/// A decision's record.
struct Place {
    partition: u32,
    offset: i64,
    stamp_ms: i64,
    /// In force there.
    title: Option<String>,
}

/// A decision that counts: its offset, and whether it is shown.
type Counted<'a> = (i64, &'a Decision, bool);

/// Titles in force in a partition, each from behind an offset on.
struct History(Vec<(i64, Option<String>)>);

impl History {
    fn of(log: &Log) -> Self {
        let (mut versions, mut titles) = (Versions::default(), vec![(-1, None)]);
        for (offset, (stamp_ms, record)) in (0..).zip(log) {
            if let Record::Definition(change) = record {
                versions.read(change, offset, *stamp_ms);
                titles.push((offset, versions.title().map(ToString::to_string)));
            }
        }
        Self(titles)
    }

    /// In force when this record is read.
    fn at(&self, offset: i64) -> Option<&str> {
        let before = self.0.iter().rev().find(|(after, _)| *after < offset);
        before.and_then(|(_, title)| title.as_deref())
    }

    /// In force when one of these records is read.
    fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &str> {
        let later = self.0.iter().filter(move |(after, _)| *after >= from && *after < to);
        self.at(from).into_iter().chain(later.filter_map(|(_, title)| title.as_deref()))
    }
}

/// Whether another title was in force at some record from this one on.
pub fn has_changed(log: &Log, offset: i64, title: &str) -> bool {
    let history = History::of(log);
    history.at(offset) != Some(title)
        || history.0.iter().any(|(after, now)| *after >= offset && now.as_deref() != Some(title))
}

/// In force at the end of a log.
pub fn at_end(log: &Log) -> Option<String> {
    History::of(log).0.pop().and_then(|(_, title)| title)
}

/// Holds all decisions by it, those on the logs and those that took effect, against what the logs put in force.
pub fn judge(logs: &[Log], decided: &BTreeMap<u128, Decision>) -> Result<Ruled, String> {
    let mut places: BTreeMap<u128, Vec<Place>> = BTreeMap::new();
    for (partition, log) in (0..).zip(logs) {
        let history = History::of(log);
        for (offset, (stamp_ms, record)) in (0..).zip(log) {
            let Record::Decision(decision) = record else { continue };
            if decision.rule != RULE {
                continue;
            }
            sound(logs, &history, offset, decision).map_err(|cause| format!("I14: {cause}: {decision:?}"))?;
            let title = history.at(offset).map(ToString::to_string);
            let place = Place { partition, offset, stamp_ms: *stamp_ms, title };
            places.entry(decision.decision_id.0).or_default().push(place);
        }
    }
    let mut ruled = Ruled::default();
    let mut counted: BTreeMap<(u32, u128), Vec<Counted<'_>>> = BTreeMap::new();
    for decision in decided.values().filter(|decision| decision.rule == RULE) {
        let Some(places) = places.get(&decision.decision_id.0) else {
            return Err(format!("I6: told and not on the log: {decision:?}"));
        };
        ruled.decisions += 1;
        ruled.by_silence += u64::from(decision.by_silence);
        let title = title_of(&decision.payload);
        let is_own = places.iter().any(|place| title.is_some() && place.title == title);
        let is_over = places.iter().any(|place| decision.expires_at_ms <= place.stamp_ms);
        ruled.foreign += u64::from(title.is_some() && !is_own);
        if decision.outcome == Outcome::Served {
            if !is_own && !is_over {
                return Err(format!("I6: shown, though another version is in force where it is read: {decision:?}"));
            }
            if let Some(first) = places.first() {
                let of = counted.entry((first.partition, decision.session_id.0)).or_default();
                of.push((first.offset, decision, is_own && !is_over));
            }
        }
    }
    for all in counted.values_mut() {
        all.sort_by_key(|(offset, ..)| *offset);
        let is_capped = |decision: &Decision| {
            title_of(&decision.payload).and_then(|title| rule_of(&title)).is_some_and(|rule| rule.once_per_session)
        };
        let twice = all.windows(2).find(|two| two[1].2 && is_capped(two[1].1));
        if let Some(two) = twice {
            return Err(format!("I6: over its cap: {:?} after {:?}", two[1].1, two[0].1));
        }
    }
    Ok(ruled)
}

/// Whether a decision was asked and made by what was in force.
fn sound(logs: &[Log], history: &History, offset: i64, decision: &Decision) -> Result<(), String> {
    let cause = decision.cause;
    let log = logs.get(cause.partition.0 as usize).ok_or("caused nowhere")?;
    let title = title_of(&decision.payload);
    if title.as_deref().is_some_and(|title| !history.between(cause.offset, offset).any(|known| known == title)) {
        return Err("made by what was never in force since it was asked".into());
    }
    let name = match log.get(cause.offset as usize).map(|(_, record)| record) {
        Some(Record::Event(event)) => Some(&event.name),
        Some(Record::Forward(forward)) => Some(&forward.event.name),
        // It waited for its decision elsewhere when its shopper moved.
        Some(Record::Handoff(_)) => return Ok(()),
        _ => None,
    };
    let asked = history.at(cause.offset).and_then(rule_of).ok_or("nothing was in force where it was asked")?;
    let is_set_off = match asked.trigger {
        Trigger::Event(wanted) => !decision.by_silence && name.map(EventName::as_str) == Some(wanted),
        Trigger::Idle(_) => decision.by_silence,
    };
    if !is_set_off {
        return Err(format!("set off by {name:?}, though {asked:?} was in force"));
    }
    Ok(())
}
