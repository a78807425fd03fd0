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
        if missing.contains(&"nodejs") {
            // An old one would only have to be removed again.
            let policy = read(program("apt-cache", ".", &["policy", "nodejs"]))?;
            candidate(&policy).map_or(Ok(()), |version| node_is_new_enough(&version))?;
        }
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
        "Node.js is {}; {major}.{minor} or newer is needed. Debian 13 has it (apt-get install nodejs npm); Debian 12 has 18, which \
         is too old: remove that (apt-get remove nodejs npm), take Node.js with its npm from https://nodejs.org/en/download, so \
         that `node --version` says v{major}.{minor} or newer, and run this again",
        version.trim()
    ))
}

/// The version that apt would install, as Node.js writes it.
fn candidate(policy: &str) -> Option<String> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let upstream = version.rsplit(':').next()?.split(['+', '-', '~']).next()?;
    upstream.starts_with(|first: char| first.is_ascii_digit()).then(|| format!("v{upstream}"))
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
    use super::{candidate, node_is_new_enough};

    #[test]
    fn an_old_node_is_refused_with_what_to_do() {
        for version in ["v20.19.0\n", "v20.20.2", "v22.1.0", "v24.0.0"] {
            assert_eq!(node_is_new_enough(version), Ok(()), "{version}");
        }
        for version in ["v18.19.0\n", "v20.18.3", "20.20.2", ""] {
            let said = node_is_new_enough(version).expect_err(version);
            assert!(
                said.contains("20.19") && said.contains("Debian 13") && said.contains("apt-get remove nodejs npm"),
                "{said}"
            );
        }
    }

    /// As `apt-cache policy nodejs` says it.
    #[test]
    fn what_apt_would_bring_is_known_before_it_does() {
        for (said, version, is_enough) in [
            ("18.20.4+dfsg-1~deb12u3", Some("v18.20.4"), false),
            ("20.19.2+dfsg-1", Some("v20.19.2"), true),
            ("20.20.2-1nodesource1+repack1", Some("v20.20.2"), true),
            ("1:22.1.0~ds-1", Some("v22.1.0"), true),
            ("(none)", None, false),
        ] {
            let policy = format!("nodejs:\n  Installed: (none)\n  Candidate: {said}\n  Version table:\n");
            let found = candidate(&policy);
            assert_eq!(found.as_deref(), version, "{said}");
            assert_eq!(found.is_some_and(|version| node_is_new_enough(&version).is_ok()), is_enough, "{said}");
        }
    }
}
