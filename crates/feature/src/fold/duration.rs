//! `duration`: ms from the first event until now, but at most until `idle` after the last one; absent when there is
//! none. Without `idle` it ends with the last event.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::Val;

/// `duration`: ms from the first event until now, but at most until `idle` after the last one.
#[derive(Clone, Debug, Default)]
pub struct Duration {
    idle_ms: i64,
    /// First and last event. Epoch ms.
    events: Option<(i64, i64)>,
}

impl Duration {
    fn ends_ms(&self, now_ms: i64) -> Option<i64> {
        self.events.map(|(_, last_ms)| last_ms.saturating_add(self.idle_ms).min(now_ms))
    }
}

impl Fold for Duration {
    fn set(&mut self, options: &Options) {
        self.idle_ms = options.idle_ms;
    }

    fn add(&mut self, item: &Item) {
        let (_, last_ms) = self.events.unwrap_or((item.time_ms, item.time_ms));
        self.events = Some((item.time_ms, last_ms));
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        let ends_ms = self.ends_ms(asked.now_ms);
        self.events
            .zip(ends_ms)
            .map_or(Val::Absent, |((first_ms, _), ends_ms)| Val::Int(ends_ms.saturating_sub(first_ms)))
    }

    fn moved_ms(&self, asked: Asked<'_>) -> Option<i64> {
        self.ends_ms(asked.now_ms)
    }
}

/// Not as a partial: it is about one shopper's visit.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded, folded_with};

    #[test]
    fn examples() {
        assert_eq!(folded("duration", &[]), None);
        let events = [Of::Event(100), Of::Event(300), Of::Event(700)];
        assert_eq!(folded("duration", &events), Some(Value::Int(600)));
        for (idle_ms, value) in [(200, 800), (300, 900), (5_000, 900)] {
            let options = Options { idle_ms, ..Options::default() };
            assert_eq!(folded_with("duration", options, &events), Some(Value::Int(value)), "{idle_ms}");
        }
    }
}
