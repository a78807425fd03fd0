//! What a power loss leaves of what was done to a simulated disk and not synced.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A power loss keeps or loses unsynced bytes in units of this.
const SECTOR_BYTES: usize = 512;

/// Something done to names.
#[derive(Clone)]
pub(crate) enum Change {
    Put(PathBuf, u64),
    Move(PathBuf, PathBuf),
    Drop(PathBuf),
}

/// Something done to bytes.
pub(crate) enum Write {
    Bytes(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    pub(crate) fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
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
pub(crate) fn lose(durable: &mut Vec<u8>, write: Write, chance: &mut Chance) {
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

/// Writes over, or behind, what is there.
pub(crate) fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
