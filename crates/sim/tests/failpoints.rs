//! Every failpoint of the disk under the assembly, once each with a crash, an error and a delay.

use crate::length::Length;
use midsession_engine_local::{Asked, Failpoint, Fails};
use midsession_sim::rng::Rng;
use midsession_sim::storm::{self, DELAY_MS};
use std::collections::BTreeMap;

/// Storms that are looked through for failpoints.
const SEEDS: u64 = 100;

/// What happens at each.
const FAILS: [Fails; 3] = [Fails::Crash, Fails::Error, Fails::Delay(DELAY_MS)];

/// Failpoints that must be among them: a run that no longer passes one proves nothing about it.
const MUST: [(Asked, &str); 39] = [
    (Asked::Create, ".compact.tmp"),
    (Asked::Open, ".compact"),
    (Asked::Write, ".compact.tmp"),
    (Asked::Sync, ".compact.tmp"),
    (Asked::Read, ".compact"),
    (Asked::Rename, ".compact"),
    (Asked::Remove, ".compact"),
    (Asked::Create, ".journal.tmp"),
    (Asked::Create, ".journal.index.tmp"),
    (Asked::Create, ".state.tmp"),
    (Asked::Open, ".journal"),
    (Asked::Open, ".journal.index"),
    (Asked::Open, ".state"),
    (Asked::Write, ".journal"),
    (Asked::Write, ".journal.tmp"),
    (Asked::Write, ".journal.index.tmp"),
    (Asked::Write, ".state.tmp"),
    (Asked::Sync, ".journal"),
    (Asked::Sync, ".journal.tmp"),
    (Asked::Sync, ".journal.index.tmp"),
    (Asked::Sync, ".state.tmp"),
    (Asked::Cut, ".journal"),
    (Asked::Read, ".journal"),
    (Asked::Read, ".journal.index"),
    (Asked::Read, ".state"),
    (Asked::Rename, ".journal"),
    (Asked::Rename, ".journal.index"),
    (Asked::Rename, ".state"),
    (Asked::Rename, ".state.damaged"),
    (Asked::Remove, ".journal"),
    (Asked::Remove, ".journal.tmp"),
    (Asked::Remove, ".journal.index"),
    (Asked::Remove, ".journal.index.tmp"),
    (Asked::Remove, ".state"),
    (Asked::Remove, ".state.tmp"),
    (Asked::SyncFolder, "data"),
    (Asked::SyncFolder, "snapshots"),
    (Asked::List, "data"),
    (Asked::List, "snapshots"),
];

fn steps(seed: u64) -> usize {
    10 + (seed % 120) as usize
}

/// Failpoints with the seed whose storm passes them most often, and how often that is.
fn failpoints() -> BTreeMap<Failpoint, (u64, u64)> {
    let mut found: BTreeMap<Failpoint, (u64, u64)> = BTreeMap::new();
    for seed in 0..SEEDS {
        let (passed, _) = storm::pass(seed, steps(seed), None).unwrap_or_else(|cause| panic!("seed {seed}\n{cause}"));
        for (failpoint, times) in passed {
            let most = found.entry(failpoint).or_default();
            *most = (*most).max((times, seed));
        }
    }
    found
}

#[test]
fn every_failpoint_is_weathered() {
    let found = failpoints();
    for (asked, kind) in MUST {
        assert!(found.contains_key(&(asked, kind.to_owned())), "{asked:?} {kind} is never passed");
    }
    let (mut rng, mut runs, mut rounds) = (Rng::new(1), 0, 0);
    let length = Length::of("MIDSESSION_SIM_FAILPOINTS", 1).at_least(1);
    while length.goes_on(rounds) {
        rounds += 1;
        for ((failpoint, (times, seed)), fails) in found.iter().flat_map(|found| FAILS.map(|fails| (found, fails))) {
            let after = rng.below(*times);
            let what = format!("{failpoint:?} {fails:?} after {after}, seed {seed}");
            let (_, has_fired) = storm::pass(*seed, steps(*seed), Some((failpoint.clone(), after, fails)))
                .unwrap_or_else(|cause| panic!("{what}\n{cause}"));
            assert!(has_fired, "{what}: it was never reached");
            runs += 1;
        }
    }
    println!("{} failpoints, {runs} storms in {rounds} rounds", found.len());
}
