//! Which bytes of a file are taken: the best fit first, neighbours joined when given back, the end as low as it can be.

use std::collections::{BTreeMap, BTreeSet};

/// Lengths are rounded up to this, so that what is given back fits again. Bytes.
const GRAIN: u64 = 64;

/// Free stretches below the end; above it all is free.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    end: u64,
    /// Length by begin: no two touch each other, none touches the end.
    free: BTreeMap<u64, u64>,
    /// (length, begin).
    by_length: BTreeSet<(u64, u64)>,
}

fn rounded(bytes: u64) -> u64 {
    bytes.next_multiple_of(GRAIN)
}

impl Extents {
    /// Where so many bytes may stand, if that is below `most`.
    pub(crate) fn take(&mut self, bytes: u64, most: u64) -> Option<u64> {
        let length = rounded(bytes);
        let Some((found, at)) = self.by_length.range((length, 0)..).next().copied() else {
            let at = self.end;
            self.end = at.checked_add(length).filter(|end| *end <= most)?;
            return Some(at);
        };
        self.remove(at, found);
        if found > length {
            self.insert(at + length, found - length);
        }
        Some(at)
    }

    /// What was taken there is free.
    pub(crate) fn give(&mut self, at: u64, bytes: u64) {
        let (mut at, mut length) = (at, rounded(bytes));
        if let Some((before, len)) = self.free.range(..at).next_back().map(|(at, len)| (*at, *len))
            && before + len == at
        {
            self.remove(before, len);
            (at, length) = (before, length + len);
        }
        if let Some(len) = self.free.get(&(at + length)).copied() {
            self.remove(at + length, len);
            length += len;
        }
        if at + length == self.end {
            self.end = at;
        } else {
            self.insert(at, length);
        }
    }

    /// Nothing is taken from here on.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    fn insert(&mut self, at: u64, length: u64) {
        self.free.insert(at, length);
        self.by_length.insert((length, at));
    }

    fn remove(&mut self, at: u64, length: u64) {
        self.free.remove(&at);
        self.by_length.remove(&(length, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Chance;

    #[test]
    fn the_best_fit_is_taken_and_neighbours_are_joined() {
        let mut extents = Extents::default();
        let all: Vec<_> = [100, 64, 1, 640, 64].map(|bytes| extents.take(bytes, 10_000).expect("room")).into();
        assert_eq!(all, [0, 128, 192, 256, 896]);
        extents.give(256, 640);
        extents.give(128, 64);
        assert_eq!(extents.take(60, 10_000), Some(128), "the smallest that is large enough");
        extents.give(192, 1);
        assert_eq!(extents.take(700, 10_000), Some(192), "two that were neighbours");
        assert_eq!((extents.take(64, 960), extents.end()), (None, 960), "no room");
        extents.give(896, 64);
        extents.give(192, 700);
        assert_eq!((extents.end(), extents.free.len()), (192, 0), "the end goes down");
    }

    #[test]
    fn no_byte_is_given_twice_and_none_is_lost() {
        for seed in 0..50 {
            let mut chance = Chance(seed);
            let mut extents = Extents::default();
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for _ in 0..400 {
                if chance.below(2) == 0 && !taken.is_empty() {
                    let (at, bytes) = taken.swap_remove(chance.below(taken.len() as u64) as usize);
                    extents.give(at, bytes);
                } else {
                    let bytes = 1 + chance.below(2_000);
                    let Some(at) = extents.take(bytes, 20_000) else { continue };
                    assert!(taken.iter().all(|(other, len)| at >= other + len || at + bytes <= *other), "seed {seed}");
                    assert!(at + bytes <= 20_000, "seed {seed}");
                    taken.push((at, bytes));
                }
                let held: u64 = taken.iter().map(|(_, bytes)| rounded(*bytes)).sum();
                assert_eq!(held + extents.free.values().sum::<u64>(), extents.end(), "seed {seed}");
            }
            taken.into_iter().for_each(|(at, bytes)| extents.give(at, bytes));
            assert_eq!((extents.end(), extents.free.len(), extents.by_length.len()), (0, 0, 0), "seed {seed}");
        }
    }
}
