//! The embedded log: one shared journal of Kafka record batches, in which topics and partitions are indexes.
//!
//! Files of a data folder, by number:
//! - `N.journal`: a head, a snapshot (next offsets, positions, last stamp: older files can go), then a frame per commit.
//!   It gets its name only when head and snapshot are durable, and is never changed but at its end.
//! - `N.compact`: the live records of keyed topics of all journals up to N; it counts once it has its name.
//! - `*.index`: where the batches of a file are, and the state at its end. Derived: made again when missing or broken.
//! - `snapshots/PARTITION-OFFSET.state`: the state of a partition, see [`LocalSnapshots`].
//! - `spill/PARTITION.facts`: facts over the memory budget, gone with the process, see [`LocalSpills`].
//! - `lock`: held by the process that writes, with its id.
//!
//! Appends wait in a bounded queue. The writer takes all that waits, makes one frame of it, writes once, syncs once, and
//! only then shows it to readers and answers. At most one write is in doubt at any time, the last: whatever else does
//! not match its checksum is damage, named and refused. After a failed sync the file is never synced again; the next
//! start writes the last commit again, into a new file.
//!
//! One journal beside a file per partition (`examples/file_per_partition.rs`, ext4 on a shared virtual disk, median of
//! 40 commits each, alternating in one run; the same records and code, one fdatasync per touched file):
//!
//! | partitions | records per commit | one journal | file per partition | ratio |
//! |---|---|---|---|---|
//! | 16 | 20 | 1.5 ms | 36 ms | 24 |
//! | 16 | 400 | 0.8 ms | 17 ms | 21 |
//! | 16 | 4,000 | 3.9 ms | 50 ms | 13 |
//! | 256 | 20 | 0.4 ms | 4.6 ms | 12 |
//! | 256 | 400 | 3.3 ms | 505 ms | 153 |
//! | 256 | 4,000 | 4.0 ms | 795 ms | 201 |

mod batch;
mod bytes;
mod check;
mod compact;
mod config;
mod disk;
mod extents;
mod failpoint;
mod frame;
mod index;
mod journal;
mod keeper;
mod log;
mod loss;
mod lz4;
mod part;
mod recent;
mod recover;
mod reserve;
mod sim;
mod snapshot;
mod spill;
mod states;
mod store;
mod view;
mod writer;

pub use check::{Check, Checked};
pub use config::Config;
pub use disk::{Disk, DiskFile, Lock, LockError, RealDisk};
pub use failpoint::{Asked, Failpoint, Fails};
pub use log::{Clock, LocalLog, Stats, UNIT_BYTES};
pub use sim::{Image, SimDisk};
pub use spill::{LOADS_WITHIN_US, LocalSpill, LocalSpills, SpillStats};
pub use states::LocalSnapshots;
pub use view::View;
