//! The log as the assembly sees it in the simulation: the real one, with faults that are made on purpose.

use midsession_engine_local::LocalLog;
use midsession_event::{PartitionId, Record, Topic};
use midsession_ports::{Done, Entry, Extent, Log, LogError, Position, Snapshots, Unit};
use midsession_stream::Defect;
use std::sync::Arc;

/// A fault to be made on purpose, so that a run can show that it finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One of the machine's.
    Machine(Defect),
    /// After a restart the past is replayed aloud.
    ReplayAloud,
    /// Nothing is ever synced.
    NoSync,
    /// Input is acknowledged when it is taken, not when it is durable.
    AckEarly,
    /// The position becomes durable after what was produced, not with it.
    PositionApart,
    /// Session updates become durable after the rest of their unit, not with it.
    SessionsApart,
    /// Ticks carry a stamp from a minute ago.
    TickBack,
    /// A window that is 1 ms too long.
    WindowEdge,
    /// A hand-off comes after the first event forwarded behind it.
    HandoffOvertaken,
    /// Features are read without a look at what the log holds more.
    StaleRead,
    /// The log is told that only the last record of a partition is needed.
    KeepTooLittle,
    /// The log is told that only what came since the last snapshot is needed.
    KeepFromLast,
    /// The clock of a new process may be behind what an earlier one gave out.
    ClockForgets,
    /// The wall clock is followed back.
    ClockBack,
    /// What is no longer true is not taken back from pages.
    RetractUntold,
    /// The hub is not told what was painted.
    PaintedUntold,
    /// The hub does not see time pass.
    HubClockStands,
    /// What was decided is let out before the log has been caught up with.
    ReleasedEarly,
    /// A change of definitions becomes durable in one partition before the others.
    DefinitionApart,
    /// What is spilled of facts is written over while it is still asked for.
    SpillReused,
}

/// The log with a fault, or without.
pub struct Port {
    /// The real log.
    pub inner: Arc<LocalLog>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Hand-offs, forwards and decisions are written twice, as a sender that is not sure would.
    pub twice: bool,
    /// The snapshots beside it.
    pub snapshots: Arc<dyn Snapshots>,
}

impl Port {
    /// Appends `late` once what came before it is durable, so that a crash can come between.
    fn then(&self, late: Unit, done: Done) -> Done {
        let log = Arc::clone(&self.inner);
        Box::new(move |answer| {
            if answer.is_ok() {
                log.append(late.into(), Box::new(|_| ()));
            }
            done(answer);
        })
    }
}

impl Log for Port {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.partitions(topic)
    }

    fn append(&self, unit: Arc<Unit>, done: Done) {
        let mut unit = Arc::unwrap_or_clone(unit);
        let is_input = unit.positions.is_empty();
        match self.fault {
            Some(Fault::AckEarly) if is_input => {
                done(Ok(Vec::new()));
                return self.inner.append(unit.into(), Box::new(|_| ()));
            }
            Some(Fault::PositionApart) if !is_input => {
                let positions = std::mem::take(&mut unit.positions);
                let late = Unit { records: Vec::new(), positions };
                return self.inner.append(unit.into(), self.then(late, done));
            }
            Some(Fault::SessionsApart) if !is_input => {
                let (apart, records) = unit.records.into_iter().partition(|record| record.topic == Topic::Session);
                let late = Unit { records: apart, positions: Vec::new() };
                let unit = Unit { records, positions: unit.positions };
                return self.inner.append(unit.into(), self.then(late, done));
            }
            Some(Fault::DefinitionApart) => {
                let is_other = |record: &midsession_ports::Append| {
                    let value = record.value.as_deref().filter(|_| record.topic == Topic::Behavior);
                    record.partition.0 > 0 && matches!(value.map(Record::decode), Some(Ok(Record::Definition(_))))
                };
                let (apart, records): (Vec<_>, _) = unit.records.into_iter().partition(is_other);
                let unit = Unit { records, positions: unit.positions };
                if apart.is_empty() {
                    return self.inner.append(unit.into(), done);
                }
                let late = Unit { records: apart, positions: Vec::new() };
                return self.inner.append(unit.into(), self.then(late, done));
            }
            Some(Fault::HandoffOvertaken) => {
                // The sort is stable: all but the hand-offs keep their order.
                unit.records.sort_by_key(|record| {
                    let value = record.value.as_deref().filter(|_| record.topic == Topic::Behavior);
                    matches!(value.map(Record::decode), Some(Ok(Record::Handoff(_))))
                });
            }
            _ => {}
        }
        if self.twice {
            let is_routed = |value: &[u8]| {
                use Record::{Decision, Forward, Handoff, Recall, Told};
                matches!(Record::decode(value), Ok(Handoff(_) | Forward(_) | Decision(_) | Told(_) | Recall(_)))
            };
            let mut records = Vec::with_capacity(unit.records.len());
            for record in unit.records {
                if record.topic == Topic::Behavior && record.value.as_deref().is_some_and(is_routed) {
                    records.push(record.clone());
                }
                records.push(record);
            }
            unit.records = records;
        }
        self.inner.append(unit.into(), done);
    }

    fn read(
        &self,
        topic: Topic,
        partition: PartitionId,
        from: i64,
        max_bytes: usize,
        out: &mut Vec<Entry>,
    ) -> Result<(), LogError> {
        let before = out.len();
        self.inner.read(topic, partition, from, max_bytes, out)?;
        if self.fault == Some(Fault::TickBack) && topic == Topic::Behavior {
            for entry in &mut out[before..] {
                if matches!(entry.value.as_deref().map(Record::decode), Some(Ok(Record::Tick(_)))) {
                    entry.stamp_ms -= 60_000;
                }
            }
        }
        Ok(())
    }

    fn extent(&self, topic: Topic, partition: PartitionId) -> Result<Extent, LogError> {
        self.inner.extent(topic, partition)
    }

    fn offset_at(&self, topic: Topic, partition: PartitionId, time_ms: i64) -> Result<i64, LogError> {
        self.inner.offset_at(topic, partition, time_ms)
    }

    fn position(&self, partition: PartitionId) -> i64 {
        if self.fault == Some(Fault::ReplayAloud) { 0 } else { self.inner.position(partition) }
    }

    fn on_commit(&self, wake: Box<dyn Fn(&[PartitionId]) + Send + Sync>) {
        self.inner.on_commit(wake);
    }

    fn keep_from(&self, positions: &[Position]) {
        let newest = |partition| self.snapshots.list(partition).ok()?.first().copied();
        let too_late = |position: &Position| match self.fault {
            Some(Fault::KeepTooLittle) => Position { offset: i64::MAX, ..*position },
            Some(Fault::KeepFromLast) => {
                Position { offset: newest(position.partition).unwrap_or(position.offset), ..*position }
            }
            _ => *position,
        };
        self.inner.keep_from(&positions.iter().map(too_late).collect::<Vec<_>>());
    }
}
