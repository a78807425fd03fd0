//! Commands off the wire and replies onto it, in RESP2 or RESP3.

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::{resp2, resp3};

/// Longest command. Bytes.
pub(super) const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// Most arguments of a command, its name included.
const ARGUMENTS_MAX: usize = 10_000;

/// A reply, whichever the protocol's version.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Simple(&'static str),
    Error(String),
    Int(i64),
    Bulk(Bytes),
    Null,
    Array(Vec<Reply>),
    /// Keys and values; a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    pub(super) fn bulk(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// Appends the reply's bytes.
    pub(super) fn write(self, version: u8, out: &mut BytesMut) -> Result<(), RedisProtocolError> {
        if version >= 3 {
            resp3::encode::complete::extend_encode(out, &self.into_resp3(), false)?;
        } else {
            resp2::encode::extend_encode(out, &self.into_resp2(), false)?;
        }
        Ok(())
    }

    fn into_resp2(self) -> resp2::types::BytesFrame {
        use resp2::types::BytesFrame as Frame;
        match self {
            Self::Simple(text) => Frame::SimpleString(Bytes::from_static(text.as_bytes())),
            Self::Error(text) => Frame::Error(text.into()),
            Self::Int(value) => Frame::Integer(value),
            Self::Bulk(bytes) => Frame::BulkString(bytes),
            Self::Null => Frame::Null,
            Self::Array(items) => Frame::Array(items.into_iter().map(Self::into_resp2).collect()),
            Self::Map(pairs) => {
                Frame::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).map(Self::into_resp2).collect())
            }
        }
    }

    fn into_resp3(self) -> resp3::types::BytesFrame {
        use resp3::types::BytesFrame as Frame;
        let attributes = None;
        match self {
            Self::Simple(text) => Frame::SimpleString { data: Bytes::from_static(text.as_bytes()), attributes },
            Self::Error(text) => Frame::SimpleError { data: text.into(), attributes },
            Self::Int(data) => Frame::Number { data, attributes },
            Self::Bulk(data) => Frame::BlobString { data, attributes },
            Self::Null => Frame::Null,
            Self::Array(items) => Frame::Array { data: items.into_iter().map(Self::into_resp3).collect(), attributes },
            Self::Map(pairs) => {
                let data = pairs.into_iter().map(|(key, value)| (key.into_resp3(), value.into_resp3())).collect();
                Frame::Map { data, attributes }
            }
        }
    }
}

/// The next whole command of the buffer. `Err` says what breaks the protocol; the connection can't go on.
pub(super) fn next(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, String> {
    match buffer.first() {
        None => Ok(None),
        Some(b'*') => {
            let Some(length) = whole(buffer)? else { return Ok(None) };
            let mut command = buffer.split_to(length);
            match resp2::decode::decode_bytes_mut(&mut command) {
                Ok(Some((resp2::types::BytesFrame::Array(items), _, _))) => {
                    let argument = |item| match item {
                        resp2::types::BytesFrame::BulkString(bytes) => bytes,
                        // Invariant: `whole` lets only arrays of bulk strings pass.
                        _ => Bytes::new(),
                    };
                    Ok(Some(items.into_iter().map(argument).collect()))
                }
                _ => Err("ERR Protocol error: expected an array of bulk strings".to_owned()),
            }
        }
        Some(_) => inline(buffer),
    }
}

/// The length of the command at the buffer's begin, once it is there in full: an array of bulk strings, never deeper
/// and never longer than allowed. What the codec then decodes can neither nest nor run away.
fn whole(buffer: &[u8]) -> Result<Option<usize>, String> {
    let Some((count, mut at)) = number(buffer, 1, "multibulk")? else { return Ok(None) };
    if count > ARGUMENTS_MAX as i64 {
        return Err("ERR Protocol error: invalid multibulk length".to_owned());
    }
    for _ in 0..count {
        match buffer.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(other) => {
                return Err(format!("ERR Protocol error: expected '$', got '{}'", char::from(*other).escape_default()));
            }
        }
        let Some((length, begin)) = number(buffer, at + 1, "bulk")? else { return Ok(None) };
        let length = usize::try_from(length).ok().filter(|length| begin + length <= COMMAND_BYTES_MAX);
        let Some(length) = length else { return Err("ERR Protocol error: invalid bulk length".to_owned()) };
        at = begin + length;
        match buffer.get(at..at + 2) {
            None => return Ok(None),
            Some(b"\r\n") => at += 2,
            Some(_) => return Err("ERR Protocol error: a bulk string does not end where it says".to_owned()),
        }
    }
    Ok(Some(at))
}

