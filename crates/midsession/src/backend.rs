//! What the listeners read through: features from the partitions' owners, the console's pages, the switches.

use crate::app::Inner;
use crate::definitions::unreadable;
use crate::driver::Seen;
use crate::find;
use crate::history::{self, Whose};
use midsession_edge::{
    Answer, Ask, Change, Consented, Console, Define, DefinitionOf, Entity, Features, Identities, Interventions,
    LiveRow, Reads, Refusal, Sender, SessionsQuery, Shop, Undefined, UnmergeAsk, Unreadable, WrittenFile,
};
use midsession_event::{
    DecisionId, EventName, PartitionId, Reaction, SessionState, SessionUpdate, ShopperId, Str, Topic, VisitorId,
    decode, partition_of,
};
use midsession_feature::Key;
use midsession_machine::View;
use midsession_observe::Metric;
use midsession_ports::LogError;
use midsession_stream::Shopper;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;

/// A partition that has not caught up with its log for longer is not fresh. The promise is 2 s from event to pixel.
const FRESH_MS: i64 = 2_000;
/// How long a disk that was found full counts as full without another try.
const FULL_MS: i64 = 10_000;
/// Sessions in one list.
const SESSIONS_MAX: usize = 1_000;

/// The backend of the listeners.
pub struct AppBackend(pub Arc<Inner>);

impl Inner {
    /// What is told of the past is whole once every partition has been replayed.
    fn replayed(&self) -> Result<(), Unreadable> {
        if self.driver.progress().replaying > 0 { Err(Unreadable::Loading) } else { Ok(()) }
    }

    /// Every source that something came from or was sent to: since the start, and of interventions since a day before it.
    fn source_rows(&self, now_ms: i64) -> Vec<Value> {
        let mut came: BTreeMap<_, _> =
            self.observe.sources(now_ms).into_iter().map(|source| (source.name.clone(), source)).collect();
        let sent = self.world.tally.by_source();
        let names: BTreeSet<Str> = came.keys().chain(sent.keys()).cloned().collect();
        let row = |name: Str| {
            let counts = sent.get(&name).copied().unwrap_or_default();
            let came = came.remove(&name);
            let (accepted, rejected) = came.as_ref().map_or((0, 0), |came| (came.accepted, came.rejected));
            json!({
                "name": name, "label": self.label_of(&name), "accepted": accepted, "rejected": rejected,
                "events_per_s": came.map_or(0.0, |came| came.events_per_s), "served": counts.served,
                "painted": counts.painted, "clicked": counts.clicked, "dismissed": counts.dismissed,
            })
        };
        names.into_iter().map(row).collect()
    }

    async fn whose(&self, id: Str) -> Result<Option<(Whose, Value)>, Unreadable> {
        self.driver
            .find(move |Seen { stream, now_ms, .. }| {
                // Who has withdrawn that is nobody, to whoever asks.
                let (rank, session) = find::session(stream, &id, now_ms)?;
                let view = stream.session_view(session, now_ms)?;
                let view = Some(view).filter(|view| stream.may_read(view.shopper))?;
                let session = view.session?;
                let whose = Whose {
                    session: session.id,
                    shopper: view.shopper.clone(),
                    visitor: session.visitor.clone(),
                    started_at_ms: session.started_at_ms,
                };
                Some((rank, (whose, row(&view, now_ms)?)))
            })
            .await
    }
}

fn row(view: &View<'_>, now_ms: i64) -> Option<Value> {
    let session = view.session?;
    let mut row = session_row(&session.update(view.currencies));
    row["idle_ms"] = json!(now_ms.saturating_sub(view.last_stamp_ms).max(0));
    row["last_event"] =
        EventName::NATIVE.get(usize::from(session.last_kind.0)).map_or("custom", EventName::as_str).into();
    Some(row)
}

