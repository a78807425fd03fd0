//! Where facts go in simulations that have no memory for them: a list of bytes that refuses now and then, and a file that
//! gives away what is still asked for.

use crate::rng::Rng;
use midsession_event::PartitionId;
use midsession_machine::{Place, Spill, SpillError};
use midsession_stream::{Config, Spilling, Stream};
use std::collections::BTreeMap;

/// Bytes in memory; what was freed is another's place at once.
struct Listed {
    rng: Rng,
    /// How often it refuses. Percent.
    refuses: u64,
    entries: BTreeMap<u64, (u32, Vec<u8>)>,
    next_id: u32,
}

impl Spill for Listed {
    fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError> {
        if self.rng.chance(self.refuses) {
            return Err(SpillError::Full(0));
        }
        let at = (0..).find(|at| !self.entries.contains_key(at)).unwrap_or(u64::MAX);
        self.next_id += 1;
        self.entries.insert(at, (self.next_id, bytes.to_vec()));
        Ok(Place { at, bytes: bytes.len() as u32, id: self.next_id })
    }

    fn get(&self, place: Place, out: &mut Vec<u8>) -> Result<(), SpillError> {
        match self.entries.get(&place.at) {
            Some((id, bytes)) if *id == place.id => out.extend_from_slice(bytes),
            other => return Err(SpillError::Failed(format!("{place:?} has {:?}", other.map(|(id, _)| id)))),
        }
        Ok(())
    }

    fn free(&mut self, place: Place) {
        let gone = self.entries.remove(&place.at);
        assert!(gone.is_some_and(|(id, _)| id == place.id), "{place:?} is freed, and is not there");
    }
}

/// So much memory as a seed has it, mostly none at all; or as much as is needed.
pub fn of_seed(seed: u64, partition: u32) -> Option<Spilling> {
    let mut rng = Rng::new(!seed);
    let bytes_max = rng.pick(&[None, Some(0), Some(0), Some(500), Some(5_000)])?;
    let refuses = rng.pick(&[0, 0, 30]);
    let rng = Rng::new(rng.bits() ^ u64::from(partition));
    Some(Spilling::new(Box::new(Listed { rng, refuses, entries: BTreeMap::new(), next_id: 0 }), bytes_max))
}

/// A machine that has read nothing yet, with that much memory.
pub fn machine(seed: u64, partition: PartitionId, config: Config) -> Stream {
    let mut stream = Stream::new(partition, config);
    of_seed(seed, partition.0).into_iter().for_each(|spilling| stream.spill(spilling));
    stream
}

/// The fault: what was put counts as free, and is written over while it is still asked for.
pub struct FreedEarly<S>(pub S);

impl<S: Spill> Spill for FreedEarly<S> {
    fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError> {
        let place = self.0.put(bytes)?;
        self.0.free(place);
        Ok(place)
    }

    fn get(&self, place: Place, out: &mut Vec<u8>) -> Result<(), SpillError> {
        self.0.get(place, out)
    }

    fn free(&mut self, _: Place) {}
}
