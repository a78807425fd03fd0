//! What is kept of many values in bounded memory: how many different ones, how often each, how they are distributed.

use super::Amounts;
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
/// Values that wait to be taken into a sketch together.
const NEW_MAX: usize = 128;
/// Centroids that a digest of this compression has at most, once all is taken in, and what each takes. Bytes.
const CENTROIDS: (u64, usize) = (2 * COMPRESSION as u64 + 10, 16);

/// How many different values there were: exact for some hundred, then an estimate.
///
/// A sketch that goes on from its bytes arranges them otherwise than one that was never written down, though both count the
/// same. So the bytes are what is kept, and what is new stands beside them: from a snapshot on all is as it would have been.
#[derive(Clone, PartialEq, Default)]
pub struct Distinct {
    /// None before there is a sketch.
    sketch: Box<[u8]>,
    /// Hashes that are not in the sketch yet, ascending.
    new: Vec<u64>,
}

impl Distinct {
    pub(super) fn add(&mut self, text: &str) {
        self.add_hash(midsession_event::hash64(&[text]));
    }

    pub(super) fn add_number(&mut self, number: f64) {
        // Adding zero gives zero one sign.
        self.add_hash((number + 0.0).to_bits());
    }

    fn add_hash(&mut self, hash: u64) {
        if let Err(at) = self.new.binary_search(&hash) {
            self.new.insert(at, hash);
            if self.new.len() == NEW_MAX {
                self.sketch = self.whole().serialize().into();
                self.new = Vec::new();
            }
        }
    }

    /// With what is new.
    fn whole(&self) -> HllSketch {
        // Invariant: the number of registers is one that the sketch takes.
        let empty = || HllSketch::new(REGISTERS_LOG2, HllType::Hll4).expect("invariant: 4 to 21");
        let mut sketch = self.read().unwrap_or_else(empty);
        self.new.iter().for_each(|hash| sketch.update(hash));
        sketch
    }

    fn read(&self) -> Option<HllSketch> {
        // Invariant: a sketch's own bytes, or read as one before.
        (!self.sketch.is_empty()).then(|| HllSketch::deserialize(&self.sketch).expect("invariant: a sketch"))
    }

    /// All of these as one. One union for all of them: each costs as much as a sketch has registers.
    pub(super) fn merged<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        // Invariant: as above.
        let empty = || HllUnion::new(REGISTERS_LOG2).expect("invariant: 4 to 21");
        let (mut union, mut merged) = (None, Self::default());
        for one in all {
            one.read().iter().for_each(|sketch| union.get_or_insert_with(empty).update(sketch));
            one.new.iter().for_each(|hash| merged.add_hash(*hash));
        }
        if let Some(mut union) = union {
            merged.read().iter().for_each(|sketch| union.update(sketch));
            merged.sketch = union.to_sketch(HllType::Hll4).serialize().into();
        }
        merged
    }

    pub(super) fn merge(&mut self, other: &Self) {
        *self = Self::merged([&*self, other]);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.whole().estimate().round() as u64
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.sketch.len() + size_of_val(&*self.new)
    }
}

impl std::fmt::Debug for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Distinct({})", self.count())
    }
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(&self.sketch, &self.new, "", serializer)
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (sketch, new, _) = read(deserializer)?;
        if !sketch.is_empty() {
            HllSketch::deserialize(&sketch).map_err(D::Error::custom)?;
        }
        Ok(Self { sketch: sketch.into(), new })
    }
}

/// A sketch's own bytes and what is not in it yet, in base64 with a dot between them. Before there was anything beside a
/// sketch, it was written without one. What follows another dot is given back as it was.
fn written<S: Serializer>(sketch: &[u8], new: &[u64], rest: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let new: Vec<u8> = new.iter().flat_map(|value| value.to_le_bytes()).collect();
    serializer.collect_str(&format_args!("{}.{}{rest}", BASE64.encode_display(sketch), BASE64.encode_display(&new)))
}

