//! The vault, as the product asks for it: seal what is personal under keys that can be destroyed, and open it again.

use midsession_event::{ShopperId, Str};

/// What is sealed together: it has days with keys of their own, and a time after which they are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Personal fields, under the shopper's key too.
    Personal,
    /// Bytes of refused events: nobody knows whose they are.
    DeadLetter,
}

/// Something to be sealed.
#[derive(Clone, Debug)]
pub struct Seal {
    /// Under which keys.
    pub scope: Scope,
    /// Whose key too.
    pub whose: Option<ShopperId>,
    /// The record that it stands in: sealed bytes open in no other one.
    pub bound: Str,
    /// What is sealed.
    pub plain: Vec<u8>,
}

/// Each of what was to be sealed, in order; `None` where there is no room for another shopper's key: it is not kept.
pub type Sealed = Vec<Option<Vec<u8>>>;

/// Called once, when the keys used are durable, or with the reason why they are not.
pub type Locked = Box<dyn FnOnce(Result<Sealed, VaultError>) + Send>;

/// Why keys can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Too many wait for it. Try again later.
    #[error("the keystore is busy; try again in a moment")]
    Busy,
    /// The disk is full. Try again when there is room.
    #[error("no space left for the keystore in {folder}; free some, it resumes by itself")]
    DiskFull {
        /// Its folder.
        folder: String,
    },
    /// A write or fsync failed: no new keys until a restart.
    #[error("the keystore stopped: {cause}; restart, what was sealed can still be opened")]
    Failed {
        /// What happened.
        cause: String,
    },
}

/// What was sealed.
pub type Opened = Result<Vec<u8>, Unopened>;

/// Why something can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Its key is not in the keystore: destroyed, past its time, or of another keystore.
    #[error("its key has been destroyed, or is in another keystore")]
    NoKey,
    /// It is not what was sealed, or stands in another record.
    #[error("these bytes were not sealed for this record")]
    NotThis,
}

/// Keeps keys outside the log. Sealing is quick where the keys are known, and waits for the disk where they are new.
pub trait Vault: Send + Sync {
    /// Seals each of these; `done` is called at once, or when new keys are durable. `now_ms` says which day it is.
    fn seal(&self, items: Vec<Seal>, now_ms: i64, done: Locked);

    /// Opens what was sealed for this record.
    fn open(&self, bound: &str, sealed: &[u8]) -> Opened;

    /// Destroys the keys of these shoppers: nothing sealed under them can be opened again. Says how many there were,
    /// once they are gone from the disk. Waits for it: not to be called where others wait.
    fn destroy(&self, whose: &[ShopperId]) -> Result<usize, VaultError>;

    /// Destroys what is past its time by then.
    fn expire(&self, now_ms: i64);

    /// How many keys there are.
    fn keys(&self) -> usize;
}
