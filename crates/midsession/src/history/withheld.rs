//! Leaves out of a visit's way what it tells of somebody who has withdrawn since: it may have passed through their hands.

use midsession_event::ShopperId;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Everybody that a timeline names: whose a visit was, and whom its device was taken for.
pub fn people(timeline: &Value) -> BTreeSet<ShopperId> {
    let entries = timeline["timeline"].as_array().into_iter().flatten();
    entries
        .flat_map(|entry| {
            shopper_of(entry).into_iter().chain(user_in(&entry["handoff"])).chain(user_in(&entry["event"]))
        })
        .collect()
}

/// Takes out what is of these people: whose an entry was, whom it names, their features, and what was decided about them.
pub fn withhold(timeline: &mut Value, withdrawn: &BTreeSet<ShopperId>) {
    let mut is_before_theirs = false;
    for entry in timeline["timeline"].as_array_mut().into_iter().flatten() {
        let is_theirs = shopper_of(entry).is_some_and(|shopper| withdrawn.contains(&shopper));
        for field in ["event", "handoff"] {
            let user = user_in(&entry[field]).filter(|user| withdrawn.contains(user));
            if let Some(user) = user {
                entry[field]["user_id"] = Value::Null;
                if entry["summary"].as_str().is_some_and(|text| text.contains(user.as_str())) {
                    entry["summary"] = "of somebody who has withdrawn".into();
                }
            }
        }
        if is_theirs || is_before_theirs {
            (entry["before"], entry["changed"]) = (json!({}), json!([]));
        }
        if is_theirs {
            (entry["features"], entry["shopper"]) = (json!({}), Value::Null);
            if let Some(fields) = entry.as_object_mut() {
                fields.remove("decision");
            }
        }
        is_before_theirs = is_theirs;
    }
}

fn shopper_of(entry: &Value) -> Option<ShopperId> {
    entry["shopper"].as_str()?.parse().ok()
}

fn user_in(detail: &Value) -> Option<ShopperId> {
    Some(ShopperId::User(detail["user_id"].as_str()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_who_has_withdrawn_is_left() {
        let mut timeline = json!({"timeline": [
            {"shopper": "visitor:v", "features": {"a": 1}, "before": {}, "changed": ["a"], "event": {"user_id": null}},
            {"shopper": "user:w", "features": {"a": 9}, "before": {"a": 1}, "changed": ["a"],
             "handoff": {"user_id": "w"}, "summary": "known as w from here on"},
            {"shopper": "user:w", "features": {"a": 9}, "before": {}, "changed": [], "decision": {"shopper": "user:w"}},
            {"shopper": "visitor:v", "features": {"a": 2}, "before": {"a": 9}, "changed": ["a"], "event": {"user_id": "w"}},
            {"shopper": "visitor:v", "features": {"a": 3}, "before": {"a": 2}, "changed": ["a"]},
        ]});
        let everybody: BTreeSet<ShopperId> = ["visitor:v", "user:w"].iter().filter_map(|id| id.parse().ok()).collect();
        assert_eq!(people(&timeline), everybody);
        withhold(&mut timeline, &[ShopperId::User("w".into())].into());
        let text = timeline.to_string();
        assert!(
            !text.contains("\"w\"") && !text.contains(":w") && !text.contains(" w ") && !text.contains('9'),
            "{text}"
        );
        let last = &timeline["timeline"][4];
        assert_eq!((&last["before"], &last["features"]), (&json!({"a": 2}), &json!({"a": 3})));
    }
}