/// A sketch's own bytes, what is not in it yet, and the rest.
type Read = (Vec<u8>, Vec<u64>, Option<Str>);

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
    let text = Str::deserialize(deserializer)?;
    let mut parts = text.splitn(3, '.');
    let (sketch, new) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let bytes = |text: &str| BASE64.decode(text.as_bytes()).map_err(D::Error::custom);
    let new = bytes(new)?;
    let (values, rest) = new.as_chunks::<8>();
    if !rest.is_empty() || values.len() >= NEW_MAX {
        return Err(D::Error::custom("values of 8 bytes that were not taken into the sketch"));
    }
    Ok((bytes(sketch)?, values.iter().map(|value| u64::from_le_bytes(*value)).collect(), parts.next().map(Into::into)))
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
///
/// What a digest comes to depends on when it takes in what is new, and writing it down makes it do so. So what is new stands
/// beside it: from a snapshot on all is as it would have been.
#[derive(Clone, Debug)]
pub struct Digest {
    digest: TDigestMut,
    /// Not in the digest yet, ascending.
    new: Vec<f64>,
    /// What they are amounts of.
    pub amounts: Amounts,
}

impl Default for Digest {
    fn default() -> Self {
        // Invariant: the compression is one that the digest takes.
        let digest = TDigestMut::new(COMPRESSION).expect("invariant: at least 10");
        Self { digest, new: Vec::new(), amounts: Amounts::default() }
    }
}

impl Digest {
    pub(super) fn add(&mut self, number: f64, currency: Option<&str>) {
        if number.is_finite() {
            self.amounts.add(currency);
            let at = self.new.partition_point(|known| known.total_cmp(&number).is_le());
            self.new.insert(at, number);
            if self.new.len() == NEW_MAX {
                self.digest = self.whole().freeze().unfreeze();
                self.new = Vec::new();
            }
        }
    }

    /// With what is new.
    fn whole(&self) -> TDigestMut {
        let mut digest = self.digest.clone();
        self.new.iter().for_each(|number| digest.update(*number));
        digest
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.digest.merge(&other.digest);
        other.new.iter().for_each(|number| self.add(*number, None));
        self.amounts.merge(&other.amounts);
    }

    /// The number below which this share of them lies; none of none, and of amounts in two currencies.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if self.amounts.is_mixed {
            return None;
        }
        if self.digest.is_empty() {
            // A few are all here: no estimate.
            return quantile_of(&self.new, share);
        }
        self.whole().quantile(share).ok().flatten()
    }

    /// By what it holds: how much room a digest has beside that is no part of the state.
    pub(super) fn heap_bytes(&self) -> usize {
        let (most, each) = CENTROIDS;
        self.digest.total_weight().min(most) as usize * each + size_of_val(&*self.new)
    }

    fn parts(&self) -> (Vec<u8>, Vec<u64>) {
        let is_empty = self.digest.is_empty();
        let digest = if is_empty { Vec::new() } else { self.digest.clone().serialize() };
        (digest, self.new.iter().map(|number| number.to_bits()).collect())
    }
}

/// The number below which a share of these lies, between two of them in proportion. They ascend; none of none.
pub fn quantile_of(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(if place.fract() > 0.0 { low + (high - low) * place.fract() } else { *low })
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts() && self.amounts == other.amounts
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (digest, new) = self.parts();
        // After the second dot stands the currency; nothing where there were two.
        let amounts = match &self.amounts {
            Amounts { is_mixed: true, .. } => ".".to_owned(),
            Amounts { currency, .. } => currency.as_ref().map_or_else(String::new, |currency| format!(".{currency}")),
        };
        written(&digest, &new, &amounts, serializer)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bytes, new, currency) = read(deserializer)?;
        let currency = currency.as_deref();
        let mut digest = Self::default();
        digest.amounts.is_mixed = currency == Some("");
        digest.amounts.add(currency);
        if !bytes.is_empty() {
            digest.digest = TDigestMut::deserialize(&bytes).map_err(D::Error::custom)?;
        }
        digest.new = new.into_iter().map(f64::from_bits).collect();
        Ok(digest)
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
            if number % 7 < 3 { left.add(f64::from(number), None) } else { right.add(f64::from(number), None) }
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
        let mut few = Digest::default();
        [30.0, 10.0, 20.0].iter().for_each(|number| few.add(*number, None));
        let at = |share: f64| few.quantile(share);
        assert_eq!([at(0.0), at(0.5), at(0.75), at(1.0)], [10.0, 20.0, 25.0, 30.0].map(Some), "as over facts");
    }
}
