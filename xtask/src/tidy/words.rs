//! Words that must not stand in the tree: hosts of registries, paths of one machine, unfinished work.

use super::{Finding, Source};

// Written in two halves so that this list does not find itself.
const WORDS: &[(&str, &str)] = &[
    (concat!("registry.npm", "js.org"), "leave the registry to the machine's own settings"),
    (concat!("registry.yarn", "pkg.com"), "leave the registry to the machine's own settings"),
    (concat!("index.crates", ".io"), "leave the registry to the machine's own settings"),
    (concat!("static.crates", ".io"), "leave the registry to the machine's own settings"),
    (concat!("files.python", "hosted.org"), "leave the registry to the machine's own settings"),
    (concat!("pypi", ".org"), "leave the registry to the machine's own settings"),
    (concat!("repo.maven", ".apache.org"), "leave the registry to the machine's own settings"),
    (concat!("deb.debian", ".org"), "leave the registry to the machine's own settings"),
    (concat!("proxy.go", "lang.org"), "leave the registry to the machine's own settings"),
    (concat!("/wo", "rk/"), "write paths from the root of the checkout"),
    (concat!("/root/", "."), "write paths from the root of the checkout"),
    (concat!("TO", "DO"), "finish it, or leave it out"),
    (concat!("FIX", "ME"), "finish it, or leave it out"),
    (concat!("XX", "X:"), "finish it, or leave it out"),
];

/// Any of the words, and where the lock file of the web packages tells where it got a package.
pub fn words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_made = source.path.split('/').any(|part| part == "dist" || part == "fixtures");
    let is_lock = source.path.ends_with("package-lock.json");
    for (at, line) in source.text.lines().enumerate() {
        let found = WORDS.iter().filter(|(word, _)| !is_made && stands_alone(line, word));
        findings.extend(found.map(|(word, instead)| source.at(at + 1, format!("`{word}`: {instead}"))));
        if is_lock && line.contains("\"resolved\": \"http") {
            let what = "names a registry: run npm with `omit-lockfile-registry-resolved` set";
            findings.push(source.at(at + 1, what.into()));
        }
    }
    findings
}

/// Not as the middle of a longer word or path.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let after = line[at + word.len()..].starts_with(char::is_alphanumeric) && word.ends_with(char::is_alphanumeric);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn each_word_is_found() {
        for (word, _) in WORDS {
            let text = format!("fine\nsee {word} there\n");
            assert_eq!(words(&source("docs/a.md", &text)).len(), 1, "{word}");
            assert!(words(&source("web/a/dist/a.js", &text)).is_empty(), "{word}");
        }
    }

    #[test]
    fn parts_of_longer_words_are_free() {
        for free in ["frame/wo", "mastodon", concat!("TO", "DOS")] {
            assert!(words(&source("docs/a.md", free)).is_empty(), "{free}");
        }
        assert!(words(&source("docs/a.md", concat!("net/frame", "/wo", "rk/x"))).is_empty());
    }

    #[test]
    fn lock_files_name_no_registry() {
        let line = r#"      "resolved": "https://registry.example/a.tgz","#;
        assert_eq!(words(&source("web/package-lock.json", line)).len(), 1);
        assert!(words(&source("web/a.json", line)).is_empty());
        assert!(words(&source("web/package-lock.json", r#""resolved": "tracker", "link": true"#)).is_empty());
    }
}
