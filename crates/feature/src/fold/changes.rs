//! `changes`: how many times a value was another one than before; 0 when there is none or one.

use super::{Asked, Fold, Item, Mergeable};
use crate::Val;

/// `changes`: how many times a value was another one than before; 0 when there is none or one.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    later: Option<u64>,
    changes: i64,
}

impl Fold for Changes {
    fn add(&mut self, item: &Item) {
        let key = item.key();
        self.changes += i64::from(self.later.is_some_and(|later| later != key));
        self.later = Some(key);
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.changes)
    }
}

/// Not as a partial: it is about the order of one shopper's events.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("changes", &[]), Some(Value::Int(0)));
        assert_eq!(folded("changes", &[Of::Text(1, "DE")]), Some(Value::Int(0)));
        let regions = [Of::Text(1, "DE"), Of::Text(2, "DE"), Of::Text(3, "FR"), Of::Text(4, "DE")];
        assert_eq!(folded("changes", &regions), Some(Value::Int(2)));
    }
}
