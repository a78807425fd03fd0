//! Which definitions a partition answers by: those that its own log has put in force.

use super::owner::Owner;
use midsession_event::PartitionId;
use midsession_machine::Definitions;
use std::sync::Arc;

impl<D: Definitions> Owner<D> {
    /// The definitions in force in a partition.
    pub fn definitions(&self, partition: PartitionId) -> &Arc<D> {
        let index = self.slots.iter().position(|slot| slot.stream.partition() == partition);
        index.and_then(|index| self.in_force.get(index)).unwrap_or(&self.around.definitions)
    }

    /// From here on the definitions are those that the partition's log has put in force.
    pub(super) fn redefine(&mut self, index: usize) {
        let definitions = &self.around.definitions;
        let of_log = definitions.of(self.slots[index].stream.defined());
        self.in_force[index] = of_log.unwrap_or_else(|| Arc::clone(definitions));
    }
}
