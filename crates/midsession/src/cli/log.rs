//! `midsession log`: what the log holds, as JSON lines. Reads beside a running server through its folder.

use super::bound::Bound;
use super::{Failure, Global, out};
use crate::config::Config;
use crate::opened::Opened;
use clap::{Args, Subcommand};
use midsession_engine_keystore::Reader;
use midsession_engine_local::{RealDisk, View};
use midsession_event::{PartitionId, Personal, Reject, Topic, decode, to_json};
use midsession_feature::nearest;
use midsession_ports::{Entry, Unopened};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
        after_help = "Examples:\n  midsession log read behavior\n  midsession log read behavior --from 5m\n  midsession log read behavior --from latest --follow\n  midsession log read decision --from 2026-11-23T10:00:00Z --to 2h\n  midsession log read behavior-pii --decrypt"
    )]
    Read(ReadOptions),
}

#[derive(Args, Debug)]
pub(super) struct ReadOptions {
    /// Which topic
    topic: String,
    /// Where to begin: `earliest`, `latest`, an offset, a time (RFC 3339), or how long ago (`5m`, `2h`)
    #[arg(long, default_value = "earliest", allow_hyphen_values = true)]
    from: String,
    /// Where to end, exclusive, in the same words; `latest` is what is there now
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
    /// Only this partition
    #[arg(long)]
    partition: Option<u32>,
    /// Goes on with what comes
    #[arg(long)]
    follow: bool,
    /// Opens what is encrypted on `behavior-pii` and `dead-letter`, where the keystore's files can be read; that you did is
    /// written to `opened.jsonl` in the data folder first
    #[arg(long)]
    decrypt: bool,
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Topics { data } => topics(global, data),
        Command::Read(options) => read(global, &options),
    }
}

const FOLDER: &str = "pass --data with the folder that the server prints at its start";

