//! Slots that never move, found by id: a partition's shoppers, and its visitors.

use crate::shopper::{Shopper, Visitor};
use hashbrown::HashTable;
use midsession_event::ShopperId;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

/// Slots of one piece. One long list would be copied whole each time it grows, into memory that is touched for the first
/// time then: an eighth of the time of a rush of new shoppers went there.
const PIECE: usize = 64;

/// Whose slot it is.
pub(crate) trait Keyed {
    /// It never changes.
    fn id(&self) -> &ShopperId;
}

impl Keyed for Shopper {
    fn id(&self) -> &ShopperId {
        &self.id
    }
}

impl Keyed for (ShopperId, Visitor) {
    fn id(&self) -> &ShopperId {
        &self.0
    }
}

/// Numbered slots, each taken or not.
#[derive(Clone, Debug)]
pub(crate) struct Slots<T> {
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    /// The taken ones by id. The ids themselves stand in the slots, which are looked at next anyway.
    by_id: HashTable<u32>,
}

fn hash(id: &ShopperId) -> u64 {
    foldhash::fast::FixedState::default().hash_one(id)
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new(), by_id: HashTable::new() }
    }
}

impl<T: Keyed> Slots<T> {
    /// The slot of this id.
    #[inline]
    pub(crate) fn find(&self, id: &ShopperId) -> Option<u32> {
        self.by_id.find(hash(id), |slot| self.get(*slot as usize).is_some_and(|taken| taken.id() == id)).copied()
    }

    /// Takes an empty slot for somebody who has none; false if it is not empty.
    pub(crate) fn fill(&mut self, slot: u32, value: T) -> bool {
        let Self { pieces, by_id, .. } = self;
        let place = pieces.get_mut(slot as usize / PIECE).and_then(|piece| piece.get_mut(slot as usize % PIECE));
        let Some(place) = place.filter(|place| place.is_none()) else { return false };
        let hash_of_new = hash(value.id());
        *place = Some(value);
        let hash_of = |slot: &u32| {
            let taken = pieces[*slot as usize / PIECE][*slot as usize % PIECE].as_ref();
            taken.map_or(0, |taken| hash(taken.id()))
        };
        by_id.insert_unique(hash_of_new, slot, hash_of);
        true
    }

    /// Empties a slot, for whoever comes next.
    pub(crate) fn release(&mut self, slot: u32) -> Option<T> {
        let taken = self[slot as usize].take()?;
        if let Ok(entry) = self.by_id.find_entry(hash(taken.id()), |known| *known == slot) {
            entry.remove();
        }
        self.free.push(slot);
        Some(taken)
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.by_id.len()
    }
}

impl<T> Slots<T> {
    /// So many empty slots, those of them free that are said to be, the last one first in turn.
    pub(crate) fn with(slots: u32, free: Vec<u32>) -> Self {
        let mut this = Self::default();
        (0..slots).for_each(|_| _ = this.push());
        this.free = free;
        this
    }

    /// How many slots, taken or not.
    pub(crate) fn len(&self) -> usize {
        match self.pieces.as_slice() {
            [] => 0,
            [full @ .., last] => full.len() * PIECE + last.len(),
        }
    }

    /// A slot that is not taken: the one freed last, else a new one.
    pub(crate) fn claim(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.push())
    }

    /// The free slots, in the order in which they became so.
    pub(crate) fn free(&self) -> &[u32] {
        &self.free
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&T> {
        self.pieces.get(slot / PIECE)?.get(slot % PIECE)?.as_ref()
    }

    /// What is in the taken ones, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten().flatten()
    }

    /// Bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        let indexed = self.by_id.capacity() * (size_of::<u32>() + 1);
        self.pieces.len() * PIECE * size_of::<Option<T>>() + self.free.capacity() * size_of::<u32>() + indexed
    }

    fn push(&mut self) -> u32 {
        // Invariant: `Config::shoppers_max` keeps a partition far below 2^32 slots.
        let slot = self.len() as u32;
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(None),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(None);
                self.pieces.push(piece);
            }
        }
        slot
    }
}

impl<T> Index<usize> for Slots<T> {
    type Output = Option<T>;

    #[inline]
    fn index(&self, slot: usize) -> &Option<T> {
        &self.pieces[slot / PIECE][slot % PIECE]
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    #[inline]
    fn index_mut(&mut self, slot: usize) -> &mut Option<T> {
        &mut self.pieces[slot / PIECE][slot % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> ShopperId {
        ShopperId::User(format!("u{number}").into())
    }

    #[test]
    fn the_slot_freed_last_is_claimed_first_and_others_stay_where_they_are() {
        let mut slots = Slots::default();
        for number in 0..200 {
            let slot = slots.claim();
            assert_eq!(slot as usize, number);
            assert!(slots.fill(slot, Shopper::new(user(number))));
        }
        assert!(!slots.fill(7, Shopper::new(user(1_000))), "it is taken");
        assert!(!slots.fill(200, Shopper::new(user(1_000))), "there is none of that number");
        assert_eq!((slots.len(), slots.taken()), (200, 200));
        assert_eq!((slots.find(&user(130)), slots.find(&user(1_000))), (Some(130), None));
        let gone = |shopper: Option<Shopper>| shopper.map(|shopper| shopper.id);
        assert_eq!(gone(slots.release(3)), Some(user(3)));
        assert_eq!(gone(slots.release(70)), Some(user(70)));
        assert_eq!(gone(slots.release(70)), None);
        assert_eq!((slots.free(), slots.find(&user(3)), slots.iter().count()), ([3, 70].as_slice(), None, 198));
        assert_eq!((slots.claim(), slots.claim(), slots.claim()), (70, 3, 200));
        let again: Slots<Shopper> = Slots::with(65, vec![64, 2]);
        assert_eq!((again.len(), again.free(), again.iter().count()), (65, [64, 2].as_slice(), 0));
    }
}
