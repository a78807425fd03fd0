//! Retention and compaction: what may go goes, what is needed stays.

use super::model::{Draw, Model, read_to_end};
use super::order::{answer, behavior, open};
use super::rig::{Rig, Setup};
use crate::{Append, Entry, Log, LogError, Position, Unit};
use bytes::Bytes;
use midsession_event::{PartitionId, Topic};
use std::collections::BTreeMap;

const HOUR_MS: i64 = 3600 * 1000;

fn bytes_of(log: &dyn Log) -> u64 {
    let extents = Topic::ALL.iter().flat_map(|topic| {
        (0..log.partitions(*topic)).filter_map(|partition| log.extent(*topic, PartitionId(partition)).ok())
    });
    extents.map(|extent| extent.bytes).sum()
}

/// Above its size the log lets the oldest go, but nothing that must be kept; offsets, positions and stamps go on, also
/// after a restart or a power loss.
pub fn retention_by_size(rig: &mut dyn Rig, seed: u64) {
    let mut draw = Draw::new(seed);
    let setup = Setup { keep_bytes: 60_000, file_bytes: 8 << 10, ..Setup::default() };
    let mut model = Model::default();
    let mut log = open(rig, &setup);
    let (mut keep, mut moved) = (vec![0i64; setup.partitions as usize], 0);
    for round in 0..60 {
        let at = format!("round {round}");
        for _ in 0..25 {
            model.append(&*log, &mut draw, setup.partitions);
            rig.settle();
        }
        if round > 20 && round % 3 > 0 {
            for (partition, keep) in keep.iter_mut().enumerate() {
                let end = log.extent(Topic::Behavior, PartitionId(partition as u32)).map_or(0, |extent| extent.end);
                *keep += draw.below((end - *keep) as u64 + 1) as i64;
            }
            log.keep_from(&positions(&keep));
        }
        rig.keep_house().unwrap_or_else(|error| panic!("{at}: {error}"));
        for (partition, keep) in keep.iter().enumerate() {
            let partition = PartitionId(partition as u32);
            let start = log.extent(Topic::Behavior, partition).map_or(0, |extent| extent.start);
            assert!(start <= *keep, "{at}: {partition:?} starts at {start}, {keep} is needed");
            moved = moved.max(start);
            if start > 0 {
                let asked = log.read(Topic::Behavior, partition, start - 1, 10, &mut Vec::new());
                let gone = matches!(asked, Err(LogError::OutOfRange { start: named, .. }) if named == start);
                assert!(gone, "{at}: {asked:?}");
            }
        }
        model.check(&*log, &at);
        if round % 9 == 8 {
            lose_power_within(rig, &mut draw);
            model.lost();
            drop(log);
            rig.close();
            log = open(rig, &setup);
            model.check(&*log, &at);
        }
    }
    assert!(moved > 0, "nothing was ever removed");
    let ends: Vec<_> = (0..setup.partitions)
        .map(|partition| log.extent(Topic::Behavior, PartitionId(partition)).map_or(0, |extent| extent.end))
        .collect();
    log.keep_from(&positions(&ends));
    rig.keep_house().expect("nothing is wrong");
    let kept = bytes_of(&*log);
    assert!(kept < 2 * setup.keep_bytes, "{kept} bytes are kept");
}

/// The power goes while the log keeps house; or not at all, if the rig can't.
fn lose_power_within(rig: &mut dyn Rig, draw: &mut Draw) {
    let Some(faults) = rig.faults() else { return };
    faults.kill_after(draw.below(60));
    // It is stopped in there, or done before.
    let _ = rig.keep_house();
    if let Some(faults) = rig.faults() {
        faults.lose_power(draw.any());
    }
}

fn positions(keep: &[i64]) -> Vec<Position> {
    (0..).map(PartitionId).zip(keep).map(|(partition, offset)| Position { partition, offset: *offset }).collect()
}

/// Past their age records go, even if nothing is appended any more; before, and before anybody has said what must be
/// kept, they stay.
pub fn retention_by_time(rig: &mut dyn Rig, _: u64) {
    let setup = Setup { keep_ms: 8 * HOUR_MS, ..Setup::default() };
    let start_ms = 1_000 * HOUR_MS;
    let mut now_ms = start_ms;
    rig.set_now(now_ms);
    let log = open(rig, &setup);
    let said = |keep: i64| log.keep_from(&positions(&vec![keep; setup.partitions as usize]));
    for hour in 0..30 {
        now_ms = start_ms + hour * HOUR_MS;
        rig.set_now(now_ms);
        let value = Bytes::from(vec![hour as u8; 2_000]);
        assert!(answer(rig, &*log, Unit { records: vec![behavior(0, value)], positions: vec![] }).is_ok());
        if hour == 20 {
            assert_eq!(log.extent(Topic::Behavior, PartitionId(0)).map(|extent| extent.start).ok(), Some(0));
            said(i64::MAX);
        }
        rig.keep_house().expect("nothing is wrong");
        let first = log.extent(Topic::Behavior, PartitionId(0)).map_or(0, |extent| extent.start);
        if hour > 20 {
            assert!(first > 0, "hour {hour}: nothing has gone");
        }
        let oldest = read_to_end(&*log, Topic::Behavior, 0, first).expect("readable");
        let oldest_ms = oldest.first().map_or(now_ms, |entry| entry.stamp_ms);
        assert!(oldest_ms <= now_ms - setup.keep_ms + HOUR_MS || first == 0, "hour {hour}: {oldest_ms} went too early");
    }
    for _ in 0..4 {
        now_ms += 9 * HOUR_MS;
        rig.set_now(now_ms);
        rig.keep_house().expect("nothing is wrong");
    }
    let extent = log.extent(Topic::Behavior, PartitionId(0)).expect("there");
    assert_eq!((extent.start, extent.end), (30, 30), "everything has gone, the next offset has not");
}

