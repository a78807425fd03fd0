//! Many seeded runs of drawn shoppers; a failure names its seed.

use crate::length::{Length, number};
use midsession_sim::crowded;
use midsession_sim::scenario::{self, Reached};

fn steps(seed: u64) -> usize {
    4 + (seed % 150) as usize
}

/// Runs seeds until enough; `MIDSESSION_SIM_SEED` replays one, `MIDSESSION_SIM_RUNS` says how many.
#[test]
fn machines_equal_the_oracle() {
    let (replay, length) = (number("MIDSESSION_SIM_SEED"), Length::of("MIDSESSION_SIM_RUNS", 3_000).at_least(300));
    let (mut total, first) = (Reached::default(), replay.unwrap_or(0));
    for seed in (first..).take_while(|seed| if replay.is_some() { *seed == first } else { length.goes_on(*seed) }) {
        match scenario::run(seed, steps(seed), |_| {}) {
            Ok(reached) => total.add(&reached),
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
    }
    println!("{total:?}: {} hours, {} events", total.simulated_ms / 3_600_000, total.events);
    if replay.is_none() {
        total.assert_all_reached();
    }
}

#[test]
fn what_is_kept_is_sound_where_most_is_forgotten() {
    let (replay, length) = (number("MIDSESSION_SIM_SEED"), Length::of("MIDSESSION_SIM_RUNS", 1_000).at_least(300));
    let (mut forgotten, first) = (0, replay.unwrap_or(0));
    for seed in (first..).take_while(|seed| if replay.is_some() { *seed == first } else { length.goes_on(*seed) }) {
        match crowded::run(seed, steps(seed)) {
            Ok(more) => forgotten += more,
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
    }
    println!("{forgotten} forgotten");
    assert!(replay.is_some() || forgotten > 1_000, "nobody was in anybody's way: {forgotten}");
}
