//! The exam on a simulated disk, with several seeds, and that it finds what it is there to find.

use crate::rig::Simulated;
use midsession_ports::exam::CASES;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
