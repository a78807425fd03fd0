//! What can be read: the entries of a set, and how they are laid out for reading.

use crate::Value;
use crate::expr::{Program, Type};
use crate::filter::{DERIVED, KINDS, Take};
use crate::fold::{Options, Row};
use crate::session::BuiltIn;
use midsession_event::Str;

/// Whose a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A shopper's, over all devices, in a window.
    User,
    /// A session's, over all of it.
    Session,
}

impl Key {
    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Session].into_iter().find(|key| key.name() == name)
    }
}

/// From when on a feature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookBack {
    /// Over stored facts: exact for what happened before it was defined, too.
    Exactly,
    /// From the moment it was defined: it reads more of an event than facts keep, or is added up by a field.
    FromNow,
    /// From the shopper's first event that this partition has heard of since it was defined.
    FirstSeen,
}

/// One name that can be read.
#[derive(Debug)]
pub struct Entry {
    /// How many folds its value takes: one that is worked out from others takes all of theirs.
    pub(crate) readings: u32,
    /// Its name, the window included.
    pub name: Str,
    /// Whose it is.
    pub key: Key,
    /// What it holds.
    pub ty: Type,
    /// From when on it counts.
    pub looks_back: LookBack,
    /// What it means.
    pub doc: Option<String>,
    /// Others are worked out from it; it is not served itself.
    pub is_hidden: bool,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    BuiltIn(&'static BuiltIn),
    /// Over facts; the length of the window as it is told, where it has one.
    Feature {
        feature: u32,
        window_ms: i64,
        span_ms: Option<i64>,
    },
    /// Of the partition's partials, by the number of the accumulator.
    Lifetime(u32),
    /// Since when lifetimes count.
    Since,
    /// Worked out from others.
    Worked(Box<Program>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(row) => write!(f, "BuiltIn({})", row.name),
            Self::Feature { feature, window_ms, .. } => write!(f, "Feature({feature}, {window_ms} ms)"),
            Self::Lifetime(accumulator) => write!(f, "Lifetime({accumulator})"),
            Self::Since => f.write_str("Since"),
            Self::Worked(program) => write!(f, "Worked({})", program.source()),
        }
    }
}

/// What a feature takes, by the dense kind of the fact.
pub(crate) type Takes = [Option<Box<Take>>; KINDS];

/// A feature as it is folded: all its windows together.
#[derive(Debug)]
pub(crate) struct Feature {
    pub row: &'static Row,
    pub options: Options,
    pub result: Type,
    /// By the dense kind, a bit each: what is taken or meets the second condition. Most facts are of other kinds.
    pub kinds: u32,
    pub takes: Takes,
    /// What meets the second condition.
    pub seconds: Option<Box<Takes>>,
    pub empty: Option<Value>,
    /// What keeps it alive, if not what it takes.
    pub alive: Option<Box<Takes>>,
    pub visit: Option<u32>,
}

impl Feature {
    /// The slots of derived facts that it takes, by the first and the second condition.
    pub(crate) fn derived_slots(&self) -> [Option<u32>; 2] {
        let slot = |takes: &Takes| takes[DERIVED].as_ref().map(|take| take.slot);
        [slot(&self.takes), self.seconds.as_ref().and_then(|seconds| slot(seconds))]
    }
}

/// The features of one key, laid out for reading all at once.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// By the dense kind: which features take such facts.
    pub by_kind: Vec<Vec<u32>>,
    /// Window by window, the shortest first: which entries end there.
    pub windows: Vec<(i64, Vec<(u32, u32)>)>,
    /// The entries of this key, in order.
    pub entries: Vec<u32>,
}

impl Layout {
    pub(crate) fn new() -> Self {
        Self { by_kind: vec![Vec::new(); KINDS], ..Self::default() }
    }
}