/// Opens the folder for reading only: a running server keeps its lock.
fn open(global: &Global, data: Option<PathBuf>) -> Result<View, Failure> {
    let folder = match data {
        Some(folder) => folder,
        None => global.load()?.data,
    };
    if !folder.exists() {
        return Err(Failure::new(format!("{} is not there", folder.display())).hint(FOLDER));
    }
    let log = View::open(std::sync::Arc::new(RealDisk), &folder)?;
    if log.partitions(Topic::Behavior) == 0 {
        return Err(Failure::new(format!("{} holds no log", folder.display())).hint(FOLDER));
    }
    Ok(log)
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

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn read(global: &Global, options: &ReadOptions) -> Result<(), Failure> {
    let Some(topic) = Topic::parse(&options.topic) else {
        let names: Vec<_> = Topic::ALL.iter().map(|topic| topic.name()).collect();
        let cause = format!("no topic `{}`", options.topic);
        let meant = nearest(&options.topic, names.iter().copied());
        let meant = meant.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        return Err(Failure::usage(cause).hint(format!("{meant}one of: {}", names.join(", "))));
    };
    let now = now_ms();
    let from = Bound::parse("--from", &options.from, now)?;
    let to = options.to.as_deref().map(|to| Bound::parse("--to", to, now)).transpose()?;
    if to.is_some_and(|to| from.is_behind(to)) {
        return Err(Failure::usage("--to is not behind --from: nothing lies between")
            .hint("--from is the earlier one; `5m` is five minutes ago"));
    }
    let mut log = open(global, options.data.clone())?;
    let mut keys = if options.decrypt { Some(Keys::open(global, options.data.clone())?) } else { None };
    let count = log.partitions(topic);
    if count == 0 {
        return Err(Failure::new(format!("there is no {} in this folder yet", topic.name()))
            .hint("it comes with the next start of the server"));
    }
    let partitions: Vec<PartitionId> = match options.partition {
        Some(only) if only < count => vec![PartitionId(only)],
        Some(only) => {
            let last = count - 1;
            let cause = format!("{} has no partition {only} in this folder", topic.name());
            return Err(Failure::usage(cause).hint(format!("they are 0 to {last}; left out, all are read")));
        }
        None => (0..count).map(PartitionId).collect(),
    };
    let mut next: Vec<i64> = partitions.iter().map(|it| from.offset(&log, topic, *it)).collect::<Result<_, _>>()?;
    // `latest` is told apart from what comes later.
    let latest: Vec<i64> =
        partitions.iter().map(|it| Bound::Latest.offset(&log, topic, *it)).collect::<Result<_, _>>()?;
    loop {
        // Asked before the look: what was stamped until then is in it.
        let is_over = matches!(to, Some(Bound::TimeMs(time_ms)) if time_ms < now_ms() - 1_000);
        // Of a time that is still to come there may be more.
        let mut is_reached = to.is_some_and(|to| !matches!(to, Bound::TimeMs(_)));
        for ((partition, next), latest) in partitions.iter().zip(&mut next).zip(&latest) {
            let there = log.extent(topic, *partition)?.end;
            let end = match to {
                None => there,
                Some(Bound::Latest) => *latest,
                Some(to) => to.offset(&log, topic, *partition)?,
            };
            piecewise(&log, topic, *partition, next, end.min(there), keys.as_mut())?;
            is_reached &= *next >= end;
        }
        if !options.follow || is_over || is_reached {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
        log.refresh()?;
    }
}

/// Prints what a partition has from `next` up to `end`. What was opened is evidence before it is printed.
fn piecewise(
    log: &View,
    topic: Topic,
    partition: PartitionId,
    next: &mut i64,
    end: i64,
    mut keys: Option<&mut Keys>,
) -> Result<(), Failure> {
    let mut entries = Vec::new();
    while *next < end {
        entries.clear();
        log.read(topic, partition, *next, 1 << 20, &mut entries)?;
        let Some(last) = entries.last() else { break };
        *next = last.offset + 1;
        let mut opened = Vec::new();
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter(|entry| entry.offset < end) {
            let mut line = line(topic, partition, entry);
            if let Some(keys) = &mut keys
                && keys.open_in(entry, &mut line)
            {
                opened.push(entry.offset);
            }
            lines.push(line);
        }
        if let (Some(keys), Some(first), Some(last)) = (&mut keys, opened.first(), opened.last()) {
            keys.opened.tell(now_ms(), topic, partition, (*first, *last + 1), opened.len())?;
        }
        lines.iter().for_each(|line| out(&line.to_string()));
    }
    Ok(())
}

/// The keystore, read again when a key is not in it: its owner may have made it since. There are no keys without the
/// file that what they open is written down in.
struct Keys {
    opened: Opened,
    config: Config,
    reader: Reader,
    read_at: Instant,
}

impl Keys {
    fn open(global: &Global, data: Option<PathBuf>) -> Result<Self, Failure> {
        let mut config = global.load()?;
        config.data = data.unwrap_or(config.data);
        let reader = crate::privacy::reader(&config)?;
        Ok(Self { opened: Opened::at(&config.data)?, reader, config, read_at: Instant::now() })
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

    /// Puts what can be opened into a line, or why it can't; whether something was.
    fn open_in(&mut self, entry: &Entry, line: &mut Value) -> bool {
        let Some(value) = entry.value.as_deref() else { return false };
        let (field, opened) = if let Ok(reject) = decode::<Reject>(value) {
            ("payload", crate::privacy::letter(&reject, |bound, sealed| self.unseal(bound, sealed)).map(Value::from))
        } else if let Ok(personal) = decode::<Personal>(value) {
            ("fields", crate::privacy::personal(&personal, |bound, sealed| self.unseal(bound, sealed)))
        } else {
            return false;
        };
        let is_open = opened.is_ok();
        match opened {
            Ok(opened) => line["value"][field] = opened,
            Err(cause) => line["sealed"] = cause.to_string().into(),
        }
        is_open
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
