//! Which misses are told: each at once, and again an hour later if it still comes; however often it comes meanwhile.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use midsession_event::{ContextKind, hash64};

/// A miss that was told is told again after this. ms.
const AGAIN_MS: i64 = 3_600_000;
/// Different misses told within that time; more are counted and not told.
const TOLD_MAX: usize = 10_000;

/// What was told of late.
#[derive(Debug, Default)]
pub struct MissBook {
    told: HashMap<(ContextKind, u64), Told, FixedState>,
    /// When old ones were last thrown away. Epoch ms.
    cleared_ms: i64,
}

#[derive(Debug)]
struct Told {
    at_ms: i64,
    misses: i64,
}

impl MissBook {
    /// Takes a miss; if it is to be told, how often it was missed since it was told last, this time included.
    pub fn take(&mut self, kind: ContextKind, id: &str, now_ms: i64) -> Option<i64> {
        if self.told.len() >= TOLD_MAX && now_ms - self.cleared_ms >= 60_000 {
            self.cleared_ms = now_ms;
            self.told.retain(|_, told| now_ms - told.at_ms < AGAIN_MS);
        }
        let is_full = self.told.len() >= TOLD_MAX;
        match self.told.entry((kind, hash64(&[id]))) {
            Entry::Occupied(mut told) => {
                let told = told.get_mut();
                told.misses += 1;
                (now_ms - told.at_ms >= AGAIN_MS).then(|| {
                    told.at_ms = now_ms;
                    std::mem::take(&mut told.misses)
                })
            }
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => {
                place.insert(Told { at_ms: now_ms, misses: 0 });
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: ContextKind = ContextKind::Product;

    #[test]
    fn a_miss_is_told_once_an_hour_with_its_count() {
        let mut book = MissBook::default();
        assert_eq!(book.take(KIND, "a", 0), Some(1));
        assert_eq!(book.take(ContextKind::Price, "a", 0), Some(1), "kinds are apart");
        for second in 1..3_600 {
            assert_eq!(book.take(KIND, "a", second * 1_000), None);
        }
        assert_eq!(book.take(KIND, "a", AGAIN_MS), Some(3_600));
        assert_eq!(book.take(KIND, "a", AGAIN_MS + 1), None);
        assert_eq!(book.take(KIND, "a", 2 * AGAIN_MS), Some(2));
    }

    #[test]
    fn made_up_ids_fill_an_hour_and_no_more() {
        let mut book = MissBook::default();
        let told = |book: &mut MissBook, from: i64, now_ms: i64| {
            (from..from + 30_000).filter(|id| book.take(KIND, &id.to_string(), now_ms).is_some()).count()
        };
        assert_eq!(told(&mut book, 0, 100_000), TOLD_MAX);
        assert_eq!(told(&mut book, 50_000, 100_000 + AGAIN_MS - 1), 0);
        assert_eq!(told(&mut book, 90_000, 200_000 + AGAIN_MS), TOLD_MAX);
        assert!(book.told.len() <= TOLD_MAX);
    }
}
