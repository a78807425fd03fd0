//! Reads the log of a running house like any reader, and holds it and the machines against the oracle.

use crate::house::{House, Plan};
use crate::judge::{self, Versions, differ};
use crate::oracle::{Log, Oracle, Person};
use crate::storm::partitions;
use midsession_event::{Decision, PartitionId, PropertyValue, Record, SessionUpdate, Topic, decode};
use midsession_machine::View;
use midsession_ports::{Entry, Log as _};
use std::collections::BTreeSet;

/// What was read so far.
pub struct Audit {
    plan: Plan,
    oracle: Oracle,
    logs: Vec<Log>,
    next: Vec<usize>,
    in_log: BTreeSet<String>,
    routed: BTreeSet<(u32, i64, u32)>,
    versions: Versions,
    sessions_next: Vec<i64>,
}

impl Audit {
    /// Nothing read yet.
    pub fn new(plan: Plan) -> Self {
        let count = plan.partitions as usize;
        Self {
            plan,
            oracle: Oracle::default(),
            logs: vec![Log::new(); count],
            next: vec![0; count],
            in_log: BTreeSet::new(),
            routed: BTreeSet::new(),
            versions: Versions::new(),
            sessions_next: vec![0; count],
        }
    }

    /// A new process: the log is read again from its start, to see that it is what it was.
    pub fn restarted(&mut self) {
        let versions = Versions::new();
        self.versions = versions;
        self.sessions_next.fill(0);
    }

    /// Everything, while nothing is under way.
    pub fn run(&mut self, house: &House, acked: &BTreeSet<String>) -> Result<(), String> {
        if let Some(complaint) = house.complaint() {
            return Err(complaint);
        }
        for partition in partitions(self.plan) {
            self.read(house, partition)?;
        }
        if let Some(lost) = acked.iter().find(|id| !self.in_log.contains(*id)) {
            return Err(format!("L-1: {lost} was acknowledged and is not in the log"));
        }
        self.oracle.follow(&self.logs, &mut self.next)?;
        for partition in partitions(self.plan) {
            self.sessions(house, partition)?;
        }
        for number in house.partitions() {
            let Some(stream) = house.stream(number) else { continue };
            if stream.as_of().0 + 1 != self.logs[number as usize].len() as i64 {
                return Ok(()); // It has not caught up.
            }
            judge::partition(&self.oracle, stream, number, None).map_err(|cause| format!("S-1: {cause}"))?;
            let (_, now_ms) = stream.as_of();
            for (_, shopper) in stream.shoppers_from(0) {
                let nobody = Person::default();
                let person = self.oracle.people.get(&shopper.id.to_string()).unwrap_or(&nobody);
                // Now, and when something is about to leave a window.
                let edges = judge::acts(person).map(|taken| taken.time_ms + 300_000).filter(|at_ms| *at_ms > now_ms);
                for at_ms in edges.take(3).chain([now_ms]) {
                    let view = stream.view_of(shopper, shopper.current_session(), at_ms);
                    features(house, &view, person).map_err(|cause| format!("F-1: {}: {cause}", shopper.id))?;
                }
                for session in shopper.sessions.iter().filter(|session| !session.dirty) {
                    let told = self.versions.get(&session.id.0).copied();
                    if session.is_live() && told != Some(session.version) {
                        return Err(format!("S-3: version {} of {}, told {told:?}", session.version, session.id));
                    }
                }
            }
        }
        Ok(())
    }

    /// At the end: every decision once. Returns how many.
    pub fn finish(&self, house: &House) -> Result<u64, String> {
        if let Some((partition, offset)) = self.oracle.in_flight().first() {
            let position = house.port.position(PartitionId(*partition));
            let log = &self.logs[*partition as usize];
            let (end, record) = (log.len(), log.get(*offset as usize));
            return Err(format!("L-4: {partition}/{offset} never arrived; position {position} of {end}: {record:?}"));
        }
        let mut ids = BTreeSet::new();
        for partition in partitions(self.plan) {
            for entry in entries(house, Topic::Decision, partition, 0)? {
                let Some(Ok(decision)) = entry.value.as_deref().map(decode::<Decision>) else { continue };
                if !ids.insert(decision.decision_id) {
                    return Err(format!("D-1: decided twice: {decision:?}"));
                }
            }
            let pending = house.stream(partition.0).and_then(|stream| stream.pending().next());
            if let Some(pending) = pending {
                return Err(format!("D-1: never decided: {pending:?}"));
            }
        }
        Ok(ids.len() as u64)
    }

