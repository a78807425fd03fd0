//! Changes of definitions, planned: from what is in force and what is asked for to the edits, and to the records of one
//! unit. Nothing is read or written here.

use bytes::Bytes;
use midsession_event::{
    CodecError, Definition, DefinitionChange, DefinitionEdit, EditKind, PartitionId, Record, Str, Topic, encode,
};
use midsession_machine::{Defined, Kind, Known, PROFILES, Version};
use midsession_ports::{Append, Unit};
use serde_json::json;
use std::collections::BTreeSet;

use crate::sources::filed_hash;
pub use midsession_feature::{features_in, tables_in};

/// Versions of one name that wait at the same time.
pub const PENDING_MAX: usize = 8;
/// Names that were ever defined.
pub const NAMES_MAX: usize = 2_000;
/// One definition as TOML. Bytes.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Why nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplanned {
    /// No such definition.
    Unknown(String),
    /// There are too many already.
    TooMany(String),
}

/// What a change would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The edits; none where all is as asked already.
    pub edits: Vec<DefinitionEdit>,
    /// The versions that it is about.
    pub versions: Vec<(Kind, Str, i64)>,
    /// What is to be said of it.
    pub said: Vec<String>,
}

/// New versions of these (name and text): live at once where there is none of that name yet, else beside the live one. What
/// is there already, in the same words, is not put again: a sender that is not sure may ask twice.
///
/// # Errors
/// There are too many.
pub fn put(defined: &Defined, written: &[(Kind, Str, Str)]) -> Result<Plan, Unplanned> {
    let mut plan = Plan::default();
    let known_names = defined.features.len();
    let mut names = 0;
    for (kind, name, text) in written {
        let known = defined.of(*kind, name);
        if let Some(same) = known.and_then(|known| same_words(known, text)) {
            plan.versions.push((*kind, name.clone(), same.version));
            continue;
        }
        names += usize::from(known.is_none());
        if known_names + names > NAMES_MAX {
            return Err(Unplanned::TooMany(format!("there are {known_names} names already, at most {NAMES_MAX}")));
        }
        if known.is_some_and(|known| known.versions.iter().filter(|version| !version.is_live).count() >= PENDING_MAX) {
            let what = format!("{PENDING_MAX} versions of `{name}` wait already: promote one of them, or remove some");
            return Err(Unplanned::TooMany(what));
        }
        let (live, version) = (known.and_then(Known::live), known.map_or(1, |known| known.last + 1));
        let file = live.map(|live| live.file.clone()).unwrap_or_default();
        plan.put(*kind, name, version, text, file);
        if live.is_none() {
            plan.edits.push(edit(*kind, EditKind::Promote, name, version));
        }
    }
    Ok(plan)
}

/// The version in these words; of several the live one, else the newest.
fn same_words<'d>(known: &'d Known, text: &str) -> Option<&'d Version> {
    known.versions.iter().filter(|version| version.text == text).max_by_key(|known| (known.is_live, known.version))
}

/// The interventions whose live version ends with a change: what it showed is not shown any more.
pub fn ended(before: &Defined, change: &DefinitionChange) -> Vec<Str> {
    let ends = |edit: &&DefinitionEdit| {
        let live = before.of(Kind::Intervention, &edit.name).and_then(Known::live);
        edit.kind == Kind::Intervention.name()
            && live.is_some_and(|live| match edit.what {
                EditKind::Promote => true,
                EditKind::Remove => [0, live.version].contains(&edit.version),
                EditKind::Put | EditKind::Filed | EditKind::Filled => false,
            })
    };
    change.edits.iter().filter(ends).map(|edit| edit.name.clone()).collect()
}

impl Plan {
    fn put(&mut self, kind: Kind, name: &Str, version: i64, text: &Str, file: Str) {
        let edit = edit(kind, EditKind::Put, name, version);
        self.edits.push(DefinitionEdit { text: text.clone(), file, ..edit });
        self.versions.push((kind, name.clone(), version));
    }
}