impl Reads for AppBackend {
    fn features(&self, asks: Vec<Ask>) -> Answer<'_, Vec<Result<Option<Features>, Unreadable>>> {
        Box::pin(
            async move { futures_util::future::join_all(asks.into_iter().map(|ask| self.0.features_of(ask))).await },
        )
    }

    fn profiles(&self) -> Vec<Str> {
        self.0.assembly.profiles().cloned().collect()
    }

    fn field_keys(&self) -> Vec<Str> {
        self.0.latest().field_keys()
    }

    fn partitions(&self) -> u32 {
        self.0.driver.partitions() + u32::from(!self.0.latest().field_keys().is_empty())
    }

    fn entities(&self, partition: u32) -> Answer<'_, Result<Vec<Entity>, Unreadable>> {
        Box::pin(async move {
            if partition >= self.0.driver.partitions() {
                let ids = self.0.driver.read_all(|Seen { stream, definitions, now_ms, .. }| {
                    definitions.field_ids(stream.partials(), now_ms)
                });
                let mut all = ids.await.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
                all.sort_unstable();
                all.dedup();
                return Ok(all.into_iter().map(|(key, id)| Entity::Field { key, id }).collect());
            }
            let list = self.0.driver.read(PartitionId(partition), |seen| {
                let mut list = Vec::new();
                let readable = |shopper: &&Shopper| seen.stream.may_read(&shopper.id);
                for shopper in seen.stream.shoppers_from(0).map(|(_, shopper)| shopper).filter(readable) {
                    list.push(Entity::User(shopper.id.as_str().into()));
                    let readable = shopper.sessions.iter().filter(|session| session.state != SessionState::Merged);
                    list.extend(readable.map(|session| Entity::Session(session.id.to_string().into())));
                }
                list
            });
            list.await
        })
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(failure) = self.0.driver.failure() {
            return Err(failure.to_string());
        }
        let progress = self.0.driver.progress();
        if progress.replaying > 0 {
            let (done, total) = (progress.replay_done, progress.replay_total);
            return Err(format!(
                "replaying the log: {done} of {total} records, {} partitions to go",
                progress.replaying
            ));
        }
        if !self.0.definer.has_taken_up() {
            return Err("definitions that were edited in the files are not in force yet".into());
        }
        self.takes_appends()?;
        let now_ms = self.0.now_ms();
        let behind_ms = progress.behind_since_ms.map_or(0, |since_ms| now_ms - since_ms);
        if behind_ms > FRESH_MS {
            return Err(format!("events wait: a partition has read its log only up to {behind_ms} ms ago"));
        }
        Ok(())
    }

    fn failure(&self) -> Option<String> {
        self.0.failure().map(|failure| failure.to_string())
    }

    fn damage(&self) -> Option<String> {
        self.0.damage.lock().clone()
    }

    fn consented(&self, said: Vec<Consented>) -> Answer<'_, Result<(), Unreadable>> {
        Box::pin(self.0.consented(said))
    }

    fn knows_consents(&self) -> bool {
        self.0.world.withdrawn.is_whole()
    }

    fn may_keep(&self, whose: Vec<Sender>) -> Answer<'_, Result<Vec<bool>, Unreadable>> {
        Box::pin(self.0.may_keep(whose))
    }

    fn takes_appends(&self) -> Result<(), String> {
        if let Some(failure) = self.0.local.failure() {
            return Err(failure.to_string());
        }
        let now_ms = self.0.now_ms();
        if self.0.local.full_at_ms().is_some_and(|at_ms| now_ms - at_ms < FULL_MS) {
            return Err("the disk is full: events are refused until there is room".into());
        }
        Ok(())
    }
}

/// What was read from the log on a thread of its own.
fn looked_back<T>(read: Result<Result<T, LogError>, tokio::task::JoinError>) -> Result<T, Unreadable> {
    match read {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "the log could not be read");
            Err(Unreadable::Stopped(error.to_string()))
        }
        Err(_) => Err(Unreadable::Stopped("reading the log broke off; the server's log says why".into())),
    }
}

