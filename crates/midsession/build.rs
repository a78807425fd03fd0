//! The revision that the binary is built from, for the benches: the checkout may be another one by the time they run.

use std::path::Path;
use std::process::Command;

fn main() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    // What can change the answer: another commit, and any edit.
    let head = std::fs::read_to_string(Path::new(root).join(".git/HEAD")).unwrap_or_default();
    let branch = head.strip_prefix("ref: ").map(|branch| format!(".git/{}", branch.trim()));
    for path in ["crates", "Cargo.lock", ".git/HEAD"].into_iter().chain(branch.as_deref()) {
        let path = Path::new(root).join(path);
        // A path that is not there would build this anew each time.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let described =
        Command::new("git").args(["-C", root, "describe", "--always", "--dirty", "--exclude", "*"]).output();
    let revision = described.ok().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    println!(
        "cargo::rustc-env=MIDSESSION_REVISION={}",
        revision.filter(|known| !known.is_empty()).unwrap_or("unknown".into())
    );
}
