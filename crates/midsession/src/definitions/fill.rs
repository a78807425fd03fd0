//! The past counted in for definitions that can't look back: what the log still has of a day before them is read again, outside
//! of the machines and a little at a time, and offered to the shoppers as records. Where an event's own facts are, it took
//! effect; there its new facts go. One more record then says since when the definition counts.

use super::past::Past;
use crate::assemble::Assembly;
use bytes::Bytes;
use midsession_event::{
    DefinitionEdit, EditKind, Event, Filled, FilledEvent, FilledFact, Handoff, PartitionId, Record, Str, Topic, UserId,
    VisitorId, encode, hash64, partition_of,
};
use midsession_machine::partial::FieldWindow;
use midsession_machine::{Defined, Definitions as _, FACTS_KEPT_MS, FactKind, PROFILES, since_of};
use midsession_ports::{Append, Entry, Log, LogError, Unit};
use midsession_stream::mark_of_event;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Read from the log at once. Bytes.
pub(super) const READ_BYTES: usize = 128 * 1024;
/// Visitors who signed in within a day: so many are kept in mind, about 200 MB.
const HOMES_MAX: usize = 1_000_000;
/// Events in one record.
const EVENTS_MAX: usize = 256;

/// What is to be done next.
#[derive(Debug)]
pub enum Next {
    /// More is to be read.
    Read,
    /// This is to become durable.
    Append(Unit),
    /// Every partition is to have read what its log holds now, and what came of it is to be durable.
    Settle,
    /// All is counted in: this edit says so.
    Done(DefinitionEdit),
    /// More shoppers are signed in than are kept in mind at once: it goes on to count from its beginning.
    TooMany,
}

/// The offset of a login that took facts along, and which of what it made did: an unmerge gives to several.
type LoginAt = (i64, u32);
/// Where a visitor's facts went, by the login that took them along: those of the records before it.
type Homes = BTreeMap<VisitorId, BTreeMap<LoginAt, UserId>>;

/// One version of a definition on its way through the past.
pub struct Fill {
    assembly: Arc<Assembly>,
    name: Str,
    version: i64,
    slots: Vec<u32>,
    /// It counts from then on by itself. Epoch ms.
    since_ms: i64,
    partitions: u32,
    /// Since when the log has all there was. Epoch ms.
    begins_ms: Option<i64>,
    homes: Homes,
    /// Logins up to these offsets are known.
    logins: Vec<i64>,
    /// Visitors of whom a merge was undone: what they had went back, and may have gone on to anybody since.
    returned: BTreeSet<VisitorId>,
    /// Events of the partition at hand that came before they occurred.
    ahead: BTreeSet<u64>,
    /// Events that were sent on to their user's home before they occurred, by partition and offset: what is of them there has a
    /// later time than it would have here.
    sent_on: BTreeSet<(u32, i64)>,
    /// By these alone: they came meanwhile.
    late: Option<Late>,
    stage: Stage,
    /// What is added up by a field, once the facts are done.
    past: Option<Past>,
    read: u64,
    total: u64,
}

/// Who took facts along while new ones were on the way.
#[derive(Default)]
struct Late {
    logins: BTreeSet<(VisitorId, LoginAt)>,
    returned: BTreeSet<VisitorId>,
}

impl Late {
    fn is_empty(&self) -> bool {
        self.logins.is_empty() && self.returned.is_empty()
    }
}

enum Stage {
    /// Logins of this partition, from its offset on.
    Logins {
        partition: u32,
        ends: Vec<i64>,
    },
    Events {
        partition: u32,
        next: i64,
        out: VecDeque<Unit>,
    },
    Settle,
    Again,
    Over,
}

/// A version that the past can be counted in for.
pub struct Owed {
    /// Its name and version.
    pub of: (Str, i64),
    derived: Vec<u32>,
    by_field: Vec<(u32, i64)>,
    /// It counts from then on by itself. Epoch ms.
    since_ms: i64,
    /// Since when the log has everything, where it has lost some. Epoch ms.
    begins_ms: Option<i64>,
}

