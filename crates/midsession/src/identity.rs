//! Whom visitors are taken for; and undoing a wrong merge: one record, answered when what it moves has arrived.

use crate::app::Inner;
use crate::assemble::Assembly;
use crate::driver::Seen;
use crate::privacy::unavailable;
use bytes::Bytes;
use midsession_edge::{Refusal, UnmergeAsk, Unreadable};
use midsession_event::{PartitionId, Record, ShopperId, Str, Topic, Unmerge, UserId, VisitorId, partition_of};
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
    /// Whoever asks may have the ids that the sources hash: nothing is written under what no event has.
    pub(crate) async fn unmerge(&self, ask: UnmergeAsk) -> Result<Value, Refusal> {
        let UnmergeAsk { visitor_id, user_id, reason } = ask;
        let (known, mut merges) = match self.merges_of(&visitor_id, &user_id).await {
            Ok(merges) => (Some(!merges.is_empty()), merges),
            Err(_) => (None, Vec::new()),
        };
        if merges.is_empty() {
            merges.extend(self.collector.kept_as(&visitor_id, &user_id));
            if known.is_none() && merges != [(VisitorId(visitor_id), UserId(user_id))] {
                return Err(unavailable("under which of their ids these two are known can't be said yet"));
            }
        }
        let Some((visitor_id, user_id)) = merges.first().cloned() else {
            return Ok(json!({"visitor_id": null, "user_id": null, "known": known, "settled": true, "receipt": null}));
        };
        // Whoever answers the telephone writes down who called.
        let reason = reason.as_deref().map(midsession_collect::scrub_text);
        let partitions = self.driver.partitions();
        let records = merges.iter().map(|(visitor_id, user_id)| {
            let (visitor_id, user_id) = (visitor_id.clone(), user_id.clone());
            let key = Bytes::copy_from_slice(visitor_id.as_str().as_bytes());
            let partition = partition_of(visitor_id.as_str(), partitions);
            let unmerge =
                Unmerge { visitor_id, user_id, asked_at_ms: self.now_ms(), reason: reason.clone(), gives_on: true };
            let value = Record::Unmerge(Box::new(unmerge)).encode().map_err(unavailable)?;
            Ok(Append { topic: Topic::Behavior, partition, key, value: Some(value.into()) })
        });
        let records = records.collect::<Result<_, Refusal>>()?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // Whoever asked may have gone.
        let done = Box::new(move |done: Result<Vec<Receipt>, LogError>| drop(sender.send(done)));
        self.log.append(Unit { records, positions: Vec::new() }.into(), done);
        let receipts = receiver.await.map_err(|_| unavailable("the log is closing"))?.map_err(unavailable)?;
        let moved = merges.iter().zip(&receipts).map(|((visitor, user), receipt)| {
            let entered = partition_of(visitor.as_str(), partitions);
            self.moved(entered, receipt.offset, partition_of(user.as_str(), partitions))
        });
        let settled = tokio::time::timeout(WITHIN, futures_util::future::try_join_all(moved)).await;
        Ok(json!({
            "visitor_id": visitor_id, "user_id": user_id, "known": known, "settled": matches!(settled, Ok(Ok(_))),
            "receipt": {
                "topic": Topic::Behavior.name(), "partition": partition_of(visitor_id.as_str(), partitions),
                "offset": receipts.first().map_or(0, |receipt| receipt.offset),
            },
        }))
    }

    /// As whom this visitor has been this user, by all ids that the sources' events may know the two under.
    async fn merges_of(&self, visitor: &str, user: &str) -> Result<Vec<(VisitorId, UserId)>, Unreadable> {
        let users = self.collector.ids_of(user);
        let mut merges = Vec::new();
        for visitor in self.collector.ids_of(visitor).into_iter().map(VisitorId) {
            let (id, users) = (ShopperId::Visitor(visitor.clone()), users.clone());
            let has_been = move |seen: Seen<'_, Assembly>| {
                let mut users: Vec<UserId> = users.into_iter().map(UserId).collect();
                users.retain(|user| seen.stream.has_been(&id, user));
                users
            };
            let partition = partition_of(visitor.as_str(), self.driver.partitions());
            let been = self.driver.read(partition, has_been).await?;
            merges.extend(been.into_iter().map(|user| (visitor.clone(), user)));
        }
        Ok(merges)
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
