//! `quantile`: the number below which a share of them lies, between two numbers in proportion; absent when there are
//! none. Exact over facts: they are there, and sorting them costs less than a sketch of them would.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_machine::partial::{Partial, quantile_of};

/// `quantile`: the number below which a share of them lies, between two numbers in proportion.
#[derive(Clone, Debug, Default)]
pub struct Quantile {
    share: f64,
    numbers: Vec<f64>,
}

impl Fold for Quantile {
    fn set(&mut self, options: &Options) {
        self.share = options.quantile;
    }

    fn add(&mut self, item: &Item) {
        self.numbers.push(item.number);
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        let mut sorted = self.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        quantile_of(&sorted, self.share).map_or(Val::Absent, Val::number)
    }
}

/// As a partial: exact up to 127 numbers in a partition, then a t-digest, whose rank is off by less than 1 %.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Digest(Default::default()),
    value: |partial, merged| match partial {
        Partial::Digest(digest) => digest.quantile(merged.options.quantile).map(Value::Float),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::Of;
    use crate::fold::{Asked, Item, Options, fold};
    use midsession_machine::Names;

    /// Without the partial, which is near only.
    fn quantile(quantile: f64, items: &[Of]) -> Option<Value> {
        let names = Names::default();
        let mut folding = (fold("quantile")?.start)(&Options { quantile, ..Options::default() });
        for item in items.iter().rev() {
            let Of::Number(time_ms, number) = *item else { continue };
            folding.add(&Item { time_ms, event: 0, mark: 0, number, decimals: 0, text: 0, second: false });
        }
        folding.whole(Asked { names: &names, now_ms: 1_000, span_ms: 500 })
    }

    #[test]
    fn examples() {
        assert_eq!(quantile(0.5, &[]), None);
        let prices = [Of::Number(1, 40.0), Of::Number(2, 10.0), Of::Number(3, 20.0), Of::Number(4, 30.0)];
        for (share, value) in [(0.0, 10.0), (0.5, 25.0), (0.9, 37.0), (1.0, 40.0)] {
            assert_eq!(quantile(share, &prices), Some(Value::Float(value)), "{share}");
        }
        assert_eq!(quantile(0.95, &[Of::Number(1, 7.0)]), Some(Value::Float(7.0)));
    }
}
