//! When a message of a file arrived, as far as it says: by its receive stamp, else the sent time, else the event's own.

use crate::json::{self, Json};
use crate::protocol::tsv_times;
use crate::scan::{self, Piece};
use crate::time;
use crate::{Fault, Limits, Protocol};
use std::borrow::Cow;

/// An instant of arrival, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Epoch µs.
    pub at_us: i64,
    /// How it is known.
    pub basis: Basis,
}

/// How an arrival is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// A receive stamp.
    Received,
    /// The tracker's sent time.
    Sent,
    /// The event's own time: that it arrived at once is an assumption.
    Assumed,
}

/// The names under which a protocol's JSON tells its times.
struct Names {
    received: &'static [&'static str],
    sent: &'static [&'static str],
    event: &'static [&'static str],
    /// Members whose elements are messages of their own.
    lists: &'static [&'static str],
}

const NATIVE: Names =
    Names { received: &["received_at"], sent: &["sent_at"], event: &["occurred_at"], lists: &["batch"] };
const SEGMENT: Names = Names {
    received: &["receivedAt", "received_at"],
    sent: &["sentAt"],
    event: &["originalTimestamp", "timestamp"],
    lists: &["batch"],
};
const SNOWPLOW: Names = Names { received: &["received_at"], sent: &["stm"], event: &["ttm", "dtm"], lists: &["data"] };

/// When a message arrived. Of several events in one message the last one counts: they came together.
///
/// # Errors
/// It can't be read, or says nothing of time.
pub fn arrival(protocol: Protocol, message: &[u8], limits: &Limits) -> Result<Arrival, Fault> {
    if protocol == Protocol::SnowplowTsv {
        let [received, sent, event] = tsv_times(message)?;
        let basis = [(received, Basis::Received), (sent, Basis::Sent), (event, Basis::Assumed)];
        let known = basis.into_iter().find_map(|(ms, basis)| Some(Arrival { at_us: ms? * 1000, basis }));
        return known.ok_or_else(missing);
    }
    let names = names(protocol).ok_or_else(missing)?;
    names.arrival(&json::parse(message, limits)?)
}

/// A message with its arrival.
pub type Arrived<'a> = (Arrival, Cow<'a, [u8]>);

/// The messages that a line of a file holds, each with its arrival: the line itself, unless its events say of themselves
/// when they were received. Then they did not come together, and each is a message of its own, with what stands around
/// all of them.
///
/// # Errors
/// It can't be read, or says nothing of time.
pub fn arrivals<'a>(protocol: Protocol, line: &'a [u8], limits: &Limits) -> Result<Vec<Arrived<'a>>, Fault> {
    let Some(names) = names(protocol) else {
        return Ok(vec![(arrival(protocol, line, limits)?, line.into())]);
    };
    let value = json::parse(line, limits)?;
    let whole = names.arrival(&value)?;
    let as_it_is = Ok(vec![(whole, line.into())]);
    let (list, events) = match &value {
        Json::List(events) => (None, events),
        // What is said of all of them was asked for first.
        value => match names.lists.iter().find_map(|list| Some((*list, value.get(list)?))) {
            Some((list, Json::List(events)))
                if names.received.iter().all(|name| matches!(value.get(name), None | Some(Json::Null))) =>
            {
                (Some(list), events)
            }
            _ => return as_it_is,
        },
    };
    if whole.basis != Basis::Received {
        return as_it_is;
    }
    let own: Vec<Option<i64>> =
        events.iter().map(|event| latest(event, names.received, &[])).collect::<Result<_, _>>()?;
    if own.iter().all(|own| own.is_none_or(|at_us| at_us == whole.at_us)) {
        return as_it_is;
    }
    let (around, pieces) = match list {
        None => (Vec::new(), scan::elements(line, limits.batch_events)),
        Some(list) => {
            let frame = scan::frame(line, list, limits)?;
            (frame.members, frame.list.unwrap_or_default())
        }
    };
    if pieces.len() != own.len() || pieces.iter().any(|piece| piece.is_rest) {
        // Too long: refused as a whole.
        return as_it_is;
    }
    let message = |piece: Piece<'a>| list.map_or_else(|| piece.bytes.into(), |list| alone(&around, list, piece).into());
    let arrival = |own: Option<i64>| Arrival { at_us: own.unwrap_or(whole.at_us), ..whole };
    Ok(own.into_iter().zip(pieces).map(|(own, piece)| (arrival(own), message(piece))).collect())
}

