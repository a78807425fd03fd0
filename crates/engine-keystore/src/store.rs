//! The keystore: keys in memory, still wrapped; one thread that makes and destroys them on the disk.

use crate::cipher::{Head, Key, Master, NoRandom};
use crate::day_of;
use crate::disk::{Ask, Disk};
use crate::file::{self, Entry, Id, Kind, Wrapped};
use crate::files::{KeyDisk, RealKeyDisk};
use crate::open::{OpenError, at, load, make_master, private, read_master};
use hashbrown::HashMap;
use midsession_event::ShopperId;
use midsession_ports::{Locked, Opened, Scope, Seal, Sealed, Unopened, Vault, VaultError};
use parking_lot::{Mutex, RwLock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

/// Requests that may wait for the disk.
const WAITING_MAX: usize = 4_096;
/// Settings of the keystore.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its folder, readable by its owner alone.
    pub folder: PathBuf,
    /// Shoppers' keys at most; what is personal of others is not kept.
    pub keys_max: usize,
    /// How long personal fields can be opened. Days.
    pub keep_personal_days: u32,
    /// How long the bytes of refused events can be opened. Days.
    pub keep_dead_letter_days: u32,
    /// The master key, where it is kept elsewhere; else `master.key` in the folder, made at the first start.
    pub master: Option<Key>,
}

/// A key as it is kept in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub kind: Kind,
    pub day: u32,
    pub wrapped: Wrapped,
}

/// The keys in memory.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub by_id: HashMap<Id, Held>,
    /// How many of them are shoppers'.
    pub shoppers: usize,
}

impl Keys {
    pub fn put(&mut self, entry: &Entry) {
        let held = Held { kind: entry.kind, day: entry.day, wrapped: entry.wrapped };
        if self.by_id.insert(entry.id, held).is_none() {
            self.shoppers += usize::from(entry.kind == Kind::Shopper);
        }
    }

    pub fn take(&mut self, id: &Id) -> bool {
        let Some(held) = self.by_id.remove(id) else { return false };
        self.shoppers -= usize::from(held.kind == Kind::Shopper);
        true
    }
}

/// What the writer and its users share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub config: Config,
    pub master: Master,
    pub keys: RwLock<Keys>,
    /// Why no more keys are made.
    pub failed: Mutex<Option<String>>,
}

impl Shared {
    fn key(&self, keys: &Keys, kind: Kind, id: &Id) -> Option<Key> {
        let held = keys.by_id.get(id).filter(|held| held.kind == kind)?;
        self.master.unwrap(kind, id, &held.wrapped)
    }

    fn day_id(&self, scope: Scope, day: u32) -> Id {
        self.master.id(Kind::of_day(scope), &day.to_string())
    }

    fn shopper_id(&self, whose: &ShopperId) -> Id {
        self.master.id(Kind::Shopper, &whose.to_string())
    }

    /// The keys that this needs.
    pub fn needs(&self, item: &Seal, day: u32) -> [Option<(Kind, Id)>; 2] {
        let of_day = (Kind::of_day(item.scope), self.day_id(item.scope, day));
        [Some(of_day), item.whose.as_ref().map(|whose| (Kind::Shopper, self.shopper_id(whose)))]
    }

    /// Whether all keys are there and known to be in use today.
    fn is_ready(&self, items: &[Seal], day: u32) -> bool {
        let keys = self.keys.read();
        items.iter().flat_map(|item| self.needs(item, day)).flatten().all(|(_, id)| {
            let held = keys.by_id.get(&id);
            held.is_some_and(|held| held.day >= day)
        })
    }

    /// Seals with the keys there are.
    pub fn seal(&self, items: &[Seal], day: u32) -> Result<Sealed, VaultError> {
        let keys = self.keys.read();
        items
            .iter()
            .map(|item| {
                let day_key = self.key(&keys, Kind::of_day(item.scope), &self.day_id(item.scope, day));
                let Some(day_key) = day_key else { return Ok(None) };
                let id = item.whose.as_ref().map(|whose| self.shopper_id(whose));
                let shopper = match id {
                    None => None,
                    Some(id) => match self.key(&keys, Kind::Shopper, &id) {
                        Some(key) => Some(key),
                        None => return Ok(None),
                    },
                };
                let head = Head::new(item.scope, day, id).map_err(no_random)?;
                Ok(head.seal(&day_key, shopper.as_ref(), &item.bound, &item.plain))
            })
            .collect()
    }

