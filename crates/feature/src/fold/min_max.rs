//! `min_max`: the smallest and the largest number together; absent when there are none.

use super::range::Range;
use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `min_max`: the smallest and the largest number together; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct MinMax(Range);

impl Fold for MinMax {
    fn add(&mut self, item: &Item) {
        self.0.add(item);
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Absent
    }

    fn whole(&self, _asked: Asked<'_>) -> Option<Value> {
        self.0.extremes.map(|(least, most)| Value::Range(least, most))
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if !numbers.amounts.is_mixed => {
            numbers.extremes.map(|(least, most)| Value::Range(least, most))
        }
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("min_max", &[]), None);
        let prices = [Of::Number(1, 20.0), Of::Number(2, 120.0), Of::Number(3, 60.0)];
        assert_eq!(folded("min_max", &prices), Some(Value::Range(20.0, 120.0)));
    }
}
