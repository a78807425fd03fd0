//! Facts over the memory budget: the shoppers heard least lately have theirs elsewhere, and back in memory before they
//! are needed.
//!
//! What is where is not part of the state: the same log gives the same state with any budget, and a snapshot has all
//! facts. Whole lists go and come: a shopper's facts are written in one piece and read in one.

use crate::shopper::Shopper;
use crate::stream::Stream;
use midsession_machine::{Elsewhere, Facts, LazyFacts, Spill, Spilled};
use std::collections::VecDeque;

/// Shoppers looked at after one record for somebody to spill, at most.
const LOOKS_MAX: usize = 1_024;
/// After a refusal nothing is offered for so many records.
const REFUSED_RECORDS: u32 = 256;

/// A budget for facts in memory, and where the rest goes.
pub struct Spilling {
    pub(crate) elsewhere: Elsewhere,
    bytes_max: usize,
    /// Held by facts in memory. Bytes.
    bytes: usize,
    /// There was once more than fits: before that nobody is to be queued.
    is_tight: bool,
    /// Slots with facts in memory, and how lately their shoppers had been heard when they got their place here. Those at
    /// the front go, unless they have been heard since. Each slot is here once; its shopper may be another one by now.
    queue: VecDeque<(u32, i64)>,
    is_queued: Vec<bool>,
    /// Records until something is offered again.
    wait: u32,
}

/// Not part of the state.
impl std::fmt::Debug for Spilling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spilling").finish_non_exhaustive()
    }
}

impl Spilling {
    /// So many bytes of facts stay in memory; what is over that goes to the store.
    pub fn new(store: Box<dyn Spill>, bytes_max: usize) -> Self {
        Self {
            elsewhere: Elsewhere::new(store),
            bytes_max,
            bytes: 0,
            is_tight: false,
            queue: VecDeque::new(),
            is_queued: Vec::new(),
            wait: 0,
        }
    }

    /// Bytes held by what is known of what is where.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<(u32, i64)>() + self.is_queued.capacity()
    }

    /// Counts a shopper's facts anew.
    pub(crate) fn count(&mut self, index: u32, shopper: &mut Shopper) {
        let bytes = shopper.facts.heap_bytes();
        self.bytes = self.bytes + bytes - std::mem::replace(&mut shopper.counted_bytes, bytes);
        if self.is_tight && bytes > 0 {
            self.queue(index, shopper.last_stamp_ms);
        }
    }

    fn queue(&mut self, index: u32, heard_ms: i64) {
        let at = index as usize;
        if self.is_queued.get(at) == Some(&true) {
            return;
        }
        if at >= self.is_queued.len() {
            self.is_queued.resize(at + 1, false);
        }
        self.is_queued[at] = true;
        self.queue.push_back((index, heard_ms));
    }

    /// A shopper leaves.
    pub(crate) fn forget(&mut self, shopper: &mut Shopper) {
        self.bytes -= std::mem::take(&mut shopper.counted_bytes);
        self.free(shopper);
    }

    fn free(&mut self, shopper: &mut Shopper) {
        if let Some(spilled) = shopper.spilled.take() {
            self.elsewhere.free(&spilled);
        }
    }

    /// Brings a shopper's facts into memory.
    fn load(&mut self, index: u32, shopper: &mut Shopper) {
        if let Some(spilled) = shopper.spilled.take() {
            shopper.facts = self.elsewhere.fetch(&spilled);
            self.elsewhere.free(&spilled);
            self.count(index, shopper);
        }
    }

    /// Puts a shopper's facts elsewhere; false where there is no room.
    fn spill(&mut self, index: u32, shopper: &mut Shopper) -> bool {
        let spilled = self.elsewhere.put(&shopper.facts);
        let is_put = spilled.is_some();
        if is_put {
            shopper.spilled = spilled.map(Box::new);
            shopper.facts = Facts::default();
            self.count(index, shopper);
        }
        is_put
    }
}

impl Shopper {
    /// There are facts, wherever they are.
    pub(crate) fn has_facts(&self) -> bool {
        self.spilled.is_some() || !self.facts.all().is_empty()
    }

    /// The time of the first one. Epoch ms.
    pub(crate) fn oldest_fact_ms(&self) -> Option<i64> {
        let spilled = self.spilled.as_ref().map(|spilled| spilled.oldest_ms);
        spilled.or_else(|| self.facts.all().first().map(|fact| fact.time_ms))
    }

    /// Their facts, from wherever they are.
    pub(crate) fn lazy_facts<'a>(&'a self, spilling: Option<&'a Spilling>) -> LazyFacts<'a> {
        let spilled: Option<&Spilled> = self.spilled.as_deref();
        LazyFacts::new(&self.facts, spilling.map(|spilling| &spilling.elsewhere).zip(spilled))
    }
}

