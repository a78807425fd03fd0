//! The embedded log: one shared journal of Kafka record batches, in which topics and partitions are indexes.

mod batch;
mod bytes;
mod compact;
mod config;
mod disk;
mod frame;
mod index;
mod journal;
mod keeper;
mod log;
mod lz4;
mod part;
mod recover;
mod sim;
mod snapshot;
mod store;
mod view;
mod writer;

pub use config::Config;
pub use disk::{Disk, DiskFile, Lock, LockError, RealDisk};
pub use log::{Clock, LocalLog, Stats, UNIT_BYTES};
pub use sim::{Image, SimDisk};
pub use view::View;
