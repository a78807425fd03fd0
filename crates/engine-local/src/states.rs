//! Snapshots of partitions, a file each: frames like the journal's, with an empty one at the end.
//!
//! A file gets its name when it is whole and durable. Whatever does not match its checksum is refused by the reader.

use crate::disk::{Disk, DiskFile};
use crate::frame::{self, FRAME_HEAD_BYTES};
use crate::journal::{UNFINISHED, io_error, with_suffix};
use midsession_event::PartitionId;
use midsession_ports::{LogError, SnapshotDone, SnapshotPiece, Snapshots};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

/// So many of each partition are kept: the last one, and the one before in case the last is damaged.
const KEPT: usize = 2;
/// Bytes written between two syncs: one large sync would hold up the log's small ones.
const SYNC_EVERY_BYTES: u64 = 4 << 20;

const ENDING: &str = ".state";

/// Snapshots in a folder of a data folder.
pub struct LocalSnapshots {
    core: Arc<Core>,
    /// Pieces on their way to the thread; none: the caller's thread writes.
    queue: Option<mpsc::Sender<(SnapshotPiece, SnapshotDone)>>,
    thread: Option<JoinHandle<()>>,
}

struct Core {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    unfinished: Mutex<HashMap<PartitionId, Unfinished>>,
}

struct Unfinished {
    next: i64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    synced: u64,
    frames: u64,
}

impl LocalSnapshots {
    /// Opens `snapshots/` in a data folder (made if missing) with a thread that writes.
    pub fn open(disk: Arc<dyn Disk>, data: &Path) -> Result<Self, LogError> {
        let mut snapshots = Self::open_threadless(disk, data)?;
        // Not bounded here: each owner has one piece on its way.
        let (queue, pieces) = mpsc::channel::<(SnapshotPiece, SnapshotDone)>();
        let core = snapshots.core.clone();
        let run = move || pieces.into_iter().for_each(|(piece, done)| done(core.write(piece)));
        let thread = std::thread::Builder::new().name("snapshots".into()).spawn(run);
        let failed = |error| LogError::Failed { cause: format!("can't start the thread for snapshots: {error}") };
        (snapshots.queue, snapshots.thread) = (Some(queue), Some(thread.map_err(failed)?));
        Ok(snapshots)
    }

    /// Opens it without a thread: whoever writes waits for the disk.
    pub fn open_threadless(disk: Arc<dyn Disk>, data: &Path) -> Result<Self, LogError> {
        let folder = data.join("snapshots");
        let failed = |error: io::Error| io_error(&folder, &folder, "open", &error);
        disk.make_folder(&folder).map_err(failed)?;
        for name in disk.list(&folder).map_err(failed)? {
            if name.ends_with(UNFINISHED) {
                // What an earlier process did not finish; another try is made when it can't be removed.
                let _ = disk.remove(&folder.join(name));
            }
        }
        let core = Arc::new(Core { disk, folder, unfinished: Mutex::default() });
        Ok(Self { core, queue: None, thread: None })
    }

    /// Only to be read from, also in use by another process; nothing is made and nothing removed.
    pub fn look(disk: Arc<dyn Disk>, data: &Path) -> Self {
        let core = Arc::new(Core { disk, folder: data.join("snapshots"), unfinished: Mutex::default() });
        Self { core, queue: None, thread: None }
    }
}

impl Drop for LocalSnapshots {
    fn drop(&mut self) {
        self.queue = None;
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread))
            && thread.join().is_err()
        {
            tracing::error!("the thread for snapshots panicked");
        }
    }
}

impl Snapshots for LocalSnapshots {
    fn write(&self, piece: SnapshotPiece, done: SnapshotDone) {
        match &self.queue {
            None => done(self.core.write(piece)),
            Some(queue) => {
                if let Err(mpsc::SendError((_, done))) = queue.send((piece, done)) {
                    done(Err(LogError::Snapshot { cause: "the thread for snapshots has stopped".into() }));
                }
            }
        }
    }

    fn list(&self, partition: PartitionId) -> Result<Vec<i64>, LogError> {
        self.core.list(partition)
    }

    fn set_aside(&self, partition: PartitionId, next: i64) -> Result<(), LogError> {
        let Core { disk, folder, .. } = self.core.as_ref();
        let path = self.core.path(partition, next);
        let moved = disk.rename(&path, &with_suffix(&path, ".damaged")).and_then(|()| disk.sync_folder(folder));
        moved.map_err(|error| io_error(folder, &path, "rename", &error))
    }

    fn open(&self, partition: PartitionId, next: i64) -> Result<Box<dyn BufRead + Send>, LogError> {
        let path = self.core.path(partition, next);
        let failed = |error: io::Error| io_error(&self.core.folder, &path, "open", &error);
        let file = self.core.disk.open(&path, false).map_err(failed)?;
        let size = file.size().map_err(failed)?;
        let frames =
            Frames { file, path, size, at: 0, salt: salt(partition, next), frames: 0, body: Vec::new(), read: 0 };
        Ok(Box::new(frames))
    }
}

