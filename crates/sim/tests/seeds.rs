//! Many seeded runs of drawn shoppers; a failure names its seed.

use midsession_sim::scenario::{self, Reached};

/// Runs seeds until enough; `MIDSESSION_SIM_SEED` replays one.
#[test]
fn machines_equal_the_oracle() {
    let replay = std::env::var("MIDSESSION_SIM_SEED").ok().map(|text| text.parse::<u64>().expect("a number"));
    let many = std::env::var("MIDSESSION_SIM_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    let seeds: Vec<u64> = replay.map_or_else(|| (0..many).collect(), |seed| vec![seed]);
    let mut total = Reached::default();
    for seed in seeds {
        match scenario::run(seed, 4 + (seed % 150) as usize, |_| {}) {
            Ok(reached) => total.add(&reached),
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
    }
    eprintln!("{total:?}");
    if replay.is_none() {
        total.assert_all_reached();
    }
}
