//! The latency budget and the counters of the product.
//!
//! One [`Observe`] is shared by everyone who counts or times something. It reads no clock: instants and durations are
//! arguments.

mod budget;
mod metric;
mod rates;

pub use budget::{BudgetReport, Clock, PROMISE_P99_MS, Paint, STAGES, Stage, StageReport, StageRow};
pub use metric::{Kind, METRICS, Metric, MetricRow, Metrics};
pub use rates::{RATES_S, Rate, Rates};

use midsession_event::{PropertyValue, Str};
use parking_lot::Mutex;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sources whose rates are kept apart; events of further ones count in the total only.
const SOURCES_MAX: usize = 256;

/// Everything that is counted and timed.
#[derive(Debug, Default)]
pub struct Observe {
    /// Counters and gauges.
    pub metrics: Metrics,
    ledger: Arc<Mutex<budget::Ledger>>,
    rates: Mutex<Rates>,
    sources: Mutex<BTreeMap<Str, Source>>,
}

#[derive(Debug, Default)]
struct Source {
    accepted: u64,
    rejected: u64,
    rates: Rates,
}

/// What came through one source.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SourceRow {
    /// Its name.
    pub name: Str,
    /// Events acknowledged.
    pub accepted: u64,
    /// Events refused.
    pub rejected: u64,
    /// Accepted per second, over the last 5 seconds.
    pub events_per_s: f64,
}

impl Observe {
    /// A fresh registry.
    pub fn new() -> Arc<Self> {
        let mut observe = Self::default();
        let stages = Stages(observe.ledger.clone());
        observe.metrics.collector(Box::new(stages));
        Arc::new(observe)
    }

    /// A stage took this long. µs.
    pub fn record(&self, stage: Stage, us: i64) {
        self.ledger.lock().record(stage, us, 1);
    }

    /// A stage took this long for each of `count` events at once. µs.
    pub fn record_n(&self, stage: Stage, us: i64, count: u64) {
        self.ledger.lock().record(stage, us, count);
    }

    /// A shopper's browser painted an intervention; `properties` are those of its `painted` event. Leave out
    /// previews and robots.
    pub fn painted(&self, properties: &BTreeMap<Str, PropertyValue>) {
        let paint = Paint::read(properties);
        let mut ledger = self.ledger.lock();
        let measured = [
            (Stage::Send, paint.send_us),
            (Stage::Render, paint.render_us),
            (Stage::Total, paint.total_us),
            (Stage::Network, paint.network_us),
            (Stage::Silence, paint.silence_us),
            (Stage::Unexplained, paint.unexplained_us().map(i64::abs)),
        ];
        for (stage, us) in measured {
            if let Some(us) = us {
                ledger.record(stage, us, 1);
            }
        }
    }

    /// Time passes: figures are of the last minutes.
    pub fn turn(&self, now_ms: i64) {
        self.ledger.lock().turn(now_ms);
    }

    /// What one stage took lately.
    pub fn stage(&self, stage: Stage) -> StageReport {
        self.ledger.lock().report(stage)
    }

    /// The whole budget.
    pub fn budget(&self) -> BudgetReport {
        self.ledger.lock().budget()
    }

    /// Events came through a source at `now_ms`.
    pub fn events(&self, now_ms: i64, source: &str, accepted: u64, rejected: u64) {
        self.metrics.add_by(Metric::EventsAccepted, source, accepted);
        self.metrics.add_by(Metric::EventsRejected, source, rejected);
        self.rates.lock().add(now_ms, accepted, 0);
        let mut sources = self.sources.lock();
        if let Some(row) = sources.get_mut(source) {
            row.count(now_ms, accepted, rejected);
        } else if sources.len() < SOURCES_MAX {
            sources.entry(source.into()).or_default().count(now_ms, accepted, rejected);
        }
    }

    /// Interventions were served at `now_ms`.
    pub fn interventions(&self, now_ms: i64, count: u64) {
        self.rates.lock().add(now_ms, 0, count);
    }

    /// The last full seconds before `now_ms`, oldest first.
    pub fn rates(&self, now_ms: i64) -> Vec<Rate> {
        self.rates.lock().series(now_ms)
    }

    /// Accepted events per second, over the last 5 full seconds.
    pub fn events_per_s(&self, now_ms: i64) -> f64 {
        self.rates.lock().events_per_s(now_ms)
    }

