//! `count`: how many events; 0 when there are none.

use super::{Asked, Fold, Item};
use crate::Val;

/// `count`: how many events; 0 when there are none.
#[derive(Clone, Debug, Default)]
pub struct Count {
    count: i64,
}

impl Fold for Count {
    fn add(&mut self, _item: &Item) {
        self.count += 1;
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Int(self.count)
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("count", &[]), Some(Value::Int(0)));
        assert_eq!(folded("count", &[Of::Event(1), Of::Event(1), Of::Event(9)]), Some(Value::Int(3)));
    }
}
