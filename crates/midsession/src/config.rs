//! The configuration: one file, every default visible, every mistake pointed at.

use crate::context::ContextConfig;
use midsession_collect::{Secret, Source};
use midsession_event::Consent;
use midsession_feature::{Diagnostic, Document};
use midsession_stream::Defect;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// `midsession.toml`. Features and interventions may stand in it, or in the files named by `definitions`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Address of the public listener.
    pub bind: IpAddr,
    /// Port of the collector; 0 takes any free one.
    pub port: u16,
    /// Address of the admin listener and the Redis listener.
    pub admin_bind: IpAddr,
    /// Port of the admin listener; 0 takes any free one.
    pub admin_port: u16,
    /// Port of the Redis protocol listener; 0 takes any free one.
    pub redis_port: u16,
    /// Password of the Redis protocol listener; none when empty.
    #[serde(skip_serializing)]
    pub redis_password: Secret,
    /// Further host names of the admin listener, where it stands behind a proxy with TLS.
    pub admin_hosts: Vec<String>,
    /// Proxies in front of the collector that each append to X-Forwarded-For.
    pub trusted_proxies: usize,
    /// The feature profile that owns the bare keys: `native`, `live-shopper`, or a file.
    pub profile: String,
    /// Further profiles, read under their names: `live-shopper:user:…` and `?profile=live-shopper`.
    pub profiles: Vec<String>,
    /// Files with further features and interventions, relative to this one. `demo` is built in.
    pub definitions: Vec<String>,
    /// Files and folders of JSON Schemas that self-describing events are checked against, relative to this one.
    pub schemas: Vec<PathBuf>,
    /// Partitions of `behavior` in a new data folder.
    pub partitions: u32,
    /// Threads that run the partitions.
    pub stream_threads: u32,
    /// Shoppers held in memory at most; over it visits of one event are forgotten first, carts last.
    pub shoppers_max: u32,
    /// Memory for features by product, category or another field; over it those go that were in use least lately. MiB.
    pub field_features_mib: u32,
    /// Memory for facts, what features fold over; over it those of the shoppers heard least lately are on disk until they
    /// are needed, and nothing changes but the time that takes. MiB.
    pub facts_memory_mib: u32,
    /// Disk for facts over that, in the folder `spill`; over it they stay in memory after all. 0: none. MiB.
    pub facts_spill_mib: u32,
    /// A MaxMind-format file that places addresses; the address itself is never kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo_database: Option<PathBuf>,
    /// How sessions are cut.
    pub session: Session,
    /// How much the log keeps.
    pub log: LogConfig,
    /// What is personal, and how long it can be read.
    pub privacy: Privacy,
    /// What the public may use.
    pub limits: LimitsConfig,
    /// The tables that events are joined with.
    pub context: ContextConfig,
    /// Who may send what.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// Features, checked by their own compiler.
    #[serde(rename = "feature", skip_serializing_if = "Vec::is_empty")]
    features: Vec<toml::Value>,
    /// Interventions, likewise.
    #[serde(rename = "intervention", skip_serializing_if = "Vec::is_empty")]
    rules: Vec<toml::Value>,
    /// The cap over all interventions, likewise.
    #[serde(rename = "interventions", skip_serializing_if = "Option::is_none")]
    caps: Option<toml::Value>,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Its text.
    #[serde(skip)]
    pub text: String,
    /// Nobody is asked: interventions are left out, wherever they stand.
    #[serde(skip)]
    pub is_without_rules: bool,
}

/// How sessions are cut.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// Silence that ends a visit. s.
    pub gap_s: u32,
    /// How long after it late events still count. s.
    pub grace_s: u32,
    /// Session updates at most this often between milestones. ms.
    pub cadence_ms: u32,
}

/// How much the log keeps.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Records older than this may go. h.
    pub retention_h: u32,
    /// Above this the oldest go. MiB.
    pub retention_mib: u64,
    /// A partition with anything new has its state saved at least this often; with much new, sooner. s.
    pub snapshot_s: u32,
    /// Where a partition's state from before its log is missing: go on with what is in the log, instead of not at all.
    pub accept_lost_state: bool,
}

