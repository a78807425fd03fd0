//! The log's conformance exam: whatever implements the port must pass every case.
//!
//! The exam has no clock, disk or chance of its own: a [`Rig`] hands it a log and moves what is around it, a seed draws.

mod clean;
mod damage;
mod full;
mod loss;
mod model;
mod order;
mod rig;

pub use model::Draw;
pub use rig::{Faults, Files, Rig, Setup};

/// A case: its name and what it does with a log of its own, given a seed.
pub type Case = (&'static str, fn(&mut dyn Rig, u64));

/// Every case. One that needs faults that a rig can't make passes without asking.
pub const CASES: &[Case] = &[
    ("order", order::order),
    ("readers", order::readers),
    ("time", order::time),
    ("busy", order::busy),
    ("refusals", order::refusals),
    ("wake", order::wake),
    ("lock", order::lock),
    ("reopen", loss::reopen),
    ("power_loss", loss::power_loss),
    ("kill", loss::kill),
    ("failed_sync", loss::failed_sync),
    ("full_disk", full::full_disk),
    ("torn_tail", damage::torn_tail),
    ("flipped_bits", damage::flipped_bits),
    ("retention_by_size", clean::retention_by_size),
    ("retention_by_time", clean::retention_by_time),
    ("compaction", clean::compaction),
];

/// One test per case, each with its own rig: `exam!(make_rig, seed)`; the seed is printed.
#[macro_export]
macro_rules! exam {
    ($make:expr, $seed:expr) => {
        $crate::exam!(@cases $make, $seed; order readers time busy refusals wake lock reopen power_loss kill failed_sync
            full_disk torn_tail flipped_bits retention_by_size retention_by_time compaction);

        #[test]
        fn no_case_is_left_out() {
            let names: Vec<_> = $crate::exam::CASES.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, TESTED);
        }
    };
    (@cases $make:expr, $seed:expr; $($case:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($case)),*];
        $(
            #[test]
            fn $case() {
                let seed: u64 = $seed;
                println!("seed {seed}");
                let case = $crate::exam::CASES.iter().find(|(name, _)| *name == stringify!($case));
                let (_, run) = case.expect("the case is listed");
                run(&mut $make(), seed);
            }
        )*
    };
}
