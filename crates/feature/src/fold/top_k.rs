//! `top_k`: the most frequent texts, `limit` of them, equally frequent ones in the order of the alphabet; empty when
//! there are none.

use super::count_per_value::ranked;
use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_machine::Map;
use midsession_machine::partial::Partial;

/// `top_k`: the most frequent texts, `limit` of them.
#[derive(Clone, Debug, Default)]
pub struct TopK {
    limit: usize,
    counts: Map<u32, i64>,
}

impl Fold for TopK {
    fn set(&mut self, options: &Options) {
        self.limit = options.limit;
    }

    fn add(&mut self, item: &Item) {
        *self.counts.entry(item.text).or_default() += 1;
    }

    fn value<'a>(&self, _asked: Asked<'a>) -> Val<'a> {
        Val::Absent
    }

    fn whole(&self, asked: Asked<'_>) -> Option<Value> {
        let named = self.counts.iter().filter_map(|(text, count)| Some((asked.names.name(*text)?.clone(), *count)));
        Some(Value::List(ranked(named, self.limit).into_iter().map(|(text, _)| text).collect()))
    }
}

/// As a partial: of the thousand most frequent texts.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Counts(Default::default()),
    value: |partial, merged| match partial {
        Partial::Counts(counts) => {
            let named = counts.iter().map(|(text, count)| (text.clone(), count.cast_signed()));
            Some(Value::List(ranked(named, merged.options.limit).into_iter().map(|(text, _)| text).collect()))
        }
        _ => None,
    },
});

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
