//! Links between the pages of the project lead somewhere.

use super::{Finding, Source};

/// Relative links of Markdown pages to files that `exists` does not know.
pub fn broken(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    if !source.has_ending(&["md"]) {
        return Vec::new();
    }
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains(':');
            if !is_elsewhere && !exists(&resolve(folder, file)) {
                findings.push(source.at(at + 1, format!("the link to {file} leads nowhere")));
            }
        }
    }
    findings
}

/// The path from the root of a link in a folder.
fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let exists = |path: &str| ["README.md", "docs/a.md", "docs/images/a.svg", "docs"].contains(&path);
        let rows = [
            ("docs/b.md", "see [a](a.md#part) and [up](../README.md)", 0),
            ("README.md", "![picture](docs/images/a.svg) [docs](docs/) [web](https://example.com) [here](#part)", 0),
            ("docs/b.md", "see [a](c.md) and [b](README.md)", 2),
            ("docs/b.rs", "see [a](c.md)", 0),
        ];
        for (path, text, expected) in rows {
            assert_eq!(broken(&source(path, text), exists).len(), expected, "{path}: {text}");
        }
    }
}