/// Of keyed topics the last value of each key stays, with its offset and stamp, whatever is removed; a tombstone is seen
/// for a day and goes then.
pub fn compaction(rig: &mut dyn Rig, seed: u64) {
    let mut draw = Draw::new(seed);
    let setup = Setup { keep_bytes: 30_000, file_bytes: 8 << 10, ..Setup::default() };
    let mut log = open(rig, &setup);
    log.keep_from(&positions(&vec![i64::MAX; setup.partitions as usize]));
    let mut last: BTreeMap<(Topic, u32, Bytes), Entry> = BTreeMap::new();
    let (mut now_ms, mut appended, mut most_kept) = (100 * HOUR_MS, 0usize, 0);
    for round in 0..50 {
        let at = format!("round {round}");
        now_ms += draw.below(4) as i64 * HOUR_MS;
        rig.set_now(now_ms);
        for _ in 0..40 {
            let (topic, partition) = match draw.below(4) {
                0 => (Topic::Context, 0),
                1 => (Topic::Definition, 0),
                _ => (Topic::Identity, draw.below(u64::from(setup.partitions)) as u32),
            };
            let key = Bytes::from(format!("key {}", draw.below(25)));
            let value = (draw.below(5) > 0)
                .then(|| Bytes::from(format!("{} {}", appended, ".".repeat(draw.below(90) as usize))));
            let keyed = Append { topic, partition: PartitionId(partition), key: key.clone(), value: value.clone() };
            let unit = Unit { records: vec![behavior(1, vec![1; 60]), keyed], positions: vec![] };
            let receipts = answer(rig, &*log, unit).unwrap_or_else(|error| panic!("{at}: {error}"));
            let (offset, stamp_ms) = (receipts[1].offset, receipts[1].stamp_ms);
            last.insert((topic, partition, key.clone()), Entry { offset, stamp_ms, key, value });
            appended += 1;
        }
        if draw.below(2) == 0 {
            rig.keep_house().unwrap_or_else(|error| panic!("{at}: {error}"));
        }
        most_kept = check_keyed(&*log, &last, now_ms, &at).max(most_kept);
        if draw.below(5) == 0 {
            lose_power_within(rig, &mut draw);
            drop(log);
            rig.close();
            log = open(rig, &setup);
            log.keep_from(&positions(&vec![i64::MAX; setup.partitions as usize]));
            check_keyed(&*log, &last, now_ms, &at);
        }
    }
    assert!(most_kept < appended / 2, "{most_kept} of {appended} keyed records are kept");
    // With nothing new the tombstones go too, once they are old.
    for _ in 0..6 {
        now_ms += 30 * HOUR_MS;
        rig.set_now(now_ms);
        rig.keep_house().expect("nothing is wrong");
    }
    let kept = check_keyed(&*log, &last, now_ms, "in the end");
    let live = last.values().filter(|entry| entry.value.is_some()).count();
    assert_eq!(kept, live, "what is kept in the end is what is live");
}

/// What a keyed partition has, from the very first offset (a gap is no loss here), in the order of its offsets; an instant
/// leads to the first one from then on. A log that keeps house by itself may remove what is superseded between two looks:
/// then it is looked at again.
fn settled(log: &dyn Log, topic: Topic, partition: u32, at: &str) -> Vec<Entry> {
    const LOOKS: u32 = 20;
    let read = || read_to_end(log, topic, partition, 0).unwrap_or_else(|error| panic!("{at}: {error}"));
    for look in 1..=LOOKS {
        let entries = read();
        assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{at}: offsets don't rise");
        let differs = entries.iter().step_by(5).find_map(|timed| {
            let first = entries.iter().find(|entry| entry.stamp_ms >= timed.stamp_ms).map(|entry| entry.offset);
            let found = log.offset_at(topic, PartitionId(partition), timed.stamp_ms).ok();
            (found != first)
                .then(|| format!("{at}: {topic:?}/{partition} from {}: {found:?}, not {first:?}", timed.stamp_ms))
        });
        let Some(differs) = differs else { return entries };
        assert!(look < LOOKS && read() != entries, "{differs}");
    }
    Vec::new()
}

/// Every key's last value is there, and offsets rise; gives how many keyed records there are.
fn check_keyed(log: &dyn Log, last: &BTreeMap<(Topic, u32, Bytes), Entry>, now_ms: i64, at: &str) -> usize {
    let mut kept = 0;
    let mut there: BTreeMap<(Topic, u32, Bytes), Entry> = BTreeMap::new();
    for topic in [Topic::Context, Topic::Definition, Topic::Identity] {
        for partition in 0..log.partitions(topic) {
            let entries = settled(log, topic, partition, at);
            kept += entries.len();
            there.extend(entries.into_iter().map(|entry| ((topic, partition, entry.key.clone()), entry)));
        }
    }
    for (place, entry) in last {
        let gone_by_right =
            entry.value.is_none() && now_ms - entry.stamp_ms >= 24 * HOUR_MS && !there.contains_key(place);
        assert!(
            gone_by_right || there.get(place) == Some(entry),
            "{at}: {place:?} should be {entry:?}, is {:?}",
            there.get(place)
        );
    }
    kept
}
