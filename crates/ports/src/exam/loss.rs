//! What holds after a restart, a power loss, a kill, a failed sync: acknowledged is there, units are whole.

use super::model::{Draw, Model};
use super::order::{answer, behavior, open};
use super::rig::{Rig, Setup};
use crate::{LogError, Unit};

/// How a log ends in one of these cases.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    PowerLoss,
    Kill,
    FailedSync,
    /// In the middle of something: a write, a sync, a new file, housekeeping.
    Stopped,
}

/// Closing and opening changes nothing.
pub fn reopen(rig: &mut dyn Rig, seed: u64) {
    ends(rig, seed, 12, &[End::Close]);
}

/// After a power loss everything acknowledged is there, and every other unit whole or not at all.
pub fn power_loss(rig: &mut dyn Rig, seed: u64) {
    if rig.faults().is_some() {
        ends(rig, seed, 60, &[End::Stopped, End::Stopped, End::PowerLoss, End::Kill, End::Close]);
    }
}

/// After a kill as well.
pub fn kill(rig: &mut dyn Rig, seed: u64) {
    if rig.faults().is_some() {
        ends(rig, seed, 30, &[End::Kill]);
    }
}

/// After a failed sync nothing is acknowledged until the log is opened again, and what was acknowledged is there, even
/// if the power goes then.
pub fn failed_sync(rig: &mut dyn Rig, seed: u64) {
    if rig.faults().is_some() {
        ends(rig, seed, 50, &[End::FailedSync, End::FailedSync, End::PowerLoss, End::Kill, End::Close]);
    }
}

fn ends(rig: &mut dyn Rig, seed: u64, lives: u64, ways: &[End]) {
    let (mut draw, setup) = (Draw::new(seed), Setup::default());
    let mut model = Model::default();
    for life in 0..lives {
        // The clock of a machine that starts may be anywhere.
        rig.set_now(1_000_000 + draw.below(500_000) as i64);
        let log = open(rig, &setup);
        let at = format!("life {life}");
        model.check(&*log, &at);
        for _ in 0..draw.below(25) {
            for _ in 0..draw.below(6) {
                model.append(&*log, &mut draw, setup.partitions);
            }
            if draw.below(3) > 0 {
                rig.settle();
            }
            if draw.below(12) == 0 {
                rig.keep_house().unwrap_or_else(|error| panic!("{at}: {error}"));
            }
        }
        let way = ways[draw.below(ways.len() as u64) as usize];
        if way == End::FailedSync {
            rig.settle();
            if let Some(faults) = rig.faults() {
                faults.fail_next_sync();
            }
            let numbers: Vec<_> = (0..6).map(|_| model.append(&*log, &mut draw, setup.partitions)).collect();
            rig.settle();
            for number in numbers {
                let answer = model.answer(number);
                assert!(matches!(answer, Some(Err(LogError::Failed { .. }))), "{at}: after a failed sync: {answer:?}");
            }
            let after = answer(rig, &*log, Unit { records: vec![behavior(0, "x")], positions: vec![] });
            assert!(matches!(after, Err(LogError::Failed { .. })), "{at}: a failed log goes on: {after:?}");
        }
        if let (End::Stopped, Some(faults)) = (way, rig.faults()) {
            faults.kill_after(draw.below(30));
            for _ in 0..12 {
                model.append(&*log, &mut draw, setup.partitions);
                rig.settle();
                // It is stopped in there, sooner or later.
                let _ = rig.keep_house();
            }
        }
        match (way, rig.faults()) {
            (End::PowerLoss | End::Stopped, Some(faults)) => faults.lose_power(draw.any()),
            (End::Kill, Some(faults)) => faults.kill(),
            _ => {}
        }
        if matches!(way, End::PowerLoss | End::Kill | End::Stopped) {
            model.lost();
        }
        drop(log);
        rig.close();
        model.lost();
    }
    let log = open(rig, &setup);
    model.check(&*log, "in the end");
    assert!(model.count() > 100, "the case has not done its work");
}
