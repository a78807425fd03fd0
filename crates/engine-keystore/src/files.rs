//! What the keystore asks of a disk for its file of keys, and the real one.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// An open file.
pub trait KeyFile: Send {
    /// Writes all of `bytes` at `at`; after an error any part of it may have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// A disk. What `create` and `rename` did is durable after `sync_folder`.
pub trait KeyDisk: Debug + Send + Sync {
    /// All of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Who may do what with a file, as Unix writes it.
    fn mode(&self, path: &Path) -> io::Result<u32>;
    /// A new empty file for its owner alone, in place of any of this name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn KeyFile>>;
    /// A file that is there, for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn KeyFile>>;
    /// Renames a file, in place of any of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the folder's names durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealKeyDisk;

impl KeyFile for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

impl KeyDisk for RealKeyDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn KeyFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn KeyFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
