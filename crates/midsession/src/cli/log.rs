//! `midsession log`: what the log holds, as JSON lines. Reads beside a running server through its folder.

use super::{Failure, Global, out};
use crate::config::Config;
use clap::Subcommand;
use midsession_engine_keystore::Reader;
use midsession_engine_local::{RealDisk, View};
use midsession_event::{PartitionId, Personal, Reject, Topic, decode, to_json};
use midsession_ports::{Entry, Unopened};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The topics with their partitions, offsets and sizes
    #[command(
        after_help = "Examples:\n  midsession log topics\n  midsession log topics --data /var/lib/midsession --json"
    )]
    Topics {
        /// The data folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// A topic as JSON lines: topic, partition, offset, timestamp, schema_version, key, value
    #[command(
        after_help = "Examples:\n  midsession log read behavior\n  midsession log read decision --from 2026-11-23T10:00:00Z --follow\n  midsession log read behavior-pii --decrypt"
    )]
    Read {
        /// Which topic
        topic: String,
        /// Where to begin: `earliest`, an offset, or a time (RFC 3339)
        #[arg(long, default_value = "earliest")]
        from: String,
        /// Where to end: an offset or a time (RFC 3339), exclusive
        #[arg(long)]
        to: Option<String>,
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
        /// Goes on with what comes
        #[arg(long)]
        follow: bool,
        /// Opens what is encrypted on `behavior-pii` and `dead-letter`, where the keystore's files can be read
        #[arg(long)]
        decrypt: bool,
        /// The data folder
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

pub(super) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Topics { data } => topics(global, data),
        Command::Read { topic, from, to, partition, follow, decrypt, data } => {
            let Some(topic) = Topic::parse(&topic) else {
                let names: Vec<_> = Topic::ALL.iter().map(|topic| topic.name()).collect();
                return Err(Failure::usage(format!("no topic `{topic}`")).hint(format!("one of: {}", names.join(", "))));
            };
            let (from, to) = (Bound::parse(&from)?, to.as_deref().map(Bound::parse).transpose()?);
            let keys = if decrypt { Some(Keys::open(global, data.clone())?) } else { None };
            read(global, topic, from, to, partition, follow, data, keys)
        }
    }
}

/// Opens the folder for reading only: a running server keeps its lock.
fn open(global: &Global, data: Option<PathBuf>) -> Result<View, Failure> {
    let folder = match data {
        Some(folder) => folder,
        None => global.load()?.data,
    };
    if !folder.exists() {
        let hint = "pass --data with the folder that the server prints at its start";
        return Err(Failure::new(format!("{} is not there", folder.display())).hint(hint));
    }
    Ok(View::open(std::sync::Arc::new(RealDisk), &folder)?)
}

fn topics(global: &Global, data: Option<PathBuf>) -> Result<(), Failure> {
    let log = open(global, data)?;
    if !global.json {
        out(&format!("{:<14} {:>10} {:>12} {:>14}", "topic", "partitions", "records", "bytes"));
    }
    for topic in Topic::ALL {
        let partitions = log.partitions(*topic);
        let (mut records, mut bytes, mut rows) = (0, 0, Vec::new());
        for partition in 0..partitions {
            let extent = log.extent(*topic, PartitionId(partition))?;
            records += extent.end - extent.start;
            bytes += extent.bytes;
            rows.push(json!({"partition": partition, "start": extent.start, "end": extent.end, "bytes": extent.bytes}));
        }
        if global.json {
            let line = json!({"topic": topic.name(), "class": topic.class(), "cleanup": topic.cleanup(), "records": records, "bytes": bytes, "partitions": rows});
            out(&line.to_string());
        } else {
            out(&format!("{:<14} {partitions:>10} {records:>12} {bytes:>14}", topic.name()));
        }
    }
    Ok(())
}

/// An end of a range.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Earliest,
    Offset(i64),
    TimeMs(i64),
}

impl Bound {
    fn parse(text: &str) -> Result<Self, Failure> {
        if text == "earliest" {
            return Ok(Self::Earliest);
        }
        if let Ok(offset) = text.parse() {
            return Ok(Self::Offset(offset));
        }
        text.parse::<jiff::Timestamp>().map(|time| Self::TimeMs(time.as_millisecond())).map_err(|_| {
            Failure::usage(format!("`{text}` is neither `earliest` nor an offset nor a time"))
                .hint("a time looks like 2026-11-23T10:00:00Z")
        })
    }

