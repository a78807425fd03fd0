//! The log, as the product asks for it: append units, read partitions, know what is durable.

use bytes::Bytes;
use midsession_event::{PartitionId, Topic};
use std::sync::Arc;

/// One record to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Where to.
    pub topic: Topic,
    /// Which partition.
    pub partition: PartitionId,
    /// Kafka key.
    pub key: Bytes,
    /// Kafka value (framed Avro); `None` is a tombstone of a compacted topic.
    pub value: Option<Bytes>,
}

/// The input position that a unit carries: everything of `behavior/partition` below `offset` has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which partition of `behavior`.
    pub partition: PartitionId,
    /// The next offset to read.
    pub offset: i64,
}

/// Records and positions that become durable together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// What to append, in order.
    pub records: Vec<Append>,
    /// The positions reached, saved with it.
    pub positions: Vec<Position>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: PartitionId,
    /// Offset.
    pub offset: i64,
    /// Append stamp, never going back within a partition. Epoch ms.
    pub stamp_ms: i64,
}

/// Called once when a unit is durable (with a receipt for each record, in order) or has failed. Runs on the log's
/// thread: hand the answer over and return.
pub type Done = Box<dyn FnOnce(Result<Vec<Receipt>, LogError>) + Send>;

/// Called after each commit with the `behavior` partitions that grew.
pub type Wake = Box<dyn Fn(&[PartitionId]) + Send + Sync>;

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset.
    pub offset: i64,
    /// Append stamp. Epoch ms.
    pub stamp_ms: i64,
    /// Key.
    pub key: Bytes,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First offset still there.
    pub start: i64,
    /// The next offset to be written; everything below is durable.
    pub end: i64,
    /// Stored bytes.
    pub bytes: u64,
}

/// Why the log said no, whose fault it is, and whether to try again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The queue of appends is full. Try again later.
    #[error("the log is busy: {queued} bytes wait to be written; try again in a moment")]
    Busy {
        /// What waits.
        queued: u64,
    },
    /// The disk is full. Try again when there is room.
    #[error("no space left for the log in {folder}; free some, appends resume by themselves")]
    DiskFull {
        /// The data folder.
        folder: String,
    },
    /// A write or fsync failed: the log has stopped acknowledging. Restart; recovery starts from what is durable.
    #[error("the log stopped: {cause}; restart, what was acknowledged is kept")]
    Failed {
        /// What happened.
        cause: String,
    },
    /// A partition's snapshot could not be written; the log goes on.
    #[error("a snapshot could not be written: {cause}")]
    Snapshot {
        /// What happened.
        cause: String,
    },
    /// A partition's state can't be had from its snapshots and the log: a restart changes nothing.
    #[error("{cause}")]
    StateLost {
        /// What is missing, and what to do.
        cause: String,
    },
    /// Bytes that don't match their checksum: never skipped silently.
    #[error("{file} is damaged at byte {at}: {what}; restore the file or move it away to start without it")]
    Corrupt {
        /// File.
        file: String,
        /// Byte position.
        at: u64,
        /// What does not fit.
        what: String,
    },
    /// Another process has the folder.
    #[error("{folder} is in use by another midsession (process {owner}); stop it or choose another --data folder")]
    Locked {
        /// The data folder.
        folder: String,
        /// Its process id, as it left it.
        owner: String,
    },
    /// A unit that can't be written as one. Split it.
    #[error("{bytes} bytes are too many to become durable at once (at most {most}); split the unit")]
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most that is taken.
        most: u64,
    },
    /// Asked for what retention removed.
    #[error("offset {asked} is gone; the partition starts at {start}")]
    OutOfRange {
        /// Asked.
        asked: i64,
        /// First there.
        start: i64,
    },
    /// No such topic or partition.
    #[error("no partition {topic}/{partition}")]
    NoPartition {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: u32,
    },
}

impl LogError {
    /// Worth trying again later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::DiskFull { .. })
    }
}

/// A log of topics and partitions. Readers see durable records only; any number of them, each with its own place.
pub trait Log: Send + Sync {
    /// Partitions of a topic.
    fn partitions(&self, topic: Topic) -> u32;

    /// Takes a unit. Returns at once; `done` is called when it is durable. Units become durable in the order taken.
    /// On `Busy` the unit was not taken and `done` is called with the error.
    fn append(&self, unit: Arc<Unit>, done: Done);

    /// Durable records of a partition from `from` on: at most about `max_bytes`, at least one if there is any. In a
    /// compacted topic offsets may be missing, also the first ones: that is no error, reading goes on behind them.
    fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError>;

    /// What the partition holds now.
    fn extent(&self, topic: Topic, partition: PartitionId) -> Result<Extent, LogError>;

    /// The first offset with a stamp at or past `time_ms` (the end, if none).
    fn offset_at(&self, topic: Topic, partition: PartitionId, time_ms: i64) -> Result<i64, LogError>;

    /// The last durable input position of a `behavior` partition (0 if none).
    fn position(&self, partition: PartitionId) -> i64;

    /// Calls `wake` after each commit, on the log's thread, with the `behavior` partitions that grew.
    fn on_commit(&self, wake: Wake);

    /// What must be kept whatever the retention says: `behavior` from these offsets on. Until somebody has said so,
    /// nothing is removed; a partition that was never named is kept whole.
    fn keep_from(&self, positions: &[Position]);
}
