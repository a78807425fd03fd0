//! `average`: the mean of numbers, or with `by` of the earliest number of each value; absent when there are none.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_event::plus;
use midsession_machine::Map;
use midsession_machine::partial::Partial;

/// `average`: the mean of numbers, or with `by` of the earliest number of each value; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Average {
    sum: f64,
    count: u32,
    /// With `by`: the number of each value; what comes later is earlier.
    earliest: Option<Map<u32, (i64, f64)>>,
}

impl Fold for Average {
    fn set(&mut self, options: &Options) {
        self.earliest = options.by.then(Map::default);
    }

    fn add(&mut self, item: &Item) {
        match &mut self.earliest {
            None => {
                self.sum = plus(self.sum, item.number);
                self.count += 1;
            }
            Some(earliest) => {
                // Of equal times the one that arrived first, which is the last to come here.
                earliest.insert(item.text, (item.time_ms, item.number));
            }
        }
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        // Of nothing it is 0/0: absent.
        match &self.earliest {
            None => Val::number(self.sum / f64::from(self.count)),
            Some(earliest) => {
                // In an order that does not depend on the table's; in binary numbers, as where this fold comes from.
                let mut numbers: Vec<(i64, f64)> = earliest.values().copied().collect();
                numbers.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
                Val::number(numbers.iter().map(|(_, number)| number).sum::<f64>() / numbers.len() as f64)
            }
        }
    }
}

/// As a partial, without `by`.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Numbers(Default::default()),
    value: |partial, _| match partial {
        Partial::Numbers(numbers) if numbers.count > 0 && !numbers.amounts.is_mixed => {
            Some(Value::Float(numbers.sum / numbers.count as f64))
        }
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded, folded_with};

    #[test]
    fn examples() {
        assert_eq!(folded("average", &[]), None);
        assert_eq!(folded("average", &[Of::Number(1, 10.0), Of::Number(2, 15.0)]), Some(Value::Float(12.5)));
        let cents = [Of::Number(1, 42.99), Of::Number(2, 189.99)];
        assert_eq!(folded("average", &cents), Some(Value::Float(116.49)), "in decimals");
        let by = Options { by: true, ..Options::default() };
        let viewed = [Of::Both(1, 10.0, "a"), Of::Both(2, 30.0, "b"), Of::Both(3, 90.0, "a"), Of::Both(4, 30.0, "b")];
        assert_eq!(folded_with("average", by, &viewed), Some(Value::Float(20.0)), "each by its earliest");
        assert_eq!(folded_with("average", by, &[]), None);
    }
}
