//! Finds the pieces of a JSON text without parsing them: one pass, no recursion.
//!
//! Brackets are only counted here; whether they match is the parser's business, piece by piece, so that a broken
//! piece is refused alone.

use crate::Fault;
use std::borrow::Cow;

/// A value of an array, or a line of JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// All that is left of a list that is too long.
    pub is_rest: bool,
}

impl<'a> Piece<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, is_rest: false }
    }
}

pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The next byte from `at` on that `stops` says yes to.
#[inline]
fn find(bytes: &[u8], at: usize, stops: impl Fn(u8) -> bool) -> Option<usize> {
    Some(at + bytes.get(at..)?.iter().position(|byte| stops(*byte))?)
}

/// Behind the string that opens at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = find(bytes, at, |byte| byte == b'"' || byte == b'\\')?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The end of the value at `at`; `None` when it does not end.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => return skip_string(bytes, at),
        b'{' | b'[' => at += 1,
        _ => {
            // A bare scalar ends where its surroundings go on.
            let is_end = |byte: u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
            let end = find(bytes, at, is_end).unwrap_or(bytes.len());
            return (end > at).then_some(end);
        }
    }
    let mut depth = 1usize;
    loop {
        at = find(bytes, at, |byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
        match bytes[at] {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }
}

/// The one value that a text consists of, or `None` when it is something else.
pub(crate) fn single(bytes: &[u8]) -> Option<Piece<'_>> {
    let start = skip_space(bytes, 0);
    let end = skip_value(bytes, start)?;
    (skip_space(bytes, end) == bytes.len()).then(|| Piece::new(&bytes[start..end]))
}

/// The elements of an array that is all of a text. Where the structure breaks, or behind `max` elements, all that is
/// left is one last piece: a list of millions of nothings costs no more than a short one.
pub(crate) fn elements(bytes: &[u8], max: usize) -> Vec<Piece<'_>> {
    let start = skip_space(bytes, 0);
    if bytes.get(start) != Some(&b'[') {
        return Vec::new();
    }
    let (mut pieces, end) = elements_at(bytes, start, max);
    if let Some(end) = end
        && skip_space(bytes, end) < bytes.len()
    {
        // What follows the array belongs to nothing.
        pieces.push(Piece::new(&bytes[end..]));
    }
    pieces
}

/// The elements of the array that opens at `start`, and where it ends; no end when it broke or was too long.
fn elements_at(bytes: &[u8], start: usize, max: usize) -> (Vec<Piece<'_>>, Option<usize>) {
    let mut pieces = Vec::new();
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&b']') {
        return (pieces, Some(at + 1));
    }
    loop {
        if pieces.len() == max {
            pieces.push(Piece { bytes: &bytes[at..], is_rest: true });
            return (pieces, None);
        }
        let after = skip_value(bytes, at).map(|end| (end, skip_space(bytes, end)));
        match after.map(|(end, after)| (end, after, bytes.get(after))) {
            Some((end, after, Some(b','))) => {
                pieces.push(Piece::new(&bytes[at..end]));
                at = skip_space(bytes, after + 1);
            }
            Some((end, after, Some(b']'))) => {
                pieces.push(Piece::new(&bytes[at..end]));
                return (pieces, Some(after + 1));
            }
            _ => {
                pieces.push(Piece::new(&bytes[at..]));
                return (pieces, None);
            }
        }
    }
}

/// JSON lines: every line that is not blank, up to `max` as for [`elements`].
pub(crate) fn lines(bytes: &[u8], max: usize) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        let line = bytes[at..end].trim_ascii();
        if !line.is_empty() {
            if pieces.len() == max {
                pieces.push(Piece { bytes: &bytes[at..], is_rest: true });
                return pieces;
            }
            pieces.push(Piece::new(line));
        }
        at = end + 1;
    }
    pieces
}

/// An object around a list of events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The object's members, values unparsed; the list is not among them.
    pub members: Vec<(Cow<'a, str>, Piece<'a>)>,
    /// The elements of the member that holds the events, where it is an array.
    pub list: Option<Vec<Piece<'a>>>,
}

impl<'a> Frame<'a> {
    pub fn get(&self, name: &str) -> Option<Piece<'a>> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, piece)| *piece)
    }

    /// A member that is text and not empty.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let text = serde_json::from_slice::<crate::json::Text<'a>>(self.get(name)?.bytes).ok()?;
        Some(text.0).filter(|text| !text.is_empty())
    }
}

