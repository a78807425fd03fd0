//! Where snapshots of partitions are kept.

use crate::LogError;
use midsession_event::PartitionId;
use std::io::BufRead;

/// Some bytes of a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotPiece {
    /// Of which partition.
    pub partition: PartitionId,
    /// As of which record: replay goes on at this offset.
    pub next: i64,
    /// They follow those of the piece before.
    pub bytes: Vec<u8>,
    /// The first one: what is there of an unfinished snapshot of this partition is given up.
    pub is_first: bool,
    /// The snapshot is whole with these.
    pub is_last: bool,
}

/// Called when a piece has been taken; for the last one, when the snapshot is durable and counts.
pub type SnapshotDone = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// Keeps the last two whole snapshots of each partition.
pub trait Snapshots: Send + Sync {
    /// Takes the next piece of a partition's snapshot and returns at once. The caller sends a partition's next piece after
    /// `done`: that bounds what waits. An error gives the snapshot up.
    fn write(&self, piece: SnapshotPiece, done: SnapshotDone);

    /// The whole snapshots of a partition, by the offset that replay goes on at: the newest first.
    fn list(&self, partition: PartitionId) -> Result<Vec<i64>, LogError>;

    /// Takes a damaged one out of the list, and leaves its bytes to whoever wants to know.
    fn set_aside(&self, partition: PartitionId, next: i64) -> Result<(), LogError>;

    /// The bytes of one. What is damaged is an error of reading, at the latest at the end.
    fn open(&self, partition: PartitionId, next: i64) -> Result<Box<dyn BufRead + Send>, LogError>;
}
