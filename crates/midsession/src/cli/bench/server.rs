//! A server of its own for a bench: the same binary as a child, on free ports and an empty folder.

use crate::cli::Failure;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A running server; stopped when dropped.
pub(super) struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    pub(super) collector: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) write_key: String,
}

/// The token of a bench's own server.
pub(super) const ADMIN_TOKEN: &str = "bench-admin-token-of-a-server-that-lives-for-seconds";

impl Server {
    /// Starts one with this configuration.
    pub(super) fn start(config: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::new)?;
        let file = folder.path().join("bench.toml");
        std::fs::write(&file, config).map_err(Failure::new)?;
        let mut child = Command::new(std::env::current_exe().map_err(Failure::new)?)
            .args(["serve", "--port", "0", "--admin-port", "0", "--redis-port", "0", "--json"])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--config")
            .arg(&file)
            .env("MIDSESSION_ADMIN_TOKEN", ADMIN_TOKEN)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::new)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(Failure::new)?;
        }
        let said: Value = serde_json::from_str(&line)
            .map_err(|_| Failure::new("the bench's server did not start; its own message stands above"))?;
        let address = |name: &str| {
            let text = said[name].as_str().unwrap_or_default().trim_start_matches("http://").to_owned();
            text.parse().map_err(|_| Failure::new(format!("the server named no {name} address")))
        };
        Ok(Self {
            collector: address("collector")?,
            admin: address("admin")?,
            write_key: said["write_key"].as_str().unwrap_or_default().to_owned(),
            child,
            _folder: folder,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone: nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
