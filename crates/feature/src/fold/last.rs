//! `last`: the value of the latest event, of equal times the one that arrived last.

use super::{Asked, Fold, Item, Mergeable, dated};
use crate::Val;
use midsession_machine::partial::Partial;

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
        self.last.map_or(Val::Absent, |last| last.val(asked))
    }
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Last(None),
    value: |partial, _| match partial {
        Partial::Last(last) => dated(last.as_ref()),
        _ => None,
    },
});

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
