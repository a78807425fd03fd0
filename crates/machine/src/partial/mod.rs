//! Partials: what definitions by a field, and over a lifetime, have added up in one partition. They merge, so that what
//! several partitions have of one product is one value when it is read.

mod amounts;
mod bounded;
mod field;
mod lifetime;
mod piece;
mod sketch;

pub use amounts::Amounts;
pub use field::{FieldPartials, FieldWindow};
pub use lifetime::{Heard, Life, Lifetimes, pack, unpack};
pub use piece::Pieces;
pub use sketch::{Counts, Digest, Distinct, quantile_of};

use bounded::Bounded;
use midsession_event::{Str, plus};
use serde::{Deserialize, Serialize};

/// Everything that a partition adds up beside its shoppers' facts.
#[derive(Clone, Debug, Default)]
pub struct Partials {
    /// By product, category, campaign or another field.
    pub fields: FieldPartials,
    /// By shopper, since they were first seen.
    pub lifetimes: Lifetimes,
}

impl Partials {
    /// Empty, with room for so much.
    pub fn new(field_bytes_max: usize, lifetimes_max: usize) -> Self {
        Self { fields: FieldPartials::new(field_bytes_max), lifetimes: Lifetimes::new(lifetimes_max) }
    }

    /// Forgets what was added up under these slots: their definitions are gone.
    pub fn forget(&mut self, slots: &[u32]) {
        if !slots.is_empty() {
            self.fields.forget(slots);
            self.fields.forget_aside(slots);
            self.lifetimes.forget(slots);
        }
    }
}

/// What of an event is added.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// A number; NaN when it is a text, or nothing but the event itself.
    pub number: f64,
    /// A text.
    pub text: Option<&'a str>,
    /// What the number is an amount of.
    pub currency: Option<&'a str>,
    /// It matched the second condition of the definition.
    pub second: bool,
}

/// One value on its way: pieces are added in any order, two of them can be merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Partial {
    /// How many.
    Count(u64),
    /// What is to be known of numbers.
    Numbers(Numbers),
    /// The value of the earliest event.
    First(Option<Dated>),
    /// The value of the latest event, of equal times the one that arrived last.
    Last(Option<Dated>),
    /// What is divided, and what by.
    Ratio {
        /// How many, or their sum.
        over: f64,
        /// How many of the second kind.
        under: u64,
        /// What is divided, where it is a sum of amounts.
        #[serde(default, skip_serializing_if = "Amounts::is_unknown")]
        amounts: Amounts,
    },
    /// Different values.
    Distinct(Distinct),
    /// How many of each value.
    Counts(Counts),
    /// The distribution of numbers.
    Digest(Digest),
}

/// Count, sum and extremes of numbers; amounts in two currencies have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest and the largest.
    pub extremes: Option<(f64, f64)>,
    /// What they are amounts of.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// A value with its event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dated {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// A number; none when it is a text.
    pub number: Option<f64>,
    /// A text.
    pub text: Option<Str>,
}

impl Partial {
    /// Adds a piece.
    pub fn add(&mut self, piece: &Piece<'_>) {
        let dated = || Dated {
            time_ms: piece.time_ms,
            number: piece.number.is_finite().then_some(piece.number),
            text: piece.text.map(Into::into),
        };
        match self {
            Self::Count(count) => *count += 1,
            Self::Numbers(numbers) => numbers.add(piece.number, piece.currency),
            Self::First(first) => {
                if first.as_ref().is_none_or(|first| piece.time_ms < first.time_ms) {
                    *first = Some(dated());
                }
            }
            Self::Last(last) => {
                if last.as_ref().is_none_or(|last| piece.time_ms >= last.time_ms) {
                    *last = Some(dated());
                }
            }
            Self::Ratio { under, .. } if piece.second => *under += 1,
            Self::Ratio { over, amounts, .. } => {
                *over = sum(*over, if piece.number.is_nan() { 1.0 } else { piece.number });
                amounts.add(piece.currency);
            }
            Self::Distinct(distinct) => match piece.text {
                Some(text) => distinct.add(text),
                None => distinct.add_number(piece.number),
            },
            Self::Counts(counts) => counts.add(piece.text.unwrap_or_default(), 1),
            Self::Digest(digest) => digest.add(piece.number, piece.currency),
        }
    }