impl Console for AppBackend {
    fn overview(&self) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async move {
            let inner = &self.0;
            let now_ms = inner.now_ms();
            let counts = inner.counts().await?;
            if counts.is_replaying {
                return Err(Unreadable::Loading);
            }
            let (p50, p99) = inner.world.freshness_ms();
            let mut totals = inner.world.tally.totals();
            let mut total = |name: &str| totals.remove(name).unwrap_or(0);
            let interventions = json!({
                "candidates": counts.counters.candidates, "served": total("served"), "holdout": total("holdout"),
                "capped": total("capped"), "painted": total("painted"), "clicked": total("click"),
                "dismissed": total("dismiss"),
            });
            let sources = inner.source_rows(now_ms);
            let sum = |field: &str| sources.iter().filter_map(|source| source[field].as_u64()).sum::<u64>();
            let (bytes, records) = inner.log_extent();
            let metrics = &inner.observe.metrics;
            Ok(json!({
                "now_ms": now_ms, "started_at_ms": inner.started_at_ms,
                "events_per_s": inner.observe.events_per_s(now_ms),
                "accepted": sum("accepted"), "rejected": sum("rejected"), "duplicates": counts.counters.duplicates,
                "too_late": counts.counters.too_late,
                "consent_dropped": metrics.get(Metric::EventsNoConsent, None),
                "bots": counts.counters.bots,
                "sessions": {"open": counts.open, "idle": counts.idle, "closed": counts.closed},
                "shoppers": counts.shoppers, "ticks": counts.counters.ticks, "interventions": interventions,
                "freshness_ms": {"p50": p50, "p99": p99}, "sources": sources,
                "log": {"bytes": bytes, "records": records},
                "push": {"connections": metrics.get(Metric::PushConnections, None)},
                "rates": inner.observe.rates(now_ms),
            }))
        })
    }

    fn sessions(&self, query: SessionsQuery) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async move {
            let limit = query.limit.min(SESSIONS_MAX);
            let parts = self
                .0
                .driver
                .read_all(move |Seen { stream, now_ms, .. }| {
                    let mut rows: Vec<(i64, Value)> = Vec::new();
                    for (_, shopper) in stream.shoppers_from(0).filter(|(_, shopper)| stream.may_read(&shopper.id)) {
                        for session in &shopper.sessions {
                            let wanted = (!query.open || session.is_live())
                                && session.state != SessionState::Merged
                                && query.source.as_ref().is_none_or(|source| *source == session.source)
                                && query.text.as_ref().is_none_or(|text| {
                                    let has = |id: &str| id.contains(text.as_str());
                                    has(shopper.id.as_str())
                                        || has(&session.id.to_string())
                                        || session.visitor.as_ref().is_some_and(|visitor| has(visitor.as_str()))
                                });
                            if wanted {
                                let view = stream.view_of(shopper, Some(session), now_ms);
                                rows.extend(row(&view, now_ms).map(|row| (session.last_stamp_ms, row)));
                            }
                        }
                        if rows.len() > 4 * limit + 64 {
                            rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
                            rows.truncate(limit);
                        }
                    }
                    rows
                })
                .await;
            let mut rows = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
            rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            rows.truncate(limit);
            Ok(json!({"sessions": rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>()}))
        })
    }

    fn session(&self, id: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(async move {
            let Some((whose, session)) = self.0.whose(id).await? else { return Ok(None) };
            let inner = Arc::clone(&self.0);
            let traced = tokio::task::spawn_blocking(move || {
                let assembly = inner.latest();
                let of = [Key::Session, Key::User].map(|key| (key, assembly.windowed(key)));
                let read = |view: &View<'_>| {
                    // No names at all would ask for all features.
                    let asked = of.iter().filter(|(_, names)| !names.is_empty());
                    asked.flat_map(|(key, names)| assembly.values(view, *key, names)).collect()
                };
                history::timeline(inner.log.as_ref(), inner.stream_config, assembly.as_ref(), &whose, &read)
            })
            .await;
            let mut timeline = looked_back(traced)?;
            let withdrawn = self.0.withdrawn_of(history::people(&timeline)).await?;
            history::withhold(&mut timeline, &withdrawn);
            timeline["session"] = session;
            Ok(Some(timeline))
        })
    }

    fn decisions(&self, limit: usize) -> Answer<'_, Result<Value, Unreadable>> {
        Box::pin(async move {
            self.0.replayed()?;
            Ok(json!({"decisions": self.0.world.decisions(limit)}))
        })
    }

    fn decision(&self, id: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(async move {
            self.0.replayed()?;
            let Ok(id) = id.parse::<DecisionId>() else { return Ok(None) };
            if let Some(row) = self.0.world.decision(id) {
                return Ok(Some(row));
            }
            let inner = Arc::clone(&self.0);
            // An older one is on the log.
            let found = tokio::task::spawn_blocking(move || {
                let key = id.to_string();
                let partition = partition_of(&key, inner.log.partitions(Topic::Decision));
                let (mut row, mut reactions) = (None, Vec::new());
                history::for_each(inner.log.as_ref(), Topic::Decision, partition, 0, |entry| {
                    if entry.key.as_ref() != key.as_bytes() {
                        return;
                    }
                    match entry.value.as_deref() {
                        Some(value) if decode::<Reaction>(value).is_ok() => {
                            reactions.extend(midsession_event::to_json(value).map(|(_, value)| value));
                        }
                        Some(value) => {
                            let may = decode(value).is_ok_and(|decision| inner.world.may_read(&decision));
                            row = midsession_event::to_json(value).ok().map(|(_, value)| value).filter(|_| may);
                        }
                        None => {}
                    }
                })?;
                Ok(row.map(|mut row: Value| {
                    row["reactions"] = reactions.into();
                    row
                }))
            });
            looked_back(found.await)
        })
    }

    fn dead_letters(&self, limit: usize) -> Answer<'_, Value> {
        Box::pin(async move {
            let unreadable = self.0.unreadable.load(Ordering::Relaxed);
            json!({"dead_letters": self.0.world.dead_letters(limit), "unreadable": unreadable})
        })
    }

    fn dead_letter_bytes(&self, offset: i64) -> Answer<'_, Result<Option<Value>, Refusal>> {
        Box::pin(self.0.dead_letter_bytes(offset))
    }

    fn destroy_keys(&self, id: Str) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(self.0.destroy_keys(id))
    }

    fn live(&self) -> broadcast::Receiver<LiveRow> {
        self.0.world.live()
    }
}