/// Whatever is wrong here costs a snapshot, not the log.
fn trouble(folder: &Path, path: &Path, verb: &str, error: &io::Error) -> LogError {
    match io_error(folder, path, verb, error) {
        LogError::Failed { cause } => LogError::Snapshot { cause },
        full => full,
    }
}

/// Bytes of another snapshot don't pass for this one's.
fn salt(partition: PartitionId, next: i64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&partition.0.to_le_bytes()), &next.to_le_bytes())
}

impl Core {
    fn path(&self, partition: PartitionId, next: i64) -> PathBuf {
        self.folder.join(format!("{}-{next:016}{ENDING}", partition.0))
    }

    fn list(&self, partition: PartitionId) -> Result<Vec<i64>, LogError> {
        let names =
            self.disk.list(&self.folder).map_err(|error| io_error(&self.folder, &self.folder, "list", &error))?;
        let of = |name: &String| {
            let (number, next) = name.strip_suffix(ENDING)?.split_once('-')?;
            (number.parse() == Ok(partition.0)).then(|| next.parse().ok()).flatten()
        };
        let mut found: Vec<i64> = names.iter().filter_map(of).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    fn write(&self, piece: SnapshotPiece) -> Result<(), LogError> {
        let mut unfinished = self.unfinished.lock();
        if piece.is_first
            && let Some(given_up) = unfinished.remove(&piece.partition)
        {
            // It gives its room back; if not now, then at the next start.
            let _ = self.disk.remove(&given_up.path);
        }
        let path = self.path(piece.partition, piece.next);
        let temporary = with_suffix(&path, UNFINISHED);
        let written = (|| {
            let mut state = match unfinished.remove(&piece.partition) {
                Some(state) if state.next == piece.next => state,
                _ => Unfinished {
                    next: piece.next,
                    file: self.disk.create(&temporary)?,
                    path: temporary.clone(),
                    bytes: 0,
                    synced: 0,
                    frames: 0,
                },
            };
            if !piece.bytes.is_empty() {
                state.append(&piece.bytes, salt(piece.partition, piece.next))?;
            }
            if piece.is_last {
                state.append(&[], salt(piece.partition, piece.next))?;
                state.file.sync()?;
                self.disk.rename(&temporary, &path)?;
                return self.disk.sync_folder(&self.folder);
            }
            if state.bytes - state.synced >= SYNC_EVERY_BYTES {
                state.file.sync()?;
                state.synced = state.bytes;
            }
            unfinished.insert(piece.partition, state);
            Ok(())
        })();
        if let Err(error) = written {
            let _ = self.disk.remove(&temporary);
            return Err(trouble(&self.folder, &path, "write", &error));
        }
        if piece.is_last {
            for old in self.list(piece.partition)?.into_iter().skip(KEPT) {
                let _ = self.disk.remove(&self.path(piece.partition, old));
            }
        }
        Ok(())
    }
}

impl Unfinished {
    fn append(&mut self, body: &[u8], salt: u32) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(FRAME_HEAD_BYTES + body.len());
        frame::begin(&mut bytes);
        bytes.extend_from_slice(body);
        frame::seal(&mut bytes, salt, self.frames);
        self.file.write_at(&bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        self.frames += 1;
        Ok(())
    }
}

/// Reads the bodies of a file's frames, one after the other.
struct Frames {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    size: u64,
    at: u64,
    salt: u32,
    frames: u64,
    body: Vec<u8>,
    read: usize,
}

impl Frames {
    fn damaged(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} at byte {}: {what}", self.path.display(), self.at))
    }

    /// Reads the next frame; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let mut head = [0; FRAME_HEAD_BYTES];
        if self.at + head.len() as u64 > self.size {
            return Err(self.damaged("it is cut short"));
        }
        self.file.read_at(&mut head, self.at)?;
        let size = frame::size(&head).ok_or_else(|| self.damaged("no frame starts here"))?;
        if self.at + size as u64 > self.size {
            return Err(self.damaged("it is cut short"));
        }
        let mut bytes = vec![0; size];
        self.file.read_at(&mut bytes, self.at)?;
        let frame = frame::parse(&bytes, self.salt).filter(|frame| frame.sequence == self.frames);
        let frame = frame.ok_or_else(|| self.damaged("the bytes don't match their checksum"))?;
        let is_end = frame.body.is_empty();
        if is_end && self.at + size as u64 != self.size {
            return Err(self.damaged("something follows its end"));
        }
        if is_end {
            return Ok(false);
        }
        self.at += size as u64;
        self.frames += 1;
        (self.body, self.read) = (bytes, FRAME_HEAD_BYTES);
        Ok(true)
    }
}

impl BufRead for Frames {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.body.len() {
            self.advance()?;
        }
        Ok(&self.body[self.read..])
    }
    fn consume(&mut self, count: usize) {
        self.read += count;
    }
}

impl Read for Frames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}