impl Stream {
    /// Facts over a budget go elsewhere from now on. Asked of a partition that has none yet.
    pub fn spill(&mut self, spilling: Spilling) {
        self.spilling = Some(Box::new(spilling));
    }

    /// Why this partition can't go on: what it has said since may be made of facts that are missing.
    pub fn spill_failure(&self) -> Option<&str> {
        self.spilling.as_ref()?.elsewhere.failure()
    }

    /// A shopper's facts, from wherever they are.
    pub fn facts_of<'a>(&'a self, shopper: &'a Shopper) -> LazyFacts<'a> {
        shopper.lazy_facts(self.spilling.as_deref())
    }

    /// This shopper is about to change: their facts are in memory, and a snapshot under way has them first.
    #[inline]
    pub(crate) fn wake(&mut self, index: u32) {
        // In this order they are read once for both.
        self.load_facts(index);
        self.keep_shopper(index);
    }

    /// Brings a shopper's facts into memory.
    #[inline]
    pub(crate) fn load_facts(&mut self, index: u32) {
        if let Some(spilling) = &mut self.spilling
            && let Some(shopper) = self.shoppers[index as usize].as_mut()
        {
            spilling.load(index, shopper);
        }
    }

    /// A shopper's facts have become more or fewer.
    #[inline]
    pub(crate) fn count_facts(&mut self, index: u32) {
        if let Some(spilling) = &mut self.spilling
            && let Some(shopper) = self.shoppers[index as usize].as_mut()
        {
            spilling.count(index, shopper);
        }
    }

    /// All of a shopper's facts are past their time.
    pub(crate) fn drop_spilled(&mut self, index: u32) {
        if let Some(spilling) = &mut self.spilling
            && let Some(shopper) = self.shoppers[index as usize].as_mut()
        {
            spilling.free(shopper);
        }
    }

    /// Back under the budget, as far as there is room elsewhere.
    #[inline]
    pub(crate) fn spill_over(&mut self) {
        if let Some(spilling) = &mut self.spilling
            && spilling.bytes > spilling.bytes_max
        {
            self.spill_cold();
        }
    }

    #[cold]
    fn spill_cold(&mut self) {
        let Self { spilling: Some(spilling), shoppers, .. } = self else { return };
        if spilling.wait > 0 {
            spilling.wait -= 1;
            return;
        }
        if !std::mem::replace(&mut spilling.is_tight, true) {
            let with_facts = |slot: &usize| shoppers.get(*slot).is_some_and(|shopper| shopper.counted_bytes > 0);
            let slots = (0..shoppers.len()).filter(with_facts);
            let heard = |slot: usize| shoppers.get(slot).map_or(i64::MIN, |shopper| shopper.last_stamp_ms);
            let mut all: Vec<(u32, i64)> = slots.map(|slot| (slot as u32, heard(slot))).collect();
            all.sort_unstable_by_key(|(_, heard_ms)| *heard_ms);
            all.into_iter().for_each(|(index, heard_ms)| spilling.queue(index, heard_ms));
        }
        for _ in 0..LOOKS_MAX {
            if spilling.bytes <= spilling.bytes_max {
                return;
            }
            let Some((index, heard_ms)) = spilling.queue.pop_front() else { return };
            let shopper = shoppers[index as usize].as_mut().filter(|shopper| !shopper.facts.all().is_empty());
            let Some(shopper) = shopper else {
                spilling.is_queued[index as usize] = false;
                continue;
            };
            if shopper.last_stamp_ms > heard_ms {
                spilling.queue.push_back((index, shopper.last_stamp_ms));
                continue;
            }
            spilling.is_queued[index as usize] = false;
            if !spilling.spill(index, shopper) {
                spilling.count(index, shopper);
                spilling.wait = REFUSED_RECORDS;
                return;
            }
        }
    }

    /// Changes all facts of everybody: those that are elsewhere come here, one shopper's at a time, and go back.
    pub(crate) fn change_facts(&mut self, mut change: impl FnMut(&mut Facts)) {
        let Self { spilling, shoppers, .. } = self;
        for index in 0..shoppers.len() {
            let Some(shopper) = shoppers[index].as_mut() else { continue };
            match spilling.as_mut().filter(|_| shopper.spilled.is_some()) {
                None => change(&mut shopper.facts),
                Some(spilling) => {
                    spilling.load(index as u32, shopper);
                    change(&mut shopper.facts);
                    // Without room they stay here, to be offered again with the rest.
                    spilling.spill(index as u32, shopper);
                }
            }
        }
    }
}