/// Takes an object apart in one pass; `list` names the member whose elements are wanted. Names that stand twice are
/// refused: which one counts would depend on the parser. A list that breaks ends the object: its whole events are good.
pub(crate) fn frame<'a>(bytes: &'a [u8], list: &str, limits: &crate::Limits) -> Result<Frame<'a>, Fault> {
    let broken = |what: &str| Fault::new("invalid_json", what).hint("send one JSON object, an array or JSON lines");
    let mut frame = Frame { members: Vec::new(), list: None };
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(broken("the body is not a JSON object"));
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Ok(frame);
    }
    loop {
        if bytes.get(at) != Some(&b'"') {
            return Err(broken("a member's name is missing"));
        }
        let end = skip_string(bytes, at).ok_or_else(|| broken("a string does not end"))?;
        let name = serde_json::from_slice::<crate::json::Text<'a>>(&bytes[at..end])
            .map_err(|_| broken("a member's name is not valid JSON text"))?
            .0;
        at = skip_space(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return Err(broken("a colon is missing behind a member's name"));
        }
        at = skip_space(bytes, at + 1);
        if frame.members.iter().any(|(other, _)| *other == name) || frame.list.is_some() && name == list {
            return Err(crate::json::duplicate(&name));
        }
        if frame.members.len() == limits.properties {
            return Err(Fault::new("too_many_properties", "the body has too many members"));
        }
        let end = if name == list && bytes.get(at) == Some(&b'[') {
            let (pieces, end) = elements_at(bytes, at, limits.batch_events);
            frame.list = Some(pieces);
            match end {
                Some(end) => end,
                None => return Ok(frame),
            }
        } else {
            let end = skip_value(bytes, at).ok_or_else(|| broken("a value does not end"))?;
            frame.members.push((name, Piece::new(&bytes[at..end])));
            end
        };
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = skip_space(bytes, at + 1),
            Some(b'}') if skip_space(bytes, at + 1) == bytes.len() => return Ok(frame),
            _ => return Err(broken("the object does not end where it should")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn texts(pieces: &[Piece<'_>]) -> Vec<String> {
        pieces.iter().map(|piece| String::from_utf8_lossy(piece.bytes).into_owned()).collect()
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
            (r#"[{"a":1},,{"a":2}]"#, vec![r#"{"a":1}"#, r#",{"a":2}]"#]),
            (r#"[{"a":1}] x"#, vec![r#"{"a":1}"#, " x"]),
            (r#"["\"#, vec![r#""\"#]),
        ] {
            assert_eq!(texts(&elements(text.as_bytes(), 9)), expected, "{text}");
        }
        assert_eq!(texts(&lines(b"{\"a\":1}\n\n{\"b\r\n{\"c\":2}", 9)), ["{\"a\":1}", "{\"b", "{\"c\":2}"]);
    }

    #[test]
    fn long_lists_end_in_one_rest() {
        let list = format!("[{}]", vec!["1"; 100].join(","));
        let pieces = elements(list.as_bytes(), 3);
        assert_eq!((pieces.len(), pieces[3].is_rest, pieces[3].bytes.len()), (4, true, list.len() - 7));
        let pieces = lines(b"1\n2\n\n3\n4", 2);
        assert_eq!((pieces.len(), pieces[2].is_rest, pieces[2].bytes), (3, true, &b"3\n4"[..]));
        assert_eq!(elements(b"[1,2]", 2).len(), 2);
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(single(deep.as_bytes()).is_some());
        assert_eq!(single("[".repeat(100_000).as_bytes()), None);
        assert_eq!(single(b"{}}"), None);
    }

    #[test]
    fn objects_around_a_list() {
        let limits = Limits { properties: 3, ..Limits::default() };
        let found =
            frame(br#" {"a":[1,2],"b":"x","list":[{},{"a":2}],"\u0063":{}} "#, "list", &limits).expect("an object");
        let names: Vec<_> = found.members.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(found.list.as_deref().map(texts), Some(vec!["{}".to_owned(), r#"{"a":2}"#.to_owned()]));
        assert_eq!(found.text("b").as_deref(), Some("x"));
        assert_eq!(found.text("a"), None);
        // What was whole before the list broke is good.
        let cut = frame(br#"{"k":1,"list":[{"a":1},{"a":2"#, "list", &limits).expect("a beginning");
        assert_eq!(cut.list.as_deref().map(texts), Some(vec![r#"{"a":1}"#.to_owned(), r#"{"a":2"#.to_owned()]));
        for (text, code) in [
            (r#"{"a":1,"a":2}"#, "duplicate_key"),
            (r#"{"a":1,"\u0061":2}"#, "duplicate_key"),
            (r#"{"list":[],"list":[]}"#, "duplicate_key"),
            (r#"{"a":1"#, "invalid_json"),
            (r#"{"a" 1}"#, "invalid_json"),
            (r#"{"\x":1}"#, "invalid_json"),
            ("[1]", "invalid_json"),
            (r#"{"a":1,"b":2,"c":3,"d":4}"#, "too_many_properties"),
        ] {
            assert_eq!(frame(text.as_bytes(), "list", &limits).map_err(|fault| fault.code), Err(code), "{text}");
        }
    }
}
