//! Checks over `cargo metadata`: the levels of the rooms, licences, banned crates and doubled versions.

use crate::shell::{cargo, read};
use crate::tidy::{Finding, exceptions, settle};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The rooms from the bottom up. An import goes down, never up or sideways.
const LEVELS: &[&[&str]] = &[
    &["midsession-event"],
    &["midsession-machine"],
    &["midsession-collect", "midsession-stream", "midsession-feature", "midsession-ports"],
    &["midsession-decide", "midsession-observe"],
    &["midsession-edge", "midsession-engine-keystore", "midsession-engine-local"],
    &["midsession"],
    &["midsession-sim", "xtask"],
];

/// The lowest level that may touch clocks, files, sockets and threads.
const RIM: usize = 4;

/// Crates that the pure rooms (below the rim) may use in tests only.
const IMPURE: &[&str] = &[
    "axum",
    "fs4",
    "getrandom",
    "hyper",
    "hyper-util",
    "indicatif",
    "libc",
    "mimalloc",
    "rand",
    "redis-protocol",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-util",
];

/// Crates that must not be built in at all, and what to use instead.
const BANNED: &[(&str, &str)] =
    &[("openssl-sys", "rustls with ring"), ("native-tls", "rustls with ring"), ("aws-lc-sys", "ring")];

/// Licences that let anybody use the product.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// One crate of the build.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    licence: String,
    /// Names of what it depends on, and whether in tests only.
    needs: Vec<(String, bool)>,
    ours: bool,
}

/// All of it, for the platform the tests run on.
pub fn check() -> Result<(), String> {
    let rustc = read(crate::shell::program("rustc", ".", &["-vV"]))?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc -vV names no host")?;
    let text = read(cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", host]))?;
    let metadata = serde_json::from_str(&text).map_err(|cause| format!("cargo metadata: {cause}"))?;
    let packages = packages(&metadata);
    let rooms: Vec<&Package> = packages.iter().filter(|package| package.ours).collect();
    let mut findings: Vec<Finding> = rooms.iter().flat_map(|room| level(room)).collect();
    findings.extend(packages.iter().filter(|package| !package.ours).flat_map(licence));
    findings.extend(packages.iter().flat_map(banned));
    findings.extend(doubled(&packages, exceptions::DOUBLED));
    println!("{} rooms, {} crates", rooms.len(), packages.len() - rooms.len());
    settle(findings)
}

fn packages(metadata: &Value) -> Vec<Package> {
    let members = metadata["workspace_members"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            licence: text(&package["license"]),
            needs: list(&package["dependencies"])
                .iter()
                .map(|need| (text(&need["name"]), need["kind"] == "dev"))
                .collect(),
            ours: members.is_some_and(|members| members.contains(&package["id"])),
        })
        .collect()
}

fn level_of(name: &str) -> Option<usize> {
    LEVELS.iter().position(|names| names.contains(&name))
}

fn level(room: &Package) -> Vec<Finding> {
    let at = |what: String| Finding { place: format!("crate {}", room.name), what };
    let Some(own) = level_of(&room.name) else {
        return vec![at("has no level; give it one in xtask/src/deps.rs and in ARCHITECTURE.md".into())];
    };
    let mut findings = Vec::new();
    for (need, in_tests) in &room.needs {
        match level_of(need) {
            Some(other) if other >= own && !(*in_tests && other == own) => {
                findings.push(at(format!("(level {own}) must not import {need} (level {other}): imports go down")));
            }
            Some(2) if own == 3 && need != "midsession-feature" && !in_tests => {
                findings.push(at(format!("must not import {need}: of level 2 it may see midsession-feature alone")));
            }
            None if own < RIM && !in_tests && IMPURE.contains(&need.as_str()) => {
                findings.push(at(format!("(level {own}) is pure and must not use {need}: leave that to level {RIM}")));
            }
            _ => {}
        }
    }
    findings
}

fn licence(package: &Package) -> Option<Finding> {
    if is_permissive(&package.licence) {
        return None;
    }
    let what = format!("has the licence {:?}, which is not on the list in xtask/src/deps.rs", package.licence);
    Some(Finding { place: format!("crate {} {}", package.name, package.version), what })
}

/// Whether an SPDX expression can be met with licences of the list: one of the alternatives, all of its parts.
fn is_permissive(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    let plain = plain.trim();
    if let Some(parts) = split_outside(plain, " AND ") {
        // AND binds closer than OR, so it is split only where no OR stands outside brackets.
        if split_outside(plain, " OR ").is_none() {
            return parts.iter().all(|part| is_permissive(part));
        }
    }
    if let Some(parts) = split_outside(plain, " OR ") {
        return parts.iter().any(|part| is_permissive(part));
    }
    match plain.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) => is_permissive(inside),
        None => LICENCES.contains(&plain),
    }
}

