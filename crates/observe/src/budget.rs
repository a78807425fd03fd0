//! The latency budget: each stage with its owner and its share, and histograms of what it really took.

use hdrhistogram::Histogram;
use midsession_event::{PropertyValue, Str};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is promised from a shopper's act to the changed page, P99. ms.
pub const PROMISE_P99_MS: f64 = 2_000.0;

/// Something whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The act → its request leaves the browser.
    Send,
    /// First byte received → parsed, validated, handed to the log.
    Collect,
    /// Handed to the log → durable.
    Log,
    /// Durable → a candidate out of the machine.
    Machine,
    /// Candidate → decision.
    Decide,
    /// Decision → durable.
    LogDecision,
    /// Durable decision → written to the browser's connection.
    Push,
    /// Frame handed to the tracker → painted.
    Render,
    /// The act that triggered it → painted.
    Total,
    /// There and back, by the browser's measure.
    Network,
    /// What is left of the total.
    Unexplained,
    /// Deadline of a silence → painted.
    Silence,
    /// A login's append → in effect at the user's home.
    Handoff,
    /// Deadline of a silence → a candidate out of the machine.
    Timer,
}

/// Whose clock a stage is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Ours.
    Server,
    /// The shopper's.
    Browser,
}

/// A stage and its share of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageRow {
    /// Its name.
    pub name: &'static str,
    /// Which room answers for it.
    pub owner: &'static str,
    /// From what to what.
    pub what: &'static str,
    /// By which clock.
    pub clock: Clock,
    /// Half stay below. ms. Absent where nothing is owed.
    pub budget_p50_ms: Option<f64>,
    /// 99 of 100 stay below. ms.
    pub budget_p99_ms: Option<f64>,
    /// Which.
    #[serde(skip)]
    pub stage: Stage,
}

const fn row(
    stage: Stage,
    name: &'static str,
    owner: &'static str,
    what: &'static str,
    clock: Clock,
    budget_ms: Option<(f64, f64)>,
) -> StageRow {
    let (budget_p50_ms, budget_p99_ms) = match budget_ms {
        Some((p50, p99)) => (Some(p50), Some(p99)),
        None => (None, None),
    };
    StageRow { name, owner, what, clock, budget_p50_ms, budget_p99_ms, stage }
}

use Clock::{Browser, Server};

/// Everything measured, in the order of [`Stage`]. The first eight are the stages that add up.
pub const STAGES: [StageRow; 14] = [
    row(Stage::Send, "send", "tracker", "the act to its request leaving the browser", Browser, Some((10.0, 30.0))),
    row(Stage::Collect, "collect", "collect", "first byte received to handed to the log", Server, Some((2.0, 10.0))),
    row(Stage::Log, "log", "engine-local", "handed to the log to durable", Server, Some((5.0, 20.0))),
    row(Stage::Machine, "machine", "stream", "durable to a candidate", Server, Some((2.0, 10.0))),
    row(Stage::Decide, "decide", "decide", "candidate to decision", Server, Some((1.0, 5.0))),
    row(Stage::LogDecision, "log_decision", "engine-local", "decision to durable", Server, Some((5.0, 20.0))),
    row(Stage::Push, "push", "edge", "durable decision to written to the browser", Server, Some((2.0, 10.0))),
    row(Stage::Render, "render", "tracker", "frame handed in to painted", Browser, Some((16.0, 60.0))),
    row(Stage::Total, "total", "midsession", "the shopper's act to painted", Browser, Some((50.0, 100.0))),
    row(Stage::Network, "network", "network", "there and back", Browser, None),
    row(Stage::Unexplained, "unexplained", "midsession", "total less stages and network", Browser, Some((1.0, 1.0))),
    row(Stage::Silence, "silence", "midsession", "deadline of a silence to painted", Browser, Some((50.0, 150.0))),
    row(
        Stage::Handoff,
        "handoff",
        "stream",
        "a login's append to in effect at the user's home",
        Server,
        Some((5.0, 20.0)),
    ),
    row(Stage::Timer, "timer", "stream", "deadline of a silence to a candidate", Server, Some((5.0, 50.0))),
];

/// How many of [`STAGES`] add up to the total (with the network).
const ADDING_UP: usize = 8;

