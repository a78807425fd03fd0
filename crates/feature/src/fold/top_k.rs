//! `top_k`: the most frequent texts, `limit` of them, equally frequent ones in the order of the alphabet; empty when
//! there are none.

use super::count_per_value::{CountPerValue, ranked_of};
use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_event::Str;
use midsession_machine::partial::Partial;

/// `top_k`: the most frequent texts, `limit` of them.
#[derive(Clone, Debug, Default)]
pub struct TopK(CountPerValue);

impl Fold for TopK {
    fn set(&mut self, options: &Options) {
        self.0.set(options);
    }

    fn add(&mut self, item: &Item) {
        self.0.add(item);
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        self.0.value(asked)
    }

    fn whole(&self, asked: Asked<'_>) -> Option<Value> {
        Some(texts(self.0.ranked(asked)))
    }
}

/// As a partial: of the thousand most frequent texts.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Counts(Default::default()),
    value: |partial, merged| Some(texts(ranked_of(partial, merged.options.limit)?)),
});

fn texts(ranked: Vec<(Str, i64)>) -> Value {
    Value::List(ranked.into_iter().map(|(text, _)| text).collect())
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded_with};

    #[test]
    fn examples() {
        let two = Options { limit: 2, ..Options::default() };
        assert_eq!(folded_with("top_k", two, &[]), Some(Value::List(Box::default())));
        let texts = [Of::Text(1, "zebra"), Of::Text(2, "b"), Of::Text(3, "a"), Of::Text(4, "zebra")];
        assert_eq!(folded_with("top_k", two, &texts), Some(Value::List(["zebra".into(), "a".into()].into())));
    }
}
