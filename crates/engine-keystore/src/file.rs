//! The file of wrapped keys: entries of one size, appended; written anew when keys are destroyed.

use crate::files::{KeyDisk, KeyFile};
use midsession_ports::Scope;
use std::io;
use std::path::Path;

/// Names a key, and not whose it is.
pub type Id = [u8; 16];
/// A key under the master key: nonce, cipher text, tag.
pub type Wrapped = [u8; 60];

const MAGIC: &[u8; 8] = b"MSKEYS1\n";
const HEAD: usize = MAGIC.len() + 16;
const ENTRY: usize = 1 + 4 + 4 + 16 + 60 + 4;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    Shopper = 1,
    DayPersonal = 2,
    DayDeadLetter = 3,
    Secret = 4,
}

impl Kind {
    pub fn of_day(scope: Scope) -> Self {
        match scope {
            Scope::Personal => Self::DayPersonal,
            Scope::DeadLetter => Self::DayDeadLetter,
        }
    }

    fn parse(byte: u8) -> Option<Self> {
        [Self::Shopper, Self::DayPersonal, Self::DayDeadLetter, Self::Secret]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// One key as it stands in the file; the last entry of an id counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Entries written and synced together have one number; the next ones have the next. After a power loss only those of
    /// the last number may be missing or torn.
    pub batch: u32,
    /// Of a day's key: which day. Of a shopper's: the last day it was used on.
    pub day: u32,
    pub id: Id,
    pub wrapped: Wrapped,
}

impl Entry {
    fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(self.kind as u8);
        out.extend_from_slice(&self.batch.to_le_bytes());
        out.extend_from_slice(&self.day.to_le_bytes());
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.wrapped);
        let sum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&sum.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY] = bytes.try_into().ok()?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if crc32c::crc32c(&bytes[..ENTRY - 4]) != number(ENTRY - 4) {
            return None;
        }
        let (mut id, mut wrapped) = ([0; 16], [0; 60]);
        id.copy_from_slice(&bytes[9..25]);
        wrapped.copy_from_slice(&bytes[25..85]);
        Some(Self { kind: Kind::parse(bytes[0])?, batch: number(1), day: number(5), id, wrapped })
    }
}

