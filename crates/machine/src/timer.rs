//! Timers of a partition: deadlines in order, equal deadlines in the order of their targets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Armed deadlines with their targets. A target decides itself whether a deadline that comes up still matters, so
/// that moving one later costs nothing: let the old one come up, look at the real one, arm again.
///
/// The order says nothing of when something was armed: timers that are armed again after a restart come up the same.
#[derive(Clone, Debug)]
pub struct Timers<T: Ord> {
    heap: BinaryHeap<Reverse<(i64, T)>>,
}

impl<T: Ord> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<T: Ord> Timers<T> {
    /// Arms a deadline.
    pub fn arm(&mut self, deadline_ms: i64, target: T) {
        self.heap.push(Reverse((deadline_ms, target)));
    }

    /// The next deadline.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((deadline_ms, _))| *deadline_ms)
    }

    /// Takes the next timer due at or before `now_ms`.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<(i64, T)> {
        if self.next_deadline_ms()? > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Forgets those that `keep` does not say, in one go.
    pub fn retain(&mut self, mut keep: impl FnMut(i64, &T) -> bool) {
        self.heap.retain(|Reverse((deadline_ms, target))| keep(*deadline_ms, target));
        if self.heap.capacity() > 4 * self.heap.len() + 64 {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_in_order() {
        let mut timers = Timers::default();
        for (deadline, name) in [(30, "c"), (10, "a"), (10, "b"), (40, "d")] {
            timers.arm(deadline, name);
        }
        assert_eq!(timers.next_deadline_ms(), Some(10));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(30)).collect();
        assert_eq!(due, [(10, "a"), (10, "b"), (30, "c")]);
        assert_eq!(timers.len(), 1);
        timers.arm(50, "e");
        timers.retain(|deadline, name| (deadline, *name) != (40, "d"));
        assert_eq!(timers.pop_due(60), Some((50, "e")));
        assert_eq!(timers.pop_due(60), None);
    }
}
