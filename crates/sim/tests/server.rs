//! The real binary as a process of its own.

use crate::http::Connection;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

pub const WRITE_KEY: &str = "kill-write-key";
pub const ADMIN_TOKEN: &str = "kill-admin-token";

/// Short sessions and two rules, one for an event and one for silence; a second profile, and what is added up beside the
/// facts.
const CONFIG: &str = r#"
partitions = 4
definitions = []
profiles = ["live-shopper"]

[session]
gap_s = 3
grace_s = 1
cadence_ms = 500

[log]
snapshot_s = 1

[[feature]]
name = "view_count"
key = ["product", "user"]
when = 'event.name == "product_view"'
fold = "count"
windows = ["24h"]

[[feature]]
name = "view_price"
key = "product"
when = 'event.name == "product_view"'
fold = "quantile"
of = "product.price"
quantile = 0.5
windows = ["5m", "lifetime"]

[[feature]]
name = "view_revenue"
key = "product"
fold = "sum"
of = "product.price"
windows = ["1h", "lifetime"]

[[feature]]
name = "act_count"
key = "user"
fold = "count"
windows = ["lifetime"]

[[source]]
name = "default"
personal_fields = "encrypt"

[[intervention]]
name = "big_cart"
trigger = { event = "add_to_cart" }
when = 'session.cart_value > 40.0'
cap = ["1 per session"]
expires = "1m"
slot = "nudge"
payload = { title = "Big" }

[[intervention]]
name = "quiet_cart"
trigger = { idle = "1s" }
when = 'session.cart_value > 40.0 && session.order_count == 0'
cap = ["1 per session"]
expires = "1m"
slot = "nudge"
payload = { title = "Quiet" }
"#;

/// The binary, built by the cargo that runs the tests, in the same profile.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "midsession"]).env("CARGO_TARGET_DIR", folder.parent().unwrap());
        match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => {}
            Some(profile) => drop(build.args(["--profile", profile])),
        }
        assert!(build.status().unwrap().success(), "the binary does not build");
        folder.join("midsession")
    })
}

/// A running server.
pub struct Server {
    child: Child,
    pub collector: String,
    pub admin: String,
}

impl Server {
    /// Asks the admin listener, and again while it is busy: status and JSON.
    pub fn ask_admin(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let token = format!("Bearer {ADMIN_TOKEN}");
        for _ in 0..500 {
            let mut http = Connection::open(&self.admin).unwrap();
            let (status, text) = http.ask(method, path, &[("authorization", &token)], body).unwrap();
            if status != 503 {
                return (status, serde_json::from_str(&text).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{path}: busy for ten seconds");
    }

    /// Starts it on a folder and waits until it is ready. `defect`: a fault to be made on purpose. It has no memory for
    /// facts: all of them are on disk until they are needed.
    pub fn start(data: &Path, defect: Option<&str>) -> Self {
        Self::start_by(data, defect, &format!("facts_memory_mib = 0\n{CONFIG}"))
    }

    /// Starts it with more in its configuration.
    pub fn start_with(data: &Path, defect: Option<&str>, more: &str) -> Self {
        Self::start_by(data, defect, &format!("{CONFIG}{more}"))
    }

    /// Starts it without the second profile.
    pub fn start_with_one_profile(data: &Path) -> Self {
        Self::start_by(data, None, &CONFIG.replace("profiles = [\"live-shopper\"]\n", ""))
    }

    /// Starts it with sessions as long as they usually are: none ends while a test runs.
    pub fn start_for_long(data: &Path) -> Self {
        Self::start_by(data, None, &CONFIG.replace("gap_s = 3\ngrace_s = 1\n", ""))
    }

    fn start_by(data: &Path, defect: Option<&str>, config_text: &str) -> Self {
        let config = data.with_extension("toml");
        std::fs::write(&config, config_text).unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(config).args(["--json", "--port", "0", "--admin-port", "0"]);
        command.args(["--redis-port", "0", "--data"]).arg(data);
        command.env("MIDSESSION_WRITE_KEY", WRITE_KEY).env("MIDSESSION_ADMIN_TOKEN", ADMIN_TOKEN);
        if let Some(defect) = defect {
            command.env("MIDSESSION_DEFECT", defect);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let address = |name: &str| line[name].as_str().unwrap().trim_start_matches("http://").to_owned();
        let server = Self { child, collector: address("collector"), admin: address("admin") };
        server.wait_ready();
        server
    }

    fn wait_ready(&self) {
        for _ in 0..3_000 {
            let answer = Connection::open(&self.collector).and_then(|mut http| http.ask("GET", "/ready", &[], ""));
            if answer.is_ok_and(|(status, _)| status == 200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not ready after a minute");
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What a command of the binary says: its exit code, what it printed and what it complained of.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--admin", &self.admin]).env("MIDSESSION_ADMIN_TOKEN", ADMIN_TOKEN);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Features recomputed from a folder (`--data`) or a file (`--events`), for the questions in a file, by the
    /// configuration of a data folder.
    pub fn features_of(from: &str, history: &Path, data: &Path, entities: &Path, output: &Path, defect: Option<&str>) {
        Self::features(from, history, data, entities, output, &[], defect);
    }

    /// The same with further options.
    pub fn features_with(from: &str, history: &Path, data: &Path, entities: &Path, output: &Path, more: &[&str]) {
        Self::features(from, history, data, entities, output, more, None);
    }

    fn features(
        from: &str,
        history: &Path,
        data: &Path,
        entities: &Path,
        output: &Path,
        more: &[&str],
        defect: Option<&str>,
    ) {
        let mut command = Command::new(binary());
        command.arg("features").arg("--config").arg(data.with_extension("toml")).arg(from).arg(history);
        command.arg("--entities").arg(entities).arg("--output").arg(output).arg("--json").args(more);
        if let Some(defect) = defect {
            command.env("MIDSESSION_DEFECT", defect);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `midsession features` prints of a folder, by its configuration: a row for each event.
    pub fn rows_of(data: &Path, more: &[&str]) -> Vec<Value> {
        Self::printed("features", data, more)
    }

    /// What `midsession sessions` prints of a folder, likewise.
    pub fn sessions_of(data: &Path) -> Vec<Value> {
        Self::printed("sessions", data, &[])
    }

    fn printed(what: &str, data: &Path, more: &[&str]) -> Vec<Value> {
        let mut command = Command::new(binary());
        command.arg(what).arg("--config").arg(data.with_extension("toml")).arg("--data").arg(data).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// All records of a topic, as `midsession log read` prints them.
    pub fn log_read(topic: &str, data: &Path) -> Vec<Value> {
        Self::log_read_with(topic, data, &[])
    }

    /// What a read that is refused prints and complains of.
    pub fn log_refused(topic: &str, data: &Path, options: &[&str]) -> (String, String) {
        let mut command = Command::new(binary());
        let output = command.args(["log", "read", topic, "--data"]).arg(data).args(options).output().unwrap();
        assert!(!output.status.success());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    /// The same with further options.
    pub fn log_read_with(topic: &str, data: &Path, options: &[&str]) -> Vec<Value> {
        let mut command = Command::new(binary());
        let output = command.args(["log", "read", topic, "--data"]).arg(data).args(options).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort, where a test failed before it killed the server.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
