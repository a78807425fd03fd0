//! When a value goes by itself, if nothing further happens: its window is empty then, and empty windows have none.

use crate::entry::{Entry, Source};
use crate::filter::dense;
use crate::read::{Running, item_of, reach};
use crate::{FeatureSet, Key, Val};
use midsession_machine::{Fact, View};

impl FeatureSet {
    /// When a value of a shopper or session is gone, by its full name; none of what is there for as long as they are known:
    /// counts are 0 then. Epoch ms.
    pub fn vanishes_ms(&self, view: &View<'_>, key: Key, name: &str) -> Option<i64> {
        let (entry, _) = self.entry(key, &self.unaliased(name))?;
        self.gone_ms(view, self.entries.get(entry as usize)?)
    }

    fn gone_ms(&self, view: &View<'_>, entry: &Entry) -> Option<i64> {
        let (feature, window_ms) = match &entry.source {
            Source::Feature { feature, window_ms, span_ms: Some(_) } => (*feature, *window_ms),
            // Without one of the values that it is worked out from there is none.
            Source::Worked(program) => {
                let of = program.features().filter_map(|(key, name)| self.entry(key, name));
                let of = of.filter_map(|(entry, _)| self.gone_ms(view, self.entries.get(entry as usize)?));
                return of.min();
            }
            _ => return None,
        };
        let shape = self.features.get(feature as usize)?;
        if !matches!(Running::new(shape, view).value(view, window_ms), Val::Absent) {
            return None;
        }
        let (facts, number) = reach(view, entry.key, window_ms)?;
        let is_taken = |kind: usize, fact: &Fact| {
            let first = shape.takes[kind].as_ref().is_some_and(|take| item_of(take, fact, view.names, false).is_some());
            let seconds = shape.seconds.as_ref().and_then(|seconds| seconds[kind].as_ref());
            first || seconds.is_some_and(|take| item_of(take, fact, view.names, true).is_some())
        };
        let newest = facts
            .iter()
            .rev()
            .find(|fact| number.is_none_or(|number| fact.session == number) && is_taken(dense(fact.kind), fact))?;
        Some(newest.time_ms.saturating_add(window_ms))
    }
}
