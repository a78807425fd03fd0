//! The product's own audits, over the snapshots of a storm: what is saved comes out of the log again.

use crate::house::House;
use crate::spilled::of_seed;
use midsession::audit::{Audit, Audited};
use midsession_event::PartitionId;
use midsession_ports::Log;
use std::sync::Arc;

/// Which snapshots of this process were looked at.
#[derive(Debug, Default)]
pub struct Reruns {
    /// By partition: the newest.
    audited: Vec<i64>,
}

impl Reruns {
    /// What was there before a process is not its own.
    pub fn begin(house: &House) -> Self {
        let newest = |number| house.port.snapshots.list(PartitionId(number)).unwrap_or_default().first().copied();
        Self { audited: house.partitions().map(|number| newest(number).unwrap_or(0)).collect() }
    }

    /// Audits what is new. How many agree; an error names the invariant.
    pub fn run(&mut self, house: &House) -> Result<u64, String> {
        let mut agreed = 0;
        let log = Arc::clone(&house.port) as Arc<dyn Log>;
        for (number, place) in house.partitions().zip(&mut self.audited) {
            let (snapshots, partition) = (&house.port.snapshots, PartitionId(number));
            // In most of them without memory for facts, wherever those of the house are.
            let room = || of_seed(place.unsigned_abs(), number);
            let room = [room(), room()];
            let begun = Audit::begin(&log, snapshots, &house.assembly, house.config, partition, *place, room);
            // One that is damaged is a matter of the next start.
            let Ok(Some(mut audit)) = begun else { continue };
            *place = audit.until();
            let outcome = loop {
                if let Some(outcome) = audit.step() {
                    break outcome;
                }
            };
            match outcome {
                Audited::Agrees(_) => agreed += 1,
                Audited::GivenUp(_) => {}
                Audited::Differs(found) => {
                    let (invariant, cause) = &found[0];
                    let id = invariant.id();
                    return Err(format!("{id}: partition {number}, the snapshot at {place}, again: {cause}"));
                }
            }
        }
        Ok(agreed)
    }
}
