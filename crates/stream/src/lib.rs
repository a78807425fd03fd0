//! Sessions, identity, duplicates and timers of one partition: a pure function of the partition's log.
//!
//! [`Stream::on_record`] takes the records of one `behavior` partition in order and says what is to be done. It has
//! no clock (a record's append stamp is its `now`), no I/O and no randomness, so the same log gives the same state and
//! the same effects, for replay as for the first time.

mod apply;
mod config;
mod counters;
mod decisions;
mod defined;
mod difference;
mod household;
mod identity;
mod recount;
mod room;
mod seams;
mod seen;
mod sessions;
mod shopper;
mod slots;
mod snapshot;
mod spill;
mod stream;
mod sweep;
mod timers;
mod trackers;
mod unmerge;
mod warm;
mod watch;
mod words;

pub use config::{Config, Defect};
pub use counters::Counters;
pub use defined::mark_of_event;
pub use shopper::Shopper;
pub use snapshot::{Piece, SnapshotError, defined_in};
pub use spill::Spilling;
pub use stream::{Seam, Stream};
pub use warm::WARM;
pub use words::Words;
