//! `range`: the largest number less the smallest; absent when there are none.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_event::plus;
use midsession_machine::partial::Partial;

/// `range`: the largest number less the smallest; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Range {
    pub(super) extremes: Option<(f64, f64)>,
}

impl Fold for Range {
    fn add(&mut self, item: &Item) {
        let (least, most) = self.extremes.unwrap_or((item.number, item.number));
        self.extremes = Some((least.min(item.number), most.max(item.number)));
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        self.extremes.map_or(Val::Absent, |(least, most)| Val::number(plus(most, -least)))
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if !numbers.amounts.is_mixed => {
            numbers.extremes.map(|(least, most)| Value::Float(plus(most, -least)))
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
        assert_eq!(folded("range", &[]), None);
        assert_eq!(folded("range", &[Of::Number(1, 10.0)]), Some(Value::Float(0.0)));
        let prices = [Of::Number(1, 20.0), Of::Number(2, 120.0), Of::Number(3, 60.0)];
        assert_eq!(folded("range", &prices), Some(Value::Float(100.0)));
        assert_eq!(folded("range", &[Of::Number(1, 0.3), Of::Number(2, 0.1)]), Some(Value::Float(0.2)), "in decimals");
    }
}
