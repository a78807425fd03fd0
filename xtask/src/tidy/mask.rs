//! Rust source with comments, strings and test modules blanked out, so that a word found in it is code.

/// The same text, line by line, with everything that is not code of the product replaced by spaces.
pub fn product_code(text: &str) -> String {
    without_tests(&code(text))
}

/// Blanks comments, strings and character literals.
fn code(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word_before = masked.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let (length, is_code) = match c {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (block_comment(rest), false),
            '"' => (string(rest), false),
            'r' if !word_before || masked.ends_with('b') => match raw_string(rest) {
                Some(length) => (length, false),
                None => (1, true),
            },
            '\'' => match character(rest) {
                Some(length) => (length, false),
                None => (1, true),
            },
            _ => (c.len_utf8(), true),
        };
        let (taken, left) = rest.split_at(length);
        match is_code {
            true => masked.push_str(taken),
            false => masked.extend(taken.chars().map(blank)),
        }
        rest = left;
    }
    masked
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let body = rest[1 + hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&close).map_or(rest.len(), |at| 2 + hashes + at + close.len()))
}

/// A character literal, unless it is a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// Blanks what follows each `#[cfg(test)]`: up to the end of its braces, or to its semicolon.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut masked = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        masked.push_str(&rest[..at]);
        let mut depth = 0;
        let end = rest[at..].char_indices().find_map(|(from, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0 && matches!(c, '}' | ';')).then_some(at + from + 1)
        });
        let end = end.unwrap_or(rest.len());
        masked.extend(rest[at..end].chars().map(blank));
        rest = &rest[end..];
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_code_and_blanks_the_rest() {
        let rows = [
            ("let a = 1; // std::fs", "let a = 1;"),
            ("/* std::fs /* nested */ still */ x", "x"),
            (r#"let s = "std::fs \" more"; y"#, "let s =  ; y"),
            (r###"let s = r#"std::"fs"#; z"###, "let s =  ; z"),
            ("fn f<'a>(x: &'a str) { '\"' }", "fn f<'a>(x: &'a str) {  }"),
            (r"let c = '\''; w", "let c =  ; w"),
            ("a #[cfg(test)] mod tests { fn f() { std::fs } } b", "a  b"),
            ("a #[cfg(test)] use std::fs; b", "a  b"),
            ("for_r\"x\"", "for_r"),
        ];
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (text, expected) in rows {
            assert_eq!(squeezed(&product_code(text)), squeezed(expected), "{text}");
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = "a\n/* b\nc */\n\"d\ne\"\nfs";
        assert_eq!(product_code(text).lines().count(), text.lines().count());
        assert_eq!(product_code(text).lines().last(), Some("fs"));
    }
}
