//! `count`: how many events; 0 when there are none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `count`: how many events; 0 when there are none.
#[derive(Clone, Debug, Default)]
pub struct Count {
    count: i64,
}

impl Fold for Count {
    fn add(&mut self, _item: &Item) {
        self.count += 1;
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.count)
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Count(0),
    value: |partial, _| match partial {
        Partial::Count(count) => Some(Value::Int(count.cast_signed())),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("count", &[]), Some(Value::Int(0)));
        assert_eq!(folded("count", &[Of::Event(1), Of::Event(1), Of::Event(9)]), Some(Value::Int(3)));
    }
}
