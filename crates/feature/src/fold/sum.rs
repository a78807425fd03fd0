//! `sum`: the sum of numbers; absent when there are none.

use super::{Asked, Fold, Item};
use crate::Val;

/// `sum`: the sum of numbers; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    sum: Option<f64>,
}

impl Fold for Sum {
    fn add(&mut self, item: &Item) {
        self.sum = Some(self.sum.unwrap_or(0.0) + item.number);
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        self.sum.map_or(Val::Absent, Val::number)
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("sum", &[]), None);
        assert_eq!(folded("sum", &[Of::Number(1, 2.5), Of::Number(2, -1.0)]), Some(Value::Float(1.5)));
        assert_eq!(folded("sum", &[Of::Number(1, 0.0)]), Some(Value::Float(0.0)), "nothing is not zero");
    }
}
