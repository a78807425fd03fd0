//! Reads the log of a running house like any reader, and holds it and the machines against the oracle.

use crate::defining::{Definer, answers};
use crate::draw::id_of;
use crate::house::{House, Plan};
use crate::judge::{self, differ};
use crate::oracle::{Log, Oracle, Person, RULE, Stand, Visit, may_be_shown, rule_of, title_of};
use crate::port::Fault;
use crate::ruled::{self, Ruled};
use crate::storm::partitions;
use midsession_event::{
    Decision, DecisionId, EventName, Identity, Outcome, PartitionId, PropertyValue, Record, SessionUpdate, Topic,
    decode,
};
use midsession_machine::View;
use midsession_ports::{Entry, Log as _, LogError};
use midsession_stream::Stream;
use std::collections::{BTreeMap, BTreeSet};

/// A derived topic as it was read: offset, id, version.
type Derived = BTreeMap<i64, (u128, i64)>;

/// What was read so far.
pub struct Audit {
    plan: Plan,
    oracle: Oracle,
    logs: Vec<Log>,
    next: Vec<usize>,
    in_log: BTreeSet<String>,
    routed: BTreeSet<(u32, i64, u32)>,
    versions: BTreeMap<u128, i64>,
    sessions: Vec<Derived>,
    decisions: Vec<Derived>,
    decided: BTreeMap<u128, Decision>,
    served: BTreeMap<u128, Decision>,
    seen: BTreeSet<u128>,
    /// The next offsets of sessions and decisions.
    derived_next: Vec<[i64; 2]>,
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
            versions: BTreeMap::new(),
            sessions: vec![Derived::new(); count],
            decisions: vec![Derived::new(); count],
            decided: BTreeMap::new(),
            served: BTreeMap::new(),
            seen: BTreeSet::new(),
            derived_next: vec![[0; 2]; count],
        }
    }

    /// A new process: what was derived is read again, to see that it is what it was.
    pub fn restarted(&mut self) {
        self.derived_next.fill([0; 2]);
    }

    /// Reads what is new, before retention takes it.
    pub fn collect(&mut self, house: &House) -> Result<(), String> {
        for partition in partitions(self.plan) {
            self.read(house, partition)?;
            self.derived(house, partition)?;
        }
        Ok(())
    }

    /// The decision to show something, once it is on the log.
    pub fn served(&self, id: u128) -> Option<&Decision> {
        self.served.get(&id)
    }

    /// The decisions that took effect and are to be shown.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decided.values().filter(|decision| decision.outcome == Outcome::Served)
    }

    /// The log says that it was painted or answered.
    pub fn is_seen(&self, id: u128) -> bool {
        self.seen.contains(&id)
    }

    /// The visit that it was decided for, as what it is now, as far as the last run of the audit.
    fn visit_of(&self, id: u128) -> Option<&Visit> {
        let mut session = self.decided.get(&id)?.session_id.0;
        loop {
            let mut all = self.oracle.people.values().flat_map(|person| &person.visits);
            let visit = all.find(|visit| visit.id == session)?;
            match visit.stand {
                Stand::Into(other) => session = other,
                _ => return Some(visit),
            }
        }
    }

    /// Its visit had ended with a logout, or had bought, when the audit was last run: nothing brings it back.
    pub fn is_over(&self, id: u128) -> bool {
        self.visit_of(id).is_some_and(|visit| visit.stand == Stand::LoggedOut || visit.count("transaction") > 0)
    }

    /// Why what it was decided for is no longer so, as far as the last run of the audit. Unknown or past: none.
    pub fn untruth(&self, id: u128) -> Option<String> {
        let decision = self.decided.get(&id)?;
        let visit = self.visit_of(id).filter(|visit| visit.stand != Stand::Closed)?;
        let worth = visit.basket().value.unwrap_or(0.0);
        let is_cart_right = match decision.rule.as_str() {
            "cart_stalled" => worth > 80.0 && worth <= 200.0,
            "chat_offer" => worth > 200.0,
            RULE => {
                let wording = title_of(&decision.payload).and_then(|title| rule_of(&title));
                wording.and_then(|wording| wording.cart_above).is_none_or(|above| worth > above)
            }
            _ => true,
        };
        if decision.rule == RULE {
            let (at_home, title) = (self.place_of(id)?, title_of(&decision.payload)?);
            let log = &self.logs[at_home.0 as usize];
            if ruled::at_end(log) != Some(title.clone()) {
                return Some(format!("{title} is not in force"));
            }
        }
        let orders = visit.count("transaction");
        let is_true = is_cart_right && orders == 0 && may_be_shown(visit.consent) && visit.stand == Stand::Live;
        (!is_true).then(|| format!("{:?}, cart {worth}, orders {orders}, consent {}", visit.stand, visit.consent))
    }

    /// Where it stands on the log for the first time.
    fn place_of(&self, id: u128) -> Option<(u32, i64)> {
        let is_it =
            |(_, record): &(i64, Record)| matches!(record, Record::Decision(known) if known.decision_id.0 == id);
        let mut all = (0..).zip(&self.logs);
        all.find_map(|(partition, log)| Some((partition, log.iter().position(is_it)? as i64)))
    }

    /// Its rule has been changed since, or was when it was read.
    pub fn is_ended(&self, decision: &Decision) -> bool {
        let place = self.place_of(decision.decision_id.0).zip(title_of(&decision.payload));
        decision.rule == RULE
            && place.is_none_or(|((home, offset), title)| ruled::has_changed(&self.logs[home as usize], offset, &title))
    }

    /// What the log says was painted or answered.
    pub fn seen(&self) -> &BTreeSet<u128> {
        &self.seen
    }

    /// Everything, while nothing is under way.
    pub fn run(&mut self, house: &House, acked: &BTreeSet<String>, definer: &mut Definer) -> Result<(), String> {
        if let Some(complaint) = house.complaint() {
            return Err(complaint);
        }
        self.collect(house)?;
        if let Some(lost) = acked.iter().find(|id| !self.in_log.contains(*id)) {
            return Err(format!("I1: {lost} was acknowledged and is not in the log"));
        }
        self.oracle.follow(&self.logs, &mut self.next).map_err(|cause| format!("I4: {cause}"))?;
        let has_caught_up = |(stream, log): (Option<&Stream>, &Log)| {
            stream.is_some_and(|stream| stream.as_of().0 + 1 == log.len() as i64)
        };
        let streams = house.partitions().map(|number| house.stream(number));
        if streams.zip(&self.logs).all(has_caught_up) {
            definer.judge(&self.logs, house, &self.oracle)?;
            ruled::judge(&self.logs, &self.decided)?;
        }
        for number in house.partitions() {
            let Some(stream) = house.stream(number) else { continue };
            if stream.as_of().0 + 1 != self.logs[number as usize].len() as i64 {
                return Ok(()); // It has not caught up.
            }
            judge::partition(&self.oracle, stream, number, None).map_err(|cause| format!("I2: {cause}"))?;
            let (_, now_ms) = stream.as_of();
            let versions = definer.versions(&self.logs[number as usize]);
            for (_, shopper) in stream.shoppers_from(0) {
                let nobody = Person::default();
                let person = self.oracle.people.get(&shopper.id.to_string()).unwrap_or(&nobody);
                // Now, and when something is about to leave a window.
                let edges = judge::acts(person).map(|taken| taken.time_ms + 300_000).filter(|at_ms| *at_ms > now_ms);
                for at_ms in edges.take(3).chain([now_ms]) {
                    let view = stream.view_of(shopper, shopper.current_session(), at_ms);
                    features(house, number, &view, person).map_err(|cause| format!("I2: {}: {cause}", shopper.id))?;
                    if self.plan.fault != Some(Fault::WindowEdge) {
                        answers(house, number, &view, person, &versions)
                            .map_err(|cause| format!("{cause}: {}", shopper.id))?;
                    }
                }
                for session in shopper.sessions.iter().filter(|session| !session.dirty) {
                    let told = self.versions.get(&session.id.0).copied();
                    if session.is_live() && told != Some(session.version) {
                        return Err(format!("I3: version {} of {}, told {told:?}", session.version, session.id));
                    }
                }
            }
        }
        Ok(())
    }

    /// At the end: every decision once. Returns how many, and those by the rule that changes.
    pub fn finish(&self, house: &House) -> Result<(u64, Ruled), String> {
        if let Some((partition, offset)) = self.oracle.in_flight().first() {
            let position = house.port.position(PartitionId(*partition));
            let log = &self.logs[*partition as usize];
            let (end, record) = (log.len(), log.get(*offset as usize));
            return Err(format!("I4: {partition}/{offset} never arrived; position {position} of {end}: {record:?}"));
        }
        for partition in partitions(self.plan) {
            let pending = house.stream(partition.0).and_then(|stream| stream.pending().next());
            if let Some(pending) = pending {
                return Err(format!("I6: never decided: {pending:?}"));
            }
        }
        let mut identity = BTreeMap::new();
        for partition in partitions(self.plan) {
            for entry in entries(house, Topic::Identity, partition, 0)? {
                let told = entry.value.as_deref().map(decode::<Identity>);
                let Some(Ok(Identity { visitor_id, user_id, attached_since_ms, detached_at_ms, .. })) = told else {
                    return Err(format!("L-5: identity {partition:?}/{} can't be read", entry.offset));
                };
                let (visitor, user) = (visitor_id.to_string(), user_id.map(|user| user.to_string()));
                identity.insert(visitor.clone(), (visitor, user, attached_since_ms, detached_at_ms));
            }
        }
        differ("I-1: whom each visitor is taken for", &identity, &self.oracle.identity)?;
        Ok((self.decided.len() as u64, ruled::judge(&self.logs, &self.decided)?))
    }

    /// The first record that is not what it was when it was read, on what may be damaged. Records may be missing at the end.
    pub fn compare(&self, house: &House) -> Result<Option<String>, LogError> {
        for partition in partitions(self.plan) {
            let log = &self.logs[partition.0 as usize];
            let start = house.port.extent(Topic::Behavior, partition)?.start;
            let mut expected = start;
            let mut next = start;
            loop {
                let mut entries = Vec::new();
                house.port.read(Topic::Behavior, partition, next, 1 << 20, &mut entries)?;
                let Some(last) = entries.last() else { break };
                next = last.offset + 1;
                for entry in entries {
                    let place = format!("{}/{}", partition.0, entry.offset);
                    if entry.offset != expected {
                        return Ok(Some(format!("{place} comes where {expected} should be")));
                    }
                    expected += 1;
                    let Some((stamp_ms, known)) = log.get(entry.offset as usize) else { continue };
                    let found = entry.value.as_deref().map(Record::decode);
                    // In words, where they differ: what was paid in two currencies is not even equal to itself.
                    let is_same = |found: &Record| found == known || format!("{found:?}") == format!("{known:?}");
                    if !matches!(&found, Some(Ok(found)) if is_same(found) && entry.stamp_ms == *stamp_ms) {
                        return Ok(Some(format!("{place} was {known:?} and is {found:?}")));
                    }
                }
            }
        }
        Ok(None)
    }

    fn read(&mut self, house: &House, partition: PartitionId) -> Result<(), String> {
        let log = &mut self.logs[partition.0 as usize];
        let extent = house.port.extent(Topic::Behavior, partition).map_err(|error| error.to_string())?;
        if extent.end < log.len() as i64 {
            return Err(format!("I1: partition {partition:?} had {} records and has {}", log.len(), extent.end));
        }
        for entry in entries(house, Topic::Behavior, partition, log.len() as i64)? {
            differ("I1: the next offset", &entry.offset, &(log.len() as i64))?;
            if log.last().is_some_and(|(last_ms, _)| *last_ms > entry.stamp_ms) {
                return Err(format!("I5: the stamp of {partition:?}/{} goes back", entry.offset));
            }
            let record =
                Record::decode(entry.value.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
            let routed = match &record {
                Record::Event(event) => {
                    self.in_log.extend(id_of(&record));
                    let id = event.decision_id.as_ref().and_then(|id| id.parse::<DecisionId>().ok());
                    if matches!(event.name, EventName::Painted | EventName::Dismiss) {
                        self.seen.extend(id.map(|id| id.0));
                    }
                    None
                }
                Record::Decision(decision) if decision.outcome == Outcome::Served => {
                    self.served.insert(decision.decision_id.0, (**decision).clone());
                    None
                }
                Record::Handoff(handoff) => Some(handoff.id),
                Record::Forward(forward) => Some(forward.id),
                Record::Told(told) => Some(told.id),
                Record::Recall(recall) => Some(recall.id),
                _ => None,
            };
            if let Some(id) = routed
                && !self.routed.insert((id.partition.0, id.offset, id.ordinal))
                && !self.plan.twice
            {
                return Err(format!("I4: {id:?} stands twice in the log"));
            }
            log.push((entry.stamp_ms, record));
        }
        Ok(())
    }

    /// What comes anew rises; what was read before is what it was.
    fn derived(&mut self, house: &House, partition: PartitionId) -> Result<(), String> {
        let index = partition.0 as usize;
        for entry in entries(house, Topic::Session, partition, self.derived_next[index][0])? {
            self.derived_next[index][0] = entry.offset + 1;
            let Some(Ok(update)) = entry.value.as_deref().map(decode::<SessionUpdate>) else {
                return Err(format!("I1: {partition:?}/{} is no session", entry.offset));
            };
            let found = (update.session_id.0, update.version);
            if let Some(before) = self.sessions[index].insert(entry.offset, found) {
                differ("I1: a session update", &found, &before)?;
                continue;
            }
            let before = self.versions.insert(update.session_id.0, update.version).unwrap_or(0);
            if before >= update.version {
                return Err(format!("I3: version {} after {before}: {update:?}", update.version));
            }
        }
        for entry in entries(house, Topic::Decision, partition, self.derived_next[index][1])? {
            self.derived_next[index][1] = entry.offset + 1;
            // Reports and answers stand there too.
            let Some(Ok(decision)) = entry.value.as_deref().map(decode::<Decision>) else { continue };
            let found = (decision.decision_id.0, decision.asked_at_ms);
            if let Some(before) = self.decisions[index].insert(entry.offset, found) {
                differ("I1: a decision", &found, &before)?;
            } else if let Some(before) = self.decided.insert(found.0, decision) {
                return Err(format!("I6: decided twice: {before:?}"));
            }
        }
        Ok(())
    }
}

fn entries(house: &House, topic: Topic, partition: PartitionId, from: i64) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let start = house.port.extent(topic, partition).map_err(|error| error.to_string())?.start;
    let mut next = from.max(start);
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
fn features(house: &House, partition: u32, view: &View<'_>, person: &Person) -> Result<(), String> {
    for (name, value) in house.definitions(partition).user_values(view, &[]) {
        let Some((feature, window)) = name.rsplit_once('_') else { continue };
        let window_ms = match window {
            "5m" => 300_000,
            "1h" => 3_600_000,
            "24h" => 86_400_000,
            // The one that a fault makes too long.
            "300001ms" => 300_000,
            _ => continue,
        };
        let what = match feature {
            "product_view_count" => "product_view",
            "edge" if window == "300001ms" => "product_view",
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
