//! Blocks of the files that are read through: whoever is far behind in many partitions reads all of them by a few large reads.
//!
//! The batches of a partition lie apart, with those of all others between them. Read one by one each costs a call of the system, and
//! from a cold disk a request of its own. A block has the batches of many partitions, and their readers come by in turn.

use crate::journal::Journal;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of a block.
pub const BLOCK_BYTES: u64 = 256 << 10;
/// Blocks that are kept: the oldest goes first, as readers go on.
const BLOCKS: usize = 128;
/// A block that was not asked for this often was not worth its read: its file is read partition by partition.
const WORTH_USES: u32 = 8;
/// So many blocks that were not worth it end the reading of blocks,
const DOUBTS: u32 = 32;
/// for so many asks.
const REST_ASKS: u32 = 1 << 16;

/// The blocks kept.
#[derive(Default)]
pub struct Blocks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By the file's place in memory, which is its own for as long as the block holds the file, and the block's number.
    blocks: BTreeMap<(usize, u64), Block>,
    /// The oldest first.
    order: VecDeque<(usize, u64)>,
    /// Blocks in a row that were not worth it.
    doubts: u32,
    /// Asks until blocks are read again.
    rest: u32,
}

struct Block {
    journal: Arc<Journal>,
    uses: u32,
    /// Uses as of the last look of [`Blocks::age`].
    uses_before: u32,
    /// Filled by whoever asks first; the others wait for that.
    bytes: Arc<Mutex<Option<Bytes>>>,
}

impl Blocks {
    /// A whole block of a file, all of it durable. None where it is not worth it, or can't be read: the caller reads what it needs
    /// by itself, and finds out.
    pub fn get(&self, journal: &Arc<Journal>, number: u64) -> Option<Bytes> {
        let place = self.0.lock().place(journal, number)?;
        let mut bytes = place.lock();
        if bytes.is_none() {
            let mut read = vec![0; BLOCK_BYTES as usize];
            journal.file.read_at(&mut read, number * BLOCK_BYTES).ok()?;
            *bytes = Some(read.into());
        }
        bytes.clone()
    }

    /// Lets go of a file.
    pub fn forget(&self, journal: &Arc<Journal>) {
        self.0.lock().retain(|block| !Arc::ptr_eq(&block.journal, journal));
    }

    /// Lets go of what nobody has asked for since the last time.
    pub fn age(&self) {
        let mut kept = self.0.lock();
        kept.retain(|block| block.uses > block.uses_before);
        kept.blocks.values_mut().for_each(|block| block.uses_before = block.uses);
    }
}

impl Kept {
    fn place(&mut self, journal: &Arc<Journal>, number: u64) -> Option<Arc<Mutex<Option<Bytes>>>> {
        let key = (Arc::as_ptr(journal).addr(), number);
        if let Some(block) = self.blocks.get_mut(&key) {
            block.uses += 1;
            return Some(block.bytes.clone());
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        if self.blocks.len() >= BLOCKS
            && let Some(oldest) = self.order.pop_front().and_then(|key| self.blocks.remove(&key))
        {
            self.doubts = if oldest.uses < WORTH_USES { self.doubts + 1 } else { 0 };
            if self.doubts >= DOUBTS {
                *self = Self { rest: REST_ASKS, ..Self::default() };
                return None;
            }
        }
        let bytes = Arc::default();
        let block = Block { journal: journal.clone(), uses: 1, uses_before: 0, bytes: Arc::clone(&bytes) };
        self.blocks.insert(key, block);
        self.order.push_back(key);
        Some(bytes)
    }

    fn retain(&mut self, is_kept: impl Fn(&Block) -> bool) {
        let Self { blocks, order, .. } = self;
        blocks.retain(|_, block| is_kept(block));
        order.retain(|key| blocks.contains_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FileHead;
    use crate::journal::Kind;
    use crate::{Disk, RealDisk};

    /// A file of so many blocks, each full of its number.
    fn file(folder: &std::path::Path, blocks: u8) -> Arc<Journal> {
        let path = folder.join("file");
        let file = RealDisk.create(&path).expect("made");
        for number in 0..blocks {
            let at = u64::from(number) * BLOCK_BYTES;
            file.write_at(&vec![number; BLOCK_BYTES as usize], at).expect("written");
        }
        Arc::new(Journal::new(FileHead::new(1, 0), Kind::Journal, path, file))
    }

    #[test]
    fn a_block_is_read_once_for_all_who_come_by() {
        let folder = tempfile::tempdir().expect("a folder");
        let (blocks, journal) = (Blocks::default(), file(folder.path(), 2));
        let first = blocks.get(&journal, 1).expect("read");
        assert_eq!((first.len() as u64, first[0]), (BLOCK_BYTES, 1));
        journal.file.truncate(0).expect("cut");
        assert_eq!(blocks.get(&journal, 1).expect("kept"), first);
        assert_eq!(blocks.get(&journal, 0), None, "it can't be read any more");
        blocks.age();
        assert_eq!(blocks.get(&journal, 1).expect("was asked for"), first);
        blocks.age();
        blocks.age();
        assert_eq!(blocks.get(&journal, 1), None, "nobody had asked for it in between");
        blocks.forget(&journal);
        assert_eq!(Arc::strong_count(&journal), 1, "a file that is gone is let go");
    }

    #[test]
    fn blocks_that_one_reader_asks_for_are_not_read_for_long() {
        let folder = tempfile::tempdir().expect("a folder");
        let (blocks, journal) = (Blocks::default(), file(folder.path(), 200));
        let alone = (0..200).filter(|number| blocks.get(&journal, *number).is_some()).count();
        assert_eq!(alone, BLOCKS + DOUBTS as usize - 1);
        let (blocks, uses) = (Blocks::default(), WORTH_USES as usize);
        let many = (0..200).flat_map(|number| std::iter::repeat_n(number, uses));
        assert_eq!(many.filter(|number| blocks.get(&journal, *number).is_some()).count(), 200 * uses);
        assert_eq!(blocks.0.lock().blocks.len(), BLOCKS, "the oldest have gone");
    }
}