/// The parts between `word`s that stand outside brackets; `None` when there is no such word.
fn split_outside<'a>(text: &'a str, word: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && at >= from && text[at..].starts_with(word) => {
                parts.push(&text[from..at]);
                from = at + word.len();
            }
            _ => {}
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(&text[from..]);
    Some(parts)
}

fn banned(package: &Package) -> Option<Finding> {
    let (_, instead) = BANNED.iter().find(|(name, _)| *name == package.name)?;
    let what = format!("is banned, use {instead}; `cargo tree --invert {}` tells who brings it", package.name);
    Some(Finding { place: format!("crate {}", package.name), what })
}

/// Crates in more than one version, unless listed with a reason; and reasons that are no longer needed.
fn doubled(packages: &[Package], listed: &[(&str, &str)]) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let list = "the list in xtask/src/tidy/exceptions.rs";
    let unlisted = versions.iter().filter(|(name, _)| !listed.iter().any(|(other, _)| other == *name));
    let mut findings: Vec<Finding> = unlisted
        .map(|(name, versions)| {
            let versions = versions.iter().copied().collect::<Vec<_>>().join(" and ");
            let what = format!("is built in versions {versions}; agree on one, or add it with its reason to {list}");
            Finding { place: format!("crate {name}"), what }
        })
        .collect();
    findings.extend(listed.iter().filter(|(name, _)| !versions.contains_key(name)).map(|(name, _)| Finding {
        place: format!("crate {name}"),
        what: format!("is not doubled any more: take it off {list}"),
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str, needs: &[(&str, bool)]) -> Package {
        let needs = needs.iter().map(|(need, in_tests)| ((*need).to_owned(), *in_tests)).collect();
        Package { name: name.into(), needs, ours: true, ..Package::default() }
    }

    #[test]
    fn imports_go_down() {
        let allowed = [
            room("midsession-stream", &[("midsession-event", false), ("midsession-machine", false), ("serde", false)]),
            room("midsession-stream", &[("midsession-feature", true), ("tempfile", true)]),
            room("midsession-decide", &[("midsession-feature", false)]),
            room("midsession-edge", &[("midsession-ports", false), ("tokio", false)]),
            room("midsession-sim", &[("midsession", false)]),
        ];
        for room in allowed {
            assert!(level(&room).is_empty(), "{room:?}");
        }
    }

    #[test]
    fn imports_up_sideways_or_out_of_the_pure_rooms_are_found() {
        let refused = [
            room("midsession-event", &[("midsession-machine", false)]),
            room("midsession-event", &[("midsession-machine", true)]),
            room("midsession-stream", &[("midsession-feature", false)]),
            room("midsession-decide", &[("midsession-stream", false)]),
            room("midsession-decide", &[("midsession-observe", false)]),
            room("midsession-machine", &[("tokio", false)]),
            room("midsession-ports", &[("rand", false)]),
            room("midsession-nowhere", &[]),
        ];
        for room in refused {
            assert_eq!(level(&room).len(), 1, "{room:?}");
        }
    }

    #[test]
    fn licence_expressions() {
        for fine in [
            "MIT",
            "MIT OR Apache-2.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "MIT AND ISC OR GPL-3.0",
        ] {
            assert!(is_permissive(fine), "{fine}");
        }
        for not in ["", "GPL-3.0", "MIT AND GPL-3.0", "LGPL-2.1 OR GPL-3.0", "(MIT OR ISC) AND AGPL-3.0", "SSPL-1.0"] {
            assert!(!is_permissive(not), "{not}");
        }
        let package = Package { licence: "GPL-3.0".into(), ..Package::default() };
        assert!(licence(&package).is_some());
    }

    #[test]
    fn banned_crates_are_found() {
        let named = |name: &str| Package { name: name.into(), ..Package::default() };
        assert!(banned(&named("openssl-sys")).is_some());
        assert!(banned(&named("ring")).is_none());
    }

    #[test]
    fn doubled_versions_and_stale_reasons_are_found() {
        let of =
            |name: &str, version: &str| Package { name: name.into(), version: version.into(), ..Package::default() };
        let packages = [of("a", "1.0.0"), of("a", "2.0.0"), of("b", "1.0.0")];
        assert_eq!(doubled(&packages, &[]).len(), 1);
        assert!(doubled(&packages, &[("a", "its user has not moved yet")]).is_empty());
        assert_eq!(doubled(&packages, &[("a", "…"), ("b", "…")]).len(), 1);
    }
}
