//! Every metric of the product, in one enum: what `/metrics` serves and the reference page lists.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Only rises; served with the suffix `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A metric as the reference lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MetricRow {
    /// Which.
    #[serde(skip)]
    pub metric: Metric,
    /// Its name, without the suffix of its kind.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// Its one label, if any.
    pub label: Option<&'static str>,
    /// What it counts.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($variant:ident = $kind:ident $name:literal $([$label:literal])? $help:literal;)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric { $(#[doc = $help] $variant,)* }

        /// Every metric, in the order of the enum.
        pub const METRICS: &[MetricRow] = &[$(MetricRow {
            metric: Metric::$variant,
            name: $name,
            kind: Kind::$kind,
            label: { #[allow(unused_mut, unused_assignments)] let label: Option<&'static str> = None; $(let label = { let _ = label; Some($label) };)? label },
            help: $help,
        },)*];
    };
}

metrics! {
    EventsAccepted = Counter "midsession_events_accepted" ["source"] "Events acknowledged as durable";
    EventsRejected = Counter "midsession_events_rejected" ["source"] "Events refused and kept in dead-letter";
    PersonalSealed = Counter "midsession_personal_sealed" ["source"] "Events whose personal fields were encrypted onto behavior-pii";
    PersonalDropped = Counter "midsession_personal_dropped" ["source"] "Events whose personal fields were not kept because the keystore has no room for another shopper";
    PersonalWithheld = Counter "midsession_personal_withheld" ["source"] "Events whose personal fields were not kept because their shopper has withdrawn personalization";
    KeystoreKeys = Gauge "midsession_keystore_keys" "Shoppers' keys in the keystore";
    EventsNoConsent = Counter "midsession_events_no_consent" ["source"] "Events not kept because the shopper did not consent";
    EventsSampled = Counter "midsession_events_sampled" ["source"] "Events not kept because their source is sampled";
    RequestsUnattributed = Counter "midsession_requests_unattributed" ["code"] "Requests refused whole that no source could be found for";
    EventsBot = Counter "midsession_events_bot" ["source"] "Events accepted from robots";
    EventsDuplicate = Counter "midsession_events_duplicate" "Events read again that took effect once before";
    EventsTooLate = Counter "midsession_events_too_late" "Events that fitted a closed session only";
    FactsDropped = Counter "midsession_facts_dropped" "Facts forgotten early because their shopper has too many: features of that shopper are too low";
    FactsSpilledShoppers = Gauge "midsession_facts_spilled_shoppers" "Shoppers whose facts are on disk because all facts together take more memory than facts_memory_mib";
    FactsSpilledBytes = Gauge "midsession_facts_spilled_bytes" "Bytes of these facts";
    FactsSpillFileBytes = Gauge "midsession_facts_spill_file_bytes" "Bytes of the files that they are in";
    FactsSpills = Counter "midsession_facts_spills" "Times that a shopper's facts were written to disk";
    FactsLoads = Counter "midsession_facts_loads" ["within"] "Times that a shopper's facts were read from disk, by how long it took";
    FactsSpillsRefused = Counter "midsession_facts_spills_refused" "Times that facts stayed in memory over the budget because facts_spill_mib, or the disk, is full, or a write failed";
    SessionsDropped = Counter "midsession_sessions_dropped" "Sessions ended early because their shopper has too many";
    ShoppersDropped = Counter "midsession_shoppers_dropped" "Shoppers forgotten early because there are too many: visits of one event before others, carts last";
    FieldValuesDropped = Counter "midsession_field_values_dropped" "Products, categories… forgotten early because features by a field take too much memory: their features are too low";
    LifetimesDropped = Counter "midsession_lifetimes_dropped" "Shoppers whose lifetime features begin anew because there are too many";
    DevicesDropped = Counter "midsession_devices_dropped" "Devices no longer told of their user's consent because that user has too many";
    EventIdsDropped = Counter "midsession_event_ids_dropped" "Event ids forgotten early because their visitor has more than 131,072 within a day: what is sent again counts again";
    StaysDropped = Counter "midsession_stays_dropped" "Stays on a device, and logouts there, forgotten early because there were more than 512 within a day: what comes late of them is taken for nobody's";
    TrackerIdsShared = Counter "midsession_tracker_session_ids_shared" "Session ids of trackers that came from two shoppers: their sessions stay apart, the id leads to the one heard last";
    Unmerges = Counter "midsession_unmerges" "Wrong merges of a visitor with a user that were undone";
    VisitorsDropped = Counter "midsession_visitors_dropped" "Visitors forgotten early because there are too many: what they send again counts again";
    HttpRequests = Counter "midsession_http_requests" ["status"] "HTTP requests answered, by class of status";
    HttpFramingRefused = Counter "midsession_http_framing_refused" ["rule"] "Requests refused before routing because of their framing";
    HttpTimeouts = Counter "midsession_http_timeouts" ["phase"] "Connections closed because a client was too slow";
    HttpOverload = Counter "midsession_http_overload" ["cause"] "Requests answered with try again later";
    Connections = Gauge "midsession_connections" ["listener"] "Connections open now";
    ConnectionsRefused = Counter "midsession_connections_refused" ["listener"] "Connections closed at once because too many are open";
    IngestBytesInFlight = Gauge "midsession_ingest_bytes_in_flight" "Bytes of requests that wait for the log";
    PushConnections = Gauge "midsession_push_connections" "Browsers listening for interventions now";
    PushFrames = Counter "midsession_push_frames" ["kind"] "Frames written to browsers";
    PushDropped = Counter "midsession_push_dropped" ["cause"] "Interventions not pushed, and connections closed for being slow";
    RespCommands = Counter "midsession_resp_commands" ["command"] "Redis protocol commands answered";
    LiveLagged = Counter "midsession_live_lagged" "Rows that slow consoles missed";
    Sessions = Gauge "midsession_sessions" ["state"] "Sessions held now, by state";
    SessionsOpened = Counter "midsession_sessions_opened" "Sessions opened";
    SessionsClosed = Counter "midsession_sessions_closed" "Sessions closed";
    Shoppers = Gauge "midsession_shoppers" "Shoppers held in memory now";
    Ticks = Counter "midsession_ticks" "Ticks appended because a deadline was due and no event came";
    Lag = Gauge "midsession_lag_records" "Durable records not yet read by their partition's machine";
    Candidates = Counter "midsession_candidates" ["rule"] "Interventions that a machine asked about";
    Decisions = Counter "midsession_decisions" ["outcome"] "Decisions made durable, by outcome";
    Reactions = Counter "midsession_reactions" ["name"] "What shoppers did with interventions shown";
    Snapshots = Counter "midsession_snapshots" "Snapshots of partitions written";
    SnapshotBytes = Counter "midsession_snapshot_bytes" "Bytes of snapshots written";
    SnapshotsFailed = Counter "midsession_snapshots_failed" "Snapshots that could not be written; another is tried later";
    SnapshotPieceCpuMaxUs = Gauge "midsession_snapshot_piece_cpu_max_us" "Most processor time that a piece of a snapshot took from its partition since the start, in µs";
    SnapshotPieceMaxUs = Gauge "midsession_snapshot_piece_max_us" "Longest time that a piece of a snapshot held up its partition since the start, in µs";
    Definitions = Gauge "midsession_definitions" ["state"] "Versions of definitions in force now: live ones, pending ones beside them, and among both the broken ones, which are left out";
    DefinitionChanges = Counter "midsession_definition_changes" ["what"] "Changes of definitions made durable in every partition";
    LogBytes = Gauge "midsession_log_bytes" "Bytes that the log holds";
    LogErrors = Counter "midsession_log_errors" ["cause"] "Appends that the log refused or lost; damaged: places that could not be read when they were asked for";
    LogCheckedBytes = Counter "midsession_log_checked_bytes" "Bytes of the log's files read through in the background to see that they are whole: each file once per process";
    LogDamagedPlaces = Gauge "midsession_log_damaged_places" "Places found there that do not match their checksum: what stands there can't be read";
    ContextRows = Gauge "midsession_context_rows" ["kind"] "Rows of the context tables held in memory now";
    ContextBytes = Gauge "midsession_context_bytes" ["kind"] "Memory that the context tables take";
    ContextLoaded = Counter "midsession_context_loaded" ["kind"] "Rows put into the context tables, or taken out of them, durably";
    ContextRefused = Counter "midsession_context_refused" ["code"] "Rows that the context tables did not take";
    EnrichmentJoined = Counter "midsession_enrichment_joined" ["kind"] "Rows that events were joined with";
    EnrichmentStale = Counter "midsession_enrichment_stale" ["kind"] "Rows among them that were older than their kind may be";
    EnrichmentMisses = Counter "midsession_enrichment_misses" ["kind"] "Ids named by events that their context table does not have";
    EnrichmentUntold = Counter "midsession_enrichment_misses_untold" ["kind"] "Misses counted and not told on enrichment-miss, as they were told of late or too many are";
    InvariantViolations = Counter "midsession_invariant_violations" ["invariant"] "Things that must never happen and did, by the ids of docs/correctness.md: a fault of ours";
    Audits = Counter "midsession_audits" ["outcome"] "Snapshots computed again from the one before them: agrees, differs (a fault of ours), given_up (newer ones came meanwhile)";
    AuditedRecords = Counter "midsession_audited_records" "Records run again in audits that agree";
    EnrichmentCut = Counter "midsession_enrichment_cut" "Products not looked up because their event has too many";
}

