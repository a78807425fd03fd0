//! `midsession demo`: everything in one process, with shoppers.

use super::{Failure, Global, parse_duration, serve};
use crate::app::{App, Start};
use crate::load::{feed, replay, shoppers};
use clap::Args;
use midsession_engine_local::RealDisk;
use std::sync::Arc;
use std::time::Duration;

/// Each holds two connections of which this process has both ends, and the collector takes 20,000.
const SHOPPERS_MAX: i64 = 10_000;
const FILES_PER_SHOPPER: u64 = 4;
/// The log, the listeners and the browsers that come by.
const FILES_ELSE: u64 = 256;

#[derive(Args, Debug)]
pub(super) struct DemoOptions {
    #[command(flatten)]
    serve: serve::Options,
    /// Ends by itself after this long, e.g. 60s
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    for_: Option<Duration>,
    /// Simulated shoppers in the shop at a time
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(..=SHOPPERS_MAX))]
    shoppers: u16,
    /// The replay of real clicks: pauses between visits shrink by this, gaps inside a visit stay real; 0 leaves it out
    #[arg(long, default_value_t = 60.0)]
    replay_speed: f64,
    /// Time of day (UTC) on the sample's first day at which the replay begins; what lies before it comes at the end
    #[arg(long, default_value = "08:00", value_name = "HH:MM", value_parser = parse_time_of_day)]
    replay_from: i64,
    /// Draws of the simulated shoppers
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(global: &Global, options: DemoOptions) -> Result<(), Failure> {
    if !options.replay_speed.is_finite() || options.replay_speed < 0.0 {
        return Err(Failure::usage("--replay-speed takes 0 or a positive number"));
    }
    let files = u64::from(options.shoppers) * FILES_PER_SHOPPER + FILES_ELSE;
    if let Some(most) = files_max().filter(|most| *most < files) {
        return Err(Failure::usage(format!(
            "--shoppers {} needs {files} open files; {most} are allowed",
            options.shoppers
        ))
        .hint(format!("ulimit -n {files}, or fewer shoppers")));
    }
    let config = options.serve.apply(global.load()?);
    let accept_any_key = options.serve.accept_any_key;
    let start = Start { config, accept_any_key, demo: true, disk: Arc::new(RealDisk) };
    serve::runtime()?.block_on(async {
        let app = App::start(start).await?;
        serve::announce(&app, global.json);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let shop = shoppers::Shop {
            collector: app.addresses().public,
            write_key: app.write_key_of(crate::app::SIMULATED),
            catalog: Arc::new(shoppers::catalog()?),
        };
        feed::load(app.context(), &shop.catalog, options.replay_speed > 0.0).await?;
        let feed = tokio::spawn(feed::run(Arc::clone(app.context()), Arc::clone(&shop.catalog), stopped.clone()));
        let seed = options.seed ^ app.keys().write_key.len() as u64 ^ app.now_ms().unsigned_abs();
        let shoppers = tokio::spawn(shoppers::run(shop, options.shoppers.into(), seed, stopped.clone()));
        let replayer = (options.replay_speed > 0.0).then(|| {
            let (collector, key) = (app.addresses().public, app.write_key_of(crate::app::REPLAYED));
            let (folder, clock) = (app.data().to_owned(), app.clock());
            let pace = replay::Pace { speed: options.replay_speed, from_ms: options.replay_from };
            tokio::spawn(async move { replay::run(collector, key, pace, &folder, clock, stopped).await })
        });
        let over = async {
            match options.for_ {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serve::signal(app.failed()) => {}
            () = over => {}
        }
        eprintln!("draining …");
        // Nobody listens any more once the tasks have ended, which is what is wanted.
        let _ = stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(5), shoppers).await;
        feed.abort();
        if let Some(replayer) = replayer
            && let Ok(Ok(Err(cause))) = tokio::time::timeout(Duration::from_secs(5), replayer).await
        {
            tracing::error!(%cause, "the replay stopped");
        }
        app.drain().await
    })
}

/// `08:00`, in ms since midnight.
fn parse_time_of_day(text: &str) -> Result<i64, String> {
    let time: jiff::civil::Time = text.parse().map_err(|_| "a time of day, as in 08:00, is needed".to_owned())?;
    Ok(time.duration_since(jiff::civil::Time::midnight()).as_millis() as i64)
}

/// How many files this process may have open, where the system tells.
fn files_max() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}
