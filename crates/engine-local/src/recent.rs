//! The newest records of `behavior`, as they were handed in: who follows the log closely reads no file and unpacks no batch.

use midsession_event::Topic;
use midsession_ports::{Entry, Receipt, Unit};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of records kept. They are slices of what they were handed in with, so that the memory held can be a few times that.
const RECENT_BYTES: usize = 4 << 20;
/// What a record takes beside its key and value.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Durable records, by partition without a gap; the oldest commits go first.
pub struct Recent {
    partitions: Vec<Mutex<VecDeque<Entry>>>,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Commits {
    /// The oldest first.
    held: VecDeque<Commit>,
    bytes: usize,
    /// A list that is used again.
    spare: Vec<u32>,
}

struct Commit {
    /// The partition of each record.
    partitions: Vec<u32>,
    bytes: usize,
}

impl Recent {
    pub fn new(partitions: u32) -> Self {
        Self { partitions: (0..partitions).map(|_| Mutex::default()).collect(), commits: Mutex::default() }
    }

    /// Keeps what a commit has made durable, and lets go of what is over the bound.
    pub fn keep(&self, units: &[Arc<Unit>], receipts: &[Vec<Receipt>]) {
        let mut commits = self.commits.lock();
        let mut commit = Commit { partitions: std::mem::take(&mut commits.spare), bytes: 0 };
        let records = units.iter().zip(receipts).flat_map(|(unit, receipts)| unit.records.iter().zip(receipts));
        for (record, receipt) in records.filter(|(record, _)| record.topic == Topic::Behavior) {
            let Some(list) = self.partitions.get(record.partition.0 as usize) else { continue };
            list.lock().push_back(Entry {
                offset: receipt.offset,
                stamp_ms: receipt.stamp_ms,
                key: record.key.clone(),
                value: record.value.clone(),
            });
            commit.partitions.push(record.partition.0);
            commit.bytes += ENTRY_BYTES + record.key.len() + record.value.as_ref().map_or(0, |value| value.len());
        }
        commits.bytes += commit.bytes;
        commits.held.push_back(commit);
        while commits.bytes > RECENT_BYTES
            && let Some(mut oldest) = commits.held.pop_front()
        {
            commits.bytes -= oldest.bytes;
            for partition in oldest.partitions.drain(..) {
                self.partitions[partition as usize].lock().pop_front();
            }
            commits.spare = oldest.partitions;
        }
    }

    /// Adds records from `from` on to `out`, about `max_bytes` and at least one; false, and nothing, where `from` is not
    /// among those kept.
    pub fn read(&self, partition: u32, from: i64, max_bytes: usize, out: &mut Vec<Entry>) -> bool {
        let Some(list) = self.partitions.get(partition as usize) else { return false };
        let list = list.lock();
        let at = list.front().and_then(|first| usize::try_from(from - first.offset).ok());
        let Some(at) = at.filter(|at| *at < list.len()) else { return false };
        let mut got = 0;
        for entry in list.range(at..) {
            got += entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len());
            out.push(entry.clone());
            if got >= max_bytes {
                break;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use midsession_event::PartitionId;
    use midsession_ports::Append;

    /// Commits of one unit each: by record its topic, partition and offset.
    fn keep(recent: &Recent, records: &[(Topic, u32, i64)], bytes: usize) {
        let (records, receipts) = records
            .iter()
            .map(|(topic, partition, offset)| {
                let (topic, partition) = (*topic, PartitionId(*partition));
                let value = Some(Bytes::from(vec![7; bytes]));
                let append = Append { topic, partition, key: Bytes::from_static(b"k"), value };
                (append, Receipt { topic, partition, offset: *offset, stamp_ms: 10 * offset })
            })
            .unzip();
        recent.keep(&[Arc::new(Unit { records, positions: Vec::new() })], &[receipts]);
    }

    fn offsets(recent: &Recent, partition: u32, from: i64, max_bytes: usize) -> Option<Vec<i64>> {
        let mut out = Vec::new();
        let found = recent.read(partition, from, max_bytes, &mut out);
        assert!(out.iter().all(|entry| entry.stamp_ms == 10 * entry.offset));
        found.then(|| out.iter().map(|entry| entry.offset).collect())
    }

    #[test]
    fn reads_go_on_anywhere_among_what_is_kept_and_nowhere_else() {
        let recent = Recent::new(2);
        assert_eq!(offsets(&recent, 0, 0, 100), None);
        keep(&recent, &[(Topic::Behavior, 0, 5), (Topic::Session, 0, 90), (Topic::Behavior, 1, 3)], 10);
        keep(&recent, &[(Topic::Behavior, 0, 6), (Topic::Behavior, 0, 7)], 10);
        assert_eq!(offsets(&recent, 0, 5, 100), Some(vec![5, 6, 7]));
        assert_eq!(offsets(&recent, 0, 6, 1), Some(vec![6]), "at least one");
        assert_eq!(offsets(&recent, 0, 5, 22), Some(vec![5, 6]), "about that many bytes");
        assert_eq!(offsets(&recent, 1, 3, 100), Some(vec![3]));
        for (partition, from) in [(0, 4), (0, 8), (0, i64::MIN + 5), (1, 4), (2, 0)] {
            assert_eq!(offsets(&recent, partition, from, 100), None, "{partition} {from}");
        }
    }

    #[test]
    fn the_oldest_commits_go_over_the_bound() {
        let recent = Recent::new(1);
        let bytes = RECENT_BYTES / 4;
        for offset in 0..9 {
            keep(&recent, &[(Topic::Behavior, 0, offset)], bytes);
        }
        assert_eq!(offsets(&recent, 0, 5, usize::MAX), None);
        assert_eq!(offsets(&recent, 0, 6, usize::MAX), Some(vec![6, 7, 8]));
        keep(&recent, &[(Topic::Session, 0, 1)], 2 * RECENT_BYTES);
        assert_eq!(offsets(&recent, 0, 6, usize::MAX), Some(vec![6, 7, 8]), "other topics are not kept");
        keep(&recent, &[(Topic::Behavior, 0, 9)], 2 * RECENT_BYTES);
        assert_eq!(offsets(&recent, 0, 9, usize::MAX), None, "what is larger than the bound is not kept either");
        assert!(recent.commits.lock().held.is_empty());
    }
}
