//! The one that writes: makes keys, several requests' in one write, and destroys them by writing the file anew.

use crate::cipher::{self, Key, NoRandom};
use crate::file::{self, Entry, Id, Kind};
use crate::files::{KeyDisk, KeyFile};
use crate::store::{Shared, no_random};
use hashbrown::{HashMap, HashSet};
use midsession_ports::{Locked, Seal, VaultError};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

/// Requests that share one write.
const TOGETHER_MAX: usize = 512;

/// What is asked of it.
pub(crate) enum Ask {
    Seal { items: Vec<Seal>, day: u32, done: Locked },
    Secret { id: Id, initial: Key, done: SyncSender<Result<(), VaultError>> },
    Destroy { ids: Vec<Id>, done: SyncSender<Result<usize, VaultError>> },
    Expire { today: u32 },
}

/// The one that writes.
pub(crate) struct Disk {
    pub shared: Arc<Shared>,
    /// Held for as long as it writes.
    #[expect(dead_code, reason = "it is held, not used")]
    pub lock: File,
    pub files: Arc<dyn KeyDisk>,
    pub path: PathBuf,
    pub file: Box<dyn KeyFile>,
    /// Where the last entry ends.
    pub end: u64,
    /// The last number given.
    pub batch: u32,
}

impl Disk {
    pub fn run(&mut self, inbox: &Receiver<Ask>) {
        while let Ok(first) = inbox.recv() {
            let mut together = vec![first];
            together.extend(inbox.try_iter().take(TOGETHER_MAX));
            self.serve(together);
        }
    }

    /// Makes all keys that are asked for in one write, then answers.
    fn serve(&mut self, asks: Vec<Ask>) {
        let made = self.make(&asks);
        for ask in asks {
            match ask {
                Ask::Seal { items, day, done } => done(made.clone().and_then(|()| self.shared.seal(&items, day))),
                // Who asked may have gone: it is done all the same.
                Ask::Secret { done, .. } => drop(done.try_send(made.clone())),
                Ask::Destroy { ids, done } => drop(done.try_send(self.destroy(&ids))),
                Ask::Expire { today } => self.expire(today),
            }
        }
    }

    fn make(&mut self, asks: &[Ask]) -> Result<(), VaultError> {
        let batch = self.batch.wrapping_add(1);
        let mut made: HashMap<Id, Entry> = HashMap::new();
        let keys = self.shared.keys.read();
        let mut room = self.shared.config.keys_max.saturating_sub(keys.shoppers);
        let mut need = |kind: Kind, id: Id, day: u32, key: Option<Key>| -> Result<(), NoRandom> {
            let held = made.get(&id).map(|entry| (entry.day, entry.wrapped));
            let held = held.or_else(|| keys.by_id.get(&id).map(|held| (held.day, held.wrapped)));
            let wrapped = match held {
                Some((known, _)) if known >= day => return Ok(()),
                Some((_, wrapped)) => wrapped,
                None if kind == Kind::Shopper && room == 0 => return Ok(()),
                None => {
                    room -= usize::from(kind == Kind::Shopper);
                    let key = key.map_or_else(cipher::random, Ok)?;
                    self.shared.master.wrap(kind, &id, &key)?
                }
            };
            made.insert(id, Entry { kind, batch, day, id, wrapped });
            Ok(())
        };
        for ask in asks {
            match ask {
                Ask::Seal { items, day, .. } => {
                    for (kind, id) in items.iter().flat_map(|item| self.shared.needs(item, *day)).flatten() {
                        need(kind, id, *day, None).map_err(no_random)?;
                    }
                }
                Ask::Secret { id, initial, .. } => need(Kind::Secret, *id, 0, Some(*initial)).map_err(no_random)?,
                Ask::Destroy { .. } | Ask::Expire { .. } => {}
            }
        }
        drop(keys);
        if made.is_empty() {
            return Ok(());
        }
        if let Some(cause) = self.shared.failed.lock().clone() {
            return Err(VaultError::Failed { cause });
        }
        let entries: Vec<Entry> = made.into_values().collect();
        match file::append(self.file.as_ref(), self.end, &entries) {
            Ok(end) => {
                (self.end, self.batch) = (end, batch);
                let mut keys = self.shared.keys.write();
                entries.iter().for_each(|entry| keys.put(entry));
                Ok(())
            }
            Err(error) => Err(self.trouble(&error)),
        }
    }

    /// A full disk is over when there is room; anything else ends the making of keys: a second sync of the same file could
    /// say yes to what the kernel has dropped.
    fn trouble(&self, error: &io::Error) -> VaultError {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full && self.file.truncate(self.end).and_then(|()| self.file.sync()).is_ok() {
            return VaultError::DiskFull { folder: self.shared.config.folder.display().to_string() };
        }
        self.stop(error)
    }

    fn stop(&self, error: &io::Error) -> VaultError {
        let cause = format!("{}: {error}", self.path.display());
        tracing::error!(%cause, "the keystore makes no more keys");
        *self.shared.failed.lock() = Some(cause.clone());
        VaultError::Failed { cause }
    }

    fn destroy(&mut self, ids: &[Id]) -> Result<usize, VaultError> {
        let known: HashSet<Id> = {
            let keys = self.shared.keys.read();
            ids.iter().filter(|id| keys.by_id.contains_key(*id)).copied().collect()
        };
        self.rewrite(&known)?;
        Ok(known.len())
    }

    pub fn expire(&mut self, today: u32) {
        let over: HashSet<Id> = {
            let keys = self.shared.keys.read();
            let over = keys.by_id.iter().filter(|(_, held)| self.shared.is_over(held, today));
            over.map(|(id, _)| *id).collect()
        };
        if let Err(error) = self.rewrite(&over) {
            tracing::warn!(%error, "keys past their time could not be destroyed; tried again later");
        }
    }

    /// Writes the file anew without these: their bytes leave the disk with the old file.
    fn rewrite(&mut self, without: &HashSet<Id>) -> Result<(), VaultError> {
        if without.is_empty() {
            return Ok(());
        }
        let left: Vec<Entry> = {
            let keys = self.shared.keys.read();
            let left = keys.by_id.iter().filter(|(id, _)| !without.contains(*id));
            left.map(|(id, held)| Entry { kind: held.kind, batch: 0, day: held.day, id: *id, wrapped: held.wrapped })
                .collect()
        };
        let folder = &self.shared.config.folder;
        let written = file::write(self.files.as_ref(), &self.path, &self.shared.master.check, &left);
        // So far nothing has changed: it can be tried again.
        let (file, end, batch) = written.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                VaultError::DiskFull { folder: folder.display().to_string() }
            }
            _ => VaultError::Failed { cause: format!("{}: {error}", self.path.display()) },
        })?;
        // From here on it is not known which of the two files a power loss leaves.
        file::put(self.files.as_ref(), folder, &self.path).map_err(|error| self.stop(&error))?;
        (self.file, self.end, self.batch) = (file, end, batch);
        let mut keys = self.shared.keys.write();
        for id in without {
            keys.take(id);
        }
        Ok(())
    }
}
