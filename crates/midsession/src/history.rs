//! Looking back: the past run through fresh machines, for timelines, dry runs and training sets. Nothing is appended.

pub mod arrivals;
mod beside;
pub mod context;
mod dataset;
pub mod entities;
pub mod features;
pub mod format;
mod instant;
pub mod intake;
pub mod logged;
pub mod machines;
mod names;
mod parquet;
pub mod progress;
pub mod sessions;
pub mod sort;
pub mod table;
mod timeline;
mod withheld;

pub use timeline::{ReadFeatures, Whose, timeline};
pub use withheld::{people, withhold};

use midsession_event::{PartitionId, Record, ShopperId, Topic};
use midsession_machine::{Definitions, Effect};
use midsession_ports::{Entry, Log, LogError};
use midsession_stream::{Config, Stream};

/// Bytes read from the log at a time.
const READ_BYTES: usize = 1 << 20;

/// Every record of a partition from an offset to its end.
pub fn for_each(
    log: &dyn Log,
    topic: Topic,
    partition: PartitionId,
    from: i64,
    mut each: impl FnMut(Entry),
) -> Result<(), LogError> {
    let extent = log.extent(topic, partition)?;
    let mut next = from.max(extent.start);
    let mut entries = Vec::new();
    while next < extent.end {
        log.read(topic, partition, next, READ_BYTES, &mut entries)?;
        let Some(last) = entries.last() else { break };
        next = last.offset + 1;
        entries.drain(..).for_each(&mut each);
    }
    Ok(())
}

/// What a rule would have reached: asked in [`from_ms`, `to_ms`], replayed from a day earlier so that windows are
/// full; of whom it may be read now, by what they had done by an instant. (distinct shoppers, times asked)
pub fn dry_run<D: Definitions>(
    log: &dyn Log,
    config: Config,
    definitions: &D,
    [from_ms, to_ms]: [i64; 2],
    may_read: &dyn Fn(&ShopperId, i64) -> bool,
) -> Result<(usize, usize), LogError> {
    let mut asked: Vec<ShopperId> = Vec::new();
    for partition in (0..config.partitions).map(PartitionId) {
        let start = log.offset_at(Topic::Behavior, partition, from_ms - midsession_machine::WINDOW_MAX_MS)?;
        let mut stream = Stream::new(partition, config);
        let mut effects = Vec::new();
        let mut take = |effects: &mut Vec<Effect>| {
            for effect in effects.drain(..) {
                if let Effect::Candidate(candidate) = effect
                    && (from_ms..=to_ms).contains(&candidate.asked_at_ms)
                    && candidate.consented
                    && may_read(&candidate.shopper, candidate.asked_at_ms)
                {
                    asked.push(candidate.shopper);
                }
            }
        };
        for_each(log, Topic::Behavior, partition, start, |entry| {
            if let Some(Ok(record)) = entry.value.as_deref().map(Record::decode)
                && !matches!(record, Record::Definition(_) | Record::Filled(_))
            {
                stream.on_record(entry.offset, entry.stamp_ms, record, definitions, &mut effects);
                take(&mut effects);
            }
        })?;
        stream.on_record(stream.as_of().0, to_ms, Record::Tick(Default::default()), definitions, &mut effects);
        take(&mut effects);
    }
    let fired = asked.len();
    asked.sort_unstable();
    asked.dedup();
    Ok((asked.len(), fired))
}
