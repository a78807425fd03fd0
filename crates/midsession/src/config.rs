//! The configuration: one file, every default visible, every mistake pointed at.

use midsession_collect::Source;
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
    #[serde(skip_serializing_if = "String::is_empty")]
    pub redis_password: String,
    /// Further host names of the admin listener, where it stands behind a proxy with TLS.
    pub admin_hosts: Vec<String>,
    /// Proxies in front of the collector that each append to X-Forwarded-For.
    pub trusted_proxies: usize,
    /// The feature profile that owns the bare keys: `native`, or a file.
    pub profile: String,
    /// Files with further features and interventions, relative to this one. `demo` is built in.
    pub definitions: Vec<String>,
    /// Partitions of `behavior` in a new data folder.
    pub partitions: u32,
    /// Threads that run the partitions.
    pub stream_threads: u32,
    /// A MaxMind-format file that places addresses; the address itself is never kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo_database: Option<PathBuf>,
    /// How sessions are cut.
    pub session: Session,
    /// How much the log keeps.
    pub log: LogConfig,
    /// Who may send what.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// Features, checked by their own compiler.
    #[serde(rename = "feature", skip_serializing)]
    features: Vec<toml::Value>,
    /// Interventions, likewise.
    #[serde(rename = "intervention", skip_serializing)]
    rules: Vec<toml::Value>,
    /// The cap over all interventions, likewise.
    #[serde(rename = "interventions", skip_serializing)]
    caps: Option<toml::Value>,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Its text.
    #[serde(skip)]
    pub text: String,
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
            redis_password: String::new(),
            admin_hosts: Vec::new(),
            trusted_proxies: 0,
            profile: "native".into(),
            definitions: Vec::new(),
            partitions: 16,
            stream_threads: 2,
            geo_database: None,
            session: Session::default(),
            log: LogConfig::default(),
            sources: Vec::new(),
            features: Vec::new(),
            rules: Vec::new(),
            caps: None,
            file: None,
            text: String::new(),
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
        Self { retention_h: 7 * 24, retention_mib: 10 * 1024 }
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
            let (line, column) = error.span().map_or((1, 1), |span| line_column(text, span.start));
            format!("{}:{line}:{column}: {}", path.display(), error.message().trim())
        })?;
        config.check().map_err(|what| format!("{}: {what}", path.display()))?;
        config.file = Some(path.to_owned());
        text.clone_into(&mut config.text);
        Ok(config)
    }

    /// Features, interventions or caps stand in the configuration itself.
    pub fn has_definitions(&self) -> bool {
        !self.features.is_empty() || !self.rules.is_empty() || self.caps.is_some()
    }

    fn check(&self) -> Result<(), String> {
        if self.partitions == 0 || self.partitions > 4096 {
            return Err(format!("partitions = {}: takes 1 to 4096", self.partitions));
        }
        if self.session.gap_s == 0 {
            return Err("session.gap_s = 0: takes at least 1".into());
        }
        let mut names: Vec<_> = self.sources.iter().map(|source| source.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("source `{}` stands twice: give each a name of its own", pair[0]));
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

/// Line and column of a byte position, from 1.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
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
        assert!(error("partitions = 0").contains("takes 1 to 4096"));
    }
}
