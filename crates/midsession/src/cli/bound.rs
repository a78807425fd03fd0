//! Where a part of a topic begins or ends, as it is written on the command line.

use super::Failure;
use midsession_engine_local::View;
use midsession_event::{PartitionId, Topic};
use midsession_feature::parse_duration_ms;
use midsession_ports::LogError;

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Earliest,
    Latest,
    Offset(i64),
    TimeMs(i64),
}

impl Bound {
    /// Reads the value of an option. Durations go back from `now_ms`.
    pub fn parse(option: &str, text: &str, now_ms: i64) -> Result<Self, Failure> {
        let offset = (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse());
        match (text, offset) {
            ("earliest", _) => return Ok(Self::Earliest),
            ("latest", _) => return Ok(Self::Latest),
            (_, Some(Ok(offset))) => return Ok(Self::Offset(offset)),
            _ => {}
        }
        if let Ok(back_ms) = parse_duration_ms(text) {
            return Ok(Self::TimeMs(now_ms.saturating_sub(back_ms)));
        }
        text.parse::<jiff::Timestamp>().map(|time| Self::TimeMs(time.as_millisecond())).map_err(|_| {
            Failure::usage(format!("{option} {text}: where would that be?")).hint(
                "it takes `earliest`, `latest`, an offset like 1200, a time with its zone like 2026-11-23T10:00:00Z, \
                 or how long ago like 5m, 2h or 7d",
            )
        })
    }

    /// The first offset at or behind it.
    pub fn offset(self, log: &View, topic: Topic, partition: PartitionId) -> Result<i64, LogError> {
        let extent = log.extent(topic, partition)?;
        Ok(match self {
            Self::Earliest => extent.start,
            Self::Latest => extent.end,
            Self::Offset(offset) => offset.max(extent.start),
            Self::TimeMs(time_ms) => log.offset_at(topic, partition, time_ms)?,
        })
    }

    /// Whether nothing can lie between the two, whatever the log holds.
    pub fn is_behind(self, to: Self) -> bool {
        match (self, to) {
            (Self::Offset(from), Self::Offset(to)) | (Self::TimeMs(from), Self::TimeMs(to)) => from >= to,
            (Self::Latest, Self::Latest) | (_, Self::Earliest) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_what_is_said_of_the_rest() {
        let now_ms = 1_795_428_000_000; // 2026-11-23T10:00:00Z
        for (text, expected) in [
            ("earliest", Bound::Earliest),
            ("latest", Bound::Latest),
            ("0", Bound::Offset(0)),
            ("1200", Bound::Offset(1_200)),
            ("5m", Bound::TimeMs(now_ms - 300_000)),
            ("2h", Bound::TimeMs(now_ms - 7_200_000)),
            ("250ms", Bound::TimeMs(now_ms - 250)),
            ("106751991167d", Bound::TimeMs(now_ms - 106_751_991_167 * 86_400_000)),
            ("2026-11-23T10:00:00Z", Bound::TimeMs(now_ms)),
            ("2026-11-23T11:00:00.001+01:00", Bound::TimeMs(now_ms + 1)),
        ] {
            assert_eq!(Bound::parse("--from", text, now_ms).map_err(|failure| failure.cause), Ok(expected), "{text}");
        }
        for text in [
            "",
            "newest",
            "-1",
            "+1",
            "1.5h",
            "5 minutes",
            "0s",
            "99999999999999999999",
            "2026-11-23",
            "yesterday",
            "ａ",
        ] {
            let failure = Bound::parse("--to", text, now_ms).expect_err(text);
            assert!(failure.is_usage && failure.cause.starts_with(&format!("--to {text}:")), "{}", failure.cause);
            let hint = failure.hint.expect("a hint");
            for taken in ["`earliest`", "`latest`", "offset", "2026-11-23T10:00:00Z", "5m"] {
                assert!(hint.contains(taken), "{hint}");
            }
        }
    }

    #[test]
    fn what_holds_nothing_is_known() {
        let (t1, t2) = (Bound::TimeMs(1), Bound::TimeMs(2));
        let (o1, o2) = (Bound::Offset(1), Bound::Offset(2));
        for (from, to, expected) in [
            (t1, t2, false),
            (t2, t2, true),
            (t2, t1, true),
            (o1, o2, false),
            (o2, o1, true),
            (o2, t1, false),
            (Bound::Earliest, Bound::Latest, false),
            (Bound::Latest, Bound::Latest, true),
            (Bound::Earliest, Bound::Earliest, true),
            (Bound::Latest, t1, false),
        ] {
            assert_eq!(from.is_behind(to), expected, "{from:?} {to:?}");
        }
    }
}
