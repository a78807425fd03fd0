//! Caps: how often a shopper may see something, «1 per session, 2 per 7d».

use midsession_event::{CapEntry, SessionId};
use midsession_feature::{duration_text, parse_duration_ms};

/// At most `count` in a session or in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How many.
    pub count: u32,
    /// In what.
    pub per: Per,
}

/// What a cap counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// One session.
    Session,
    /// The last so many ms.
    Time(i64),
}

impl Cap {
    /// Reads `1 per session` or `2 per 7d`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [count, "per", per] = words[..] else {
            return Err(format!("`{text}` is not a cap: write it like `1 per session` or `2 per 7d`"));
        };
        let count = count.parse().map_err(|_| format!("`{count}` is not a whole number, in the cap `{text}`"))?;
        if count == 0 {
            return Err(format!(
                "`{text}` never lets anything be shown: a cap takes at least 1; `enabled = false` switches off"
            ));
        }
        let per = if per == "session" { Per::Session } else { Per::Time(parse_duration_ms(per)?) };
        Ok(Self { count, per })
    }

    /// Whether one more fits at `now_ms`: entries that count, or wait for their decision, in the half-open window
    /// `(now − time, now]`.
    pub fn allows(
        &self,
        entries: impl Iterator<Item = impl std::borrow::Borrow<CapEntry>>,
        session: SessionId,
        now_ms: i64,
    ) -> bool {
        let used = entries
            .filter(|entry| {
                let entry = entry.borrow();
                entry.counts
                    && match self.per {
                        Per::Session => entry.session_id == session,
                        Per::Time(time_ms) => entry.at_ms > now_ms - time_ms,
                    }
            })
            .take(self.count as usize)
            .count();
        used < self.count as usize
    }

    /// As people read it.
    pub fn in_words(&self) -> String {
        match self.per {
            Per::Session => format!("at most {} per session", self.count),
            Per::Time(ms) => format!("at most {} per {}", self.count, duration_text(ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::DecisionId;

    fn entry(session: u128, at_ms: i64, counts: bool) -> CapEntry {
        CapEntry {
            decision_id: DecisionId(0),
            rule: "r".into(),
            session_id: SessionId(session),
            at_ms,
            counts,
            visitor_id: None,
        }
    }

    #[test]
    fn caps_count_to_the_millisecond() {
        let entries = [entry(1, 1_000, true), entry(1, 2_000, false), entry(2, 3_000, true)];
        let allows =
            |text: &str, session, now| Cap::parse(text).expect(text).allows(entries.iter(), SessionId(session), now);
        assert!(!allows("1 per session", 1, 9_000));
        assert!(allows("2 per session", 1, 9_000), "what was held back does not count");
        assert!(allows("1 per session", 3, 9_000));
        assert!(!allows("2 per 2s", 3, 2_999), "both within two seconds");
        assert!(allows("2 per 2s", 3, 3_000), "the older one is exactly two seconds old: outside");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("twice", "is not a cap"),
            ("x per session", "`x` is not a whole number"),
            ("1 per 7x", "7x"),
            ("0 per 7d", "takes at least 1"),
        ] {
            let error = Cap::parse(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }
}
