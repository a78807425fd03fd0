//! The project's own tools: `test`, `tidy`, `generate`, `soak`, `dist`.

mod counts;
mod deps;
mod dist;
mod generate;
mod setup;
mod shell;
mod soak;
mod steps;
mod tidy;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [--only STEP]… [--list]   everything that must hold before a change lands; installs what it needs
  tidy                           the rules of the tree alone, in a second
  generate [--check]             writes docs/reference from the binary (or says what has drifted)
  soak [--minutes N] [--sim-hours N] [--failpoints N] [--sim-runs N] [--kills N] [--served N]
                                 the long runs: simulated storms and seeds, all seeded defects, kill -9 cycles;
                                 within about so many minutes
  dist                           the binary as it is shipped, built by the profile of its own benches";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", rest @ ..] => steps::test(rest),
        ["tidy"] => steps::test(&["--only", "tidy"]),
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(),
        ["soak", rest @ ..] => soak::run(rest),
        ["dist"] => dist::run_all(),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::FAILURE
        }
    }
}
