//! The context tables over the topic `context`: loaded at the start, changed by records, joined on the way to the log.

mod backend;
mod config;

pub use config::ContextConfig;

use bytes::Bytes;
use midsession_collect::context::{Columns, MissBook, PerKind, Put, Row, RowLimits, Tables, Tally, enrich};
use midsession_edge::Refusal;
use midsession_event::{Context, ContextKind, EnrichmentMiss, Event, Joined, PartitionId, Str, Topic, decode, encode};
use midsession_observe::{Metric, Observe};
use midsession_ports::{Append, Log, LogError, Receipt, Unit};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Rows that become durable and take effect together.
const ROWS_PER_UNIT: usize = 1_000;
/// Misses kept for people.
const RECENT_MISSES: usize = 100;
/// All rows are in one partition: their order is the order of their versions.
const PARTITION: PartitionId = PartitionId(0);

/// The tables, and what came of the joins.
pub struct ContextTables {
    tables: Tables,
    max_age_ms: PerKind<i64>,
    owners: PerKind<Str>,
    limits: RowLimits,
    log: Arc<dyn Log>,
    observe: Arc<Observe>,
    /// The next record of `context` to be read. Held while records take effect, so that they do so in order.
    next: Mutex<i64>,
    misses: Mutex<MissBook>,
    columns: Mutex<Columns>,
    recent: Mutex<VecDeque<EnrichmentMiss>>,
}

