//! `count_per_value`: how often each text came, the most frequent first, at most `limit` of them (else 1,000); empty
//! when there are none.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_event::Str;
use midsession_machine::Map;
use midsession_machine::partial::Partial;

/// So many texts without a limit.
const LIMIT: usize = 1_000;

/// `count_per_value`: how often each text came, the most frequent first.
#[derive(Clone, Debug, Default)]
pub struct CountPerValue {
    limit: usize,
    counts: Map<u32, i64>,
}

impl Fold for CountPerValue {
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
        Some(Value::Map(self.ranked(asked).into()))
    }
}

impl CountPerValue {
    /// The most frequent texts with their counts.
    pub(super) fn ranked(&self, asked: Asked<'_>) -> Vec<(Str, i64)> {
        let named = self.counts.iter().filter_map(|(text, count)| Some((asked.names.name(*text)?.clone(), *count)));
        ranked(named, self.limit)
    }
}

/// As a partial: of the thousand most frequent texts.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Counts(Default::default()),
    value: |partial, merged| Some(Value::Map(ranked_of(partial, merged.options.limit)?.into())),
});

/// The most frequent texts of a partial, with their counts.
pub(super) fn ranked_of(partial: &Partial, limit: usize) -> Option<Vec<(Str, i64)>> {
    let Partial::Counts(counts) = partial else { return None };
    Some(ranked(counts.iter().map(|(text, count)| (text.clone(), count.cast_signed())), limit))
}

/// The most frequent ones, equally frequent ones in the order of the alphabet; no limit is 0.
fn ranked(counts: impl Iterator<Item = (Str, i64)>, limit: usize) -> Vec<(Str, i64)> {
    let mut ranked: Vec<(Str, i64)> = counts.collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(if limit == 0 { LIMIT } else { limit });
    ranked
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::fold::Options;
    use crate::fold::testing::{Of, folded, folded_with};

    #[test]
    fn examples() {
        assert_eq!(folded("count_per_value", &[]), Some(Value::Map(Box::default())));
        let texts = [Of::Text(1, "zebra"), Of::Text(2, "b"), Of::Text(3, "a"), Of::Text(4, "zebra")];
        let all = vec![("zebra".into(), 2), ("a".into(), 1), ("b".into(), 1)];
        assert_eq!(folded("count_per_value", &texts), Some(Value::Map(all.clone().into())));
        let one = Options { limit: 1, ..Options::default() };
        assert_eq!(folded_with("count_per_value", one, &texts), Some(Value::Map(all[..1].into())));
    }
}
