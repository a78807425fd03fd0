//! Snapshots: the whole state of a partition as of one record, written while records go on being applied.
//!
//! A snapshot is begun between two records and written in pieces, so that no piece holds up the records for long. What a
//! record is about to change and has not been written yet is written first: all of it is as of the beginning. A piece is
//! a part of an Avro object container file (Avro specification 1.11) with `schemas/state.avsc`; the schema stands in the
//! file, so fields can be added later and old files stay readable. What can be told from the rest is left out: the ways
//! from an id to its slot, and timers.

use crate::counters::Counters;
use crate::room::Room;
use crate::shopper::{Shopper, Visitor};
use crate::slots::Slots;
use crate::spill::Spilling;
use crate::stream::Stream;
use crate::sweep::Sweep;
use crate::trackers::TrackerSessions;
use crate::unmerge::{Away, Undone, Unmerged};
use crate::{Config, Defect};
use midsession_event::{OutputId, PartitionId, SessionId, ShopperId, Str};
use midsession_machine::Defined;
use midsession_machine::partial::Pieces;
use serde::{Deserialize, Serialize};
use serde_avro_fast::object_container_file_encoding::{Reader, Writer, WriterBuilder};
use serde_avro_fast::ser::SerializerConfig;
use std::io::BufRead;
use std::sync::LazyLock;

/// Invariant: the file parses; every snapshot of a test uses it.
static SCHEMA: LazyLock<serde_avro_fast::Schema> =
    LazyLock::new(|| include_str!("../schemas/state.avsc").parse().expect("state.avsc"));

/// Names per item.
const NAMES_AT_ONCE: usize = 256;

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not fit its schema.
    #[error("the snapshot can't be encoded: {0}")]
    Encode(String),
    /// The bytes are no snapshot of this kind.
    #[error("the snapshot can't be read: {0}")]
    Decode(String),
    /// It is one, and what it says can't be.
    #[error("the snapshot contradicts itself: {0}")]
    Broken(&'static str),
}

/// Some of a snapshot's bytes.
#[derive(Debug)]
pub struct Piece {
    /// They follow those of the piece before.
    pub bytes: Vec<u8>,
    /// It is whole with these.
    pub is_last: bool,
}

/// An error with its causes, as far as they say more.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text
}

/// A snapshot under way.
pub(crate) struct Snapshot {
    /// The next record's offset when it was begun.
    next: i64,
    writer: Writer<'static, 'static, Vec<u8>>,
    names: std::ops::Range<usize>,
    shoppers: Walk,
    visitors: Walk,
    partials: Pieces,
    partials_written: u64,
    failed: Option<serde_avro_fast::ser::SerError>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A walk over slots, with what was looked at out of turn.
#[derive(Debug)]
struct Walk {
    next: usize,
    is_kept: Vec<bool>,
    written: u64,
}

impl Walk {
    fn over(slots: usize) -> Self {
        Self { next: 0, is_kept: vec![false; slots], written: 0 }
    }

    /// Whether this slot is still to be looked at; from now on it is not. Slots made since it began hold nothing of it.
    fn claim(&mut self, slot: usize) -> bool {
        self.is_kept.get_mut(slot).is_some_and(|is_kept| !std::mem::replace(is_kept, true))
    }

