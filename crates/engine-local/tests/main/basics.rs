//! Append, read, reopen.

use midsession_engine_local::{Config, LocalLog, RealDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Position, Receipt, Unit};
use std::path::Path;
use std::sync::{Arc, mpsc};

fn open(folder: &Path, now_ms: i64) -> LocalLog {
    LocalLog::open(Arc::new(RealDisk), Arc::new(move || now_ms), Config::new(folder)).unwrap()
}

fn append(log: &LocalLog, unit: Unit) -> Vec<Receipt> {
    let (send, receive) = mpsc::channel();
    log.append(unit, Box::new(move |outcome| send.send(outcome).unwrap()));
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