/// Longest time recorded; longer ones count as this. µs.
const LONGEST_US: u64 = 600_000_000;

/// What a stage took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// The stage and its share.
    #[serde(flatten)]
    pub row: StageRow,
    /// Measurements.
    pub count: u64,
    /// Half stayed below. ms.
    pub p50_ms: f64,
    /// ms.
    pub p99_ms: f64,
    /// ms.
    pub p999_ms: f64,
    /// ms.
    pub max_ms: f64,
    /// Budget less P99; negative when it is overdrawn. ms. Absent without a budget or a measurement.
    pub headroom_p99_ms: Option<f64>,
}

/// The whole budget as `/v1/budget` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetReport {
    /// What is promised. ms.
    pub promise_p99_ms: f64,
    /// The stages that add up.
    pub stages: Vec<StageReport>,
    /// Act → painted.
    pub total: StageReport,
    /// There and back.
    pub network: StageReport,
    /// The rest; its size whichever its sign.
    pub unexplained: StageReport,
    /// Deadline → painted. Put together from the server's part, half a round trip and the browser's part, each by its own
    /// clock: there is no act by whose measure a rest of it could be unexplained.
    pub silence: StageReport,
    /// Deadline → candidate; with decide, log_decision, push and render, what a silence is made of.
    pub timer: StageReport,
    /// Login → in effect at the user's home.
    pub handoff: StageReport,
}

/// Histograms, two significant digits: of the present half of the window, and of the half before it.
#[derive(Debug)]
pub(crate) struct Ledger {
    present: Vec<Histogram<u64>>,
    before: Vec<Histogram<u64>>,
    turned_at_ms: i64,
}

/// Half of the time that «now» is: figures are of the last two and a half to five minutes, so that neither the start of
/// the process nor a quiet night hides what goes on. ms.
const HALF_MS: i64 = 150_000;

impl Default for Ledger {
    fn default() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("invariant: 1 < 600 s, 2 digits");
        let all = || STAGES.iter().map(|_| empty()).collect();
        Self { present: all(), before: all(), turned_at_ms: 0 }
    }
}

impl Ledger {
    pub(crate) fn record(&mut self, stage: Stage, us: i64, count: u64) {
        self.present[stage as usize].saturating_record_n(u64::try_from(us).unwrap_or(0).min(LONGEST_US), count);
    }

    /// Time passes: what is too old goes.
    pub(crate) fn turn(&mut self, now_ms: i64) {
        if now_ms - self.turned_at_ms >= HALF_MS {
            std::mem::swap(&mut self.present, &mut self.before);
            self.present.iter_mut().for_each(Histogram::reset);
            self.turned_at_ms = now_ms;
        }
    }

    pub(crate) fn report(&self, stage: Stage) -> StageReport {
        let row = STAGES[stage as usize];
        let mut histogram = self.present[stage as usize].clone();
        // Invariant: all have the same bounds.
        histogram.add(&self.before[stage as usize]).unwrap_or_default();
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        let measured = !histogram.is_empty();
        let headroom_p99_ms = row.budget_p99_ms.filter(|_| measured).map(|budget| budget - at(0.99));
        StageReport {
            row,
            count: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(histogram.max()),
            headroom_p99_ms,
        }
    }

    pub(crate) fn budget(&self) -> BudgetReport {
        BudgetReport {
            promise_p99_ms: PROMISE_P99_MS,
            stages: STAGES[..ADDING_UP].iter().map(|row| self.report(row.stage)).collect(),
            total: self.report(Stage::Total),
            network: self.report(Stage::Network),
            unexplained: self.report(Stage::Unexplained),
            silence: self.report(Stage::Silence),
            timer: self.report(Stage::Timer),
            handoff: self.report(Stage::Handoff),
        }
    }
}

/// One intervention's way to the pixel, from the properties of its `painted` event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paint {
    /// Act → its request leaves, by the browser. µs.
    pub send_us: Option<i64>,
    /// Handed in → painted, by the browser. µs.
    pub render_us: Option<i64>,
    /// Act → painted, by the browser. µs.
    pub total_us: Option<i64>,
    /// There and back, by the browser. µs.
    pub network_us: Option<i64>,
    /// Deadline → painted, for silences. µs.
    pub silence_us: Option<i64>,
    /// First byte received → pushed, by our clock. µs.
    pub server_us: Option<i64>,
}

