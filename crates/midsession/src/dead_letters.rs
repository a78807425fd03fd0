//! The dead letters followed for the console, and the gauges kept, a few times a second.
//!
//! Dead letters are for people to look at, and no state: where the log is damaged, that is told once and left out.

use crate::app::Inner;
use midsession_engine_local::LocalLog;
use midsession_event::{PartitionId, Reject, Topic, decode};
use midsession_observe::Metric;
use midsession_ports::{Entry, Log, LogError, Vault};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often dead letters and gauges are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Keys past their time are looked for after so many looks: a quarter of an hour.
const EXPIRE_ROUNDS: u64 = 3_600;
/// Read from the log at once. Bytes.
const READ_BYTES: usize = 1 << 20;

/// Follows the dead letters for the console, and keeps the gauges.
pub(crate) async fn watch(inner: Arc<Inner>) {
    let partitions = inner.log.partitions(Topic::DeadLetter);
    let mut next: Vec<i64> = vec![0; partitions as usize];
    let mut before = midsession_stream::Counters::default();
    for round in 0u64.. {
        for partition in 0..partitions {
            follow(&inner, PartitionId(partition), &mut next[partition as usize]);
        }
        if let Err(cause) = inner.context.follow().await {
            tracing::warn!(cause, "the context tables could not be followed");
        }
        inner.observe.turn(inner.now_ms());
        if round % EXPIRE_ROUNDS == 0 {
            inner.vault.expire(inner.now_ms());
        }
        if round % 8 == 0 {
            inner.observe.metrics.set(Metric::KeystoreKeys, inner.vault.keys() as i64);
            before = inner.gauges(before).await;
            inner.context.gauges();
            inner.spill.gauges(&inner.observe.metrics);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn follow(inner: &Inner, partition: PartitionId, next: &mut i64) {
    let take = |entry: Entry| {
        if let Some(Ok(reject)) = entry.value.as_deref().map(decode::<Reject>) {
            inner.world.dead_letter(entry.offset, entry.stamp_ms, &reject);
        }
    };
    let damaged = |error: &LogError, count: u64| {
        inner.observe.metrics.add_by(Metric::LogErrors, "damaged", 1);
        inner.unreadable.fetch_add(count, Ordering::Relaxed);
        let partition = partition.0;
        tracing::error!(partition, count, %error, "dead letters can't be read; the console goes on without them");
    };
    if let Err(error) = read_on(&inner.local, Topic::DeadLetter, partition, next, take, damaged) {
        tracing::warn!(%error, "dead letters could not be followed");
    }
}

/// What a partition has from `next` on, which is then where to go on. What is damaged goes to `damaged`, with how many
/// records it is, and is not looked at again.
fn read_on(
    log: &LocalLog,
    topic: Topic,
    partition: PartitionId,
    next: &mut i64,
    mut take: impl FnMut(Entry),
    mut damaged: impl FnMut(&LogError, u64),
) -> Result<(), LogError> {
    let extent = log.extent(topic, partition)?;
    *next = extent.start.max(*next);
    let (mut entries, mut most) = (Vec::new(), READ_BYTES);
    while *next < extent.end {
        match log.read(topic, partition, *next, most, &mut entries) {
            Ok(()) => {
                let Some(last) = entries.last() else { break };
                (*next, most) = (last.offset + 1, READ_BYTES);
                entries.drain(..).for_each(&mut take);
            }
            // Neighbours are read at once: it may be one of them.
            Err(LogError::Corrupt { .. }) if most > 1 => most = 1,
            Err(error @ LogError::Corrupt { .. }) => {
                let behind = log.behind(topic, partition, *next)?.max(*next + 1);
                damaged(&error, behind.abs_diff(*next));
                (*next, most) = (behind, READ_BYTES);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_engine_local::{Config, RealDisk};
    use midsession_ports::{Append, Unit};
    use std::path::Path;

    const AT: PartitionId = PartitionId(0);

    fn open(folder: &Path) -> LocalLog {
        LocalLog::open_threadless(Arc::new(RealDisk), Arc::new(|| 1_000), Config::new(folder)).expect("opens")
    }

    #[test]
    fn damage_is_told_once_and_what_comes_behind_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = open(folder.path());
        // Three batches of two records.
        for batch in ["aaaa", "bbbb", "cccc"] {
            let record = |number: u32| Append {
                topic: Topic::DeadLetter,
                partition: AT,
                key: Default::default(),
                value: Some(format!("{batch}{number}").into()),
            };
            log.append(Arc::new(Unit { records: vec![record(0), record(1)], positions: vec![] }), Box::new(|_| {}));
            log.commit_now();
        }
        drop(log);
        let file = folder.path().join("000000000001.journal");
        let mut bytes = std::fs::read(&file).expect("the log");
        let at = bytes.windows(4).position(|window| window == b"bbbb").expect("the second batch");
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).expect("writes");

        let log = open(folder.path());
        let (mut next, mut read, mut told) = (0, Vec::new(), Vec::new());
        for _ in 0..3 {
            let take = |entry: Entry| read.push((entry.offset, entry.value.unwrap_or_default()));
            let damaged = |error: &LogError, count| told.push((error.to_string(), count));
            read_on(&log, Topic::DeadLetter, AT, &mut next, take, damaged).expect("goes on");
        }
        assert_eq!(read, [(0, "aaaa0".into()), (1, "aaaa1".into()), (4, "cccc0".into()), (5, "cccc1".into())]);
        assert_eq!(told.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2]);
        assert!(told[0].0.starts_with(&format!("{} is damaged at byte ", file.display())), "{}", told[0].0);
        assert_eq!(next, 6);
    }
}
