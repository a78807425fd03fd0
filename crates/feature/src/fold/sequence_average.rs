//! `sequence_average`: `sequence_sum` by how many numbers it is of, rounded half to even at the decimals of the sum and
//! then at two; absent when there are none.

use super::sequence_sum::SequenceSum;
use super::{Asked, Fold, Item, Mergeable, Options};
use crate::Val;
use crate::decimal::nearest_to;
use rust_decimal::{Decimal, RoundingStrategy};

/// `sequence_average`: `sequence_sum` by how many numbers it is of.
#[derive(Clone, Debug, Default)]
pub struct SequenceAverage(SequenceSum);

impl Fold for SequenceAverage {
    fn set(&mut self, options: &Options) {
        self.0.set(options);
    }

    fn add(&mut self, item: &Item) {
        self.0.add(item);
    }

    fn has_taken(&self) -> bool {
        self.0.has_taken()
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        let rounded = |number: Decimal, decimals: u32| {
            number.round_dp_with_strategy(decimals, RoundingStrategy::MidpointNearestEven)
        };
        let average = self.0.sum.and_then(|sum| {
            let average = sum.checked_div(Decimal::from(self.0.numbers))?;
            // A number without decimals has one all the same, as in the text of any other.
            nearest_to(rounded(rounded(average, sum.scale().max(1)), 2))
        });
        average.map_or(Val::Absent, Val::number)
    }
}

/// Not as a partial: it is about the order of one shopper's events.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded_with};

    #[test]
    fn examples() {
        let within = Options { within_ms: 100, ..Options::default() };
        let average = |carts: &[f64]| {
            let items: Vec<Of> = carts
                .iter()
                .zip(1..)
                .flat_map(|(cart, number)| [Of::Number(number * 10, *cart), Of::Second(number * 10 + 5)])
                .collect();
            folded_with("sequence_average", within, &items)
        };
        for (carts, value) in [
            (&[][..], None),
            (&[100.0, 100.0, 111.313], Some(103.77)),
            (&[42.99], Some(42.99)),
            (&[10.01, 10.02], Some(10.02)),
            (&[10.01, 10.0], Some(10.0)),
            (&[50.5, 50.0, 0.0], Some(33.5)),
            (&[50.0, 50.0, 0.0], Some(33.3)),
        ] {
            assert_eq!(average(carts), value.map(Value::Float), "{carts:?}");
        }
        let mixed = [Of::Number(10, 5.0), Of::AlsoNumber(10, 10.0), Of::Second(20), Of::Event(30), Of::Second(40)];
        assert_eq!(folded_with("sequence_average", within, &mixed), Some(Value::Float(7.5)), "over the numbers");
    }
}
