//! A disk in memory with a durable and a volatile half, for simulations: it forgets, tears or flips what was not synced.

use crate::disk::{Disk, DiskFile, Lock, LockError};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A power loss keeps or loses unsynced bytes in units of this.
const SECTOR_BYTES: usize = 512;

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// The whole content of a disk, as it was.
#[derive(Clone)]
pub struct Image(BTreeMap<PathBuf, Vec<u8>>);

#[derive(Default)]
struct State {
    /// What processes see.
    names: BTreeMap<PathBuf, u64>,
    /// What a power loss leaves.
    durable_names: BTreeMap<PathBuf, u64>,
    /// What has been done to names since they were made durable, in order.
    name_changes: Vec<Change>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Handles of an earlier boot are dead.
    boot: u64,
    locked: bool,
    capacity: Option<u64>,
    fail_sync: bool,
    skip_sync: bool,
    syncs: u64,
    /// Changes that the process still gets done.
    steps: Option<u64>,
}

#[derive(Clone)]
enum Change {
    Put(PathBuf, u64),
    Move(PathBuf, PathBuf),
    Drop(PathBuf),
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
}

enum Write {
    Bytes(usize, Vec<u8>),
    Cut(usize),
}

struct Handle {
    disk: SimDisk,
    file: u64,
    boot: u64,
}

impl SimDisk {
    /// The process is gone; what it wrote is still in the page cache.
    pub fn kill(&self) {
        self.0.lock().end_process();
    }

    /// The process is gone after this many more changes to the disk: within one that may get done in part.
    pub fn kill_after(&self, changes: u64) {
        self.0.lock().steps = Some(changes);
    }

