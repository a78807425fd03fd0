//! What was appended and answered, and whether what the log holds agrees.

use crate::{Append, Entry, Extent, Log, LogError, Position, Receipt, Unit};
use bytes::Bytes;
use midsession_event::{PartitionId, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Draws from a seed (SplitMix64).
pub struct Draw(u64);

impl Draw {
    /// The draws of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound.max(1)
    }
}

/// The answers to units, by unit.
type Answers = Arc<Mutex<BTreeMap<usize, Result<Vec<Receipt>, LogError>>>>;

/// A unit and what is known of it.
struct Sent {
    records: Vec<(Topic, u32, Bytes)>,
    positions: Vec<Position>,
}

/// Everything sent to a log.
#[derive(Default)]
pub struct Model {
    sent: Vec<Sent>,
    answers: Answers,
    /// Unanswered, but found in the log once: it must stay.
    found: BTreeSet<usize>,
    /// Answered before the log was last lost: the rest is unknown.
    settled: BTreeMap<usize, Result<Vec<Receipt>, LogError>>,
}

/// The topics that the model writes to.
const TOPICS: [Topic; 4] = [Topic::Behavior, Topic::Session, Topic::Decision, Topic::Governance];

impl Model {
    /// A unit of random size and place; its records name it.
    pub fn draw(&mut self, draw: &mut Draw, partitions: u32) -> Unit {
        let number = self.sent.len();
        let most = if draw.below(8) == 0 { 40 } else { 5 };
        let count = 1 + draw.below(most) as usize;
        let mut records = Vec::new();
        for at in 0..count {
            let topic = TOPICS[draw.below(4) as usize];
            let partition = if topic.is_partitioned() { draw.below(u64::from(partitions)) as u32 } else { 0 };
            let mut value = format!("{number} {at} {count} ").into_bytes();
            let most = if draw.below(30) == 0 { 4000 } else { 200 };
            let fill = draw.below(most) as usize;
            let (noisy, mut noise) = (draw.below(2) == 0, Draw::new(draw.any()));
            value.extend((0..fill).map(|_| if noisy { noise.any() as u8 } else { b'.' }));
            records.push((topic, partition, Bytes::from(value)));
        }
        let positions = if draw.below(2) == 0 {
            vec![Position {
                partition: PartitionId(draw.below(u64::from(partitions)) as u32),
                offset: number as i64 + 1,
            }]
        } else {
            Vec::new()
        };
        let append = |(topic, partition, value): &(Topic, u32, Bytes)| Append {
            topic: *topic,
            partition: PartitionId(*partition),
            key: Bytes::copy_from_slice(&value[..value.len().min(7)]),
            value: Some(value.clone()),
        };
        let unit = Unit { records: records.iter().map(append).collect(), positions: positions.clone() };
        self.sent.push(Sent { records, positions });
        unit
    }

    /// Appends a drawn unit; gives its number.
    pub fn send(&mut self, log: &dyn Log, unit: Unit) -> usize {
        let (number, answers) = (self.sent.len() - 1, self.answers.clone());
        log.append(
            unit.into(),
            Box::new(move |answer| {
                let mut answers = answers.lock().expect("invariant: no holder panics");
                assert!(answers.insert(number, answer).is_none(), "unit {number} was answered twice");
            }),
        );
        number
    }

    /// Draws and appends.
    pub fn append(&mut self, log: &dyn Log, draw: &mut Draw, partitions: u32) -> usize {
        let unit = self.draw(draw, partitions);
        self.send(log, unit)
    }

    /// How many units were sent.
    pub fn count(&self) -> usize {
        self.sent.len()
    }

    /// What a unit was answered, if it was.
    pub fn answer(&self, number: usize) -> Option<Result<Vec<Receipt>, LogError>> {
        let fresh = self.answers.lock().expect("invariant: no holder panics").get(&number).cloned();
        fresh.or_else(|| self.settled.get(&number).cloned())
    }

    /// Every unit has been answered.
    pub fn all_answered(&self) -> bool {
        (0..self.sent.len()).all(|number| self.answer(number).is_some())
    }

