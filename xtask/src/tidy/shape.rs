//! The shape of files: at most 500 lines, and one sentence on top that says what the file is.

use super::{Finding, Source, exceptions};

/// More than this is split, or listed with a reason.
const LINES_MAX: usize = 500;

/// Files that a program wrote, or that are data.
fn is_made(path: &str) -> bool {
    let folders = ["dist", "fixtures", "schemas", "snapshots"];
    path.split('/').any(|part| folders.contains(&part)) || path.ends_with(".d.ts")
}

/// Too long, and not listed.
pub fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let is_listed = exceptions::LONG.iter().any(|(path, _)| *path == source.path);
    if !is_measured(source) || lines <= LINES_MAX || is_listed {
        return Vec::new();
    }
    let what = format!(
        "has {lines} lines; split it (at most {LINES_MAX}), or list its reason in xtask/src/tidy/exceptions.rs"
    );
    vec![source.at(lines, what)]
}

fn is_measured(source: &Source) -> bool {
    source.has_ending(&["rs", "ts", "tsx", "css", "js", "mjs"]) && !is_made(&source.path)
}

/// Listed files that are gone or short.
pub fn stale_reasons(sources: &[Source], listed: &[(&str, &str)]) -> Vec<Finding> {
    let is_long = |path: &str| sources.iter().any(|s| s.path == path && s.text.lines().count() > LINES_MAX);
    let stale = listed.iter().filter(|(path, _)| !is_long(path));
    let what = "needs no exception any more: take it off xtask/src/tidy/exceptions.rs";
    stale.map(|(path, _)| Finding { place: (*path).into(), what: what.into() }).collect()
}

/// No sentence on top.
pub fn first_line(source: &Source) -> Vec<Finding> {
    let mut lines = source.text.lines();
    let first = lines.next().unwrap_or_default();
    let (says, form) = if source.has_ending(&["rs"]) {
        (first.strip_prefix("//! "), "`//! What it is.`")
    } else if source.has_ending(&["ts", "tsx"]) {
        let says = match first {
            "/**" => lines.next().and_then(|second| second.strip_prefix(" * ")),
            _ => {
                first.strip_prefix("/** ").or_else(|| first.strip_prefix("//! ")).or_else(|| first.strip_prefix("// "))
            }
        };
        (says, "`/** What it is. */`")
    } else {
        return Vec::new();
    };
    if is_made(&source.path) || says.is_some_and(|sentence| sentence.split_whitespace().count() >= 3) {
        return Vec::new();
    }
    vec![source.at(1, format!("does not open with one sentence saying what it is: {form}"))]
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn long_files_are_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        for path in ["crates/a/src/lib.rs", "web/a/src/a.ts", "web/a/src/a.tsx", "web/a/src/a.css"] {
            assert_eq!(length(&source(path, &long)).len(), 1, "{path}");
            assert!(length(&source(path, &"x\n".repeat(LINES_MAX))).is_empty(), "{path}");
        }
        for path in ["web/a/dist/a.js", "crates/a/tests/fixtures/a.rs", "README.md", "Cargo.lock"] {
            assert!(length(&source(path, &long)).is_empty(), "{path}");
        }
    }

    #[test]
    fn reasons_that_are_not_needed_are_found() {
        let sources = [source("a.rs", &"x\n".repeat(LINES_MAX + 1)), source("b.rs", "x")];
        assert!(stale_reasons(&sources, &[("a.rs", "a table")]).is_empty());
        assert_eq!(stale_reasons(&sources, &[("b.rs", "a table"), ("c.rs", "gone")]).len(), 2);
    }

    #[test]
    fn files_without_a_sentence_are_found() {
        let rows = [
            ("a.rs", "//! The log of units.\n", true),
            ("a.rs", "//! Log.\n", false),
            ("a.rs", "use std::fmt;\n", false),
            ("a.rs", "", false),
            ("a.ts", "/** The tracker, as a class. */\n", true),
            ("a.tsx", "// The screen of sessions.\n", true),
            ("a.ts", "/**\n * The tracker, as a class.\n */\n", true),
            ("a.ts", "//! The tracker, as a class.\n", true),
            ("a.ts", "/**\n */\n", false),
            ("a.ts", "import x from 'y'\n", false),
            ("web/a/dist/a.d.ts", "import x from 'y'\n", true),
            ("a.css", "body {}\n", true),
        ];
        for (path, text, fine) in rows {
            assert_eq!(first_line(&source(path, text)).is_empty(), fine, "{path}: {text}");
        }
    }
}