/// One event of a list, in what stands around the list.
fn alone(around: &[(Cow<'_, str>, Piece<'_>)], list: &str, event: Piece<'_>) -> Vec<u8> {
    let mut text = b"{".to_vec();
    for (name, value) in around {
        text.extend(serde_json::Value::from(name.as_ref()).to_string().as_bytes());
        text.push(b':');
        text.extend(value.bytes);
        text.push(b',');
    }
    text.extend(format!("\"{list}\":[").as_bytes());
    text.extend(event.bytes);
    text.extend(b"]}");
    text
}

fn missing() -> Fault {
    Fault::new("time_missing", "the message says neither when it was received or sent nor when it happened")
        .hint("add received_at (RFC 3339 or epoch ms) to each line")
}

/// The names of a protocol in JSON that says when its messages came.
fn names(protocol: Protocol) -> Option<Names> {
    match protocol {
        Protocol::Native => Some(NATIVE),
        Protocol::Segment => Some(SEGMENT),
        Protocol::Snowplow => Some(SNOWPLOW),
        Protocol::SnowplowTsv | Protocol::PostHog | Protocol::Ga4 | Protocol::IgluWebhook => None,
    }
}

impl Names {
    fn arrival(&self, value: &Json<'_>) -> Result<Arrival, Fault> {
        let bases = [(self.received, Basis::Received), (self.sent, Basis::Sent), (self.event, Basis::Assumed)];
        for (members, basis) in bases {
            if let Some(at_us) = latest(value, members, self.lists)? {
                return Ok(Arrival { at_us, basis });
            }
        }
        Err(missing())
    }
}

/// The time that a message says under one of these names; the latest of its parts.
fn latest(value: &Json<'_>, names: &[&'static str], lists: &[&'static str]) -> Result<Option<i64>, Fault> {
    if let Json::List(parts) = value {
        let mut last = None;
        for part in parts {
            last = last.max(latest(part, names, &[])?);
        }
        return Ok(last);
    }
    for name in names {
        if let Some(value) = value.get(name)
            && let Some(at_us) = micros(value, name)?
        {
            return Ok(Some(at_us));
        }
    }
    match lists.iter().find_map(|list| value.get(list)) {
        Some(parts @ Json::List(_)) => latest(parts, names, &[]),
        _ => Ok(None),
    }
}

