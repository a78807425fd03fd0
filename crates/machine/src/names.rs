//! The partition's numbers for product ids, categories and currencies, given in the order of first appearance.

use hashbrown::HashTable;
use midsession_event::Str;
use std::hash::BuildHasher;

/// Names and their numbers; 0 is «none».
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By name, which stands in the list alone: most of a rush's names are products seen once.
    numbers: HashTable<u32>,
    names: Vec<Str>,
}

fn hash(name: &str) -> u64 {
    foldhash::fast::FixedState::default().hash_one(name)
}

impl Names {
    /// The name's number, given now if it has none.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.get(name) {
            return number;
        }
        // Invariant: a partition sees fewer than 2^32 distinct names.
        self.names.push(name.into());
        let Self { numbers, names } = self;
        let number = names.len() as u32;
        numbers.insert_unique(hash(name), number, |number| hash(&names[*number as usize - 1]));
        number
    }

    /// The number of a name seen before.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.numbers.find(hash(name), |number| self.names[*number as usize - 1] == name).copied()
    }

    /// The name behind a number.
    pub fn name(&self, number: u32) -> Option<&Str> {
        self.names.get((number as usize).checked_sub(1)?)
    }

    /// Keeps the names whose numbers are marked, in their order, under new numbers. Returns the new number of each old
    /// one, by that one; 0 for what is gone.
    pub fn keep(&mut self, is_used: &[bool]) -> Vec<u32> {
        let mut renamed = vec![0; self.names.len() + 1];
        let old = std::mem::take(self);
        for (name, number) in old.names.iter().zip(1..) {
            if is_used.get(number).copied().unwrap_or(false) {
                renamed[number] = self.number(name);
            }
        }
        renamed
    }

    /// All of them, by number: the first has 1.
    pub fn all(&self) -> &[Str] {
        &self.names
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_new_numbers() {
        let mut names = Names::default();
        for name in ["a", "b", "c", "d"] {
            names.number(name);
        }
        assert_eq!(names.keep(&[false, false, true, false, true]), [0, 0, 1, 0, 2]);
        assert_eq!(names.len(), 2);
        assert_eq!((names.get("b"), names.get("d"), names.get("a")), (Some(1), Some(2), None));
        assert_eq!(names.name(2).map(|name| name.as_str()), Some("d"));
        assert_eq!(names.number("e"), 3);
    }
}
