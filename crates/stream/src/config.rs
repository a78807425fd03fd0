//! The numbers that sessions are cut by.

/// Session rules. All in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Two events further apart than this are in different sessions.
    pub gap_ms: i64,
    /// How long after the gap late events still change a session.
    pub grace_ms: i64,
    /// Session updates between milestones at most this often.
    pub cadence_ms: i64,
    /// How long a closed session stays readable.
    pub readable_ms: i64,
    /// How long an event id takes effect only once.
    pub duplicate_horizon_ms: i64,
    /// How long decisions are remembered for caps, and attachments without events are kept.
    pub memory_ms: i64,
    /// Partitions of `behavior`.
    pub partitions: u32,
}

impl Default for Config {
    fn default() -> Self {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        Self {
            gap_ms: 30 * MINUTE,
            grace_ms: 2 * MINUTE,
            cadence_ms: 5_000,
            readable_ms: 12 * HOUR,
            duplicate_horizon_ms: 24 * HOUR,
            memory_ms: 30 * 24 * HOUR,
            partitions: 16,
        }
    }
}
