//! What a journal file starts from: topics, next offsets, positions, the last stamp. It makes older files removable.

use crate::bytes::{Reader, put_i64, put_u32, put_u64};
use midsession_event::Topic;

/// Topics with their partitions, numbered through: topic by topic, partition by partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots(Vec<(String, u32)>);

impl Slots {
    /// The product's topics with this many partitions where a topic is partitioned.
    pub fn new(partitions: u32) -> Self {
        let count = |topic: &Topic| if topic.is_partitioned() { partitions } else { 1 };
        Self(Topic::ALL.iter().map(|topic| (topic.name().to_owned(), count(topic))).collect())
    }

    #[cfg(test)]
    pub fn of(topics: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        Self(topics.into_iter().map(|(name, partitions)| (name.to_owned(), partitions)).collect())
    }

    /// All of them.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(_, partitions)| *partitions as usize).sum()
    }

    /// Partitions of `behavior`, and with it of every partitioned topic.
    pub fn partitions(&self) -> Option<u32> {
        let (_, partitions) = self.0.iter().find(|(name, _)| name == Topic::Behavior.name())?;
        Some(*partitions)
    }

    /// Topic and partition of each slot; `None` for a topic that this version does not know.
    pub fn list(&self) -> impl Iterator<Item = Option<(Topic, u32)>> + '_ {
        self.0.iter().flat_map(|(name, partitions)| {
            let topic = Topic::parse(name);
            (0..*partitions).map(move |partition| Some((topic?, partition)))
        })
    }

    /// The slot of a partition.
    pub fn slot(&self, topic: Topic, partition: u32) -> Option<usize> {
        let mut base = 0;
        for (name, partitions) in &self.0 {
            if name == topic.name() {
                return (partition < *partitions).then_some(base + partition as usize);
            }
            base += *partitions as usize;
        }
        None
    }
}

/// The state between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of the next commit.
    pub sequence: u64,
    /// The largest stamp given so far. Epoch ms.
    pub stamp_ms: i64,
    /// The file before this one and how many of its bytes count.
    pub previous: Option<(u64, u64)>,
    pub slots: Slots,
    /// Next offset per slot.
    pub next: Vec<i64>,
    /// Input position per partition of `behavior`.
    pub positions: Vec<i64>,
}

impl Snapshot {
    pub fn new(slots: Slots) -> Self {
        let (next, positions) = (vec![0; slots.count()], vec![0; slots.partitions().unwrap_or(0) as usize]);
        Self { sequence: 1, stamp_ms: 0, previous: None, slots, next, positions }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.sequence);
        put_i64(out, self.stamp_ms);
        let (number, bytes) = self.previous.unwrap_or((u64::MAX, 0));
        put_u64(out, number);
        put_u64(out, bytes);
        put_u32(out, self.slots.0.len() as u32);
        for (name, partitions) in &self.slots.0 {
            put_u32(out, name.len() as u32);
            out.extend_from_slice(name.as_bytes());
            put_u32(out, *partitions);
        }
        self.next.iter().for_each(|next| put_i64(out, *next));
        put_u32(out, self.positions.len() as u32);
        self.positions.iter().for_each(|position| put_i64(out, *position));
    }

    pub fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let (sequence, stamp_ms) = (from.u64()?, from.i64()?);
        let previous = Some((from.u64()?, from.u64()?)).filter(|(number, _)| *number != u64::MAX);
        let mut slots = Slots(Vec::new());
        for _ in 0..from.u32()? {
            let len = from.u32()? as usize;
            let name = String::from_utf8(from.take(len)?.to_vec()).ok()?;
            slots.0.push((name, from.u32()?));
        }
        let next = (0..slots.count()).map(|_| from.i64()).collect::<Option<_>>()?;
        let positions = (0..from.u32()?).map(|_| from.i64()).collect::<Option<_>>()?;
        Some(Self { sequence, stamp_ms, previous, slots, next, positions })
    }
}
