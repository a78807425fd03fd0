//! How many events a client address and a source may send, and how many new visitors they may bring: token
//! buckets, bounded in number.

use midsession_event::hash64;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

/// Buckets kept at most. Over it the full ones go (they say nothing), then all.
const BUCKETS_MAX: usize = 100_000;
/// A bucket holds so many seconds of its rate, so that a queue that was kept offline comes through.
const BURST_S: f64 = 10.0;
/// Ids remembered as known; twice as many at most. A forgotten one counts as new again.
const KNOWN_MAX: usize = 500_000;

/// Who sends: the network of an address, since one client has a whole IPv6 network to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network([u8; 7]);

impl Network {
    /// The /24 of an IPv4 address, the /56 of an IPv6 one; none for this machine itself, where proxies and tests are.
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        let mut network = [0; 7];
        match address.to_canonical() {
            address if address.is_loopback() => return None,
            IpAddr::V4(address) => network[..3].copy_from_slice(&address.octets()[..3]),
            IpAddr::V6(address) => network.copy_from_slice(&address.octets()[..7]),
        }
        Some(Self(network))
    }
}

/// Token buckets of one kind. A rate of 0 limits nothing.
pub(crate) struct Buckets<K> {
    per_s: f64,
    buckets: Mutex<HashMap<K, (f64, i64)>>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(per_s: u32) -> Self {
        Self { per_s: f64::from(per_s), buckets: Mutex::default() }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.per_s > 0.0
    }

    /// Takes so many tokens if there are any left; else says in how many seconds to come back.
    pub(crate) fn take(&self, key: K, tokens: usize, now_us: i64) -> Result<(), u32> {
        if !self.is_limited() {
            return Ok(());
        }
        let most = self.per_s * BURST_S;
        let refilled = |(left, at_us): (f64, i64)| (left + (now_us - at_us).max(0) as f64 / 1e6 * self.per_s).min(most);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| refilled(*bucket) < most);
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert((most, now_us));
        let left = refilled(*bucket);
        // One request may overdraw: a batch larger than the bucket would never pass.
        let passes = left > 0.0;
        *bucket = (if passes { left - tokens as f64 } else { left }, now_us);
        if passes { Ok(()) } else { Err(((1.0 - left) / self.per_s).ceil().clamp(1.0, 3_600.0) as u32) }
    }
}

/// Ids seen lately, as hashes in two halves: a full young one takes the place of the old one.
#[derive(Default)]
pub(crate) struct Known(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Halves {
    fn add(&mut self, id: u64) {
        if self.young.len() >= KNOWN_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

impl Known {
    /// The ids not seen lately, each once; the others stay known for longer.
    pub(crate) fn unknown<'a>(&self, ids: impl Iterator<Item = &'a str>) -> HashSet<u64> {
        let mut halves = self.0.lock();
        let mut unknown = HashSet::new();
        for id in ids.map(|id| hash64(&[id])) {
            if halves.young.contains(&id) {
                continue;
            }
            if halves.old.contains(&id) {
                halves.add(id);
            } else {
                unknown.insert(id);
            }
        }
        unknown
    }

    pub(crate) fn add(&self, ids: HashSet<u64>) {
        let mut halves = self.0.lock();
        ids.into_iter().for_each(|id| halves.add(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_known_and_are_forgotten() {
        let known = Known::default();
        let new = |ids: &[&str]| known.unknown(ids.iter().copied());
        let first = new(&["a", "b", "a"]);
        assert_eq!((first.len(), new(&["a"]).len()), (2, 1), "asking makes nobody known");
        known.add(first);
        assert_eq!(new(&["b", "c", "a"]).len(), 1);
        known.add((0..KNOWN_MAX as u64 - 1).collect());
        assert_eq!(new(&["a"]).len(), 0, "kept: in the old half, and young again by this");
        known.add((KNOWN_MAX as u64..2 * KNOWN_MAX as u64).collect());
        assert_eq!((new(&["a"]).len(), new(&["b"]).len()), (0, 1), "b was not seen for long");
        let halves = known.0.lock();
        assert!(halves.young.len() + halves.old.len() <= 2 * KNOWN_MAX);
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let buckets = Buckets::new(10);
        assert_eq!(buckets.take("a", 99, 0), Ok(()));
        assert_eq!(buckets.take("a", 31, 0), Ok(()), "the last one may overdraw");
        assert_eq!(buckets.take("a", 1, 0), Err(4), "30 short of nothing, 31 of one, at 10 a second");
        assert_eq!(buckets.take("b", 1, 0), Ok(()), "each its own");
        assert_eq!(buckets.take("a", 1, 3_100_000), Ok(()));
        assert_eq!(Buckets::new(0).take("a", 1_000_000, 0), Ok(()), "0 is no limit");
    }

    #[test]
    fn their_number_is_bounded() {
        let buckets = Buckets::new(1);
        for key in 0..3 * BUCKETS_MAX {
            assert_eq!(buckets.take(key, 5, 0), Ok(()));
        }
        assert!(buckets.buckets.lock().len() <= BUCKETS_MAX);
    }

    #[test]
    fn networks() {
        let of = |text: &str| Network::of(text.parse().expect("an address"));
        assert_eq!(of("127.0.0.1"), None);
        assert_eq!(of("::1"), None);
        assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"), "one /56");
        assert_ne!(of("2001:db8:0:100::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.9"), "IPv4 within IPv6");
    }
}
