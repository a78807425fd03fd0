//! An owner of partitions: reads slices, runs the machine, commits what came out as one unit with the position.
//!
//! `turn` has no clock and no thread of its own, so that a simulator can drive it; [`super::Driver`] gives it both.

use super::around::{Around, Cause};
use super::slot::{Progress, Slot};
use super::ticks::TICK_EVERY_MS;
use bytes::BytesMut;
use midsession_event::{EventName, PartitionId, Record, Schematic, Topic, encode_into, partition_of};
use midsession_machine::{Candidate, Definitions, Effect};
use midsession_ports::{Append, Entry, LogError, Position, Receipt, Unit};
use midsession_stream::{Config, Defect, Stream, WARM};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes of records read from one partition before the next has its turn.
const SLICE_BYTES: usize = 64 * 1024;
/// Bytes of output that may wait for the log before reading pauses.
const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Memory that the keys and values of a unit are cut from.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Records older than this have waited long for their turn already. ms.
const LONG_BEHIND_MS: i64 = 1_000;
/// What came of those goes to the log in units of this: a unit for each slice would be written in batches of a few records.
const LONG_BEHIND_BYTES: usize = 512 * 1024;
/// A unit refused by a busy or full log is offered again after this.
const RETRY_AFTER_MS: i64 = 20;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Something was done; another turn may find more at once.
    pub worked: bool,
    /// Nothing will happen by itself before this. Epoch ms.
    pub wake_at_ms: Option<i64>,
}

/// An owner of some partitions.
pub struct Owner<D> {
    pub(super) around: Around<D>,
    partitions: u32,
    pub(super) config: Config,
    pub(super) slots: Vec<Slot>,
    /// By slot: the definitions that its log has put in force.
    pub(super) in_force: Vec<Arc<D>>,
    /// Whose turn it is.
    turn_of: usize,
    /// When the log last told of a commit. Epoch µs.
    committed_us: Arc<AtomicI64>,
    pending: Unit,
    /// The list of records of a unit that has landed.
    spare: Option<Vec<Append>>,
    pending_bytes: usize,
    scratch: Vec<u8>,
    /// Keys and values of the unit are slices of this: one piece of memory for hundreds of them.
    output: BytesMut,
    flight: Flight,
    /// A snapshot waits for the position to become durable.
    pub(super) wants_position: bool,
    entries: Vec<Entry>,
    effects: Vec<Effect>,
    dead: u64,
    /// Called when an answer of the log is there.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

/// The unit under way. One at a time: a refused unit is offered again before anything that came after it.
enum Flight {
    None,
    Waiting { unit: Arc<Unit>, answer: Arc<Mutex<Option<Result<(), LogError>>>> },
    Refused { unit: Arc<Unit>, retry_at_ms: i64 },
}

impl<D: Definitions> Owner<D> {
    /// Takes over partitions. The first turns take up their last snapshots; each partition goes on from there, silently up
    /// to its durable position.
    pub fn new(
        around: Around<D>,
        partitions: &[PartitionId],
        config: Config,
        committed_us: Arc<AtomicI64>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, LogError> {
        let slots = partitions
            .iter()
            .map(|partition| {
                let extent = around.log.extent(Topic::Behavior, *partition)?;
                let position = around.log.position(*partition);
                let aloud_from = if config.has(Defect::ReplayAloud) { extent.start } else { position };
                Ok(Slot::new(*partition, config, extent, aloud_from, &around.spills))
            })
            .collect::<Result<Vec<_>, LogError>>()?;
        Ok(Self {
            in_force: vec![Arc::clone(&around.definitions); slots.len()],
            around,
            partitions: config.partitions,
            config,
            slots,
            turn_of: 0,
            committed_us,
            pending: Unit::default(),
            spare: None,
            pending_bytes: 0,
            scratch: Vec::new(),
            output: BytesMut::new(),
            flight: Flight::None,
            wants_position: false,
            entries: Vec::new(),
            effects: Vec::new(),
            dead: 0,
            wake,
        })
    }

    /// The log told that this partition grew.
    pub fn grew(&mut self, partition: PartitionId) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.stream.partition() == partition) {
            slot.behind = true;
        }
    }

