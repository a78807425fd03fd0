//! A table with a bound: over it, of the next few entries, the one that was in use least lately goes. A copy of it as it
//! is now costs next to nothing: entries are shared until they change.

use crate::Map;
use std::hash::Hash;
use std::sync::Arc;

/// So many are looked at for the one to go.
const LOOKED_AT: usize = 16;
/// Entries that are shared, and copied, together.
const CHUNK: usize = 32;

/// Entries in slots, found by their key.
#[derive(Clone, Debug)]
pub(super) struct Bounded<K, V> {
    chunks: Vec<Arc<Vec<(K, V)>>>,
    index: Map<K, u32>,
    next: usize,
}

/// A table as it was at an instant, for writing it down.
#[derive(Clone, Debug)]
pub(super) struct Shared<K, V> {
    pub(super) chunks: Vec<Arc<Vec<(K, V)>>>,
    pub(super) next: usize,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), index: Map::default(), next: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Bounded<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.at(*self.index.get(key)? as usize).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = *self.index.get(key)? as usize;
        self.at_mut(slot).map(|(_, value)| value)
    }

    /// The entry of this key, made if it is not there.
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        let slot = match self.index.get(key) {
            Some(slot) => *slot as usize,
            None => {
                self.push(key.clone(), make());
                self.len() - 1
            }
        };
        // Invariant: the index leads to slots that are there.
        &mut self.at_mut(slot).expect("invariant: a slot").1
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.index.remove(key)? as usize;
        let last = Arc::make_mut(self.chunks.last_mut()?).pop()?;
        if self.chunks.last().is_some_and(|chunk| chunk.is_empty()) {
            self.chunks.pop();
        }
        if slot == self.len() {
            return Some(last.1);
        }
        self.index.insert(last.0.clone(), slot as u32);
        Some(std::mem::replace(self.at_mut(slot)?, last).1)
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len().saturating_sub(1) * CHUNK + self.chunks.last().map_or(0, |chunk| chunk.len())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// The next entry, around and around: for forgetting what is over.
    pub(super) fn step(&mut self) -> Option<(&K, &V)> {
        self.next = if self.next + 1 < self.len() { self.next + 1 } else { 0 };
        self.at(self.next).map(|(key, value)| (key, value))
    }

    /// Every key, for going through all of them while they change.
    pub(super) fn keys(&self) -> Vec<K> {
        self.iter().map(|(key, _)| key.clone()).collect()
    }

    /// The key of the entry that was in use least lately, of the next few.
    pub(super) fn stalest(&mut self, last_ms: impl Fn(&V) -> i64) -> Option<K> {
        let mut stalest: Option<(i64, K)> = None;
        for _ in 0..LOOKED_AT.min(self.len()) {
            let Some((key, value)) = self.step() else { break };
            let at_ms = last_ms(value);
            if stalest.as_ref().is_none_or(|(known_ms, _)| at_ms < *known_ms) {
                stalest = Some((at_ms, key.clone()));
            }
        }
        stalest.map(|(_, key)| key)
    }

    /// The table as it is now.
    pub(super) fn shared(&self) -> Shared<K, V> {
        Shared { chunks: self.chunks.clone(), next: self.next }
    }

    /// Takes entries of a table that was written down, in their order; where its next look began comes last.
    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        entries.into_iter().for_each(|(key, value)| self.push(key, value));
    }

    pub(super) fn look_from(&mut self, next: usize) {
        self.next = next;
    }

    fn push(&mut self, key: K, value: V) {
        self.index.insert(key.clone(), self.len() as u32);
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push((key, value)),
            None => self.chunks.push(Arc::new(vec![(key, value)])),
        }
    }

    fn at(&self, slot: usize) -> Option<&(K, V)> {
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)
    }

    fn at_mut(&mut self, slot: usize) -> Option<&mut (K, V)> {
        Arc::make_mut(self.chunks.get_mut(slot / CHUNK)?).get_mut(slot % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(shared: &Shared<u32, i64>) -> Bounded<u32, i64> {
        let mut read = Bounded::default();
        shared.chunks.iter().for_each(|chunk| read.extend(chunk.iter().copied()));
        read.look_from(shared.next);
        read
    }

    #[test]
    fn entries_are_found_whatever_goes() {
        let mut table = Bounded::<u32, i64>::default();
        for key in 0..100 {
            *table.entry(&key, || 0) += i64::from(key);
        }
        let before = table.shared();
        for key in (0..100).filter(|key| key % 3 == 0) {
            assert_eq!(table.remove(&key), Some(i64::from(key)));
        }
        assert_eq!((table.remove(&0), table.len()), (None, 66));
        for key in 0..100 {
            assert_eq!(table.get(&key).copied(), (key % 3 != 0).then_some(i64::from(key)), "{key}");
        }
        *table.entry(&1, || 0) = 7;
        let then: Vec<(u32, i64)> = written(&before).iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(
            then,
            (0..100).map(|key| (key, i64::from(key))).collect::<Vec<_>>(),
            "what is shared does not change"
        );
        let mut read = written(&table.shared());
        for _ in 0..200 {
            assert_eq!(read.stalest(|value| *value), table.stalest(|value| *value));
        }
        (0..100).for_each(|key| _ = table.remove(&key));
        assert_eq!((table.len(), table.chunks.len()), (0, 0));
    }

    #[test]
    fn the_stalest_of_a_few_goes() {
        let mut table = Bounded::<u32, i64>::default();
        for key in 0..10 {
            table.entry(&key, || i64::from((key + 5) % 10));
        }
        assert_eq!(table.stalest(|value| *value), Some(5));
        assert_eq!(Bounded::<u32, i64>::default().stalest(|value| *value), None);
    }
}
