//! When a message of a file arrived, as far as it says: by its receive stamp, else the sent time, else the event's own.

use crate::json::{self, Json};
use crate::protocol::tsv_times;
use crate::time;
use crate::{Fault, Limits, Protocol};

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
    let missing = || {
        Fault::new("time_missing", "the message says neither when it was received or sent nor when it happened")
            .hint("add received_at (RFC 3339 or epoch ms) to each line")
    };
    let names = match protocol {
        Protocol::SnowplowTsv => {
            let [received, sent, event] = tsv_times(message)?;
            let basis = [(received, Basis::Received), (sent, Basis::Sent), (event, Basis::Assumed)];
            let known = basis.into_iter().find_map(|(ms, basis)| Some(Arrival { at_us: ms? * 1000, basis }));
            return known.ok_or_else(missing);
        }
        Protocol::Native => NATIVE,
        Protocol::Segment => SEGMENT,
        Protocol::Snowplow => SNOWPLOW,
        Protocol::PostHog | Protocol::Ga4 | Protocol::IgluWebhook => return Err(missing()),
    };
    let value = json::parse(message, limits)?;
    let bases = [(names.received, Basis::Received), (names.sent, Basis::Sent), (names.event, Basis::Assumed)];
    for (members, basis) in bases {
        if let Some(at_us) = latest(&value, members, names.lists)? {
            return Ok(Arrival { at_us, basis });
        }
    }
    Err(missing())
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
}
