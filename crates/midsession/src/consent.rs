//! When a word on consent holds everywhere: on the device that said it, at the user's home, and on their other devices.

use crate::app::Inner;
use crate::assemble::Assembly;
use crate::driver::Seen;
use midsession_edge::{Consented, Sender, Unreadable};
use midsession_event::{PartitionId, ShopperId, partition_of};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a sender waits at most; then it is told to ask again.
const WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl Inner {
    /// Returns once these words are durable in the partition of each of their shopper's devices.
    pub(crate) async fn consented(&self, said: Vec<Consented>) -> Result<(), Unreadable> {
        let all = futures_util::future::try_join_all(said.into_iter().map(|said| self.reaches_all(said)));
        tokio::time::timeout(WITHIN, all).await.unwrap_or(Err(Unreadable::Busy)).map(|_| ())
    }

    /// Of each of these, whether what is personal of them may be kept, as of all that is durable.
    pub(crate) async fn may_keep(&self, whose: Vec<Sender>) -> Result<Vec<bool>, Unreadable> {
        futures_util::future::try_join_all(whose.into_iter().map(|sender| self.may_keep_of(sender))).await
    }

    pub(crate) async fn may_keep_of(&self, (visitor, user): Sender) -> Result<bool, Unreadable> {
        let mut user = user;
        if let Some(visitor) = visitor {
            let entered = partition_of(visitor.as_str(), self.driver.partitions());
            let visitor = ShopperId::Visitor(visitor);
            let asked = move |seen: Seen<'_, Assembly>| (seen.stream.may_read(&visitor), seen.stream.user_of(&visitor));
            let (may, attached) = self.driver.read(entered, asked).await?;
            if !may {
                return Ok(false);
            }
            if let (None, Some(ShopperId::User(attached))) = (&user, attached) {
                user = Some(attached);
            }
        }
        let Some(user) = user else { return Ok(true) };
        let home = partition_of(user.as_str(), self.driver.partitions());
        self.driver.read(home, move |seen| seen.stream.may_read(&ShopperId::User(user))).await
    }

    /// Who of these has withdrawn that features are read.
    pub(crate) async fn withdrawn_of(&self, people: BTreeSet<ShopperId>) -> Result<BTreeSet<ShopperId>, Unreadable> {
        let mut withdrawn = BTreeSet::new();
        for shopper in people {
            let (home, asked) = (shopper.partition(self.driver.partitions()), shopper.clone());
            if !self.driver.read(home, move |seen| seen.stream.may_read(&asked)).await? {
                withdrawn.insert(shopper);
            }
        }
        Ok(withdrawn)
    }

    /// Where it came in, what came of it is durable: it has been sent on to the user's home, if there is one. There, what
    /// came of that is: it has been sent on to all other devices. And there it has been read.
    async fn reaches_all(&self, said: Consented) -> Result<(), Unreadable> {
        let entered = PartitionId(said.partition);
        self.settles(entered, said.offset + 1).await?;
        let user = match (said.user_id, said.visitor_id) {
            (Some(user), _) => Some(user),
            (None, None) => None,
            (None, Some(visitor)) => {
                let visitor = ShopperId::Visitor(visitor);
                match self.driver.look(entered, move |seen| seen.stream.user_of(&visitor)).await? {
                    Some(ShopperId::User(user)) => Some(user),
                    _ => None,
                }
            }
        };
        let Some(user) = user else { return Ok(()) };
        let home = partition_of(user.as_str(), self.driver.partitions());
        self.settles(home, self.end_of(home)?).await?;
        // Told on the log is not told to those who take events in: that is when the device's partition has read it.
        let devices = self.driver.look(home, move |seen| seen.stream.devices_of(&user)).await?;
        for device in devices {
            let entered = partition_of(device.as_str(), self.driver.partitions());
            self.settles(entered, self.end_of(entered)?).await?;
        }
        Ok(())
    }

    /// Returns once every partition has read all that its log holds now, and what came of it is durable.
    pub(crate) async fn all_settle(&self) -> Result<(), Unreadable> {
        let partitions = (0..self.driver.partitions()).map(PartitionId);
        let ends: Vec<i64> = partitions.map(|partition| self.end_of(partition)).collect::<Result<_, _>>()?;
        loop {
            let read = self.driver.look_all(|seen| seen.durable_below).await;
            let read: Vec<i64> = read.into_iter().collect::<Result<_, _>>()?;
            if read.iter().zip(&ends).all(|(below, end)| below >= end) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns once all that came of a partition's records below this offset is durable.
    pub(crate) async fn settles(&self, partition: PartitionId, below: i64) -> Result<(), Unreadable> {
        while self.driver.look(partition, |seen| seen.durable_below).await? < below {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
