//! What is kept of many values in bounded memory: how many different ones, how often each, how they are distributed.

use data_encoding::BASE64;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use datasketches::tdigest::TDigestMut;
use midsession_event::Str;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// 2^12 registers: a standard error of 1.6 %, at most 2.5 KiB. Up to some hundred values it counts them one by one.
const REGISTERS_LOG2: u8 = 12;
/// The digest's compression: the error of a rank is below 1 %, and smaller towards both ends.
const COMPRESSION: u16 = 200;
/// Values of which the number of occurrences is kept.
const COUNTED_MAX: usize = 1_000;

/// How many different values there were: exact for some hundred, then an estimate.
#[derive(Clone, PartialEq)]
pub struct Distinct(HllSketch);

impl Default for Distinct {
    fn default() -> Self {
        // Invariant: the number of registers is one that the sketch takes.
        Self(HllSketch::new(REGISTERS_LOG2, HllType::Hll4).expect("invariant: 4 to 21"))
    }
}

impl Distinct {
    pub(super) fn add(&mut self, text: &str) {
        self.0.update(midsession_event::hash64(&[text]));
    }

    pub(super) fn add_number(&mut self, number: f64) {
        // Adding zero gives zero one sign.
        self.0.update((number + 0.0).to_bits());
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // Invariant: as above.
        let mut union = HllUnion::new(REGISTERS_LOG2).expect("invariant: 4 to 21");
        union.update(&self.0);
        union.update(&other.0);
        self.0 = union.to_sketch(HllType::Hll4);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.estimate().round() as u64
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.estimated_size()
    }
}

impl std::fmt::Debug for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Distinct({})", self.count())
    }
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0.serialize()))
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HllSketch::deserialize(&bytes(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// A sketch's own bytes, from the text that they are written as.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64.decode(Str::deserialize(deserializer)?.as_bytes()).map_err(D::Error::custom)
}

/// How often each value came: exact for a thousand of them; over that the rarest are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    counts: BTreeMap<Str, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, text: &str, times: u64) {
        match self.counts.get_mut(text) {
            Some(count) => *count += times,
            None => {
                self.counts.insert(text.into(), times);
                // Twice as many, so that forgetting costs each new value the same.
                if self.counts.len() > 2 * COUNTED_MAX {
                    self.forget_rarest();
                }
            }
        }
    }

    fn forget_rarest(&mut self) {
        let mut ranked: Vec<(Str, u64)> = std::mem::take(&mut self.counts).into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked.truncate(COUNTED_MAX);
        self.counts = ranked.into_iter().collect();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (text, count) in &other.counts {
            self.add(text, *count);
        }
    }

    /// Every value with its count, in the order of the values.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, u64)> {
        self.counts.iter().map(|(text, count)| (text, *count))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.counts.len() * (size_of::<Str>() + 16)
    }
}

/// The distribution of numbers, for quantiles.
#[derive(Clone, Debug)]
pub struct Digest(TDigestMut);

impl Default for Digest {
    fn default() -> Self {
        // Invariant: the compression is one that the digest takes.
        Self(TDigestMut::new(COMPRESSION).expect("invariant: at least 10"))
    }
}

impl Digest {
    pub(super) fn add(&mut self, number: f64) {
        if number.is_finite() {
            self.0.update(number);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// The number below which this share of them lies; none of none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        self.0.clone().quantile(share).ok().flatten()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.estimated_size()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.clone().serialize()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.bytes()))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TDigestMut::deserialize(&bytes(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_are_counted_one_by_one_at_first_and_estimated_then() {
        for (count, off) in [(0u64, 0.0), (1, 0.0), (300, 0.0), (10_000, 0.05), (200_000, 0.05)] {
            let (mut left, mut right) = (Distinct::default(), Distinct::default());
            for value in 0..count {
                left.add_number(value as f64);
                if value % 3 == 0 { right.add_number(value as f64) } else { left.add_number(value as f64) }
            }
            left.merge(&right);
            let error = (left.count() as f64 - count as f64).abs();
            assert!(error <= off * count as f64, "{count}: {}", left.count());
        }
    }

    #[test]
    fn the_rarest_are_forgotten_when_there_are_too_many() {
        let mut counts = Counts::default();
        for round in 0..3 {
            for value in 0..1_000 {
                counts.add(&format!("often{value}"), 1);
            }
            for value in 0..5_000 {
                counts.add(&format!("once{round}-{value}"), 1);
            }
        }
        assert!(counts.iter().count() <= 2 * COUNTED_MAX);
        assert_eq!(counts.iter().filter(|(text, count)| text.starts_with("often") && *count == 3).count(), 1_000);
    }

    #[test]
    fn quantiles_are_near() {
        let (mut left, mut right) = (Digest::default(), Digest::default());
        for number in 0..20_000 {
            if number % 7 < 3 { left.add(f64::from(number)) } else { right.add(f64::from(number)) }
        }
        left.merge(&right);
        let text = serde_json::to_string(&left).expect("serializes");
        let read: Digest = serde_json::from_str(&text).expect("reads back");
        for digest in [&left, &read] {
            for share in [0.01, 0.5, 0.95, 0.999] {
                let found = digest.quantile(share).expect("some");
                assert!((found - share * 20_000.0).abs() <= 200.0, "{share}: {found}");
            }
        }
        assert_eq!(Digest::default().quantile(0.5), None);
    }
}
