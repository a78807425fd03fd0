//! Installs with apt what the tests need and the machine lacks: one Chromium, Node.js, the Redis clients.

use crate::counts::Counts;
use crate::shell::{program, read, run, works};
use std::process::Command;

/// The oldest Node.js that the web tools accept: `engines` in web/package.json.
const NODE_MIN: (u32, u32) = (20, 19);

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
    node_is_new_enough(&read(program("node", ".", &["--version"]))?)
}

fn node_is_new_enough(version: &str) -> Result<(), String> {
    if parts(version).is_some_and(|version| version >= NODE_MIN) {
        return Ok(());
    }
    let (major, minor) = NODE_MIN;
    Err(format!(
        "Node.js is {}; {major}.{minor} or newer is needed. Debian 13 has it (apt-get install nodejs npm). On an older one, \
         Debian 12 among them, remove apt's and take it from https://nodejs.org/en/download, so that `node --version` says v{major}.{minor} \
         or newer; then run this again",
        version.trim()
    ))
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

/// Major and minor version.
fn parts(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::node_is_new_enough;

    #[test]
    fn an_old_node_is_refused_with_what_to_do() {
        for version in ["v20.19.0\n", "v20.20.2", "v22.1.0", "v24.0.0"] {
            assert_eq!(node_is_new_enough(version), Ok(()), "{version}");
        }
        for version in ["v18.19.0\n", "v20.18.3", "20.20.2", ""] {
            let said = node_is_new_enough(version).expect_err(version);
            assert!(said.contains("20.19") && said.contains("Debian 13"), "{said}");
        }
    }
}
