//! Finds the pieces of a JSON text without parsing them: one pass, no recursion, depth counted before any parser runs.
//!
//! Brackets are only counted here; whether they match is the parser's business, piece by piece, so that a broken
//! piece is refused alone.

use crate::Fault;
use std::borrow::Cow;

/// A value of an array, or a line of JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// Nesting: 0 for a scalar, 1 for a flat object.
    pub depth: usize,
}

pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Behind the string that opens at `at`.
fn skip_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end and the depth of the value at `at`; `None` when it does not end.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut depth = 0usize;
    let mut deepest = 0usize;
    loop {
        match *bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                // A bare scalar ends where its surroundings go on.
                let start = at;
                while !matches!(bytes.get(at), None | Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t')) {
                    at += 1;
                }
                return (at > start).then_some((at, deepest));
            }
        }
        if depth == 0 {
            return Some((at, deepest));
        }
    }
}

/// The one value that a text consists of, or `None` when it is something else.
pub(crate) fn single(bytes: &[u8]) -> Option<Piece<'_>> {
    let start = skip_space(bytes, 0);
    let (end, depth) = skip_value(bytes, start)?;
    (skip_space(bytes, end) == bytes.len()).then(|| Piece { bytes: &bytes[start..end], depth })
}

/// The elements of an array. Where the structure breaks, all that is left is one last (broken) piece.
pub(crate) fn elements(bytes: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'[') {
        return pieces;
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') && skip_space(bytes, at + 1) == bytes.len() {
        return pieces;
    }
    loop {
        let start = at;
        let next = skip_value(bytes, at).and_then(|(end, depth)| {
            let after = skip_space(bytes, end);
            match bytes.get(after) {
                Some(b',') => Some((end, depth, Some(skip_space(bytes, after + 1)))),
                Some(b']') if skip_space(bytes, after + 1) == bytes.len() => Some((end, depth, None)),
                _ => None,
            }
        });
        match next {
            Some((end, depth, next)) => {
                pieces.push(Piece { bytes: &bytes[start..end], depth });
                match next {
                    Some(next) => at = next,
                    None => return pieces,
                }
            }
            None => {
                pieces.push(Piece { bytes: &bytes[start..], depth: 0 });
                return pieces;
            }
        }
    }
}

/// JSON lines: every line that is not blank.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Piece<'_>> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| single(line).unwrap_or(Piece { bytes: line, depth: 0 }))
        .collect()
}

/// The members of an object, values unparsed. Duplicate names are refused: which one counts would depend on the parser.
pub(crate) fn members<'a>(bytes: &'a [u8], limit: usize) -> Result<Vec<(Cow<'a, str>, Piece<'a>)>, Fault> {
    let broken = |what: &str| Fault::new("invalid_json", what).hint("send one JSON object, an array or JSON lines");
    let mut found: Vec<(Cow<'a, str>, Piece<'a>)> = Vec::new();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(broken("the body is not a JSON object"));
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Ok(found);
    }
    loop {
        if bytes.get(at) != Some(&b'"') {
            return Err(broken("a member's name is missing"));
        }
        let end = skip_string(bytes, at).ok_or_else(|| broken("a string does not end"))?;
        let raw = &bytes[at..end];
        let name = match serde_json::from_slice::<&str>(raw) {
            Ok(name) => Cow::Borrowed(name),
            Err(_) => Cow::Owned(
                serde_json::from_slice::<String>(raw).map_err(|_| broken("a member's name is not valid JSON text"))?,
            ),
        };
        at = skip_space(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return Err(broken("a colon is missing behind a member's name"));
        }
        at = skip_space(bytes, at + 1);
        let (end, depth) = skip_value(bytes, at).ok_or_else(|| broken("a value does not end"))?;
        if found.iter().any(|(other, _)| *other == name) {
            return Err(crate::json::duplicate(&name));
        }
        if found.len() == limit {
            return Err(Fault::new("too_many_properties", "the body has too many members"));
        }
        found.push((name, Piece { bytes: &bytes[at..end], depth }));
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = skip_space(bytes, at + 1),
            Some(b'}') if skip_space(bytes, at + 1) == bytes.len() => return Ok(found),
            _ => return Err(broken("the object does not end where it should")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: Vec<Piece<'_>>) -> Vec<String> {
        pieces.into_iter().map(|piece| String::from_utf8_lossy(piece.bytes).into_owned()).collect()
    }

    #[test]
    fn pieces() {
        for (text, expected) in [
            ("[]", vec![]),
            (" [ ] ", vec![]),
            (r#"[1,"a,]", {"b":[2,3]}]"#, vec!["1", r#""a,]""#, r#"{"b":[2,3]}"#]),
            (r#"[{"a":"\"}"} , {}]"#, vec![r#"{"a":"\"}"}"#, "{}"]),
            // A broken piece takes only what cannot be told apart from it.
            (r#"[{"a":1},{"a":nope},{"a":3}]"#, vec![r#"{"a":1}"#, r#"{"a":nope}"#, r#"{"a":3}"#]),
            (r#"[{"a":1},{"a":2"#, vec![r#"{"a":1}"#, r#"{"a":2"#]),
            (r#"[{"a":1}] x"#, vec![r#"{"a":1}] x"#]),
        ] {
            assert_eq!(texts(elements(text.as_bytes())), expected, "{text}");
        }
        assert_eq!(texts(lines(b"{\"a\":1}\n\n{\"b\r\n{\"c\":2}")), ["{\"a\":1}", "{\"b", "{\"c\":2}"]);
    }

    #[test]
    fn depth_is_counted_without_recursion() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(single(deep.as_bytes()).map(|piece| piece.depth), Some(100_000));
        assert_eq!(single("[".repeat(100_000).as_bytes()), None);
        assert_eq!(single(br#"{"a":{"b":[1]}}"#).map(|piece| piece.depth), Some(3));
    }

    #[test]
    fn members_of_an_object() {
        let found = members(br#" {"a":[1,2],"b":"x","\u0063":{}} "#, 9).expect("an object");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for (text, code) in [
            (r#"{"a":1,"a":2}"#, "duplicate_key"),
            (r#"{"a":1,"\u0061":2}"#, "duplicate_key"),
            (r#"{"a":1"#, "invalid_json"),
            (r#"{"a" 1}"#, "invalid_json"),
            ("[1]", "invalid_json"),
            (r#"{"a":1,"b":2,"c":3}"#, "too_many_properties"),
        ] {
            assert_eq!(members(text.as_bytes(), 2).map_err(|fault| fault.code), Err(code), "{text}");
        }
    }
}
