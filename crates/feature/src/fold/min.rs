//! `min`: the smallest number; absent when there are none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `min`: the smallest number; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Min {
    min: Option<f64>,
}

impl Fold for Min {
    fn add(&mut self, item: &Item) {
        self.min = Some(self.min.map_or(item.number, |min| min.min(item.number)));
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        self.min.map_or(Val::Absent, Val::number)
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if !numbers.amounts.is_mixed => {
            numbers.extremes.map(|(least, _)| Value::Float(least))
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
        assert_eq!(folded("min", &[]), None);
        assert_eq!(folded("min", &[Of::Number(1, 10.0), Of::Number(2, -3.0)]), Some(Value::Float(-3.0)));
    }
}