    fn open(&self, bound: &str, sealed: &[u8]) -> Opened {
        let head = Head::read(sealed)?;
        let keys = self.keys.read();
        let day = self.key(&keys, Kind::of_day(head.scope), &self.day_id(head.scope, head.day));
        let shopper = head.shopper.map(|id| self.key(&keys, Kind::Shopper, &id).ok_or(Unopened::NoKey)).transpose()?;
        drop(keys);
        head.open(&day.ok_or(Unopened::NoKey)?, shopper.as_ref(), bound, sealed)
    }

    /// Whether a key has no use any more: nothing that it opens is to be opened.
    pub fn is_over(&self, held: &Held, today: u32) -> bool {
        let days = match held.kind {
            Kind::Shopper | Kind::DayPersonal => self.config.keep_personal_days,
            Kind::DayDeadLetter => self.config.keep_dead_letter_days,
            Kind::Secret => return false,
        };
        held.day.saturating_add(days) < today
    }
}

pub(crate) fn no_random(_: NoRandom) -> VaultError {
    VaultError::Failed { cause: "the operating system gives no random bytes".into() }
}

/// A keystore that this process owns.
#[derive(Debug)]
pub struct Keystore {
    shared: Arc<Shared>,
    asks: Option<SyncSender<Ask>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A keystore to be looked at beside its owner.
#[derive(Debug)]
pub struct Reader {
    shared: Shared,
}

impl Reader {
    /// Reads the keys as they are now.
    ///
    /// # Errors
    /// There is no keystore, or it can't be read.
    pub fn open(folder: &Path, master: Option<Key>) -> Result<Self, OpenError> {
        let config =
            Config { folder: folder.to_owned(), keys_max: 0, keep_personal_days: 0, keep_dead_letter_days: 0, master };
        let master = Master::new(&match master {
            Some(key) => key,
            None => read_master(&folder.join("master.key"))?,
        });
        let (keys, _) = load(&RealKeyDisk, &folder.join("keys"), &master)?;
        Ok(Self { shared: Shared { config, master, keys: RwLock::new(keys), failed: Mutex::default() } })
    }

    /// A secret that is kept under this name.
    pub fn secret(&self, name: &str) -> Option<Key> {
        let id = self.shared.master.id(Kind::Secret, name);
        self.shared.key(&self.shared.keys.read(), Kind::Secret, &id)
    }

