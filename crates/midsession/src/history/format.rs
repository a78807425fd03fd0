//! The formats of history files: told apart by their content, and read line by line into messages with an arrival.

use super::dataset::{self, Place};
use midsession_collect::{Arrival, Basis, Collected, Collector, Limits, Protocol, Request, arrival, arrivals};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Native events, one JSON object a line, each with received_at where it is known
    Native,
    /// Snowplow's enriched events: 131 columns separated by tabs
    SnowplowTsv,
    /// Bodies that Snowplow trackers post (payload_data), one a line
    Snowplow,
    /// Segment or RudderStack events, one JSON object a line
    Segment,
    /// Logged requests of any tracker, one JSON object a line: received_at, method, path, query, headers, body
    Requests,
    /// The bol.com sample: SessionId, ItemId, Time, separated by tabs
    Serenade,
    /// The OTTO data set: one session with its events a line
    Otto,
    /// The retentioneering shop: user_id,session_id,event,timestamp,…
    Retentioneering,
}

/// A message of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// When it came in.
    pub arrival: Arrival,
    /// The message itself.
    pub bytes: Vec<u8>,
}

/// Why a line gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Stable, for programs.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Unreadable {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

impl From<midsession_collect::Fault> for Unreadable {
    fn from(fault: midsession_collect::Fault) -> Self {
        let field = fault.field.map(|field| format!("{field}: ")).unwrap_or_default();
        let hint = fault.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(fault.code, format!("{field}{}{hint}", fault.message))
    }
}

const NAMES: &str = "native, snowplow-tsv, snowplow, segment, requests, serenade, otto, retentioneering";

impl Format {
    /// What a file's first line that is not blank says it is.
    ///
    /// # Errors
    /// It is none of the formats; says what it looks like and what to do.
    pub fn guess(first: &[u8]) -> Result<Self, String> {
        let Ok(text) = std::str::from_utf8(first) else {
            return Err(format!("its first line is not text; give --format: {NAMES}"));
        };
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
        if text.starts_with('{') || text.starts_with('[') {
            return Self::guess_json(text);
        }
        if text.split('\t').count() == 131 {
            return Ok(Self::SnowplowTsv);
        }
        if text.trim().is_empty() {
            return Err("it is empty".into());
        }
        let starts = |names: &[&str]| {
            text.split([',', '\t']).zip(names).filter(|(found, name)| found == *name).count() == names.len()
        };
        if starts(&["SessionId", "ItemId", "Time"]) {
            return Ok(Self::Serenade);
        }
        if starts(&["user_id", "session_id", "event", "timestamp"]) {
            return Ok(Self::Retentioneering);
        }
        if starts(&["Administrative", "Administrative_Duration"]) {
            return Err(
                "it is the UCI shoppers' table: a row for each session, already added up, without events, ids \
                        or times: there is no history in it to recompute"
                    .into(),
            );
        }
        if starts(&["", "timestamp", "item_id", "position", "click", "propensity_score"]) {
            return Err("it is the Open Bandit log: impressions without a shopper's or a session's id: there is no \
                        session history in it"
                .into());
        }
        Err(format!("its first line looks like none of the formats; give --format: {NAMES}"))
    }

    fn guess_json(text: &str) -> Result<Self, String> {
        let unknown = |why: &str| format!("{why}; give --format: {NAMES}");
        let first = text.trim_start_matches('[');
        let members: BTreeMap<String, &RawValue> = match serde_json::Deserializer::from_str(first).into_iter().next() {
            Some(Ok(members)) => members,
            _ => return Err(unknown("its first line is not one JSON object: are the objects one to a line?")),
        };
        let has = |names: &[&str]| names.iter().all(|name| members.contains_key(*name));
        if has(&["topic", "partition", "offset", "value"]) {
            return Err("it is what `midsession log read` prints: give the data folder itself with --data".into());
        }
        if has(&["schema", "data"]) {
            return Ok(Self::Snowplow);
        }
        if has(&["session", "events"]) {
            return Ok(Self::Otto);
        }
        if has(&["path"]) && ["body", "query", "method", "received_at"].iter().any(|name| has(&[name])) {
            return Ok(Self::Requests);
        }
        if has(&["event_id", "name"]) {
            return Ok(Self::Native);
        }
        let is_call = has(&["type"]) && (has(&["anonymousId"]) || has(&["userId"]) || has(&["messageId"]));
        if is_call || has(&["batch"]) {
            return Ok(Self::Segment);
        }
        let names: Vec<&str> = members.keys().take(8).map(String::as_str).collect();
        Err(unknown(&format!("its first object ({}, …) is of none of the formats", names.join(", "))))
    }

