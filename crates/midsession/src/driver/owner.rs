//! An owner of partitions: reads slices, runs the machine, commits what came out as one unit with the position.
//!
//! `turn` has no clock and no thread of its own, so that a simulator can drive it; [`super::Driver`] gives it both.

use super::slot::{Progress, Slot};
use bytes::BytesMut;
use midsession_event::{
    Decision, DecisionId, EventName, PartitionId, Reaction, Record, Schematic, SessionUpdate, Stamps, Str, Tick, Topic,
    VisitorId, encode_into, partition_of,
};
use midsession_machine::{Candidate, Definitions, Effect};
use midsession_ports::{Append, Entry, Log, LogError, Position, Receipt, Unit};
use midsession_stream::{Config, Defect, Seam, Stream};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Ticks of one partition are at least this far apart.
const TICK_EVERY_MS: i64 = 20;
/// Bytes of records read from one partition before the next has its turn.
const SLICE_BYTES: usize = 64 * 1024;
/// How often the log is told what it must keep.
const KEEP_EVERY_MS: i64 = 60_000;
/// Bytes of output that may wait for the log before reading pauses.
const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A unit refused by a busy or full log is offered again after this.
const RETRY_AFTER_MS: i64 = 20;

/// Answers a candidate. `now_us` is the clock; `stamps` are those of the event that caused it.
pub trait Decider: Send + Sync {
    /// The decision, ready to be appended.
    fn decide(&self, candidate: &Candidate, now_us: i64, cause: Option<Cause>) -> Decision;
}

/// Where the event behind a candidate has been so far. Epoch µs.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// By the collector.
    pub stamps: Stamps,
    /// Durable on the log.
    pub durable_us: i64,
}

/// Learns what happened, in the order of the partition. Calls come from the owner's thread: hand over and return.
pub trait Sink: Send + Sync {
    /// An event took effect (or did not); `received_us` is when its first byte came in.
    fn seam(&self, _partition: PartitionId, _seam: Seam, _received_us: i64, _now_us: i64) {}
    /// A session's next version.
    fn session(&self, _update: &SessionUpdate) {}
    /// A decision took effect. Served ones are to be shown. `durable_us`: when its record became durable.
    fn decided(&self, _decision: &Decision, _durable_us: i64, _replayed: bool) {}
    /// A cap held a rule back before anybody was asked.
    fn capped(&self, _rule: &Str) {}
    /// What was shown is to be taken back.
    fn retract(&self, _decision: DecisionId, _visitor: Option<&VisitorId>) {}
    /// A browser reports that it has painted this, or that it was dismissed. Told where the report enters, before it
    /// has reached the user's home: what a restart finds pending elsewhere must not be shown again.
    fn painted(&self, _decision: DecisionId) {}
    /// A shopper reacted.
    fn reacted(&self, _reaction: &Reaction, _replayed: bool) {}
}

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
    log: Arc<dyn Log>,
    definitions: Arc<D>,
    decider: Arc<dyn Decider>,
    sink: Arc<dyn Sink>,
    partitions: u32,
    slots: Vec<Slot>,
    /// Whose turn it is.
    turn_of: usize,
    /// When the log last told of a commit. Epoch µs.
    committed_us: Arc<AtomicI64>,
    pending: Unit,
    pending_bytes: usize,
    scratch: Vec<u8>,
    /// Keys and values of the unit are slices of this: one piece of memory for hundreds of them.
    output: BytesMut,
    flight: Flight,
    entries: Vec<Entry>,
    effects: Vec<Effect>,
    dead: u64,
    /// Called when an answer of the log is there.
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// The unit under way. One at a time: a refused unit is offered again before anything that came after it.
enum Flight {
    None,
    Waiting { unit: Unit, answer: Arc<Mutex<Option<Result<(), LogError>>>> },
    Refused { unit: Unit, retry_at_ms: i64 },
}