/// Every version that the past is to be counted in for, in turn: what is written for it began at a record, and the log has
/// more; but for those that were given up.
///
/// # Errors
/// The log can't be read.
pub fn owed(
    defined: &Defined,
    assembly: &Assembly,
    log: &dyn Log,
    given_up: &[(Str, i64)],
) -> Result<Vec<Owed>, LogError> {
    if defined.since.is_empty() {
        return Ok(Vec::new());
    }
    let begins_ms = begins_whole(log)?;
    let features = defined.served().filter_map(|(known, version)| {
        let made = assembly.made_of(defined, &known.name, version.version)?;
        Some(((known.name.clone(), version.version), made.derived, made.by_field))
    });
    // All that is new in further profiles at once.
    let (derived, by_field): (Vec<_>, Vec<_>) = assembly.made_apart().map(|made| (made.derived, made.by_field)).unzip();
    let apart = ((PROFILES.into(), 0), derived.concat(), by_field.concat());
    let since = |slot: &u32| since_of(&defined.since, *slot);
    let all = features.chain([apart]).filter_map(|(of, mut derived, by_field)| {
        let since_ms = derived.iter().chain(&by_field).filter_map(since).max()?;
        derived.retain(|slot| since(slot).is_some());
        let by_field = by_field.into_iter().filter_map(|slot| Some((slot, since(&slot)?))).collect();
        Some(Owed { of, derived, by_field, since_ms, begins_ms })
    });
    // What the log has lost is lost: it was filled from there before, or there is nothing.
    let has_more = |owed: &Owed| begins_ms.is_none_or(|begins_ms| begins_ms < owed.since_ms);
    Ok(all.filter(|owed| has_more(owed) && !given_up.contains(&owed.of)).collect())
}

/// Since when the log has everything, where it has lost some. Epoch ms.
fn begins_whole(log: &dyn Log) -> Result<Option<i64>, LogError> {
    let partitions = 0..log.partitions(Topic::Behavior);
    let begins_ms = partitions.map(|partition| begins(log, PartitionId(partition))).collect::<Result<Vec<_>, _>>()?;
    Ok(begins_ms.into_iter().flatten().max())
}

/// The next version that the past can be counted in for.
///
/// # Errors
/// The log can't be read.
pub fn wanted(
    defined: &Defined,
    assembly: &Assembly,
    log: &dyn Log,
    given_up: &[(Str, i64)],
) -> Result<Option<Fill>, LogError> {
    let next = owed(defined, assembly, log, given_up)?.into_iter().next();
    let Some(Owed { of, derived: slots, by_field, since_ms, begins_ms }) = next else { return Ok(None) };
    let partitions = log.partitions(Topic::Behavior);
    let ends = ends(log, partitions)?;
    let total = (0..partitions)
        .map(|partition| Ok(log.extent(Topic::Behavior, PartitionId(partition))?.bytes))
        .sum::<Result<u64, LogError>>()?;
    // Its own assembly: what is in force may change meanwhile.
    let assembly = assembly.of(defined).unwrap_or_else(|| Arc::new(assembly.clone()));
    let (of_facts, of_partials) = (u64::from(!slots.is_empty()) * 2, u64::from(!by_field.is_empty()));
    let past = (of_partials > 0).then(|| Past::new(Arc::clone(&assembly), by_field, begins_ms, partitions));
    let stage = if of_facts > 0 { Stage::Logins { partition: 0, ends } } else { Stage::Over };
    Ok(Some(Fill {
        assembly,
        name: of.0,
        version: of.1,
        slots,
        since_ms,
        partitions,
        begins_ms,
        homes: Homes::new(),
        logins: vec![0; partitions as usize],
        returned: BTreeSet::new(),
        ahead: BTreeSet::new(),
        sent_on: BTreeSet::new(),
        late: None,
        stage,
        past,
        read: 0,
        total: total.saturating_mul(of_facts + of_partials),
    }))
}

