//! Looking back: the past run through fresh machines, for timelines, dry runs and training sets. Nothing is appended.

pub mod arrivals;
mod dataset;
pub mod entities;
pub mod features;
pub mod format;
pub mod logged;
pub mod machines;
mod parquet;
pub mod progress;
pub mod sessions;
pub mod sort;
pub mod table;

use midsession_event::{
    Event, EventName, OutputId, PartitionId, PropertyValue, Record, SessionId, SessionState, ShopperId, Str, Topic,
    VisitorId,
};
use midsession_machine::{Definitions, Effect, View};
use midsession_ports::{Entry, Log, LogError};
use midsession_stream::{Config, Seam, Stream};
use serde_json::{Map, Value, json};

/// Entries of one timeline; older ones are cut.
const ENTRIES_MAX: usize = 500;
/// Bytes read from the log at a time.
const READ_BYTES: usize = 1 << 20;

/// Reads the features that a timeline shows.
pub type ReadFeatures<'a> = &'a dyn Fn(&View<'_>) -> Vec<(Str, PropertyValue)>;

/// Every record of a partition from an offset to its end.
pub fn for_each(
    log: &dyn Log,
    topic: Topic,
    partition: PartitionId,
    from: i64,
    mut each: impl FnMut(Entry),
) -> Result<(), LogError> {
    let extent = log.extent(topic, partition)?;
    let mut next = from.max(extent.start);
    let mut entries = Vec::new();
    while next < extent.end {
        log.read(topic, partition, next, READ_BYTES, &mut entries)?;
        let Some(last) = entries.last() else { break };
        next = last.offset + 1;
        entries.drain(..).for_each(&mut each);
    }
    Ok(())
}

/// What a rule would have reached: asked in [`from_ms`, `to_ms`], replayed from a day earlier so that windows are
/// full. (distinct shoppers, times asked)
pub fn dry_run<D: Definitions>(
    log: &dyn Log,
    config: Config,
    definitions: &D,
    from_ms: i64,
    to_ms: i64,
) -> Result<(usize, usize), LogError> {
    let mut asked: Vec<ShopperId> = Vec::new();
    for partition in (0..config.partitions).map(PartitionId) {
        let start = log.offset_at(Topic::Behavior, partition, from_ms - midsession_machine::WINDOW_MAX_MS)?;
        let mut stream = Stream::new(partition, config);
        let mut effects = Vec::new();
        let mut take = |effects: &mut Vec<Effect>| {
            for effect in effects.drain(..) {
                if let Effect::Candidate(candidate) = effect
                    && (from_ms..=to_ms).contains(&candidate.asked_at_ms)
                    && candidate.consented
                {
                    asked.push(candidate.shopper);
                }
            }
        };
        for_each(log, Topic::Behavior, partition, start, |entry| {
            if let Some(Ok(record)) = entry.value.as_deref().map(Record::decode) {
                stream.on_record(entry.offset, entry.stamp_ms, record, definitions, &mut effects);
                take(&mut effects);
            }
        })?;
        stream.on_record(stream.as_of().0, to_ms, Record::Tick(Default::default()), definitions, &mut effects);
        take(&mut effects);
    }
    let fired = asked.len();
    asked.sort_unstable();
    asked.dedup();
    Ok((asked.len(), fired))
}

/// Whose session it is, and where.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Our id (the survivor's, after a merge).
    pub session: SessionId,
    /// At home.
    pub shopper: ShopperId,
    /// Its device.
    pub visitor: Option<VisitorId>,
    /// Event time of its first event. Epoch ms.
    pub started_at_ms: i64,
}

/// The way of one session, entry by entry, with the features after each.
pub fn timeline<D: Definitions>(
    log: &dyn Log,
    config: Config,
    definitions: &D,
    whose: &Whose,
    read: ReadFeatures<'_>,
) -> Result<Value, LogError> {
    let mut tracer = Tracer { whose, read, entries: Vec::new(), before: Map::new(), cut: false };
    let since_ms = whose.started_at_ms - midsession_machine::WINDOW_MAX_MS - config.gap_ms;
    if let (ShopperId::User(_), Some(visitor)) = (&whose.shopper, &whose.visitor) {
        // Before the login it lived in the visitor's own partition.
        let partition = ShopperId::Visitor(visitor.clone()).partition(config.partitions);
        tracer.run(log, config, definitions, partition, visitor.as_str(), since_ms)?;
    }
    let partition = whose.shopper.partition(config.partitions);
    let key = whose.shopper.as_str();
    tracer.run(log, config, definitions, partition, key, since_ms)?;
    Ok(json!({"timeline": tracer.entries, "truncated": tracer.cut}))
}

struct Tracer<'a> {
    whose: &'a Whose,
    read: ReadFeatures<'a>,
    entries: Vec<Value>,
    before: Map<String, Value>,
    cut: bool,
}