fn edit(kind: Kind, what: EditKind, name: &str, version: i64) -> DefinitionEdit {
    DefinitionEdit::of(kind.name(), what, name, version)
}

/// A version that waits becomes the live one: the newest, unless one is named.
///
/// # Errors
/// There is none.
pub fn promote(defined: &Defined, kind: Kind, name: &str, version: Option<i64>) -> Result<Plan, Unplanned> {
    let known = named(defined, kind, name)?;
    let found = match version {
        Some(version) => known.versions.iter().find(|known| known.version == version),
        None => known.versions.last(),
    };
    let Some(found) = found else { return Err(no_version(known, version)) };
    let edits = if found.is_live { Vec::new() } else { vec![edit(kind, EditKind::Promote, name, found.version)] };
    Ok(Plan { edits, versions: vec![(kind, name.into(), found.version)], said: Vec::new() })
}

/// A version goes, or all of them.
///
/// # Errors
/// There is none.
pub fn remove(defined: &Defined, kind: Kind, name: &str, version: Option<i64>) -> Result<Plan, Unplanned> {
    let known = named(defined, kind, name)?;
    let has = |version: i64| known.versions.iter().any(|known| known.version == version);
    if known.versions.is_empty() || version.is_some_and(|version| !has(version)) {
        return Err(no_version(known, version));
    }
    let edits = vec![edit(kind, EditKind::Remove, name, version.unwrap_or(0))];
    Ok(Plan { edits, ..Plan::default() })
}

fn named<'d>(defined: &'d Defined, kind: Kind, name: &str) -> Result<&'d Known, Unplanned> {
    defined.of(kind, name).ok_or_else(|| Unplanned::Unknown(format!("no {} `{name}` is defined", kind.name())))
}

fn no_version(known: &Known, version: Option<i64>) -> Unplanned {
    let there: Vec<String> = known.versions.iter().map(|version| version.version.to_string()).collect();
    let there = if there.is_empty() { "it has been removed".into() } else { format!("there is {}", there.join(", ")) };
    let which = version.map_or("no version".to_owned(), |version| format!("no version {version}"));
    Unplanned::Unknown(format!("`{}` has {which}: {there}", known.name))
}

/// What a start owes to files that were edited since the last one: whoever edits a file and starts again means it. What was
/// put while running stays where the file says nothing new.
pub fn taken_up(defined: &Defined, filed: &Defined, label: impl Fn(&str) -> Str) -> Plan {
    let mut plan = Plan::default();
    for written in &filed.features {
        let Some(own) = written.live() else { continue };
        let (kind, name, file) = (written.kind, &written.name, label(&own.file));
        let of = kind.name();
        let known = defined.of(kind, name);
        let live = known.and_then(Known::live);
        let is_live = live.is_some_and(|live| live.text == own.text);
        if known.is_some_and(|known| known.filed == written.filed) {
            match live {
                Some(live) if !is_live => plan.said.push(format!(
                    "{of} `{name}`: version {}, put while running, goes before the one in {file}",
                    live.version
                )),
                None => plan.said.push(format!("{of} `{name}`: removed while running, though {file} has it")),
                Some(_) => {}
            }
            continue;
        }
        if !is_live {
            let version = match known.and_then(|known| same_words(known, &own.text)) {
                Some(waits) => waits.version,
                None => {
                    let version = known.map_or(1, |known| known.last + 1);
                    plan.put(kind, name, version, &own.text, own.file.clone());
                    version
                }
            };
            plan.edits.push(edit(kind, EditKind::Promote, name, version));
            let what = if live.is_some() { "another one than before" } else { "new" };
            // In a folder that an earlier version began they have been in force all along.
            if kind == Kind::Feature || defined.has_rules {
                plan.said.push(format!("{of} `{name}` in {file} is {what}: version {version}, live from now on"));
            }
        }
        let edit = edit(kind, EditKind::Filed, name, 0);
        plan.edits.push(DefinitionEdit { filed: written.filed, ..edit });
    }
    for known in defined.features.iter().filter(|known| known.filed != 0 && filed.of(known.kind, &known.name).is_none())
    {
        let (kind, name, of) = (known.kind, &known.name, known.kind.name());
        plan.edits.push(edit(kind, EditKind::Filed, name, 0));
        match known.live() {
            Some(live) if filed_hash(&live.text) == known.filed => {
                // With what waited to take its place.
                plan.edits.push(edit(kind, EditKind::Remove, name, 0));
                plan.said.push(format!("{of} `{name}` is in no file any more: it is gone"));
            }
            Some(live) => {
                let version = live.version;
                plan.said.push(format!("{of} `{name}` is in no file: version {version}, put while running, stays"));
            }
            None => {}
        }
    }
    // Folders of earlier versions say nothing of them: there they have written all along.
    if filed.apart.is_some() && filed.apart.as_deref() != Some(defined.apart.as_deref().unwrap_or_default()) {
        let slots = filed.apart.iter().flatten().map(|slot| i64::from(*slot)).collect();
        let edit = DefinitionEdit::of(PROFILES, EditKind::Filed, "", 0);
        plan.edits.push(DefinitionEdit { added: slots, ..edit });
        if defined.apart.is_some() {
            plan.said.push("further profiles are others than before: what is new in them counts from now on, and the past is counted in".into());
        }
    }
    plan
}

