//! An owner's ticks: time that is due and that no other record brings is said on the log.

use super::owner::Owner;
use midsession_event::{Tick, Topic};
use midsession_machine::Definitions;

/// Ticks of one partition are at least this far apart.
pub(super) const TICK_EVERY_MS: i64 = 20;

impl<D: Definitions> Owner<D> {
    /// If time is due and nothing else is coming, says so on the log.
    pub(super) fn tick(&mut self, index: usize, now_ms: i64) {
        let slot = &mut self.slots[index];
        let Some(due_ms) = slot.stream.next_deadline_ms() else { return };
        let too_soon = now_ms < slot.ticked_at_ms.saturating_add(TICK_EVERY_MS);
        if due_ms > now_ms || slot.behind || slot.tick_under_way || !slot.resumed || too_soon {
            return;
        }
        self.append_tick(index, due_ms, now_ms);
    }

    pub(super) fn append_tick(&mut self, index: usize, due_ms: i64, now_ms: i64) {
        let slot = &mut self.slots[index];
        slot.tick_under_way = true;
        slot.ticked_at_ms = now_ms;
        let partition = slot.stream.partition();
        self.append(Topic::Behavior, partition, "", &Tick { due_ms });
    }
}