/// What is personal, and how long it can be read.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Folder of the keys, outside the log; unset: `keystore` in the data folder. `MIDSESSION_MASTER_KEY` (64 hexadecimal
    /// digits) keeps the master key elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keystore: Option<PathBuf>,
    /// Shoppers' keys at most; personal fields of others are not kept.
    pub keys_max: u32,
    /// How long encrypted personal fields can be read; after it the key of their day is destroyed. Days.
    pub personal_retention_d: u32,
    /// How long the bytes of refused events can be read, likewise. Days.
    pub dead_letter_retention_d: u32,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { keystore: None, keys_max: 1_000_000, personal_retention_d: 30, dead_letter_retention_d: 7 }
    }
}

/// What the public may use of the listeners. This machine's own clients are not limited by address.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections per listener.
    pub connections: usize,
    /// Connections of one client address.
    pub connections_per_address: usize,
    /// Events per second of one network of clients (IPv4 /24, IPv6 /56), ten seconds' worth at once; 0 for no limit.
    pub events_per_s_per_network: u32,
    /// Events per second of one source, likewise; 0 for no limit.
    pub events_per_s_per_source: u32,
    /// Visitors and users never seen before that one network may bring, per second, likewise; 0 for no limit.
    pub new_visitors_per_s_per_network: u32,
    /// Likewise that one source may bring, from wherever; 0 for no limit.
    pub new_visitors_per_s_per_source: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let midsession_edge::Limits {
            connections,
            connections_per_address,
            events_per_s_per_network,
            events_per_s_per_source,
            new_visitors_per_s_per_network,
            new_visitors_per_s_per_source,
            ..
        } = midsession_edge::Limits::default();
        Self {
            connections,
            connections_per_address,
            events_per_s_per_network,
            events_per_s_per_source,
            new_visitors_per_s_per_network,
            new_visitors_per_s_per_source,
        }
    }
}

impl LimitsConfig {
    /// The listeners' bounds.
    pub fn of_edge(&self) -> midsession_edge::Limits {
        midsession_edge::Limits {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            events_per_s_per_network: self.events_per_s_per_network,
            events_per_s_per_source: self.events_per_s_per_source,
            new_visitors_per_s_per_network: self.new_visitors_per_s_per_network,
            new_visitors_per_s_per_source: self.new_visitors_per_s_per_source,
            ..midsession_edge::Limits::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        Self {
            data: "midsession-data".into(),
            bind: loopback,
            port: 8080,
            admin_bind: loopback,
            admin_port: 8081,
            redis_port: 6380,
            redis_password: Secret::default(),
            admin_hosts: Vec::new(),
            trusted_proxies: 0,
            profile: "native".into(),
            profiles: Vec::new(),
            definitions: Vec::new(),
            schemas: Vec::new(),
            partitions: 16,
            stream_threads: 2,
            shoppers_max: 4_000_000,
            field_features_mib: 256,
            facts_memory_mib: 4096,
            facts_spill_mib: 16 * 1024,
            geo_database: None,
            session: Session::default(),
            log: LogConfig::default(),
            privacy: Privacy::default(),
            limits: LimitsConfig::default(),
            context: ContextConfig::default(),
            sources: Vec::new(),
            features: Vec::new(),
            rules: Vec::new(),
            caps: None,
            file: None,
            text: String::new(),
            is_without_rules: false,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self { gap_s: 1800, grace_s: 120, cadence_ms: 5000 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { retention_h: 7 * 24, retention_mib: 10 * 1024, snapshot_s: 600, accept_lost_state: false }
    }
}

impl Config {
    /// Reads a file; the defaults without one (`midsession.toml` in the working folder is taken if it is there).
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let default = Path::new("midsession.toml");
        let path = match file {
            Some(path) => path,
            None if default.exists() => default,
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Self::parse(&text, path)
    }

    /// Reads a text; `path` is named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| {
            if let Some(fault) = bracket_fault(text, path) {
                return fault.to_string();
            }
            let (line, column) = error.span().map_or((1, 1), |span| line_column(text, span.start));
            let message = error.message().trim().replace("expected u16", "expected a whole number from 0 to 65535");
            let message = ["u32", "u64", "usize"]
                .iter()
                .fold(message, |message, kind| message.replace(&format!("expected {kind}"), "expected a whole number"));
            format!("{}:{line}:{column}: {message}", path.display())
        })?;
        config.check().map_err(|(key, what)| {
            let (line, column) = place_of(text, &key);
            format!("{}:{line}:{column}: {what}", path.display())
        })?;
        config.file = Some(path.to_owned());
        text.clone_into(&mut config.text);
        Ok(config)
    }

