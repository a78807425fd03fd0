//! `sequence_sum`: the sum, in decimals, of the numbers of those events that were followed `within` a time by one of
//! `then`; an event without one is paired and adds nothing; absent when there is no number.

use super::sequence::Pairs;
use super::{Asked, Fold, Item, Mergeable, Options};
use crate::Val;
use crate::decimal::{decimal, nearest_to, with_decimals_of};
use rust_decimal::Decimal;

/// `sequence_sum`: the sum of the numbers of those events that were followed.
#[derive(Clone, Debug, Default)]
pub struct SequenceSum {
    pairs: Pairs,
    /// The item added last is of a pair.
    has_taken: bool,
    /// How many numbers.
    pub(super) numbers: u32,
    /// None when it is too large for decimals.
    pub(super) sum: Option<Decimal>,
}

impl Fold for SequenceSum {
    fn set(&mut self, options: &Options) {
        self.pairs.within_ms = options.within_ms;
        self.sum = Some(Decimal::ZERO);
    }

    fn add(&mut self, item: &Item) {
        self.has_taken = self.pairs.is_completed_by(item);
        if self.has_taken && !item.number.is_nan() {
            self.numbers += 1;
            let number = decimal(item.number, item.decimals);
            self.sum = self.sum.zip(number).and_then(|(a, b)| with_decimals_of(a.checked_add(b), a, b));
        }
    }

    fn has_taken(&self) -> bool {
        self.has_taken
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        let sum = self.sum.filter(|_| self.numbers > 0).and_then(nearest_to);
        sum.map_or(Val::Absent, Val::number)
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
        assert_eq!(folded_with("sequence_sum", within, &[]), None);
        let carts = [
            Of::Number(10, 0.1),
            Of::Number(20, 42.99),
            Of::Second(30),
            Of::Number(40, 129.99),
            Of::Second(50),
            Of::Second(60),
        ];
        assert_eq!(folded_with("sequence_sum", within, &carts), Some(Value::Float(172.98)));
        let rows = [Of::Number(10, 5.0), Of::Number(20, 10.0), Of::AlsoNumber(20, 20.0), Of::Second(30)];
        assert_eq!(folded_with("sequence_sum", within, &rows), Some(Value::Float(30.0)), "all rows of the event");
        let missing = [Of::Number(10, 10.0), Of::Event(20), Of::Second(30)];
        assert_eq!(folded_with("sequence_sum", within, &missing), None, "the last event is paired, though it has none");
        let huge = [Of::Number(10, 1e300), Of::Second(20)];
        assert_eq!(folded_with("sequence_sum", within, &huge), None, "beyond decimals");
    }
}
