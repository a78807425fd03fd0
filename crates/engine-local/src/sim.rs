//! A disk in memory with a durable and a volatile half, for simulations: it forgets, tears or flips what was not synced.

use crate::disk::{Disk, DiskFile, Lock, LockError};
use crate::failpoint::{Asked, Failpoint, Failpoints, Fails, kind_of};
use crate::loss::{Chance, Change, Write, lose, put};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    failpoints: Failpoints,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
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

    /// This failpoint fails once, after it was passed so often.
    pub fn fail_at(&self, failpoint: Failpoint, after: u64, fails: Fails) {
        self.count_failpoints();
        self.0.lock().failpoints.set = Some((failpoint, after, fails));
    }

    /// What happened at the failpoint that was set, since this was asked last.
    pub fn take_fired(&self) -> Option<Fails> {
        self.0.lock().failpoints.fired.take()
    }

    /// From now on failpoints are counted.
    pub fn count_failpoints(&self) {
        self.0.lock().failpoints.is_on = true;
    }

    /// From now on failpoints are not counted any more, and none fails.
    pub fn end_failpoints(&self) {
        let failpoints = &mut self.0.lock().failpoints;
        (failpoints.is_on, failpoints.set) = (false, None);
    }

    /// How often each failpoint was passed since they have been counted.
    pub fn passed(&self) -> BTreeMap<Failpoint, u64> {
        self.0.lock().failpoints.passed.clone()
    }

    /// Who asks from now on is not the process: nothing fails.
    pub fn observe(&self, is_observed: bool) {
        self.0.lock().failpoints.is_observed = is_observed;
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

    /// A failpoint is passed: what happens there, where nothing can be half done.
    fn pass_whole(&mut self, asked: Asked, path: &Path) -> io::Result<Option<Fails>> {
        let fails = self.failpoints.pass(asked, || kind_of(path));
        if fails == Some(Fails::Error) { Err(io_error()) } else { Ok(fails) }
    }

    /// The process is gone after what it asked for was done.
    fn after(&mut self, fails: Option<Fails>) -> io::Result<()> {
        if fails == Some(Fails::Crash) {
            self.end_process();
            return Err(io::Error::other("the process is stopped here"));
        }
        Ok(())
    }

    /// The same of an open file; what is half done is the caller's.
    fn pass_file(&mut self, asked: Asked, file: u64) -> Option<Fails> {
        let Self { failpoints, names, .. } = self;
        let path = || names.iter().find(|(_, known)| **known == file).map(|(path, _)| kind_of(path));
        failpoints.pass(asked, || path().unwrap_or_default())
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

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.boot != self.boot {
            return Err(io::Error::other("the process that opened the file is gone"));
        }
        act(&mut state, self.file)
    }
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl DiskFile for Handle {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|state, file| {
            let fails = state.pass_file(Asked::Write, file);
            let bytes = if fails == Some(Fails::Error) { &bytes[..bytes.len() / 2] } else { bytes };
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
            state.after(fails)?;
            if fails == Some(Fails::Error) {
                return Err(io_error());
            }
            if lacking > 0 { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        })
    }
    fn sync(&self) -> io::Result<()> {
        self.with(|state, file| {
            state.step()?;
            state.syncs += 1;
            let fails = state.pass_file(Asked::Sync, file);
            let fail = std::mem::take(&mut state.fail_sync) || fails == Some(Fails::Error);
            let skip = state.skip_sync;
            let content = state.files.get_mut(&file).ok_or_else(gone)?;
            if fail {
                // The kernel calls the pages clean: they are seen, but no later sync writes them.
                content.pending.clear();
                return Err(io_error());
            }
            if !skip {
                for write in content.pending.drain(..) {
                    match write {
                        Write::Bytes(at, bytes) => put(&mut content.durable, at, &bytes),
                        Write::Cut(len) => content.durable.truncate(len),
                    }
                }
            }
            state.after(fails)
        })
    }
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.with(|state, file| {
            let fails = state.pass_file(Asked::Read, file);
            if fails == Some(Fails::Error) {
                return Err(io_error());
            }
            state.after(fails)?;
            let content = &state.files.get(&file).ok_or_else(gone)?.now;
            let at = at as usize;
            let from = content.get(at..at + bytes.len());
            bytes.copy_from_slice(from.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|state, file| {
            let fails = state.pass_file(Asked::Cut, file);
            if fails == Some(Fails::Error) {
                return Err(io_error());
            }
            let content = state.files.get_mut(&file).ok_or_else(gone)?;
            content.now.truncate(len as usize);
            content.pending.push(Write::Cut(len as usize));
            state.step()?;
            state.after(fails)
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
            let fails = state.pass_whole(Asked::Create, path)?;
            if state.capacity.is_some_and(|capacity| state.used() >= capacity) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let file = state.next_file;
            state.next_file += 1;
            state.files.insert(file, Content::default());
            state.change(Change::Put(path.to_owned(), file))?;
            state.after(fails)?;
            Ok(self.handle(file))
        })
    }
    fn open(&self, path: &Path, _: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.with(|state| {
            let fails = state.pass_whole(Asked::Open, path)?;
            state.after(fails)?;
            state.names.get(path).map(|file| self.handle(*file)).ok_or_else(gone)
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            let fails = state.pass_whole(Asked::Rename, to)?;
            state.names.get(from).ok_or_else(gone)?;
            state.change(Change::Move(from.to_owned(), to.to_owned()))?;
            state.after(fails)
        })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            let fails = state.pass_whole(Asked::Remove, path)?;
            state.names.get(path).ok_or_else(gone)?;
            state.change(Change::Drop(path.to_owned()))?;
            state.after(fails)
        })
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.with(|state| {
            let fails = state.pass_whole(Asked::SyncFolder, folder)?;
            state.step()?;
            if !state.skip_sync {
                state.durable_names = state.names.clone();
                state.name_changes.clear();
            }
            state.after(fails)
        })
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|state| {
            let fails = state.pass_whole(Asked::List, folder)?;
            state.after(fails)?;
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