impl Paint {
    /// Reads the tracker's report. Whatever is missing or absurd (negative, over 10 minutes) is left out: it comes
    /// from a public page.
    pub fn read(properties: &BTreeMap<Str, PropertyValue>) -> Self {
        let number = |name: &str| match properties.get(name)? {
            PropertyValue::Int(value) => Some(*value as f64),
            PropertyValue::Float(value) => Some(*value),
            _ => None,
        };
        let sane = |us: f64| (us >= 0.0 && us <= LONGEST_US as f64).then_some(us.round() as i64);
        let ms = |name| sane(number(name)? * 1_000.0);
        Self {
            send_us: ms("send_ms"),
            render_us: ms("paint_ms"),
            total_us: ms("sent_to_painted_ms"),
            network_us: ms("rtt_ms"),
            silence_us: ms("deadline_to_painted_ms"),
            server_us: number("s_pushed").zip(number("s_received")).and_then(|(end, start)| sane(end - start)),
        }
    }

    /// What is left of the total once sending, server, network and paint are taken off; negative when the browser's
    /// measure of the network was too long. `None` unless all five are known.
    pub fn unexplained_us(&self) -> Option<i64> {
        Some(self.total_us? - self.send_us? - self.server_us? - self.network_us? - self.render_us?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (index, row) in STAGES.iter().enumerate() {
            assert_eq!(row.stage as usize, index, "{}", row.name);
        }
        let p50: f64 = STAGES[..ADDING_UP].iter().filter_map(|row| row.budget_p50_ms).sum();
        assert!(p50 <= STAGES[Stage::Total as usize].budget_p50_ms.unwrap_or(0.0));
    }

    #[test]
    fn headroom_tells_an_overdrawn_stage() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.report(Stage::Log).headroom_p99_ms, None);
        ledger.record(Stage::Log, 4_000, 99);
        ledger.record(Stage::Log, i64::MAX, 1);
        ledger.record(Stage::Log, -5, 1);
        let report = ledger.report(Stage::Log);
        assert_eq!((report.count, report.p50_ms.round(), report.p99_ms.round()), (101, 4.0, 4.0));
        assert!(report.max_ms >= 600_000.0 * 0.99);
        ledger.record(Stage::Push, 50_000, 10);
        assert!(ledger.report(Stage::Push).headroom_p99_ms.is_some_and(|headroom| headroom < -39.0));
    }

    #[test]
    fn stages_and_rest_add_up_to_the_total() {
        let number = PropertyValue::Float;
        let properties = BTreeMap::from([
            ("paint_ms".into(), number(8.0)),
            ("send_ms".into(), number(1.5)),
            ("sent_to_painted_ms".into(), number(32.0)),
            ("rtt_ms".into(), number(2.25)),
            ("s_received".into(), PropertyValue::Int(1_700_000_000_000_000)),
            ("s_pushed".into(), PropertyValue::Int(1_700_000_000_020_000)),
        ]);
        assert_eq!(Paint::read(&properties).unexplained_us(), Some(250));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut ledger = Ledger::default();
        let mut counts = Vec::new();
        for minute in 0..8 {
            ledger.turn(minute * 60_000);
            if minute == 0 {
                ledger.record(Stage::Log, 5_000, 7);
            }
            counts.push(ledger.report(Stage::Log).count);
        }
        assert_eq!(counts, [7, 7, 7, 7, 7, 7, 0, 0]);
    }

    #[test]
    fn hostile_numbers_are_left_out() {
        for value in [
            PropertyValue::Float(f64::NAN),
            PropertyValue::Float(-1.0),
            PropertyValue::Float(1e300),
            PropertyValue::Int(i64::MIN),
            PropertyValue::Text("8".into()),
            PropertyValue::Null,
        ] {
            let names = [
                "paint_ms",
                "send_ms",
                "sent_to_painted_ms",
                "rtt_ms",
                "deadline_to_painted_ms",
                "s_pushed",
                "s_received",
            ];
            let mut properties: BTreeMap<Str, _> = names.map(|name| (name.into(), value.clone())).into();
            properties.insert("s_received".into(), PropertyValue::Int(0));
            assert_eq!(Paint::read(&properties), Paint::default(), "{value:?}");
        }
    }
}
