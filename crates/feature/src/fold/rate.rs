//! `rate`: how many events `per` that time, over the length of the window or the session so far; absent when it has
//! lasted no time yet.

use super::{Asked, Fold, Item, Mergeable, Options};
use crate::{Val, Value};
use midsession_machine::partial::Partial;

/// `rate`: how many events `per` that time.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    per_ms: i64,
    count: u32,
}

impl Fold for Rate {
    fn set(&mut self, options: &Options) {
        self.per_ms = options.per_ms;
    }

    fn add(&mut self, _item: &Item) {
        self.count += 1;
    }

    fn value<'a>(&self, asked: Asked<'a>) -> Val<'a> {
        rate(f64::from(self.count), self.per_ms, asked.span_ms).map_or(Val::Absent, Val::Float)
    }
}

fn rate(count: f64, per_ms: i64, span_ms: i64) -> Option<f64> {
    (span_ms > 0).then(|| count * per_ms as f64 / span_ms as f64)
}

/// As a partial.
pub(super) const MERGEABLE: Option<Mergeable> = Some(Mergeable {
    start: || Partial::Count(0),
    value: |partial, merged| match partial {
        Partial::Count(count) => rate(*count as f64, merged.options.per_ms, merged.span_ms).map(Value::Float),
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
        let per = Options { per_ms: 1_000, ..Options::default() };
        assert_eq!(folded_with("rate", per, &[]), Some(Value::Float(0.0)));
        let events = [Of::Event(600), Of::Event(700), Of::Event(700)];
        assert_eq!(folded_with("rate", per, &events), Some(Value::Float(6.0)), "three in half a second");
    }
}
