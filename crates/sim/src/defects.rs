//! The seeded defects: forty things that could be wrong, each with a number for good, and each to be found.
//!
//! A defect is made in the machine, or in what the assembly stands on; the runs are the same ones that judge the sound
//! product. `docs/correctness.md` has the table with what finds each.

use crate::port::Fault;
use crate::{scenario, storm};
use midsession_stream::{Config, Defect};

/// Where a defect is made, and so which runs look for it.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In the machines, under [`scenario::run`].
    Machines(fn(&mut Config)),
    /// In the assembly, under [`storm::run`].
    Assembly(Fault),
}

/// A seeded defect.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    /// Its number.
    pub id: u8,
    /// What is wrong.
    pub words: &'static str,
    /// Where it is made.
    pub place: Place,
}

const fn assembly(id: u8, words: &'static str, fault: Fault) -> Seeded {
    Seeded { id, words, place: Place::Assembly(fault) }
}

const fn machines(id: u8, words: &'static str, change: fn(&mut Config)) -> Seeded {
    Seeded { id, words, place: Place::Machines(change) }
}

/// The fixed list. Numbers are never given again.
pub const DEFECTS: [Seeded; 42] = [
    assembly(1, "fsync is skipped", Fault::NoSync),
    assembly(2, "acknowledged before it is durable", Fault::AckEarly),
    assembly(3, "duplicate filter off", Fault::Machine(Defect::DedupeOff)),
    assembly(4, "one output topic (session) not in the unit: missing after a crash", Fault::SessionsApart),
    assembly(5, "the input position not in the unit", Fault::PositionApart),
    assembly(6, "a tick is stamped back", Fault::TickBack),
    assembly(7, "a hand-off is overtaken by a forward", Fault::HandoffOvertaken),
    assembly(8, "a hand-off is applied twice", Fault::Machine(Defect::HandoffTwice)),
    assembly(9, "a stale feature is read", Fault::StaleRead),
    assembly(10, "wrong window edge", Fault::WindowEdge),
    assembly(11, "a merge of one neighbour only", Fault::Machine(Defect::MergesOne)),
    assembly(12, "consent is read late", Fault::Machine(Defect::ConsentLate)),
    assembly(13, "consent is not fanned out to other devices", Fault::Machine(Defect::ConsentNotFanned)),
    machines(14, "a withdrawal that was overtaken is missed", |config| config.defect = Some(Defect::ConsentInOrder)),
    assembly(15, "a second decision on a candidate takes effect", Fault::Machine(Defect::DecisionTwice)),
    assembly(16, "a replay is not silent", Fault::ReplayAloud),
    machines(17, "caps are looked at when asked, not when decided", |config| config.defect = Some(Defect::CapsAtAsk)),
    machines(18, "caps are left behind at a login", |config| config.defect = Some(Defect::CapsLeftBehind)),
    machines(19, "what was painted expires", |config| config.defect = Some(Defect::PaintedExpires)),
    machines(20, "what was answered is taken back", |config| config.defect = Some(Defect::AnsweredStays)),
    machines(21, "a timer counts though it was moved", |config| config.defect = Some(Defect::StaleTimer)),
    assembly(22, "a snapshot has what came after it began", Fault::Machine(Defect::SnapshotBlurred)),
    assembly(23, "timers are not armed again from a snapshot", Fault::Machine(Defect::TimersForgotten)),
    assembly(24, "retention takes what a restart needs", Fault::KeepTooLittle),
    assembly(25, "the log is kept since the last snapshot alone", Fault::KeepFromLast),
    assembly(26, "the clock may be behind an earlier life's", Fault::ClockForgets),
    assembly(27, "the wall clock is followed back", Fault::ClockBack),
    assembly(28, "what is no longer true is not taken back from pages", Fault::RetractUntold),
    assembly(29, "what was painted is shown again", Fault::PaintedUntold),
    assembly(30, "shown before the log has been caught up with", Fault::ReleasedEarly),
    assembly(31, "definitions change in one partition before the others", Fault::DefinitionApart),
    assembly(32, "the old definition answers after a change", Fault::Machine(Defect::OldVersionServed)),
    assembly(33, "changed definitions are not in a snapshot", Fault::Machine(Defect::DefinitionsForgotten)),
    assembly(34, "the past is counted into a definition twice", Fault::Machine(Defect::FilledTwice)),
    assembly(35, "a definition that comes back finds what was before", Fault::Machine(Defect::SinceForgotten)),
    machines(36, "spilled facts are not loaded before a timer", |config| config.defect = Some(Defect::SpilledUnseen)),
    assembly(37, "spilled facts are not in a snapshot", Fault::Machine(Defect::SpilledUnsaved)),
    assembly(38, "spilled facts are written over while they are needed", Fault::SpillReused),
    assembly(39, "the past by a field is counted in twice after a restart", Fault::Machine(Defect::AsideTwice)),
    assembly(40, "a removed intervention goes on to ask", Fault::Machine(Defect::RemovedRuleStays)),
    machines(41, "who was signed in before is not told", |config| config.defect = Some(Defect::PartingUntold)),
    machines(42, "who has left a device is asked there", |config| config.defect = Some(Defect::LeftAsked)),
];