impl Tracer<'_> {
    fn run<D: Definitions>(
        &mut self,
        log: &dyn Log,
        config: Config,
        definitions: &D,
        partition: PartitionId,
        key: &str,
        since_ms: i64,
    ) -> Result<(), LogError> {
        let mut stream = Stream::new(partition, config);
        let mut effects = Vec::new();
        let start = log.offset_at(Topic::Behavior, partition, since_ms)?;
        for_each(log, Topic::Behavior, partition, start, |entry| {
            // A shopper's state depends on their own records only; deadlines fire at their own instants all the same.
            if entry.key.as_ref() != key.as_bytes() {
                return;
            }
            let Some(Ok(record)) = entry.value.as_deref().map(Record::decode) else { return };
            let event = match &record {
                Record::Event(event) => Some(event.as_ref().clone()),
                Record::Forward(forward) => Some(forward.event.as_ref().clone()),
                _ => None,
            };
            let handed =
                matches!(&record, Record::Handoff(handoff) if Some(&handoff.visitor_id) == self.whose.visitor.as_ref());
            let place = OutputId { partition, offset: entry.offset, ordinal: 0 };
            let seam = stream.on_record(entry.offset, entry.stamp_ms, record, definitions, &mut effects);
            self.note(&stream, place, entry.stamp_ms, event.as_ref(), seam, handed, &mut effects);
        })?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one entry, part by part")]
    fn note(
        &mut self,
        stream: &Stream,
        place: OutputId,
        stamp_ms: i64,
        event: Option<&Event>,
        seam: Option<Seam>,
        handed: bool,
        effects: &mut Vec<Effect>,
    ) {
        let target = self.whose.session;
        let ours = |id: SessionId| {
            id == target
                || stream.session_view(id, stamp_ms).and_then(|view| view.session).is_some_and(|s| s.id == target)
        };
        for effect in effects.drain(..) {
            match effect {
                Effect::Session(update) if ours(update.session_id) => match update.state {
                    SessionState::Merged => {
                        self.push(stream, place, stamp_ms, "merge", "merged", "two visits became one", None);
                    }
                    SessionState::Idle => {
                        self.push(stream, place, stamp_ms, "timer", "idle", "no event for the length of the gap", None);
                    }
                    SessionState::Closed => {
                        self.push(stream, place, stamp_ms, "closed", "closed", "the visit is over", None)
                    }
                    SessionState::Open => {}
                },
                Effect::Candidate(candidate) if candidate.session_id == target => {
                    let how = if candidate.cause_event.is_some() { "asked by an event" } else { "asked by silence" };
                    self.push(stream, place, candidate.asked_at_ms, "timer", &candidate.rule, how, None);
                }
                Effect::Decided(decision) if decision.session_id == target => {
                    let detail = ("decision", serde_json::to_value(&*decision).unwrap_or_default());
                    let outcome = crate::tally::outcome_name(decision.outcome);
                    self.push(stream, place, stamp_ms, "decision", &decision.rule, outcome, Some(detail));
                }
                _ => {}
            }
        }
        if handed {
            self.push(stream, place, stamp_ms, "login", "login", "the visitor is known from here on", None);
        }
        let (Some(event), Some(seam)) = (event, seam) else { return };
        let kind = match seam {
            Seam::Applied(id) if ours(id) => "event",
            Seam::Duplicate if event.visitor_id == self.whose.visitor => "duplicate",
            Seam::TooLate if event.visitor_id == self.whose.visitor => "too_late",
            Seam::Applied(_) | Seam::Duplicate | Seam::TooLate | Seam::Forwarded | Seam::Keyless | Seam::Refused => {
                return;
            }
        };
        let detail = ("event", serde_json::to_value(event).unwrap_or_default());
        self.push(stream, place, stamp_ms, kind, event.name.as_str(), &summary(event), Some(detail));
    }

    #[expect(clippy::too_many_arguments, reason = "one entry, part by part")]
    fn push(
        &mut self,
        stream: &Stream,
        place: OutputId,
        stamp_ms: i64,
        kind: &str,
        name: &str,
        summary: &str,
        detail: Option<(&str, Value)>,
    ) {
        let features: Map<String, Value> = stream
            .session_view(self.whose.session, stamp_ms)
            .map(|view| (self.read)(&view))
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name.to_string(), serde_json::to_value(value).unwrap_or_default()))
            .collect();
        let changed: Vec<&String> = features
            .iter()
            .filter(|(name, value)| self.before.get(*name) != Some(value))
            .map(|(name, _)| name)
            .chain(self.before.keys().filter(|name| !features.contains_key(*name)))
            .collect();
        let occurred = detail.as_ref().and_then(|(_, value)| value.get("occurred_at_ms").cloned());
        let mut entry = json!({
            "partition": place.partition, "offset": place.offset, "stamp_ms": stamp_ms, "kind": kind, "name": name,
            "occurred_at_ms": occurred.unwrap_or_else(|| stamp_ms.into()), "summary": summary, "features": features,
            "changed": changed,
        });
        if let Some((field, value)) = detail {
            entry[field] = value;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.remove(0);
            self.cut = true;
        }
        self.before = features;
        self.entries.push(entry);
    }
}

/// An event in a few words.
fn summary(event: &Event) -> String {
    let product = event.products.first().map(|product| {
        let name = product.name.as_ref().unwrap_or(&product.id.0);
        match (event.products.len(), product.price) {
            (1, Some(price)) => format!("{name}, {price:.2} {}", product.currency.as_deref().unwrap_or("")),
            (1, None) => name.to_string(),
            (more, _) => format!("{name} and {} more", more - 1),
        }
    });
    let cart = event.cart.as_ref().and_then(|cart| cart.total_value).map(|total| format!("cart {total:.2}"));
    let page = || event.page.as_ref().and_then(|page| page.title.as_ref().or(page.url.as_ref())).map(Str::to_string);
    let own = match &event.name {
        EventName::Search => event.query.as_ref().map(|query| format!("“{query}”")),
        EventName::CheckoutStep => event.step.map(|step| format!("step {step}")),
        EventName::Transaction => {
            event.order.as_ref().and_then(|order| order.revenue).map(|revenue| format!("revenue {revenue:.2}"))
        }
        EventName::Login => event.user_id.as_ref().map(|user| format!("as {user}")),
        _ => None,
    };
    let parts: Vec<String> = [own, product, cart].into_iter().flatten().collect();
    if parts.is_empty() { page().unwrap_or_default() } else { parts.join(" · ") }
}