impl Interventions for AppBackend {
    fn interventions(&self) -> Answer<'_, Value> {
        Box::pin(async move { self.0.intervention_rows() })
    }

    fn change(&self, name: Str, change: Change) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            self.0.intervention_row(&name).ok_or_else(|| unknown(&name))?;
            if change.holdout.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return Err(Refusal::new(400, "holdout_impossible", "holdout: a share from 0 to 1"));
            }
            let turned = self.0.switches.turn(&self.0.log, &name, change, self.0.now_ms()).await;
            turned.map_err(|cause| Refusal::new(503, "log_unavailable", format!("{cause}; try again in a moment")))?;
            if change.enabled == Some(false) || change.dry_run == Some(true) {
                self.0.world.stop(&name);
            }
            self.0.intervention_row(&name).ok_or_else(|| unknown(&name))
        })
    }

    fn dry_run(&self, name: Str) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            let alone = self.0.latest().alone(&name).ok_or_else(|| unknown(&name))?;
            self.0.replayed().map_err(unreadable)?;
            let inner = Arc::clone(&self.0);
            let to_ms = inner.now_ms();
            let from_ms = to_ms - 3_600_000;
            let counted = tokio::task::spawn_blocking(move || {
                let may_read = |shopper: &ShopperId, at_ms| inner.world.withdrawn.may_read(shopper, at_ms);
                history::dry_run(inner.log.as_ref(), inner.stream_config, &alone, [from_ms, to_ms], &may_read)
            });
            match counted.await {
                Ok(Ok((shoppers, fired))) => {
                    Ok(json!({"shoppers": shoppers, "fired": fired, "from_ms": from_ms, "to_ms": to_ms}))
                }
                Ok(Err(error)) => Err(Refusal::new(503, "log_unavailable", error.to_string())),
                Err(_) => Err(Refusal::new(500, "internal", "the replay broke off; the server's log says why")),
            }
        })
    }

    fn preview(&self, name: Str, visitor_id: Str) -> Answer<'_, Result<usize, Refusal>> {
        Box::pin(async move {
            if visitor_id.is_empty() || visitor_id.len() > 256 {
                return Err(Refusal::new(400, "visitor_id_missing", "visitor_id: your browser's id is needed"));
            }
            let frame = self.0.preview_frame(&name).ok_or_else(|| unknown(&name))?;
            let visitor: VisitorId = visitor_id.as_str().into();
            let may = self.0.may_keep_of((Some(visitor.clone()), None)).await.map_err(unreadable)?;
            if !may {
                let why = "visitor_id: `personalization` was withdrawn there, nothing is shown; give consent on that page first";
                return Err(Refusal::new(409, "consent_withdrawn", why));
            }
            self.0.hub.push(&visitor, frame);
            Ok(self.0.hub.connections_of(&visitor))
        })
    }
}

