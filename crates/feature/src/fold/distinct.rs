//! `distinct`: how many different values; 0 when there are none.

use super::values::Values;
use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `distinct`: how many different values; 0 when there are none.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    seen: Values,
}

impl Fold for Distinct {
    fn add(&mut self, item: &Item) {
        self.seen.insert(item.key());
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.seen.len() as i64)
    }
}

/// As a partial: exact for some hundred values, then an estimate.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Distinct(Default::default()),
    value: |partial, _| match partial {
        Partial::Distinct(distinct) => Some(Value::Int(distinct.count().cast_signed())),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("distinct", &[]), Some(Value::Int(0)));
        let texts = [Of::Text(1, "a"), Of::Text(2, "b"), Of::Text(3, "a")];
        assert_eq!(folded("distinct", &texts), Some(Value::Int(2)));
        let numbers = [Of::Number(1, 0.0), Of::Number(2, -0.0), Of::Number(3, 0.5)];
        assert_eq!(folded("distinct", &numbers), Some(Value::Int(2)));
    }
}
