//! How long the long tests go on: until so much is done, or until the time for it is up.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A number that the caller of a test may set.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// So much of something.
#[derive(Clone, Copy)]
pub struct Length {
    least: u64,
    most: u64,
    until: Option<Instant>,
}

impl Length {
    /// As much as the variable says, else `default`; at the most for `MIDSESSION_SIM_SECONDS`, and not past
    /// `MIDSESSION_SIM_UNTIL` (epoch seconds).
    pub fn of(variable: &str, default: u64) -> Self {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let left = number("MIDSESSION_SIM_UNTIL").map(|until_s| until_s.saturating_sub(now_s));
        let seconds = number("MIDSESSION_SIM_SECONDS").into_iter().chain(left).min();
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self { least: 0, most: number(variable).unwrap_or(default), until }
    }

    /// So much, however long it takes.
    pub fn just(most: u64) -> Self {
        Self { least: 0, most, until: None }
    }

    /// Less proves nothing, whatever the time.
    pub fn at_least(self, least: u64) -> Self {
        Self { least, ..self }
    }

    /// The time is up, so less than what is asked for will do.
    fn is_cut_short(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether to go on after so much.
    pub fn goes_on(&self, done: u64) -> bool {
        done < self.least.min(self.most) || done < self.most && !self.is_cut_short()
    }
}
