//! `first`: the value of the earliest event, of equal times the one that arrived first.

use super::{Asked, Fold, Item, Mergeable, dated};
use crate::Val;
use midsession_machine::partial::Partial;

/// `first`: the value of the earliest event, of equal times the one that arrived first.
#[derive(Clone, Debug, Default)]
pub struct First {
    first: Option<Item>,
}

impl Fold for First {
    fn add(&mut self, item: &Item) {
        self.first = Some(*item);
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        self.first.map_or(Val::Absent, |first| first.val(asked))
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::First(None),
    value: |partial, _| match partial {
        Partial::First(first) => dated(first.as_ref()),
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("first", &[]), None);
        assert_eq!(folded("first", &[Of::Number(1, 10.0), Of::Number(2, 3.0)]), Some(Value::Float(10.0)));
        assert_eq!(folded("first", &[Of::Text(5, "b"), Of::Text(5, "a")]), Some(Value::Text("b".into())));
    }
}
