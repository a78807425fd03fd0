//! Kafka record batches, format v2: records in, bytes out, and back.
//!
//! `kafka-protocol` can't be the writer: it does not set the append-time attribute that the log's stamps need, and it
//! compresses with the slow high-compression mode (see `benches/batch.rs`). The tests hold both codecs to each other.

use crate::lz4::Lz4;
use bytes::Bytes;
use midsession_ports::Entry;

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batch_length` counts.
const PREFIX_BYTES: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const APPEND_TIME: i16 = 1 << 3;
const LZ4: i16 = 3;
const CODEC_MASK: i16 = 7;
/// Fewer raw bytes than this are not worth a compressed block.
const COMPRESS_FROM_BYTES: usize = 192;
/// A record's parts besides key and value: at most this many bytes.
pub const RECORD_OVERHEAD_BYTES: usize = 32;

/// Collects the records of one batch.
#[derive(Default)]
pub struct BatchBuilder {
    raw: Vec<u8>,
    count: i32,
    base: i64,
    last: i64,
    first_stamp_ms: i64,
    max_stamp_ms: i64,
    /// All stamps equal so far.
    one_stamp: bool,
}

impl BatchBuilder {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn raw_bytes(&self) -> usize {
        self.raw.len()
    }

    /// Offset of the first record.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Past the last record's offset.
    pub fn end(&self) -> i64 {
        self.last + 1
    }

    /// Largest stamp.
    pub fn stamp_ms(&self) -> i64 {
        self.max_stamp_ms
    }

    /// Adds a record. Offsets rise, stamps never fall.
    pub fn push(&mut self, offset: i64, stamp_ms: i64, key: &[u8], value: Option<&[u8]>) {
        if self.count == 0 {
            (self.base, self.first_stamp_ms, self.max_stamp_ms, self.one_stamp) = (offset, stamp_ms, stamp_ms, true);
        }
        self.one_stamp &= stamp_ms == self.first_stamp_ms;
        self.max_stamp_ms = self.max_stamp_ms.max(stamp_ms);
        self.last = offset;
        self.count += 1;
        let (stamp_delta, offset_delta) = (stamp_ms - self.first_stamp_ms, offset - self.base);
        let value_len = value.map_or(-1, |value| value.len() as i64);
        let size = 2
            + varint_len(stamp_delta)
            + varint_len(offset_delta)
            + varint_len(key.len() as i64)
            + key.len()
            + varint_len(value_len)
            + value.map_or(0, <[u8]>::len);
        let raw = &mut self.raw;
        raw.reserve(size + 5);
        put_varint(raw, size as i64);
        raw.push(0);
        put_varint(raw, stamp_delta);
        put_varint(raw, offset_delta);
        put_varint(raw, key.len() as i64);
        raw.extend_from_slice(key);
        put_varint(raw, value_len);
        raw.extend_from_slice(value.unwrap_or_default());
        raw.push(0);
    }

    /// Appends the batch to `out` and starts over. Batches of one stamp are marked as stamped by the log.
    pub fn finish(&mut self, lz4: &mut Lz4, out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + HEADER_BYTES, 0);
        let compressed = self.raw.len() >= COMPRESS_FROM_BYTES && lz4.compress(&self.raw, out);
        if !compressed {
            out.truncate(at + HEADER_BYTES);
            out.extend_from_slice(&self.raw);
        }
        let attributes = if compressed { LZ4 } else { 0 } | if self.one_stamp { APPEND_TIME } else { 0 };
        let length = (out.len() - at - PREFIX_BYTES) as i32;
        let head = &mut out[at..at + HEADER_BYTES];
        head[0..8].copy_from_slice(&self.base.to_be_bytes());
        head[8..12].copy_from_slice(&length.to_be_bytes());
        head[MAGIC_AT] = 2;
        head[21..23].copy_from_slice(&attributes.to_be_bytes());
        head[23..27].copy_from_slice(&((self.last - self.base) as i32).to_be_bytes());
        head[27..35].copy_from_slice(&self.first_stamp_ms.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_stamp_ms.to_be_bytes());
        // No producer: id, epoch and sequence are -1.
        head[43..57].fill(0xff);
        head[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&out[at + ATTRIBUTES_AT..]);
        out[at + CRC_AT..at + ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        self.raw.clear();
        self.count = 0;
    }
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Bytes of the whole batch.
    pub bytes: usize,
    /// First offset.
    pub base: i64,
    /// Past the last offset.
    pub end: i64,
    /// First stamp.
    pub first_stamp_ms: i64,
    /// Largest stamp.
    pub stamp_ms: i64,
    count: i32,
    attributes: i16,
}

/// Reads the head of the batch that `bytes` starts with; checks nothing but that it fits.
pub fn head(bytes: &[u8]) -> Result<BatchHead, &'static str> {
    let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or("a record batch is cut short")?;
    let length = i32::from_be_bytes(array(head, 8));
    let bytes_all = PREFIX_BYTES + usize::try_from(length).map_err(|_| "a record batch has a negative length")?;
    if bytes_all < HEADER_BYTES || bytes_all > bytes.len() {
        return Err("a record batch is longer than its place");
    }
    if head[MAGIC_AT] != 2 {
        return Err("a record batch is not of format v2");
    }
    let base = i64::from_be_bytes(array(head, 0));
    let last_delta = i32::from_be_bytes(array(head, 23));
    Ok(BatchHead {
        bytes: bytes_all,
        base,
        end: base.saturating_add(i64::from(last_delta)).saturating_add(1),
        first_stamp_ms: i64::from_be_bytes(array(head, 27)),
        stamp_ms: i64::from_be_bytes(array(head, 35)),
        count: i32::from_be_bytes(array(head, 57)),
        attributes: i16::from_be_bytes(array(head, 21)),
    })
}

/// Appends the records at or past `from` of the one batch in `bytes` to `out`; what does not fit is an error.
pub fn decode(bytes: &[u8], from: i64, out: &mut Vec<Entry>) -> Result<(), &'static str> {
    let head = head(bytes)?;
    let crc = u32::from_be_bytes(array(bytes, CRC_AT));
    if crc32c::crc32c(&bytes[ATTRIBUTES_AT..head.bytes]) != crc {
        return Err("a record batch does not match its checksum");
    }
    let records = &bytes[HEADER_BYTES..head.bytes];
    let records = match head.attributes & CODEC_MASK {
        0 => Bytes::copy_from_slice(records),
        LZ4 => Lz4::decompress(records)?,
        _ => return Err("a record batch is compressed in a way the log never writes"),
    };
    let append_time = head.attributes & APPEND_TIME != 0;
    let mut at = 0;
    let raw = &records[..];
    for _ in 0..head.count {
        let size = get_varint(raw, &mut at)?;
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).filter(|end| *end <= raw.len());
        let end = end.ok_or("a record is longer than its batch")?;
        at += 1;
        let stamp_delta = get_varint(raw, &mut at)?;
        let offset = head.base.wrapping_add(get_varint(raw, &mut at)?);
        let key = span(raw, &mut at)?;
        let value = span(raw, &mut at)?;
        if at > end {
            return Err("a record is shorter than its parts");
        }
        at = end;
        if offset < from {
            continue;
        }
        let stamp_ms = if append_time { head.stamp_ms } else { head.first_stamp_ms.wrapping_add(stamp_delta) };
        let key = key.map(|range| records.slice(range)).unwrap_or_default();
        out.push(Entry { offset, stamp_ms, key, value: value.map(|range| records.slice(range)) });
    }
    Ok(())
}

/// `N` bytes from `at`, which the caller has made sure are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// The range of a length-prefixed part; a length of -1 is none.
fn span(raw: &[u8], at: &mut usize) -> Result<Option<std::ops::Range<usize>>, &'static str> {
    let len = get_varint(raw, at)?;
    if len < 0 {
        return Ok(None);
    }
    let start = *at;
    let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len)).filter(|end| *end <= raw.len());
    *at = end.ok_or("a key or value is longer than its batch")?;
    Ok(Some(start..*at))
}

fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn get_varint(raw: &[u8], at: &mut usize) -> Result<i64, &'static str> {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *raw.get(*at).ok_or("a record is cut short")?;
        *at += 1;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err("a number in a record is too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bytes::BytesMut;
    use kafka_protocol::indexmap::IndexMap;
    use kafka_protocol::records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchDecoder,
        RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    };

    /// Entries of many shapes: none, one, compressible, not, larger than a block, tombstones, gaps, stamps that rise.
    fn shapes() -> Vec<Vec<Entry>> {
        let entry = |offset: i64, stamp_ms: i64, key: &str, value: Option<Vec<u8>>| Entry {
            offset,
            stamp_ms,
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.map(Bytes::from),
        };
        let noise = |len: usize, seed: u64| {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u8
            };
            (0..len).map(|_| next()).collect::<Vec<u8>>()
        };
        vec![
            vec![entry(0, 0, "", Some(vec![]))],
            vec![entry(7, 1_763_800_000_000, "k", None)],
            (0..500)
                .map(|i| entry(1000 + i, 5, &format!("visitor-{i}"), Some(vec![b'x'; (i % 300) as usize])))
                .collect(),
            vec![entry(1, 9, "noise", Some(noise(40_000, 1)))],
            vec![entry(i64::from(i32::MAX) + 5, 9, "large", Some([noise(70_000, 2), vec![0; 300_000]].concat()))],
            vec![
                entry(3, 10, "a", Some(vec![1; 100])),
                entry(90, 11, "b", None),
                entry(70_000, 2_000_000, "c", Some(noise(200, 3))),
            ],
        ]
    }

    fn ours(entries: &[Entry]) -> Bytes {
        let mut builder = BatchBuilder::default();
        for entry in entries {
            builder.push(entry.offset, entry.stamp_ms, &entry.key, entry.value.as_deref());
        }
        let mut out = vec![0xaa; 3];
        builder.finish(&mut Lz4::default(), &mut out);
        Bytes::from(out).slice(3..)
    }

    #[test]
    fn kafka_protocol_reads_ours() {
        for entries in shapes() {
            let mut bytes = ours(&entries);
            let head = head(&bytes).unwrap();
            assert_eq!((head.base, head.end), (entries[0].offset, entries[entries.len() - 1].offset + 1));
            let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
            let read: Vec<_> = set
                .records
                .iter()
                .map(|record| Entry {
                    offset: record.offset,
                    stamp_ms: record.timestamp,
                    key: record.key.clone().unwrap(),
                    value: record.value.clone(),
                })
                .collect();
            assert_eq!(read, entries);
            let one_stamp = entries.iter().all(|entry| entry.stamp_ms == entries[0].stamp_ms);
            assert!(set.records.iter().all(|record| (record.timestamp_type == TimestampType::LogAppend) == one_stamp));
        }
    }

    #[test]
    fn ours_reads_kafka_protocols() {
        for compression in [Compression::None, Compression::Lz4] {
            for entries in shapes() {
                let base = entries[0].offset;
                let records: Vec<_> = entries
                    .iter()
                    .map(|entry| Record {
                        transactional: false,
                        control: false,
                        delete_horizon: false,
                        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
                        producer_id: NO_PRODUCER_ID,
                        producer_epoch: NO_PRODUCER_EPOCH,
                        timestamp_type: TimestampType::Creation,
                        offset: entry.offset,
                        sequence: (entry.offset - base) as i32,
                        timestamp: entry.stamp_ms,
                        key: Some(entry.key.clone()),
                        value: entry.value.clone(),
                        headers: IndexMap::new(),
                    })
                    .collect();
                let mut bytes = BytesMut::new();
                RecordBatchEncoder::encode(&mut bytes, &records, &RecordEncodeOptions { version: 2, compression })
                    .unwrap();
                let mut read = Vec::new();
                decode(&bytes.freeze(), 0, &mut read).unwrap();
                assert_eq!(read, entries);
            }
        }
    }

    #[test]
    fn a_batch_with_any_bit_flipped_is_refused_or_of_other_offsets() {
        let bytes = ours(&shapes()[2][..40]);
        let mut whole = Vec::new();
        decode(&bytes, 0, &mut whole).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.to_vec();
            broken[bit / 8] ^= 1 << (bit % 8);
            let mut read = Vec::new();
            let outcome = decode(&Bytes::from(broken), i64::MIN, &mut read);
            // Kafka's checksum leaves out the base offset and the leader epoch; the log checks the offset on its own.
            assert_eq!(outcome.is_err(), !(0..8).contains(&(bit / 8)) && !(12..16).contains(&(bit / 8)), "bit {bit}");
        }
    }

    #[test]
    fn reading_starts_where_asked() {
        let entries = &shapes()[2];
        let mut read = Vec::new();
        decode(&ours(entries), 1499, &mut read).unwrap();
        assert_eq!(read, entries[499..]);
    }
}
