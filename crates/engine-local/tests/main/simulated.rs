//! The exam on a simulated disk, with several seeds, and that it finds what it is there to find.

use crate::rig::Simulated;
use midsession_engine_local::{Asked, Config, Fails, LocalLog, SimDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::exam::CASES;
use midsession_ports::{Append, Log, Position, Unit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

midsession_ports::exam!(Simulated::new, 1);

#[test]
fn more_seeds() {
    for (name, case) in CASES.iter().filter(|(name, _)| !["torn_tail", "flipped_bits"].contains(name)) {
        for seed in 2..5 {
            println!("{name} with seed {seed}");
            case(&mut Simulated::new(), seed);
        }
    }
}

#[test]
fn a_log_without_fdatasync_fails() {
    let (_, case) = CASES.iter().find(|(name, _)| *name == "power_loss").unwrap();
    for seed in 1..5 {
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut Simulated::without_sync(), seed)));
        assert!(outcome.is_err(), "seed {seed}: the exam does not see that nothing is synced");
    }
}

#[test]
fn a_file_that_could_not_be_removed_goes_before_those_behind_it() {
    let all: Vec<_> =
        (0..2).map(|partition| Position { partition: PartitionId(partition), offset: i64::MAX }).collect();
    let folder = Path::new("/log");
    let places = [(Asked::Remove, ".journal"), (Asked::Remove, ".journal.index"), (Asked::SyncFolder, "log")];
    for ((asked, kind), after) in places.into_iter().flat_map(|place| (0..6).map(move |after| (place, after))) {
        let at = format!("{asked:?} {kind:?} after {after}");
        let disk = SimDisk::default();
        let config = Config { journal_bytes: 4_000, keep_bytes: 12_000, partitions: 2, ..Config::new(folder) };
        let log = LocalLog::open_threadless(disk.process(), Arc::new(|| 5), config.clone()).unwrap();
        log.keep_from(&all);
        disk.fail_at((asked, kind.to_owned()), after, Fails::Error);
        let mut refused = 0;
        for round in 0..240_u8 {
            let partition = PartitionId(u32::from(round % 2));
            // Too short to be compressed.
            let value = Some(vec![round; 150].into());
            let record = Append { topic: Topic::Behavior, partition, key: "v".into(), value };
            log.append(Unit { records: vec![record], positions: vec![] }.into(), Box::new(|_| {}));
            log.commit_now();
            refused += u32::from(log.keep_house_now().is_err());
            // Whoever starts now finds all that can be read, and no hole before it.
            let found = SimDisk::of_image(&disk.image());
            let found = LocalLog::open_threadless(found.process(), Arc::new(|| 5), config.clone()).unwrap();
            for partition in [PartitionId(0), PartitionId(1)] {
                let extents = [&log, &found].map(|log| log.extent(Topic::Behavior, partition).unwrap());
                assert!(extents[1].start <= extents[0].start && extents[1].end == extents[0].end, "{at}: {extents:?}");
                let mut read = Vec::new();
                let mut from = extents[1].start;
                while from < extents[1].end {
                    found.read(Topic::Behavior, partition, from, usize::MAX, &mut read).unwrap();
                    from = read.last().unwrap().offset + 1;
                }
                let offsets: Vec<_> = read.iter().map(|entry| entry.offset).collect();
                assert_eq!(offsets, (extents[1].start..extents[1].end).collect::<Vec<_>>(), "{at}");
            }
        }
        let journals = disk.image().files().keys().filter(|path| path.to_string_lossy().ends_with(".journal")).count();
        assert!(refused == 1 && journals < 6, "{at}: {refused} refused, {journals} files");
    }
}