/// Why a file can't be read.
#[derive(Debug)]
pub enum Unreadable {
    Io(io::Error),
    /// Not a file of keys.
    Foreign,
    /// Wrapped by another master key.
    OtherMaster,
    /// Damaged at this byte: entries that were synced don't match their checksum.
    Damaged(u64),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a file holds.
#[derive(Debug)]
pub struct Held {
    pub entries: Vec<Entry>,
    /// Where the last good entry ends; what follows was being written when the power went.
    pub bytes: u64,
}

/// Reads a file.
pub fn read(disk: &dyn KeyDisk, path: &Path, check: &[u8; 16]) -> Result<Held, Unreadable> {
    let bytes = disk.read(path)?;
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Unreadable::Foreign)?;
    if !head.starts_with(MAGIC) {
        return Err(Unreadable::Foreign);
    }
    if head[MAGIC.len()..] != check[..] {
        return Err(Unreadable::OtherMaster);
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(rest.len() / ENTRY);
    let mut all = rest.chunks(ENTRY).map(Entry::read);
    entries.extend(all.by_ref().map_while(|entry| entry));
    let end = HEAD + entries.len() * ENTRY;
    // Behind the first bad one there may be others of the batch that was being written, and nothing else.
    let last = entries.last().map_or(0, |entry| entry.batch);
    let mut behind = all.flatten().map(|entry| entry.batch);
    let torn = behind.next();
    let is_torn = torn.is_none_or(|batch| batch == last || batch == last.wrapping_add(1));
    if !is_torn || behind.any(|batch| Some(batch) != torn) {
        return Err(Unreadable::Damaged(end as u64));
    }
    Ok(Held { entries, bytes: end as u64 })
}

/// Writes a new file with these keys beside the one of this name, durably; where it ends, and the last number given.
pub fn write(
    disk: &dyn KeyDisk,
    path: &Path,
    check: &[u8; 16],
    entries: &[Entry],
) -> io::Result<(Box<dyn KeyFile>, u64, u32)> {
    let mut bytes = Vec::with_capacity(HEAD + entries.len() * ENTRY);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(check);
    let mut batch = 0;
    for entry in entries {
        batch += 1;
        Entry { batch, ..*entry }.put(&mut bytes);
    }
    let file = disk.create(&path.with_extension("new"))?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    Ok((file, bytes.len() as u64, batch))
}

/// Puts the new file in the place of the old one, durably.
pub fn put(disk: &dyn KeyDisk, folder: &Path, path: &Path) -> io::Result<()> {
    disk.rename(&path.with_extension("new"), path)?;
    disk.sync_folder(folder)
}

/// Appends entries durably; where they end.
pub fn append(file: &dyn KeyFile, at: u64, entries: &[Entry]) -> io::Result<u64> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY);
    entries.iter().for_each(|entry| entry.put(&mut bytes));
    file.write_at(&bytes, at)?;
    file.sync()?;
    Ok(at + bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RealKeyDisk;

    const CHECK: [u8; 16] = [5; 16];

    fn entry(number: u8, batch: u32) -> Entry {
        Entry { kind: Kind::Shopper, batch, day: 7, id: [number; 16], wrapped: [number; 60] }
    }

    fn ids(held: &Result<Held, Unreadable>) -> Option<Vec<u8>> {
        held.as_ref().ok().map(|held| held.entries.iter().map(|entry| entry.id[0]).collect())
    }

    #[test]
    fn a_torn_tail_is_cut_and_a_flipped_bit_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let (file, bytes, batch) = write(&RealKeyDisk, &path, &CHECK, &[entry(1, 0), entry(2, 0)]).expect("written");
        put(&RealKeyDisk, folder.path(), &path).expect("in place");
        assert_eq!(batch, 2);
        let end = append(file.as_ref(), bytes, &[entry(3, 3)]).expect("appended");
        append(file.as_ref(), end, &[entry(4, 4), entry(5, 4), entry(6, 4)]).expect("appended");
        let whole = std::fs::read(&path).expect("bytes");
        let read_as = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            read(&RealKeyDisk, &path, &CHECK)
        };
        assert_eq!(ids(&read_as(&whole)), Some(vec![1, 2, 3, 4, 5, 6]));
        // Cut anywhere: what is whole is there.
        for cut in HEAD..=whole.len() {
            let count = (cut - HEAD) / ENTRY;
            let held = read_as(&whole[..cut]);
            assert_eq!(ids(&held), Some((1..=count as u8).collect()), "cut at {cut}");
            assert_eq!(held.map(|held| held.bytes).ok(), Some((HEAD + count * ENTRY) as u64));
        }
        // A flipped bit: in what was being written last it is cut there, before it is damage.
        for at in HEAD..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            let number = (at - HEAD) / ENTRY;
            match read_as(&flipped) {
                Ok(held) => {
                    assert!(number >= 3, "byte {at}");
                    assert_eq!(held.entries.len(), number, "byte {at}");
                }
                Err(Unreadable::Damaged(byte)) => {
                    assert!(number < 3, "byte {at}");
                    assert_eq!(byte, (HEAD + number * ENTRY) as u64);
                }
                Err(other) => panic!("byte {at}: {other:?}"),
            }
        }
        assert!(matches!(read_as(b"something else"), Err(Unreadable::Foreign)));
        std::fs::write(&path, &whole).expect("written");
        assert!(matches!(read(&RealKeyDisk, &path, &[6; 16]), Err(Unreadable::OtherMaster)));
        assert!(matches!(read(&RealKeyDisk, &folder.path().join("none"), &CHECK), Err(Unreadable::Io(_))));
    }
}
