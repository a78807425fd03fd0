//! `repeat`: how many times something came up again: all items but the first of each value; 0 when there are none.

use super::values::Values;
use super::{Asked, Fold, Item, Mergeable};
use crate::Val;

/// `repeat`: how many times something came up again: all items but the first of each value; 0 when there are none.
#[derive(Clone, Debug, Default)]
pub struct Repeat {
    all: i64,
    seen: Values,
}

impl Fold for Repeat {
    fn add(&mut self, item: &Item) {
        self.all += 1;
        self.seen.insert(item.key());
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.all - self.seen.len() as i64)
    }
}

/// Not as a partial: whether something came up before is about one shopper.
pub(super) const MERGEABLE: Option<Mergeable> = None;

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("repeat", &[]), Some(Value::Int(0)));
        let texts = [Of::Text(1, "a"), Of::Text(2, "b"), Of::Text(3, "a"), Of::Text(4, "a")];
        assert_eq!(folded("repeat", &texts), Some(Value::Int(2)));
    }
}
