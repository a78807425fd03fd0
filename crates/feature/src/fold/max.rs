//! `max`: the largest number; absent when there are none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `max`: the largest number; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Max {
    max: Option<f64>,
}

impl Fold for Max {
    fn add(&mut self, item: &Item) {
        self.max = Some(self.max.map_or(item.number, |max| max.max(item.number)));
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        self.max.map_or(Val::Absent, Val::number)
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if !numbers.amounts.is_mixed => numbers.extremes.map(|(_, most)| Value::Float(most)),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("max", &[]), None);
        assert_eq!(folded("max", &[Of::Number(1, -10.0), Of::Number(2, -3.0)]), Some(Value::Float(-3.0)));
    }
}
