//! How much happened in each of the last 120 seconds.

use serde::Serialize;

/// Seconds kept.
pub const RATES_S: usize = 120;

/// One second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Its begin. Epoch ms.
    pub t_ms: i64,
    /// Events accepted in it.
    pub events: u64,
    /// Interventions served in it.
    pub interventions: u64,
}

/// A ring of seconds.
#[derive(Clone, Debug)]
pub struct Rates([Rate; RATES_S]);

impl Default for Rates {
    fn default() -> Self {
        Self([Rate::default(); RATES_S])
    }
}

impl Rates {
    /// Counts at an instant (epoch ms). What is older than the ring is dropped.
    pub fn add(&mut self, now_ms: i64, events: u64, interventions: u64) {
        let second = now_ms.div_euclid(1_000);
        let slot = &mut self.0[second.rem_euclid(RATES_S as i64) as usize];
        if slot.t_ms < second * 1_000 {
            *slot = Rate { t_ms: second * 1_000, ..Rate::default() };
        }
        if slot.t_ms == second * 1_000 {
            slot.events += events;
            slot.interventions += interventions;
        }
    }

    /// The last 120 full seconds before `now_ms`, oldest first, empty ones included.
    pub fn series(&self, now_ms: i64) -> Vec<Rate> {
        let this = now_ms.div_euclid(1_000);
        (this - RATES_S as i64 + 1..this)
            .map(|second| {
                let slot = self.0[second.rem_euclid(RATES_S as i64) as usize];
                let empty = Rate { t_ms: second * 1_000, ..Rate::default() };
                if slot.t_ms == second * 1_000 { slot } else { empty }
            })
            .collect()
    }

    /// Events per second over the last 5 full seconds.
    pub fn events_per_s(&self, now_ms: i64) -> f64 {
        let series = self.series(now_ms);
        let last = &series[series.len().saturating_sub(5)..];
        last.iter().map(|rate| rate.events as f64).sum::<f64>() / last.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_kept_and_forgotten() {
        let mut rates = Rates::default();
        for (now_ms, events) in [(1_000_000, 5), (1_000_999, 1), (1_001_000, 10), (1_000_500, 4)] {
            rates.add(now_ms, events, 1);
        }
        let series = rates.series(1_002_000);
        assert_eq!(series.len(), RATES_S - 1);
        assert_eq!(series[series.len() - 2], Rate { t_ms: 1_000_000, events: 10, interventions: 3 });
        assert_eq!(series[series.len() - 1], Rate { t_ms: 1_001_000, events: 10, interventions: 1 });
        assert_eq!(rates.events_per_s(1_002_000), 4.0);
        assert!(rates.series(1_500_000).iter().all(|rate| rate.events == 0));
        // A second that the ring has moved past does not come back.
        rates.add(1_000_000 + RATES_S as i64 * 1_000, 1, 0);
        rates.add(1_000_000, 99, 0);
        assert!(rates.series(1_121_000).iter().all(|rate| rate.events < 99));
    }
}