    /// All of these, of one kind, as one; none of none.
    pub fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut all = all.into_iter();
        let mut whole = match all.next()? {
            Self::Distinct(first) => {
                let others = all.filter_map(|one| if let Self::Distinct(one) = one { Some(one) } else { None });
                return Some(Self::Distinct(Distinct::merged(std::iter::once(first).chain(others))));
            }
            first => first.clone(),
        };
        all.for_each(|one| whole.merge(one));
        Some(whole)
    }

    /// Takes another of the same kind in; one of another kind changes nothing.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count += more,
            (Self::Numbers(numbers), Self::Numbers(more)) => numbers.merge(more),
            (Self::First(first), Self::First(Some(more)))
                if first.as_ref().is_none_or(|first| more.time_ms < first.time_ms) =>
            {
                *first = Some(more.clone());
            }
            (Self::Last(last), Self::Last(Some(more)))
                if last.as_ref().is_none_or(|last| more.time_ms >= last.time_ms) =>
            {
                *last = Some(more.clone());
            }
            (Self::Ratio { over, under, amounts }, Self::Ratio { over: more, under: by, amounts: others }) => {
                *over = sum(*over, *more);
                *under += by;
                amounts.merge(others);
            }
            (Self::Distinct(distinct), Self::Distinct(more)) => distinct.merge(more),
            (Self::Counts(counts), Self::Counts(more)) => counts.merge(more),
            (Self::Digest(digest), Self::Digest(more)) => digest.merge(more),
            _ => {}
        }
    }

    /// Whether it is of amounts in two currencies.
    pub fn is_mixed(&self) -> bool {
        match self {
            Self::Numbers(Numbers { amounts, .. }) | Self::Ratio { amounts, .. } => amounts.is_mixed,
            Self::Digest(digest) => digest.amounts.is_mixed,
            _ => false,
        }
    }

    /// The same where the currency is of no account.
    pub fn of_any_currency(mut self) -> Self {
        match &mut self {
            Self::Numbers(Numbers { amounts, .. }) | Self::Ratio { amounts, .. } => *amounts = Amounts::default(),
            Self::Digest(digest) => digest.amounts = Amounts::default(),
            _ => {}
        }
        self
    }

    /// Bytes held beside the partial itself, about.
    pub fn heap_bytes(&self) -> usize {
        let text = |dated: &Option<Dated>| {
            dated.as_ref().and_then(|dated| dated.text.as_ref()).map_or(0, |text| text.len().saturating_sub(24))
        };
        match self {
            Self::Count(_) | Self::Numbers(_) | Self::Ratio { .. } => 0,
            Self::First(dated) | Self::Last(dated) => text(dated),
            Self::Distinct(distinct) => distinct.heap_bytes(),
            Self::Counts(counts) => counts.heap_bytes(),
            Self::Digest(digest) => digest.heap_bytes(),
        }
    }
}

impl Numbers {
    fn add(&mut self, number: f64, currency: Option<&str>) {
        if !number.is_finite() {
            return;
        }
        self.count += 1;
        self.sum = sum(self.sum, number);
        let (least, most) = self.extremes.unwrap_or((number, number));
        self.extremes = Some((least.min(number), most.max(number)));
        self.amounts.add(currency);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = sum(self.sum, other.sum);
        self.extremes = match (self.extremes, other.extremes) {
            (Some((least, most)), Some((least_other, most_other))) => {
                Some((least.min(least_other), most.max(most_other)))
            }
            (own, None) => own,
            (None, other) => other,
        };
        self.amounts.merge(&other.amounts);
    }
}

