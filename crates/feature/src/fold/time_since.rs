//! `time_since`: ms since the latest event; absent when there is none.

use super::{Asked, Fold, Item};
use crate::Val;

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
}

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