    /// Reads a slice of a partition out of turn, if the log holds more of it than was read.
    pub fn look(&mut self, partition: PartitionId, now_us: i64) -> Result<(), LogError> {
        let end = self.around.log.extent(Topic::Behavior, partition)?.end;
        let index = self.slots.iter().position(|slot| slot.stream.partition() == partition);
        let is_due = |slot: &Slot| slot.restored && end > slot.next;
        let Some(index) = index.filter(|index| is_due(&self.slots[*index])) else { return Ok(()) };
        self.slots[index].behind = true;
        if self.pending_bytes < PENDING_BYTES_MAX {
            self.slice(index, now_us)?;
        }
        Ok(())
    }

    /// The machine of a partition, to look at.
    pub fn stream(&self, partition: PartitionId) -> Option<&Stream> {
        self.slots.iter().map(|slot| &slot.stream).find(|stream| stream.partition() == partition)
    }

    /// Below this offset of a partition everything that was read has taken effect, and what came of it is durable.
    pub fn durable_below(&self, partition: PartitionId) -> i64 {
        let next = self.slots.iter().find(|slot| slot.stream.partition() == partition).map_or(0, |slot| slot.next);
        if matches!(self.flight, Flight::None) && self.pending.records.is_empty() {
            return next;
        }
        self.around.log.position(partition).min(next)
    }

    /// Records that could not be read as what they should be; counted, never a stop.
    pub fn dead_records(&self) -> u64 {
        self.dead
    }

