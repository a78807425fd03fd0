//! The product assembled: log, partitions, listeners; started, asked and drained as one.

use crate::assemble::Assembly;
use crate::backend::AppBackend;
use crate::cli::Failure;
use crate::config::Config;
use crate::context::ContextTables;
use crate::driver::{Around, Clock, Decider, Driver, Sink, SnapshotRule};
use crate::keys::{Keys, secret};
use crate::shop::DemoShop;
use crate::switches::Switches;
use crate::world::World;
use midsession_collect::{Collector, Source};
use midsession_edge::{Frame, PushHub, Running};
use midsession_engine_keystore::Keystore;
use midsession_engine_local::{Disk, LocalLog, LocalSnapshots};
use midsession_event::{DecisionId, Topic};
use midsession_observe::Observe;
use midsession_ports::{Log, LogError};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Source of the demo shop's own pages.
pub const SHOP: &str = "shop";
/// Source of the simulated shoppers.
pub const SIMULATED: &str = "simulated";
/// Source of the replayed clicks.
pub const REPLAYED: &str = "bol";

/// How long a drain may take.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether the product can go on.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What to start.
pub struct Start {
    /// The configuration, options laid over it.
    pub config: Config,
    /// Any write key is taken.
    pub accept_any_key: bool,
    /// With the demo shop and its three interventions.
    pub demo: bool,
    /// What the log is kept on.
    pub disk: Arc<dyn Disk>,
}

/// The running product.
pub struct App {
    inner: Arc<Inner>,
    running: Running,
}

/// Where the listeners are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Collector, push, tracker, demo shop.
    pub public: SocketAddr,
    /// Console and reads.
    pub admin: SocketAddr,
    /// Redis protocol.
    pub redis: SocketAddr,
}

/// What the parts share.
pub struct Inner {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) local: Arc<LocalLog>,
    pub(crate) vault: Arc<Keystore>,
    pub(crate) collector: Arc<Collector>,
    pub(crate) assembly: Arc<Assembly>,
    pub(crate) definer: crate::definitions::Definer,
    pub(crate) driver: Arc<Driver<Assembly>>,
    pub(crate) world: Arc<World>,
    pub(crate) rounds: crate::reads::Rounds,
    pub(crate) hub: Arc<PushHub>,
    pub(crate) observe: Arc<Observe>,
    pub(crate) switches: Arc<Switches>,
    pub(crate) context: Arc<ContextTables>,
    pub(crate) spill: crate::spill::SpillFolder,
    /// What of the log was found damaged.
    pub(crate) damage: parking_lot::Mutex<Option<String>>,
    /// Dead letters that the console can't show because the log is damaged there.
    pub(crate) unreadable: std::sync::atomic::AtomicU64,
    pub(crate) shop: Option<DemoShop>,
    pub(crate) stream_config: midsession_stream::Config,
    pub(crate) started_at_ms: i64,
    sources: Vec<Source>,
    keys: Keys,
    clock: Clock,
    data: std::path::PathBuf,
    admin: std::sync::OnceLock<SocketAddr>,
}

