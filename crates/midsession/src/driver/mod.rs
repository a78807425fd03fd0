//! The driver: turns the pure machine's effects into appends, pushes and answers. One owner per partition, slices of
//! records, one unit per slice; no lock and no channel per event.

mod around;
mod consents;
mod defined;
mod owner;
mod read;
mod slot;
mod state;
mod threads;
mod ticks;

pub use around::{Around, Cause, Decider, Sink, SnapshotTold, Spills};
pub(crate) use defined::in_force;
pub use owner::{Owner, Turn};
pub use slot::Progress;
pub use state::SnapshotRule;
pub(crate) use threads::thread_cpu_us;
pub use threads::{Clock, Driver, DriverError, Seen};
