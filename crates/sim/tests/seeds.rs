//! Many seeded runs of drawn shoppers; a failure names its seed.

use midsession_sim::scenario::{self, Reached};
use midsession_stream::{Config, Defect};

fn steps(seed: u64) -> usize {
    4 + (seed % 150) as usize
}

/// Runs seeds until enough; `MIDSESSION_SIM_SEED` replays one, `MIDSESSION_SIM_RUNS` says how many.
#[test]
fn machines_equal_the_oracle() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let replay = number("MIDSESSION_SIM_SEED");
    let seeds: Vec<u64> = match replay {
        Some(seed) => vec![seed],
        None => (0..number("MIDSESSION_SIM_RUNS").unwrap_or(3_000)).collect(),
    };
    let mut total = Reached::default();
    for seed in seeds {
        match scenario::run(seed, steps(seed), |_| {}) {
            Ok(reached) => total.add(&reached),
            Err(cause) => panic!("MIDSESSION_SIM_SEED={seed}\n{cause}"),
        }
    }
    println!("{total:?}");
    if replay.is_none() {
        total.assert_all_reached();
    }
}

/// A change that breaks the machine, by name.
type Fault = (&'static str, fn(&mut Config));

const FAULTS: [Fault; 24] = [
    ("dedupe off", |config| config.defect = Some(Defect::DedupeOff)),
    ("merge of one neighbour only", |config| config.defect = Some(Defect::MergesOne)),
    ("hand-off applied twice", |config| config.defect = Some(Defect::HandoffTwice)),
    ("unmerge applied twice", |config| config.defect = Some(Defect::UnmergeTwice)),
    ("a fact is left behind by an unmerge", |config| config.defect = Some(Defect::FactLeftBehind)),
    ("a merge that was undone comes back", |config| config.defect = Some(Defect::UndoneAgain)),
    ("first decision wins removed", |config| config.defect = Some(Defect::DecisionTwice)),
    ("stale timer", |config| config.defect = Some(Defect::StaleTimer)),
    ("caps looked at too early", |config| config.defect = Some(Defect::CapsAtAsk)),
    ("caps left behind at login", |config| config.defect = Some(Defect::CapsLeftBehind)),
    ("consent read late", |config| config.defect = Some(Defect::ConsentLate)),
    ("an overtaken withdrawal is missed", |config| config.defect = Some(Defect::ConsentInOrder)),
    ("consent not fanned out", |config| config.defect = Some(Defect::ConsentNotFanned)),
    ("what was painted expires", |config| config.defect = Some(Defect::PaintedExpires)),
    ("what was answered is taken back", |config| config.defect = Some(Defect::AnsweredStays)),
    ("a snapshot is blurred", |config| config.defect = Some(Defect::SnapshotBlurred)),
    ("timers are not restored", |config| config.defect = Some(Defect::TimersForgotten)),
    ("exactly the gap splits", |config| config.gap_ms -= 1),
    ("a gap too long joins", |config| config.gap_ms += 1),
    ("grace too short", |config| config.grace_ms -= 1),
    ("grace too long", |config| config.grace_ms += 1),
    ("updates too rare", |config| config.cadence_ms += 1),
    ("duplicates forgotten too early", |config| config.duplicate_horizon_ms -= 1_000),
    ("closed sessions forgotten too early", |config| config.readable_ms -= 3_600_000),
];

#[test]
fn seeded_faults_are_found() {
    for (name, fault) in FAULTS {
        let found = (0..3_000).find_map(|seed| Some((seed, scenario::run(seed, steps(seed), fault).err()?)));
        let (seed, cause) = found.unwrap_or_else(|| panic!("{name}: not found by any seed"));
        println!("{name}: seed {seed}: {}", cause.lines().next().unwrap_or_default());
    }
}
