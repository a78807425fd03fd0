//! What the partitions hold and did, counted over all of them: for the overview and the metrics.

use crate::app::Inner;
use crate::driver::Seen;
use midsession_edge::Unreadable;
use midsession_event::{PartitionId, Topic};
use midsession_machine::Invariant;
use midsession_observe::Metric;
use midsession_stream::Counters;
use std::sync::Arc;

impl Inner {
    /// Sets the gauges and moves the counters on from what they were; returns what they are.
    pub(crate) async fn gauges(&self, before: Counters) -> Counters {
        // A part of the partitions is no base for gauges, nor for what comes next.
        let Ok(counts) = self.counts().await else { return before };
        let (metrics, now) = (&self.observe.metrics, counts.counters);
        for (state, count) in [("open", counts.open), ("idle", counts.idle), ("closed", counts.closed)] {
            metrics.set_by(Metric::Sessions, state, i64::from(count));
        }
        metrics.set(Metric::Shoppers, i64::try_from(counts.shoppers).unwrap_or(i64::MAX));
        metrics.set(Metric::LogBytes, i64::try_from(self.log_extent().0).unwrap_or(i64::MAX));
        metrics.set(Metric::Lag, counts.lag);
        for (metric, now, before) in [
            (Metric::Ticks, now.ticks, before.ticks),
            (Metric::SessionsOpened, now.sessions_opened, before.sessions_opened),
            (Metric::FactsDropped, now.facts_dropped, before.facts_dropped),
            (Metric::ShoppersDropped, now.shoppers_dropped, before.shoppers_dropped),
            (Metric::DevicesDropped, now.devices_dropped, before.devices_dropped),
            (Metric::EventIdsDropped, now.event_ids_dropped, before.event_ids_dropped),
            (Metric::StaysDropped, now.stays_dropped, before.stays_dropped),
            (Metric::Unmerges, now.unmerged, before.unmerged),
            (Metric::VisitorsDropped, now.visitors_dropped, before.visitors_dropped),
            (Metric::FieldValuesDropped, now.fields_dropped, before.fields_dropped),
            (Metric::LifetimesDropped, now.lifetimes_dropped, before.lifetimes_dropped),
            (Metric::SessionsDropped, now.sessions_dropped, before.sessions_dropped),
            (Metric::SessionsClosed, now.sessions_closed, before.sessions_closed),
        ] {
            metrics.add(metric, now.saturating_sub(before));
        }
        for invariant in Invariant::ALL {
            let more = now.violations.of(invariant).saturating_sub(before.violations.of(invariant));
            metrics.add_by(Metric::InvariantViolations, invariant.id(), more);
        }
        now
    }

    /// Bytes and records that the log holds.
    pub(crate) fn log_extent(&self) -> (u64, i64) {
        let mut sum = (0, 0);
        for topic in Topic::ALL {
            for partition in (0..self.log.partitions(*topic)).map(PartitionId) {
                if let Ok(extent) = self.log.extent(*topic, partition) {
                    sum.0 += extent.bytes;
                    sum.1 += extent.end - extent.start;
                }
            }
        }
        sum
    }

    /// While partitions replay: what they hold so far.
    pub(crate) async fn counts(&self) -> Result<Counts, Unreadable> {
        let log = Arc::clone(&self.log);
        let parts = self
            .driver
            .look_all(move |Seen { stream, is_replaying, .. }| {
                let mut counts = Counts { counters: stream.counters(), shoppers: stream.len(), ..Counts::default() };
                let end = log.extent(Topic::Behavior, stream.partition()).map_or(0, |extent| extent.end);
                counts.is_replaying = is_replaying;
                counts.lag = (end - stream.as_of().0 - 1).max(0);
                let tally = stream.tally();
                (counts.open, counts.idle, counts.closed) = (tally.open, tally.idle, tally.closed);
                counts
            })
            .await;
        parts.into_iter().try_fold(Counts::default(), |sum, part| Ok(sum.plus(part?)))
    }
}

/// Sums over partitions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) counters: Counters,
    pub(crate) shoppers: usize,
    /// Some partition does not know yet what it knew before the start.
    pub(crate) is_replaying: bool,
    /// Durable records not read yet.
    lag: i64,
    pub(crate) open: u32,
    pub(crate) idle: u32,
    pub(crate) closed: u32,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            counters: self.counters.plus(&other.counters),
            shoppers: self.shoppers + other.shoppers,
            is_replaying: self.is_replaying || other.is_replaying,
            lag: self.lag + other.lag,
            open: self.open + other.open,
            idle: self.idle + other.idle,
            closed: self.closed + other.closed,
        }
    }
}