/// One unit with everything that a change is: the same record in every partition, and what the topic `definition` says of
/// it. It becomes durable whole or not at all.
///
/// # Errors
/// Never: what is planned fits its schema.
pub fn unit(change: &DefinitionChange, before: &Defined, after: &Defined, partitions: u32) -> Result<Unit, CodecError> {
    let value = Bytes::from(Record::Definition(Box::new(change.clone())).encode()?);
    let append = |topic, partition, key: Bytes, value| Append { topic, partition, key, value };
    let mut records: Vec<Append> = (0..partitions)
        .map(|partition| {
            append(Topic::Behavior, PartitionId(partition), Bytes::from_static(b"definition"), Some(value.clone()))
        })
        .collect();
    let names: BTreeSet<(Kind, &Str)> =
        change.edits.iter().filter_map(|edit| Some((Kind::parse(&edit.kind)?, &edit.name))).collect();
    for (kind, name) in names {
        let served = |defined: &Defined| -> BTreeSet<Str> {
            let known = defined.of(kind, name);
            known.into_iter().flat_map(|known| known.versions.iter().map(|version| known.served(version))).collect()
        };
        let key = |served: &str| Bytes::from(format!("{}/{served}", kind.name()));
        let gone = &served(before) - &served(after);
        records.extend(gone.iter().map(|gone| append(Topic::Definition, PartitionId(0), key(gone), None)));
        for record in told(after, kind, name, change.at_ms) {
            let value = Some(Bytes::from(encode(&record)?));
            records.push(append(Topic::Definition, PartitionId(0), key(&record.name), value));
        }
    }
    Ok(Unit { records, positions: Vec::new() })
}

/// What the topic `definition` says of a name: a record for each of its versions.
pub(super) fn told(defined: &Defined, kind: Kind, name: &str, at_ms: i64) -> Vec<Definition> {
    let Some(known) = defined.of(kind, name) else { return Vec::new() };
    let body = |version: &Version| {
        json!({
            "version": version.version, "state": state(version), "text": version.text, "file": version.file,
            "revision": defined.revision,
        })
    };
    let record = |version| Definition {
        kind: kind.name().into(),
        name: known.served(version),
        body: body(version).to_string().into(),
        at_ms,
    };
    known.versions.iter().map(record).collect()
}