    /// Opens what was sealed for this record.
    ///
    /// # Errors
    /// Its key is not there, or it is not what was sealed.
    pub fn unseal(&self, bound: &str, sealed: &[u8]) -> Opened {
        self.shared.open(bound, sealed)
    }
}

impl Keystore {
    /// Opens the keystore of a folder, or makes one. What is past its time by now is destroyed.
    ///
    /// # Errors
    /// It is another process's, not private, damaged, or of another master key.
    pub fn open(config: Config, now_ms: i64) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealKeyDisk), config, now_ms)
    }

    /// The same, with its file of keys on another disk. The folder, its lock and the master key are on this machine's.
    ///
    /// # Errors
    /// As there.
    pub fn open_on(files: Arc<dyn KeyDisk>, config: Config, now_ms: i64) -> Result<Self, OpenError> {
        let folder = config.folder.clone();
        if !folder.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(at(&folder))?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(at(parent))?;
            }
        }
        private(&RealKeyDisk, &folder, 0o700)?;
        let lock_path = folder.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(at(&lock_path))?;
        if lock.try_lock().is_err() {
            return Err(OpenError::Locked { folder: folder.display().to_string() });
        }
        let (path, master_path) = (folder.join("keys"), folder.join("master.key"));
        let secret = match config.master {
            Some(key) => key,
            // Keys without their master key are lost; a new one would say so only when it is too late.
            None if master_path.exists() || files.mode(&path).is_ok() => read_master(&master_path)?,
            None => make_master(&folder, &master_path)?,
        };
        let master = Master::new(&secret);
        let (keys, end) = load(files.as_ref(), &path, &master)?;
        let shared = Arc::new(Shared { config, master, keys: RwLock::new(keys), failed: Mutex::default() });
        let (file, end, batch) = match end {
            None => {
                let made = file::write(files.as_ref(), &path, &shared.master.check, &[]).map_err(at(&path))?;
                file::put(files.as_ref(), &folder, &path).map_err(at(&path))?;
                made
            }
            Some((end, batch)) => {
                private(files.as_ref(), &path, 0o600)?;
                let file = files.open(&path).map_err(at(&path))?;
                // What was being written when the power went.
                file.truncate(end).and_then(|()| file.sync()).map_err(at(&path))?;
                (file, end, batch)
            }
        };
        let mut disk = Disk { shared: Arc::clone(&shared), files, lock, path, file, end, batch };
        disk.expire(day_of(now_ms));
        let (asks, inbox) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("keystore".into()).spawn(move || disk.run(&inbox));
        let thread = thread.map_err(at(&folder))?;
        Ok(Self { shared, asks: Some(asks), thread: Some(thread) })
    }

    /// A secret that is kept under this name, the same for good; `initial` is what it is made as.
    ///
    /// # Errors
    /// It can't be made durable.
    pub fn secret(&self, name: &str, initial: Key) -> Result<Key, VaultError> {
        let id = self.shared.master.id(Kind::Secret, name);
        let kept = || self.shared.key(&self.shared.keys.read(), Kind::Secret, &id);
        if let Some(key) = kept() {
            return Ok(key);
        }
        self.wait(|done| Ask::Secret { id, initial, done })?;
        kept().ok_or(VaultError::Busy)
    }

    fn ask(&self, ask: Ask) -> Result<(), (VaultError, Ask)> {
        if let Some(cause) = self.shared.failed.lock().clone() {
            return Err((VaultError::Failed { cause }, ask));
        }
        let Some(asks) = &self.asks else { return Err((VaultError::Busy, ask)) };
        asks.try_send(ask).map_err(|error| match error {
            TrySendError::Full(ask) | TrySendError::Disconnected(ask) => (VaultError::Busy, ask),
        })
    }

    fn wait<T>(&self, ask: impl FnOnce(SyncSender<Result<T, VaultError>>) -> Ask) -> Result<T, VaultError> {
        let (done, answer) = sync_channel(1);
        self.ask(ask(done)).map_err(|(error, _)| error)?;
        answer.recv().unwrap_or(Err(VaultError::Busy))
    }
}

impl Drop for Keystore {
    fn drop(&mut self) {
        // The thread ends when nobody can ask any more.
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Vault for Keystore {
    fn seal(&self, items: Vec<Seal>, now_ms: i64, done: Locked) {
        let day = day_of(now_ms);
        if self.shared.is_ready(&items, day) {
            return done(self.shared.seal(&items, day));
        }
        match self.ask(Ask::Seal { items, day, done }) {
            Ok(()) => {}
            Err((error, Ask::Seal { done, .. })) => done(Err(error)),
            Err(_) => {}
        }
    }

    fn open(&self, bound: &str, sealed: &[u8]) -> Opened {
        self.shared.open(bound, sealed)
    }

    fn destroy(&self, whose: &[ShopperId]) -> Result<usize, VaultError> {
        let ids = whose.iter().map(|whose| self.shared.shopper_id(whose)).collect();
        self.wait(|done| Ask::Destroy { ids, done })
    }

    fn expire(&self, now_ms: i64) {
        // Busy: the next time will do.
        let _ = self.ask(Ask::Expire { today: day_of(now_ms) });
    }

    fn keys(&self) -> usize {
        self.shared.keys.read().shoppers
    }
}