/// A sum that stays a number.
fn sum(a: f64, b: f64) -> f64 {
    plus(a, b).clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(time_ms: i64, number: f64, text: Option<&str>) -> Piece<'_> {
        Piece { time_ms, number, text, currency: None, second: false }
    }

    /// However the pieces are dealt to two partials, their merger is the partial of all.
    #[test]
    fn merging_is_adding() {
        let starts = [
            Partial::Count(0),
            Partial::Numbers(Numbers::default()),
            Partial::First(None),
            Partial::Last(None),
            Partial::Ratio { over: 0.0, under: 0, amounts: Amounts::default() },
            Partial::Distinct(Distinct::default()),
            Partial::Counts(Counts::default()),
            Partial::Digest(Digest::default()),
        ];
        let texts = ["a", "b", "c", "a", "b", "a"];
        let pieces: Vec<Piece<'_>> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| Piece {
                second: index % 3 == 0,
                ..piece(index as i64, index as f64 / 2.0, Some(text))
            })
            .collect();
        for start in starts {
            let mut whole = start.clone();
            pieces.iter().for_each(|piece| whole.add(piece));
            for deal in 0..1 << pieces.len() {
                let (mut left, mut right) = (start.clone(), start.clone());
                for (index, piece) in pieces.iter().enumerate() {
                    if deal >> index & 1 == 0 { left.add(piece) } else { right.add(piece) }
                }
                left.merge(&right);
                assert_eq!(left, whole, "dealt {deal:b}");
                let text = serde_json::to_string(&left).expect("serializes");
                assert_eq!(serde_json::from_str::<Partial>(&text).expect("reads back"), left, "{text}");
            }
        }
    }

    /// Whether it was written down and read back on the way, a partial comes to the same, byte by byte.
    #[test]
    fn what_was_read_back_goes_on_as_if_it_had_not_been() {
        let starts = [
            Partial::Numbers(Numbers::default()),
            Partial::Last(None),
            Partial::Ratio { over: 0.0, under: 0, amounts: Amounts::default() },
            Partial::Distinct(Distinct::default()),
            Partial::Counts(Counts::default()),
            Partial::Digest(Digest::default()),
        ];
        let text = |partial: &Partial| serde_json::to_string(partial).expect("serializes");
        let saved = |partial: &Partial| serde_json::from_str::<Partial>(&text(partial)).expect("reads back");
        for start in starts {
            let (mut whole, mut state) = (start.clone(), 7_u64);
            let mut again = [7, 100, 1_000].map(|every| (every, start.clone()));
            let mut other = (start.clone(), start.clone());
            for index in 0..4_000_i64 {
                // Knuth's MMIX generator; the high bits are the good ones.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Many digits, some numbers more often than others.
                let number = ((state >> 33) % 3_000) as f64 / 7.0;
                let name = number.to_string();
                let piece = Piece { second: index % 5 == 0, ..piece(index, number, (index % 2 == 0).then_some(&name)) };
                if index % 700 < 200 {
                    // These come by another partial, as at a login.
                    other.0.add(&piece);
                    other.1.add(&piece);
                    other.1 = saved(&other.1);
                } else {
                    whole.add(&piece);
                    again.iter_mut().for_each(|(_, partial)| partial.add(&piece));
                }
                if index % 700 == 200 {
                    whole.merge(&other.0);
                    again.iter_mut().for_each(|(_, partial)| partial.merge(&other.1));
                    other = (start.clone(), start.clone());
                }
                for (every, partial) in &mut again {
                    if index % *every == 0 {
                        *partial = saved(partial);
                        assert_eq!(text(partial), text(&whole), "{index}, written down every {every}");
                        assert_eq!(partial.heap_bytes(), whole.heap_bytes(), "{index}, written down every {every}");
                    }
                }
            }
        }
    }

    #[test]
    fn sketches_as_they_were_written_before_are_read() {
        let distinct = r#"{"Distinct":"AgEHDAMIAwA0ea4O4PZPCN0PnQg="}"#;
        let digest = r#"{"Digest":"AgEUyAAEAAADAAAAAAAAAAAAAAAAAPA/AAAAAAAACEAAAAAAAADwPwEAAAAAAAAAAAAAAAAAAEABAAAAAAAAAAAAAAAAAAhAAQAAAAAAAAA="}"#;
        match serde_json::from_str(distinct).expect("reads") {
            Partial::Distinct(distinct) => assert_eq!(distinct.count(), 3),
            other => panic!("{other:?}"),
        }
        match serde_json::from_str(digest).expect("reads") {
            Partial::Digest(digest) => assert_eq!(digest.quantile(0.5), Some(2.0)),
            other => panic!("{other:?}"),
        }
        for wrong in [r#"{"Digest":"A"}"#, r#"{"Distinct":".AAAA"}"#, r#"{"Distinct":"AAAA."}"#] {
            serde_json::from_str::<Partial>(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn two_currencies_are_noticed_wherever_they_meet() {
        let amount = |currency| Piece { currency, ..piece(1, 1.0, None) };
        let text = |partial: &Partial| serde_json::to_string(partial).expect("serializes");
        let saved = |partial: &Partial| serde_json::from_str::<Partial>(&text(partial)).expect("reads back");
        for start in [
            Partial::Numbers(Numbers::default()),
            Partial::Ratio { over: 0.0, under: 0, amounts: Amounts::default() },
            Partial::Digest(Digest::default()),
        ] {
            let mut euros = start.clone();
            euros.add(&amount(Some("EUR")));
            euros = saved(&euros);
            euros.add(&amount(None));
            assert!(!euros.is_mixed(), "{euros:?}");
            let mut francs = start;
            francs.add(&amount(Some("CHF")));
            let mut both = euros.clone();
            both.merge(&saved(&francs));
            assert!(both.is_mixed() && saved(&both) == both, "{both:?}");
            francs.merge(&both);
            assert!(francs.is_mixed(), "{francs:?}");
            euros.add(&amount(Some("CHF")));
            assert!(euros.is_mixed(), "{euros:?}");
        }
        let earlier = r#"{"Ratio":{"over":1.0,"under":2}}"#;
        assert_eq!(text(&serde_json::from_str(earlier).expect("reads")), earlier, "as it was written before");
    }
}