impl App {
    /// Opens the data folder, replays it, and listens.
    pub async fn start(start: Start) -> Result<Self, Failure> {
        let Start { config, accept_any_key, demo, disk } = start;
        let clock: Clock = Arc::new(midsession_edge::clock::now_us);
        let keys = Keys::load(&config.data)?;
        let assembly = Arc::new(Assembly::load(&config, demo)?);
        let mut log_config = midsession_engine_local::Config::new(&config.data);
        log_config.partitions = config.partitions;
        log_config.keep_ms = i64::from(config.log.retention_h) * 3_600_000;
        log_config.keep_bytes = config.log.retention_mib << 20;
        log_config.reserve_bytes = 2 * log_config.commit_bytes;
        let clock_ms = {
            let clock = Arc::clone(&clock);
            Arc::new(move || clock() / 1000)
        };
        let local = Arc::new(LocalLog::open(Arc::clone(&disk), clock_ms, log_config)?);
        // Before anything reads the clock for shoppers: a wall clock that was ahead in an earlier life must not stop time.
        midsession_edge::clock::not_before(local.last_stamp_ms());
        let log: Arc<dyn Log> = local.clone();
        let vault = Arc::new(crate::privacy::keystore(&config, clock() / 1000)?);
        // An installation from before there was a keystore goes on with the secret that its hashes came from.
        let initial = if keys.fresh { crate::keys::random_key() } else { secret(&keys.signing_key) };
        let ids_secret = vault.secret(crate::privacy::IDS, initial).map_err(Failure::new)?;
        crate::folder::keep(log.as_ref(), &config.session, clock() / 1000).await?;
        crate::definitions::begin(log.as_ref(), &assembly, clock() / 1000).await?;
        let partitions = log.partitions(Topic::Behavior);
        let observe = Observe::new();
        let hub = PushHub::new(Arc::clone(&observe), midsession_edge::HubLimits::default());
        let world = World::new(Arc::clone(&hub), Arc::clone(&observe), Arc::clone(&clock));
        let switches = Arc::new(Switches::load(log.as_ref())?);
        let context = ContextTables::open(&config.context, &log, &observe).await?;
        let decider: Arc<dyn Decider<Assembly>> = Arc::new(crate::desk::Desk {
            switches: Arc::clone(&switches),
            signing_key: keys.signing_key.as_bytes().to_vec(),
            clock: Arc::clone(&clock),
            observe: Arc::clone(&observe),
            context: Arc::clone(&context),
        });
        world.recall(log.as_ref())?;
        let sink: Arc<dyn Sink> = world.clone();
        let mut stream_config = config.stream(partitions);
        stream_config.cap_memory_ms = assembly.longest_cap_ms();
        let snapshots = Arc::new(LocalSnapshots::open(Arc::clone(&disk), &config.data)?);
        let spill = crate::spill::open(&config, disk, partitions)?;
        let around = Around {
            log: Arc::clone(&log),
            snapshots: snapshots.clone(),
            snapshot_rule: SnapshotRule {
                every_ms: i64::from(config.log.snapshot_s.max(1)) * 1000,
                ..SnapshotRule::of(partitions)
            },
            spills: spill.spills(),
            accept_lost_state: config.log.accept_lost_state,
            definitions: Arc::clone(&assembly),
            decider,
            sink,
        };
        let driver = Driver::start(&around, stream_config, config.stream_threads, &clock).map_err(Failure::new)?;
        let sources = sources(&config, &keys, demo);
        if keys.write_key_given && !sources.iter().any(|source| source.write_key == keys.write_key) {
            tracing::warn!("MIDSESSION_WRITE_KEY is not used: each [[source]] has a write_key of its own");
        }
        let settings = midsession_collect::Settings {
            limits: midsession_collect::Limits::default(),
            secret: ids_secret,
            accept_any_key,
        };
        let geo = config.geo_database.as_deref().map(crate::geo::open).transpose().map_err(crate::geo::failure)?;
        let schemas = crate::schemas::load(&config).map_err(Failure::new)?.0;
        let collector = Collector::new(sources.clone(), settings, schemas, geo);
        let collector = Arc::new(collector.keeping_to(world.withdrawn.clone()));
        let shop =
            if demo { Some(DemoShop::open(Arc::clone(&log), &keys.signing_key, Arc::clone(&clock))?) } else { None };
        let inner = Arc::new(Inner {
            log: Arc::clone(&log),
            local,
            vault: Arc::clone(&vault),
            collector: Arc::clone(&collector),
            assembly,
            definer: Default::default(),
            driver,
            world,
            rounds: Default::default(),
            hub: Arc::clone(&hub),
            observe: Arc::clone(&observe),
            switches,
            context,
            spill,
            damage: Default::default(),
            unreadable: Default::default(),
            shop,
            stream_config,
            started_at_ms: clock() / 1000,
            sources,
            keys,
            clock,
            data: config.data.clone(),
            admin: std::sync::OnceLock::new(),
        });
        let edge = listeners(&config, &inner.keys.admin_token, secret(&inner.keys.signing_key));
        let handles = midsession_edge::Handles {
            collector,
            log,
            vault,
            hub,
            backend: Arc::new(AppBackend(Arc::clone(&inner))),
            observe,
        };
        let running = midsession_edge::serve(edge, handles).await.map_err(Failure::new)?;
        // Set once, here: the console's address is known from now on.
        let _ = inner.admin.set(running.admin);
        tokio::spawn(crate::resume::release(Arc::clone(&inner)));
        tokio::spawn(crate::definitions::take_up(Arc::clone(&inner)));
        tokio::spawn(crate::definitions::fill_up(Arc::clone(&inner)));
        tokio::spawn(crate::audit::keep_auditing(Arc::clone(&inner), snapshots));
        tokio::spawn(crate::log_check::keep_checking(Arc::clone(&inner)));
        tokio::spawn(crate::dead_letters::watch(Arc::clone(&inner)));
        Ok(Self { inner, running })
    }

    /// Where the listeners are.
    pub fn addresses(&self) -> Addresses {
        let Running { public, admin, redis, .. } = &self.running;
        Addresses { public: *public, admin: *admin, redis: redis.unwrap_or(*admin) }
    }

