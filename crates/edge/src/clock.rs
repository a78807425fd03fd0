//! The listeners' readings of the clock on the wall.

use std::time::{SystemTime, UNIX_EPOCH};

/// Epoch µs.
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Epoch ms.
pub(crate) fn now_ms() -> i64 {
    now_us() / 1_000
}
