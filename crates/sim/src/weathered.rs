//! What storms came to, added up.

use crate::ruled::Ruled;

/// What runs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weathered {
    /// Simulated time. ms.
    pub simulated_ms: i64,
    /// Events acknowledged.
    pub acked: u64,
    /// Process deaths, the power's and the process's own.
    pub crashes: u64,
    /// Comparisons with the oracle.
    pub audits: u64,
    /// Snapshots that came out of the log again.
    pub reruns: u64,
    /// Decisions.
    pub decisions: u64,
    /// Of these, by the rule that changes.
    pub ruled: Ruled,
    /// Sends answered with busy or full.
    pub refused: u64,
    /// Times that retention took something.
    pub shortened: u64,
    /// Snapshots that became whole.
    pub snapshots: u64,
    /// Snapshots damaged.
    pub rotten: u64,
    /// Bits of the log flipped, and those of them that were named.
    pub flipped: u64,
    /// The rest changed nothing that is read.
    pub named: u64,
    /// Frames written to pages.
    pub written: u64,
    /// Frames taken back because they were no longer true.
    pub retracted: u64,
    /// Connections that went on after a frame.
    pub resumed: u64,
    /// Changes of definitions.
    pub redefined: u64,
    /// Pasts counted in for them.
    pub filled: u64,
    /// Times that a shopper's facts were written to disk.
    pub spilled: u64,
    /// Times that they could not be.
    pub spills_refused: u64,
}

impl Weathered {
    /// Adds another run.
    pub fn add(&mut self, other: &Weathered) {
        self.simulated_ms += other.simulated_ms;
        self.acked += other.acked;
        self.crashes += other.crashes;
        self.audits += other.audits;
        self.reruns += other.reruns;
        self.decisions += other.decisions;
        self.ruled.decisions += other.ruled.decisions;
        self.ruled.by_silence += other.ruled.by_silence;
        self.ruled.foreign += other.ruled.foreign;
        self.refused += other.refused;
        self.shortened += other.shortened;
        self.snapshots += other.snapshots;
        self.rotten += other.rotten;
        self.flipped += other.flipped;
        self.named += other.named;
        self.written += other.written;
        self.retracted += other.retracted;
        self.resumed += other.resumed;
        self.redefined += other.redefined;
        self.filled += other.filled;
        self.spilled += other.spilled;
        self.spills_refused += other.spills_refused;
    }
}