    /// The log is gone: what comes of its callbacks from now on is not an answer.
    pub fn lost(&mut self) {
        let answers = std::mem::take(&mut self.answers);
        let answered = answers.lock().expect("invariant: no holder panics").clone();
        self.settled.extend(answered);
    }

    /// Reads all and compares. Gives how many units are there, of those that retention has not touched.
    pub fn check(&mut self, log: &dyn Log, at: &str) -> usize {
        let all = read_all(log, at);
        let mut parts: BTreeMap<usize, BTreeMap<usize, Receipt>> = BTreeMap::new();
        for ((topic, partition), (_, entries)) in &all {
            let mut last_unit = 0;
            for entry in entries {
                let (number, part, count) = parse(entry);
                let sent = self.sent.get(number).unwrap_or_else(|| panic!("{at}: unit {number} was never sent"));
                let (sent_topic, sent_partition, value) = &sent.records[part];
                assert_eq!(
                    (sent_topic, sent_partition),
                    (topic, partition),
                    "{at}: unit {number} is in the wrong place"
                );
                assert_eq!(count, sent.records.len());
                assert_eq!(entry.value.as_ref(), Some(value), "{at}: unit {number} was changed");
                assert!(number >= last_unit, "{at}: {topic:?}/{partition} has unit {number} behind {last_unit}");
                last_unit = number;
                let receipt = Receipt {
                    topic: *topic,
                    partition: PartitionId(*partition),
                    offset: entry.offset,
                    stamp_ms: entry.stamp_ms,
                };
                let twice = parts.entry(number).or_default().insert(part, receipt);
                assert!(twice.is_none(), "{at}: unit {number} is there twice");
            }
        }
        let start = |topic: Topic, partition: u32| all[&(topic, partition)].0.start;
        let mut whole = 0;
        for (number, sent) in self.sent.iter().enumerate() {
            let found = parts.get(&number);
            let answer = self.answer(number);
            match &answer {
                Some(Ok(receipts)) => {
                    for (part, receipt) in receipts.iter().enumerate() {
                        let there = found.and_then(|found| found.get(&part));
                        let removed = receipt.offset < start(receipt.topic, receipt.partition.0);
                        assert!(
                            removed || there == Some(receipt),
                            "{at}: unit {number} was acknowledged with {receipt:?}, the log has {there:?}"
                        );
                    }
                    whole += usize::from(found.is_some_and(|found| found.len() == sent.records.len()));
                }
                Some(Err(error)) if !matches!(error, LogError::Failed { .. }) => {
                    assert!(found.is_none(), "{at}: unit {number} was refused ({error}) and is there");
                }
                _ => {
                    let count = found.map_or(0, BTreeMap::len);
                    let starts_at_zero =
                        sent.records.iter().all(|(topic, partition, _)| start(*topic, *partition) == 0);
                    let was_there = self.found.contains(&number);
                    assert!(
                        !starts_at_zero || count == sent.records.len() || (count == 0 && !was_there),
                        "{at}: {count} of {} records of unit {number} are there",
                        sent.records.len()
                    );
                    if count == sent.records.len() {
                        self.found.insert(number);
                        whole += 1;
                    }
                }
            }
        }
        self.check_positions(log, &parts, at);
        whole
    }

    /// A partition's position is that of the last unit that is there and carries one.
    fn check_positions(&self, log: &dyn Log, parts: &BTreeMap<usize, BTreeMap<usize, Receipt>>, at: &str) {
        for partition in (0..log.partitions(Topic::Behavior)).map(PartitionId) {
            let there = |number: &usize| {
                matches!(self.answer(*number), Some(Ok(_))) || self.found.contains(number) || parts.contains_key(number)
            };
            let of =
                |number: &usize| self.sent[*number].positions.iter().find(|position| position.partition == partition);
            let last = (0..self.sent.len()).rev().filter(there).find_map(|number| of(&number));
            let expected = last.map_or(0, |position| position.offset);
            assert_eq!(log.position(partition), expected, "{at}: position of {partition:?}");
        }
    }
}

