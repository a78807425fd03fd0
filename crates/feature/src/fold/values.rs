//! Different values: a few in a list, which costs no memory of its own, many in a set.

use midsession_machine::Map;
use smallvec::SmallVec;

/// Up to so many are searched one by one.
const FEW: usize = 16;

/// A set of what items have in common, or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    few: SmallVec<[u64; FEW]>,
    /// All of them, once they are more than a few.
    many: Map<u64, ()>,
}

impl Values {
    pub(super) fn insert(&mut self, value: u64) {
        if !self.many.is_empty() {
            self.many.insert(value, ());
        } else if !self.few.contains(&value) {
            if self.few.len() < FEW {
                self.few.push(value);
                return;
            }
            self.many.extend(self.few.drain(..).map(|value| (value, ())));
            self.many.insert(value, ());
        }
    }

    /// How many different ones.
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_among_few_and_among_many() {
        let mut values = Values::default();
        for round in 0..3 {
            for value in 0..40 {
                values.insert(value);
                let different = if round == 0 { value + 1 } else { 40 };
                assert_eq!(values.len() as u64, different);
            }
        }
    }
}
