//! Facts that stand outside of memory while that is short: the port that keeps their bytes, and a look at them wherever
//! they are.
//!
//! Memory elsewhere, and nothing else: whatever it does, a partition's state is the same, or the partition stops.

use crate::{Fact, Facts};
use std::cell::OnceCell;
use std::fmt;
use std::sync::OnceLock;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From this byte on.
    pub at: u64,
    /// Its length. Bytes.
    pub bytes: u32,
    /// Which it is of those that have stood there.
    pub id: u32,
}

/// Why bytes were not kept, or are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpillError {
    /// There is no room for more than this. Bytes.
    Full(u64),
    /// What went wrong.
    Failed(String),
}

impl fmt::Display for SpillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(most) => write!(f, "there is room for {most} bytes"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

/// Keeps bytes for as long as the process lives; nobody looks at them after it.
pub trait Spill: Send + Sync {
    /// Keeps these. After an error nothing of them is kept.
    fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError>;
    /// Appends what was put there; anything else is an error.
    fn get(&self, place: Place, out: &mut Vec<u8>) -> Result<(), SpillError>;
    /// They are not asked for any more.
    fn free(&mut self, place: Place);
}

/// A shopper's facts that stand elsewhere: never none.
#[derive(Clone, Copy, Debug)]
pub struct Spilled {
    /// Where.
    pub place: Place,
    /// The time of the first one. Epoch ms.
    pub oldest_ms: i64,
    /// Of the last one. Epoch ms.
    pub newest_ms: i64,
}

/// Where a partition's facts stand while they are not in memory, and why it can't go on, if so.
pub struct Elsewhere {
    store: Box<dyn Spill>,
    failed: OnceLock<String>,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Elsewhere {
    /// In this store.
    pub fn new(store: Box<dyn Spill>) -> Self {
        Self { store, failed: OnceLock::new() }
    }

    /// Puts facts there, if there are any and there is room.
    pub fn put(&mut self, facts: &Facts) -> Option<Spilled> {
        let (first, last) = (facts.all().first()?, facts.all().last()?);
        let place = self.store.put(facts.as_bytes()).ok()?;
        Some(Spilled { place, oldest_ms: first.time_ms, newest_ms: last.time_ms })
    }

    /// Reads facts from there. Where that can't be done there are none, and [`Elsewhere::failure`] says so from then on:
    /// nothing that came of them may be used.
    pub fn fetch(&self, spilled: &Spilled) -> Facts {
        let mut bytes = Vec::with_capacity(spilled.place.bytes as usize);
        let got = self.store.get(spilled.place, &mut bytes).map_err(|error| error.to_string());
        let facts = got.and_then(|()| Facts::of_bytes(&bytes).ok_or_else(|| "they are cut short".to_owned()));
        facts.unwrap_or_else(|cause| {
            let cause =
                format!("facts that were spilled to disk can't be read: {cause}. A restart reads them from the log");
            // The first cause is the one to tell.
            _ = self.failed.set(cause);
            Facts::default()
        })
    }

    /// They are not needed any more.
    pub fn free(&mut self, spilled: &Spilled) {
        self.store.free(spilled.place);
    }

    /// Why what was read since is not to be trusted.
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }
}

/// A shopper's facts to be looked at: read from elsewhere at the first look, if they stand there.
#[derive(Clone, Debug)]
pub struct LazyFacts<'a> {
    here: &'a Facts,
    elsewhere: Option<(&'a Elsewhere, &'a Spilled)>,
    fetched: OnceCell<Facts>,
}

impl<'a> From<&'a Facts> for LazyFacts<'a> {
    fn from(here: &'a Facts) -> Self {
        Self { here, elsewhere: None, fetched: OnceCell::new() }
    }
}

impl<'a> LazyFacts<'a> {
    /// Facts that are here, or there.
    pub fn new(here: &'a Facts, elsewhere: Option<(&'a Elsewhere, &'a Spilled)>) -> Self {
        Self { here, elsewhere, fetched: OnceCell::new() }
    }

    /// Themselves.
    pub fn get(&self) -> &Facts {
        match self.elsewhere {
            None => self.here,
            Some((elsewhere, spilled)) => self.fetched.get_or_init(|| elsewhere.fetch(spilled)),
        }
    }

    /// See [`Facts::all`].
    pub fn all(&self) -> &[Fact] {
        self.get().all()
    }

    /// See [`Facts::between`].
    pub fn between(&self, after_ms: i64, until_ms: i64) -> &[Fact] {
        match self.elsewhere {
            Some((_, spilled)) if spilled.newest_ms <= after_ms || spilled.oldest_ms > until_ms => &[],
            _ => self.get().between(after_ms, until_ms),
        }
    }
}