impl ContextTables {
    /// Empty tables over a log; [`Self::catch_up`] loads them.
    pub fn new(config: &ContextConfig, log: Arc<dyn Log>, observe: Arc<Observe>) -> Self {
        Self {
            tables: Tables::new(config.rows_max as usize),
            max_age_ms: config.max_age_s.per_kind(|age_s| i64::from(*age_s) * 1_000),
            owners: config.owner.per_kind(Str::clone),
            limits: RowLimits { row_bytes: config.row_bytes_max as usize },
            log,
            observe,
            next: Mutex::new(0),
            misses: Mutex::default(),
            columns: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Loaded ones, for a start: before anybody decides or listens, so that nothing loaded earlier is missed.
    pub async fn open(config: &ContextConfig, log: &Arc<dyn Log>, observe: &Arc<Observe>) -> Result<Arc<Self>, String> {
        let tables = Arc::new(Self::new(config, Arc::clone(log), Arc::clone(observe)));
        tables.follow().await?;
        Ok(tables)
    }

    /// Takes over what the topic holds beyond what was taken over before.
    pub fn catch_up(&self) -> Result<(), LogError> {
        let mut next = self.next.lock();
        let from = *next;
        if self.log.extent(Topic::Context, PARTITION)?.end <= from {
            return Ok(());
        }
        crate::history::for_each(self.log.as_ref(), Topic::Context, PARTITION, from, |entry| {
            *next = entry.offset + 1;
            let Some((kind, id)) = Context::parse_key(&entry.key) else {
                return self.unreadable(entry.offset, "its key is not kind/id");
            };
            match entry.value.as_deref().map(decode::<Context>) {
                None => self.tables.remove(kind, id, entry.offset),
                Some(Ok(mut context)) => {
                    // Not every record went through the API, or through this version's.
                    context.kind = kind;
                    self.leave_out(std::slice::from_mut(&mut context));
                    let row = Row { version: entry.offset, at_ms: entry.stamp_ms, values: context.values };
                    if self.tables.put(kind, id.into(), row) == Put::Full {
                        self.observe.metrics.add_by(Metric::ContextRefused, "table_full", 1);
                    }
                }
                Some(Err(error)) => self.unreadable(entry.offset, &error.to_string()),
            }
        })
    }

    /// [`Self::catch_up`] on a thread that may wait for the disk. Also asked for by the clock: whoever put rows may have gone
    /// away before the answer.
    pub async fn follow(self: &Arc<Self>) -> Result<(), String> {
        let own = Arc::clone(self);
        let caught_up = tokio::task::spawn_blocking(move || own.catch_up()).await;
        caught_up.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Not ours, or from a newer version: the others are taken over all the same.
    fn unreadable(&self, offset: i64, cause: &str) {
        tracing::error!(offset, cause, "unreadable record on context");
        self.observe.metrics.add_by(Metric::ContextRefused, "unreadable", 1);
    }

    /// Takes out of rows what is personal, as it would stand on events; each column is told once. The names of those that were
    /// left out.
    pub fn leave_out(&self, rows: &mut [Context]) -> BTreeSet<Str> {
        let mut all = BTreeSet::new();
        let mut columns = self.columns.lock();
        for row in rows {
            for left in columns.leave_out(row) {
                if left.is_new {
                    tracing::warn!(table = row.kind.as_str(), column = %left.name, "personal: left out of its table");
                }
                all.insert(left.name);
            }
        }
        all
    }

    /// Joins events, and answers the misses that are to be told. Rows of a person only onto what `of_person` says.
    pub fn enrich(&self, events: &mut [Event], now_ms: i64, of_person: impl Fn(&Event) -> bool) -> Vec<EnrichmentMiss> {
        if self.tables.is_empty() {
            return Vec::new();
        }
        let mut tally = Tally::default();
        for event in events {
            enrich(event, &self.tables, &self.max_age_ms, now_ms, &of_person, &mut tally);
        }
        let metrics = &self.observe.metrics;
        for (metric, counts) in [(Metric::EnrichmentJoined, &tally.joined), (Metric::EnrichmentStale, &tally.stale)] {
            for (kind, count) in counts.iter().filter(|(_, count)| **count > 0) {
                metrics.add_by(metric, kind.as_str(), *count);
            }
        }
        if tally.cut > 0 {
            metrics.add(Metric::EnrichmentCut, tally.cut);
        }
        if tally.misses.is_empty() {
            return Vec::new();
        }
        let mut told = Vec::new();
        let mut book = self.misses.lock();
        for miss in tally.misses {
            metrics.add_by(Metric::EnrichmentMisses, miss.kind.as_str(), 1);
            let Some(misses) = book.take(miss.kind, &miss.id, now_ms) else {
                metrics.add_by(Metric::EnrichmentUntold, miss.kind.as_str(), 1);
                continue;
            };
            told.push(EnrichmentMiss {
                kind: miss.kind,
                id: Some(miss.id).filter(|_| !miss.kind.is_of_person()),
                owner: self.owners[miss.kind].clone(),
                source: miss.source,
                event_id: miss.event_id,
                misses,
                at_ms: now_ms,
            });
        }
        drop(book);
        if !told.is_empty() {
            let mut recent = self.recent.lock();
            recent.extend(told.iter().cloned());
            let over = recent.len().saturating_sub(RECENT_MISSES);
            recent.drain(..over);
        }
        told
    }

    /// The rows of the inventory about these products, as they are now.
    pub fn stock<'a>(&self, products: impl Iterator<Item = &'a str>, now_ms: i64) -> Vec<Joined> {
        let kind = ContextKind::Inventory;
        let read = |id: &str| Some(self.tables.get(kind, id)?.joined(kind, id, self.max_age_ms[kind], now_ms));
        products.filter_map(read).collect()
    }

    /// Bounds of a row.
    pub fn limits(&self) -> RowLimits {
        self.limits
    }

    /// Whether a row stands as it is given.
    pub fn has(&self, row: &Context) -> bool {
        self.tables.get(row.kind, &row.id).is_some_and(|known| known.values == row.values)
    }

    /// A row as it is now.
    pub fn row(&self, kind: ContextKind, id: &str, now_ms: i64) -> Option<Value> {
        let row = self.tables.get(kind, id)?;
        let stale = row.is_stale(self.max_age_ms[kind], now_ms);
        Some(json!({
            "kind": kind, "id": id, "version": row.version, "at": time(row.at_ms),
            "age_ms": (now_ms - row.at_ms).max(0), "stale": stale, "values": row.values,
        }))
    }

    /// How the tables stand.
    pub fn overview(&self) -> Value {
        let count = |metric: Metric, kind: ContextKind| self.observe.metrics.get(metric, Some(kind.as_str()));
        let row = |kind: ContextKind| {
            json!({
                "kind": kind, "rows": self.tables.len(kind), "bytes": self.tables.bytes(kind),
                "loaded_at": Some(self.tables.newest_ms(kind)).filter(|at_ms| *at_ms > 0).map(time),
                "max_age_s": self.max_age_ms[kind] / 1_000, "owner": self.owners[kind],
                "joined": count(Metric::EnrichmentJoined, kind), "stale": count(Metric::EnrichmentStale, kind),
                "misses": count(Metric::EnrichmentMisses, kind),
            })
        };
        let misses: Vec<EnrichmentMiss> = self.recent.lock().iter().rev().cloned().collect();
        json!({ "tables": ContextKind::ALL.map(row), "misses": misses })
    }

    /// Sets the gauges.
    pub fn gauges(&self) {
        for kind in ContextKind::ALL {
            let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            self.observe.metrics.set_by(Metric::ContextRows, kind.as_str(), number(self.tables.len(kind)));
            self.observe.metrics.set_by(Metric::ContextBytes, kind.as_str(), number(self.tables.bytes(kind)));
        }
    }

    /// Puts rows in force: each is durable, and joined with, when this answers. Its version, or none where its table is
    /// full.
    pub async fn put(self: &Arc<Self>, rows: Vec<Context>) -> Result<Vec<Option<i64>>, Refusal> {
        let mut versions = Vec::with_capacity(rows.len());
        for rows in rows.chunks(ROWS_PER_UNIT) {
            let mut new: PerKind<BTreeSet<&str>> = PerKind::default();
            let mut records = Vec::with_capacity(rows.len());
            let mut taken = Vec::with_capacity(rows.len());
            for Context { kind, id, .. } in rows {
                let fits = new[*kind].contains(id.as_str()) || self.tables.has_room(*kind, id, new[*kind].len());
                if fits && !self.tables.contains(*kind, id) {
                    new[*kind].insert(id);
                }
                taken.push(fits);
            }
            for (row, _) in rows.iter().zip(&taken).filter(|(_, fits)| **fits) {
                let value = encode(row).map_err(|error| Refusal::new(500, "internal", error.to_string()))?;
                records.push(record(row.kind, &row.id, Some(value.into())));
            }
            let receipts = self.append(records).await.map_err(|cause| {
                let done = versions.iter().flatten().count();
                let what =
                    format!("{cause}; {done} rows are loaded, send it again in a moment: they are replaced then");
                Refusal::new(503, "log_unavailable", what)
            })?;
            let mut receipts = receipts.into_iter();
            versions.extend(
                taken.into_iter().map(|fits| if fits { receipts.next().map(|receipt| receipt.offset) } else { None }),
            );
        }
        Ok(versions)
    }

    /// Takes a row out. The version of its end, none where there was no such row.
    pub async fn remove(self: &Arc<Self>, kind: ContextKind, id: &str) -> Result<Option<i64>, Refusal> {
        if !self.tables.contains(kind, id) {
            return Ok(None);
        }
        let unavailable = |cause| Refusal::new(503, "log_unavailable", format!("{cause}; try again in a moment"));
        let receipts = self.append(vec![record(kind, id, None)]).await.map_err(unavailable)?;
        Ok(receipts.first().map(|receipt| receipt.offset))
    }

    /// Makes records durable, and has them take effect.
    async fn append(self: &Arc<Self>, records: Vec<Append>) -> Result<Vec<Receipt>, String> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut counts: PerKind<u64> = PerKind::default();
        for (kind, _) in records.iter().filter_map(|record| Context::parse_key(&record.key)) {
            counts[kind] += 1;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever asked has gone: the rows are on the log, and will be found there.
            let _ = sender.send(result);
        });
        self.log.append(Unit { records, positions: Vec::new() }.into(), done);
        let receipts = match receiver.await {
            Ok(result) => result.map_err(|error| error.to_string())?,
            Err(_) => return Err("the log is closing".to_owned()),
        };
        for (kind, count) in counts.iter().filter(|(_, count)| **count > 0) {
            self.observe.metrics.add_by(Metric::ContextLoaded, kind.as_str(), *count);
        }
        self.follow().await?;
        Ok(receipts)
    }
}

fn record(kind: ContextKind, id: &str, value: Option<Bytes>) -> Append {
    Append { topic: Topic::Context, partition: PARTITION, key: Context::key(kind, id).into(), value }
}

fn time(at_ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(at_ms).map_or(Value::Null, |time| time.to_string().into())
}

#[cfg(test)]
mod tests;