impl Define for AppBackend {
    fn definitions(&self, of: Option<DefinitionOf>) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            match of {
                Some(of) => self.0.definition(of).await,
                None => self.0.definitions().await,
            }
        })
    }

    fn put_definitions(&self, file: WrittenFile) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(self.0.put_definitions(file))
    }

    fn promote_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(self.0.promote_definition(of))
    }

    fn remove_definition(&self, of: DefinitionOf) -> Answer<'_, Result<Value, Undefined>> {
        Box::pin(self.0.remove_definition(of))
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(404, "intervention_unknown", format!("there is no intervention `{name}`"))
}

impl Identities for AppBackend {
    fn identity(&self, visitor: Str) -> Answer<'_, Result<Option<Value>, Unreadable>> {
        Box::pin(self.0.identity_of(visitor))
    }

    fn unmerge(&self, ask: UnmergeAsk) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(self.0.unmerge(ask))
    }
}

impl Shop for AppBackend {
    fn config(&self) -> Option<Value> {
        self.0.shop.as_ref()?;
        Some(
            json!({"write_key": self.0.write_key_of(crate::app::SHOP), "currency": "EUR", "console_url": self.0.console_origin()}),
        )
    }

    fn checkout(&self, order: Value) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            match &self.0.shop {
                Some(shop) => shop.checkout(&order).await,
                None => Err(Refusal::new(404, "no_shop", "no demo shop is served here")),
            }
        })
    }

    fn coupon(&self, coupon: Value) -> Answer<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            match &self.0.shop {
                Some(shop) => shop.coupon(&coupon),
                None => Err(Refusal::new(404, "no_shop", "no demo shop is served here")),
            }
        })
    }
}

/// A session as the console lists it.
pub(crate) fn session_row(update: &SessionUpdate) -> Value {
    let mut row = serde_json::to_value(update).unwrap_or_default();
    row["shopper"] = match (&update.user_id, &update.visitor_id) {
        (Some(user), _) => json!(format!("user:{user}")),
        (None, Some(visitor)) => json!(format!("visitor:{visitor}")),
        (None, None) => Value::Null,
    };
    row
}
