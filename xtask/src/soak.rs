//! `cargo xtask soak`: the simulator and the kill -9 cycles again, optimised and for as long as asked.

use crate::counts::Counts;
use crate::shell::{self, cargo};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Option, the variable that the tests read, and how much of it unless asked otherwise.
const LENGTHS: [(&str, &str, &str); 5] = [
    ("--sim-hours", "MIDSESSION_SIM_HOURS", "100000"),
    ("--failpoints", "MIDSESSION_SIM_FAILPOINTS", "100"),
    ("--sim-runs", "MIDSESSION_SIM_RUNS", "300000"),
    ("--kills", "MIDSESSION_KILL_CYCLES", "10000"),
    ("--served", "MIDSESSION_SERVED_VALUES", "1000000"),
];
/// Bounds the whole.
const MINUTES: &str = "--minutes";
/// Tests whose length these are: two of them run at a time, beside others that take so long. s.
const AT_A_TIME: u64 = 2;
const OTHERS_S: u64 = 60;
/// Less proves nothing. s.
const LEAST_S: u64 = 10;

/// How long each of the long tests may take so that all take about so many minutes. s.
fn seconds_each(minutes: u64) -> u64 {
    let long = LENGTHS.len() as u64;
    ((minutes * 60).saturating_sub(OTHERS_S) * AT_A_TIME / long).max(LEAST_S)
}

/// Runs them; the tests count and judge as in every change.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let mut bound = None;
    let mut variables: Vec<(&str, String)> =
        LENGTHS.iter().map(|(_, variable, value)| (*variable, (*value).to_owned())).collect();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let given = || arguments.as_slice().first().ok_or_else(|| format!("{argument} needs a number"));
        let number =
            |given: &str| given.parse::<u64>().map_err(|_| format!("{argument} needs a number, not {given:?}"));
        if *argument == MINUTES {
            bound = Some(number(given()?)?);
        } else {
            let known = LENGTHS.map(|(option, ..)| option).join(" N, ");
            let place = LENGTHS.iter().position(|(option, ..)| option == argument);
            let place = place.ok_or_else(|| format!("{argument}: no such option; there are {MINUTES} N, {known} N"))?;
            variables[place].1 = number(given()?)?.to_string();
        }
        arguments.next();
    }
    // Every seeded defect, not a third of them.
    variables.push(("MIDSESSION_SIM_DEFECTS", "all".to_owned()));
    let test = |more: &[&str], variables: &[(&str, String)]| {
        let words = ["test", "--package", "midsession-sim", "--locked", "--profile", "soak", "--no-fail-fast"];
        let mut command = cargo(&[&words[..], more].concat());
        command.envs(variables.iter().map(|(variable, value)| (*variable, value.as_str())));
        command
    };
    let mut counts = Counts::default();
    shell::run(test(&["--no-run"], &[]), &mut counts)?;
    let begun = Instant::now();
    if let Some(minutes) = bound {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        variables.push(("MIDSESSION_SIM_SECONDS", seconds_each(minutes).to_string()));
        variables.push(("MIDSESSION_SIM_UNTIL", (now_s + minutes * 60).to_string()));
    }
    let at_a_time = format!("--test-threads={AT_A_TIME}");
    let outcome = shell::run(test(&["--", "--nocapture", &at_a_time], &variables), &mut counts);
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    println!("{} passed, {} failed in {minutes:.1} minutes", counts.passed, counts.failed);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_wrongly_is_said() {
        for (arguments, cause) in [
            (vec!["--hours", "1"], "--hours: no such option; there are --minutes N, --sim-hours N"),
            (vec!["--minutes"], "--minutes needs a number"),
            (vec!["--kills", "many"], "--kills needs a number, not \"many\""),
        ] {
            let said = run(&arguments).expect_err("it is wrong");
            assert!(said.starts_with(cause), "{said}");
        }
    }

    #[test]
    fn minutes_are_shared() {
        assert_eq!([1, 3, 120].map(seconds_each), [10, 48, 2_856]);
    }
}