    /// The first line is a header.
    pub fn has_header(self) -> bool {
        matches!(self, Self::Serenade | Self::Retentioneering)
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::SnowplowTsv => Protocol::SnowplowTsv,
            Self::Snowplow => Protocol::Snowplow,
            Self::Segment => Protocol::Segment,
            Self::Native | Self::Requests | Self::Serenade | Self::Otto | Self::Retentioneering => Protocol::Native,
        }
    }

    /// The messages of a line, in its order.
    pub fn messages(
        self,
        line: &[u8],
        place: Place,
        collector: &Collector,
        out: &mut Vec<Message>,
    ) -> Result<(), Unreadable> {
        match self {
            Self::Native | Self::SnowplowTsv | Self::Snowplow | Self::Segment => {
                let arrivals = arrivals(self.protocol(), line, &Limits::default())?;
                out.extend(arrivals.into_iter().map(|(arrival, bytes)| Message { arrival, bytes: bytes.into_owned() }));
                Ok(())
            }
            Self::Requests => {
                let logged = Logged::read(line)?;
                let arrival = logged.arrival(collector)?;
                out.push(Message { arrival, bytes: line.to_vec() });
                Ok(())
            }
            Self::Serenade => dataset::serenade(line, place, out),
            Self::Otto => dataset::otto(line, place, out),
            Self::Retentioneering => dataset::retentioneering(line, place, out),
        }
    }

    /// What the collector makes of a message.
    pub fn collect(self, message: &[u8], received_at_us: i64, collector: &Collector) -> Collected {
        // What the tracker left out is made of the message and its time: the same history gives the same ids.
        let seed = midsession_event::hash128(&[&received_at_us.to_string(), &String::from_utf8_lossy(message)]);
        let mut number = 0u128;
        let mut random = || {
            number += 1;
            seed.wrapping_mul(number)
        };
        if self == Self::Requests
            && let Ok(logged) = Logged::read(message)
        {
            let headers = logged.headers();
            return collector.collect(&logged.request(&headers, received_at_us), &mut random);
        }
        let request = Request {
            method: "POST",
            path: "",
            query: "",
            headers: &[],
            body: message,
            peer_ip: None,
            received_at_us,
            daily_salt: None,
        };
        collector.import(self.protocol(), &request, &mut random)
    }
}

/// A request as a proxy or a collector logged it.
#[derive(Deserialize)]
struct Logged {
    received_at: Option<serde_json::Value>,
    method: Option<String>,
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ip: Option<std::net::IpAddr>,
    body: Option<Box<RawValue>>,
    /// The body, where it was text.
    #[serde(skip)]
    text: String,
}

impl Logged {
    fn read(line: &[u8]) -> Result<Self, Unreadable> {
        let mut logged: Self = serde_json::from_slice(line)
            .map_err(|error| Unreadable::new("invalid_json", format!("not a logged request: {error}")))?;
        if let Some(body) = &logged.body {
            // A body that was logged as text, or as the JSON that it is.
            logged.text = match serde_json::from_str::<String>(body.get()) {
                Ok(text) => text,
                Err(_) if body.get() == "null" => String::new(),
                Err(_) => body.get().to_owned(),
            };
        }
        logged.headers = logged.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        // Bodies are logged as they were read, not as they were sent.
        logged.headers.remove("content-encoding");
        if let Some((path, query)) = logged.path.split_once('?') {
            logged.query = query.to_owned();
            logged.path = path.to_owned();
        }
        Ok(logged)
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn request<'a>(&'a self, headers: &'a [(&'a str, &'a str)], received_at_us: i64) -> Request<'a> {
        Request {
            method: self.method.as_deref().unwrap_or(if self.text.is_empty() { "GET" } else { "POST" }),
            path: &self.path,
            query: &self.query,
            headers,
            body: self.text.as_bytes(),
            peer_ip: self.ip,
            received_at_us,
            daily_salt: None,
        }
    }

    fn arrival(&self, collector: &Collector) -> Result<Arrival, Unreadable> {
        if let Some(stamp) = self.received_at.as_ref().filter(|stamp| !stamp.is_null()) {
            let message = serde_json::json!({"received_at": stamp}).to_string();
            return Ok(arrival(Protocol::Native, message.as_bytes(), &Limits::default())?);
        }
        let headers = self.headers();
        match collector.protocol(&self.request(&headers, 0)) {
            Some(protocol) => Ok(arrival(protocol, self.text.as_bytes(), &Limits::default())?),
            None => Err(Unreadable::new("route_unknown", format!("no protocol answers {}", self.path))),
        }
    }
}

/// How an arrival is known, in one byte.
pub fn tag_of(basis: Basis) -> u8 {
    match basis {
        Basis::Received => 0,
        Basis::Sent => 1,
        Basis::Assumed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_its_first_line() {
        let tsv = vec![""; 131].join("\t");
        for (line, expected) in [
            (r#"{"event_id":"e","name":"page_view","visitor_id":"v"}"#, Ok(Format::Native)),
            (r#"[{"event_id":"e","name":"page_view"},{"#, Ok(Format::Native)),
            (tsv.as_str(), Ok(Format::SnowplowTsv)),
            (r#"{"schema":"iglu:…","data":[]}"#, Ok(Format::Snowplow)),
            (r#"{"type":"track","event":"Product Viewed","anonymousId":"a"}"#, Ok(Format::Segment)),
            (r#"{"batch":[],"sentAt":"x"}"#, Ok(Format::Segment)),
            (r#"{"path":"/i","query":"e=pv"}"#, Ok(Format::Requests)),
            ("SessionId\tItemId\tTime", Ok(Format::Serenade)),
            ("SessionId\tItemId\tTime\r\n", Ok(Format::Serenade)),
            (r#"{"session":1,"events":[]}"#, Ok(Format::Otto)),
            ("user_id,session_id,event,timestamp,platform", Ok(Format::Retentioneering)),
            ("Administrative,Administrative_Duration,Informational", Err("no history in it")),
            (",timestamp,item_id,position,click,propensity_score,user_feature_0", Err("no session history")),
            (r#"{"topic":"behavior","partition":0,"offset":0,"value":{}}"#, Err("--data")),
            (r#"{"a":1}"#, Err("(a, …)")),
            ("{", Err("one to a line")),
            ("hello", Err("snowplow-tsv")),
            ("", Err("it is empty")),
            (" \n", Err("it is empty")),
        ] {
            match (Format::guess(line.as_bytes()), expected) {
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{line}: {found}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{line}"),
            }
        }
        assert!(Format::guess(&[0xff, 0xfe]).is_err());
    }
}
