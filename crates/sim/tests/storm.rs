//! The real assembly through many storms; a failure names its seed.

use crate::length::{Length, number};
use midsession_sim::storm;
use midsession_sim::weathered::Weathered;

fn steps(seed: u64) -> usize {
    20 + (seed * 37 % 240) as usize
}

/// Simulated hours: 2,000 unless `MIDSESSION_SIM_HOURS` says otherwise; `MIDSESSION_SIM_SEED` replays one storm.
#[test]
fn the_assembly_weathers_every_storm() {
    let (replay, length) = (number("MIDSESSION_SIM_SEED"), Length::of("MIDSESSION_SIM_HOURS", 2_400));
    let began = std::time::Instant::now();
    let mut total = Weathered::default();
    for seed in replay.unwrap_or(0).. {
        match storm::run(seed, steps(seed), None) {
            Ok(weathered) => total.add(&weathered),
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
        let hours = total.simulated_ms.unsigned_abs() / 3_600_000;
        if replay.is_some() || !length.goes_on(hours) && seed > 60 {
            break;
        }
    }
    let hours = total.simulated_ms as f64 / 3_600_000.0;
    let events = total.acked;
    println!("{total:?}: {hours:.0} hours, {events} events, {:.0} s", began.elapsed().as_secs_f64());
    let Weathered {
        crashes,
        reruns,
        decisions,
        ruled,
        shortened,
        snapshots,
        rotten,
        named,
        written,
        retracted,
        resumed,
        redefined,
        filled,
        spilled,
        spills_refused,
        ..
    } = total;
    let counted = [
        crashes, reruns, decisions, shortened, snapshots, rotten, named, written, retracted, resumed, redefined, filled,
    ];
    let counted = counted.into_iter().chain([spilled, ruled.decisions, ruled.by_silence]);
    // A full spill file is rare.
    let is_calm = counted.min() < Some(10) || spills_refused < 5;
    assert!(replay.is_some() || !is_calm, "too calm: {total:?}");
}
