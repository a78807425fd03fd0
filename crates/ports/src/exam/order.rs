//! What holds on a good day: order, stamps, readers, refusals, wakes.

use super::model::{Draw, Model, read_to_end};
use super::rig::{Rig, Setup};
use crate::{Append, Log, LogError, Position, Unit};
use bytes::Bytes;
use midsession_event::{PartitionId, Topic};
use std::sync::{Arc, Mutex};

/// Opens, or the case has failed.
pub fn open(rig: &mut dyn Rig, setup: &Setup) -> Arc<dyn Log> {
    rig.open(setup).unwrap_or_else(|error| panic!("the log does not open: {error}"))
}

/// A record of `behavior`.
pub fn behavior(partition: u32, value: impl Into<Bytes>) -> Append {
    let (topic, partition) = (Topic::Behavior, PartitionId(partition));
    Append { topic, partition, key: Bytes::from_static(b"visitor"), value: Some(value.into()) }
}

/// Appends a unit and gives its answer.
pub fn answer(rig: &mut dyn Rig, log: &dyn Log, unit: Unit) -> Result<Vec<crate::Receipt>, LogError> {
    let slot = Arc::new(Mutex::new(None));
    let inside = slot.clone();
    log.append(
        unit.into(),
        Box::new(move |answer| *inside.lock().expect("invariant: no holder panics") = Some(answer)),
    );
    rig.settle();
    let answer = slot.lock().expect("invariant: no holder panics").take();
    answer.unwrap_or_else(|| panic!("settled, but a unit was not answered"))
}

/// Units come out whole, unchanged, in the order they went in, with stamps that don't go back when the clock does.
pub fn order(rig: &mut dyn Rig, seed: u64) {
    let (mut draw, setup) = (Draw::new(seed), Setup::default());
    let mut model = Model::default();
    let log = open(rig, &setup);
    for round in 0..60 {
        rig.set_now(1_000_000 + draw.below(100_000) as i64);
        for _ in 0..draw.below(12) {
            model.append(&*log, &mut draw, setup.partitions);
        }
        if draw.below(3) > 0 {
            rig.settle();
        }
        if round % 20 == 0 {
            rig.settle();
            model.check(&*log, "in order");
        }
    }
    rig.settle();
    assert!(model.all_answered());
    assert_eq!(model.check(&*log, "in order"), model.count());
}

/// Readers don't disturb each other, start anywhere, and get about as much as they ask for.
pub fn readers(rig: &mut dyn Rig, seed: u64) {
    let mut draw = Draw::new(seed);
    let log = open(rig, &Setup::default());
    let count = 3_000;
    for at in 0..count {
        let unit = Unit { records: vec![behavior(1, vec![at as u8; 1 + draw.below(150) as usize])], positions: vec![] };
        log.append(unit.into(), Box::new(|answer| assert!(answer.is_ok(), "{answer:?}")));
        if draw.below(10) == 0 {
            rig.settle();
        }
    }
    rig.settle();
    let mut places = [0, 0, 500, count - 1];
    while places.iter().any(|place| *place < count) {
        for place in &mut places {
            let (mut entries, asked) = (Vec::new(), draw.below(30_000) as usize);
            log.read(Topic::Behavior, PartitionId(1), *place, asked, &mut entries).expect("readable");
            assert_eq!(entries.is_empty(), *place >= count, "at least one record if there is any");
            for entry in &entries {
                assert_eq!((entry.offset, entry.value.as_ref().map(|value| value[0])), (*place, Some(*place as u8)));
                *place += 1;
            }
            let got: usize = entries.iter().map(|entry| entry.value.as_ref().map_or(0, Bytes::len)).sum();
            assert!(got <= asked + (256 << 10), "asked for {asked} bytes, got {got}");
        }
    }
    let mut none = Vec::new();
    log.read(Topic::Behavior, PartitionId(0), 0, 1000, &mut none).expect("an empty partition is readable");
    log.read(Topic::Behavior, PartitionId(1), count + 5, 1000, &mut none).expect("past the end there is nothing");
    assert!(none.is_empty());
}

/// The first offset at or past a time.
pub fn time(rig: &mut dyn Rig, seed: u64) {
    let mut draw = Draw::new(seed);
    let log = open(rig, &Setup::default());
    let mut now_ms = 1_000_000;
    for _ in 0..400 {
        now_ms += draw.below(4) as i64 * 1000;
        rig.set_now(now_ms);
        for _ in 0..=draw.below(3) {
            let unit = Unit { records: vec![behavior(2, vec![7; 90])], positions: vec![] };
            log.append(unit.into(), Box::new(|answer| assert!(answer.is_ok(), "{answer:?}")));
        }
        rig.settle();
    }
    rig.keep_house().expect("nothing is wrong");
    let entries = read_to_end(&*log, Topic::Behavior, 2, 0).expect("readable");
    for _ in 0..300 {
        let time_ms = 999_000 + draw.below((now_ms - 997_000) as u64) as i64;
        let expected =
            entries.iter().find(|entry| entry.stamp_ms >= time_ms).map_or(entries.len() as i64, |entry| entry.offset);
        let found = log.offset_at(Topic::Behavior, PartitionId(2), time_ms).expect("readable");
        assert_eq!(found, expected, "at {time_ms}");
    }
}

