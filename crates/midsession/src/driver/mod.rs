//! The driver: turns the pure machine's effects into appends, pushes and answers. One owner per partition, slices of
//! records, one unit per slice; no lock and no channel per event.

mod owner;
mod read;
mod slot;
mod threads;

pub use owner::{Cause, Decider, Owner, Sink, Turn};
pub use slot::Progress;
pub use threads::{Clock, Driver, DriverError, Seen};
