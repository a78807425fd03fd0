//! What happened in a partition so far, counted.

use midsession_machine::Violations;
use serde::{Deserialize, Serialize};

/// What happened so far, counted. On time + late + too late + duplicates + forwarded + keyless + refused =
/// events + forwards read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Event records read (first copies and repeats).
    pub events: u64,
    /// Events that another partition sent on to their home here, each once.
    pub arrived: u64,
    /// Repeats, without effect.
    pub duplicates: u64,
    /// Sent on to the user's home.
    pub forwarded: u64,
    /// Took effect in order.
    pub on_time: u64,
    /// Took effect although an event with a later time was there before.
    pub late: u64,
    /// Fitted no session any more.
    pub too_late: u64,
    /// Without a visitor or a user.
    pub keyless: u64,
    /// From shoppers who have withdrawn their consent.
    pub refused: u64,
    /// Hand-offs and forwards that had been applied before.
    pub repeated_outputs: u64,
    /// Decisions whose candidate is not pending (any more).
    pub orphaned_decisions: u64,
    /// Ticks.
    pub ticks: u64,
    /// Candidates asked.
    pub candidates: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions merged away.
    pub sessions_merged: u64,
    /// Sessions closed.
    pub sessions_closed: u64,
    /// By robots.
    pub bots: u64,
    /// Facts dropped because their shopper has too many.
    pub facts_dropped: u64,
    /// Sessions ended early because their shopper has too many.
    pub sessions_dropped: u64,
    /// Shoppers forgotten early because a partition has too many.
    pub shoppers_dropped: u64,
    /// Visitors forgotten early because a partition has too many.
    pub visitors_dropped: u64,
    /// Values of fields, products say, forgotten early because features by them have too many. The partials know it.
    #[serde(skip)]
    pub fields_dropped: u64,
    /// Shoppers whose lifetime was forgotten because a partition has too many. The partials know it.
    #[serde(skip)]
    pub lifetimes_dropped: u64,
    /// Changes of the definitions in force.
    pub definition_changes: u64,
    /// Devices that are no longer told of their user's consent because that user has too many.
    pub devices_dropped: u64,
    /// Event ids forgotten early because their visitor has too many.
    pub event_ids_dropped: u64,
    /// Stays on a device forgotten early because it has too many.
    pub stays_dropped: u64,
    /// Merges undone.
    pub unmerged: u64,
    /// What the machine saw of itself that must not be, since the start.
    #[serde(skip)]
    pub violations: Violations,
}

impl Counters {
    /// The sums of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            events: self.events + other.events,
            arrived: self.arrived + other.arrived,
            duplicates: self.duplicates + other.duplicates,
            forwarded: self.forwarded + other.forwarded,
            on_time: self.on_time + other.on_time,
            late: self.late + other.late,
            too_late: self.too_late + other.too_late,
            keyless: self.keyless + other.keyless,
            refused: self.refused + other.refused,
            repeated_outputs: self.repeated_outputs + other.repeated_outputs,
            orphaned_decisions: self.orphaned_decisions + other.orphaned_decisions,
            ticks: self.ticks + other.ticks,
            candidates: self.candidates + other.candidates,
            sessions_opened: self.sessions_opened + other.sessions_opened,
            sessions_merged: self.sessions_merged + other.sessions_merged,
            sessions_closed: self.sessions_closed + other.sessions_closed,
            bots: self.bots + other.bots,
            facts_dropped: self.facts_dropped + other.facts_dropped,
            sessions_dropped: self.sessions_dropped + other.sessions_dropped,
            shoppers_dropped: self.shoppers_dropped + other.shoppers_dropped,
            visitors_dropped: self.visitors_dropped + other.visitors_dropped,
            fields_dropped: self.fields_dropped + other.fields_dropped,
            lifetimes_dropped: self.lifetimes_dropped + other.lifetimes_dropped,
            definition_changes: self.definition_changes + other.definition_changes,
            devices_dropped: self.devices_dropped + other.devices_dropped,
            event_ids_dropped: self.event_ids_dropped + other.event_ids_dropped,
            stays_dropped: self.stays_dropped + other.stays_dropped,
            unmerged: self.unmerged + other.unmerged,
            violations: self.violations.plus(&other.violations),
        }
    }

    /// Every event read has become exactly one thing (S-7).
    pub fn adds_up(&self) -> bool {
        let told = self.on_time + self.late + self.too_late + self.duplicates + self.forwarded + self.keyless;
        told + self.refused == self.events + self.arrived
    }
}
