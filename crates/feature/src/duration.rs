//! Durations as people write them: `20s`, `5m`, `24h`, `7d`, `250ms`.

const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// What to write where a duration can't be taken.
pub const DURATION_HINT: &str = "like 30s, 5m or 24h";

/// The duration in ms; the error says what is wrong with it.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    match (number.parse::<i64>(), unit_ms) {
        (Ok(0), Some(_)) => Err(format!("`{text}` is no time at all")),
        (Ok(number), Some(ms)) => number.checked_mul(ms).ok_or_else(|| format!("`{text}` is too long")),
        _ => Err(format!("`{text}` is not a duration: write a whole number and ms, s, m, h or d, like 20s or 7d")),
    }
}

/// The shortest exact way to write it, with a space: `20 s`.
pub fn duration_text(ms: i64) -> String {
    let unit = UNITS.iter().rev().find(|(_, unit_ms)| ms % unit_ms == 0 && ms != 0);
    let (name, unit_ms) = unit.copied().unwrap_or(("ms", 1));
    format!("{} {name}", ms / unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print() {
        for (text, ms, words) in [
            ("20s", 20_000, "20 s"),
            ("2m", 120_000, "2 m"),
            ("24h", 86_400_000, "1 d"),
            ("7d", 604_800_000, "7 d"),
            ("250ms", 250, "250 ms"),
            ("90s", 90_000, "90 s"),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
            assert_eq!(duration_text(ms), words);
        }
        for (text, part) in [
            ("20", "not a duration"),
            ("", "not a duration"),
            ("s", "not a duration"),
            ("-5s", "not a duration"),
            ("1.5h", "not a duration"),
            ("5 minutes", "not a duration"),
            ("0s", "no time"),
            ("99999999999999999d", "too long"),
        ] {
            assert!(parse_duration_ms(text).is_err_and(|message| message.contains(part)), "{text}");
        }
    }
}
