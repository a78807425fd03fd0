//! The rules of the tree that no compiler holds: purity of the core, size and first line of files, words.

pub mod exceptions;
mod links;
mod mask;
mod purity;
mod shape;
mod words;

use crate::shell::{program, read, root};

/// A place where a rule does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// File and line, or crate.
    pub place: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// A text file of the tree.
pub struct Source {
    /// From the root, with slashes.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    fn at(&self, line: usize, what: String) -> Finding {
        Finding { place: format!("{}:{line}", self.path), what }
    }

    fn has_ending(&self, endings: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    }
}

/// Each rule looks at one file.
const RULES: &[fn(&Source) -> Vec<Finding>] =
    &[purity::no_effects_in_the_core, purity::lints_of_the_core, shape::length, shape::first_line, words::words];

/// Looks at every text file that is, or is about to be, in git.
pub fn check() -> Result<(), String> {
    let listed = read(program("git", ".", &["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let sources: Vec<Source> = listed
        .lines()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            Some(Source { path: path.to_owned(), text })
        })
        .collect();
    let mut findings: Vec<Finding> =
        sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))).collect();
    let exists = |path: &str, heading: Option<&str>| match sources.iter().find(|source| source.path == path) {
        Some(page) if page.has_ending(&["md"]) => heading.is_none_or(|heading| links::has_heading(&page.text, heading)),
        _ => root().join(path).exists(),
    };
    findings.extend(sources.iter().flat_map(|source| links::broken(source, exists)));
    findings.extend(shape::stale_reasons(&sources, exceptions::LONG));
    println!("{} files", sources.len());
    settle(findings)
}

/// Prints what was found; an error when there is anything.
pub fn settle(findings: Vec<Finding>) -> Result<(), String> {
    for Finding { place, what } in &findings {
        println!("{place}: {what}");
    }
    match findings.len() {
        0 => Ok(()),
        n => Err(format!("{n} found, see above")),
    }
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}
