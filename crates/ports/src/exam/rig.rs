//! What the exam needs of whoever brings a log.

use crate::{Log, LogError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the log is to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Partitions of `behavior`.
    pub partitions: u32,
    /// Records older than this may go. Ms.
    pub keep_ms: i64,
    /// More than this in all may go. Bytes.
    pub keep_bytes: u64,
    /// A file is closed at about this size. Bytes.
    pub file_bytes: u64,
    /// Appends wait in at most this many bytes. Bytes.
    pub queue_bytes: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let day_ms = 24 * 3600 * 1000;
        Self { partitions: 4, keep_ms: 7 * day_ms, keep_bytes: 1 << 40, file_bytes: 16 << 10, queue_bytes: 16 << 20 }
    }
}

/// A log under exam with all that is around it. It starts empty and closed, at some time past 0.
pub trait Rig {
    /// Opens the log, or says why not.
    fn open(&mut self, setup: &Setup) -> Result<Arc<dyn Log>, LogError>;

    /// Returns when everything appended so far has been answered.
    fn settle(&mut self);

    /// Closes the log properly. The exam has let its handles go.
    fn close(&mut self);

    /// Does the housekeeping that is due. `Err` is what a real log would try again.
    fn keep_house(&mut self) -> Result<(), LogError>;

    /// Sets the time. Epoch ms.
    fn set_now(&mut self, now_ms: i64);

    /// Appends while nothing is written, so that the queue fills up: runs `act` with the writer held.
    fn hold(&mut self, act: &mut dyn FnMut(&dyn Log));

    /// Faults of the machine, if the rig can make them.
    fn faults(&mut self) -> Option<&mut dyn Faults> {
        None
    }

    /// The log's files, if it has any that are its own.
    fn files(&mut self) -> Option<&mut dyn Files> {
        None
    }
}

/// Faults of the machine.
pub trait Faults {
    /// The power is gone, and with it, by the seed, some, all or parts of what was not synced.
    fn lose_power(&mut self, seed: u64);
    /// The process is gone.
    fn kill(&mut self);
    /// The process will be gone after this many more changes to the disk, unless the power is gone before: from then on
    /// the log answers with failures.
    fn kill_after(&mut self, changes: u64);
    /// The next sync of a file fails.
    fn fail_next_sync(&mut self);
    /// This much more fits the disk; none is no limit. Bytes.
    fn set_room(&mut self, bytes: Option<u64>);
}

/// The log's files.
pub trait Files {
    /// The files as they are, by name, while the log is open or closed.
    fn image(&mut self) -> BTreeMap<String, Vec<u8>>;
    /// The log is gone as if killed, and its files are these.
    fn put(&mut self, image: &BTreeMap<String, Vec<u8>>);
    /// Which file of an image takes the appends.
    fn tail(&self, image: &BTreeMap<String, Vec<u8>>) -> String;
    /// Whether a changed byte of this file must be noticed (a lock file's need not).
    fn is_guarded(&self, name: &str) -> bool;
    /// Openings are costly: try one byte in this many where every one would be tried.
    fn stride(&self) -> usize;
}
