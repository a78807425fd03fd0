//! `midsession bench`: the figures of the product, each with machine, load and revision.

mod figures;
mod history;
mod ingest;
mod load;
mod peak;
mod recover;
mod rounds;
mod server;

use super::{Failure, Global, out, parse_duration};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// HTTP batches of events → validated → encoded → durable answer; CPU of the server process
    #[command(
        after_help = "Examples:\n  midsession bench ingest\n  midsession bench ingest --format snowplow --batch 1 --for 30s --json"
    )]
    Ingest(Load),
    /// HTTP in → log → machine → decide → push out; latencies at a fixed rate
    #[command(
        after_help = "Examples:\n  midsession bench loop\n  midsession bench loop --events-per-s 5000 --for 20s --listeners 500"
    )]
    Loop(Load),
    /// Durable log → partition machines → features readable; input written beforehand
    #[command(
        after_help = "Examples:\n  midsession bench peak\n  midsession bench peak --events 2000000 --threads 4 --json"
    )]
    Peak(Peak),
    /// A restart on a full state: last snapshots → records since → fresh
    #[command(
        mut_arg("partitions", |argument| argument.default_value("16")),
        after_help = "Examples:\n  midsession bench recover --events 4000000 --shoppers 1000000"
    )]
    Recover(Peak),
    /// A training set from a file of events in no order; processor time and memory of `midsession features` alone
    #[command(after_help = "Examples:\n  midsession bench history\n  midsession bench history --events 4000000 --json")]
    History(Past),
}

/// An open-loop load on a server of its own.
#[derive(Args, Clone, Debug)]
pub(super) struct Load {
    /// Events per second offered; with 0 `ingest` sends as many as the server takes, `loop` 50,000
    #[arg(long, default_value_t = 0)]
    events_per_s: u64,
    /// For how long
    #[arg(long = "for", default_value = "10s", value_parser = parse_duration)]
    for_: Duration,
    /// Events in one request
    #[arg(long, default_value_t = 20)]
    batch: usize,
    /// The protocol that the events come in
    #[arg(long, value_enum, default_value_t = Format::Native)]
    format: Format,
    /// Connections
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Open shoppers
    #[arg(long, default_value_t = 100_000)]
    shoppers: u64,
    /// Browsers that listen for interventions (loop)
    #[arg(long, default_value_t = 200)]
    listeners: usize,
}

/// A protocol to send load in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// POST /v1/events
    Native,
    /// POST /com.snowplowanalytics.snowplow/tp2
    Snowplow,
    /// POST /v1/batch
    Segment,
}

/// A history to look back on.
#[derive(Args, Clone, Debug)]
pub(super) struct Past {
    /// Events in all, 100,000 of 25,000 visitors a day
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Questions: a visitor and an instant each
    #[arg(long, default_value_t = 20_000)]
    questions: u64,
    /// Draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A backlog for the partition machines.
#[derive(Args, Clone, Debug)]
pub(super) struct Peak {
    /// Events in all
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Concurrent shoppers
    #[arg(long, default_value_t = 200_000)]
    shoppers: u64,
    /// Partitions of behavior
    #[arg(long, default_value_t = 256)]
    partitions: u32,
    /// Owners
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Zipf exponent of shoppers
    #[arg(long, default_value_t = 0.8)]
    zipf: f64,
    /// Draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Memory for facts; what is over it is spilled to disk. MiB
    #[arg(long, default_value_t = crate::config::Config::default().facts_memory_mib)]
    facts_memory_mib: u32,
    /// The demo's interventions are asked at every event, and decided
    #[arg(long)]
    interventions: bool,
}

pub(super) fn run(global: &Global, options: Options) -> Result<(), Failure> {
    let figures = match options.bench {
        Bench::Ingest(load) => ingest::run(&load)?,
        Bench::Loop(load) => rounds::run(&load)?,
        Bench::Peak(peak) => peak::run(&peak)?,
        Bench::Recover(peak) => recover::run(&peak)?,
        Bench::History(past) => history::run(&past)?,
    };
    let pretty = || serde_json::to_string_pretty(&figures).map_err(Failure::new);
    out(&if global.json { figures.to_string() } else { pretty()? });
    Ok(())
}