    /// How far the replay is.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for slot in &self.slots {
            progress.restored &= slot.restored;
            progress.replaying += usize::from(slot.is_replaying());
            progress.replay_total += slot.replayed_at();
            progress.replay_done += slot.next.min(slot.replayed_at());
            progress.behind_since_ms = progress.behind_since_ms.into_iter().chain(slot.behind_since_ms).min();
        }
        progress
    }

    /// One round over the partitions. An error means: stop, restart, recover from the log.
    pub fn turn(&mut self, now_us: i64) -> Result<Turn, LogError> {
        let now_ms = now_us / 1000;
        self.slots.iter().try_for_each(Slot::sound)?;
        if let Some(index) = self.slots.iter().position(|slot| !slot.restored) {
            // One at a time: questions learn meanwhile that the state is not there yet.
            self.restore(index, now_ms)?;
            return Ok(Turn { worked: true, wake_at_ms: None });
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.behind) {
            slot.behind_since_ms.get_or_insert(now_ms);
        }
        let (mut worked, mut waits) = (self.land(now_ms)?, false);
        // One slice at a time, the partitions in turn: questions wait for a slice, never for a backlog.
        for _ in 0..self.slots.len() {
            if self.pending_bytes >= PENDING_BYTES_MAX {
                break;
            }
            let index = self.turn_of % self.slots.len();
            self.turn_of = index + 1;
            let sliced = self.slice(index, now_us)?;
            self.tick(index, now_ms);
            worked |= sliced;
            if sliced {
                let behind_ms = self.slots[index].behind_since_ms.map_or(0, |since_ms| now_ms - since_ms);
                waits = behind_ms > LONG_BEHIND_MS && self.pending_bytes < LONG_BEHIND_BYTES;
                break;
            }
        }
        if !waits {
            worked |= self.take_off(now_ms);
        }
        let deadline = |slot: &Slot| {
            if slot.tick_under_way {
                return None;
            }
            Some(slot.stream.next_deadline_ms()?.max(slot.ticked_at_ms.saturating_add(TICK_EVERY_MS)))
        };
        let retry = match &self.flight {
            Flight::Refused { retry_at_ms, .. } => Some(*retry_at_ms),
            _ => None,
        };
        let wake_at_ms = self.slots.iter().filter_map(deadline).chain(retry).min();
        Ok(Turn { worked, wake_at_ms })
    }

    /// Whether everything read has been committed and nothing is under way.
    pub fn is_settled(&self) -> bool {
        matches!(self.flight, Flight::None)
            && self.pending.records.is_empty()
            && self.slots.iter().all(|slot| !slot.behind && slot.resumed)
    }

    /// Reads one slice of a partition and runs it.
    fn slice(&mut self, index: usize, now_us: i64) -> Result<bool, LogError> {
        let slot = &mut self.slots[index];
        if !slot.behind {
            return Ok(false);
        }
        let partition = slot.stream.partition();
        slot.behind = false;
        self.entries.clear();
        let mut entries = std::mem::take(&mut self.entries);
        match self.around.log.read(Topic::Behavior, partition, slot.next, SLICE_BYTES, &mut entries) {
            Err(LogError::OutOfRange { start, .. }) if slot.next < start => {
                let (partition, next) = (partition.0, slot.next);
                let cause = format!(
                    "records {next} to {start} of behavior partition {partition} are gone, though its state needs them"
                );
                return Err(LogError::Failed { cause });
            }
            other => other?,
        }
        let durable_us = self.committed_us.load(Ordering::Acquire);
        let mut records: SmallVec<[(i64, i64, Record); WARM]> = SmallVec::new();
        for some in entries.chunks(WARM) {
            records.extend(
                some.iter().filter_map(|entry| Some((entry.offset, entry.stamp_ms, self.decoded(index, entry)?))),
            );
            self.slots[index].stream.warm(records.iter().map(|(_, _, record)| record));
            for read in records.drain(..) {
                self.record(index, read, durable_us, now_us)?;
            }
            if let Some(last) = some.last() {
                self.slots[index].next = last.offset + 1;
            }
        }
        let read_ms = entries.last().map(|entry| entry.stamp_ms);
        entries.clear();
        self.entries = entries;
        let slot = &mut self.slots[index];
        slot.tell_violations();
        let moved = slot.next > slot.aloud_from || !slot.resumed;
        if self.around.log.extent(Topic::Behavior, partition)?.end > slot.next {
            slot.behind = true;
            // What comes next is no older than this.
            slot.behind_since_ms = read_ms.or(slot.behind_since_ms);
        } else {
            slot.behind_since_ms = None;
        }
        if !slot.resumed && slot.next >= slot.aloud_from {
            slot.resumed = true;
            let pending: Vec<Candidate> = slot.stream.pending().cloned().collect();
            for candidate in pending {
                self.decide(index, &candidate, None, now_us);
            }
        }
        let slot = &self.slots[index];
        if moved && slot.next > slot.aloud_from {
            let position = Position { partition, offset: slot.next };
            match self.pending.positions.iter_mut().find(|known| known.partition == partition) {
                Some(known) => *known = position,
                None => self.pending.positions.push(position),
            }
        }
        Ok(moved)
    }

    fn decoded(&mut self, index: usize, entry: &Entry) -> Option<Record> {
        let slot = &mut self.slots[index];
        slot.unsaved_bytes += entry.value.as_ref().map_or(0, |value| value.len() as u64);
        match entry.value.as_deref().map(Record::decode) {
            Some(Ok(record)) => Some(record),
            other => {
                // Not ours, or from a newer version: the partition goes on, the count shows it.
                self.dead += 1;
                tracing::error!(partition = slot.stream.partition().0, offset = entry.offset, cause = ?other.and_then(Result::err).map(|e| e.to_string()), "unreadable record");
                None
            }
        }
    }

    fn record(&mut self, index: usize, read: (i64, i64, Record), durable_us: i64, now_us: i64) -> Result<(), LogError> {
        let (offset, stamp_ms, record) = read;
        let slot = &mut self.slots[index];
        slot.next = offset + 1;
        let aloud = offset >= slot.aloud_from;
        let event = match &record {
            Record::Event(event) => Some(event),
            Record::Forward(forward) => Some(&forward.event),
            Record::Tick(_) => {
                slot.tick_under_way = false;
                None
            }
            Record::Decision(_) | Record::Handoff(_) | Record::Told(_) | Record::Unmerge(_) | Record::Recall(_) => None,
            Record::Definition(_) | Record::Filled(_) => None,
        };
        let redefines = matches!(record, Record::Definition(_)) && !self.config.has(Defect::OldVersionServed);
        if let Some(event) = event.filter(|event| matches!(event.name, EventName::Painted | EventName::Dismiss))
            && let Some(decision) = event.decision_id.as_ref().and_then(|id| id.parse().ok())
        {
            self.around.sink.painted(decision);
        }
        let cause = event.map(|event| Cause { stamps: event.stamps, durable_us });
        let handed = match &record {
            Record::Handoff(handoff) if aloud && !handoff.returns => Some(handoff.id),
            _ => None,
        };
        let whose = slot.told.concerns(&record);
        let mut effects = std::mem::take(&mut self.effects);
        let seam = slot.stream.on_record(offset, stamp_ms, record, self.in_force[index].as_ref(), &mut effects);
        slot.sound()?;
        if let (Some(seam), true) = (seam, aloud) {
            let received_us = cause.map_or(0, |cause| cause.stamps.received_at_us);
            self.around.sink.seam(slot.stream.partition(), seam, received_us, now_us);
        }
        if let Some(handoff) = handed {
            self.around.sink.taken_over(handoff, now_us);
        }
        if redefines {
            self.redefine(index);
        }
        if let Some(who) = whose {
            self.tell_words(index, who);
        }
        for effect in effects.drain(..) {
            self.effect(index, effect, aloud, cause, durable_us, now_us);
        }
        self.effects = effects;
        Ok(())
    }

    fn effect(
        &mut self,
        index: usize,
        effect: Effect,
        aloud: bool,
        cause: Option<Cause>,
        durable_us: i64,
        now_us: i64,
    ) {
        match effect {
            Effect::Retract { decision_id, visitor_id } => {
                self.around.sink.retract(decision_id, visitor_id.as_ref());
            }
            // What a silent replay makes is on the log already, for whoever wants to know.
            _ if !aloud => {}
            Effect::Session(mut update) => {
                self.around.sink.session(&update);
                self.keep_to_words(index, &mut update);
                let key = update.session_id.to_hex();
                self.append(Topic::Session, partition_of(&key, self.partitions), &key, update.as_ref());
            }
            Effect::Candidate(candidate) => self.decide(index, &candidate, cause, now_us),
            Effect::Decided(decision) => {
                self.around.sink.decided(&decision, durable_us);
                let key = decision.decision_id.to_hex();
                self.append(Topic::Decision, partition_of(&key, self.partitions), &key, decision.as_ref());
            }
            Effect::Capped { rule } => self.around.sink.capped(&rule),
            Effect::Reaction(reaction) => {
                self.around.sink.reacted(&reaction);
                let key = reaction.decision_id.to_hex();
                self.append(Topic::Decision, partition_of(&key, self.partitions), &key, reaction.as_ref());
            }
            Effect::Handoff(handoff) => {
                if !handoff.returns {
                    let (_, appended_ms) = self.slots[index].stream.as_of();
                    self.around.sink.handed_over(handoff.id, appended_ms);
                }
                let key = if handoff.returns { &handoff.visitor_id.0 } else { &handoff.user_id.0 };
                self.append(Topic::Behavior, partition_of(key, self.partitions), key, handoff.as_ref());
            }
            Effect::Forward(forward) => {
                let (key, partition) =
                    (forward.user_id.clone(), partition_of(forward.user_id.as_str(), self.partitions));
                self.append(Topic::Behavior, partition, key.as_str(), forward.as_ref());
            }
            Effect::Tell(told) => {
                let (key, partition) =
                    (told.visitor_id.clone(), partition_of(told.visitor_id.as_str(), self.partitions));
                self.append(Topic::Behavior, partition, key.as_str(), told.as_ref());
            }
            Effect::Recall(recall) => {
                let key = recall.user_id.as_str();
                self.append(Topic::Behavior, partition_of(key, self.partitions), key, recall.as_ref());
            }
            Effect::Identity(mut identity) => {
                self.name_as_allowed(index, &mut identity);
                let key = identity.visitor_id.as_str();
                self.append(Topic::Identity, partition_of(key, self.partitions), key, identity.as_ref());
            }
            Effect::Evidence(evidence) => {
                let key = evidence.kind.clone();
                self.append(Topic::Governance, PartitionId(0), &key, evidence.as_ref());
            }
        }
    }

    fn decide(&mut self, index: usize, candidate: &Candidate, cause: Option<Cause>, now_us: i64) {
        let decision = self.around.decider.decide(candidate, &self.in_force[index], now_us, cause);
        let partition = self.slots[index].stream.partition();
        let key = candidate.shopper.as_str();
        self.append(Topic::Behavior, partition, key, &decision);
    }

    pub(super) fn append<T: Schematic>(&mut self, topic: Topic, partition: PartitionId, key: &str, value: &T) {
        self.scratch.clear();
        if let Err(error) = encode_into(value, &mut self.scratch) {
            // Invariant: what the machine produces fits its compiled-in schema; a test encodes every kind.
            self.dead += 1;
            tracing::error!(topic = topic.name(), %error, "a record could not be encoded");
            return;
        }
        let bytes = self.scratch.len() + key.len();
        self.pending_bytes += bytes + 32;
        if self.output.capacity() < bytes {
            // Left to itself it would take memory for each record anew.
            self.output = BytesMut::with_capacity(bytes.max(OUTPUT_BYTES));
        }
        let mut share = |bytes: &[u8]| {
            self.output.extend_from_slice(bytes);
            self.output.split().freeze()
        };
        let (key, value) = (share(key.as_bytes()), Some(share(&self.scratch)));
        self.pending.records.push(Append { topic, partition, key, value });
    }

    /// Looks at the unit under way.
    fn land(&mut self, now_ms: i64) -> Result<bool, LogError> {
        let answer = match &self.flight {
            Flight::Waiting { answer, .. } => answer.lock().take(),
            _ => None,
        };
        let Some(answer) = answer else { return Ok(false) };
        let Flight::Waiting { unit, .. } = std::mem::replace(&mut self.flight, Flight::None) else { return Ok(false) };
        match answer {
            // Its list is used again: one for each unit would be grown anew, in memory touched for the first time.
            Ok(()) => self.spare = Arc::try_unwrap(unit).ok().map(|unit| unit.records),
            Err(error) if error.is_retryable() => {
                self.flight = Flight::Refused { unit, retry_at_ms: now_ms + RETRY_AFTER_MS };
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Hands the next unit to the log.
    fn take_off(&mut self, now_ms: i64) -> bool {
        let unit = match std::mem::replace(&mut self.flight, Flight::None) {
            // A position alone is not worth an fsync, unless a snapshot waits for it: what was read since made nothing, and
            // makes nothing again.
            Flight::None if self.pending.records.is_empty() && !self.wants_position => return false,
            Flight::None => {
                self.wants_position = false;
                self.pending_bytes = 0;
                let mut records = self.spare.take().unwrap_or_default();
                records.clear();
                std::mem::replace(&mut self.pending, Unit { records, positions: Vec::new() }).into()
            }
            Flight::Refused { unit, retry_at_ms } if retry_at_ms <= now_ms => unit,
            other => {
                self.flight = other;
                return false;
            }
        };
        let answer = Arc::new(Mutex::new(None));
        let (done, wake) = (Arc::clone(&answer), Arc::clone(&self.wake));
        self.flight = Flight::Waiting { unit: Arc::clone(&unit), answer };
        self.around.log.append(
            unit,
            Box::new(move |result: Result<Vec<Receipt>, LogError>| {
                *done.lock() = Some(result.map(|_| ()));
                wake();
            }),
        );
        true
    }
}
