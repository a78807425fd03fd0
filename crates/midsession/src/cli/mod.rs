//! The command line. Exit codes: 0 done, 1 failed (one line of cause, one of what to do), 2 wrong use.

mod admin;
mod bench;
mod bound;
mod check;
pub(crate) mod context;
mod definition;
mod demo;
mod history;
mod log;
mod reference;
mod serve;

use crate::config::Config;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Acts on a shopper while the session is still open.
#[derive(Debug, Parser)]
#[command(name = "midsession", version, propagate_version = true, after_help = "Start with: midsession demo")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The configuration file; without it `midsession.toml` in this folder, if there is one, else the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object per result line on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything in one process: demo shop with simulated shoppers, collector, engine, console
    #[command(after_help = "Examples:\n  midsession demo\n  midsession demo --for 60s --shoppers 10 --port 0 --json")]
    Demo(demo::DemoOptions),
    /// The server
    #[command(
        after_help = "Examples:\n  midsession serve\n  midsession serve --config midsession.toml --data /var/lib/midsession"
    )]
    Serve(serve::Options),
    /// Validates the configuration and the definitions; points at file:line:column
    #[command(after_help = "Examples:\n  midsession check\n  midsession check shop.toml")]
    Check(check::Options),
    /// Shows the configuration in force, defaults included
    #[command(
        after_help = "Examples:\n  midsession config\n  midsession config --config shop.toml > /tmp/all-settings.toml"
    )]
    Config,
    /// Looks into the log
    #[command(
        subcommand,
        after_help = "Examples:\n  midsession log topics\n  midsession log read behavior --follow\n  midsession log read decision --from 2026-11-25T10:00:00Z --json"
    )]
    Log(log::Command),
    /// What is known of products, prices, stock and people: the tables that events are joined with
    #[command(
        subcommand,
        after_help = "Examples:\n  midsession context load product products.csv\n  midsession context load inventory stock.jsonl\n  midsession context tables"
    )]
    Context(context::Command),
    /// Feature definitions of a running server: added, changed and removed while it runs
    #[command(
        subcommand,
        after_help = "Examples:\n  midsession definition put sale.toml\n  midsession definition list\n  midsession definition promote sale_view_count\n  midsession definition remove sale_view_count@2"
    )]
    Definition(definition::Command),
    /// Features as they were: for given shoppers and instants, or after every event, by the code of the live path
    #[command(after_help = history::FEATURES_EXAMPLES)]
    Features(Box<history::FeaturesOptions>),
    /// The sessions of a history, open and closed, by the code of the live path
    #[command(after_help = history::SESSIONS_EXAMPLES)]
    Sessions(Box<history::SessionsOptions>),
    /// The benchmarks; figures as JSON with machine, load and revision
    #[command(
        after_help = "Examples:\n  midsession bench ingest\n  midsession bench loop --events-per-s 5000 --for 20s\n  midsession bench peak --events 2000000"
    )]
    Bench(bench::Options),
    /// Generated references, for the project's documentation
    #[command(hide = true)]
    Reference(reference::Options),
}

/// A failure: what happened and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// One line.
    pub cause: String,
    /// One line, if there is something to do.
    pub hint: Option<String>,
    /// The command was used wrongly: exit code 2.
    pub is_usage: bool,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(cause: impl std::fmt::Display) -> Self {
        Self { cause: cause.to_string(), hint: None, is_usage: false }
    }

    /// The command was used wrongly.
    pub fn usage(cause: impl std::fmt::Display) -> Self {
        Self { is_usage: true, ..Self::new(cause) }
    }

    /// With something to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self::new(cause)
    }
}