impl<D: Definitions> Owner<D> {
    /// Takes over partitions: each starts at the first record the log still holds and replays silently up to its
    /// durable position.
    #[expect(clippy::too_many_arguments, reason = "the assembly, part by part")]
    pub fn new(
        log: Arc<dyn Log>,
        partitions: &[PartitionId],
        config: Config,
        definitions: Arc<D>,
        decider: Arc<dyn Decider>,
        sink: Arc<dyn Sink>,
        committed_us: Arc<AtomicI64>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, LogError> {
        let slots = partitions
            .iter()
            .map(|partition| {
                let start = log.extent(Topic::Behavior, *partition)?.start;
                let aloud_from = if config.has(Defect::ReplayAloud) { start } else { log.position(*partition) };
                Ok(Slot::new(*partition, config, start, aloud_from))
            })
            .collect::<Result<_, LogError>>()?;
        Ok(Self {
            log,
            definitions,
            decider,
            sink,
            partitions: config.partitions,
            slots,
            turn_of: 0,
            committed_us,
            pending: Unit::default(),
            pending_bytes: 0,
            scratch: Vec::new(),
            output: BytesMut::new(),
            flight: Flight::None,
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
        let end = self.log.extent(Topic::Behavior, partition)?.end;
        let index = self.slots.iter().position(|slot| slot.stream.partition() == partition);
        let Some(index) = index.filter(|index| end > self.slots[*index].next) else { return Ok(()) };
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

    /// Whether a partition still replays: its state is one of the past.
    pub fn is_replaying(&self, partition: PartitionId) -> bool {
        self.slots.iter().any(|slot| slot.stream.partition() == partition && slot.is_replaying())
    }

    /// The definitions in force.
    pub fn definitions(&self) -> &D {
        &self.definitions
    }

    /// Records that could not be read as what they should be; counted, never a stop.
    pub fn dead_records(&self) -> u64 {
        self.dead
    }

    /// How far the replay is.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for slot in &self.slots {
            progress.replaying += usize::from(slot.is_replaying());
            progress.replay_total += slot.aloud_from;
            progress.replay_done += slot.next.min(slot.aloud_from);
            progress.behind_since_ms = progress.behind_since_ms.into_iter().chain(slot.behind_since_ms).min();
        }
        progress
    }

    /// One round over the partitions. An error means: stop, restart, recover from the log.
    pub fn turn(&mut self, now_us: i64) -> Result<Turn, LogError> {
        let now_ms = now_us / 1000;
        for slot in self.slots.iter_mut().filter(|slot| slot.behind) {
            slot.behind_since_ms.get_or_insert(now_ms);
        }
        let mut worked = self.land(now_ms)?;
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
                break;
            }
        }
        worked |= self.take_off(now_ms);
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
        match self.log.read(Topic::Behavior, partition, slot.next, SLICE_BYTES, &mut entries) {
            Err(LogError::OutOfRange { start, .. }) if slot.next < start => {
                // Retention passed by while this owner was away; what it removed is no longer needed.
                slot.next = start;
                slot.behind = true;
                self.entries = entries;
                return Ok(true);
            }
            other => other?,
        }
        let durable_us = self.committed_us.load(Ordering::Acquire);
        for entry in entries.drain(..) {
            self.record(index, entry, durable_us, now_us);
        }
        self.entries = entries;
        let slot = &mut self.slots[index];
        let moved = slot.next > slot.aloud_from || !slot.resumed;
        if self.log.extent(Topic::Behavior, partition)?.end > slot.next {
            slot.behind = true;
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

    fn record(&mut self, index: usize, entry: Entry, durable_us: i64, now_us: i64) {
        let slot = &mut self.slots[index];
        slot.next = entry.offset + 1;
        let aloud = entry.offset >= slot.aloud_from;
        let record = match entry.value.as_deref().map(Record::decode) {
            Some(Ok(record)) => record,
            other => {
                // Not ours, or from a newer version: the partition goes on, the count shows it.
                self.dead += 1;
                tracing::error!(partition = slot.stream.partition().0, offset = entry.offset, cause = ?other.and_then(Result::err).map(|e| e.to_string()), "unreadable record");
                return;
            }
        };
        let cause = match &record {
            Record::Event(event) => {
                let is_seen = matches!(event.name, EventName::Painted | EventName::Dismiss);
                if let Some(decision) = event.decision_id.as_ref().filter(|_| is_seen).and_then(|id| id.parse().ok()) {
                    self.sink.painted(decision);
                }
                Some(event.stamps)
            }
            Record::Forward(forward) => Some(forward.event.stamps),
            Record::Tick(_) => {
                slot.tick_under_way = false;
                None
            }
            Record::Decision(_) | Record::Handoff(_) => None,
        }
        .map(|stamps| Cause { stamps, durable_us });
        let mut effects = std::mem::take(&mut self.effects);
        let seam = slot.stream.on_record(entry.offset, entry.stamp_ms, record, self.definitions.as_ref(), &mut effects);
        if let (Some(seam), true) = (seam, aloud) {
            let received_us = cause.map_or(0, |cause| cause.stamps.received_at_us);
            self.sink.seam(slot.stream.partition(), seam, received_us, now_us);
        }
        for effect in effects.drain(..) {
            self.effect(index, effect, aloud, cause, durable_us, now_us);
        }
        self.effects = effects;
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
            Effect::Session(update) => {
                self.sink.session(&update);
                if aloud {
                    let key = update.session_id.to_hex();
                    self.append(Topic::Session, partition_of(&key, self.partitions), &key, update.as_ref());
                }
            }
            Effect::Candidate(candidate) if aloud => self.decide(index, &candidate, cause, now_us),
            Effect::Candidate(_) => {}
            Effect::Decided(decision) => {
                self.sink.decided(&decision, durable_us, !aloud);
                if aloud {
                    let key = decision.decision_id.to_hex();
                    self.append(Topic::Decision, partition_of(&key, self.partitions), &key, decision.as_ref());
                }
            }
            Effect::Capped { rule } => self.sink.capped(&rule),
            Effect::Retract { decision_id, visitor_id } => self.sink.retract(decision_id, visitor_id.as_ref()),
            Effect::Reaction(reaction) => {
                self.sink.reacted(&reaction, !aloud);
                if aloud {
                    let key = reaction.decision_id.to_hex();
                    self.append(Topic::Decision, partition_of(&key, self.partitions), &key, reaction.as_ref());
                }
            }
            Effect::Handoff(handoff) if aloud => {
                let (key, partition) =
                    (handoff.user_id.clone(), partition_of(handoff.user_id.as_str(), self.partitions));
                self.append(Topic::Behavior, partition, key.as_str(), handoff.as_ref());
            }
            Effect::Forward(forward) if aloud => {
                let (key, partition) =
                    (forward.user_id.clone(), partition_of(forward.user_id.as_str(), self.partitions));
                self.append(Topic::Behavior, partition, key.as_str(), forward.as_ref());
            }
            Effect::Handoff(_) | Effect::Forward(_) => {}
        }
    }

    fn decide(&mut self, index: usize, candidate: &Candidate, cause: Option<Cause>, now_us: i64) {
        let decision = self.decider.decide(candidate, now_us, cause);
        let partition = self.slots[index].stream.partition();
        let key = candidate.shopper.as_str();
        self.append(Topic::Behavior, partition, key, &decision);
    }

    /// If time is due and nothing else is coming, says so on the log.
    fn tick(&mut self, index: usize, now_ms: i64) {
        let slot = &mut self.slots[index];
        let Some(due_ms) = slot.stream.next_deadline_ms() else { return };
        let too_soon = now_ms < slot.ticked_at_ms.saturating_add(TICK_EVERY_MS);
        if due_ms > now_ms || slot.behind || slot.tick_under_way || !slot.resumed || too_soon {
            return;
        }
        slot.tick_under_way = true;
        slot.ticked_at_ms = now_ms;
        let partition = slot.stream.partition();
        self.append(Topic::Behavior, partition, "", &Tick { due_ms });
    }

    fn append<T: Schematic>(&mut self, topic: Topic, partition: PartitionId, key: &str, value: &T) {
        self.scratch.clear();
        if let Err(error) = encode_into(value, &mut self.scratch) {
            // Invariant: what the machine produces fits its compiled-in schema; a test encodes every kind.
            self.dead += 1;
            tracing::error!(topic = topic.name(), %error, "a record could not be encoded");
            return;
        }
        self.pending_bytes += self.scratch.len() + key.len() + 32;
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
            Ok(()) => {
                // What the state comes from must be there at the next start, whatever the retention says.
                let mut needed = Vec::new();
                for slot in self.slots.iter_mut().filter(|slot| now_ms - slot.kept_at_ms >= KEEP_EVERY_MS) {
                    slot.kept_at_ms = now_ms;
                    let partition = slot.stream.partition();
                    let offset = self.log.offset_at(Topic::Behavior, partition, slot.stream.needs_from_ms())?;
                    needed.push(Position { partition, offset: offset.min(slot.next) });
                }
                if !needed.is_empty() {
                    self.log.keep_from(&needed);
                }
            }
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
            // A position alone is not worth an fsync: what was read since made nothing, and makes nothing again.
            Flight::None if self.pending.records.is_empty() => return false,
            Flight::None => {
                self.pending_bytes = 0;
                std::mem::take(&mut self.pending)
            }
            Flight::Refused { unit, retry_at_ms } if retry_at_ms <= now_ms => unit,
            other => {
                self.flight = other;
                return false;
            }
        };
        let answer = Arc::new(Mutex::new(None));
        let (done, wake) = (Arc::clone(&answer), Arc::clone(&self.wake));
        // The copy is of handles: keys and values are shared bytes.
        self.flight = Flight::Waiting { unit: unit.clone(), answer };
        self.log.append(
            unit,
            Box::new(move |result: Result<Vec<Receipt>, LogError>| {
                *done.lock() = Some(result.map(|_| ()));
                wake();
            }),
        );
        true
    }
}
