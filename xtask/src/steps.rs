//! `cargo xtask test`: the steps, run one after the other to the last, with the minutes of each at the end.

use crate::counts::Counts;
use crate::shell::{cargo, run};
use crate::{deps, generate, setup, tidy, web};
use std::time::{Duration, Instant};

/// What a step does: counts the tests it runs, and says what is wrong.
type Run = fn(&mut Counts) -> Result<(), String>;

/// In this order, the quick ones first.
const STEPS: &[(&str, &str, Run)] = &[
    ("setup", "programs the tests need, installed when missing", |_| setup::install()),
    ("fmt", "rustfmt", |counts| run(cargo(&["fmt", "--all", "--check"]), counts)),
    ("tidy", "the rules of the tree", |_| tidy::check()),
    ("deps", "levels, licences, bans and doubled versions", |_| deps::check()),
    ("clippy", "lints, none allowed to warn", |counts| {
        run(
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--keep-going", "--", "-D", "warnings"]),
            counts,
        )
    }),
    ("web", "packages installed, types checked, bundles built and equal to the committed ones, tests", web::test),
    ("build", "the binary", |counts| run(cargo(&["build", "--locked", "--package", "midsession"]), counts)),
    ("cargo", "every Rust test", |counts| run(cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]), counts)),
    ("generate", "generated references equal the committed ones", |_| generate::check()),
    ("e2e", "browser, trackers and Redis clients against the binary", web::end_to_end),
];

/// Runs the steps asked for, all of them when none is named.
pub fn test(arguments: &[&str]) -> Result<(), String> {
    let mut only = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--list" => {
                STEPS.iter().for_each(|(name, does, _)| println!("{name:<10} {does}"));
                return Ok(());
            }
            "--only" => only.push(*arguments.next().ok_or("--only needs a step; see --list")?),
            other => return Err(format!("{other}: no such option; there are --only STEP and --list")),
        }
    }
    if let Some(unknown) = only.iter().find(|wanted| !STEPS.iter().any(|(name, ..)| name == *wanted)) {
        return Err(format!("{unknown}: no such step; see --list"));
    }
    let steps = STEPS.iter().filter(|(name, ..)| only.is_empty() || only.contains(name));
    let mut counts = Counts::default();
    let mut rows = Vec::new();
    for (name, does, step) in steps {
        println!("\n== {name}: {does}");
        let begun = Instant::now();
        let outcome = step(&mut counts);
        if let Err(cause) = &outcome {
            println!("{name} failed: {cause}");
        }
        rows.push((*name, begun.elapsed(), outcome));
    }
    report(&rows, counts)
}

fn report(rows: &[(&str, Duration, Result<(), String>)], mut counts: Counts) -> Result<(), String> {
    println!("\n{:<10} {:>8}", "step", "minutes");
    for (name, took, outcome) in rows {
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{name:<10} {:>8.1}  {verdict}", took.as_secs_f64() / 60.0);
    }
    let total: Duration = rows.iter().map(|(_, took, _)| *took).sum();
    println!("{:<10} {:>8.1}", "total", total.as_secs_f64() / 60.0);
    let causes: Vec<String> = rows
        .iter()
        .filter_map(|(name, _, outcome)| outcome.as_ref().err().map(|cause| format!("{name}: {cause}")))
        .collect();
    causes.iter().for_each(|cause| println!("\n{cause}"));
    // A step that fails before its first test still is a failure to whoever reads the last line alone.
    counts.failed = counts.failed.max(causes.len() as u64);
    println!("\n{} passed, {} failed", counts.passed, counts.failed);
    if causes.is_empty() { Ok(()) } else { Err(String::new()) }
}