/// Every partition that the model writes to, with its extent and records: in steps of various sizes, offsets without a
/// gap, stamps that don't go back.
pub fn read_all(log: &dyn Log, at: &str) -> BTreeMap<(Topic, u32), (Extent, Vec<Entry>)> {
    let mut all = BTreeMap::new();
    for topic in TOPICS {
        for partition in 0..log.partitions(topic) {
            all.insert((topic, partition), read_partition(log, topic, partition, at));
        }
    }
    all
}

fn read_partition(log: &dyn Log, topic: Topic, partition: u32, at: &str) -> (Extent, Vec<Entry>) {
    let place = PartitionId(partition);
    let extent = log.extent(topic, place).unwrap_or_else(|error| panic!("{at}: {error}"));
    let entries = read_to_end(log, topic, partition, extent.start).unwrap_or_else(|error| panic!("{at}: {error}"));
    for (entry, offset) in entries.iter().zip(extent.start..) {
        assert_eq!(entry.offset, offset, "{at}: {topic:?}/{partition} has a gap");
    }
    assert_eq!(extent.start + entries.len() as i64, extent.end, "{at}: {topic:?}/{partition} ends elsewhere");
    let falls = entries.windows(2).find(|pair| pair[1].stamp_ms < pair[0].stamp_ms);
    assert!(falls.is_none(), "{at}: {topic:?}/{partition}: stamps go back: {falls:?}");
    (extent, entries)
}

/// A partition's records from `from` on, read in steps.
pub fn read_to_end(log: &dyn Log, topic: Topic, partition: u32, from: i64) -> Result<Vec<Entry>, LogError> {
    let (mut entries, mut from, mut step) = (Vec::new(), from, 1);
    loop {
        let before = entries.len();
        log.read(topic, PartitionId(partition), from, step, &mut entries)?;
        let Some(last) = entries.get(before..).and_then(<[Entry]>::last) else { return Ok(entries) };
        from = last.offset + 1;
        step = (step * 7) % 100_003;
    }
}

/// Unit, part and number of parts, as a record says.
fn parse(entry: &Entry) -> (usize, usize, usize) {
    let text = entry.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let mut numbers = text.splitn(4, ' ').map(|word| word.parse::<usize>());
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(unit)), Some(Ok(part)), Some(Ok(count))) => (unit, part, count),
        _ => panic!("not a record of the exam: {entry:?}"),
    }
}

/// The first error that reading everything meets.
pub fn damage(log: &dyn Log) -> Option<LogError> {
    let read = |topic: Topic, partition: u32| {
        let extent = log.extent(topic, PartitionId(partition)).ok()?;
        read_to_end(log, topic, partition, extent.start).err()
    };
    TOPICS.iter().find_map(|topic| (0..log.partitions(*topic)).find_map(|partition| read(*topic, partition)))
}

impl Model {
    /// The log holds the first so many of the units, whole, and nothing else: how many. For logs that lost their tail
    /// on purpose.
    pub fn prefix(&self, log: &dyn Log, at: &str) -> usize {
        let all = read_all(log, at);
        let mut found: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, entries) in all.values() {
            for entry in entries {
                let (number, part, count) = parse(entry);
                assert_eq!(
                    entry.value.as_ref(),
                    Some(&self.sent[number].records[part].2),
                    "{at}: unit {number} was changed"
                );
                assert_eq!(count, self.sent[number].records.len());
                *found.entry(number).or_default() += 1;
            }
        }
        for ((number, parts), expected) in found.iter().zip(0..) {
            assert_eq!(*number, expected, "{at}: a unit in between is missing");
            assert_eq!(*parts, self.sent[*number].records.len(), "{at}: unit {number} is not whole");
        }
        for partition in (0..log.partitions(Topic::Behavior)).map(PartitionId) {
            let of = |sent: &Sent| sent.positions.iter().find(|position| position.partition == partition).copied();
            let last = self.sent[..found.len()].iter().rev().find_map(of);
            assert_eq!(
                log.position(partition),
                last.map_or(0, |position| position.offset),
                "{at}: position of {partition:?}"
            );
        }
        found.len()
    }
}
