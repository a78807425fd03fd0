//! Generated references: written from the code, compared with the documentation by the project's checks.

use super::{Cli, Failure, out};
use crate::config::Config;
use clap::{Args, CommandFactory, ValueEnum};

#[derive(Args, Debug)]
pub(super) struct Options {
    /// Which
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Config,
    Cli,
    Metrics,
    Openapi,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let text = match options.what {
        What::Config => config()?,
        What::Cli => cli(),
        What::Metrics => metrics(),
        What::Openapi => serde_json::to_string_pretty(&midsession_edge::openapi()).map_err(Failure::new)?,
    };
    out(text.trim_end());
    Ok(())
}

fn config() -> Result<String, Failure> {
    let mut config = Config::default();
    config.sources.push(midsession_collect::Source::default());
    let text = toml::to_string(&config).map_err(Failure::new)?;
    Ok(format!(
        "# Configuration\n\nEvery key of `midsession.toml` with its default. Features and interventions: see their pages.\n\n```toml\n{text}```\n"
    ))
}

fn cli() -> String {
    let mut text = "# Command line\n".to_owned();
    let mut command = Cli::command();
    command.build();
    describe(&mut command, "", &mut text);
    text
}

fn describe(command: &mut clap::Command, above: &str, text: &mut String) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above}{}", command.get_name());
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim()));
    for sub in command.get_subcommands_mut() {
        describe(sub, &format!("{name} "), text);
    }
}

fn metrics() -> String {
    let mut text = "# Metrics\n\nServed on the admin listener at `/metrics`, in Prometheus' format.\n\n| name | kind | label | what |\n|---|---|---|---|\n".to_owned();
    for row in midsession_observe::METRICS {
        let kind = format!("{:?}", row.kind).to_lowercase();
        // OpenMetrics names counters with this ending.
        let ending = if row.kind == midsession_observe::Kind::Counter { "_total" } else { "" };
        text.push_str(&format!("| `{}{ending}` | {kind} | {} | {} |\n", row.name, row.label.unwrap_or(""), row.help));
    }
    text
}