    fn step(&mut self) -> Option<usize> {
        let slot = (self.next < self.is_kept.len()).then_some(self.next)?;
        self.next += 1;
        Some(slot)
    }
}

#[derive(Serialize)]
enum Item<'a> {
    Head(Box<Head>),
    Names { names: &'a [Str] },
    ShopperSlot { slot: usize, resolves: Vec<SessionId>, shopper: &'a Shopper },
    VisitorSlot { slot: usize, id: &'a ShopperId, visitor: &'a Visitor },
    Partials { piece: &'a str },
    End { shoppers: u64, visitors: u64, partials: u64 },
}

#[derive(Deserialize)]
enum Read {
    Head(Box<Head>),
    Names {
        names: Vec<Str>,
    },
    ShopperSlot {
        slot: u32,
        resolves: Vec<SessionId>,
        shopper: Box<Shopper>,
    },
    VisitorSlot {
        slot: u32,
        id: ShopperId,
        visitor: Box<Visitor>,
    },
    Partials {
        piece: String,
    },
    End {
        shoppers: u64,
        visitors: u64,
        #[serde(default)]
        partials: u64,
    },
}

/// What a snapshot says is in force, from its head alone; none: nothing had been changed yet.
///
/// # Errors
/// It is no snapshot, or damaged.
pub fn defined_in(input: impl BufRead) -> Result<Option<Defined>, SnapshotError> {
    let decode = |cause: &dyn std::error::Error| SnapshotError::Decode(in_full(cause));
    let mut reader = Reader::from_reader(input).map_err(|cause| decode(&cause))?;
    let Some(Read::Head(head)) = reader.deserialize_next::<Read>().map_err(|cause| decode(&cause))? else {
        return Err(SnapshotError::Broken("it does not begin with its head"));
    };
    head.defined.as_deref().map(Defined::unpack).transpose().map_err(|cause| decode(&cause))
}

#[derive(Serialize, Deserialize)]
struct Head {
    partition: PartitionId,
    next: i64,
    now_ms: i64,
    shopper_slots: usize,
    visitor_slots: usize,
    names: usize,
    free: Vec<u32>,
    free_visitors: Vec<u32>,
    received: Vec<OutputId>,
    currencies: Vec<Str>,
    sweep: Sweep,
    room: Room,
    counters: Counters,
    #[serde(default)]
    away: Vec<Away>,
    #[serde(default)]
    undone: Vec<Undone>,
    /// As JSON; none before any change.
    #[serde(default)]
    defined: Option<String>,
}

impl Snapshot {
    fn write(&mut self, item: &Item<'_>) {
        if self.failed.is_none() {
            self.failed = self.writer.serialize(item).err();
        }
    }

    fn shopper(
        &mut self,
        slot: usize,
        shopper: Option<&Shopper>,
        tracker_sessions: &TrackerSessions,
        spilling: Option<&Spilling>,
    ) {
        let (true, Some(shopper)) = (self.shoppers.claim(slot), shopper) else { return };
        let whole;
        let shopper = match &shopper.spilled {
            None => shopper,
            Some(_) => {
                whole = Shopper { facts: shopper.lazy_facts(spilling).get().clone(), ..shopper.clone() };
                &whole
            }
        };
        // Of more sessions with the same id than can be found by it, those that can.
        let resolves = shopper
            .sessions
            .iter()
            .filter_map(|session| Some((session.tracker_session_id.as_ref()?, session.id)))
            .filter(|(tracker, id)| tracker_sessions.leads_to(tracker, *id))
            .map(|(_, id)| id)
            .collect();
        self.shoppers.written += 1;
        self.write(&Item::ShopperSlot { slot, resolves, shopper });
    }

    fn visitor(&mut self, slot: usize, entry: Option<&(ShopperId, Visitor)>) {
        if let (true, Some((id, visitor))) = (self.visitors.claim(slot), entry) {
            self.visitors.written += 1;
            self.write(&Item::VisitorSlot { slot, id, visitor });
        }
    }
}

/// A piece is as long as asked for and a block of the container more. Bytes.
const PIECE_OVER: usize = 96 << 10;

impl Stream {
    /// Begins a snapshot of the state as it is now. One that is under way is given up.
    pub fn begin_snapshot(&mut self) -> Result<(), SnapshotError> {
        let mut sync = [0; 16];
        sync[..8].copy_from_slice(&u64::from(self.partition.0).to_le_bytes());
        sync[8..].copy_from_slice(&self.offset.to_le_bytes());
        let writer = WriterBuilder::with_owned_config(SerializerConfig::new(&SCHEMA))
            .sync_marker(sync)
            .build(Vec::new())
            .map_err(|cause| SnapshotError::Encode(cause.to_string()))?;
        let mut received: Vec<OutputId> = self
            .received
            .iter()
            .map(|(partition, (offset, ordinal))| OutputId {
                partition: *partition,
                offset: *offset,
                ordinal: *ordinal,
            })
            .collect();
        received.sort_unstable_by_key(|id| id.partition);
        let (away, undone) = self.unmerged.all();
        let head = Head {
            partition: self.partition,
            next: self.offset + 1,
            now_ms: self.now_ms,
            shopper_slots: self.shoppers.len(),
            visitor_slots: self.visitors.len(),
            names: self.names.len(),
            free: self.shoppers.free().to_vec(),
            free_visitors: self.visitors.free().to_vec(),
            received,
            currencies: self.currencies.all().to_vec(),
            sweep: self.sweep,
            room: self.room,
            counters: self.counters,
            away,
            undone,
            defined: match self.config.has(Defect::DefinitionsForgotten) {
                true => None,
                false => self.defined.pack().map_err(|cause| SnapshotError::Encode(cause.to_string()))?,
            },
        };
        let mut snapshot = Snapshot {
            next: head.next,
            writer,
            names: 0..self.names.len(),
            shoppers: Walk::over(self.shoppers.len()),
            visitors: Walk::over(self.visitors.len()),
            partials: self.partials.pieces(),
            partials_written: 0,
            failed: None,
        };
        snapshot.write(&Item::Head(Box::new(head)));
        self.snapshot = Some(Box::new(snapshot));
        Ok(())
    }

    /// Writes on until there are about so many bytes more, or it is whole. `None` when none is under way: it may have been
    /// given up since.
    pub fn snapshot_some(&mut self, bytes: usize) -> Result<Option<Piece>, SnapshotError> {
        let Self { snapshot, shoppers, visitors, names, tracker_sessions, spilling, config, .. } = self;
        let spilling = spilling.as_deref().filter(|_| !config.has(Defect::SpilledUnsaved));
        let Some(under_way) = snapshot else { return Ok(None) };
        let mut is_last = false;
        while under_way.writer.inner().len() < bytes && !is_last {
            if !under_way.names.is_empty() {
                let from = under_way.names.start;
                let to = under_way.names.end.min(from + NAMES_AT_ONCE);
                under_way.names.start = to;
                under_way.write(&Item::Names { names: &names.all()[from..to] });
            } else if let Some(slot) = under_way.shoppers.step() {
                under_way.shopper(slot, shoppers[slot].as_ref(), tracker_sessions, spilling);
            } else if let Some(slot) = under_way.visitors.step() {
                under_way.visitor(slot, visitors[slot].as_ref());
            } else if let Some(piece) = under_way.partials.next() {
                under_way.partials_written += 1;
                under_way.write(&Item::Partials { piece: &piece });
            } else {
                let (shoppers, visitors) = (under_way.shoppers.written, under_way.visitors.written);
                let partials = under_way.partials_written;
                under_way.write(&Item::End { shoppers, visitors, partials });
                if under_way.failed.is_none() {
                    under_way.failed = under_way.writer.finish_block().err();
                }
                is_last = true;
            }
        }
        let room = if is_last { 0 } else { bytes + PIECE_OVER };
        let bytes = std::mem::replace(under_way.writer.inner_mut(), Vec::with_capacity(room));
        let failed = under_way.failed.take();
        if is_last || failed.is_some() {
            *snapshot = None;
        }
        match (failed, self.spill_failure()) {
            (Some(cause), _) => Err(SnapshotError::Encode(cause.to_string())),
            (None, Some(cause)) => Err(SnapshotError::Encode(cause.to_owned())),
            (None, None) => Ok(Some(Piece { bytes, is_last })),
        }
    }

    /// All of the state as it is now, in one piece: for a comparison. A snapshot under way is given up.
    pub fn whole_snapshot(&mut self) -> Result<Vec<u8>, SnapshotError> {
        self.begin_snapshot()?;
        Ok(self.snapshot_some(usize::MAX)?.map(|piece| piece.bytes).unwrap_or_default())
    }

    /// Gives up the snapshot under way.
    pub fn drop_snapshot(&mut self) {
        self.snapshot = None;
    }

    /// The offset that replay goes on with after the snapshot under way.
    pub fn snapshot_next(&self) -> Option<i64> {
        self.snapshot.as_ref().map(|snapshot| snapshot.next)
    }

    /// What this slot holds goes into the snapshot under way before it changes.
    #[inline]
    pub(crate) fn keep_shopper(&mut self, index: u32) {
        let Self { snapshot, shoppers, tracker_sessions, config, spilling, .. } = self;
        if let Some(snapshot) = snapshot
            && !config.has(Defect::SnapshotBlurred)
        {
            let shopper = shoppers[index as usize].as_ref();
            let spilling = spilling.as_deref().filter(|_| !config.has(Defect::SpilledUnsaved));
            snapshot.shopper(index as usize, shopper, tracker_sessions, spilling);
        }
    }

    /// The same of a visitor's.
    #[inline]
    pub(crate) fn keep_visitor(&mut self, index: u32) {
        if let Some(snapshot) = &mut self.snapshot
            && !self.config.has(Defect::SnapshotBlurred)
        {
            snapshot.visitor(index as usize, self.visitors[index as usize].as_ref());
        }
    }

    /// The state as it was when a snapshot was begun. The next record is the one at `as_of().0 + 1`.
    pub fn restore(partition: PartitionId, config: Config, input: impl BufRead) -> Result<Self, SnapshotError> {
        Self::new(partition, config).restored(input)
    }

    /// The same, of a partition that has nothing yet; its facts over the budget go elsewhere as they come.
    pub fn restored(self, input: impl BufRead) -> Result<Self, SnapshotError> {
        let decode = |cause: &dyn std::error::Error| SnapshotError::Decode(in_full(cause));
        let mut reader = Reader::from_reader(input).map_err(|cause| decode(&cause))?;
        let Some(Read::Head(head)) = reader.deserialize_next::<Read>().map_err(|cause| decode(&cause))? else {
            return Err(SnapshotError::Broken("it does not begin with its head"));
        };
        if head.partition != self.partition {
            return Err(SnapshotError::Broken("it is another partition's"));
        }
        let mut stream = self;
        stream.offset = head.next - 1;
        stream.now_ms = head.now_ms;
        stream.received = head.received.iter().map(|id| (id.partition, (id.offset, id.ordinal))).collect();
        (stream.sweep, stream.room, stream.counters) = (head.sweep, head.room, head.counters);
        stream.unmerged = Unmerged::restored(head.away, head.undone);
        if let Some(text) = &head.defined {
            stream.defined = Defined::unpack(text).map_err(|cause| decode(&cause))?;
        }
        head.currencies.iter().for_each(|name| _ = stream.currencies.number(name));
        // A file that passed its checksums has as many slots as it says; made-up numbers must not take the memory.
        let slots = |count: usize| u32::try_from(count).map_err(|_| SnapshotError::Broken("too many slots"));
        stream.shoppers = Slots::with(slots(head.shopper_slots)?, head.free);
        stream.visitors = Slots::with(slots(head.visitor_slots)?, head.free_visitors);
        let (mut shoppers, mut visitors, mut partials) = (0, 0, 0);
        loop {
            match reader.deserialize_next::<Read>().map_err(|cause| decode(&cause))? {
                Some(Read::Names { names }) => names.iter().for_each(|name| _ = stream.names.number(name)),
                Some(Read::ShopperSlot { slot, resolves, shopper }) => {
                    shoppers += 1;
                    stream.restore_shopper(slot, *shopper, &resolves)?;
                }
                Some(Read::VisitorSlot { slot, id, visitor }) => {
                    visitors += 1;
                    if !stream.visitors.fill(slot, (id, *visitor)) {
                        return Err(SnapshotError::Broken("two visitors in a slot"));
                    }
                }
                Some(Read::Partials { piece }) => {
                    partials += 1;
                    stream.partials.take_piece(&piece).map_err(SnapshotError::Decode)?;
                }
                Some(Read::End { shoppers: all_shoppers, visitors: all_visitors, partials: all_partials }) => {
                    let counted = (shoppers, visitors, partials, stream.names.len());
                    if counted != (all_shoppers, all_visitors, all_partials, head.names) {
                        return Err(SnapshotError::Broken("not all of it is there"));
                    }
                    // To the end of the input: damage may show there only.
                    return match reader.deserialize_next::<Read>().map_err(|cause| decode(&cause))? {
                        None => {
                            stream.room.restored = stream.shoppers.taken().max(stream.visitors.taken());
                            Ok(stream)
                        }
                        Some(_) => Err(SnapshotError::Broken("something follows its end")),
                    };
                }
                Some(Read::Head(_)) => return Err(SnapshotError::Broken("a second head")),
                None => return Err(SnapshotError::Broken("it is cut short")),
            }
        }
    }

    fn restore_shopper(
        &mut self,
        index: u32,
        mut shopper: Shopper,
        resolves: &[SessionId],
    ) -> Result<(), SnapshotError> {
        if let ShopperId::Visitor(visitor) = &shopper.id {
            // From before caps remembered their device.
            shopper.caps.iter_mut().for_each(|cap| _ = cap.visitor_id.get_or_insert_with(|| visitor.clone()));
        }
        for session in &shopper.sessions {
            self.sessions.insert(session.id, index);
            if let Some(tracker) = session.tracker_session_id.as_ref().filter(|_| resolves.contains(&session.id)) {
                self.tracker_sessions.add(tracker, session.id);
            }
            // They all lead here: else they are not kept.
            session.other_tracker_ids.iter().for_each(|tracker| _ = self.tracker_sessions.add(tracker, session.id));
        }
        if let Some(armed_ms) = shopper.armed_ms
            && !self.config.has(Defect::TimersForgotten)
        {
            self.timers.arm(armed_ms, index);
        }
        self.tally.update(&mut shopper);
        if !self.shoppers.fill(index, shopper) {
            return Err(SnapshotError::Broken("two shoppers in a slot"));
        }
        self.count_facts(index);
        self.spill_over();
        Ok(())
    }
}
