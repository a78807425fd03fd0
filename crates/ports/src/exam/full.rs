//! A full disk: refused with nothing half applied, and going on by itself.

use super::model::{Draw, Model};
use super::order::open;
use super::rig::{Rig, Setup};
use crate::LogError;

/// The disk fills up at any byte of a write, also while a file is begun; room comes back; the power may go meanwhile.
pub fn full_disk(rig: &mut dyn Rig, seed: u64) {
    if rig.faults().is_none() {
        return;
    }
    let (mut draw, setup) = (Draw::new(seed), Setup::default());
    let mut model = Model::default();
    let mut log = open(rig, &setup);
    let (mut full, mut done) = (0, 0);
    for round in 0..80 {
        let at = format!("round {round}");
        if let Some(faults) = rig.faults() {
            faults.set_room(Some(draw.below(4_000)));
        }
        let numbers: Vec<_> = (0..4)
            .map(|_| {
                let number = model.append(&*log, &mut draw, setup.partitions);
                if draw.below(2) == 0 {
                    rig.settle();
                }
                number
            })
            .collect();
        rig.settle();
        // What housekeeping can't write now it writes later.
        let _ = rig.keep_house();
        for number in numbers {
            match model.answer(number) {
                Some(Ok(_)) => done += 1,
                Some(Err(error @ LogError::DiskFull { .. })) if error.is_retryable() => full += 1,
                other => panic!("{at}: unit {number}: {other:?}"),
            }
        }
        model.check(&*log, &at);
        if let Some(faults) = rig.faults() {
            faults.set_room(None);
        }
        let number = model.append(&*log, &mut draw, setup.partitions);
        rig.settle();
        assert!(matches!(model.answer(number), Some(Ok(_))), "{at}: there is room again");
        if draw.below(4) == 0 {
            if let Some(faults) = rig.faults() {
                faults.lose_power(draw.any());
            }
            model.lost();
            drop(log);
            rig.close();
            log = open(rig, &setup);
            model.check(&*log, &at);
        }
    }
    assert!(full > 30 && done > 30, "{full} refused, {done} done: the case has not done its work");
}
