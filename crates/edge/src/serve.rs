//! Starts the listeners, and drains them.

use crate::admin::Admin;
use crate::assets::Assets;
use crate::backend::Backend;
use crate::hub::PushHub;
use crate::ingest::{DailySalt, InFlight, Rates};
use crate::listen::{self, Timeouts};
use crate::resp;
use crate::route::Listener;
use crate::token::{Secret, Signer};
use midsession_collect::Collector;
use midsession_event::Topic;
use midsession_observe::Observe;
use midsession_ports::{Log, Vault};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where to listen, and with which secrets.
#[derive(Clone)]
pub struct Config {
    /// Collector, push, tracker, demo shop. Port 0 takes any free one, here and below.
    pub public: SocketAddr,
    /// Console and reads.
    pub admin: SocketAddr,
    /// Redis protocol; `None` leaves it off.
    pub redis: Option<SocketAddr>,
    /// Opens the admin listener. At least 16 characters.
    pub admin_token: String,
    /// Further names of the admin listener, without port, where it stands behind a proxy. Needed for an address that
    /// is not loopback, as the listener speaks no TLS itself.
    pub admin_hosts: Vec<String>,
    /// Asked of Redis clients; needed for an address that is not loopback.
    pub redis_password: Option<String>,
    /// Signs push tokens; the same after a restart.
    pub secret: [u8; 32],
    /// Proxies in front that each append to X-Forwarded-For.
    pub trusted_proxies: usize,
    /// Where the salt of cookieless ids is kept for its day, so that a restart does not make everybody new; in memory only
    /// without it.
    pub salt_file: Option<std::path::PathBuf>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections per listener.
    pub connections: usize,
    /// Connections of one client address per listener; this machine's own are not limited.
    pub connections_per_address: usize,
    /// Events per second of one network of clients (IPv4 /24, IPv6 /56), with ten seconds' worth at once; 0 for no
    /// limit. This machine's own are not limited.
    pub events_per_s_per_network: u32,
    /// Events per second of one source, likewise; 0 for no limit.
    pub events_per_s_per_source: u32,
    /// Visitors and users never seen before that one network may bring, per second, with ten seconds' worth at once; 0
    /// for no limit. This machine's own are not limited.
    pub new_visitors_per_s_per_network: u32,
    /// Likewise one source; 0 for no limit.
    pub new_visitors_per_s_per_source: u32,
    /// Body of one request as it comes over the wire. Bytes; keep it equal to the collector's.
    pub wire_bytes: usize,
    /// Bytes of all requests being read or waiting for the log.
    pub in_flight_bytes: usize,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 1_000,
            events_per_s_per_network: 5_000,
            events_per_s_per_source: 0,
            new_visitors_per_s_per_network: 200,
            new_visitors_per_s_per_source: 0,
            wire_bytes: midsession_collect::Limits::default().wire_bytes,
            in_flight_bytes: 256 << 20,
            timeouts: Timeouts::default(),
        }
    }
}

/// What the listeners work with.
#[derive(Clone)]
pub struct Handles {
    /// Reads requests.
    pub collector: Arc<Collector>,
    /// Makes events durable.
    pub log: Arc<dyn Log>,
    /// Seals what is personal.
    pub vault: Arc<dyn Vault>,
    /// Takes interventions to browsers.
    pub hub: Arc<PushHub>,
    /// Answers everything else.
    pub backend: Arc<dyn Backend>,
    /// Counts.
    pub observe: Arc<Observe>,
}

/// Why the listeners did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be taken.
    #[error(
        "{what} can't listen on {addr}: {cause}; stop what uses it, or choose another with {option} (0 takes any free port)"
    )]
    Bind {
        /// Which listener.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// Command line option that changes it.
        option: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The admin token is too short to be a secret.
    #[error("the admin token has fewer than 16 characters; choose a longer one, or none to have one made")]
    WeakToken,
    /// A listener in clear text on an address that others can reach.
    #[error("{what} would be open in clear text on {addr}; bind it to loopback, or {instead}")]
    Exposed {
        /// Which listener.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// What else to do.
        instead: &'static str,
    },
}

