//! The numbers that visits and ids go by.

/// The numbers. ms.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Further apart is another visit.
    pub gap_ms: i64,
    /// Late acts still change a visit for so long after the gap.
    pub grace_ms: i64,
    /// How long an id takes effect once.
    pub horizon_ms: i64,
}

impl Rules {
    /// Visits that ended by then may be forgotten, read at this stamp.
    pub fn unreadable_ms(&self, stamp_ms: i64) -> i64 {
        stamp_ms - 12 * 3_600_000 - self.gap_ms - self.grace_ms
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { gap_ms: 1_800_000, grace_ms: 120_000, horizon_ms: 86_400_000 }
    }
}
