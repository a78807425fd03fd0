//! Strict framing of HTTP/1 requests, checked on the bytes before the HTTP library sees them.
//!
//! The library is lenient where two readers of one connection could disagree on where a request ends (a length beside
//! chunks, two hosts, folded headers, bare line feeds). Here such a request is refused, and nothing after it is read.
//! What the library would refuse by itself, without a word of why, is refused here too.

use super::rule::Rule;

/// Longest request head. Bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Most header fields.
pub(crate) const FIELDS_MAX: usize = 64;

/// What to do with bytes just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Hand on the first `keep`; what follows is the begin of a head.
    Pass { keep: usize },
    /// Hand on the first `keep`; what follows, and the begin of a head before, is a request that is refused.
    RefuseHead { keep: usize, rule: Rule },
    /// Hand on the first `keep`; what follows breaks the body that is being read.
    RefuseBody { keep: usize, rule: Rule },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between requests.
    Idle,
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    /// No longer HTTP: everything passes.
    Raw,
}

/// Follows the requests of one connection.
pub(crate) struct Framing {
    state: State,
    /// The begin of a line that has not ended yet.
    line: Vec<u8>,
    head: Head,
}

#[derive(Default)]
struct Head {
    bytes: usize,
    /// An empty line came before the request: one is let pass, as the standard asks.
    skipped: bool,
    /// The request line has been read.
    requested: bool,
    is_http_10: bool,
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    fields: usize,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Idle, line: Vec::new(), head: Head::default() }
    }

    /// Between requests: nothing of a next one has come.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// In the middle of a head.
    pub(crate) fn is_in_head(&self) -> bool {
        self.state == State::Head
    }

    /// Looks at bytes just read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        // Where in `bytes` the current head began: what precedes it is sound.
        let mut head_from = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Raw => break,
                State::Body(left) => {
                    let taken = left.min(rest.len() as u64);
                    at += taken as usize;
                    self.state = if taken == left { State::Idle } else { State::Body(left - taken) };
                }
                State::ChunkData(left) => {
                    let taken = left.min(rest.len() as u64);
                    at += taken as usize;
                    self.state = if taken == left { State::ChunkEnd } else { State::ChunkData(left - taken) };
                }
                State::Idle => {
                    head_from = at;
                    self.head = Head::default();
                    self.state = State::Head;
                }
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    let (taken, ended) = match memchr::memchr(b'\n', rest) {
                        Some(end) => (end + 1, true),
                        None => (rest.len(), false),
                    };
                    let keep = at;
                    at += taken;
                    self.head.bytes += taken;
                    if self.head.bytes > HEAD_BYTES_MAX {
                        if self.state == State::Head {
                            return Verdict::RefuseHead { keep: head_from, rule: Rule::HeadTooLong };
                        }
                        return Verdict::RefuseBody { keep, rule: Rule::Chunk };
                    }
                    if !ended {
                        self.line.extend_from_slice(&rest[..taken]);
                        break;
                    }
                    let result = if self.line.is_empty() {
                        Self::end_line(self.state, &mut self.head, &rest[..taken])
                    } else {
                        self.line.extend_from_slice(&rest[..taken]);
                        let result = Self::end_line(self.state, &mut self.head, &self.line);
                        self.line.clear();
                        result
                    };
                    let in_head = self.state == State::Head;
                    match result {
                        Ok(state) => self.state = state,
                        Err(rule) if in_head => return Verdict::RefuseHead { keep: head_from, rule },
                        Err(rule) => return Verdict::RefuseBody { keep, rule },
                    }
                }
            }
        }
        Verdict::Pass { keep: if self.is_in_head() { head_from } else { bytes.len() } }
    }

    /// Takes one whole line, its end included, and tells the state after it.
    fn end_line(state: State, head: &mut Head, line: &[u8]) -> Result<State, Rule> {
        let line = line.strip_suffix(b"\r\n").ok_or(Rule::BareLineFeed)?;
        if line.contains(&b'\r') {
            return Err(Rule::BareCarriageReturn);
        }
        match state {
            State::ChunkSize => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = chunk_size(digits).ok_or(Rule::Chunk)?;
                // Sizes and trailers count together as the head does.
                Ok(if size == 0 { State::Trailer } else { State::ChunkData(size) })
            }
            State::ChunkEnd => {
                head.bytes = 0;
                if line.is_empty() { Ok(State::ChunkSize) } else { Err(Rule::Chunk) }
            }
            State::Trailer => Ok(if line.is_empty() { State::Idle } else { State::Trailer }),
            _ if !head.requested && line.is_empty() => {
                if std::mem::replace(&mut head.skipped, true) {
                    Err(Rule::HeaderName)
                } else {
                    Ok(State::Head)
                }
            }
            _ if !head.requested => {
                head.requested = true;
                head.is_http_10 = line.ends_with(b" HTTP/1.0");
                if is_request_line(line) { Ok(State::Head) } else { Err(Rule::RequestLine) }
            }
            _ if line.is_empty() => head.end(),
            _ => {
                head.line(line)?;
                Ok(State::Head)
            }
        }
    }
}

