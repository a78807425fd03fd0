//! The web packages: install, type check, build, compare with what is committed, test, and the browser tests.

use crate::counts::Counts;
use crate::setup;
use crate::shell::{program, read, root, run, target};

/// The packages whose bundles the binary embeds.
const PACKAGES: &[&str] = &["tracker", "store", "console"];

/// Everything about the web packages that needs no server.
pub fn test(counts: &mut Counts) -> Result<(), String> {
    install(counts)?;
    let mut causes = Vec::new();
    for script in ["check", "build", "test"] {
        for package in PACKAGES {
            let folder = format!("web/{package}");
            let outcome = run(program("npm", &folder, &["run", "--if-present", script]), counts);
            causes.extend(outcome.err().map(|cause| format!("{folder}: {cause}")));
        }
    }
    let drift = read(program("git", ".", &["status", "--porcelain", "--", "web/*/dist"]))?;
    if !drift.is_empty() {
        causes.push(format!("the bundles built differ from the committed ones; commit them:\n{}", drift.trim_end()));
    }
    if causes.is_empty() { Ok(()) } else { Err(causes.join("\n")) }
}

/// The tests with a real browser, real trackers and real Redis clients against the binary.
pub fn end_to_end(counts: &mut Counts) -> Result<(), String> {
    install(counts)?;
    let binary = target().join("debug/midsession");
    if !binary.is_file() {
        return Err(format!("{} is not there; run `cargo xtask test --only build` first", binary.display()));
    }
    let mut command = program("npm", "web/e2e", &["test"]);
    command.env("MIDSESSION_BIN", binary);
    command.env("MIDSESSION_PYTHON", setup::python_with_redis().unwrap_or("python3"));
    run(command, counts)
}

/// `npm ci`, unless what is installed is newer than the lock file.
fn install(counts: &mut Counts) -> Result<(), String> {
    let written = |path: &str| std::fs::metadata(root().join(path)).and_then(|data| data.modified()).ok();
    let lock = written("web/package-lock.json").ok_or("web/package-lock.json is not there")?;
    if written("web/node_modules/.package-lock.json").is_some_and(|installed| installed >= lock) {
        return Ok(());
    }
    run(program("npm", "web", &["ci", "--no-audit", "--no-fund"]), counts)
}