/// Since when the log has every record of a partition, where it has lost some. Epoch ms.
pub(super) fn begins(log: &dyn Log, partition: PartitionId) -> Result<Option<i64>, LogError> {
    let extent = log.extent(Topic::Behavior, partition)?;
    if extent.start == 0 {
        return Ok(None);
    }
    let mut entries = Vec::new();
    log.read(Topic::Behavior, partition, extent.start, 1, &mut entries)?;
    Ok(Some(entries.first().map_or(i64::MAX, |entry| entry.stamp_ms)))
}

pub(super) fn ends(log: &dyn Log, partitions: u32) -> Result<Vec<i64>, LogError> {
    (0..partitions).map(|partition| Ok(log.extent(Topic::Behavior, PartitionId(partition))?.end)).collect()
}

impl Fill {
    /// Which version.
    pub fn of(&self) -> (&Str, i64) {
        (&self.name, self.version)
    }

    /// How much of the log has been read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        (self.read as f64 / self.total.max(1) as f64).min(0.99)
    }

    /// Goes on by a little.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn step(&mut self, log: &dyn Log) -> Result<Next, LogError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Logins { partition, ends } => {
                let looked_through = self.logins[partition as usize];
                if self.late.is_some() && log.extent(Topic::Behavior, PartitionId(partition))?.start > looked_through {
                    // Whom the logins moved that were among what retention has taken since, nobody knows.
                    self.note_begin(log, partition)?;
                }
                let next = looked_through.max(self.first(log, partition)?);
                let (after, is_over) = self.logins_of(log, partition, next, ends[partition as usize])?;
                self.logins[partition as usize] = after;
                if self.homes.len() + self.returned.len() + self.sent_on.len() > HOMES_MAX {
                    return Ok(Next::TooMany);
                }
                self.stage = match (is_over, partition + 1 < self.partitions) {
                    (false, _) => Stage::Logins { partition, ends },
                    (true, true) => Stage::Logins { partition: partition + 1, ends },
                    (true, false) if self.late.as_ref().is_some_and(Late::is_empty) => Stage::Over,
                    (true, false) => Stage::Events { partition: 0, next: self.begin(log, 0)?, out: VecDeque::new() },
                };
                Ok(Next::Read)
            }
            Stage::Events { partition, next, mut out } => {
                if let Some(unit) = out.pop_front() {
                    self.stage = Stage::Events { partition, next, out };
                    return Ok(Next::Append(unit));
                }
                let (next, is_over) = self.events_of(log, partition, next, &mut out)?;
                self.stage = match (is_over && out.is_empty(), partition + 1 < self.partitions) {
                    (true, true) => {
                        Stage::Events { partition: partition + 1, next: self.begin(log, partition + 1)?, out }
                    }
                    (true, false) => Stage::Settle,
                    // With no end to come to, it looks once more and is over.
                    (false, _) => Stage::Events { partition, next, out },
                };
                Ok(Next::Read)
            }
            Stage::Settle => {
                self.stage = Stage::Again;
                Ok(Next::Settle)
            }
            Stage::Again => {
                // Who signed in while their facts were on the way took none along: they are offered at the user's home. So it
                // is, the other way, with a merge that was undone.
                self.late = Some(Late::default());
                self.stage = Stage::Logins { partition: 0, ends: ends(log, self.partitions)? };
                Ok(Next::Read)
            }
            Stage::Over => match &mut self.past {
                Some(past) if !past.is_over() => past.step(log, &mut self.read),
                _ => Ok(self.done()),
            },
        }
    }

    fn done(&self) -> Next {
        let is_apart = self.version == 0;
        let kind = if is_apart { PROFILES } else { "feature" };
        let mut edit = DefinitionEdit::of(kind, EditKind::Filled, &self.name, self.version);
        let begins_ms = self.begins_ms.max(self.past.as_ref().and_then(Past::begins_ms));
        let by_facts = self.slots.iter().copied().filter(|_| is_apart);
        edit.added = self.past.iter().flat_map(Past::slots).chain(by_facts).map(i64::from).collect();
        // The first step of a window by a field reaches further back than the window is long.
        let by_field_ms = self.past.as_ref().map(|_| FieldWindow::of(FACTS_KEPT_MS).begins_ms(self.since_ms));
        let oldest_ms = by_field_ms.unwrap_or(self.since_ms.saturating_sub(FACTS_KEPT_MS));
        let since_ms = begins_ms.filter(|begins_ms| *begins_ms > oldest_ms).unwrap_or(0);
        Next::Done(DefinitionEdit { since_ms, ..edit })
    }

    /// Likewise; what retention has taken meanwhile is noted.
    fn begin(&mut self, log: &dyn Log, partition: u32) -> Result<i64, LogError> {
        self.ahead.clear();
        let first = self.first(log, partition)?;
        self.note_begin(log, partition)?;
        Ok(first)
    }

    fn note_begin(&mut self, log: &dyn Log, partition: u32) -> Result<(), LogError> {
        self.begins_ms = self.begins_ms.max(begins(log, PartitionId(partition))?);
        Ok(())
    }

    /// The first record of a partition that may be in a window.
    fn first(&self, log: &dyn Log, partition: u32) -> Result<i64, LogError> {
        let partition = PartitionId(partition);
        let start = log.extent(Topic::Behavior, partition)?.start;
        let oldest_ms = self.since_ms.saturating_sub(FACTS_KEPT_MS);
        Ok(log.offset_at(Topic::Behavior, partition, oldest_ms)?.max(start))
    }

    fn entries(&mut self, log: &dyn Log, partition: u32, next: i64) -> Result<Vec<Entry>, LogError> {
        let mut entries = Vec::new();
        let end = log.extent(Topic::Behavior, PartitionId(partition))?.end;
        if next < end {
            log.read(Topic::Behavior, PartitionId(partition), next, READ_BYTES, &mut entries)?;
        }
        self.read +=
            entries.iter().map(|entry| entry.value.as_ref().map_or(0, |value| value.len() as u64)).sum::<u64>();
        Ok(entries)
    }

    fn logins_of(&mut self, log: &dyn Log, partition: u32, next: i64, end: i64) -> Result<(i64, bool), LogError> {
        let entries = self.entries(log, partition, next)?;
        let after = entries.last().map_or(end, |entry| entry.offset + 1);
        for entry in entries.iter().filter(|entry| entry.offset < end) {
            match entry.value.as_deref().map(Record::decode) {
                Some(Ok(Record::Handoff(handoff))) => self.moved(&handoff),
                // No stamp is before it was received.
                Some(Ok(Record::Forward(forward)))
                    if forward.event.occurred_at_ms > forward.event.stamps.received_at_us / 1_000 =>
                {
                    self.sent_on.insert((forward.id.partition.0, forward.id.offset));
                }
                _ => {}
            }
        }
        Ok((after.min(end), after >= end))
    }

    /// Facts went from one partition to another.
    fn moved(&mut self, handoff: &Handoff) {
        let visitor = handoff.visitor_id.clone();
        if handoff.returns {
            if let Some(late) = &mut self.late {
                late.returned.insert(visitor.clone());
            }
            self.returned.insert(visitor);
        } else if let homes = self.homes.entry(visitor.clone()).or_default()
            && let at = (handoff.id.offset, handoff.id.ordinal)
            && homes.insert(at, handoff.user_id.clone()).is_none()
            && let Some(late) = &mut self.late
        {
            late.logins.insert((visitor, at));
        }
    }

    fn events_of(
        &mut self,
        log: &dyn Log,
        partition: u32,
        next: i64,
        out: &mut VecDeque<Unit>,
    ) -> Result<(i64, bool), LogError> {
        let entries = self.entries(log, partition, next)?;
        let mut offered: BTreeMap<u32, Vec<FilledEvent>> = BTreeMap::new();
        let (mut next, mut is_over) = (next, entries.is_empty());
        for entry in entries {
            next = entry.offset + 1;
            if entry.stamp_ms > self.since_ms {
                // From here on it counts by itself.
                is_over = true;
                break;
            }
            match entry.value.as_deref().map(Record::decode) {
                Some(Ok(Record::Event(event)))
                    if !self.repeats(&event, entry.stamp_ms) && !self.sent_on.contains(&(partition, entry.offset)) =>
                {
                    for user in self.homes_of(&event, entry.offset) {
                        self.offer(&event, user, entry.stamp_ms, &mut offered);
                    }
                }
                Some(Ok(Record::Forward(forward))) if !forward.is_parting() => {
                    let event = &forward.event;
                    if self.late.is_none() {
                        self.offer(event, Some(&forward.user_id), entry.stamp_ms, &mut offered);
                    }
                    if event.visitor_id.as_ref().is_some_and(|visitor| self.returned.contains(visitor)) {
                        for user in self.homes_of(event, forward.id.offset) {
                            self.offer(event, user, entry.stamp_ms, &mut offered);
                        }
                    }
                }
                _ => {}
            }
        }
        for (partition, events) in offered {
            for events in events.chunks(EVENTS_MAX) {
                let Ok(value) = encode(&Filled { events: events.to_vec(), ..Filled::default() }) else { continue };
                let (key, value) = (Bytes::from_static(b"filled"), Some(Bytes::from(value)));
                let record = Append { topic: Topic::Behavior, partition: PartitionId(partition), key, value };
                out.push_back(Unit { records: vec![record], positions: Vec::new() });
            }
        }
        Ok((next, is_over))
    }

    /// Whether an event repeats one that came before it occurred, by a clock that jumped. That one took effect at its stamp, so
    /// that at the time of this one there may be another event's facts.
    fn repeats(&mut self, event: &Event, stamp_ms: i64) -> bool {
        let is_ahead = event.occurred_at_ms > stamp_ms;
        if !is_ahead && self.ahead.is_empty() {
            return false;
        }
        let id = hash64(&[event.key(), event.source.as_str(), event.event_id.as_str()]);
        if is_ahead { !self.ahead.insert(id) } else { self.ahead.contains(&id) }
    }

    /// Where the facts of an event at this offset of its visitor's partition may be: with a user, or with the visitor.
    fn homes_of<'a>(&'a self, event: &'a Event, offset: i64) -> Vec<Option<&'a UserId>> {
        let Some(visitor) = &event.visitor_id else {
            return if self.late.is_none() { vec![event.user_id.as_ref()] } else { Vec::new() };
        };
        let late = self.late.as_ref();
        let is_open = late.is_none_or(|late| late.returned.contains(visitor));
        let is_meant =
            |login: LoginAt| is_open || late.is_some_and(|late| late.logins.contains(&(visitor.clone(), login)));
        // The next login took along what was there by then.
        let most = if self.returned.contains(visitor) { usize::MAX } else { 1 };
        let logins = self.homes.get(visitor).into_iter().flat_map(|logins| logins.range((offset + 1, 0)..)).take(most);
        let users = logins.filter(|(login, _)| is_meant(**login)).map(|(_, user)| Some(user));
        users.chain(is_open.then_some(None)).collect()
    }

    /// What is written for an event, offered to the visitor, or to a user at their home.
    fn offer(
        &self,
        event: &Event,
        user: Option<&UserId>,
        stamp_ms: i64,
        offered: &mut BTreeMap<u32, Vec<FilledEvent>>,
    ) {
        let mut derived = Vec::new();
        self.assembly.derive(event, &mut derived);
        derived.retain(|derived| self.slots.contains(&derived.slot));
        if derived.is_empty() {
            return;
        }
        let home = user.map_or(event.visitor_id.as_ref().map(VisitorId::as_str), |user| Some(user.as_str()));
        let Some(home) = home else { return };
        let fact = |derived: midsession_machine::Derived| FilledFact {
            slot: i64::from(derived.slot),
            value: derived.value,
            text: derived.text,
            currency: derived.currency,
        };
        offered.entry(partition_of(home, self.partitions).0).or_default().push(FilledEvent {
            visitor_id: event.visitor_id.clone(),
            user_id: user.cloned(),
            time_ms: event.occurred_at_ms.min(stamp_ms),
            kind: i32::from(FactKind::of(&event.name).0),
            mark: i32::from(mark_of_event(event)),
            facts: derived.into_iter().map(fact).collect(),
        });
    }
}

#[cfg(test)]
mod tests;
