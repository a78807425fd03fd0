//! `sequence`: how many times an event was followed `within` a time by one of `then`; 0 when never.
//!
//! An event of `then` completes a sequence if one of `when` lies before it, since the last `then`: so an event is used
//! once, and of several in a row the last one counts.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::Val;

/// `sequence`: how many times an event was followed `within` a time by one of `then`.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    pairs: Pairs,
    completed: i64,
}

impl Fold for Sequence {
    fn set(&mut self, options: &Options) {
        self.pairs.within_ms = options.within_ms;
    }

    fn add(&mut self, item: &Item) {
        self.completed += i64::from(self.pairs.is_completed_by(item));
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.completed)
    }
}

/// Finds the pairs, from the newest event to the oldest.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) within_ms: i64,
    /// The event of `then` that waits for one before it. Epoch ms.
    then_ms: Option<i64>,
    /// The one after it, which an event at the very time of that one still completes. Epoch ms.
    after_ms: Option<i64>,
}

impl Pairs {
    /// Takes the next older item; says whether it is the first half of a pair.
    pub(super) fn is_completed_by(&mut self, item: &Item) -> bool {
        let Some(then_ms) = self.then_ms else {
            self.then_ms = item.second.then_some(item.time_ms);
            return false;
        };
        if item.second {
            if item.time_ms < then_ms {
                self.after_ms = Some(then_ms);
                self.then_ms = Some(item.time_ms);
            }
            return false;
        }
        let is_soon = |then_ms: i64| then_ms.saturating_sub(item.time_ms) <= self.within_ms;
        if item.time_ms == then_ms {
            return self.after_ms.take().is_some_and(is_soon);
        }
        self.then_ms = None;
        self.after_ms = None;
        is_soon(then_ms)
    }
}

/// Not as a partial: it is about the order of one shopper's events.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded_with};

    #[test]
    fn examples() {
        let within = Options { within_ms: 100, ..Options::default() };
        let (when, then) = (Of::Event, Of::Second);
        for (items, completed, why) in [
            (&[][..], 0, "nothing"),
            (&[when(100), then(200)], 1, "just in time"),
            (&[when(99), then(200)], 0, "too late"),
            (&[then(100), when(150)], 0, "the other way round"),
            (&[when(100), then(100)], 0, "at once is not after"),
            (&[when(10), when(20), then(30), then(40)], 1, "used up"),
            (&[when(10), then(20), when(30), then(40)], 2, "two"),
            (&[when(10), then(20), then(30), when(40), then(140)], 2, "one between"),
            (&[then(10), when(10), then(20)], 1, "an event at the time of the first is used by the second"),
            (&[when(10), then(10), then(20)], 1, "whatever their order"),
        ] {
            assert_eq!(folded_with("sequence", within, items), Some(Value::Int(completed)), "{why}");
        }
    }
}
