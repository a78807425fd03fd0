//! `top`: the most frequent text, of equally frequent ones the first in the alphabet.

use super::{Asked, Fold, Item, Mergeable};
use crate::{Val, Value};
use midsession_machine::Map;
use midsession_machine::partial::Partial;

/// `top`: the most frequent text, of equally frequent ones the first in the alphabet.
#[derive(Clone, Debug, Default)]
pub struct Top {
    counts: Map<u32, u32>,
}

impl Fold for Top {
    fn add(&mut self, item: &Item) {
        *self.counts.entry(item.text).or_default() += 1;
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        let named = self.counts.iter().filter_map(|(text, count)| Some((*count, asked.names.name(*text)?)));
        let best = named.max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)));
        Val::text(best.map(|(_, name)| name))
    }
}

/// As a partial: of the thousand most frequent texts.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Counts(Default::default()),
    value: |partial, _| match partial {
        Partial::Counts(counts) => {
            let best = counts.iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
            best.map(|(text, _)| Value::Text(text.clone()))
        }
        _ => None,
    },
});

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::testing::{Of, folded};

    #[test]
    fn examples() {
        assert_eq!(folded("top", &[]), None);
        let texts = [Of::Text(1, "b"), Of::Text(2, "a"), Of::Text(3, "b")];
        assert_eq!(folded("top", &texts), Some(Value::Text("b".into())));
        let tie = [Of::Text(1, "zebra"), Of::Text(2, "b"), Of::Text(3, "a")];
        assert_eq!(folded("top", &tie), Some(Value::Text("a".into())), "a tie");
    }
}
