//! Definitions as the API, the console and the command line show them.

use super::plan::state;
use crate::assemble::Assembly;
use midsession_event::EditKind;
use midsession_feature::{LookBack, Made};
use midsession_machine::{Defined, Known, Version, since_of};
use serde_json::{Value, json};

/// Every version of every name: what is live in the order of definition, then what waits.
pub(super) fn all(defined: &Defined, assembly: &Assembly) -> Vec<Value> {
    defined.served().map(|(known, version)| row(defined, assembly, known, version)).collect()
}

/// The versions of one name.
pub(super) fn of(defined: &Defined, assembly: &Assembly, name: &str) -> Vec<Value> {
    let known = defined.feature(name);
    let versions = known.into_iter().flat_map(|known| known.versions.iter().map(move |version| (known, version)));
    versions.map(|(known, version)| row(defined, assembly, known, version)).collect()
}

fn row(defined: &Defined, assembly: &Assembly, known: &Known, version: &Version) -> Value {
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
        // By a field it is added up, and the past is not read again for that.
        _ if !made.derived.is_empty() => "until_backfilled",
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
