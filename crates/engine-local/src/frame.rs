//! Frames, the journal's unit of all or nothing, and the heads of journal files.
//!
//! File: head {magic, format, number, salt, time, crc}, a frame with the snapshot, then a frame per commit.
//! Frame: {magic, body length, sequence, crc} and the body. All numbers little-endian, checksums CRC32C; a frame's covers
//! the file's salt too, so that bytes of another file, or of a payload made to look like a frame, don't pass for one.
//! Commit body: count and list of (partition, offset) positions, then (slot, Kafka batch) until the end.

use crate::batch::{self, BatchHead};
use crate::bytes::{Reader, put_i64, put_u32, put_u64};

/// Bytes of a file's head.
pub const FILE_HEAD_BYTES: usize = 40;
/// Bytes of a frame before its body.
pub const FRAME_HEAD_BYTES: usize = 20;
const FILE_MAGIC: &[u8; 8] = b"MIDSJRNL";
const FORMAT: u32 = 1;
const FRAME_MAGIC: u32 = 0x314d_464a;

/// A file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHead {
    pub number: u64,
    pub salt: u32,
    /// When the file was begun. Epoch ms.
    pub begun_ms: i64,
}

impl FileHead {
    /// Of a new file. The salt is a number that the bytes of another file, or a payload, don't know.
    pub fn new(number: u64, begun_ms: i64) -> Self {
        let salt = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &begun_ms.to_le_bytes());
        Self { number, salt, begun_ms }
    }

    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEAD_BYTES);
        out.extend_from_slice(FILE_MAGIC);
        put_u32(&mut out, FORMAT);
        put_u64(&mut out, self.number);
        put_u32(&mut out, self.salt);
        put_i64(&mut out, self.begun_ms);
        out.resize(FILE_HEAD_BYTES - 4, 0);
        let crc = crc32c::crc32c(&out);
        put_u32(&mut out, crc);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let head: &[u8; FILE_HEAD_BYTES] = bytes.first_chunk().ok_or("the file's head is cut short")?;
        let (fields, crc) = head.split_at(FILE_HEAD_BYTES - 4);
        if Reader(crc).u32() != Some(crc32c::crc32c(fields)) {
            return Err("the file's head does not match its checksum");
        }
        let mut fields = Reader(fields);
        if fields.take(8) != Some(FILE_MAGIC) || fields.u32() != Some(FORMAT) {
            return Err("not a journal of this version");
        }
        let short = "the file's head is cut short";
        let (number, salt) = (fields.u64().ok_or(short)?, fields.u32().ok_or(short)?);
        Ok(Self { number, salt, begun_ms: fields.i64().ok_or(short)? })
    }
}

/// A frame found in a file.
pub struct Frame<'a> {
    pub sequence: u64,
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Bytes with its head.
    pub fn size(&self) -> usize {
        FRAME_HEAD_BYTES + self.body.len()
    }
}

/// Starts a frame in `out` (emptied): the body goes behind it, then `seal`.
pub fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.resize(FRAME_HEAD_BYTES, 0);
}

/// Fills in the head of the frame that `out` is.
pub fn seal(out: &mut [u8], salt: u32, sequence: u64) {
    let (head, body) = out.split_at_mut(FRAME_HEAD_BYTES);
    head[0..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    head[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[8..16].copy_from_slice(&sequence.to_le_bytes());
    let crc = checksum(salt, &head[..16], body);
    head[16..20].copy_from_slice(&crc.to_le_bytes());
}

/// The frame that `bytes` starts with, if it is whole and true.
pub fn parse(bytes: &[u8], salt: u32) -> Option<Frame<'_>> {
    let mut head = Reader(bytes);
    if head.u32()? != FRAME_MAGIC {
        return None;
    }
    let length = head.u32()? as usize;
    let sequence = head.u64()?;
    let crc = head.u32()?;
    let body = head.take(length)?;
    (checksum(salt, &bytes[..16], body) == crc).then_some(Frame { sequence, body })
}

/// Bytes of the frame that starts with this head, if it is one.
pub fn size(head: &[u8; FRAME_HEAD_BYTES]) -> Option<usize> {
    let mut head = Reader(head);
    (head.u32()? == FRAME_MAGIC).then_some(FRAME_HEAD_BYTES + head.u32()? as usize)
}

/// Where the first whole frame of a sequence past `after` starts in `bytes`, if there is one.
pub fn find(bytes: &[u8], salt: u32, after: u64) -> Option<usize> {
    let magic = FRAME_MAGIC.to_le_bytes();
    (0..bytes.len().saturating_sub(FRAME_HEAD_BYTES))
        .filter(|at| bytes[*at..].starts_with(&magic))
        .find(|at| parse(&bytes[*at..], salt).is_some_and(|frame| frame.sequence > after))
}

fn checksum(salt: u32, head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt, head), body)
}

/// Writes the positions that a commit's body starts with.
pub fn put_positions(out: &mut Vec<u8>, positions: &[(u32, i64)]) {
    put_u32(out, positions.len() as u32);
    for (partition, offset) in positions {
        put_u32(out, *partition);
        put_i64(out, *offset);
    }
}

/// A batch in a commit's body.
pub struct Placed {
    /// The file's number for topic and partition.
    pub slot: u32,
    /// Where the Kafka batch starts, from the start of the body.
    pub at: usize,
    pub head: BatchHead,
}

/// What a commit's body holds.
pub struct Commit {
    pub positions: Vec<(u32, i64)>,
    pub batches: Vec<Placed>,
}

/// Takes a commit's body apart.
pub fn commit(body: &[u8]) -> Result<Commit, &'static str> {
    let short = "a commit is cut short";
    let mut rest = Reader(body);
    let count = rest.u32().ok_or(short)?;
    let mut positions = Vec::new();
    for _ in 0..count {
        positions.push((rest.u32().ok_or(short)?, rest.i64().ok_or(short)?));
    }
    let mut batches = Vec::new();
    while !rest.0.is_empty() {
        let slot = rest.u32().ok_or(short)?;
        let at = body.len() - rest.0.len();
        let head = batch::head(rest.0)?;
        rest.take(head.bytes).ok_or(short)?;
        batches.push(Placed { slot, at, head });
    }
    Ok(Commit { positions, batches })
}
