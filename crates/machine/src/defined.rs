//! The definitions that a partition's log has put in force so far, as they were written: versions side by side, the live
//! one and those that wait.

use midsession_event::{DefinitionChange, DefinitionEdit, EditKind, Str};
use serde::{Deserialize, Serialize};

/// What is in force as of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defined {
    /// The last change applied; 0 is what there was before any.
    pub revision: i64,
    /// Features and interventions by name, in the order of definition.
    pub features: Vec<Known>,
    /// Interventions are among them: not before the first change in folders that earlier versions began.
    #[serde(default)]
    pub has_rules: bool,
    /// Since when what is written for definitions has been written, by slot, ascending; what is not in it always was.
    /// Epoch ms.
    pub since: Vec<(u32, i64)>,
    /// The slots of further profiles, whose files have no versions; none: it has not been said which they are.
    #[serde(default)]
    pub apart: Option<Vec<u32>>,
}

/// What changes further profiles in a record, as `kind` of its edits: they are known by their slots alone.
pub const PROFILES: &str = "profiles";

/// What a definition is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A feature.
    #[default]
    Feature,
    /// An intervention.
    Intervention,
}

impl Kind {
    /// As records, keys and paths have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Intervention => "intervention",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Feature, Self::Intervention].into_iter().find(|kind| kind.name() == name)
    }
}

/// All that is known of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// The name.
    pub name: Str,
    /// The last version given out.
    pub last: i64,
    /// Hash of what the file said when it was last looked at; 0: nothing.
    pub filed: i64,
    /// The live one, if there is one, then those that wait, the oldest first.
    pub versions: Vec<Version>,
}

/// One version of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1.
    pub version: i64,
    /// It answers to the bare name.
    pub is_live: bool,
    /// What it says, as TOML.
    pub text: Str,
    /// The file that it came from.
    pub file: Str,
    /// Stamp of the record that put it; 0: it was there before any. Epoch ms.
    pub put_ms: i64,
}

impl Known {
    /// The live version.
    pub fn live(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.is_live)
    }

    /// What a version answers to.
    pub fn served(&self, version: &Version) -> Str {
        if version.is_live { self.name.clone() } else { format!("{}@{}", self.name, version.version).into() }
    }
}

impl Defined {
    /// What there is before any change: each a name, what it says, and the file that says it.
    pub fn initial(features: impl IntoIterator<Item = (Str, Str, Str, i64)>) -> Self {
        Self::default().with(Kind::Feature, features)
    }

    /// Likewise, with these beside.
    #[must_use]
    pub fn with(mut self, kind: Kind, texts: impl IntoIterator<Item = (Str, Str, Str, i64)>) -> Self {
        self.has_rules |= kind == Kind::Intervention;
        self.features.extend(texts.into_iter().map(|(name, text, file, filed)| {
            let version = Version { version: 1, is_live: true, text, file, put_ms: 0 };
            Known { kind, name, last: 1, filed, versions: vec![version] }
        }));
        self
    }

    /// As it stands in a snapshot; none before any change.
    ///
    /// # Errors
    /// Never: it is plain text and numbers.
    pub fn pack(&self) -> Result<Option<String>, serde_json::Error> {
        (self.revision > 0).then(|| serde_json::to_string(self)).transpose()
    }

