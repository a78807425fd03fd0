//! The core is pure: no clock, file, socket, thread, randomness or async in levels 0 to 3, and no way around the lints.

use super::{Finding, Source, mask};

/// The folders of levels 0 to 3.
const CORE: &[&str] = &[
    "crates/event/",
    "crates/machine/",
    "crates/collect/",
    "crates/stream/",
    "crates/feature/",
    "crates/ports/",
    "crates/decide/",
    "crates/observe/",
];

/// Words that have an effect, and what to do instead.
const EFFECTS: &[(&str, &str)] = &[
    ("SystemTime", "take `now_ms` as an argument"),
    ("Instant", "take `now_ms` as an argument"),
    ("Timestamp::now", "take `now_ms` as an argument"),
    ("Zoned::now", "take `now_ms` as an argument"),
    ("tokio", "return what is to be done and let level 4 do it"),
    ("async", "return what is to be done and let level 4 do it"),
    ("fs::", "take the bytes as an argument"),
    ("File::", "take the bytes as an argument"),
    ("TcpStream", "return what is to be sent"),
    ("TcpListener", "take what was received as an argument"),
    ("UdpSocket", "return what is to be sent"),
    ("thread::", "let level 4 own the threads"),
    ("rand::", "take the random bits as an argument"),
    ("new_v4", "take the random bits as an argument"),
    ("getrandom", "take the random bits as an argument"),
    ("RandomState", "use foldhash's fixed state: the order of a map must not depend on the process"),
    ("DefaultHashBuilder", "use foldhash's fixed state: the order of a map must not depend on the process"),
    ("env::var", "take the setting as an argument"),
    ("process::", "return an error"),
    ("println!", "return the text"),
    ("eprintln!", "return an error"),
    ("print!", "return the text"),
    ("eprint!", "return an error"),
];

fn is_core(path: &str) -> bool {
    CORE.iter().any(|folder| path.starts_with(folder))
}

fn is_test(path: &str) -> bool {
    // An exam is a test that several crates run.
    path.contains("/tests/")
        || path.contains("/exam/")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Effects in code of the core that is not a test.
pub fn no_effects_in_the_core(source: &Source) -> Vec<Finding> {
    if !is_core(&source.path) || is_test(&source.path) || !source.has_ending(&["rs"]) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in mask::product_code(&source.text).lines().enumerate() {
        for (word, instead) in EFFECTS {
            if has_word(line, word) {
                findings.push(source.at(at + 1, format!("`{word}` has no place in the core: {instead}")));
            }
        }
    }
    findings
}

/// Rooms of the core live under the strict lints: no switch that turns the bans off, no lint file of their own.
pub fn lints_of_the_core(source: &Source) -> Vec<Finding> {
    if !is_core(&source.path) {
        return Vec::new();
    }
    if source.path.ends_with("clippy.toml") {
        return vec![source.at(1, "the core lives under the strict clippy.toml at the root".into())];
    }
    if is_test(&source.path) || !source.has_ending(&["rs"]) {
        return Vec::new();
    }
    let code = mask::product_code(&source.text);
    let lines = code.lines().enumerate().filter(|(_, line)| line.contains("clippy::disallowed"));
    lines
        .map(|(at, _)| source.at(at + 1, "the bans hold everywhere in the core: take it as an argument".into()))
        .collect()
}

/// Whether it stands there as a word of its own, not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_part);
        let after = word.ends_with(is_part) && line[at + word.len()..].starts_with(is_part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn each_effect_is_found_in_the_core_and_allowed_on_the_rim() {
        for (word, _) in EFFECTS {
            let text = format!("//! A room.\nfn f() {{ {word} }}\n");
            let found = no_effects_in_the_core(&source("crates/stream/src/a.rs", &text));
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert_eq!(found[0].place, "crates/stream/src/a.rs:2");
            assert!(no_effects_in_the_core(&source("crates/edge/src/a.rs", &text)).is_empty(), "{word}");
        }
    }

    #[test]
    fn tests_comments_and_longer_words_of_the_core_are_free() {
        let free = [
            ("crates/stream/src/a.rs", "// SystemTime::now"),
            ("crates/stream/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs::read; }"),
            ("crates/stream/tests/main.rs", "std::fs::read(path)"),
            ("crates/stream/src/tests.rs", "std::fs::read(path)"),
            ("crates/stream/src/a.rs", "let brand::Name = offs::x; InstantLike"),
        ];
        for (path, text) in free {
            assert_eq!(no_effects_in_the_core(&source(path, text)), [], "{text}");
        }
    }

    #[test]
    fn the_core_can_not_turn_the_bans_off() {
        let switch = "#![allow(clippy::disallowed_methods)]";
        assert_eq!(lints_of_the_core(&source("crates/decide/src/lib.rs", switch)).len(), 1);
        assert_eq!(lints_of_the_core(&source("crates/decide/clippy.toml", "")).len(), 1);
        assert!(lints_of_the_core(&source("crates/edge/src/lib.rs", switch)).is_empty());
        assert!(lints_of_the_core(&source("crates/edge/clippy.toml", "")).is_empty());
    }
}
