//! Compiles the crate again when a front end that it embeds has been built anew.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for site in ["console", "store", "tracker"] {
        let folder = format!("../../web/{site}");
        let dist = format!("{folder}/dist");
        // Watching a path that does not exist would mean compiling each time.
        println!("cargo::rerun-if-changed={}", if Path::new(&dist).exists() { dist } else { folder });
    }
}
