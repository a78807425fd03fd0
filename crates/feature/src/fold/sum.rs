//! `sum`: the sum of numbers; absent when there are none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_event::plus;
use midsession_machine::partial::Partial;

/// `sum`: the sum of numbers; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    sum: Option<f64>,
}

impl Fold for Sum {
    fn add(&mut self, item: &Item) {
        self.sum = Some(plus(self.sum.unwrap_or(0.0), item.number));
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        self.sum.map_or(Val::Absent, Val::number)
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if !numbers.amounts.is_mixed => {
            (numbers.count > 0).then_some(Value::Float(numbers.sum))
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
        assert_eq!(folded("sum", &[]), None);
        assert_eq!(folded("sum", &[Of::Number(1, 2.5), Of::Number(2, -1.0)]), Some(Value::Float(1.5)));
        let cents = [Of::Number(1, 0.1), Of::Number(2, 0.2), Of::Number(3, 19.99)];
        assert_eq!(folded("sum", &cents), Some(Value::Float(20.29)), "in decimals");
        assert_eq!(folded("sum", &[Of::Number(1, 0.0)]), Some(Value::Float(0.0)), "nothing is not zero");
    }
}