/// Epoch µs, as exactly as it is said.
fn micros(value: &Json<'_>, name: &'static str) -> Result<Option<i64>, Fault> {
    let Some(ms) = time::parse(value, name)? else { return Ok(None) };
    let exact = value.text().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(Some(exact.map_or(ms * 1000, |time| time.as_microsecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_time_counts() {
        use Basis::{Assumed, Received, Sent};
        let tsv = |received: &str, sent: &str, created: &str| {
            let mut columns = [""; 131];
            (columns[3], columns[119], columns[4]) = (received, sent, created);
            columns.join("\t")
        };
        let noon = 1_795_348_800_000_000;
        for (protocol, message, expected) in [
            (
                Protocol::Native,
                r#"{"received_at":"2026-11-22T12:00:00.000250Z","sent_at":1,"occurred_at":1}"#.to_owned(),
                Ok((noon + 250, Received)),
            ),
            (Protocol::Native, r#"{"sent_at":1795348800000,"occurred_at":1}"#.into(), Ok((noon, Sent))),
            (Protocol::Native, r#"{"occurred_at":"2026-11-22T12:00:00Z"}"#.into(), Ok((noon, Assumed))),
            (Protocol::Native, r#"{"occurred_at":null}"#.into(), Err("time_missing")),
            (Protocol::Native, r#"{"received_at":"soon","occurred_at":1795348800000}"#.into(), Err("time_invalid")),
            (
                Protocol::Native,
                r#"[{"occurred_at":1795348800000},{"occurred_at":1795348801000}]"#.into(),
                Ok((noon + 1_000_000, Assumed)),
            ),
            (
                Protocol::Segment,
                r#"{"receivedAt":"2026-11-22T12:00:00.5Z","sentAt":"2026-11-22T11:00:00Z"}"#.into(),
                Ok((noon + 500_000, Received)),
            ),
            (
                Protocol::Segment,
                r#"{"batch":[{"timestamp":"2026-11-22T12:00:00Z"}],"sentAt":"2026-11-22T12:00:01Z"}"#.into(),
                Ok((noon + 1_000_000, Sent)),
            ),
            (Protocol::Snowplow, r#"{"data":[{"dtm":"1","stm":"1795348800000"}]}"#.into(), Ok((noon, Sent))),
            (
                Protocol::Snowplow,
                r#"{"data":[{"dtm":"1795348800000"}],"received_at":1795348801000}"#.into(),
                Ok((noon + 1_000_000, Received)),
            ),
            (
                Protocol::SnowplowTsv,
                tsv("2026-11-22 12:00:00.001", "2026-11-22 11:00:00", ""),
                Ok((noon + 1_000, Received)),
            ),
            (Protocol::SnowplowTsv, tsv("", "2026-11-22 12:00:00", ""), Ok((noon, Sent))),
            (Protocol::SnowplowTsv, tsv("", "", "2026-11-22 12:00:00"), Ok((noon, Assumed))),
            (Protocol::SnowplowTsv, "a\tb".into(), Err("invalid_tsv")),
            (Protocol::Ga4, "{}".into(), Err("time_missing")),
        ] {
            let found = arrival(protocol, message.as_bytes(), &Limits::default());
            let found = found.map(|arrival| (arrival.at_us, arrival.basis)).map_err(|fault| fault.code);
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn events_of_a_line_have_arrivals_of_their_own() {
        let noon = 1_795_348_800_000_000;
        let event =
            |name: &str, second: i64| format!("{{\"id\":{second},\"{name}\":{}}}", noon / 1_000 + second * 1_000);
        let (first, second) = (event("received_at", 1), event("received_at", 0));
        let line = |text: String| (noon + 1_000_000, text);
        for (protocol, text, expected) in [
            (Protocol::Native, format!(" [{first} , {second}]"), vec![line(first.clone()), (noon, second.clone())]),
            // What says nothing of itself came with the last one.
            (
                Protocol::Native,
                format!("[{{\"id\":7}},{second},{first}]"),
                vec![line("{\"id\":7}".into()), (noon, second.clone()), line(first.clone())],
            ),
            // One arrival of all of them; a tracker that sends them together.
            (Protocol::Native, format!("[{first},{first}]"), vec![line(format!("[{first},{first}]"))]),
            (
                Protocol::Native,
                format!("{{\"batch\":[{first},{second}],\"received_at\":{}}}", noon / 1_000),
                vec![(noon, format!("{{\"batch\":[{first},{second}],\"received_at\":{}}}", noon / 1_000))],
            ),
            (
                Protocol::Native,
                format!("[{},{}]", event("occurred_at", 0), event("occurred_at", 1)),
                vec![line(format!("[{},{}]", event("occurred_at", 0), event("occurred_at", 1)))],
            ),
            // With what stands around them.
            (
                Protocol::Segment,
                format!("{{\"sent\\\"At\":\"x\",\"batch\":[{first},{second}],\"context\":{{\"a\":[1]}}}}"),
                vec![
                    line(format!("{{\"sent\\\"At\":\"x\",\"context\":{{\"a\":[1]}},\"batch\":[{first}]}}")),
                    (noon, format!("{{\"sent\\\"At\":\"x\",\"context\":{{\"a\":[1]}},\"batch\":[{second}]}}")),
                ],
            ),
        ] {
            let found = arrivals(protocol, text.as_bytes(), &Limits::default()).expect("reads");
            let found: Vec<_> = found
                .iter()
                .map(|(arrival, bytes)| (arrival.at_us, String::from_utf8_lossy(bytes).into_owned()))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
        let long = [first, second].join(",");
        let few = Limits { batch_events: 1, ..Limits::default() };
        let found = arrivals(Protocol::Native, format!("[{long}]").as_bytes(), &few).expect("reads").len();
        assert_eq!(found, 1, "it is refused as a whole");
    }
}