    /// The power is gone: of what was not synced, chance keeps some, loses some, tears some and flips bits in it.
    pub fn lose_power(&self, seed: u64) {
        let state = &mut *self.0.lock();
        let mut chance = Chance(seed);
        for change in state.name_changes.drain(..) {
            if chance.below(2) == 0 {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        for content in state.files.values_mut() {
            for write in content.pending.drain(..) {
                lose(&mut content.durable, write, &mut chance);
            }
            content.now = content.durable.clone();
        }
        state.end_process();
    }

    /// Flips a bit of a file that is there, wherever it is durable: what a disk does to bytes it has kept for long. The
    /// newest file whose name ends so, if there are two of the same beginning up to `-`; which bit, chance says.
    pub fn rot(&self, ending: &str, seed: u64) -> Option<PathBuf> {
        let state = &mut *self.0.lock();
        let names: Vec<_> = state.names.iter().filter(|(path, _)| path.to_string_lossy().ends_with(ending)).collect();
        let start = |path: &Path| path.to_string_lossy().split('-').next().map(str::to_owned);
        let pair = names.windows(2).find(|pair| start(pair[0].0) == start(pair[1].0))?;
        let (path, file) = (pair[1].0.clone(), *pair[1].1);
        let content = state.files.get_mut(&file)?;
        let bit = Chance(seed).below(content.now.len() as u64 * 8) as usize;
        for bytes in [&mut content.now, &mut content.durable] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Some(path)
    }

    /// Room for this many bytes in all; none is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// The next sync of a file fails, and what it was to make durable never will be, as on Linux.
    pub fn fail_next_sync(&self) {
        self.0.lock().fail_sync = true;
    }

    /// From now on syncs do nothing and say they did: what a log without fdatasync would be.
    pub fn skip_syncs(&self) {
        self.0.lock().skip_sync = true;
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// All that processes see now.
    pub fn image(&self) -> Image {
        let state = self.0.lock();
        let content = |file: &u64| state.files.get(file).map_or_else(Vec::new, |content| content.now.clone());
        Image(state.names.iter().map(|(path, file)| (path.clone(), content(file))).collect())
    }

    /// A disk with this content, all of it durable.
    pub fn of_image(image: &Image) -> Self {
        let mut state = State::default();
        for (path, bytes) in &image.0 {
            let file = state.next_file;
            state.next_file += 1;
            state.files.insert(file, Content { now: bytes.clone(), durable: bytes.clone(), pending: Vec::new() });
            state.names.insert(path.clone(), file);
        }
        state.durable_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Image {
    /// The files, to change at will.
    pub fn files(&mut self) -> &mut BTreeMap<PathBuf, Vec<u8>> {
        &mut self.0
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(file)).map(|content| content.now.len() as u64).sum()
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
        self.step()
    }

    fn end_process(&mut self) {
        self.boot += 1;
        self.locked = false;
        self.steps = None;
    }

    /// One change more.
    fn step(&mut self) -> io::Result<()> {
        match self.steps {
            Some(0) => {
                self.end_process();
                Err(io::Error::other("the process is stopped here"))
            }
            Some(steps) => {
                self.steps = Some(steps - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Put(path, file) => {
                names.insert(path, file);
            }
            Self::Move(from, to) => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            Self::Drop(path) => {
                names.remove(&path);
            }
        }
    }
}

/// What a power loss makes of an unsynced write.
fn lose(durable: &mut Vec<u8>, write: Write, chance: &mut Chance) {
    let (at, mut bytes) = match write {
        Write::Bytes(at, bytes) => (at, bytes),
        Write::Cut(len) => {
            if chance.below(2) == 0 {
                durable.truncate(len);
            }
            return;
        }
    };
    match chance.below(5) {
        0 => put(durable, at, &bytes),
        1 | 2 => {}
        3 => {
            let cut = chance.below(bytes.len() as u64 + 1) as usize;
            put(durable, at, &bytes[..cut]);
        }
        _ => {
            if let Some(last) = bytes.len().checked_sub(1) {
                let bit = chance.below(bytes.len() as u64 * 8);
                bytes[(bit / 8) as usize] ^= (chance.below(2) as u8) << (bit % 8);
                for (sector, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    if chance.below(2) == 0 {
                        put(durable, at + sector * SECTOR_BYTES, part);
                    }
                }
                // The size is metadata: it may have got there without the bytes.
                if chance.below(2) == 0 && durable.len() <= at + last {
                    durable.resize(at + last + 1, 0);
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.boot != self.boot {
            return Err(io::Error::other("the process that opened the file is gone"));
        }
        act(&mut state, self.file)
    }
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl DiskFile for Handle {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|state, file| {
            let used = state.used();
            let room = state.capacity.map(|capacity| capacity.saturating_sub(used));
            let content = state.files.get_mut(&file).ok_or_else(gone)?;
            let at = at as usize;
            let grows = (at + bytes.len()).saturating_sub(content.now.len());
            let lacking = room.map_or(0, |room| grows.saturating_sub(room as usize));
            let fits = &bytes[..bytes.len() - lacking];
            put(&mut content.now, at, fits);
            content.pending.push(Write::Bytes(at, fits.to_vec()));
            state.step()?;
            if lacking > 0 { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        })
    }
    fn sync(&self) -> io::Result<()> {
        self.with(|state, file| {
            state.step()?;
            state.syncs += 1;
            let (fail, skip) = (std::mem::take(&mut state.fail_sync), state.skip_sync);
            let content = state.files.get_mut(&file).ok_or_else(gone)?;
            if fail {
                // The kernel calls the pages clean: they are seen, but no later sync writes them.
                content.pending.clear();
                return Err(io::Error::from_raw_os_error(5));
            }
            if !skip {
                for write in content.pending.drain(..) {
                    match write {
                        Write::Bytes(at, bytes) => put(&mut content.durable, at, &bytes),
                        Write::Cut(len) => content.durable.truncate(len),
                    }
                }
            }
            Ok(())
        })
    }
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.with(|state, file| {
            let content = &state.files.get(&file).ok_or_else(gone)?.now;
            let at = at as usize;
            let from = content.get(at..at + bytes.len());
            bytes.copy_from_slice(from.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|state, file| {
            let content = state.files.get_mut(&file).ok_or_else(gone)?;
            content.now.truncate(len as usize);
            content.pending.push(Write::Cut(len as usize));
            state.step()
        })
    }
    fn size(&self) -> io::Result<u64> {
        self.with(|state, file| Ok(state.files.get(&file).ok_or_else(gone)?.now.len() as u64))
    }
}

/// Lets the folder go when dropped, unless the process was gone before.
struct Held {
    disk: SimDisk,
    boot: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.boot == self.boot {
            state.locked = false;
        }
    }
}

/// A process on a simulated disk: after `kill` or `lose_power` what it does fails.
pub struct SimProcess {
    disk: SimDisk,
    boot: u64,
}

impl SimDisk {
    /// The disk as a process started now sees it.
    pub fn process(&self) -> Arc<dyn Disk> {
        Arc::new(SimProcess { disk: self.clone(), boot: self.0.lock().boot })
    }
}

impl SimProcess {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.boot != self.boot {
            return Err(io::Error::other("this process is gone"));
        }
        act(&mut state)
    }
    fn handle(&self, file: u64) -> Arc<dyn DiskFile> {
        Arc::new(Handle { disk: self.disk.clone(), file, boot: self.boot })
    }
}

impl Disk for SimProcess {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        self.with(|_| Ok(()))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.with(|state| {
            if state.capacity.is_some_and(|capacity| state.used() >= capacity) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let file = state.next_file;
            state.next_file += 1;
            state.files.insert(file, Content::default());
            state.change(Change::Put(path.to_owned(), file))?;
            Ok(self.handle(file))
        })
    }
    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.with(|state| state.names.get(path).map(|file| self.handle(*file)).ok_or_else(gone))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            state.names.get(from).ok_or_else(gone)?;
            state.change(Change::Move(from.to_owned(), to.to_owned()))
        })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.names.get(path).ok_or_else(gone)?;
            state.change(Change::Drop(path.to_owned()))
        })
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            if !state.skip_sync {
                state.durable_names = state.names.clone();
                state.name_changes.clear();
            }
            Ok(())
        })
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|state| {
            let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
            Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
        })
    }
    fn lock(&self, _: &Path) -> Result<Lock, LockError> {
        let mut state = self.disk.0.lock();
        if std::mem::replace(&mut state.locked, true) {
            return Err(LockError::Held("in the simulation".into()));
        }
        Ok(Box::new(Held { disk: self.disk.clone(), boot: self.boot }))
    }
}
