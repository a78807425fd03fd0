//! LZ4 frames as Kafka's clients write them: independent 64 KiB blocks, no checksums of their own.

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use std::cell::RefCell;
use std::io::Read;

/// Magic, version 1 with independent blocks, blocks of at most 64 KiB, header checksum.
const FRAME_HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK_BYTES: usize = 64 << 10;
/// Marks a block that is stored as it is.
const STORED: u32 = 1 << 31;

thread_local! {
    /// Where a block is unpacked before its size is known: most are far smaller than they may be.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A compressor that keeps its tables between calls.
pub struct Lz4 {
    /// For blocks below 64 KiB, which nearly all are: half as large, and emptied for each of them.
    small: CompressTable,
    large: CompressTable,
}

impl Default for Lz4 {
    fn default() -> Self {
        Self { small: CompressTable::small(), large: CompressTable::large() }
    }
}

impl Lz4 {
    /// Appends `raw` as a frame to `out`; false (and rubbish behind `out`'s old end) when it would not shrink.
    pub fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        out.extend_from_slice(&FRAME_HEAD);
        for block in raw.chunks(BLOCK_BYTES) {
            let at = out.len();
            out.resize(at + 4 + get_maximum_output_size(block.len()), 0);
            let table = if block.len() < usize::from(u16::MAX) { &mut self.small } else { &mut self.large };
            let size = match compress_into_with_table(block, &mut out[at + 4..], table) {
                Ok(size) if size < block.len() => size as u32,
                _ => {
                    out[at + 4..at + 4 + block.len()].copy_from_slice(block);
                    block.len() as u32 | STORED
                }
            };
            out[at..at + 4].copy_from_slice(&size.to_le_bytes());
            out.truncate(at + 4 + (size & !STORED) as usize);
        }
        out.extend_from_slice(&[0; 4]);
        out.len() - start < raw.len()
    }

    /// The content of a frame.
    pub fn decompress(frame: &[u8]) -> Result<Bytes, &'static str> {
        const BROKEN: &str = "a record batch can't be decompressed";
        let Some(mut blocks) = frame.strip_prefix(&FRAME_HEAD) else {
            // Some other writer's frame.
            let mut out = Vec::new();
            lz4_flex::frame::FrameDecoder::new(frame).read_to_end(&mut out).map_err(|_| BROKEN)?;
            return Ok(out.into());
        };
        let mut out = Vec::new();
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(BLOCK_BYTES, 0);
            loop {
                let (size, rest) = blocks.split_first_chunk().ok_or(BROKEN)?;
                let size = u32::from_le_bytes(*size);
                if size == 0 {
                    return Ok(out.into());
                }
                let (block, rest) = rest.split_at_checked((size & !STORED) as usize).ok_or(BROKEN)?;
                blocks = rest;
                let content = if size & STORED == 0 {
                    let unpacked = decompress_into(block, scratch).map_err(|_| BROKEN)?;
                    &scratch[..unpacked]
                } else {
                    block
                };
                out.reserve_exact(content.len());
                out.extend_from_slice(content);
            }
        })
    }
}
