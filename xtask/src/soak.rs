//! `cargo xtask soak`: the simulator and the kill -9 cycles again, optimised and for as long as asked.

use crate::counts::Counts;
use crate::shell::{self, cargo};

/// Option, the variable that the tests read, and how much of it unless asked otherwise.
const LENGTHS: [(&str, &str, &str); 4] = [
    ("--sim-hours", "MIDSESSION_SIM_HOURS", "100000"),
    ("--sim-runs", "MIDSESSION_SIM_RUNS", "300000"),
    ("--kills", "MIDSESSION_KILL_CYCLES", "1000"),
    ("--served", "MIDSESSION_SERVED_VALUES", "1000000"),
];

/// Runs them; the tests count and judge as in every change.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let mut lengths = LENGTHS.map(|(option, variable, value)| (option, variable, value.to_owned()));
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let known = LENGTHS.map(|(option, ..)| option).join(" N, ");
        let (option, _, value) = lengths
            .iter_mut()
            .find(|(option, ..)| option == argument)
            .ok_or_else(|| format!("{argument}: no such option; there are {known} N"))?;
        let given = arguments.next().ok_or_else(|| format!("{option} needs a number"))?;
        given.parse::<u64>().map_err(|_| format!("{option} needs a number, not {given:?}"))?;
        *value = (*given).to_owned();
    }
    let mut command = cargo(&[
        "test",
        "--package",
        "midsession-sim",
        "--locked",
        "--profile",
        "soak",
        "--no-fail-fast",
        "--",
        "--nocapture",
    ]);
    command.envs(lengths.iter().map(|(_, variable, value)| (variable, value)));
    let mut counts = Counts::default();
    let outcome = shell::run(command, &mut counts);
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}