    /// As it stood in a snapshot.
    ///
    /// # Errors
    /// It is something else.
    pub fn unpack(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// What is known of a feature.
    pub fn feature(&self, name: &str) -> Option<&Known> {
        self.of(Kind::Feature, name)
    }

    /// What is known of a name.
    pub fn of(&self, kind: Kind, name: &str) -> Option<&Known> {
        self.features.iter().find(|known| known.kind == kind && known.name == name)
    }

    /// Every feature that is served: what is live, in the order of definition, then what waits.
    pub fn served(&self) -> impl Iterator<Item = (&Known, &Version)> {
        self.versions(Kind::Feature)
    }

    /// Likewise of any kind.
    pub fn versions(&self, kind: Kind) -> impl Iterator<Item = (&Known, &Version)> {
        let of = move |is_live: bool| {
            let features = self.features.iter().filter(move |known| known.kind == kind);
            features
                .flat_map(|known| known.versions.iter().map(move |version| (known, version)))
                .filter(move |(_, version)| version.is_live == is_live)
        };
        of(true).chain(of(false))
    }

    /// Takes a change at a record of this stamp. A version that is not there is nothing to promote or to remove.
    pub fn apply(&mut self, change: &DefinitionChange, stamp_ms: i64) {
        self.revision = change.revision;
        for edit in &change.edits {
            if let Some(kind) = Kind::parse(&edit.kind) {
                self.has_rules |= kind == Kind::Intervention;
                self.edit(kind, edit, stamp_ms);
            } else if edit.kind == PROFILES && edit.what == EditKind::Filed {
                self.file_apart(edit.slots(), stamp_ms);
            }
        }
    }

    /// Further profiles write under these slots from now on. Where it had not been said which they are, they always did.
    fn file_apart(&mut self, slots: Vec<u32>, stamp_ms: i64) {
        if let Some(before) = &self.apart {
            let is_new = |slot: &&u32| !before.contains(slot) && since_of(&self.since, **slot).is_none();
            let new: Vec<(u32, i64)> = slots.iter().filter(is_new).map(|slot| (*slot, stamp_ms)).collect();
            self.since.extend(new);
            self.since.sort_unstable();
        }
        self.apart = Some(slots);
    }

    fn edit(&mut self, kind: Kind, edit: &DefinitionEdit, stamp_ms: i64) {
        let at = match self.features.iter().position(|known| known.kind == kind && known.name == edit.name) {
            Some(at) => at,
            None if matches!(edit.what, EditKind::Put | EditKind::Filed) => {
                self.features.push(Known { kind, name: edit.name.clone(), ..Known::default() });
                self.features.len() - 1
            }
            None => return,
        };
        let known = &mut self.features[at];
        match edit.what {
            EditKind::Put => {
                known.last = known.last.max(edit.version);
                known.versions.push(Version {
                    version: edit.version,
                    is_live: false,
                    text: edit.text.clone(),
                    file: edit.file.clone(),
                    put_ms: stamp_ms,
                });
            }
            EditKind::Promote => {
                let Some(at) = known.versions.iter().position(|version| version.version == edit.version) else {
                    return;
                };
                let promoted = Version { is_live: true, ..known.versions.remove(at) };
                known.versions.retain(|version| !version.is_live);
                known.versions.insert(0, promoted);
            }
            EditKind::Remove => known.versions.retain(|version| edit.version != 0 && version.version != edit.version),
            EditKind::Filed => known.filed = edit.filed,
            EditKind::Filled => {}
        }
    }

    /// What is written changes from these slots to those: who is new counts from now on.
    pub fn wrote(&mut self, before: &[u32], after: &[u32], stamp_ms: i64) {
        self.since.retain(|(slot, _)| after.contains(slot));
        self.since.extend(after.iter().filter(|slot| !before.contains(slot)).map(|slot| (*slot, stamp_ms)));
        self.since.sort_unstable();
        self.since.dedup_by_key(|(slot, _)| *slot);
    }
}

impl Defined {
    /// What was written under these slots counts since then; 0: it always did.
    pub fn filled(&mut self, slots: &[u32], since_ms: i64) {
        for (_, since) in self.since.iter_mut().filter(|(slot, _)| slots.contains(slot)) {
            *since = (*since).min(if since_ms == 0 { i64::MIN } else { since_ms });
        }
        self.since.retain(|(_, since)| *since != i64::MIN);
    }
}

/// Since when this is written; none: it always was. Epoch ms.
pub fn since_of(since: &[(u32, i64)], slot: u32) -> Option<i64> {
    since.binary_search_by_key(&slot, |(slot, _)| *slot).ok().map(|at| since[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(what: EditKind, name: &str, version: i64) -> DefinitionEdit {
        DefinitionEdit { text: format!("{name}{version}").into(), ..DefinitionEdit::feature(what, name, version) }
    }

    fn served(defined: &Defined) -> Vec<String> {
        defined.served().map(|(known, version)| format!("{} {}", known.served(version), version.text)).collect()
    }

    #[test]
    fn versions_stand_side_by_side_until_one_is_promoted() {
        let mut defined =
            Defined::initial([("a", "a1"), ("b", "b1")].map(|(name, text)| (name.into(), text.into(), "f".into(), 7)));
        let mut change = |edits: Vec<DefinitionEdit>| {
            let revision = defined.revision + 1;
            defined.apply(&DefinitionChange { revision, at_ms: 0, edits }, 1_000 + revision);
            (served(&defined), defined.clone())
        };
        let put = |name, version| edit(EditKind::Put, name, version);
        assert_eq!(change(vec![put("a", 2)]).0, ["a a1", "b b1", "a@2 a2"]);
        assert_eq!(
            change(vec![put("a", 3), put("c", 1), edit(EditKind::Promote, "c", 1)]).0,
            ["a a1", "b b1", "c c1", "a@2 a2", "a@3 a3"]
        );
        assert_eq!(change(vec![edit(EditKind::Promote, "a", 3)]).0, ["a a3", "b b1", "c c1", "a@2 a2"]);
        assert_eq!(change(vec![edit(EditKind::Remove, "a", 2), edit(EditKind::Remove, "b", 0)]).0, ["a a3", "c c1"]);
        let (left, defined) = change(vec![edit(EditKind::Promote, "b", 1), edit(EditKind::Remove, "nothing", 0)]);
        assert_eq!(left, ["a a3", "c c1"]);
        let b = defined.feature("b").expect("its versions are not given out again");
        assert_eq!((b.last, b.filed, defined.feature("a").map(|a| a.versions[0].put_ms)), (1, 7, Some(1_002)));
    }

    #[test]
    fn what_goes_on_keeps_its_beginning() {
        let mut defined = Defined::default();
        defined.wrote(&[5], &[5, 3], 100);
        assert_eq!(defined.since, [(3, 100)]);
        defined.wrote(&[5, 3], &[3, 9], 200);
        assert_eq!(defined.since, [(3, 100), (9, 200)]);
        defined.wrote(&[3, 9], &[9, 5], 300);
        assert_eq!(defined.since, [(5, 300), (9, 200)]);
        assert_eq!((since_of(&defined.since, 9), since_of(&defined.since, 3)), (Some(200), None));
    }
}
