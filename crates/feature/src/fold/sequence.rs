//! `sequence`: how many times an event was followed `within` a time by one of `then`; 0 when never.
//!
//! An event of `then` completes a sequence if one of `when` came before it, since the last `then`: so an event is used
//! once, and of several in a row the last one counts. Of equal times the one that arrived first comes first.

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
    /// The event of `then` that waits for one before it.
    then: Option<Then>,
    /// The one after it: an event that meets both ends a sequence and begins another one.
    after: Option<Then>,
    /// The event, and its mark, of the pair found last: its further rows belong to it, too.
    paired: Option<(u32, u16)>,
}

#[derive(Clone, Copy, Debug)]
struct Then {
    time_ms: i64,
    event: u32,
}

impl Pairs {
    /// Takes the next older item; says whether it is of the first half of a pair.
    pub(super) fn is_completed_by(&mut self, item: &Item) -> bool {
        if item.second {
            self.after = self.then.replace(Then { time_ms: item.time_ms, event: item.event });
            return false;
        }
        let own = Some((item.event, item.mark));
        if self.paired == own {
            return true;
        }
        let after = self.after.take();
        let then = if self.then.is_some_and(|then| then.event == item.event) { after } else { self.then.take() };
        let is_pair = then.is_some_and(|then| then.time_ms.saturating_sub(item.time_ms) <= self.within_ms);
        if is_pair {
            self.paired = own;
        }
        is_pair
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
            (&[when(100), then(100)], 1, "at once, in the order of their arrival"),
            (&[then(100), when(100)], 0, "at once, the other way round"),
            (&[when(10), when(20), then(30), then(40)], 1, "used up"),
            (&[when(10), then(20), when(30), then(40)], 2, "two"),
            (&[when(10), then(20), then(30), when(40), then(140)], 2, "one between"),
            (&[then(10), when(10), then(20)], 1, "an event that came after the first is used by the second"),
            (&[when(10), then(10), then(20)], 1, "an event is used once"),
            (&[when(10), when(20), then(20), then(30)], 1, "what the last one pushed aside is not used later"),
            (&[when(20), then(20), when(20), then(20)], 2, "two at once"),
            (&[when(10), Of::AlsoSecond(10)], 0, "no event comes before itself"),
            (&[when(10), Of::AlsoSecond(10), when(20), Of::AlsoSecond(20)], 1, "it ends one and begins the next"),
            (&[then(10), Of::Also(10), then(20), Of::Also(20), then(30)], 2, "whichever is looked at first"),
        ] {
            assert_eq!(folded_with("sequence", within, items), Some(Value::Int(completed)), "{why}");
        }
    }
}