    /// The keys in force.
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.inner.data
    }

    /// The context tables.
    pub fn context(&self) -> &Arc<ContextTables> {
        &self.inner.context
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        Arc::clone(&self.inner.clock)
    }

    /// Epoch ms.
    pub fn now_ms(&self) -> i64 {
        self.inner.now_ms()
    }

    /// The write key of a source.
    pub fn write_key_of(&self, source: &str) -> String {
        self.inner.write_key_of(source)
    }

    /// The write keys in force with their sources, the installation's first; the demo's own senders are left out.
    pub fn write_keys(&self) -> Vec<(&str, &str)> {
        in_force(&self.inner.sources, &self.inner.keys)
    }

    /// The console's address; as a link that signs in for the demo, and once where the token was made just now.
    pub fn console_url(&self) -> String {
        let origin = self.inner.console_origin();
        if self.inner.shop.is_some() || self.inner.keys.fresh {
            return format!("{origin}/?token={}", self.inner.keys.admin_token);
        }
        format!("{origin}/")
    }

    /// The demo shop's address.
    pub fn shop_url(&self) -> Option<String> {
        self.inner.shop.as_ref()?;
        Some(format!("http://{}/shop/", self.addresses().public))
    }

    /// Returns when the product can't go on.
    pub async fn failed(&self) {
        while self.inner.driver.failure().is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops taking, finishes what was taken, stops. An error where something had stopped before, or could not be
    /// finished.
    pub async fn drain(self) -> Result<(), Failure> {
        self.running.drain(DRAIN_WITHIN).await;
        let driver = Arc::clone(&self.inner.driver);
        let stopped = tokio::task::spawn_blocking(move || driver.stop(DRAIN_WITHIN)).await;
        if let Some(failure) = self.inner.failure() {
            return Err(failure.into());
        }
        stopped.map_err(Failure::new)
    }

    /// Where the admin token is to be had, once the console's address does not carry it any more.
    pub fn sign_in(&self) -> Option<String> {
        let keys = self.keys();
        if self.console_url().contains("token=") {
            return None;
        }
        if keys.admin_token_given {
            return Some("with the token in MIDSESSION_ADMIN_TOKEN".into());
        }
        let file = Keys::file(self.data());
        Some(format!("with admin_token of {}; to have another one, change it there and start again", file.display()))
    }
}

impl Inner {
    /// What has stopped for good, until a restart.
    pub fn failure(&self) -> Option<LogError> {
        self.driver.failure().or_else(|| self.local.failure())
    }

    /// Epoch ms.
    pub fn now_ms(&self) -> i64 {
        (self.clock)() / 1000
    }

    /// The write key of a source.
    pub fn write_key_of(&self, source: &str) -> String {
        self.sources
            .iter()
            .find(|known| known.name.as_str() == source)
            .map(|known| known.write_key.clone())
            .unwrap_or_default()
    }

    /// What the console calls a source.
    pub fn label_of(&self, source: &str) -> String {
        let known = self.sources.iter().find(|known| known.name.as_str() == source);
        known.and_then(|known| known.label.clone()).unwrap_or_else(|| source.to_owned())
    }

    /// The console's origin.
    pub fn console_origin(&self) -> String {
        self.admin.get().map(|address| format!("http://{address}")).unwrap_or_default()
    }

    /// `{interventions: […], cap: […]}`.
    pub fn intervention_rows(&self) -> Value {
        let rows: Vec<Value> =
            self.latest().rule_names().iter().filter_map(|name| self.intervention_row(name)).collect();
        json!({"interventions": rows, "cap": self.latest().caps_in_words()})
    }

    /// One intervention with its switches and counts.
    pub fn intervention_row(&self, name: &str) -> Option<Value> {
        let mut row = self.latest().rule_row(name)?;
        let switch = self.switches.get(name);
        for (field, value) in [
            ("enabled", switch.enabled.map(Value::from)),
            ("dry_run", switch.dry_run.map(Value::from)),
            ("holdout", switch.holdout.map(Value::from)),
        ] {
            if let Some(value) = value {
                row[field] = value;
            }
        }
        let counts = self.world.tally.counts(name);
        let outcome = |name: &str| counts.outcomes.get(name).copied().unwrap_or(0);
        let reaction = |name: &str| counts.reactions.get(name).copied().unwrap_or(0);
        row["counts"] = json!({
            "candidates": counts.outcomes.values().sum::<u64>(), "served": outcome("served"),
            "holdout": outcome("holdout"), "capped": outcome("capped"), "expired": outcome("expired"),
            "dry_run": outcome("dry_run"), "painted": reaction("painted"), "clicked": reaction("click"),
            "dismissed": reaction("dismiss"),
        });
        row["reached_last_hour"] = json!(counts.reached_since(self.now_ms() - 3_600_000));
        Some(row)
    }

