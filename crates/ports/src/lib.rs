//! What the product asks of its engines.

#[cfg(feature = "exam")]
pub mod exam;
mod log;
mod snapshots;

pub use log::{Append, Done, Entry, Extent, Log, LogError, Position, Receipt, Unit, Wake};
pub use snapshots::{SnapshotDone, SnapshotPiece, Snapshots};
