//! `cargo xtask dist`: the binary as it is shipped, laid out by the profile of its own benches.
//!
//! An event's way through the machine is long and flat: no part of it takes a tenth of the time, so what is left to gain is where the
//! compiler puts which code. It is told by a run of an instrumented build: a backlog, and each protocol.

use crate::counts::Counts;
use crate::shell::{cargo, program, read, run, target};
use std::path::Path;
use std::process::Command;

/// What the profile is taken of.
const BENCHES: [&[&str]; 4] = [
    &["bench", "peak", "--events", "600000"],
    &["bench", "ingest", "--format", "native", "--for", "4s"],
    &["bench", "ingest", "--format", "snowplow", "--for", "4s"],
    &["bench", "ingest", "--format", "segment", "--for", "4s"],
];

/// Builds it twice, and says where it is.
pub fn run_all() -> Result<(), String> {
    let verbose = read(program("rustc", ".", &["--version", "--verbose"]))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let root = read(program("rustc", ".", &["--print", "sysroot"]))?;
    let merger = Path::new(root.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !merger.is_file() {
        return Err("llvm-profdata is missing; `rustup component add llvm-tools` brings it".to_owned());
    }
    // A folder of its own: other flags would make everything in the usual one anew.
    let folder = target().join("pgo");
    let (raw, profile) = (folder.join("raw"), folder.join("merged.profdata"));
    if raw.exists() {
        std::fs::remove_dir_all(&raw).map_err(|cause| format!("{}: {cause}", raw.display()))?;
    }
    let binary = folder.join(host).join("dist/midsession");
    let mut counts = Counts::default();
    run(build(host, &folder, &format!("-Cprofile-generate={}", raw.display())), &mut counts)?;
    for bench in BENCHES {
        let told = read(program(&binary.display().to_string(), ".", bench))?;
        println!("$ midsession {}: {} bytes of figures", bench.join(" "), told.len());
    }
    let (into, from) = (profile.display().to_string(), raw.display().to_string());
    run(program(&merger.display().to_string(), ".", &["merge", "-o", &into, &from]), &mut counts)?;
    run(build(host, &folder, &format!("-Cprofile-use={into}")), &mut counts)?;
    println!("{}", binary.display());
    Ok(())
}

/// The target is named so that what runs while building is not instrumented.
fn build(host: &str, folder: &Path, flags: &str) -> Command {
    let folder = folder.display().to_string();
    let words = ["build", "--profile", "dist", "--package", "midsession", "--locked", "--target", host];
    let mut command = cargo(&[&words[..], &["--target-dir", &folder]].concat());
    command.env("RUSTFLAGS", flags);
    command
}
