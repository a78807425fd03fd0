//! The embedded keystore: a key per shopper and per day, wrapped by a master key, in a private folder outside the log.
//!
//! What is sealed needs the key of its day, and the shopper's where it is somebody's. So two things make it unreadable for
//! good, on every copy of the log and in every backup of it: destroying the shopper's key, and the day's, when its time is
//! over.

mod cipher;
mod disk;
mod file;
mod files;
mod open;
mod store;

pub use files::{KeyDisk, KeyFile, RealKeyDisk};
pub use open::OpenError;
pub use store::{Config, Keystore, Reader};

/// ms.
const DAY_MS: i64 = 86_400_000;

/// Days since the epoch.
fn day_of(now_ms: i64) -> u32 {
    u32::try_from(now_ms.div_euclid(DAY_MS)).unwrap_or(0)
}
