//! `ratio`: how many events there were for each one of `over`, or the sum of `of` for each; absent when there is none
//! to divide by.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_event::plus;
use midsession_machine::partial::Partial;

/// `ratio`: how many events there were for each one of `over`, or the sum of `of` for each.
#[derive(Clone, Debug, Default)]
pub struct Ratio {
    over: f64,
    under: u32,
}

impl Fold for Ratio {
    fn add(&mut self, item: &Item) {
        match item {
            Item { second: true, .. } => self.under += 1,
            Item { number, .. } => self.over = plus(self.over, if number.is_nan() { 1.0 } else { *number }),
        }
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        if self.under == 0 { Val::Absent } else { Val::number(self.over / f64::from(self.under)) }
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Ratio { over: 0.0, under: 0, amounts: Default::default() },
    value: |partial, _| match partial {
        Partial::Ratio { over, under, amounts } if *under > 0 && !amounts.is_mixed => {
            Some(Value::Float(over / *under as f64))
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
        assert_eq!(folded("ratio", &[]), None);
        assert_eq!(folded("ratio", &[Of::Event(1)]), None, "nothing to divide by");
        assert_eq!(folded("ratio", &[Of::Second(1)]), Some(Value::Float(0.0)));
        let events = [Of::Second(1), Of::Event(2), Of::Second(3), Of::Second(4), Of::Second(5)];
        assert_eq!(folded("ratio", &events), Some(Value::Float(0.25)));
        let sums = [Of::Number(1, 30.0), Of::Second(2), Of::Number(3, 10.0), Of::Second(3)];
        assert_eq!(folded("ratio", &sums), Some(Value::Float(20.0)));
    }
}
