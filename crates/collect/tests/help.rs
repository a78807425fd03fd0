//! Requests in one line, and a collector to send them to.

// Captures are files; the crate under test still reads none.
#![allow(clippy::disallowed_methods)]

use midsession_collect::{Collected, Collector, Limits, Request, Schemas, Settings, Source};
use midsession_event::Event;
use std::net::{IpAddr, Ipv4Addr};

/// Receive time of every request here. Epoch ms.
pub const NOW_MS: i64 = 1_795_348_800_000;
pub const KEY: &str = "wk_shop";
pub const DESKTOP: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

pub fn source() -> Source {
    Source {
        name: "shop".into(),
        write_key: KEY.into(),
        allowed_origins: Some(vec!["https://shop.example".into()]),
        app_ids: vec!["shop".into()],
        ..Source::default()
    }
}

pub fn collector_of(sources: Vec<Source>) -> Collector {
    let settings = Settings { limits: Limits::default(), secret: [7; 32], accept_any_key: false };
    Collector::new(sources, settings, Schemas::shipped(), None)
}

/// A collector for the captures, whose pages had changing ports.
pub fn open_collector() -> Collector {
    let source = Source { allowed_origins: None, ..source() };
    let settings = Settings { limits: Limits::default(), secret: [7; 32], accept_any_key: true };
    Collector::new(vec![source], settings, Schemas::shipped(), None)
}

pub fn collector() -> Collector {
    collector_of(vec![source()])
}

/// A request to be changed by the test before it is sent.
#[derive(Clone)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: "POST",
            path: path.into(),
            query: query.into(),
            headers: vec![("user-agent".into(), DESKTOP.into())],
            body: body.into(),
        }
    }

    pub fn get(path: &str) -> Self {
        Self { method: "GET", ..Self::post(path, "") }
    }

    /// A captured request: request line, headers, a blank line, the body as it was on the wire.
    pub fn fixture(bytes: &[u8]) -> Self {
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..at]).expect("text");
        let mut lines = head.split("\r\n");
        let mut words = lines.next().expect("a request line").split(' ');
        let method = match words.next() {
            Some("GET") => "GET",
            Some("OPTIONS") => "OPTIONS",
            _ => "POST",
        };
        let mut call = Self::post(words.next().expect("a target"), &bytes[at + 4..]);
        call.method = method;
        call.headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        call
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The request as the collector sees it.
    pub fn with<T>(&self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        then(&Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
            peer_ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
            received_at_us: NOW_MS * 1_000,
            daily_salt: Some([9; 32]),
        })
    }

    pub fn to(&self, collector: &Collector) -> Collected {
        let mut counter = 0u128;
        self.with(|request| {
            collector.collect(request, &mut || {
                counter += 1;
                counter
            })
        })
    }

    pub fn send(&self) -> Collected {
        self.to(&collector())
    }
}

/// The captured requests of one SDK, in order, by file name.
pub fn fixtures(folder: &str) -> Vec<(String, Call)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<_> =
        std::fs::read_dir(root).expect("fixtures").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (format!("{folder}/{name}"), Call::fixture(&std::fs::read(path).expect("a file")))
        })
        .collect()
}

/// The body's JSON, unpacked without the code under test.
pub fn json_of(call: &Call) -> serde_json::Value {
    let mut text = Vec::new();
    if call.body.starts_with(&[0x1f, 0x8b]) {
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(call.body.as_slice()), &mut text).expect("gzip");
    } else {
        text.clone_from(&call.body);
    }
    serde_json::from_slice(&text).expect("JSON")
}

/// The one event that came of a call.
pub fn one(collected: &Collected) -> &Event {
    assert_eq!((collected.events.len(), collected.rejects.len()), (1, 0), "{:?}", collected.rejects);
    &collected.events[0]
}

/// Codes and fields of the rejects.
pub fn codes(collected: &Collected) -> Vec<(usize, &str, Option<&str>)> {
    collected
        .rejects
        .iter()
        .map(|rejected| (rejected.index, rejected.reject.code.as_str(), rejected.reject.field.as_deref()))
        .collect()
}
