//! `time_since`: ms since the latest event; absent when there is none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `time_since`: ms since the latest event; absent when there is none.
#[derive(Clone, Debug, Default)]
pub struct TimeSince {
    latest_ms: Option<i64>,
}

impl Fold for TimeSince {
    fn add(&mut self, item: &Item) {
        self.latest_ms.get_or_insert(item.time_ms);
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        self.latest_ms.map_or(Val::Absent, |latest_ms| Val::Int(asked.now_ms.saturating_sub(latest_ms)))
    }

    fn moved_ms(&self, asked: Asked<'_>) -> Option<i64> {
        self.latest_ms.map(|_| asked.now_ms)
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Last(None),
    value: |partial, merged| match partial {
        Partial::Last(Some(last)) => Some(Value::Int(merged.now_ms.saturating_sub(last.time_ms))),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("time_since", &[]), None);
        assert_eq!(folded("time_since", &[Of::Event(200), Of::Event(900)]), Some(Value::Int(100)));
    }
}