    fn offset(self, log: &View, topic: Topic, partition: PartitionId) -> Result<i64, Failure> {
        Ok(match self {
            Self::Earliest => log.extent(topic, partition)?.start,
            Self::Offset(offset) => offset.max(log.extent(topic, partition)?.start),
            Self::TimeMs(time_ms) => log.offset_at(topic, partition, time_ms)?,
        })
    }
}

#[expect(clippy::too_many_arguments, reason = "the options, one by one")]
fn read(
    global: &Global,
    topic: Topic,
    from: Bound,
    to: Option<Bound>,
    only: Option<u32>,
    follow: bool,
    data: Option<PathBuf>,
    mut keys: Option<Keys>,
) -> Result<(), Failure> {
    let mut log = open(global, data)?;
    let partitions: Vec<PartitionId> =
        (0..log.partitions(topic)).filter(|p| only.is_none_or(|only| only == *p)).map(PartitionId).collect();
    if partitions.is_empty() {
        return Err(Failure::usage(format!("{} has {} partitions", topic.name(), log.partitions(topic))));
    }
    let mut next: Vec<i64> =
        partitions.iter().map(|partition| from.offset(&log, topic, *partition)).collect::<Result<_, _>>()?;
    let mut entries = Vec::new();
    loop {
        for (partition, next) in partitions.iter().zip(&mut next) {
            let end = match to {
                Some(to) => to.offset(&log, topic, *partition)?,
                None => log.extent(topic, *partition)?.end,
            };
            while *next < end {
                entries.clear();
                log.read(topic, *partition, *next, 1 << 20, &mut entries)?;
                let Some(last) = entries.last() else { break };
                *next = last.offset + 1;
                for entry in entries.iter().filter(|entry| entry.offset < end) {
                    let mut line = line(topic, *partition, entry);
                    if let Some(keys) = &mut keys {
                        keys.open_in(entry, &mut line);
                    }
                    out(&line.to_string());
                }
            }
        }
        if !follow {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
        log.refresh()?;
    }
}

/// The keystore, read again when a key is not in it: its owner may have made it since.
struct Keys {
    config: Config,
    reader: Reader,
    read_at: Instant,
}

impl Keys {
    fn open(global: &Global, data: Option<PathBuf>) -> Result<Self, Failure> {
        let mut config = global.load()?;
        config.data = data.unwrap_or(config.data);
        Ok(Self { reader: crate::privacy::reader(&config)?, config, read_at: Instant::now() })
    }

    fn unseal(&mut self, bound: &str, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        match self.reader.unseal(bound, sealed) {
            Err(Unopened::NoKey) if self.read_at.elapsed() > Duration::from_secs(1) => {
                self.read_at = Instant::now();
                if let Ok(reader) = crate::privacy::reader(&self.config) {
                    self.reader = reader;
                }
                self.reader.unseal(bound, sealed)
            }
            other => other,
        }
    }

    /// Puts what can be opened into a line, or why it can't.
    fn open_in(&mut self, entry: &Entry, line: &mut Value) {
        let Some(value) = entry.value.as_deref() else { return };
        let (field, opened) = if let Ok(reject) = decode::<Reject>(value) {
            ("payload", crate::privacy::letter(&reject, |bound, sealed| self.unseal(bound, sealed)).map(Value::from))
        } else if let Ok(personal) = decode::<Personal>(value) {
            ("fields", crate::privacy::personal(&personal, |bound, sealed| self.unseal(bound, sealed)))
        } else {
            return;
        };
        match opened {
            Ok(opened) => line["value"][field] = opened,
            Err(cause) => line["sealed"] = cause.to_string().into(),
        }
    }
}

/// A record as people and scripts see it.
fn line(topic: Topic, partition: PartitionId, entry: &Entry) -> Value {
    let time = jiff::Timestamp::from_millisecond(entry.stamp_ms).map_or(Value::Null, |time| time.to_string().into());
    let mut line = json!({
        "topic": topic.name(), "partition": partition.0, "offset": entry.offset, "timestamp": time,
        "key": String::from_utf8_lossy(&entry.key), "schema_version": null, "value": null,
    });
    match entry.value.as_deref().map(to_json) {
        None => {}
        Some(Ok((schema, value))) => {
            line["schema"] = schema.subject.into();
            line["schema_id"] = schema.id.0.into();
            line["schema_version"] = schema.version.into();
            line["value"] = value;
        }
        Some(Err(error)) => line["error"] = error.to_string().into(),
    }
    line
}
