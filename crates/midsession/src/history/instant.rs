//! An instant as people write it.

/// 2000-01-01 to 2200-01-01: a number beyond is no epoch ms that anybody means, as with events.
const EPOCH_MS: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// A time as RFC 3339, or epoch ms. Epoch µs.
pub fn micros(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse::<i64>() {
        if EPOCH_MS.contains(&ms) {
            return Ok(ms * 1000);
        }
        let units = [("seconds", ms.checked_mul(1000)), ("microseconds", Some(ms / 1000))];
        let is_meant = |ms: Option<i64>| ms.is_some_and(|ms| EPOCH_MS.contains(&ms));
        let meant = units.into_iter().find(|(_, ms)| is_meant(*ms));
        let meant = meant.map(|(unit, _)| format!(": it looks like epoch {unit}")).unwrap_or_default();
        return Err(format!("`{text}` is no epoch ms between the years 2000 and 2200{meant}"));
    }
    let time = text.parse::<jiff::Timestamp>();
    time.map(jiff::Timestamp::as_microsecond).map_err(|_| format!("`{text}` is not a time like 2026-11-22T12:00:00Z"))
}
