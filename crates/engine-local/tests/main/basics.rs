//! Append, read, reopen.

use midsession_engine_local::{Config, LocalLog, RealDisk, View};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Position, Receipt, Unit};
use std::path::Path;
use std::sync::{Arc, mpsc};

fn open(folder: &Path, now_ms: i64) -> LocalLog {
    LocalLog::open(Arc::new(RealDisk), Arc::new(move || now_ms), Config::new(folder)).unwrap()
}

fn append(log: &LocalLog, unit: Unit) -> Vec<Receipt> {
    let (send, receive) = mpsc::channel();
    log.append(unit.into(), Box::new(move |outcome| send.send(outcome).unwrap()));
    receive.recv().unwrap().unwrap()
}

#[test]
fn what_was_appended_is_read_after_reopening_too() {
    let folder = tempfile::tempdir().unwrap();
    let record = |partition: u32, value: &'static str| Append {
        topic: Topic::Behavior,
        partition: PartitionId(partition),
        key: "v".into(),
        value: Some(value.into()),
    };
    for round in 0..3i64 {
        // The clock goes back: stamps do not.
        let log = open(folder.path(), 1000 - round);
        let position = Position { partition: PartitionId(3), offset: round };
        let unit = Unit { records: vec![record(3, "a"), record(5, "b"), record(3, "c")], positions: vec![position] };
        let receipts = append(&log, unit);
        let places: Vec<_> =
            receipts.iter().map(|receipt| (receipt.partition.0, receipt.offset, receipt.stamp_ms)).collect();
        assert_eq!(places, [(3, round * 2, 1000), (5, round, 1000), (3, round * 2 + 1, 1000)]);
        assert_eq!(log.position(PartitionId(3)), round);
        let mut read = Vec::new();
        log.read(Topic::Behavior, PartitionId(3), 0, usize::MAX, &mut read).unwrap();
        let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, (0..(round + 1) * 2).collect::<Vec<_>>());
        assert_eq!(read[0].value.as_deref(), Some(&b"a"[..]));
    }
    let log = open(folder.path(), 2000);
    assert_eq!(log.position(PartitionId(3)), 2);
    assert_eq!(append(&log, Unit { records: vec![record(5, "d")], positions: vec![] })[0].offset, 3);
}

#[test]
fn a_view_follows_a_log_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { journal_bytes: 4000, keep_bytes: 30_000, ..Config::new(folder.path()) };
    let log = LocalLog::open(Arc::new(RealDisk), Arc::new(|| 5), config).unwrap();
    let mut view = View::open(Arc::new(RealDisk), folder.path()).unwrap();
    let read = |view: &View, partition| {
        let start = view.extent(Topic::Behavior, partition).unwrap().start;
        let mut entries = Vec::new();
        view.read(Topic::Behavior, partition, start, usize::MAX, &mut entries).unwrap();
        entries.iter().map(|entry| entry.offset).collect::<Vec<_>>()
    };
    for round in 0..200i64 {
        let partition = PartitionId(round as u32 % 3);
        let value = Some(vec![round as u8; 300].into());
        let record = Append { topic: Topic::Behavior, partition, key: "v".into(), value };
        let position = Position { partition, offset: round };
        let offset = append(&log, Unit { records: vec![record; 2], positions: vec![position] })[1].offset;
        if round > 100 {
            let all: Vec<_> =
                (0..16).map(|partition| Position { partition: PartitionId(partition), offset: i64::MAX }).collect();
            log.keep_from(&all);
            log.keep_house_now().unwrap();
        }
        view.refresh().unwrap();
        let offsets = read(&view, partition);
        assert_eq!((offsets.last(), view.position(partition)), (Some(&offset), round));
        let extent = log.extent(Topic::Behavior, partition).unwrap();
        assert_eq!(offsets, (extent.start..extent.end).collect::<Vec<_>>());
        assert_eq!(view.topics().len(), Topic::ALL.iter().map(|topic| view.partitions(*topic) as usize).sum::<usize>());
    }
    assert!(read(&view, PartitionId(0))[0] > 0, "retention was at work meanwhile");
}
