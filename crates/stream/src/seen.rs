//! The duplicate filter: an event id of a source takes effect once within the horizon.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::VecDeque;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Hashes of the event ids of one visitor, in order of arrival, with the second they arrived in.
#[derive(Clone, Default)]
pub struct Seen {
    ids: VecDeque<Arrival>,
    /// From [`SET_FROM`] ids on: a set beside the list, so that a busy client costs the same per event.
    set: Option<Box<machine_set::Set>>,
}

/// An id, with the second it arrived in. Packed, as there are millions of them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(4))]
struct Arrival {
    id: u64,
    at_s: u32,
}

mod machine_set {
    pub type Set = hashbrown::HashSet<u64, foldhash::fast::FixedState>;
}

/// Below this many ids a scan is as fast as a set, and a quarter of its size.
const SET_FROM: usize = 64;

/// Ids kept of one visitor: two for each fact that is kept of a person.
pub const IDS_MAX: usize = 131_072;

/// The set says nothing that the list does not.
impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl Seen {
    /// Forgets the oldest over the cap, so that there is room for one more; how many.
    pub fn make_room(&mut self) -> u64 {
        let over = (self.ids.len() + 1).saturating_sub(IDS_MAX);
        for arrival in self.ids.drain(..over) {
            if let Some(set) = &mut self.set {
                set.remove(&{ arrival.id });
            }
        }
        over as u64
    }

    /// Remembers the id; false if it was there already. What is past the horizon is for [`Self::expire`] to forget before.
    pub fn insert(&mut self, id: u64, stamp_ms: i64) -> bool {
        let known = match &self.set {
            Some(set) => set.contains(&id),
            None => self.ids.iter().any(|arrival| { arrival.id } == id),
        };
        if known {
            return false;
        }
        if self.ids.len() == self.ids.capacity() {
            self.ids.reserve_exact((self.ids.len() / 2).max(4));
        }
        self.ids.push_back(Arrival { id, at_s: seconds(stamp_ms) });
        match &mut self.set {
            Some(set) => {
                set.insert(id);
            }
            None => self.index(),
        }
        true
    }

    /// Makes the set if it is worth one.
    fn index(&mut self) {
        if self.ids.len() >= SET_FROM {
            self.set = Some(Box::new(self.ids.iter().map(|arrival| arrival.id).collect()));
        }
    }

    /// Forgets what is older than the horizon.
    pub fn expire(&mut self, stamp_ms: i64, horizon_ms: i64) {
        let before_s = seconds(stamp_ms - horizon_ms);
        while let Some(arrival) = self.ids.pop_front_if(|arrival| arrival.at_s < before_s) {
            if let Some(set) = &mut self.set {
                set.remove(&{ arrival.id });
            }
        }
    }

    /// Reads a place at either end of the list.
    pub(crate) fn touch(&self) -> i64 {
        let at = |arrival: Option<&Arrival>| arrival.map_or(0, |arrival| i64::from(arrival.at_s));
        at(self.ids.front()) ^ at(self.ids.back())
    }

    /// Nothing within the horizon.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether there was more than one event within the horizon.
    pub(crate) fn is_more_than_one(&self) -> bool {
        self.ids.len() > 1
    }

    /// Bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.ids.capacity() * size_of::<Arrival>() + self.set.as_ref().map_or(0, |set| set.capacity() * 9)
    }
}

/// As bytes: 12 per id, in order of arrival.
impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (front, back) = self.ids.as_slices();
        if back.is_empty() {
            return serializer.serialize_bytes(front.as_bytes());
        }
        serializer.serialize_bytes(&[front.as_bytes(), back.as_bytes()].concat())
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Seen;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("12 bytes per id")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Seen, E> {
                let (ids, rest) = bytes.as_chunks::<12>();
                if !rest.is_empty() {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                let mut seen = Seen { ids: ids.iter().map(|id| zerocopy::transmute!(*id)).collect(), set: None };
                seen.index();
                Ok(seen)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Whole seconds since the epoch; enough until 2106.
fn seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_once_within_the_horizon() {
        let mut seen = Seen::default();
        let insert = |seen: &mut Seen, id: u64, stamp_ms: i64| {
            seen.expire(stamp_ms, 10_000);
            seen.insert(id, stamp_ms)
        };
        for id in 0..200 {
            assert!(insert(&mut seen, id, 1_000), "{id}");
        }
        for id in 0..200 {
            assert!(!insert(&mut seen, id, 11_000), "{id} is still within the horizon");
        }
        for id in 0..200 {
            assert!(insert(&mut seen, id, 12_000), "{id} is past the horizon");
        }
        assert_eq!(seen.ids.len(), 200);
        assert_eq!(seen.set.as_ref().map(|set| set.len()), Some(200));
    }

    #[test]
    fn the_oldest_ids_go_over_the_cap() {
        let mut seen = Seen::default();
        let ids = IDS_MAX as u64;
        let mut dropped = 0;
        for id in 0..ids + 10 {
            dropped += seen.make_room();
            assert!(seen.insert(id, 1_000));
        }
        assert_eq!((dropped, seen.ids.len()), (10, IDS_MAX));
        assert_eq!(seen.set.as_ref().map(|set| set.len()), Some(IDS_MAX));
        assert!(!seen.insert(10, 1_000) && !seen.insert(ids + 9, 1_000), "these are kept");
        assert!(seen.insert(9, 1_000), "the oldest is not");
    }
}