    /// A frame for one's own browser: shown like the real one, counted nowhere.
    pub fn preview_frame(&self, name: &str) -> Option<Frame> {
        let row = self.latest().rule_row(name)?;
        let now_ms = self.now_ms();
        Some(Frame {
            decision_id: DecisionId(uuid::Uuid::new_v4().as_u128()),
            rule: name.into(),
            slot: row["slot"].as_str().unwrap_or_default().into(),
            payload: self.latest().preview_payload(name)?,
            expires_at_ms: now_ms + row["expires_ms"].as_i64().unwrap_or(120_000),
            preview: true,
            cause_event_id: None,
            by_silence: false,
            deadline_ms: None,
            stamps_us: Default::default(),
        })
    }
}

/// The sources of the configuration; without any, one with the installation's write key. The demo brings its own.
fn sources(config: &Config, keys: &Keys, demo: bool) -> Vec<Source> {
    let mut sources = config.sources.clone();
    // The installation's key opens the source that has none of its own; the configuration has at most one.
    for source in sources.iter_mut().filter(|source| source.write_key.is_empty() && !demo) {
        source.write_key.clone_from(&keys.write_key);
    }
    if demo {
        for (name, label) in [(SHOP, "demo shop"), (SIMULATED, "simulated shoppers"), (REPLAYED, "bol.com replay")] {
            let write_key = if name == SHOP { keys.write_key.clone() } else { format!("{}-{name}", keys.write_key) };
            // Whoever points a Snowplow tracker of their own at the demo finds its events there.
            let app_ids = ["midsession-shop", Source::ANY_APP_ID].map(str::to_owned);
            let app_ids = if name == SHOP { app_ids.to_vec() } else { Vec::new() };
            sources.push(Source {
                name: name.into(),
                write_key,
                label: Some(label.into()),
                app_ids,
                ..Source::default()
            });
        }
    } else if sources.is_empty() {
        sources.push(Source { write_key: keys.write_key.clone(), ..Source::default() });
    }
    sources
}

fn in_force<'s>(sources: &'s [Source], keys: &Keys) -> Vec<(&'s str, &'s str)> {
    let named = sources.iter().map(|source| (source.name.as_str(), source.write_key.as_str()));
    let mut named: Vec<_> = named.filter(|(name, _)| ![SIMULATED, REPLAYED].contains(name)).collect();
    named.sort_by_key(|(_, key)| *key != keys.write_key);
    named
}

/// The listeners of a configuration.
pub(crate) fn listeners(config: &Config, admin_token: &str, secret: [u8; 32]) -> midsession_edge::Config {
    midsession_edge::Config {
        public: SocketAddr::new(config.bind, config.port),
        admin: SocketAddr::new(config.admin_bind, config.admin_port),
        redis: Some(SocketAddr::new(config.admin_bind, config.redis_port)),
        admin_token: admin_token.to_owned(),
        admin_hosts: config.admin_hosts.clone(),
        redis_password: Some(config.redis_password.0.clone()).filter(|password| !password.is_empty()),
        secret,
        trusted_proxies: config.trusted_proxies,
        salt_file: Some(config.data.join("salt")),
        limits: config.limits.of_edge(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_told_are_the_keys_taken() {
        let keys = Keys {
            write_key: "own".into(),
            admin_token: String::new(),
            signing_key: String::new(),
            fresh: false,
            write_key_given: false,
            admin_token_given: false,
        };
        let told = |text: &str, demo: bool| {
            let config = Config::parse(text, Path::new("x.toml")).expect("valid");
            let sources = sources(&config, &keys, demo);
            let told = in_force(&sources, &keys);
            told.iter().map(|(name, key)| format!("{name} {key}")).collect::<Vec<_>>()
        };
        let source = |name: &str, key: &str| format!("[[source]]\nname = \"{name}\"\nwrite_key = \"{key}\"\n");
        assert_eq!(told("", false), ["default own"]);
        assert_eq!(told(&(source("a", "ka") + &source("b", "kb")), false), ["a ka", "b kb"]);
        assert_eq!(told(&(source("a", "ka") + &source("b", "")), false), ["b own", "a ka"]);
        assert_eq!(told(&source("a", "ka"), true), ["shop own", "a ka"]);
    }
}
