//! Items in the order of their time: sorted in memory, or by runs in a temporary file when there are more than fit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that are sorted at a time.
pub const MEMORY_BYTES: usize = 64 << 20;
/// Bytes read of a run at a time.
const READ_BYTES: usize = 64 << 10;
/// What an item costs beside its bytes.
const ITEM_BYTES: usize = size_of::<Item>() + 16;

/// Something that happened at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Sorted by this.
    pub at_us: i64,
    /// Then by this: its place in the input.
    pub place: u64,
    /// For the owner.
    pub tag: u8,
    /// For the owner.
    pub bytes: Vec<u8>,
}

/// A stream of items in their order.
pub type Ordered = Box<dyn Iterator<Item = io::Result<Item>>>;

/// Takes items in any order.
pub struct Sorter {
    memory_bytes: usize,
    items: Vec<Item>,
    bytes: usize,
    file: Option<BufWriter<File>>,
    /// Where each run ends in the file.
    runs: Vec<u64>,
    written: u64,
}

impl Sorter {
    /// One that keeps so many bytes in memory.
    pub fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes, items: Vec::new(), bytes: 0, file: None, runs: Vec::new(), written: 0 }
    }

    /// Takes an item in.
    ///
    /// # Errors
    /// The temporary file can't be written.
    pub fn push(&mut self, item: Item) -> io::Result<()> {
        self.bytes += item.bytes.len() + ITEM_BYTES;
        self.items.push(item);
        if self.bytes >= self.memory_bytes { self.spill() } else { Ok(()) }
    }

    /// Runs in the temporary file.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    fn spill(&mut self) -> io::Result<()> {
        self.items.sort_by_key(|item| (item.at_us, item.place));
        let file = match &mut self.file {
            Some(file) => file,
            // It has no name: it goes with the process, however that ends.
            None => self.file.insert(BufWriter::with_capacity(1 << 20, tempfile::tempfile()?)),
        };
        for item in self.items.drain(..) {
            let length = u32::try_from(item.bytes.len()).map_err(io::Error::other)?;
            file.write_all(&item.at_us.to_le_bytes())?;
            file.write_all(&item.place.to_le_bytes())?;
            file.write_all(&[item.tag])?;
            file.write_all(&length.to_le_bytes())?;
            file.write_all(&item.bytes)?;
            self.written += HEAD as u64 + u64::from(length);
        }
        self.bytes = 0;
        self.runs.push(self.written);
        Ok(())
    }

    /// All items in order.
    ///
    /// # Errors
    /// The temporary file can't be written.
    pub fn finish(mut self) -> io::Result<Ordered> {
        if self.runs.is_empty() {
            self.items.sort_by_key(|item| (item.at_us, item.place));
            return Ok(Box::new(self.items.into_iter().map(Ok)));
        }
        if !self.items.is_empty() {
            self.spill()?;
        }
        let Some(file) = self.file else { return Ok(Box::new(std::iter::empty())) };
        let file = Arc::new(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        let mut from = 0;
        let runs = self.runs.into_iter().map(|end| {
            let run =
                Run { file: Arc::clone(&file), next: std::mem::replace(&mut from, end), end, read: Vec::new(), at: 0 };
            Box::new(run) as Ordered
        });
        Ok(Box::new(merge(runs.collect())?))
    }
}

/// Bytes before an item's own.
const HEAD: usize = 8 + 8 + 1 + 4;

/// One run of the temporary file.
struct Run {
    file: Arc<File>,
    next: u64,
    end: u64,
    read: Vec<u8>,
    at: usize,
}

impl Run {
    /// Has so many bytes at hand, if the run does.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.read.len() - self.at >= wanted {
            return Ok(true);
        }
        self.read.drain(..self.at);
        self.at = 0;
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let more = READ_BYTES.max(wanted - self.read.len()).min(left);
        let before = self.read.len();
        self.read.resize(before + more, 0);
        self.file.read_exact_at(&mut self.read[before..], self.next)?;
        self.next += more as u64;
        Ok(self.read.len() >= wanted)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.read[self.at..self.at + N]);
        self.at += N;
        bytes
    }
}

impl Iterator for Run {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        match self.fill(HEAD) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        let (at_us, place) = (i64::from_le_bytes(self.take()), u64::from_le_bytes(self.take()));
        let [tag] = self.take();
        let length = u32::from_le_bytes(self.take()) as usize;
        match self.fill(length) {
            Ok(true) => {}
            Ok(false) => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Some(Err(error)),
        }
        let bytes = self.read[self.at..self.at + length].to_vec();
        self.at += length;
        Some(Ok(Item { at_us, place, tag, bytes }))
    }
}

/// Several ordered streams as one.
///
/// # Errors
/// One of them can't be read.
pub fn merge(streams: Vec<Ordered>) -> io::Result<Merge> {
    let mut merge = Merge { heads: BinaryHeap::new(), items: streams.iter().map(|_| None).collect(), streams };
    for number in 0..merge.streams.len() {
        merge.advance(number)?;
    }
    Ok(merge)
}

/// See [`merge`].
pub struct Merge {
    streams: Vec<Ordered>,
    items: Vec<Option<Item>>,
    heads: BinaryHeap<Reverse<(i64, u64, usize)>>,
}

impl Merge {
    fn advance(&mut self, number: usize) -> io::Result<()> {
        if let Some(item) = self.streams[number].next().transpose()? {
            self.heads.push(Reverse((item.at_us, item.place, number)));
            self.items[number] = Some(item);
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Item>;

    fn next(&mut self) -> Option<io::Result<Item>> {
        let Reverse((_, _, number)) = self.heads.pop()?;
        let item = self.items[number].take()?;
        match self.advance(number) {
            Ok(()) => Some(Ok(item)),
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times with many ties, from a small generator.
    fn items(count: u64) -> Vec<Item> {
        let mut state = 7u64;
        (0..count)
            .map(|place| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let bytes = vec![place as u8; (state >> 50) as usize % 300];
                Item { at_us: (state >> 33) as i64 % 50, place, tag: (place % 3) as u8, bytes }
            })
            .collect()
    }

    #[test]
    fn sorted_in_memory_or_by_runs_it_is_the_same() {
        let mut expected = items(2_000);
        expected.sort_by_key(|item| (item.at_us, item.place));
        for (memory_bytes, spills) in [(usize::MAX, false), (10_000, true), (1, true)] {
            let mut sorter = Sorter::new(memory_bytes);
            items(2_000).into_iter().for_each(|item| sorter.push(item).expect("a temporary file"));
            assert_eq!(sorter.runs() > 0, spills, "{memory_bytes}");
            let found: Vec<Item> = sorter.finish().and_then(Iterator::collect).expect("reads back");
            assert_eq!(found, expected, "{memory_bytes}");
        }
        assert_eq!(Sorter::new(1).finish().expect("nothing").count(), 0);
    }

    #[test]
    fn a_long_item_is_read_whole() {
        let mut sorter = Sorter::new(1);
        let long = |place: u64| Item { at_us: 1, place, tag: 0, bytes: vec![place as u8; 3 * READ_BYTES + 5] };
        [2, 1].into_iter().for_each(|place| sorter.push(long(place)).expect("a temporary file"));
        let found: Vec<Item> = sorter.finish().and_then(Iterator::collect).expect("reads back");
        assert_eq!(found, [long(1), long(2)]);
    }
}
