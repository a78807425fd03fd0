//! The references under `docs/reference`, written by the binary itself so that they can't drift from the code.

use crate::counts::Counts;
use crate::shell::{cargo, program, read, root, run, target};

/// What the binary is asked for, and the file it goes to.
const REFERENCES: &[(&str, &str)] = &[
    ("config", "docs/reference/config.md"),
    ("cli", "docs/reference/cli.md"),
    ("metrics", "docs/reference/metrics.md"),
    ("openapi", "docs/reference/openapi.json"),
];

/// Writes them.
pub fn write() -> Result<(), String> {
    for (path, text) in generated()? {
        let file = root().join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
        }
        std::fs::write(&file, text).map_err(|cause| format!("{}: {cause}", file.display()))?;
        println!("{path}");
    }
    Ok(())
}

/// Says which of them differ from the committed ones.
pub fn check() -> Result<(), String> {
    let drifted: Vec<&str> = generated()?
        .into_iter()
        .filter(|(path, text)| std::fs::read_to_string(root().join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    match drifted.as_slice() {
        [] => Ok(()),
        paths => Err(format!("{} differ from the code; run `cargo xtask generate` and commit", paths.join(", "))),
    }
}

fn generated() -> Result<Vec<(&'static str, String)>, String> {
    run(cargo(&["build", "--locked", "--package", "midsession"]), &mut Counts::default())?;
    let binary = target().join("debug/midsession").display().to_string();
    let mut texts = Vec::new();
    for (name, path) in REFERENCES {
        let text = read(program(&binary, ".", &["reference", name]))?;
        if text.trim().is_empty() {
            return Err(format!("`midsession reference {name}` printed nothing; the subcommand is missing or broken"));
        }
        texts.push((*path, format!("{}\n", text.trim_end())));
    }
    Ok(texts)
}
