//! How much the log keeps and takes.

use std::path::PathBuf;

/// Settings of the embedded log.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub folder: PathBuf,
    /// Partitions of `behavior` (and of the topics that go with it) in a new folder; an old one keeps what it has.
    pub partitions: u32,
    /// Records older than this may go. Ms.
    pub keep_ms: i64,
    /// When the files together are larger than this, the oldest may go. Bytes.
    pub keep_bytes: u64,
    /// A journal file is closed at about this size. Bytes, at most 1 GiB.
    pub journal_bytes: u64,
    /// Appends wait in at most this many bytes; then the log is busy. Bytes.
    pub queue_bytes: u64,
    /// At most about this much goes into one commit. Bytes.
    pub commit_bytes: u64,
    /// Room kept aside in the folder for a start on a full disk: more than the largest commit. 0 for none. Bytes.
    pub reserve_bytes: u64,
}

impl Config {
    /// The defaults in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            partitions: 16,
            keep_ms: 7 * 24 * 3600 * 1000,
            keep_bytes: 10 << 30,
            journal_bytes: 256 << 20,
            queue_bytes: 64 << 20,
            commit_bytes: 8 << 20,
            reserve_bytes: 0,
        }
    }
}
