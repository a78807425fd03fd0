//! The real assembly through many storms; a failure names its seed.

use midsession_sim::port::Fault;
use midsession_sim::storm::{self, Weathered};
use midsession_stream::Defect;

fn steps(seed: u64) -> usize {
    10 + (seed % 120) as usize
}

/// Simulated hours: 2,000 unless `MIDSESSION_SIM_HOURS` says otherwise; `MIDSESSION_SIM_SEED` replays one storm.
#[test]
fn the_assembly_weathers_every_storm() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let (replay, hours) = (number("MIDSESSION_SIM_SEED"), number("MIDSESSION_SIM_HOURS").unwrap_or(2_000));
    let began = std::time::Instant::now();
    let mut total = Weathered::default();
    for seed in replay.unwrap_or(0).. {
        match storm::run(seed, steps(seed), None) {
            Ok(weathered) => total.add(&weathered),
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
        if replay.is_some() || total.simulated_ms > hours as i64 * 3_600_000 && seed > 60 {
            break;
        }
    }
    let hours = total.simulated_ms as f64 / 3_600_000.0;
    println!("{total:?}: {hours:.0} hours, {:.0} per second", hours / began.elapsed().as_secs_f64());
    let Weathered { crashes, decisions, shortened, snapshots, rotten, written, retracted, resumed, .. } = total;
    let least = [crashes, decisions, shortened, snapshots, rotten, written, retracted, resumed].into_iter().min();
    assert!(replay.is_some() || least >= Some(10), "too calm: {total:?}");
}

const FAULTS: [(&str, Fault); 27] = [
    ("dedupe off", Fault::Machine(Defect::DedupeOff)),
    ("merge of one neighbour only", Fault::Machine(Defect::MergesOne)),
    ("hand-off applied twice", Fault::Machine(Defect::HandoffTwice)),
    ("unmerge applied twice", Fault::Machine(Defect::UnmergeTwice)),
    ("a fact is left behind by an unmerge", Fault::Machine(Defect::FactLeftBehind)),
    ("a merge that was undone comes back", Fault::Machine(Defect::UndoneAgain)),
    ("first decision wins removed", Fault::Machine(Defect::DecisionTwice)),
    ("consent read late", Fault::Machine(Defect::ConsentLate)),
    ("consent not fanned out", Fault::Machine(Defect::ConsentNotFanned)),
    ("silent replay removed", Fault::ReplayAloud),
    ("fdatasync removed", Fault::NoSync),
    ("ack early", Fault::AckEarly),
    ("position not in the unit", Fault::PositionApart),
    ("session updates not in the unit", Fault::SessionsApart),
    ("tick stamped back", Fault::TickBack),
    ("wrong window edge", Fault::WindowEdge),
    ("hand-off overtaken by a forward", Fault::HandoffOvertaken),
    ("stale feature read", Fault::StaleRead),
    ("retention passes what is needed", Fault::KeepTooLittle),
    ("a snapshot is blurred", Fault::Machine(Defect::SnapshotBlurred)),
    ("timers are not restored", Fault::Machine(Defect::TimersForgotten)),
    ("clock behind an earlier life's", Fault::ClockForgets),
    ("clock steps back", Fault::ClockBack),
    ("not taken back from pages", Fault::RetractUntold),
    ("painted, and shown again", Fault::PaintedUntold),
    ("shown after it expired", Fault::HubClockStands),
    ("shown before the log is caught up with", Fault::ReleasedEarly),
];

#[test]
fn seeded_faults_of_the_assembly_are_found() {
    // `MIDSESSION_SIM_FAULT` picks those with these words.
    let words = std::env::var("MIDSESSION_SIM_FAULT").unwrap_or_default();
    for (name, fault) in FAULTS.into_iter().filter(|(name, _)| name.contains(&words)) {
        let found = (0..3_000).find_map(|seed| Some((seed, storm::run(seed, steps(seed), Some(fault)).err()?)));
        let (seed, cause) = found.unwrap_or_else(|| panic!("{name}: not found by any seed"));
        let without = storm::run(seed, steps(seed), None).err();
        assert!(without.is_none(), "{name}: seed {seed} fails without it too: {without:?}");
        println!("{name}: seed {seed}: {}", cause.lines().next().unwrap_or_default());
    }
}