pub(super) fn state(version: &Version) -> &'static str {
    if version.is_live { "live" } else { "pending" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, text: &str) -> (Kind, Str, Str) {
        (Kind::Feature, name.into(), text.into())
    }

    fn defined(features: &[(&str, &str)]) -> Defined {
        Defined::initial(
            features.iter().map(|(name, text)| ((*name).into(), (*text).into(), "f".into(), filed_hash(text))),
        )
    }

    fn after(before: &Defined, plan: &Plan) -> Defined {
        let mut next = before.clone();
        next.apply(&DefinitionChange { revision: before.revision + 1, at_ms: 0, edits: plan.edits.clone() }, 5);
        next
    }

    fn served(defined: &Defined) -> Vec<String> {
        defined.served().map(|(known, version)| format!("{} {}", known.served(version), version.text)).collect()
    }

    fn label(file: &str) -> Str {
        file.into()
    }

    #[test]
    fn what_is_new_is_live_and_what_is_changed_waits() {
        let begun = defined(&[("a", "1")]);
        let plan = put(&begun, &[feature("a", "2"), feature("b", "1")]).expect("fits");
        let now = after(&begun, &plan);
        assert_eq!(served(&now), ["a 1", "b 1", "a@2 2"]);
        let again = put(&now, &[feature("a", "2")]).expect("fits");
        assert_eq!(
            (again.edits.len(), again.versions),
            (0, vec![(Kind::Feature, "a".into(), 2)]),
            "asked twice, put once"
        );
        let third = after(&now, &put(&now, &[feature("a", "3")]).expect("fits"));
        for (text, version) in [("1", 1), ("2", 2), ("3", 3)] {
            let again = put(&third, &[feature("a", text)]).expect("fits");
            assert_eq!((again.edits.len(), again.versions[0].2), (0, version), "in the same words, whichever it is");
        }
        let now = after(&now, &promote(&now, Kind::Feature, "a", None).expect("waits"));
        assert_eq!(served(&now), ["a 2", "b 1"]);
        assert_eq!(promote(&now, Kind::Feature, "a", None).expect("is live").edits, []);
        assert!(
            matches!(promote(&now, Kind::Feature, "a", Some(1)), Err(Unplanned::Unknown(what)) if what.contains("there is 2"))
        );
        let gone = after(&now, &remove(&now, Kind::Feature, "a", None).expect("is there"));
        assert_eq!(served(&gone), ["b 1"]);
        assert!(remove(&gone, Kind::Feature, "a", None).is_err() && remove(&gone, Kind::Feature, "c", None).is_err());
        let back = after(&gone, &put(&gone, &[feature("a", "1")]).expect("fits"));
        assert_eq!(back.feature("a").map(|a| a.versions[0].version), Some(3), "a number is not given out twice");
    }

    #[test]
    fn an_edited_file_is_taken_up_and_an_old_one_is_not() {
        let file = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        let mut now = defined(&file);
        assert_eq!(taken_up(&now, &defined(&file), label), Plan::default());
        // While running: b is changed, c removed.
        now = after(&now, &put(&now, &[feature("b", "2")]).expect("fits"));
        now = after(&now, &promote(&now, Kind::Feature, "b", None).expect("waits"));
        now = after(&now, &remove(&now, Kind::Feature, "c", None).expect("is there"));
        let plan = taken_up(&now, &defined(&file), label);
        assert_eq!((plan.edits.len(), plan.said.len()), (0, 2), "{:?}", plan.said);
        // The file is edited: a another one, d gone, e new; b as it was put while running.
        let edited = [("a", "7"), ("b", "2"), ("c", "1"), ("e", "1")];
        let plan = taken_up(&now, &defined(&edited), label);
        now = after(&now, &plan);
        assert_eq!(served(&now), ["a 7", "b 2", "e 1"], "{:?}", plan.said);
        let plan = taken_up(&now, &defined(&edited), label);
        assert_eq!((plan.edits.len(), plan.said.len()), (0, 1), "taken up once; c stays removed: {:?}", plan.said);
        // b is taken out of the file: what is live is what the file said last.
        now = after(&now, &taken_up(&now, &defined(&[("a", "7"), ("e", "1")]), label));
        assert_eq!(served(&now), ["a 7", "e 1"]);
        // What waits is what the file says then; what waits for a name that no file has any more goes with it.
        now = after(&now, &put(&now, &[feature("a", "8"), feature("e", "2")]).expect("fits"));
        assert_eq!(served(&now), ["a 7", "e 1", "a@3 8", "e@2 2"]);
        now = after(&now, &taken_up(&now, &defined(&[("a", "8")]), label));
        assert_eq!(served(&now), ["a 8"]);
    }

    #[test]
    fn a_unit_has_a_record_for_every_partition_and_for_the_topic() {
        let begun = defined(&[("a", "1")]);
        let mut waits = begun.clone();
        let change = |edits, revision| DefinitionChange { revision, at_ms: 9, edits };
        let put = change(put(&begun, &[feature("a", "2")]).expect("fits").edits, 1);
        waits.apply(&put, 5);
        let keys = |unit: &Unit| -> Vec<String> {
            let told = unit.records.iter().filter(|record| record.topic == Topic::Definition);
            told.map(|record| format!("{} {}", String::from_utf8_lossy(&record.key), record.value.is_some())).collect()
        };
        let unit_of_put = unit(&put, &begun, &waits, 3).expect("encodes");
        assert_eq!(unit_of_put.records.iter().filter(|record| record.topic == Topic::Behavior).count(), 3);
        assert_eq!(keys(&unit_of_put), ["feature/a true", "feature/a@2 true"]);
        let promoted = change(promote(&waits, Kind::Feature, "a", None).expect("waits").edits, 2);
        let mut live = waits.clone();
        live.apply(&promoted, 6);
        let unit_of_promote = unit(&promoted, &waits, &live, 3).expect("encodes");
        assert_eq!(keys(&unit_of_promote), ["feature/a@2 false", "feature/a true"]);
    }

    #[test]
    fn an_intervention_goes_its_own_way_beside_a_feature_of_its_name() {
        let file = |texts: &[(&str, &str)]| {
            let rows = texts.iter().map(|(name, text)| ((*name).into(), (*text).into(), "f".into(), filed_hash(text)));
            defined(&[("a", "1")]).with(Kind::Intervention, rows)
        };
        let begun = file(&[("a", "r1")]);
        let rules = |defined: &Defined| -> Vec<String> {
            let rules = defined.versions(Kind::Intervention);
            rules.map(|(known, version)| format!("{} {}", known.served(version), version.text)).collect()
        };
        let written = (Kind::Intervention, Str::from("a"), Str::from("r2"));
        let plan = put(&begun, &[written]).expect("fits");
        assert_eq!((plan.edits.len(), plan.edits[0].kind.as_str()), (1, "intervention"));
        let waits = after(&begun, &plan);
        assert_eq!((rules(&waits), served(&waits)), (vec!["a r1".into(), "a@2 r2".into()], vec!["a 1".into()]));
        let live = after(&waits, &promote(&waits, Kind::Intervention, "a", None).expect("waits"));
        assert_eq!((rules(&live), served(&live)), (vec!["a r2".into()], vec!["a 1".into()]));
        assert_eq!(taken_up(&live, &begun, label).said.len(), 1, "the file has another one, and nobody has edited it");
        let unit = unit(
            &DefinitionChange {
                revision: 9,
                at_ms: 0,
                edits: remove(&live, Kind::Intervention, "a", None).expect("there").edits,
            },
            &live,
            &after(&live, &remove(&live, Kind::Intervention, "a", None).expect("there")),
            1,
        );
        let keys: Vec<_> = unit.expect("encodes").records.iter().map(|record| record.key.clone()).collect();
        assert_eq!(keys, [Bytes::from_static(b"definition"), Bytes::from_static(b"intervention/a")]);
        // Begun by an earlier version, whose files alone said what interventions there are.
        let old = defined(&[("a", "1")]);
        let plan = taken_up(&old, &begun, label);
        assert_eq!((plan.said.len(), rules(&after(&old, &plan))), (0, vec!["a r1".to_owned()]), "nothing is new");
    }
}
