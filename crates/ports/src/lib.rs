//! What the product asks of its engines.

#[cfg(feature = "exam")]
pub mod exam;
mod log;
mod snapshots;
mod vault;

pub use log::{Append, Done, Entry, Extent, Log, LogError, Position, Receipt, Unit, Wake};
pub use snapshots::{SnapshotDone, SnapshotPiece, Snapshots};
pub use vault::{Locked, Opened, Scope, Seal, Sealed, Unopened, Vault, VaultError};
