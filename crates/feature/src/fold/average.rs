//! `average`: the mean of numbers; absent when there are none.

use super::{Asked, Fold, Item};
use crate::Val;

/// `average`: the mean of numbers; absent when there are none.
#[derive(Clone, Debug, Default)]
pub struct Average {
    sum: f64,
    count: u32,
}

impl Fold for Average {
    fn add(&mut self, item: &Item) {
        self.sum += item.number;
        self.count += 1;
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        // Of nothing it is 0/0: absent.
        Val::number(self.sum / f64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("average", &[]), None);
        assert_eq!(folded("average", &[Of::Number(1, 10.0), Of::Number(2, 15.0)]), Some(Value::Float(12.5)));
    }
}