impl From<midsession_ports::LogError> for Failure {
    fn from(error: midsession_ports::LogError) -> Self {
        let hint = match &error {
            midsession_ports::LogError::Locked { .. } => {
                Some("stop the other process, or pass --data with another folder".to_owned())
            }
            midsession_ports::LogError::Failed { .. } => {
                Some("look at the disk, then start again: it goes on from what is durable".to_owned())
            }
            midsession_ports::LogError::DiskFull { .. } => {
                Some("make room on that disk, then start again: nothing that was acknowledged is lost".to_owned())
            }
            error if error.is_retryable() => Some("try again in a moment".to_owned()),
            _ => None,
        };
        Self { cause: error.to_string(), hint, is_usage: false }
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = std::env::var("MIDSESSION_LOG").unwrap_or_else(|_| "warn".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        Command::Demo(options) => demo::run(&cli.global, options),
        Command::Serve(options) => serve::run(&cli.global, options),
        Command::Check(options) => check::run(&cli.global, &options),
        Command::Config => config(&cli.global),
        Command::Log(command) => log::run(&cli.global, command),
        Command::Context(command) => context::run(&cli.global, command),
        Command::Definition(command) => definition::run(&cli.global, command),
        Command::Features(options) => history::features(&cli.global, *options),
        Command::Sessions(options) => history::sessions(&cli.global, *options),
        Command::Bench(options) => bench::run(&cli.global, options),
        Command::Reference(options) => reference::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.cause);
            if let Some(hint) = failure.hint {
                eprintln!("hint: {hint}");
            }
            if failure.is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

impl Global {
    /// The configuration that the command works with.
    fn load(&self) -> Result<Config, Failure> {
        Config::load(self.config.as_deref()).map_err(|cause| match self.config.as_deref() {
            Some(path) if !path.is_file() => Failure::new(cause).hint(
                "--config names a TOML file: `midsession config > FILE` writes one with every default; left out, \
                 midsession.toml of this folder is taken if it is there",
            ),
            _ => match meant(&cause) {
                Some(name) => Failure::new(&cause).hint(format!("did you mean `{name}`?")),
                None => Failure::new(cause),
            },
        })
    }
}

/// The setting that an unknown one is nearly, of those that the message lists.
fn meant(cause: &str) -> Option<&str> {
    let (_, rest) = cause.split_once("unknown field `")?;
    let (wrong, rest) = rest.split_once('`')?;
    midsession_feature::nearest(wrong, rest.split('`').skip(1).step_by(2))
}

fn config(global: &Global) -> Result<(), Failure> {
    let config = global.load()?;
    let text = if global.json {
        serde_json::to_string(&config).map_err(Failure::new)?
    } else {
        let text = toml::to_string(&config).map_err(Failure::new)?;
        format!("# Secrets (redis_password, hash_key) are left out: they stay in your own file.\n{text}")
    };
    out(&text);
    Ok(())
}

/// Prints a line. A reader that has gone away (`| head`) ends the program quietly.
pub fn out(line: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")).is_err() {
        std::process::exit(0);
    }
}

/// Reads `90s`, `5m`, `2h`, `1d`, `250ms`.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    midsession_feature::parse_duration_ms(text)
        .map(|ms| std::time::Duration::from_millis(ms.unsigned_abs()))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_not_there_comes_with_a_hint() {
        let global = Cli::try_parse_from(["midsession", "check", "--config", "no/where.toml"]).expect("parses").global;
        let failure = global.load().expect_err("is not there");
        assert!(failure.cause.starts_with("no/where.toml: "), "{}", failure.cause);
        assert!(failure.hint.is_some_and(|hint| hint.contains("midsession config")));
    }

    #[test]
    fn a_setting_that_is_nearly_ours_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("typo.toml");
        for (text, hint) in [
            ("prot = 9\n", Some("did you mean `port`?")),
            ("[session]\ngaps = 9\n", Some("did you mean `gap_s`?")),
            ("zzzzzz = 1\n", None),
        ] {
            std::fs::write(&file, text).expect("writes");
            let named = file.to_str().expect("text");
            let global = Cli::try_parse_from(["midsession", "check", "--config", named]).expect("parses").global;
            let failure = global.load().expect_err("unknown");
            assert_eq!(failure.hint.as_deref(), hint, "{}", failure.cause);
        }
    }
}
