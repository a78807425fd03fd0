//! `cargo xtask soak`: the tests that are too long for every change, in the lengths asked for.

use crate::counts::Counts;
use crate::shell::{self, cargo};

/// Runs the ignored tests in release mode, with their lengths in the environment.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let mut lengths =
        [("--sim-runs", "MIDSESSION_SIM_RUNS", "1000000"), ("--kills", "MIDSESSION_KILL_CYCLES", "10000")]
            .map(|(option, variable, value)| (option, variable, value.to_owned()));
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (option, _, value) = lengths
            .iter_mut()
            .find(|(option, ..)| option == argument)
            .ok_or_else(|| format!("{argument}: no such option; there are --sim-runs N and --kills N"))?;
        let given = arguments.next().ok_or_else(|| format!("{option} needs a number"))?;
        given.parse::<u64>().map_err(|_| format!("{option} needs a number, not {given:?}"))?;
        *value = (*given).to_owned();
    }
    let mut command =
        cargo(&["test", "--workspace", "--locked", "--release", "--no-fail-fast", "--", "--include-ignored"]);
    command.envs(lengths.iter().map(|(_, variable, value)| (variable, value)));
    let mut counts = Counts::default();
    let outcome = shell::run(command, &mut counts);
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}
