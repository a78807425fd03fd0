//! Records of a keyed topic in the storm: whatever is removed or compacted, each key's last value stays.

use crate::house::House;
use bytes::Bytes;
use midsession_event::{PartitionId, Topic};
use midsession_ports::{Append, Log as _};
use std::collections::BTreeMap;

/// A keyed topic that nothing else in a storm writes or reads.
const TOPIC: Topic = Topic::Context;
const PARTITION: PartitionId = PartitionId(0);
/// So few keys that most records can go.
const KEYS: u64 = 5;

/// What was sent, by key: values rise.
#[derive(Debug, Default)]
pub(super) struct Keyed {
    sent: BTreeMap<String, u64>,
    acked: BTreeMap<String, u64>,
    flying: BTreeMap<u64, (String, u64)>,
}

impl Keyed {
    /// The next record, in the unit of this number.
    pub(super) fn next(&mut self, unit: u64) -> Append {
        let key = format!("key{}", unit % KEYS);
        self.sent.insert(key.clone(), unit);
        self.flying.insert(unit, (key.clone(), unit));
        Append { topic: TOPIC, partition: PARTITION, key: Bytes::from(key), value: Some(Bytes::from(unit.to_string())) }
    }

    /// The unit was answered.
    pub(super) fn answered(&mut self, unit: u64, is_ok: bool) {
        if let Some((key, value)) = self.flying.remove(&unit).filter(|_| is_ok) {
            let last = self.acked.entry(key).or_default();
            *last = value.max(*last);
        }
    }

    /// Nobody waits for answers any more.
    pub(super) fn lost(&mut self) {
        self.flying.clear();
    }

    /// Each key has the last value that was acknowledged, or one that was sent since.
    pub(super) fn check(&self, house: &House) -> Result<(), String> {
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        {
            let (mut next, mut entries) = (0, Vec::new());
            loop {
                let before = entries.len();
                house.port.read(TOPIC, PARTITION, next, 1 << 20, &mut entries).map_err(|error| error.to_string())?;
                match entries.last() {
                    Some(last) if entries.len() > before => next = last.offset + 1,
                    _ => break,
                }
            }
            for entry in entries {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let value = entry.value.as_deref().map(text).and_then(|text| text.parse().ok());
                let value = value.ok_or_else(|| format!("I1: {TOPIC:?}/{} is not what was sent", entry.offset))?;
                found.insert(text(&entry.key), value);
            }
        }
        let (none, all) = (0, &self.sent);
        for (key, sent) in all {
            let (found, acked) = (found.get(key).unwrap_or(&none), self.acked.get(key).unwrap_or(&none));
            if found < acked || found > sent {
                return Err(format!("I1: {key} is {found}; {acked} was acknowledged, {sent} sent"));
            }
        }
        Ok(())
    }
}
