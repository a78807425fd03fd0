//! Snapshots of partitions on disk: whole or not there, and damage never passes for a state.

use midsession_engine_local::{LocalSnapshots, RealDisk, SimDisk};
use midsession_event::PartitionId;
use midsession_ports::{LogError, SnapshotPiece, Snapshots};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, mpsc};

const P: PartitionId = PartitionId(3);

fn piece(next: i64, bytes: &[u8], is_first: bool, is_last: bool) -> SnapshotPiece {
    SnapshotPiece { partition: P, next, bytes: bytes.to_vec(), is_first, is_last }
}

fn write(snapshots: &LocalSnapshots, piece: SnapshotPiece) -> Result<(), LogError> {
    let (send, receive) = mpsc::channel();
    snapshots.write(piece, Box::new(move |answer| send.send(answer).unwrap()));
    receive.recv().unwrap()
}

fn write_whole(snapshots: &LocalSnapshots, next: i64) -> Result<(), LogError> {
    write(snapshots, piece(next, b"begin ", true, false))?;
    write(snapshots, piece(next, next.to_string().as_bytes(), false, false))?;
    write(snapshots, piece(next, b" end", false, true))
}

fn read(snapshots: &LocalSnapshots, next: i64) -> Result<String, String> {
    let mut text = String::new();
    let mut input = snapshots.open(P, next).map_err(|error| error.to_string())?;
    input.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn open(disk: &SimDisk) -> LocalSnapshots {
    LocalSnapshots::open_threadless(disk.process(), Path::new("/data")).unwrap()
}

#[test]
fn the_last_two_are_kept_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = LocalSnapshots::open(Arc::new(RealDisk), folder.path()).unwrap();
    for next in [5, 70, 600] {
        write_whole(&snapshots, next).unwrap();
    }
    assert_eq!(snapshots.list(P).unwrap(), [600, 70]);
    assert!(snapshots.list(PartitionId(33)).unwrap().is_empty(), "another partition's");
    assert_eq!(read(&snapshots, 600).unwrap(), "begin 600 end");
    assert_eq!(read(&snapshots, 70).unwrap(), "begin 70 end");
    snapshots.set_aside(P, 600).unwrap();
    assert_eq!(snapshots.list(P).unwrap(), [70]);
    drop(snapshots);
    let snapshots = LocalSnapshots::open(Arc::new(RealDisk), folder.path()).unwrap();
    assert_eq!(snapshots.list(P).unwrap(), [70], "still aside");
    // Whoever only looks leaves alone what is on its way.
    write(&snapshots, piece(800, b"begin ", true, false)).unwrap();
    let looks = LocalSnapshots::look(Arc::new(RealDisk), folder.path());
    assert_eq!((looks.list(P).unwrap(), read(&looks, 70).unwrap()), (vec![70], "begin 70 end".to_owned()));
    write(&snapshots, piece(800, b" end", false, true)).unwrap();
    assert_eq!(looks.list(P).unwrap(), [800, 70]);
    let empty = tempfile::tempdir().unwrap();
    assert!(LocalSnapshots::look(Arc::new(RealDisk), empty.path()).list(P).is_err());
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn an_unfinished_one_is_none_and_gives_its_room_back() {
    let disk = SimDisk::default();
    let snapshots = open(&disk);
    write_whole(&snapshots, 5).unwrap();
    let used = disk.used();
    write(&snapshots, piece(70, &[7; 10_000], true, false)).unwrap();
    assert_eq!(snapshots.list(P).unwrap(), [5]);
    // Given up: another one begins.
    write_whole(&snapshots, 80).unwrap();
    assert_eq!(snapshots.list(P).unwrap(), [80, 5]);
    assert!(disk.used() < used + 1_000, "{} bytes", disk.used());
    write(&snapshots, piece(90, &[7; 10_000], true, false)).unwrap();
    disk.kill();
    let snapshots = open(&disk);
    assert_eq!(snapshots.list(P).unwrap(), [80, 5]);
    assert!(disk.used() < used + 1_000, "{} bytes", disk.used());
}

#[test]
fn a_crash_at_any_step_leaves_whole_ones_only() {
    for steps in 0..40 {
        for power in [false, true] {
            let disk = SimDisk::default();
            let snapshots = open(&disk);
            write_whole(&snapshots, 5).unwrap();
            disk.kill_after(steps);
            let done = [70, 600].map(|next| write_whole(&snapshots, next).is_ok());
            if power {
                disk.lose_power(steps);
            } else {
                disk.kill();
            }
            let snapshots = open(&disk);
            let list = snapshots.list(P).unwrap();
            let newest = if done[1] {
                600
            } else if done[0] {
                70
            } else {
                5
            };
            assert!(list.first().is_some_and(|next| *next >= newest), "step {steps}: {list:?}, {newest} was done");
            for next in list {
                assert_eq!(read(&snapshots, next).unwrap(), format!("begin {next} end"), "step {steps}, power {power}");
            }
        }
    }
}

#[test]
fn a_full_disk_is_said_and_costs_the_snapshot_only() {
    let disk = SimDisk::default();
    let snapshots = open(&disk);
    write_whole(&snapshots, 5).unwrap();
    disk.set_capacity(Some(disk.used() + 50));
    assert!(matches!(write_whole(&snapshots, 70), Err(LogError::DiskFull { .. })));
    disk.set_capacity(None);
    write_whole(&snapshots, 80).unwrap();
    assert_eq!(snapshots.list(P).unwrap(), [80, 5]);
    assert_eq!(read(&snapshots, 5).unwrap(), "begin 5 end");
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let disk = SimDisk::default();
    write_whole(&open(&disk), 5).unwrap();
    let path = Path::new("/data/snapshots/3-0000000000000005.state");
    let whole = disk.image();
    let bytes = whole.clone().files()[path].clone();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = whole.clone();
        change(image.files().get_mut(path).unwrap());
        let snapshots = open(&SimDisk::of_image(&image));
        read(&snapshots, 5).is_err()
    };
    assert!(!refused(&|_| {}));
    for bit in 0..bytes.len() * 8 {
        assert!(refused(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8)), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(refused(&|bytes| bytes.truncate(length)), "cut at {length}");
    }
    assert!(refused(&|bytes| bytes.push(0)), "one byte more");
    // Under the name of another.
    let mut image = whole.clone();
    let moved = image.files().remove(path).unwrap();
    image.files().insert("/data/snapshots/3-0000000000000006.state".into(), moved);
    assert!(read(&open(&SimDisk::of_image(&image)), 6).is_err());
}
