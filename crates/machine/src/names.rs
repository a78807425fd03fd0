//! The partition's numbers for product ids, categories and currencies, given in the order of first appearance.

use crate::Map;
use midsession_event::Str;

/// Names and their numbers; 0 is «none».
#[derive(Clone, Debug, Default)]
pub struct Names {
    numbers: Map<Str, u32>,
    names: Vec<Str>,
}

impl Names {
    /// The name's number, given now if it has none.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Invariant: a partition sees fewer than 2^32 distinct names.
        self.names.push(name.into());
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        number
    }

    /// The number of a name seen before.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name behind a number.
    pub fn name(&self, number: u32) -> Option<&Str> {
        self.names.get((number as usize).checked_sub(1)?)
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