    fn read(&mut self, house: &House, partition: PartitionId) -> Result<(), String> {
        let log = &mut self.logs[partition.0 as usize];
        let extent = house.port.extent(Topic::Behavior, partition).map_err(|error| error.to_string())?;
        if extent.end < log.len() as i64 {
            return Err(format!("L-3: partition {partition:?} had {} records and has {}", log.len(), extent.end));
        }
        for entry in entries(house, Topic::Behavior, partition, log.len() as i64)? {
            differ("L-2: the next offset", &entry.offset, &(log.len() as i64))?;
            if log.last().is_some_and(|(last_ms, _)| *last_ms > entry.stamp_ms) {
                return Err(format!("L-2: the stamp of {partition:?}/{} goes back", entry.offset));
            }
            let record =
                Record::decode(entry.value.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
            let routed = match &record {
                Record::Event(event) => {
                    self.in_log.insert(event.event_id.to_string());
                    None
                }
                Record::Handoff(handoff) => Some(handoff.id),
                Record::Forward(forward) => Some(forward.id),
                _ => None,
            };
            if let Some(id) = routed
                && !self.routed.insert((id.partition.0, id.offset, id.ordinal))
                && !self.plan.twice
            {
                return Err(format!("L-4: {id:?} stands twice in the log"));
            }
            log.push((entry.stamp_ms, record));
        }
        Ok(())
    }

    fn sessions(&mut self, house: &House, partition: PartitionId) -> Result<(), String> {
        let next = &mut self.sessions_next[partition.0 as usize];
        for entry in entries(house, Topic::Session, partition, *next)? {
            *next = entry.offset + 1;
            let Some(Ok(update)) = entry.value.as_deref().map(decode::<SessionUpdate>) else {
                return Err(format!("L-5: {partition:?}/{} is no session", entry.offset));
            };
            let before = self.versions.insert(update.session_id.0, update.version).unwrap_or(0);
            if before >= update.version {
                return Err(format!("S-2: version {} after {before}: {update:?}", update.version));
            }
        }
        Ok(())
    }
}

fn entries(house: &House, topic: Topic, partition: PartitionId, from: i64) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut next = from;
    loop {
        let before = entries.len();
        house.port.read(topic, partition, next, 1 << 20, &mut entries).map_err(|error| error.to_string())?;
        match entries.last() {
            Some(last) if entries.len() > before => next = last.offset + 1,
            _ => return Ok(entries),
        }
    }
}

/// The real features against counts over the oracle's acts.
fn features(house: &House, view: &View<'_>, person: &Person) -> Result<(), String> {
    for (name, value) in house.assembly.user_values(view, &[]) {
        let Some((feature, window)) = name.rsplit_once('_') else { continue };
        let window_ms = match window {
            "5m" => 300_000,
            "1h" => 3_600_000,
            "24h" => 86_400_000,
            // The one that a fault makes too long.
            _ if feature == "edge" => 300_000,
            _ => continue,
        };
        let what = match feature {
            "product_view_count" | "edge" => "product_view",
            "cart_add_count" => "add_to_cart",
            "cart_remove_count" => "remove_from_cart",
            "order_count" => "transaction",
            _ => continue,
        };
        let within = |time_ms: i64| time_ms > view.now_ms - window_ms && time_ms <= view.now_ms;
        let count = judge::acts(person).filter(|taken| taken.act.name == what && within(taken.time_ms)).count();
        differ(&format!("{name} at {}", view.now_ms), &value, &PropertyValue::Int(count as i64))?;
    }
    Ok(())
}