    /// Features, interventions or caps stand in the configuration itself.
    pub fn has_definitions(&self) -> bool {
        !self.features.is_empty() || !self.rules.is_empty() || self.caps.is_some()
    }

    /// Leaves out what is defined beside the profiles.
    pub fn leave_definitions(&mut self) {
        (self.features, self.rules, self.caps) = Default::default();
        self.definitions.clear();
    }

    /// What is wrong beyond the types, with a text of the file that stands where it is.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, what: String| Err((key.to_owned(), what));
        if self.partitions == 0 || self.partitions > 4096 {
            return wrong("partitions", format!("partitions = {}: takes 1 to 4096", self.partitions));
        }
        if self.session.gap_s == 0 {
            return wrong("gap_s", "session.gap_s = 0: takes at least 1".into());
        }
        self.context.check()?;
        let secrets = self.sources.iter().filter_map(|source| source.hash_key.as_ref()).chain([&self.redis_password]);
        if secrets.into_iter().any(|secret| secret.0 == "***") {
            return wrong("\"***\"", "*** is how a secret is printed, not a secret: put the real one here".into());
        }
        for (index, source) in self.sources.iter().enumerate() {
            let name = source.name.as_str();
            let here = format!("\"{name}\"");
            let before = &self.sources[..index];
            if before.iter().any(|other| other.name == source.name) {
                return wrong(&here, format!("source `{name}` stands twice: give each a name of its own"));
            }
            if let Some(other) = before.iter().find(|other| other.write_key == source.write_key) {
                let what = if source.write_key.is_empty() {
                    format!(
                        "sources `{}` and `{name}` have no write_key: only one may take the installation's",
                        other.name
                    )
                } else {
                    format!("sources `{}` and `{name}` have the same write_key: give each its own", other.name)
                };
                return wrong(&here, what);
            }
            if !(0.0..=1.0).contains(&source.sample) {
                return wrong("sample", format!("source `{name}`: sample = {}: takes 0 to 1", source.sample));
            }
            let taken = |id: &&String| before.iter().any(|other| other.app_ids.contains(id));
            if let Some(id) = source.app_ids.iter().find(taken) {
                let what = format!("source `{name}`: app id `{id}` is another source's already: it belongs to one");
                return wrong(&here, what);
            }
            let is_origin = |text: &&String| text.starts_with("https://") || text.starts_with("http://");
            if let Some(origin) = source.allowed_origins.iter().flatten().find(|origin| !is_origin(origin)) {
                let what = format!("source `{name}`: `{origin}` is not an origin: write it like https://shop.example");
                return wrong(origin, what);
            }
        }
        Ok(())
    }

    /// The session rules in the machine's units.
    pub fn stream(&self, partitions: u32) -> midsession_stream::Config {
        midsession_stream::Config {
            gap_ms: i64::from(self.session.gap_s) * 1000,
            grace_ms: i64::from(self.session.grace_s) * 1000,
            cadence_ms: i64::from(self.session.cadence_ms),
            partitions,
            // Shoppers are spread by a hash: a quarter more than the even share is room for its unevenness.
            shoppers_max: (self.shoppers_max / partitions.max(1) * 5 / 4).max(1) as usize,
            field_bytes_max: (self.field_features_mib as usize).saturating_mul(1 << 20) / partitions.max(1) as usize,
            tells_grants: self.sources.iter().any(|source| source.consent_default.purposes() != Consent::FULL),
            defect: defect(),
            ..midsession_stream::Config::default()
        }
    }
}

/// The fault that a test wants to see found. Only builds with debug assertions look for one.
fn defect() -> Option<Defect> {
    let name = if cfg!(debug_assertions) { std::env::var("MIDSESSION_DEFECT").ok()? } else { return None };
    match name.as_str() {
        "dedupe_off" => Some(Defect::DedupeOff),
        "replay_aloud" => Some(Defect::ReplayAloud),
        _ => None,
    }
}

