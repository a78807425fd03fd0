//! What a start owes to the definitions: what the data folder was begun with, and files that were edited since.

use super::fill::{self, Next};
use super::{Now, plan, rows};
use crate::app::Inner;
use crate::assemble::Assembly;
use crate::cli::Failure;
use bytes::Bytes;
use midsession_event::{Definition, DefinitionChange, PartitionId, Topic, encode};
use midsession_machine::Defined;
use midsession_observe::Metric;
use midsession_ports::{Append, Log, Unit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a data folder was begun with: one record, never written again.
const BEGUN: (&str, &str) = ("features", "begun-with");

/// Holds on to what a data folder was begun with: a partition's log says what has changed since. A folder without it begins
/// with the files of this start.
///
/// # Errors
/// The folder can't be read or written.
pub(crate) async fn begin(log: &dyn Log, assembly: &Assembly, now_ms: i64) -> Result<(), Failure> {
    if let Some(defined) = begun_with(log)? {
        assembly.begin_with(defined);
        return Ok(());
    }
    let filed = assembly.filed();
    let body = serde_json::to_string(&filed).map_err(Failure::new)?;
    let begun = Definition { kind: BEGUN.0.into(), name: BEGUN.1.into(), body: body.into(), at_ms: now_ms };
    let all = filed.features.iter().flat_map(|known| plan::told(&filed, known.kind, &known.name, now_ms));
    let records = [begun].into_iter().chain(all).map(|definition| {
        let key = Bytes::from(format!("{}/{}", definition.kind, definition.name));
        let value = Some(Bytes::from(encode(&definition).map_err(Failure::new)?));
        Ok(Append { topic: Topic::Definition, partition: PartitionId(0), key, value })
    });
    let records = records.collect::<Result<Vec<_>, Failure>>()?;
    Ok(crate::records::append(log, Unit { records, positions: Vec::new() }).await?)
}

/// What the folder was begun with, if it says so.
///
/// # Errors
/// The folder can't be read.
pub(crate) fn begun_with(log: &dyn Log) -> Result<Option<Defined>, midsession_ports::LogError> {
    let mut begun = None;
    crate::records::of_kind(log, BEGUN.0, |name, defined: Defined| {
        if name == BEGUN.1 {
            begun = Some(defined);
        }
    })?;
    Ok(begun)
}

/// Takes up what was edited in the files since the last start, and says where they say something else than the log. Nobody
/// else changes definitions before that, and the server is not ready.
pub(crate) async fn take_up(inner: Arc<Inner>) {
    take_up_edited(&inner).await;
    inner.definer.taken_up.store(true, Ordering::Release);
}

async fn take_up_edited(inner: &Inner) {
    let _at_work = inner.definer.at_work.lock().await;
    let now = loop {
        match inner.in_force().await {
            Ok(now) => break now,
            Err(_) if inner.failure().is_some() => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    inner.settled(&now);
    inner.watch_definitions(&now).await;
    let Now { defined: before, assembly } = now;
    let plan = plan::taken_up(&before, &inner.assembly.filed(), |key| inner.assembly.file_label(key));
    plan.said.iter().for_each(|said| tracing::warn!("{said}"));
    if plan.edits.is_empty() {
        return;
    }
    let at_ms = inner.now_ms();
    let change = DefinitionChange { revision: before.revision + 1, at_ms, edits: plan.edits };
    let mut after = before.clone();
    after.apply(&change, at_ms);
    let breaks = assembly.breaks(&after);
    if !breaks.is_empty() {
        for fault in &breaks {
            tracing::error!(
                %fault,
                "what was edited in the files is not in force: it would leave what was put while running without what it \
                 reads. Remove that first, or keep in the files what it reads, and start again"
            );
        }
        *inner.definer.not_taken_up.lock() = breaks;
        return;
    }
    if let Err(refusal) = inner.append(&change, &before, &after).await {
        tracing::error!(cause = %refusal, "what was edited in the files is not in force; the next start takes it up");
        return;
    }
    for edit in &change.edits {
        inner.observe.metrics.add_by(Metric::DefinitionChanges, rows::what(edit.what), 1);
    }
    inner.definer.changed.notify_one();
    if let Err(refusal) = inner.reads_all(change.revision).await {
        tracing::error!(cause = %refusal, "what was edited in the files is on the log, and not read yet");
    }
}

/// What could not be read or written is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Of the time of one thread, the reading of the past takes one part in so many.
const PART_OF_TIME: u32 = 4;

/// Counts the past in for definitions that can't look back, one after the other.
pub(crate) async fn fill_up(inner: Arc<Inner>) {
    while inner.failure().is_none() {
        let Ok(Now { defined, assembly }) = inner.in_force().await else {
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        };
        let given_up = inner.definer.given_up.lock().clone();
        let fill = match fill::wanted(&defined, &assembly, inner.log.as_ref(), &given_up) {
            Ok(Some(fill)) => fill,
            Ok(None) => {
                inner.definer.changed.notified().await;
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the past can't be read");
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        let (name, version) = (fill.of().0.clone(), fill.of().1);
        match counted_in(&inner, fill).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    "feature `{name}`, version {version}: too many shoppers signed in within a day to count the past in; it \
                     goes on to count from its beginning"
                );
                inner.definer.given_up.lock().push((name, version));
            }
            Err(cause) => {
                tracing::warn!(cause, "the past could not be counted in for a definition; it is tried again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        *inner.definer.filling.lock() = None;
    }
}

/// Counts the past in for one version; false where it is too much.
async fn counted_in(inner: &Inner, mut fill: fill::Fill) -> Result<bool, String> {
    loop {
        let (name, version) = fill.of();
        *inner.definer.filling.lock() = Some((name.clone(), version, fill.progress()));
        let begun = std::time::Instant::now();
        match fill.step(inner.log.as_ref()).map_err(|error| error.to_string())? {
            Next::Read => tokio::time::sleep(begun.elapsed() * (PART_OF_TIME - 1)).await,
            Next::Append(unit) => crate::records::append(inner.log.as_ref(), unit).await?,
            Next::Settle => inner.all_settle().await.map_err(|cause| cause.to_string())?,
            Next::TooMany => return Ok(false),
            Next::Done(edit) => {
                let _at_work = inner.definer.at_work.lock().await;
                let now = inner.in_force().await.map_err(|refusal| refusal.to_string())?;
                let plan = plan::Plan { edits: vec![edit], ..plan::Plan::default() };
                return match inner.change(now, plan, None).await {
                    Ok(_) => Ok(true),
                    Err(midsession_edge::Undefined::Refused(refusal)) => Err(refusal.to_string()),
                    Err(midsession_edge::Undefined::Mistakes(mistakes)) => Err(format!("{mistakes:?}")),
                };
            }
        }
    }
}
