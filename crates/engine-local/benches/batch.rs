//! What a record costs to append and to read, beside `kafka-protocol`: `cargo bench -p midsession-engine-local`.

#![allow(missing_docs, clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use divan::{Bencher, black_box, counter::ItemsCount};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchDecoder,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use midsession_engine_local::{Config, Disk, DiskFile, LocalLog, Lock, LockError, SimDisk};
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log, Unit};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Records in one unit.
const RECORDS: usize = 400;
/// About what an event is when encoded. Bytes.
const VALUE_BYTES: usize = 150;

fn main() {
    divan::main();
}

/// Records that compress about as events do (half).
fn records() -> Vec<Append> {
    let record = |at: usize| {
        let id = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u64;
        let text = format!(
            "\0\0\0\0\x01{id:016x}\x0aproduct_view visitor-{:08x} https://shop.example/p/{}?utm_source=mail {:016x}{:016x} EUR {}.99",
            id >> 40,
            id % 20_000,
            id.rotate_left(17).wrapping_mul(31),
            id.rotate_left(41).wrapping_mul(17),
            id % 300
        );
        let mut value = text.into_bytes();
        value.resize(VALUE_BYTES, b' ');
        let key = format!("visitor-{:08x}", id >> 40);
        Append {
            topic: Topic::Behavior,
            partition: PartitionId(0),
            key: Bytes::from(key),
            value: Some(Bytes::from(value)),
        }
    };
    (0..RECORDS).map(record).collect()
}

fn log(disk: Arc<dyn Disk>) -> LocalLog {
    let config = Config { commit_bytes: 1, journal_bytes: 1 << 30, ..Config::new("/simulated") };
    LocalLog::open_threadless(disk, Arc::new(|| 1_763_800_000_000), config).unwrap()
}

/// A disk that takes no time and keeps nothing.
struct Nothing;

impl DiskFile for Nothing {
    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl Disk for Nothing {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, _: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Self))
    }
    fn open(&self, _: &Path, _: bool) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn lock(&self, _: &Path) -> Result<Lock, LockError> {
        Ok(Box::new(()))
    }
}

/// Queue, encode, compress, checksum, frame, index, answer; all but the disk.
#[divan::bench]
fn append_ours(bencher: Bencher) {
    let log = log(Arc::new(Nothing));
    let records = records();
    bencher
        .with_inputs(|| Unit { records: records.clone(), positions: vec![] })
        .input_counter(|unit| ItemsCount::new(unit.records.len()))
        .bench_local_values(|unit| {
            log.append(unit.into(), Box::new(|answer| drop(black_box(answer))));
            log.commit_now()
        });
}

#[divan::bench(args = [Compression::None, Compression::Lz4])]
fn encode_kafka_protocol(bencher: Bencher, compression: Compression) {
    let records = kafka_records();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut out = BytesMut::new();
        RecordBatchEncoder::encode(&mut out, &records, &RecordEncodeOptions { version: 2, compression }).unwrap();
        out
    });
}

#[divan::bench]
fn read_ours(bencher: Bencher) {
    let log = log(SimDisk::default().process());
    for _ in 0..20 {
        log.append(Unit { records: records(), positions: vec![] }.into(), Box::new(|_| ()));
        log.commit_now();
    }
    let mut entries = Vec::new();
    bencher.counter(ItemsCount::new(20 * RECORDS)).bench_local(|| {
        entries.clear();
        log.read(Topic::Behavior, PartitionId(0), 0, usize::MAX, &mut entries).unwrap();
        assert_eq!(entries.len(), 20 * RECORDS);
    });
}

#[divan::bench(args = [Compression::None, Compression::Lz4])]
fn decode_kafka_protocol(bencher: Bencher, compression: Compression) {
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut out, &kafka_records(), &options).unwrap();
    let batch = out.freeze();
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| RecordBatchDecoder::decode(&mut black_box(batch.clone())).unwrap().records.len());
}

fn kafka_records() -> Vec<Record> {
    let record = |(at, append): (usize, Append)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: at as i64,
        sequence: at as i32,
        timestamp: 1_763_800_000_000,
        key: Some(append.key),
        value: append.value,
        headers: IndexMap::new(),
    };
    records().into_iter().enumerate().map(record).collect()
}