impl Metric {
    /// Its row in the reference.
    pub fn row(self) -> &'static MetricRow {
        // Invariant: METRICS is generated from the enum, in its order.
        &METRICS[self as usize]
    }
}

/// Label values kept per metric; further ones are counted together as `other`, so that no client can fill memory.
const LABEL_VALUES_MAX: usize = 1_000;

type Labels = [(&'static str, String); 1];

#[derive(Debug)]
enum Instrument {
    Counter(Counter),
    CounterBy(Family<Labels, Counter>, AtomicUsize),
    Gauge(Gauge),
    GaugeBy(Family<Labels, Gauge>),
}

/// The values of all metrics.
#[derive(Debug)]
pub struct Metrics {
    instruments: Vec<Instrument>,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let instruments = METRICS
            .iter()
            .map(|row| match (row.kind, row.label) {
                (Kind::Counter, None) => {
                    let counter = Counter::default();
                    registry.register(row.name, row.help, counter.clone());
                    Instrument::Counter(counter)
                }
                (Kind::Counter, Some(_)) => {
                    let family = Family::<Labels, Counter>::default();
                    registry.register(row.name, row.help, family.clone());
                    Instrument::CounterBy(family, AtomicUsize::new(0))
                }
                (Kind::Gauge, None) => {
                    let gauge = Gauge::default();
                    registry.register(row.name, row.help, gauge.clone());
                    Instrument::Gauge(gauge)
                }
                (Kind::Gauge, Some(_)) => {
                    let family = Family::<Labels, Gauge>::default();
                    registry.register(row.name, row.help, family.clone());
                    Instrument::GaugeBy(family)
                }
            })
            .collect();
        Self { instruments, registry }
    }
}

impl Metrics {
    /// Adds to a counter without a label; a labelled metric or a gauge is left alone.
    pub fn add(&self, metric: Metric, count: u64) {
        if let Instrument::Counter(counter) = self.instrument(metric) {
            counter.inc_by(count);
        }
    }

    /// Adds to a labelled counter.
    pub fn add_by(&self, metric: Metric, label: &str, count: u64) {
        if let Some(counter) = self.counter_by(metric, label) {
            counter.inc_by(count);
        }
    }

    /// A labelled counter to keep at hand where it is counted often.
    pub fn counter_by(&self, metric: Metric, label: &str) -> Option<Counter> {
        let (Instrument::CounterBy(family, known), Some(key)) = (self.instrument(metric), metric.row().label) else {
            return None;
        };
        let labels = [(key, label.to_owned())];
        if let Some(counter) = family.get(&labels) {
            return Some(counter.clone());
        }
        let labels = if known.fetch_add(1, Relaxed) < LABEL_VALUES_MAX { labels } else { [(key, "other".into())] };
        Some(family.get_or_create(&labels).clone())
    }

    /// Sets a gauge without a label.
    pub fn set(&self, metric: Metric, value: i64) {
        if let Instrument::Gauge(gauge) = self.instrument(metric) {
            gauge.set(value);
        }
    }

    /// Raises a gauge to `value` if it is lower.
    pub fn raise(&self, metric: Metric, value: i64) {
        if let Instrument::Gauge(gauge) = self.instrument(metric) {
            gauge.inner().fetch_max(value, Relaxed);
        }
    }

    /// Moves a gauge without a label.
    pub fn shift(&self, metric: Metric, by: i64) {
        if let Instrument::Gauge(gauge) = self.instrument(metric) {
            gauge.inc_by(by);
        }
    }

    /// Sets a labelled gauge; the label must come from a short list of the product's own.
    pub fn set_by(&self, metric: Metric, label: &'static str, value: i64) {
        if let (Instrument::GaugeBy(family), Some(key)) = (self.instrument(metric), metric.row().label) {
            family.get_or_create(&[(key, label.to_owned())]).set(value);
        }
    }

    /// Moves a labelled gauge; the label must come from a short list of the product's own.
    pub fn shift_by(&self, metric: Metric, label: &'static str, by: i64) {
        if let (Instrument::GaugeBy(family), Some(key)) = (self.instrument(metric), metric.row().label) {
            family.get_or_create(&[(key, label.to_owned())]).inc_by(by);
        }
    }

    /// Value of a metric without a label, or the sum over its labels seen so far for the named ones.
    pub fn get(&self, metric: Metric, label: Option<&str>) -> i64 {
        let labels = |key: &'static str| label.map(|label| [(key, label.to_owned())]);
        match (self.instrument(metric), metric.row().label.and_then(labels)) {
            (Instrument::Counter(counter), _) => counter.get().cast_signed(),
            (Instrument::Gauge(gauge), _) => gauge.get(),
            (Instrument::CounterBy(family, _), Some(labels)) => {
                family.get(&labels).map_or(0, |counter| counter.get().cast_signed())
            }
            (Instrument::GaugeBy(family), Some(labels)) => family.get(&labels).map_or(0, |gauge| gauge.get()),
            _ => 0,
        }
    }

    /// Registers what is computed at each scrape.
    pub(crate) fn collector(&mut self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.registry.register_collector(collector);
    }

    /// The OpenMetrics text, for Prometheus.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }

    fn instrument(&self, metric: Metric) -> &Instrument {
        // Invariant: one instrument for each row of METRICS, in the order of the enum.
        &self.instruments[metric as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (index, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, index, "{}", row.name);
            assert!(row.name.starts_with("midsession_") && !row.name.ends_with("_total"), "{}", row.name);
        }
    }

    #[test]
    fn text_carries_values_and_escapes_labels() {
        let metrics = Metrics::default();
        metrics.add(Metric::Ticks, 3);
        metrics.add_by(Metric::EventsAccepted, "a\"b\n", 2);
        metrics.set_by(Metric::Sessions, "open", 7);
        let text = metrics.text();
        assert!(text.contains("midsession_ticks_total 3\n"), "{text}");
        assert!(text.contains("midsession_events_accepted_total{source=\"a\\\"b\\n\"} 2\n"), "{text}");
        assert!(text.contains("midsession_sessions{state=\"open\"} 7\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::default();
        for index in 0..LABEL_VALUES_MAX + 50 {
            metrics.add_by(Metric::Candidates, &index.to_string(), 1);
        }
        assert_eq!(metrics.get(Metric::Candidates, Some("other")), 50);
    }
}
