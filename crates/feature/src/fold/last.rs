//! `last`: the value of the latest event, of equal times the one that arrived last.

use super::{Asked, Fold, Item};
use crate::Val;

/// `last`: the value of the latest event, of equal times the one that arrived last.
#[derive(Clone, Debug, Default)]
pub struct Last {
    last: Option<Item>,
}

impl Fold for Last {
    fn add(&mut self, item: &Item) {
        self.last.get_or_insert(*item);
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        match self.last {
            None => Val::Absent,
            Some(Item { text: 0, number, .. }) => Val::number(number),
            Some(Item { text, .. }) => Val::text(asked.names.name(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("last", &[]), None);
        assert_eq!(folded("last", &[Of::Number(1, 10.0), Of::Number(2, 3.0)]), Some(Value::Float(3.0)));
        assert_eq!(folded("last", &[Of::Text(5, "a"), Of::Text(5, "b")]), Some(Value::Text("b".into())));
    }
}
