//! Partials: what definitions by a field, and over a lifetime, have added up in one partition. They merge, so that what
//! several partitions have of one product is one value when it is read.

mod bounded;
mod field;
mod lifetime;
mod piece;
mod sketch;

pub use field::{FieldPartials, FieldWindow};
pub use lifetime::{Life, Lifetimes, pack, unpack};
pub use piece::Pieces;
pub use sketch::{Counts, Digest, Distinct};

use bounded::Bounded;
use midsession_event::Str;
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
    pub currency: Option<Str>,
    /// They are amounts of different things.
    pub is_mixed: bool,
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
            Self::Ratio { over, .. } => *over = sum(*over, if piece.number.is_nan() { 1.0 } else { piece.number }),
            Self::Distinct(distinct) => match piece.text {
                Some(text) => distinct.add(text),
                None => distinct.add_number(piece.number),
            },
            Self::Counts(counts) => counts.add(piece.text.unwrap_or_default(), 1),
            Self::Digest(digest) => digest.add(piece.number),
        }
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
            (Self::Ratio { over, under }, Self::Ratio { over: more, under: by }) => {
                *over = sum(*over, *more);
                *under += by;
            }
            (Self::Distinct(distinct), Self::Distinct(more)) => distinct.merge(more),
            (Self::Counts(counts), Self::Counts(more)) => counts.merge(more),
            (Self::Digest(digest), Self::Digest(more)) => digest.merge(more),
            _ => {}
        }
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
        self.is_amount_of(currency);
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
        self.is_mixed |= other.is_mixed;
        self.is_amount_of(other.currency.as_deref());
    }

    fn is_amount_of(&mut self, currency: Option<&str>) {
        match (&self.currency, currency) {
            (Some(known), Some(currency)) => self.is_mixed |= known != currency,
            (None, Some(currency)) => self.currency = Some(currency.into()),
            (_, None) => {}
        }
    }
}

/// A sum that stays a number.
fn sum(a: f64, b: f64) -> f64 {
    (a + b).clamp(f64::MIN, f64::MAX)
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
            Partial::Ratio { over: 0.0, under: 0 },
            Partial::Distinct(Distinct::default()),
            Partial::Counts(Counts::default()),
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

    #[test]
    fn two_currencies_are_noticed_wherever_they_meet() {
        let mut euros = Numbers::default();
        euros.add(1.0, Some("EUR"));
        euros.add(1.0, None);
        assert!(!euros.is_mixed);
        let mut francs = Numbers::default();
        francs.add(1.0, Some("CHF"));
        let mut both = euros.clone();
        both.merge(&francs);
        assert!(both.is_mixed);
        euros.add(2.0, Some("CHF"));
        assert!(euros.is_mixed);
    }
}