/// What waits is bounded; what does not fit is refused, not dropped, and nothing of it appears.
pub fn busy(rig: &mut dyn Rig, seed: u64) {
    let (mut draw, setup) = (Draw::new(seed), Setup { queue_bytes: 20_000, ..Setup::default() });
    let mut model = Model::default();
    let log = open(rig, &setup);
    for _ in 0..5 {
        let mut numbers = Vec::new();
        rig.hold(&mut |log| {
            numbers = (0..200).map(|_| model.append(log, &mut draw, setup.partitions)).collect();
        });
        rig.settle();
        let answers: Vec<_> = numbers.iter().map(|number| model.answer(*number)).collect();
        let busy = answers.iter().filter(|answer| matches!(answer, Some(Err(LogError::Busy { .. })))).count();
        let done = answers.iter().filter(|answer| matches!(answer, Some(Ok(_)))).count();
        assert!(busy > 0 && done > 0, "{busy} refused, {done} done");
        assert_eq!(busy + done, numbers.len(), "every unit is answered, with busy or a receipt");
        model.append(&*log, &mut draw, setup.partitions);
        rig.settle();
        assert!(matches!(model.answer(model.count() - 1), Some(Ok(_))), "there is room again");
    }
    model.check(&*log, "after being busy");
}

/// Partitions that don't exist are refused, and nothing of the unit appears.
pub fn refusals(rig: &mut dyn Rig, _: u64) {
    let log = open(rig, &Setup { partitions: 3, ..Setup::default() });
    assert_eq!((log.partitions(Topic::Behavior), log.partitions(Topic::Context)), (3, 1));
    let nowhere = Append { topic: Topic::Context, ..behavior(1, "x") };
    let beyond = Position { partition: PartitionId(3), offset: 1 };
    for unit in [
        Unit { records: vec![behavior(0, "x"), behavior(3, "x")], positions: vec![] },
        Unit { records: vec![behavior(0, "x"), nowhere], positions: vec![] },
        Unit { records: vec![behavior(0, "x")], positions: vec![beyond] },
    ] {
        let refused = answer(rig, &*log, unit);
        assert!(matches!(refused, Err(LogError::NoPartition { .. })), "{refused:?}");
    }
    let mut out = Vec::new();
    let asked = log.read(Topic::Session, PartitionId(3), 0, 1, &mut out);
    assert!(matches!(asked, Err(LogError::NoPartition { partition: 3, .. })), "{asked:?}");
    assert!(log.extent(Topic::Behavior, PartitionId(9)).is_err());
    assert_eq!(log.extent(Topic::Behavior, PartitionId(0)).map(|extent| extent.end).ok(), Some(0));
    let empty = answer(
        rig,
        &*log,
        Unit { records: vec![], positions: vec![Position { partition: PartitionId(1), offset: 9 }] },
    );
    assert!(empty.is_ok_and(|receipts| receipts.is_empty()), "a unit of a position alone");
    assert_eq!(log.position(PartitionId(1)), 9);
}

/// After a commit the partitions of `behavior` that grew are told, once they are readable.
pub fn wake(rig: &mut dyn Rig, _: u64) {
    let log = open(rig, &Setup::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let (tell, reader) = (told.clone(), Arc::downgrade(&log));
    log.on_commit(Box::new(move |grown| {
        let Some(log) = reader.upgrade() else { return };
        let ends = grown.iter().map(|partition| {
            (partition.0, log.extent(Topic::Behavior, *partition).map(|extent| extent.end).unwrap_or(-1))
        });
        tell.lock().expect("invariant: no holder panics").extend(ends);
    }));
    for partition in [2, 0, 2] {
        let session = Append { topic: Topic::Session, ..behavior(3, "y") };
        let unit = Unit { records: vec![behavior(partition, "x"), session], positions: vec![] };
        assert!(answer(rig, &*log, unit).is_ok());
    }
    rig.settle();
    drop(log);
    rig.close();
    assert_eq!(*told.lock().expect("invariant: no holder panics"), [(2, 1), (0, 1), (2, 2)]);
}

/// One process at a time; the second is told who is there.
pub fn lock(rig: &mut dyn Rig, _: u64) {
    let log = open(rig, &Setup::default());
    match rig.open(&Setup::default()).err() {
        Some(LogError::Locked { owner, .. }) => assert!(!owner.is_empty()),
        other => panic!("a second open gives {other:?}"),
    }
    assert!(answer(rig, &*log, Unit { records: vec![behavior(0, "x")], positions: vec![] }).is_ok());
    drop(log);
    rig.close();
    open(rig, &Setup::default());
}
