//! `midsession serve`: the server until a signal ends it.

use super::{Failure, Global, out};
use crate::app::{App, Start};
use crate::config::Config;
use clap::Args;
use midsession_engine_local::RealDisk;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of `serve` and `demo`.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Port of the collector; 0 for any free one [default: 8080]
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the console and the admin API; 0 for any free one [default: 8081]
    #[arg(long)]
    pub admin_port: Option<u16>,
    /// Port of the Redis protocol; 0 for any free one [default: 6380]
    #[arg(long)]
    pub redis_port: Option<u16>,
    /// Takes any write key and, where a source lists none, any origin: for development
    #[arg(long)]
    pub accept_any_key: bool,
    /// Which roles this process plays; this version runs them all in one process
    #[arg(long, default_value = "all", value_parser = ["all"])]
    pub role: String,
}

impl Options {
    /// The configuration with these options laid over it.
    pub fn apply(&self, mut config: Config) -> Config {
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        config.port = self.port.unwrap_or(config.port);
        config.admin_port = self.admin_port.unwrap_or(config.admin_port);
        config.redis_port = self.redis_port.unwrap_or(config.redis_port);
        config
    }
}

pub(super) fn run(global: &Global, options: Options) -> Result<(), Failure> {
    let config = options.apply(global.load()?);
    let start = Start { config, accept_any_key: options.accept_any_key, demo: false, disk: Arc::new(RealDisk) };
    runtime()?.block_on(async {
        let app = App::start(start).await?;
        announce(&app, global.json);
        signal(app.failed()).await;
        eprintln!("draining …");
        app.drain().await
    })
}

/// The runtime of the listeners.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::new)
}

/// Says where everything is.
pub(super) fn announce(app: &App, as_json: bool) {
    let addresses = app.addresses();
    let console = app.console_url();
    let keys = app.write_keys();
    if as_json {
        let line = json!({
            "collector": format!("http://{}", addresses.public), "admin": format!("http://{}", addresses.admin),
            "redis": format!("redis://{}", addresses.redis), "console": console, "data": app.data(),
            "sign_in": app.sign_in(), "write_key": keys.first().map(|(_, key)| key), "write_keys": keys.iter().copied().collect::<BTreeMap<_, _>>(), "shop": app.shop_url(),
        });
        out(&line.to_string());
        return;
    }
    if let Some(shop) = app.shop_url() {
        out(&format!("shop       {shop}"));
    }
    out(&format!("console    {console}"));
    if let Some(how) = app.sign_in() {
        out(&format!("sign in    {how}"));
    }
    match keys[..] {
        [(_, key)] => out(&format!("collector  http://{}   write key {key}", addresses.public)),
        _ => {
            out(&format!("collector  http://{}", addresses.public));
            keys.iter().for_each(|(name, key)| out(&format!("write key  {key}   of source {name}")));
        }
    }
    out(&format!("features   redis-cli -p {}", addresses.redis.port()));
    out(&format!("data       {}", app.data().display()));
    out("Ctrl-C drains and stops.");
}

/// Until Ctrl-C, SIGTERM, or a failure from within.
pub(super) async fn signal(failed: impl Future<Output = ()>) {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
        () = failed => {}
    }
}
