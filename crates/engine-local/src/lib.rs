//! The embedded log: one shared journal of Kafka record batches, in which topics and partitions are indexes.

mod batch;
mod bytes;
mod config;
mod disk;
mod frame;
mod journal;
mod log;
mod lz4;
mod part;
mod recover;
mod snapshot;
mod store;
mod writer;

pub use config::Config;
pub use disk::{Disk, DiskFile, Lock, LockError, RealDisk};
pub use log::{Clock, LocalLog, UNIT_BYTES};
