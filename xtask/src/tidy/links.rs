//! Links between the pages of the project lead somewhere.

use super::{Finding, Source};

/// Relative links of Markdown pages to files, and headings of pages (`#…`), that `exists` does not know.
pub fn broken(source: &Source, exists: impl Fn(&str, Option<&str>) -> bool) -> Vec<Finding> {
    if !source.has_ending(&["md"]) {
        return Vec::new();
    }
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let path = if file.is_empty() { source.path.clone() } else { resolve(folder, file) };
            if !file.contains(':') && !exists(&path, heading) {
                findings.push(source.at(at + 1, format!("the link to {link} leads nowhere")));
            }
        }
    }
    findings
}

/// Whether a page has a heading of this name in links: in lower case, words joined by hyphens.
pub fn has_heading(page: &str, heading: &str) -> bool {
    let named = |line: &str| -> String {
        let kept = line.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
    };
    page.lines().filter(|line| line.starts_with('#')).any(|line| named(line) == heading)
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
        let page = "# All\n\n## A part, `of` it\n\n## Part\n";
        let exists = |path: &str, heading: Option<&str>| {
            ["README.md", "docs/a.md", "docs/images/a.svg", "docs"].contains(&path)
                && heading.is_none_or(|heading| has_heading(page, heading))
        };
        let rows = [
            ("docs/b.md", "see [a](a.md#part) and [up](../README.md)", 0),
            ("README.md", "![picture](docs/images/a.svg) [docs](docs/) [web](https://example.com) [here](#part)", 0),
            ("docs/b.md", "see [a](c.md) and [b](README.md)", 2),
            ("docs/b.md", "see [a](a.md#a-part-of-it), [a](a.md#A-part-of-it) and [b](../README.md#parts)", 2),
            ("README.md", "see [above](#all) and [below](#none) and [far](https://example.com#none)", 1),
            ("docs/b.rs", "see [a](c.md)", 0),
        ];
        for (path, text, expected) in rows {
            assert_eq!(broken(&source(path, text), exists).len(), expected, "{path}: {text}");
        }
    }
}
