//! Installs with apt what the tests need and the machine lacks: one Chromium, Node.js, the Redis clients.

use crate::counts::Counts;
use crate::shell::{program, read, run, works};
use std::process::Command;

/// The oldest Node.js that the web tools accept.
const NODE_MAJOR_MIN: u32 = 20;

/// What is needed: how one sees that it is there, and the Debian package that brings it.
const NEEDS: &[(&str, &[&str], &str)] = &[
    ("chromium", &["--version"], "chromium"),
    ("redis-cli", &["--version"], "redis-tools"),
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
];

/// Pythons that may have redis-py: the one in the path, and Debian's own.
const PYTHONS: &[&str] = &["python3", "/usr/bin/python3"];

/// Installs what is missing; without network and with everything there it does nothing.
pub fn install() -> Result<(), String> {
    let mut missing: Vec<&str> = NEEDS
        .iter()
        .filter(|(name, arguments, _)| !works(program(name, ".", arguments)))
        .map(|(_, _, package)| *package)
        .collect();
    if python_with_redis().is_none() {
        missing.push("python3-redis");
    }
    if missing.is_empty() {
        println!("everything is there");
    } else {
        run(apt(&["update"]), &mut Counts::default())?;
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(missing);
        run(apt(&arguments), &mut Counts::default())?;
    }
    let version = read(program("node", ".", &["--version"]))?;
    match major(&version) {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(format!("Node.js is {}; version {NODE_MAJOR_MIN} or newer is needed, install it", version.trim())),
    }
}

/// A Python that can import redis-py.
pub fn python_with_redis() -> Option<&'static str> {
    PYTHONS.iter().copied().find(|python| works(program(python, ".", &["-c", "import redis"])))
}

fn apt(arguments: &[&str]) -> Command {
    let as_root = works(program("test", ".", &["-w", "/var/lib/dpkg"]));
    let mut command = program(if as_root { "apt-get" } else { "sudo" }, ".", if as_root { &[] } else { &["apt-get"] });
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_major_version_of_node() {
        assert_eq!(super::major("v20.20.2\n"), Some(20));
        assert_eq!(super::major("20"), None);
    }
}