/// Tells when draining begins.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns once draining has begun.
    pub(crate) async fn requested(&mut self) {
        // A sender that is gone means the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// What all requests share.
pub(crate) struct App {
    pub collector: Arc<Collector>,
    pub log: Arc<dyn Log>,
    pub vault: Arc<dyn Vault>,
    pub hub: Arc<PushHub>,
    pub backend: Arc<dyn Backend>,
    pub observe: Arc<Observe>,
    pub assets: Assets,
    pub signer: Signer,
    pub admin: Admin,
    pub limits: Limits,
    pub in_flight: InFlight,
    pub rates: Rates,
    pub salt: DailySalt,
    pub trusted_proxies: usize,
    pub behavior_partitions: u32,
    pub redis_password: Option<Secret>,
    pub stop: Stop,
}

/// The listeners, running.
pub struct Running {
    /// The address taken.
    pub public: SocketAddr,
    /// The address taken.
    pub admin: SocketAddr,
    /// The address taken.
    pub redis: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
}

impl Running {
    /// Takes no new connections, lets requests under way finish, ends streams. Waits at most `within`; answers whether
    /// everything ended by itself.
    pub async fn drain(mut self, within: Duration) -> bool {
        let _ = self.stop.send(true);
        let ended = tokio::time::timeout(within, async { while self.listeners.join_next().await.is_some() {} }).await;
        ended.is_ok()
    }
}

impl Config {
    /// What is refused before anything listens.
    pub fn check(&self) -> Result<(), ServeError> {
        if self.admin_token.len() < 16 {
            return Err(ServeError::WeakToken);
        }
        if !self.admin.ip().is_loopback() && self.admin_hosts.is_empty() {
            let instead = "put a proxy with TLS in front and name its host in admin_hosts";
            return Err(ServeError::Exposed { what: "the admin listener", addr: self.admin, instead });
        }
        if let Some(addr) = self.redis
            && !addr.ip().is_loopback()
            && self.redis_password.is_none()
        {
            return Err(ServeError::Exposed { what: "the Redis listener", addr, instead: "set a password" });
        }
        Ok(())
    }
}

/// Starts the listeners.
pub async fn serve(config: Config, handles: Handles) -> Result<Running, ServeError> {
    config.check()?;
    let public = bind("the collector", config.public, "--port").await?;
    let admin = bind("the console", config.admin, "--admin-port").await?;
    let redis = match config.redis {
        Some(addr) => Some(bind("the Redis listener", addr, "--redis-port").await?),
        None => None,
    };
    let (stop, stopped) = watch::channel(false);
    let stopped = Stop(stopped);
    let behavior_partitions = handles.log.partitions(Topic::Behavior);
    let app = Arc::new(App {
        collector: handles.collector,
        log: handles.log,
        vault: handles.vault,
        hub: handles.hub,
        backend: handles.backend,
        observe: handles.observe,
        assets: Assets::load(),
        signer: Signer::new(&config.secret),
        admin: Admin::new(&config.admin_token, config.admin_hosts),
        in_flight: InFlight::new(config.limits.in_flight_bytes),
        rates: Rates::new(&config.limits),
        limits: config.limits,
        salt: DailySalt::open(config.salt_file),
        trusted_proxies: config.trusted_proxies,
        behavior_partitions,
        redis_password: config.redis_password.as_deref().map(Secret::new),
        stop: stopped.clone(),
    });
    let mut running = Running {
        public: address(&public, config.public),
        admin: address(&admin, config.admin),
        redis: redis.as_ref().zip(config.redis).map(|(listener, asked)| address(listener, asked)),
        stop,
        listeners: JoinSet::new(),
    };
    running.listeners.spawn(listen::serve(public, Listener::Public, app.clone(), stopped.clone()));
    running.listeners.spawn(listen::serve(admin, Listener::Admin, app.clone(), stopped.clone()));
    if let Some(listener) = redis {
        running.listeners.spawn(resp::serve(listener, app, stopped));
    }
    Ok(running)
}

async fn bind(what: &'static str, addr: SocketAddr, option: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(addr).await.map_err(|cause| ServeError::Bind { what, addr, option, cause })
}

fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}
