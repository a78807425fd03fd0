//! Device times: read in the forms trackers send, and corrected for clocks that are wrong.

use crate::Fault;
use crate::json::Json;

/// 2000-01-01: an earlier time is a mistake, most often seconds sent as milliseconds.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 2200-01-01: a later one is microseconds sent as milliseconds.
const LATEST_MS: i64 = 7_258_118_400_000;

/// How an event's time comes about. All epoch ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `device` as said, corrected by `sent` where there is one.
    Device { device: Option<i64>, sent: Option<i64> },
    /// As somebody before us has corrected it already; the device's own is not known.
    Corrected { true_time: i64, sent: Option<i64> },
    /// Snowplow's derived timestamp: the true time if the tracker knows it, else `received − (sent − created)` when
    /// created before sent, else the receive time.
    Snowplow { created: Option<i64>, sent: Option<i64>, true_time: Option<i64> },
}

impl Clock {
    pub fn device_ms(self) -> Option<i64> {
        match self {
            Self::Device { device, .. } => device,
            Self::Corrected { .. } => None,
            Self::Snowplow { created, true_time, .. } => created.or(true_time),
        }
    }

    pub fn sent_ms(self) -> Option<i64> {
        match self {
            Self::Device { sent, .. } | Self::Corrected { sent, .. } | Self::Snowplow { sent, .. } => sent,
        }
    }

    /// Event time, never past the receive time.
    pub fn occurred_ms(self, received_ms: i64) -> i64 {
        let age = |created: i64, sent: i64| received_ms - sent.saturating_sub(created);
        let time = match self {
            // A message can't be sent before it was made: such clocks say nothing, and the order of arrival counts.
            Self::Device { device: Some(device), sent: Some(sent) } if device > sent => received_ms,
            Self::Device { device: Some(device), sent: Some(sent) } => age(device, sent),
            Self::Device { device: Some(device), sent: None } => device,
            Self::Device { device: None, .. } => received_ms,
            Self::Corrected { true_time: time, .. } | Self::Snowplow { true_time: Some(time), .. } => time,
            Self::Snowplow { created: Some(created), sent: Some(sent), .. } if created < sent => age(created, sent),
            Self::Snowplow { .. } => received_ms,
        };
        time.min(received_ms)
    }
}

/// A time as RFC 3339 text, epoch ms, or epoch ms as text. Epoch ms.
pub(crate) fn parse(value: &Json<'_>, field: &'static str) -> Result<Option<i64>, Fault> {
    let ms = match value {
        Json::Null => return Ok(None),
        Json::Int(ms) => Some(*ms),
        Json::Float(ms) => Some(*ms as i64),
        Json::Text(text) if text.is_empty() => return Ok(None),
        Json::Text(text) => parse_text(text),
        _ => None,
    };
    ms.filter(|ms| (EARLIEST_MS..LATEST_MS).contains(ms)).map(Some).ok_or_else(|| {
        Fault::new("time_invalid", "not a time between the years 2000 and 2200")
            .at(field)
            .hint("send RFC 3339 (2026-11-22T12:00:00.000Z) or epoch milliseconds")
    })
}

fn parse_text(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    // The library takes offsets of up to 25 hours, RFC 3339 knows 23:59 at most.
    let hours =
        text.len().checked_sub(6).and_then(|at| text.get(at..)).and_then(|offset| offset.strip_prefix(['+', '-']));
    if hours.is_some_and(|hours| hours.get(..2).is_some_and(|hours| hours > "23")) {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond())
}

/// Epoch ms as text, as Snowplow sends it; nonsense is no time.
pub(crate) fn parse_epoch_ms(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|ms| (EARLIEST_MS..LATEST_MS).contains(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn corrected_by_the_sent_time() {
        let device = |device: Option<i64>, sent: Option<i64>| Clock::Device { device, sent };
        let snowplow = |created, sent, true_time| Clock::Snowplow { created, sent, true_time };
        for (clock, expected) in [
            // A clock an hour ahead, sent 5 s after it happened.
            (device(Some(NOW + 3_600_000), Some(NOW + 3_605_000)), NOW - 5_000),
            // An hour behind.
            (device(Some(NOW - 3_605_000), Some(NOW - 3_600_000)), NOW - 5_000),
            (device(Some(NOW), Some(NOW - 10)), NOW),
            (device(Some(NOW - 7), None), NOW - 7),
            (device(Some(NOW + 7), None), NOW),
            (device(None, Some(NOW)), NOW),
            (device(None, None), NOW),
            (Clock::Corrected { true_time: NOW - 7, sent: Some(NOW + 3_600_000) }, NOW - 7),
            (Clock::Corrected { true_time: NOW + 7, sent: None }, NOW),
            (snowplow(Some(NOW + 1_000), Some(NOW + 3_000), None), NOW - 2_000),
            (snowplow(Some(NOW - 3_000), Some(NOW - 3_000), None), NOW),
            (snowplow(Some(NOW - 3_000), Some(NOW - 4_000), None), NOW),
            (snowplow(Some(NOW - 3_000), None, None), NOW),
            (snowplow(Some(NOW - 3_000), Some(NOW), Some(NOW - 9)), NOW - 9),
            (snowplow(None, None, Some(NOW + 9)), NOW),
        ] {
            assert_eq!(clock.occurred_ms(NOW), expected, "{clock:?}");
        }
    }

    #[test]
    fn forms() {
        let text = |text: &'static str| Json::Text(Cow::Borrowed(text));
        for (value, expected) in [
            (text("2026-11-22T12:00:00Z"), Ok(Some(1_795_348_800_000))),
            (text("2026-11-22T13:00:00.25+01:00"), Ok(Some(1_795_348_800_250))),
            (text("1795348800000"), Ok(Some(1_795_348_800_000))),
            (Json::Int(1_795_348_800_000), Ok(Some(1_795_348_800_000))),
            (Json::Float(1_795_348_800_000.5), Ok(Some(1_795_348_800_000))),
            (Json::Null, Ok(None)),
            (text(""), Ok(None)),
            (Json::Int(1_795_348_800), Err("time_invalid")),
            (Json::Int(1_795_348_800_000_000), Err("time_invalid")),
            (Json::Int(i64::MIN), Err("time_invalid")),
            (text("yesterday"), Err("time_invalid")),
            (text("2026-11-22T12:00:00+25:00"), Err("time_invalid")),
            (text("2026-11-22T12:00:00+23:59"), Ok(Some(1_795_262_460_000))),
            (Json::Bool(true), Err("time_invalid")),
        ] {
            assert_eq!(parse(&value, "occurred_at").map_err(|fault| fault.code), expected, "{value:?}");
        }
    }
}
