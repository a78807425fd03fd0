//! Whom visitors are taken for; and undoing a wrong merge: one record, answered when what it moves has arrived.

use crate::app::Inner;
use crate::privacy::unavailable;
use bytes::Bytes;
use midsession_edge::{Refusal, UnmergeAsk, Unreadable};
use midsession_event::{PartitionId, Record, ShopperId, Str, Topic, Unmerge, partition_of};
use midsession_ports::{Append, LogError, Receipt, Unit};
use serde_json::{Value, json};
use std::time::Duration;

/// How long whoever asks waits at most for what moves; it goes on without them.
const WITHIN: Duration = Duration::from_secs(5);

impl Inner {
    /// Whom a visitor is taken for; nobody, where one of the two has withdrawn that.
    pub(crate) async fn identity_of(&self, visitor: Str) -> Result<Option<Value>, Unreadable> {
        let partition = partition_of(&visitor, self.driver.partitions());
        let id = ShopperId::Visitor(visitor.into());
        let told = self.driver.read(partition, move |seen| seen.stream.identity(&id)).await?;
        let Some(told) = told else { return Ok(None) };
        let may = self.may_keep_of((Some(told.visitor_id.clone()), told.user_id.clone())).await?;
        Ok(may.then(|| {
            json!({
                "visitor_id": told.visitor_id, "user_id": told.user_id,
                "attached_since_ms": told.attached_since_ms, "detached_at_ms": told.detached_at_ms,
            })
        }))
    }

    /// Undoes a merge. The record is durable when this returns; `settled`: what it moves has arrived, too; `known`: whether the
    /// visitor has been that user, none where nobody can say now. Where they have not, events that say so may still come.
    pub(crate) async fn unmerge(&self, ask: UnmergeAsk) -> Result<Value, Refusal> {
        let UnmergeAsk { visitor_id, user_id, reason } = ask;
        let partition = partition_of(&visitor_id, self.driver.partitions());
        let home = partition_of(&user_id, self.driver.partitions());
        let (id, user) = (ShopperId::Visitor(visitor_id.clone().into()), user_id.clone().into());
        let known = self.driver.read(partition, move |seen| seen.stream.has_been(&id, &user)).await.ok();
        let unmerge = Unmerge {
            visitor_id: visitor_id.clone().into(),
            user_id: user_id.clone().into(),
            asked_at_ms: self.now_ms(),
            // Whoever answers the telephone writes down who called.
            reason: reason.as_deref().map(midsession_collect::scrub_text),
        };
        let value = Record::Unmerge(Box::new(unmerge)).encode().map_err(unavailable)?;
        let key = Bytes::copy_from_slice(visitor_id.as_bytes());
        let record = Append { topic: Topic::Behavior, partition, key, value: Some(value.into()) };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // Whoever asked may have gone.
        let done = Box::new(move |done: Result<Vec<Receipt>, LogError>| drop(sender.send(done)));
        self.log.append(Unit { records: vec![record], positions: Vec::new() }.into(), done);
        let receipts = receiver.await.map_err(|_| unavailable("the log is closing"))?.map_err(unavailable)?;
        let offset = receipts.first().map_or(0, |receipt| receipt.offset);
        let settled = tokio::time::timeout(WITHIN, self.moved(partition, offset, home)).await;
        Ok(json!({
            "visitor_id": visitor_id, "user_id": user_id, "known": known, "settled": matches!(settled, Ok(Ok(()))),
            "receipt": {"topic": Topic::Behavior.name(), "partition": partition, "offset": offset},
        }))
    }

    /// Where the record stands, at the user's home, and where it stands again: all that came of it is durable.
    async fn moved(&self, partition: PartitionId, offset: i64, home: PartitionId) -> Result<(), Unreadable> {
        self.settles(partition, offset + 1).await?;
        self.settles(home, self.end_of(home)?).await?;
        self.settles(partition, self.end_of(partition)?).await?;
        // And the homes of those who were at the device before and after.
        self.all_settle().await
    }

    pub(crate) fn end_of(&self, partition: PartitionId) -> Result<i64, Unreadable> {
        let extent = self.log.extent(Topic::Behavior, partition);
        extent.map(|extent| extent.end).map_err(|error| Unreadable::Stopped(error.to_string()))
    }
}
