//! Definitions as the API, the console and the command line show them.

use super::plan::state;
use crate::assemble::Assembly;
use midsession_event::EditKind;
use midsession_feature::{LookBack, Made};
use midsession_machine::{Defined, Kind, Known, Version, since_of};
use serde_json::{Value, json};

/// Every version of every name: what is live in the order of definition, then what waits.
pub(super) fn all(defined: &Defined, assembly: &Assembly) -> Vec<Value> {
    let all = [Kind::Feature, Kind::Intervention].into_iter().flat_map(|kind| defined.versions(kind));
    all.map(|(known, version)| row(defined, assembly, known, version)).collect()
}

/// The versions of one name.
pub(super) fn of(defined: &Defined, assembly: &Assembly, kind: Kind, name: &str) -> Vec<Value> {
    let known = defined.of(kind, name);
    let versions = known.into_iter().flat_map(|known| known.versions.iter().map(move |version| (known, version)));
    versions.map(|(known, version)| row(defined, assembly, known, version)).collect()
}

fn row(defined: &Defined, assembly: &Assembly, known: &Known, version: &Version) -> Value {
    let mut row = as_meant(defined, assembly, known, version);
    if let Some(fault) = assembly.left_out(known, version) {
        // In force by the log, and asked of nobody: something that it reads has gone.
        (row["state"], row["fault"]) = ("broken".into(), json!(fault));
    }
    row
}

fn as_meant(defined: &Defined, assembly: &Assembly, known: &Known, version: &Version) -> Value {
    if known.kind == Kind::Intervention {
        let words = assembly.rule(&known.name).filter(|_| version.is_live).map(|rule| rule.in_words());
        return json!({
            "kind": known.kind.name(), "name": known.name, "version": version.version, "state": state(version),
            "words": words, "put_at_ms": (version.put_ms > 0).then_some(version.put_ms), "text": version.text,
        });
    }
    let made = assembly.made(&known.served(version));
    let served: Vec<Value> =
        made.iter().flat_map(|made| &made.served).map(|(key, name)| json!({"key": key, "name": name})).collect();
    let since_ms = made.iter().flat_map(|made| &made.slots).filter_map(|slot| since_of(&defined.since, *slot)).max();
    let whole_at_ms = since_ms.and_then(|since_ms| Some(since_ms + made.as_ref()?.longest_ms?));
    json!({
        "kind": "feature", "name": known.name, "version": version.version, "state": state(version), "served": served,
        "looks_back": made.as_ref().map(look_back),
        "since_ms": since_ms, "whole_at_ms": whole_at_ms, "put_at_ms": (version.put_ms > 0).then_some(version.put_ms),
        "text": version.text,
    })
}

/// From when on a definition counts, as the API says it.
fn look_back(made: &Made) -> &'static str {
    match made.looks_back {
        LookBack::Exactly => "exactly",
        _ if !made.derived.is_empty() || !made.by_field.is_empty() => "until_backfilled",
        LookBack::FromNow => "from_now",
        LookBack::FirstSeen => "from_first_event",
    }
}

pub(super) fn what(what: EditKind) -> &'static str {
    match what {
        EditKind::Put => "put",
        EditKind::Promote => "promote",
        EditKind::Remove => "remove",
        EditKind::Filed => "filed",
        EditKind::Filled => "filled",
    }
}