/// A decimal number at `from`, and where its line ends.
fn number(buffer: &[u8], from: usize, what: &str) -> Result<Option<(i64, usize)>, String> {
    const DIGITS_MAX: usize = 20;
    let line = &buffer[from.min(buffer.len())..];
    let Some(end) = memchr::memchr(b'\r', &line[..line.len().min(DIGITS_MAX)]) else {
        return if line.len() < DIGITS_MAX {
            Ok(None)
        } else {
            Err(format!("ERR Protocol error: invalid {what} length"))
        };
    };
    let digits = std::str::from_utf8(&line[..end]).ok().and_then(|digits| digits.parse().ok());
    match (digits, line.get(end + 1)) {
        (Some(number), Some(b'\n')) => Ok(Some((number, from + end + 2))),
        (Some(_), None) => Ok(None),
        _ => Err(format!("ERR Protocol error: invalid {what} length")),
    }
}

/// A command typed by hand: words on a line.
fn inline(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, String> {
    const INLINE_BYTES_MAX: usize = 64 * 1024;
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        let too_big = buffer.len() > INLINE_BYTES_MAX;
        return if too_big { Err("ERR Protocol error: too big inline request".to_owned()) } else { Ok(None) };
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(Some(words.map(|word| line.slice_ref(word)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let mut buffer = BytesMut::from(text);
        let mut all = Vec::new();
        while let Some(command) = next(&mut buffer)? {
            all.push(command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect());
        }
        Ok(all)
    }

    #[test]
    fn commands_are_read_whole() {
        let pipeline = b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\nPING  hi\r\n\r\n*0\r\n";
        let expected: Vec<Vec<&str>> = vec![vec!["PING"], vec!["GET", "a\r\nb"], vec!["PING", "hi"], vec![], vec![]];
        assert_eq!(commands(pipeline).expect("sound"), expected);
        let one = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n";
        for cut in 0..one.len() {
            assert_eq!(commands(&one[..cut]), Ok(vec![]), "cut at {cut}");
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_told() {
        for text in [
            "*1\r\n*1\r\n$4\r\nPING\r\n",
            "*1\r\n:5\r\n",
            "*x\r\n",
            "*99999999\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$99999999\r\n",
            "*1\r\n$4\r\nPINGxx",
            "*1\rx",
            "*111111111111111111111111111",
        ] {
            assert!(commands(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(commands(&[b'x'; 70_000]).is_err());
        // A nest that would overflow the stack of a decoder that recurses.
        assert!(commands(&b"*1\r\n".repeat(100_000)).is_err());
    }

    #[test]
    fn replies_in_both_versions() {
        let map = Reply::Map(vec![(Reply::bulk("a"), Reply::Int(1)), (Reply::bulk("b"), Reply::Null)]);
        for (reply, two, three) in [
            (Reply::Simple("OK"), "+OK\r\n", "+OK\r\n"),
            (Reply::Error("ERR x".into()), "-ERR x\r\n", "-ERR x\r\n"),
            (Reply::Int(-3), ":-3\r\n", ":-3\r\n"),
            (Reply::bulk("a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::Array(vec![Reply::Null]), "*1\r\n$-1\r\n", "*1\r\n_\r\n"),
            (map, "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$-1\r\n", "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n"),
        ] {
            for (version, expected) in [(2, two), (3, three)] {
                let mut out = BytesMut::new();
                reply.clone().write(version, &mut out).expect("writes");
                assert_eq!(String::from_utf8_lossy(&out), expected);
            }
        }
    }
}
