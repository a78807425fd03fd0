//! A change of the definitions in force: the same record in every partition's own log, applied once by its revision.

use crate::{Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};

/// A change of the definitions in force. What it takes is taken whole, at this record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionChange {
    /// Rises by one with each change, the same in every partition.
    pub revision: i64,
    /// When it was asked for. Epoch ms.
    pub at_ms: i64,
    /// What is done, in this order.
    pub edits: Vec<DefinitionEdit>,
}

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionEdit {
    /// What is done.
    pub what: EditKind,
    /// To which definition: `feature` or `intervention`.
    pub kind: Str,
    /// Its name.
    pub name: Str,
    /// Which version of it; 0 where all of them are meant.
    pub version: i64,
    /// Put: what it says, as TOML.
    pub text: Str,
    /// Put: the file that it came from.
    pub file: Str,
    /// Filed: the hash of what the file says; 0 when it says nothing any more.
    pub filed: i64,
    /// Filled: since when it counts; 0 is as far back as anything is kept. Epoch ms.
    pub since_ms: i64,
    /// Filled: slots of which what was put aside is added to what was added up since. Filed, of further profiles: all of their
    /// slots.
    #[serde(default)]
    pub added: Vec<i64>,
}

/// What is done to a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditKind {
    /// A new version, beside the one that is live.
    Put,
    /// This version is the live one from now on; the one before is gone.
    Promote,
    /// Gone: one version, or all of them.
    Remove,
    /// What the file on disk says was taken up, or found to be gone.
    Filed,
    /// What the log still had of the past has been counted in.
    Filled,
}

impl DefinitionEdit {
    /// The slots that it is about.
    pub fn slots(&self) -> Vec<u32> {
        self.added.iter().map(|slot| *slot as u32).collect()
    }

    /// An edit of a feature, with nothing but what it is about.
    pub fn feature(what: EditKind, name: &str, version: i64) -> Self {
        Self::of("feature", what, name, version)
    }

    /// Likewise of any kind of definition.
    pub fn of(kind: &str, what: EditKind, name: &str, version: i64) -> Self {
        Self {
            what,
            kind: kind.into(),
            name: name.into(),
            version,
            text: Str::default(),
            file: Str::default(),
            filed: 0,
            since_ms: 0,
            added: Vec::new(),
        }
    }
}

/// What the log still had of the past, for definitions that count from a record on: facts of events that took effect before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    /// By event.
    pub events: Vec<FilledEvent>,
    /// Of these slots nothing is aside any more: they are offered from the beginning.
    #[serde(default)]
    pub begins: Vec<i64>,
    /// Put aside until an edit adds it.
    #[serde(default)]
    pub series: Vec<FilledSeries>,
}

/// What the past adds to a definition by a field, of one value of the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledSeries {
    /// The definition's slot.
    pub slot: i64,
    /// The value of its field.
    pub id: Str,
    /// By window and step, as JSON.
    pub steps: Str,
}

/// The facts of one event, offered to a shopper who may have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FilledEvent {
    /// On which device.
    pub visitor_id: Option<VisitorId>,
    /// At whose home; none is the device's own partition.
    pub user_id: Option<UserId>,
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// Kind of its own facts.
    pub kind: i32,
    /// Tells it from others of the same time.
    pub mark: i32,
    /// What is written for it.
    pub facts: Vec<FilledFact>,
}

/// A fact for a definition that reads more than a fact's columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilledFact {
    /// The definition's slot.
    pub slot: i64,
    /// Number folded, if any.
    pub value: Option<f64>,
    /// Text folded, if any.
    pub text: Option<Str>,
    /// What the number is an amount of.
    #[serde(default)]
    pub currency: Option<Str>,
}
