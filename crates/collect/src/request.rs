//! One HTTP request, as the edge read it.

use std::borrow::Cow;
use std::net::IpAddr;

/// A request whose framing the edge has already checked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Path without the query.
    pub path: &'a str,
    /// Raw query, without `?`.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body as it came over the wire, not decompressed.
    pub body: &'a [u8],
    /// The shopper's address, after trusted proxies have been peeled off.
    pub peer_ip: Option<IpAddr>,
    /// First byte read. Epoch µs.
    pub received_at_us: i64,
    /// A random value that the caller changes once a day and throws away, for the visitor ids of cookieless events.
    /// `None`: derived from the collector's secret and the day, which its holder could compute again.
    pub daily_salt: Option<[u8; 32]>,
}

impl<'a> Request<'a> {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .filter(|(key, _)| *key == "cookie")
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"'))
    }

    /// A parameter of the query.
    pub(crate) fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        if self.query.is_empty() {
            return None;
        }
        form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The write key of `Authorization: Bearer KEY` or `Basic base64(KEY:)`.
    pub(crate) fn authorization_key(&self) -> Option<Cow<'a, str>> {
        let (scheme, value) = self.header("authorization")?.trim().split_once(' ')?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Cow::Borrowed(value));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(crate::decode::base64(value.as_bytes())?).ok()?;
        Some(Cow::Owned(decoded.split(':').next().unwrap_or_default().to_owned()))
    }

    pub(crate) fn received_at_ms(&self) -> i64 {
        self.received_at_us.div_euclid(1_000)
    }
}
