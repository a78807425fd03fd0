//! Journal files: their names, how one is begun, and how one is read through.

use crate::bytes::Reader;
use crate::disk::{Disk, DiskFile};
use crate::frame::{self, Commit, FILE_HEAD_BYTES, FRAME_HEAD_BYTES, FileHead};
use crate::snapshot::Snapshot;
use midsession_ports::LogError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Commits as they came.
    Journal,
    /// The live records of keyed topics, of all journals up to its number.
    Compact,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Compact => "compact",
        }
    }

    /// The file's name.
    pub fn name(self, number: u64) -> String {
        format!("{number:012}.{}", self.extension())
    }

    /// Number of the file of this name.
    pub fn number(self, name: &str) -> Option<u64> {
        name.strip_suffix(self.extension())?.strip_suffix('.')?.parse().ok()
    }
}

/// Ends the names of files that are not complete yet.
pub const UNFINISHED: &str = ".tmp";

/// An open file of the log.
pub struct Journal {
    pub number: u64,
    pub kind: Kind,
    pub salt: u32,
    /// When it was begun. Epoch ms.
    pub begun_ms: i64,
    pub path: PathBuf,
    pub file: Arc<dyn DiskFile>,
}

impl Journal {
    pub fn new(head: FileHead, kind: Kind, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        Self { number: head.number, kind, salt: head.salt, begun_ms: head.begun_ms, path, file }
    }

    /// The error for bytes that don't fit.
    pub fn corrupt(&self, at: u64, what: impl Into<String>) -> LogError {
        corrupt(&self.path, at, what)
    }

    /// Makes a file that starts with `snapshot`, then `more` (whole frames), durable under its name. Gives its size.
    pub fn create(
        disk: &dyn Disk,
        folder: &Path,
        head: FileHead,
        snapshot: &Snapshot,
        more: &[u8],
    ) -> Result<(Self, u64), LogError> {
        let path = folder.join(Kind::Journal.name(head.number));
        let unfinished = with_suffix(&path, UNFINISHED);
        let mut bytes = begin(head, snapshot);
        bytes.extend_from_slice(more);
        let written = (|| {
            let file = disk.create(&unfinished)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            disk.rename(&unfinished, &path)?;
            disk.sync_folder(folder)?;
            Ok(file)
        })();
        match written {
            Ok(file) => {
                let journal = Self::new(head, Kind::Journal, path, file);
                Ok((journal, bytes.len() as u64))
            }
            Err(error) => {
                // It gives back what it took of a full disk; recovery removes it otherwise.
                let _ = disk.remove(&unfinished);
                Err(io_error(folder, &path, "create", &error))
            }
        }
    }

    /// Opens a file and checks its head.
    pub fn open(disk: &dyn Disk, folder: &Path, kind: Kind, number: u64, write: bool) -> Result<Self, LogError> {
        let path = folder.join(kind.name(number));
        let file = disk.open(&path, write).map_err(|error| io_error(folder, &path, "open", &error))?;
        let mut bytes = [0; FILE_HEAD_BYTES];
        file.read_at(&mut bytes, 0).map_err(|error| corrupt(&path, 0, format!("its head can't be read: {error}")))?;
        let head = FileHead::decode(&bytes).map_err(|what| corrupt(&path, 0, what))?;
        if head.number != number {
            return Err(corrupt(&path, 0, format!("it is file {} by its head", head.number)));
        }
        Ok(Self::new(head, kind, path, file))
    }

    /// What the file starts from, and where its commits begin.
    pub fn start(&self) -> Result<(Snapshot, u64), LogError> {
        let at = FILE_HEAD_BYTES as u64;
        let mut head = [0; FRAME_HEAD_BYTES];
        let unreadable = |error: io::Error| self.corrupt(at, format!("it can't be read: {error}"));
        self.file.read_at(&mut head, at).map_err(unreadable)?;
        let size = frame::size(&head).filter(|size| at + *size as u64 <= self.size().unwrap_or(0));
        let broken = || self.corrupt(at, "what the file starts from does not match its checksum");
        let mut bytes = vec![0; size.ok_or_else(broken)?];
        self.file.read_at(&mut bytes, at).map_err(unreadable)?;
        let framed = frame::parse(&bytes, self.salt).ok_or_else(broken)?;
        let snapshot = Snapshot::decode(&mut Reader(framed.body)).ok_or_else(broken)?;
        Ok((snapshot, at + bytes.len() as u64))
    }

    pub fn size(&self) -> Result<u64, LogError> {
        self.file.size().map_err(|error| self.corrupt(0, format!("it can't be read: {error}")))
    }

    /// Reads the commits from `from` on, where that of `sequence` is. With `limit` every byte below it must be whole;
    /// without, a last frame that is not is left out, as its writer was stopped within it.
    pub fn scan(&self, from: u64, sequence: u64, limit: Option<u64>) -> Result<Scan, LogError> {
        let size = self.size()?;
        let end = limit.unwrap_or(size);
        if end > size || from > end {
            return Err(self.corrupt(size, "the file is cut short"));
        }
        let mut bytes = vec![0; (end - from) as usize];
        self.file.read_at(&mut bytes, from).map_err(|error| self.corrupt(from, error.to_string()))?;
        let (mut at, mut sequence) = (0, sequence);
        let mut frames = Vec::new();
        while at < bytes.len() {
            let place = from + at as u64;
            let Some(found) = frame::parse(&bytes[at..], self.salt).filter(|found| found.sequence == sequence) else {
                if limit.is_some() || frame::find(&bytes[at..], self.salt, sequence).is_some() {
                    return Err(self.corrupt(place, "a commit does not match its checksum"));
                }
                break;
            };
            let commit = frame::commit(found.body).map_err(|what| self.corrupt(place, what))?;
            frames.push(Scanned { at: place, commit });
            at += found.size();
            sequence += 1;
        }
        let whole_bytes = from + at as u64;
        Ok(Scan { frames, whole_bytes, cut_bytes: size - whole_bytes })
    }
}

/// A commit and where its frame is.
pub struct Scanned {
    pub at: u64,
    pub commit: Commit,
}

impl Scanned {
    /// Where a batch of its body is in the file.
    pub fn place(&self, at: usize) -> u64 {
        self.at + (FRAME_HEAD_BYTES + at) as u64
    }
}

/// The commits of a file.
pub struct Scan {
    pub frames: Vec<Scanned>,
    /// Bytes up to the end of the last whole frame.
    pub whole_bytes: u64,
    /// Bytes behind it.
    pub cut_bytes: u64,
}

/// A file's head and its first frame.
pub fn begin(head: FileHead, snapshot: &Snapshot) -> Vec<u8> {
    let mut framed = Vec::new();
    frame::begin(&mut framed);
    snapshot.encode(&mut framed);
    frame::seal(&mut framed, head.salt, 0);
    let mut bytes = head.encode();
    bytes.extend_from_slice(&framed);
    bytes
}

/// The path with something behind its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The error for bytes that don't fit.
pub fn corrupt(path: &Path, at: u64, what: impl Into<String>) -> LogError {
    LogError::Corrupt { file: path.display().to_string(), at, what: what.into() }
}

/// The disk's word that there is no room: nothing is broken.
pub fn is_full(error: &io::Error) -> bool {
    // A limit on the size of files is a full disk of another kind.
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What an error of the disk means to the log.
pub fn io_error(folder: &Path, path: &Path, verb: &str, error: &io::Error) -> LogError {
    if is_full(error) {
        return LogError::DiskFull { folder: folder.display().to_string() };
    }
    LogError::Failed { cause: format!("can't {verb} {}: {error}", path.display()) }
}