/// A method, a target and a version, with one space between them.
fn is_request_line(line: &[u8]) -> bool {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
        && is_token(method)
        && target.iter().all(is_visible)
        && http::Uri::try_from(target).is_ok()
}

/// What methods and names of headers are made of.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// At most eight hexadecimal digits and nothing else.
fn chunk_size(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl Head {
    fn line(&mut self, line: &[u8]) -> Result<(), Rule> {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(Rule::FoldedHeader);
        }
        let colon = memchr::memchr(b':', line).ok_or(Rule::HeaderName)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) {
            return Err(Rule::HeaderName);
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Rule::HeaderValue);
        }
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Rule::FieldsTooMany);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                if self.hosts > 1 {
                    return Err(Rule::HostTwice);
                }
                let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]%~".contains(byte);
                if value.is_empty() || !value.iter().all(allowed) {
                    return Err(Rule::HostValue);
                }
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(Rule::LengthTwice);
                }
                if value.is_empty() || value.len() > 15 || !value.iter().all(u8::is_ascii_digit) {
                    return Err(Rule::LengthValue);
                }
                self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Rule::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<State, Rule> {
        if self.hosts == 0 && !self.is_http_10 {
            return Err(Rule::HostMissing);
        }
        if self.chunked && self.length.is_some() {
            return Err(Rule::LengthAndChunked);
        }
        if self.chunked && self.is_http_10 {
            return Err(Rule::TransferEncoding);
        }
        self.bytes = 0;
        Ok(match self.length {
            _ if self.upgrade => State::Raw,
            _ if self.chunked => State::ChunkSize,
            Some(length) if length > 0 => State::Body(length),
            _ => State::Idle,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_whole(text: &str) -> Verdict {
        Framing::new().feed(text.as_bytes())
    }

    /// The same bytes one at a time come to the same end.
    fn feed_bytes(text: &str) -> Option<Rule> {
        let mut framing = Framing::new();
        text.bytes().find_map(|byte| match framing.feed(&[byte]) {
            Verdict::Pass { .. } => None,
            Verdict::RefuseHead { rule, .. } | Verdict::RefuseBody { rule, .. } => Some(rule),
        })
    }

    #[test]
    fn sound_requests_pass() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nbGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~9: \t ü\u{80}\r\n\r\n",
            "GET /w HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\x01\n\n\n",
        ] {
            assert_eq!(feed_whole(text), Verdict::Pass { keep: text.len() }, "{text:?}");
            assert_eq!(feed_bytes(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_rule_refuses() {
        let fields = (0..FIELDS_MAX).map(|field| format!("X-{field}: y\r\n")).collect::<String>();
        for (rule, text) in [
            (Rule::FieldsTooMany, format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_str()),
            (Rule::HeadTooLong, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX))),
            (Rule::RequestLine, "GET /\r\n"),
            (Rule::RequestLine, "GET  / HTTP/1.1\r\n"),
            (Rule::RequestLine, "GET / HTTP/2.0\r\n"),
            (Rule::RequestLine, "GET / HTTP/1.1 \r\n"),
            (Rule::RequestLine, "G(T / HTTP/1.1\r\n"),
            (Rule::RequestLine, " / HTTP/1.1\r\n"),
            (Rule::RequestLine, "GET /\t HTTP/1.1\r\n"),
            (Rule::RequestLine, "GET /\0 HTTP/1.1\r\n"),
            (Rule::RequestLine, "GET http:// HTTP/1.1\r\n"),
            (Rule::HeaderName, "GET / HTTP/1.1\r\nHost: a\r\nä: b\r\n\r\n"),
            (Rule::HeaderValue, "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
            (Rule::HeaderValue, "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n"),
            (Rule::BareLineFeed, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
            (Rule::BareLineFeed, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
            (Rule::BareLineFeed, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
            (Rule::BareCarriageReturn, "GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"),
            (Rule::FoldedHeader, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
            (Rule::FoldedHeader, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
            (Rule::HeaderName, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            (Rule::HeaderName, "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n"),
            (Rule::HeaderName, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
            (Rule::HeaderName, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Rule::HostMissing, "GET / HTTP/1.1\r\n\r\n"),
            (Rule::HostTwice, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
            (Rule::HostValue, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            (Rule::HostValue, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            (Rule::HostValue, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
            (Rule::LengthTwice, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
            (Rule::LengthValue, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"),
            (Rule::LengthValue, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
            (Rule::LengthValue, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
            (
                Rule::LengthAndChunked,
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (
                Rule::LengthAndChunked,
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
            ),
            (Rule::TransferEncoding, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            (
                Rule::TransferEncoding,
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (Rule::HeaderValue, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n"),
            (Rule::TransferEncoding, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (Rule::Chunk, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n"),
            (Rule::Chunk, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
            (Rule::Chunk, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"),
            (Rule::Chunk, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n"),
            (Rule::BareLineFeed, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n"),
        ] {
            assert_eq!(feed_bytes(text), Some(rule), "{text:?}");
            let (Verdict::RefuseHead { rule: found, .. } | Verdict::RefuseBody { rule: found, .. }) = feed_whole(text)
            else {
                panic!("passes: {text:?}");
            };
            assert_eq!(found, rule, "{text:?}");
        }
    }

    #[test]
    fn what_precedes_a_refused_head_is_kept() {
        let good = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        let begun = feed_whole(&format!("{good}GET / HTTP/1.1\r\n"));
        assert_eq!(begun, Verdict::Pass { keep: good.len() });
        let verdict = feed_whole(&format!("{good}GET / HTTP/1.1\r\n\r\n"));
        assert_eq!(verdict, Verdict::RefuseHead { keep: good.len(), rule: Rule::HostMissing });
        let sound = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
        let verdict = feed_whole(&format!("{sound}+1\r\ny"));
        assert_eq!(verdict, Verdict::RefuseBody { keep: sound.len(), rule: Rule::Chunk });
        let mut framing = Framing::new();
        assert_eq!(framing.feed(b"GET / HTTP/1.1\r\nX: "), Verdict::Pass { keep: 0 });
        assert!(framing.is_in_head() && !framing.is_idle());
        assert_eq!(framing.feed(b"y\r\n\r\n"), Verdict::RefuseHead { keep: 0, rule: Rule::HostMissing });
    }

    #[test]
    fn endless_heads_and_trailers_end() {
        let mut framing = Framing::new();
        framing.feed(b"GET / HTTP/1.1\r\nX: ");
        let ended = (0..40).find_map(|round| match framing.feed(&[b'x'; 1024]) {
            Verdict::Pass { keep: 0 } => None,
            other => Some((round, other)),
        });
        assert_eq!(ended, Some((31, Verdict::RefuseHead { keep: 0, rule: Rule::HeadTooLong })));
        assert!(framing.line.len() <= HEAD_BYTES_MAX);
        let mut framing = Framing::new();
        framing.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
        let ended = (0..40).any(|_| {
            let line = [b"T: ".as_slice(), &[b'x'; 1024], b"\r\n"].concat();
            framing.feed(&line) == Verdict::RefuseBody { keep: 0, rule: Rule::Chunk }
        });
        assert!(ended, "trailers go on for ever");
    }
}
