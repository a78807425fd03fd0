//! Opening a keystore: its files are private, whole, and of this master key, or it is said what is wrong.

use crate::cipher::{self, Key, Master};
use crate::file::{self, Unreadable};
use crate::files::{KeyDisk, RealKeyDisk};
use crate::store::Keys;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why a keystore can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder that can't be used.
    #[error("the keystore can't be used: {path}: {cause}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// Others may read it.
    #[error("{path} can be read by others (mode {mode:03o}); make it private: chmod {least:o} {path}")]
    NotPrivate {
        /// What.
        path: String,
        /// Its mode.
        mode: u32,
        /// What it should be.
        least: u32,
    },
    /// Another process has it.
    #[error("the keystore {folder} is in use by another midsession; stop it or name another folder")]
    Locked {
        /// Its folder.
        folder: String,
    },
    /// Not a key.
    #[error("{path} holds no master key: 64 hexadecimal digits; put the right file back")]
    NoMaster {
        /// Which file.
        path: String,
    },
    /// The keys were wrapped by another master key.
    #[error(
        "{path}: these keys belong to another master key; put the right one back: without it what was sealed stays closed"
    )]
    OtherMaster {
        /// Which file.
        path: String,
    },
    /// Bytes that don't match their checksum.
    #[error("{path} is damaged at byte {at}; restore the file, or move it away: what was sealed then stays closed")]
    Damaged {
        /// Which file.
        path: String,
        /// Where.
        at: u64,
    },
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> OpenError + '_ {
    |cause| OpenError::Io { path: path.display().to_string(), cause }
}

/// The keys of a file with where it ends and the last number given; nothing if there is no file.
pub(crate) fn load(disk: &dyn KeyDisk, path: &Path, master: &Master) -> Result<(Keys, Option<(u64, u32)>), OpenError> {
    let name = || path.display().to_string();
    let held = match file::read(disk, path, &master.check) {
        Ok(held) => held,
        Err(Unreadable::Io(cause)) if cause.kind() == io::ErrorKind::NotFound => return Ok((Keys::default(), None)),
        Err(Unreadable::Io(cause)) => return Err(at(path)(cause)),
        Err(Unreadable::Foreign) => return Err(at(path)(io::Error::other("it is not a file of keys"))),
        Err(Unreadable::OtherMaster) => return Err(OpenError::OtherMaster { path: name() }),
        Err(Unreadable::Damaged(at)) => return Err(OpenError::Damaged { path: name(), at }),
    };
    let mut keys = Keys::default();
    held.entries.iter().for_each(|entry| keys.put(entry));
    let batch = held.entries.last().map_or(0, |entry| entry.batch);
    Ok((keys, Some((held.bytes, batch))))
}

pub(crate) fn read_master(path: &Path) -> Result<Key, OpenError> {
    private(&RealKeyDisk, path, 0o600)?;
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    let key = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
    key.and_then(|key| key.try_into().ok()).ok_or(OpenError::NoMaster { path: path.display().to_string() })
}

pub(crate) fn private(disk: &dyn KeyDisk, path: &Path, least: u32) -> Result<(), OpenError> {
    let mode = disk.mode(path).map_err(at(path))?;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(OpenError::NotPrivate { path: path.display().to_string(), mode, least })
}

pub(crate) fn make_master(folder: &Path, path: &Path) -> Result<Key, OpenError> {
    let key: Key = cipher::random().map_err(|_| at(path)(io::Error::other("no random bytes")))?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", data_encoding::HEXLOWER.encode(&key))?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    };
    write().map_err(at(path))?;
    Ok(key)
}