/// Line and column where a text first stands; of the file's begin where it does not.
pub fn place_of(text: &str, what: &str) -> (usize, usize) {
    text.find(what).map_or((1, 1), |at| line_column(text, at))
}

/// Line and column of a byte position, from 1.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

/// A table that stands once where a list of them is wanted, or the other way round.
fn bracket_fault(text: &str, path: &Path) -> Option<Diagnostic> {
    let file = path.display().to_string();
    let mut document = Document::new(&file, text);
    let root = document.parse();
    if document.faults() == 0 {
        document.brackets(&root, &["source", "feature", "intervention"]);
        return document.into_found().into_iter().next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_read_back() {
        let text = toml::to_string(&Config::default()).expect("TOML");
        let config = Config::parse(&text, Path::new("x.toml")).expect("reads back");
        assert_eq!((config.port, config.partitions, config.session.gap_s), (8080, 16, 1800));
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let error = |text: &str| Config::parse(text, Path::new("x.toml")).expect_err("refused");
        assert!(
            error("port = 1\nprot = 2\n").starts_with("x.toml:2:1: unknown field `prot`"),
            "{}",
            error("port = 1\nprot = 2\n")
        );
        assert!(error("port = \"a\"").starts_with("x.toml:1:8: invalid type"), "{}", error("port = \"a\""));
        assert!(error("port = 1\npartitions = 0").starts_with("x.toml:2:1: partitions = 0: takes 1 to 4096"));
        let source = |name: &str, rest: &str| format!("[[source]]\nname = \"{name}\"\n{rest}\n");
        for (text, said) in [
            (
                source("a", "write_key = \"k\"") + &source("b", "write_key = \"k\""),
                "x.toml:5:8: sources `a` and `b` have the same",
            ),
            (source("a", "") + &source("b", ""), "x.toml:5:8: sources `a` and `b` have no write_key"),
            (source("a", "") + &source("a", "write_key = \"k\""), "x.toml:2:8: source `a` stands twice"),
            (
                source("a", "write_key = \"k\"\napp_ids = [\"*\"]") + &source("b", "app_ids = [\"x\", \"*\"]"),
                "x.toml:6:8: source `b`: app id `*` is another source's already",
            ),
            (source("a", "sample = 7.0"), "x.toml:3:1: source `a`: sample = 7"),
            ("[context]\nrow_bytes_max = 5".to_owned(), "x.toml:2:1: context.row_bytes_max = 5: takes 64 to 65536"),
            ("[context.max_age_s]\nstock = 5".to_owned(), "x.toml:2:1: unknown field `stock`"),
            (source("a", "allowed_origins = [\"shop.example\"]"), "x.toml:3:21: source `a`: `shop.example` is not"),
            (
                source("a", "allowed_texts = [\"serach\"]"),
                "x.toml:3:18: unknown variant `serach`, expected one of `search`",
            ),
            (source("a", "hash_key = \"***\""), "x.toml:3:12: *** is how a secret is printed"),
            ("redis_password = \"***\"".to_owned(), "x.toml:1:18: ***"),
            (
                "port = 1\n[feature]\nname = \"a\"".to_owned(),
                "x.toml:2:1: `feature` is a list of tables\n  hint: write [[feature]]",
            ),
            ("[source]\nname = \"a\"".to_owned(), "x.toml:1:1: `source` is a list of tables"),
            ("\n[intervention]\n".to_owned(), "x.toml:2:1: `intervention` is a list of tables"),
            ("[[session]]\ngap_s = 5".to_owned(), "x.toml:1:1: `session` is one table\n  hint: write [session]"),
        ] {
            assert!(error(&text).starts_with(said), "{}", error(&text));
        }
    }

    #[test]
    fn what_is_printed_reads_back_without_its_secrets() {
        let text =
            "redis_password = \"hidden\"\n[[source]]\nname = \"a\"\nhash_key = \"hidden\"\n[[feature]]\nname = \"x\"\n";
        let printed = toml::to_string(&Config::parse(text, Path::new("x.toml")).expect("valid")).expect("TOML");
        assert!(!printed.contains("hidden") && !printed.contains("***"), "{printed}");
        let again = Config::parse(&printed, Path::new("y.toml")).expect("reads back");
        assert!(again.has_definitions() && again.sources[0].hash_key.is_none());
    }
}