    /// Every source seen, by name.
    pub fn sources(&self, now_ms: i64) -> Vec<SourceRow> {
        let sources = self.sources.lock();
        let row = |(name, source): (&Str, &Source)| SourceRow {
            name: name.clone(),
            accepted: source.accepted,
            rejected: source.rejected,
            events_per_s: source.rates.events_per_s(now_ms),
        };
        sources.iter().map(row).collect()
    }
}

impl Source {
    fn count(&mut self, now_ms: i64, accepted: u64, rejected: u64) {
        self.accepted += accepted;
        self.rejected += rejected;
        self.rates.add(now_ms, accepted, 0);
    }
}

/// The budget on `/metrics`: one summary per stage, so that an alert can name the stage that eats it.
#[derive(Debug)]
struct Stages(Arc<Mutex<budget::Ledger>>);

impl prometheus_client::collector::Collector for Stages {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let reports: Vec<StageReport> = STAGES.iter().map(|row| self.0.lock().report(row.stage)).collect();
        let help = "What each stage took (quantile) and may take (budget), in ms";
        let mut family = encoder.encode_descriptor("midsession_stage_ms", help, None, MetricType::Gauge)?;
        for report in &reports {
            let values = [
                ("p50", Some(report.p50_ms)),
                ("p99", Some(report.p99_ms)),
                ("p999", Some(report.p999_ms)),
                ("max", Some(report.max_ms)),
                ("budget_p99", report.row.budget_p99_ms),
            ];
            for (value, ms) in values {
                let Some(ms) = ms else { continue };
                let labels = [("stage", report.row.name), ("owner", report.row.owner), ("value", value)];
                family.encode_family(&labels)?.encode_gauge(&ms)?;
            }
        }
        let help = "Measurements of each stage";
        let mut family = encoder.encode_descriptor("midsession_stage_measured", help, None, MetricType::Gauge)?;
        for report in &reports {
            let count = i64::try_from(report.count).unwrap_or(i64::MAX);
            family.encode_family(&[("stage", report.row.name)])?.encode_gauge(&count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painted_fills_the_rows_that_only_the_browser_knows() {
        let observe = Observe::new();
        let properties = BTreeMap::from([
            ("paint_ms".into(), PropertyValue::Int(10)),
            ("send_ms".into(), PropertyValue::Int(3)),
            ("sent_to_painted_ms".into(), PropertyValue::Int(43)),
            ("rtt_ms".into(), PropertyValue::Int(11)),
            ("s_received".into(), PropertyValue::Int(5)),
            ("s_pushed".into(), PropertyValue::Int(20_005)),
        ]);
        observe.painted(&properties);
        let budget = observe.budget();
        assert_eq!((budget.total.count, budget.network.count, budget.silence.count), (1, 1, 0));
        // The browser saw a longer network than there was: the size of the rest counts.
        assert!((budget.unexplained.p50_ms - 1.0).abs() < 0.02, "{}", budget.unexplained.p50_ms);
        let json = serde_json::to_value(&budget).expect("JSON");
        assert_eq!(json["stages"][0]["owner"], "tracker");
        assert_eq!(json["stages"][7]["clock"], "browser");
        assert_eq!(json["network"]["budget_p99_ms"], serde_json::Value::Null);
    }

    #[test]
    fn stages_are_on_the_metrics_page() {
        let observe = Observe::new();
        observe.record_n(Stage::Log, 3_000, 20);
        let text = observe.metrics.text();
        assert!(text.contains("midsession_stage_measured{stage=\"log\"} 20\n"), "{text}");
        assert!(text.contains("midsession_stage_ms{stage=\"log\",owner=\"engine-local\",value=\"budget_p99\"} 20.0\n"));
    }

    #[test]
    fn sources_are_told_apart_and_bounded() {
        let observe = Observe::new();
        for index in 0..SOURCES_MAX + 9 {
            observe.events(10_000, &format!("s{index}"), 5, 1);
        }
        let rows = observe.sources(11_000);
        assert_eq!((rows.len(), rows[0].accepted, rows[0].rejected, rows[0].events_per_s), (SOURCES_MAX, 5, 1, 1.0));
        assert_eq!(observe.events_per_s(11_000), (SOURCES_MAX + 9) as f64);
    }
}