/// Rules that are off by the least there is, and some more: beside the list, as they cost next to nothing.
pub const SLIGHT: [Seeded; 18] = [
    machines(101, "exactly the gap splits", |config| config.gap_ms -= 1),
    machines(102, "a gap too long joins", |config| config.gap_ms += 1),
    machines(103, "grace too short", |config| config.grace_ms -= 1),
    machines(104, "grace too long", |config| config.grace_ms += 1),
    machines(105, "updates too rare", |config| config.cadence_ms += 1),
    machines(106, "duplicates forgotten too early", |config| config.duplicate_horizon_ms -= 1_000),
    machines(107, "closed sessions forgotten too early", |config| config.readable_ms -= 3_600_000),
    assembly(108, "shown after it expired", Fault::HubClockStands),
    machines(109, "an unmerge is applied twice", |config| config.defect = Some(Defect::UnmergeTwice)),
    machines(110, "a fact is left behind by an unmerge", |config| config.defect = Some(Defect::FactLeftBehind)),
    machines(111, "a merge that was undone comes back", |config| config.defect = Some(Defect::UndoneAgain)),
    machines(112, "a merge is of the later campaign", |config| config.defect = Some(Defect::LaterCampaign)),
    machines(113, "milestones wait for the cadence", |config| config.defect = Some(Defect::MilestoneWaits)),
    machines(114, "a robot is not known by its haste", |config| config.defect = Some(Defect::HasteUnseen)),
    machines(115, "an unmerge gives nothing to who was there before", |config| {
        config.defect = Some(Defect::NeighboursForgotten)
    }),
    machines(116, "a logout of somebody unknown is forgotten", |config| config.defect = Some(Defect::LogoutForgotten)),
    machines(117, "a visit that somebody else ended begins again", |config| config.defect = Some(Defect::VisitAgain)),
    machines(118, "a login takes along what was done before a logout", |config| {
        config.defect = Some(Defect::WholeHandedOver);
    }),
];

/// Seeds tried at most.
const SEEDS: u64 = 3_000;

/// Events of the run of a seed.
fn steps(place: Place, seed: u64) -> usize {
    match place {
        Place::Machines(_) => 4 + (seed % 150) as usize,
        Place::Assembly(_) => 20 + (seed * 37 % 240) as usize,
    }
}

/// How a defect was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Seeds tried before.
    pub seed: u64,
    /// Simulated hours until then, where that is counted.
    pub hours: u64,
    /// What noticed it, in a line.
    pub cause: String,
}

impl Seeded {
    fn run(&self, seed: u64, with_it: bool) -> Result<i64, String> {
        let steps = steps(self.place, seed);
        match self.place {
            Place::Machines(change) => {
                let change = if with_it { change } else { |_: &mut Config| () };
                scenario::run(seed, steps, change).map(|reached| reached.simulated_ms)
            }
            Place::Assembly(fault) => {
                storm::run(seed, steps, with_it.then_some(fault)).map(|weathered| weathered.simulated_ms)
            }
        }
    }

    /// Runs seeds until one finds it, and that one without it. An error says that none did, or that it fails anyway.
    pub fn find(&self) -> Result<Found, String> {
        let Self { id, words, .. } = self;
        let mut simulated_ms = 0;
        for seed in 0..SEEDS {
            match self.run(seed, true) {
                Ok(more_ms) => simulated_ms += more_ms,
                Err(cause) => {
                    self.run(seed, false).map_err(|cause| format!("seed {seed} fails without {id} too: {cause}"))?;
                    let line: String = cause.lines().next().unwrap_or_default().chars().take(120).collect();
                    return Ok(Found { seed, hours: simulated_ms.unsigned_abs() / 3_600_000, cause: line });
                }
            }
        }
        Err(format!("{id} ({words}): not found by any of {SEEDS} seeds"))
    }
}
