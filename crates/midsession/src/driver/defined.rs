//! Which definitions a partition answers by: those that its own log has put in force.

use super::owner::Owner;
use midsession_event::PartitionId;
use midsession_machine::Definitions;
use midsession_stream::Stream;
use std::sync::Arc;

/// These, as the log of a partition has put them in force.
pub(crate) fn in_force<D: Definitions>(definitions: &Arc<D>, stream: &Stream) -> Arc<D> {
    definitions.of(stream.defined()).unwrap_or_else(|| Arc::clone(definitions))
}

impl<D: Definitions> Owner<D> {
    /// The definitions in force in a partition.
    pub fn definitions(&self, partition: PartitionId) -> &Arc<D> {
        let index = self.slots.iter().position(|slot| slot.stream.partition() == partition);
        index.and_then(|index| self.in_force.get(index)).unwrap_or(&self.around.definitions)
    }

    /// From here on the definitions are those that the partition's log has put in force.
    pub(super) fn redefine(&mut self, index: usize) {
        self.in_force[index] = in_force(&self.around.definitions, &self.slots[index].stream);
    }
}
