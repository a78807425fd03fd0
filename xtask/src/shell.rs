//! Runs other programs, showing their output as it comes and counting the tests in it.

use crate::counts::Counts;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds: what the caller set, else a folder kept between checkouts if the machine has one (a machine of
/// a continuous integration gets one), else `target`.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        if let Some(chosen) = std::env::var_os("CARGO_TARGET_DIR") {
            return root().join(chosen);
        }
        let kept = std::env::home_dir().map(|home| home.join(".cache/midsession-target"));
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        match kept {
            Some(kept) if kept.is_dir() || (in_ci && std::fs::create_dir_all(&kept).is_ok()) => kept,
            _ => root().join("target"),
        }
    })
}

/// A program to be run in a folder of the checkout.
pub fn program(name: &str, folder: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root().join(folder)).args(arguments).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", target());
    command
}

/// Cargo, at the root.
pub fn cargo(arguments: &[&str]) -> Command {
    program(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), ".", arguments)
}

/// Runs it to its end with its output shown and the tests in it counted; an error names the command.
pub fn run(mut command: Command, counts: &mut Counts) -> Result<(), String> {
    let shown = shown(&command);
    println!("$ {shown}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|cause| format!("{shown}: {cause}"))?;
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|cause| format!("{shown}: {cause}"))? > 0 {
            let text = String::from_utf8_lossy(&line);
            print!("{text}");
            counts.read(&text);
            line.clear();
        }
    }
    let status = child.wait().map_err(|cause| format!("{shown}: {cause}"))?;
    if status.success() { Ok(()) } else { Err(failure(&shown, status)) }
}

/// What it prints on standard output.
pub fn read(mut command: Command) -> Result<String, String> {
    let shown = shown(&command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|cause| format!("{shown}: {cause}"))?;
    if !output.status.success() {
        return Err(failure(&shown, output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{shown}: printed something that is not text"))
}

/// Whether it runs and exits 0; nothing is shown.
pub fn works(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn failure(shown: &str, status: std::process::ExitStatus) -> String {
    format!("`{shown}` ended with {status}")
}
