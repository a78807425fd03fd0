//! Where the facts of the past are looked for.

use super::*;
use crate::config::Config;
use midsession_event::{EventName, OutputId};
use std::path::Path;

fn fill() -> Fill {
    let config = Config::parse("", Path::new("fill.toml")).expect("a configuration");
    Fill {
        assembly: Arc::new(Assembly::load(&config, true).expect("definitions")),
        name: "f".into(),
        version: 1,
        slots: Vec::new(),
        since_ms: 0,
        partitions: 2,
        begins_ms: None,
        homes: Homes::new(),
        logins: vec![0; 2],
        returned: BTreeSet::new(),
        ahead: BTreeSet::new(),
        sent_on: BTreeSet::new(),
        late: None,
        stage: Stage::Settle,
        past: None,
        read: 0,
        total: 0,
    }
}

fn handoff(partition: u32, offset: i64, user: &str, returns: bool) -> Handoff {
    Handoff {
        id: OutputId { partition: PartitionId(partition), offset, ordinal: 0 },
        visitor_id: "v1".into(),
        user_id: user.into(),
        sessions: Vec::new(),
        facts: Vec::new(),
        caps: Vec::new(),
        pending: Vec::new(),
        shown: Vec::new(),
        lifetimes: None,
        returns,
        left: false,
    }
}

fn homes(fill: &Fill, offset: i64) -> Vec<String> {
    let mut event = Event::new("shop".into(), "e".into(), EventName::PageView, 0);
    event.visitor_id = Some("v1".into());
    let homes = fill.homes_of(&event, offset).into_iter();
    homes.map(|user| user.map_or("visitor".into(), |user| user.as_str().to_owned())).collect()
}

#[test]
fn a_repeat_of_what_came_before_it_occurred_is_nobody_elses() {
    let event = |id: &str| Event::new("shop".into(), id.into(), EventName::PageView, 10);
    let mut fill = fill();
    let came = [("e1", 11), ("e1", 12), ("e2", 9), ("e2", 9), ("e2", 11), ("e1", 13)];
    let repeats: Vec<_> = came.iter().map(|(id, stamp_ms)| fill.repeats(&event(id), *stamp_ms)).collect();
    // Any other stands at the time of the first one, where it is known by its mark.
    assert_eq!(repeats, [false, false, false, true, true, false]);
}

#[test]
fn facts_are_looked_for_where_logins_took_them() {
    let mut fill = fill();
    fill.moved(&handoff(0, 3, "u1", false));
    fill.moved(&handoff(0, 9, "u2", false));
    assert_eq!(homes(&fill, 1), ["u1", "visitor"]);
    assert_eq!(homes(&fill, 3), ["u2", "visitor"]);
    assert_eq!(homes(&fill, 9), ["visitor"]);
    fill.late = Some(Late::default());
    fill.moved(&handoff(0, 9, "u2", false));
    assert!(fill.late.as_ref().is_some_and(Late::is_empty) && homes(&fill, 1).is_empty(), "known before");
    fill.moved(&handoff(0, 12, "u1", false));
    assert_eq!((homes(&fill, 10), homes(&fill, 1)), (vec!["u1".to_owned()], Vec::new()), "only who came meanwhile");
}

#[test]
fn facts_of_a_merge_that_was_undone_are_looked_for_wherever_they_may_have_gone_since() {
    let mut fill = fill();
    fill.moved(&handoff(0, 3, "u1", false));
    // Its place is in the user's partition: it is no login at offset 2.
    fill.moved(&handoff(1, 2, "u1", true));
    fill.moved(&handoff(0, 9, "u2", false));
    assert_eq!(homes(&fill, 1), ["u1", "u2", "visitor"]);
    assert_eq!(homes(&fill, 5), ["u2", "visitor"]);
    fill.late = Some(Late::default());
    assert!(homes(&fill, 1).is_empty());
    fill.moved(&handoff(1, 7, "u2", true));
    assert_eq!(homes(&fill, 5), ["u2", "visitor"], "they went back while new ones were on the way");
}

#[test]
fn what_a_window_by_a_field_begins_with_must_be_there_too() {
    const MINUTE_MS: i64 = 60_000;
    let since_ms = 1_700_000_000_000;
    let said = |lost_ms: i64, is_by_field: bool| {
        let mut fill = Fill { since_ms, begins_ms: Some(since_ms - FACTS_KEPT_MS + lost_ms), ..fill() };
        fill.past = is_by_field.then(|| Past::new(Arc::clone(&fill.assembly), vec![(1, since_ms)], None, 2));
        match fill.done() {
            Next::Done(edit) => edit.since_ms - (since_ms - FACTS_KEPT_MS),
            _ => 0,
        }
    };
    let whole = -(since_ms - FACTS_KEPT_MS);
    assert_eq!((said(1, false), said(1, true)), (1, 1));
    // A step of a day's window is 24 minutes: this one begins 13 minutes before the day.
    assert_eq!((said(-MINUTE_MS, false), said(-MINUTE_MS, true)), (whole, -MINUTE_MS));
    assert_eq!((said(-25 * MINUTE_MS, false), said(-25 * MINUTE_MS, true)), (whole, whole));
}
