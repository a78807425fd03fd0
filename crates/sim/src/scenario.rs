//! One seeded run: shoppers through the machines, each step held against the oracle.

use crate::draw::{Shoppers, unmerges};
use crate::judge::{self, Told, differ};
use crate::oracle::{Act, Fate, Oracle, Telling};
use crate::replay::{replay, restart};
use crate::rng::Rng;
use crate::shape::Shapes;
use crate::spilled;
use crate::world::{Step, Ticks, Ways, World};
use midsession_event::{Outcome, Record, partition_of};
use midsession_machine::Effect;
use midsession_stream::{Config, Seam, Stream};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Sums over runs, to see that the draws reach what they should.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// Records read.
    pub records: u64,
    /// Events sent, repeats among them.
    pub events: u64,
    /// Simulated time. ms.
    pub simulated_ms: i64,
    /// Repeats.
    pub duplicates: u64,
    /// Late events that took effect.
    pub late: u64,
    /// Too late.
    pub too_late: u64,
    /// Merges.
    pub merged: u64,
    /// Hand-offs.
    pub handoffs: u64,
    /// Silences.
    pub silences: u64,
    /// Candidates.
    pub candidates: u64,
    /// Retractions.
    pub retracted: u64,
    /// Candidates that moved with their shopper.
    pub asked_again: u64,
    /// Events of shoppers who had withdrawn their consent.
    pub refused: u64,
    /// Candidates that a cap held back.
    pub capped: u64,
    /// Reports and answers of pages.
    pub reacted: u64,
    /// Devices told what their user allows.
    pub told: u64,
    /// Merges undone of which somebody had a share who has left since.
    pub shared: u64,
    /// Merges undone while they had something to give back.
    pub returned: u64,
    /// Of those, what went on to somebody who had signed in meanwhile.
    pub went_on: u64,
    /// Records after which an update is told at once.
    pub milestones: u64,
}

impl Reached {
    /// Adds another run.
    pub fn add(&mut self, other: &Reached) {
        self.records += other.records;
        self.events += other.events;
        self.simulated_ms += other.simulated_ms;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.too_late += other.too_late;
        self.merged += other.merged;
        self.handoffs += other.handoffs;
        self.silences += other.silences;
        self.candidates += other.candidates;
        self.retracted += other.retracted;
        self.asked_again += other.asked_again;
        self.refused += other.refused;
        self.capped += other.capped;
        self.reacted += other.reacted;
        self.told += other.told;
        self.returned += other.returned;
        self.went_on += other.went_on;
        self.shared += other.shared;
        self.milestones += other.milestones;
    }

    /// Panics when a kind of thing never happened: then its checks have checked nothing.
    pub fn assert_all_reached(&self) {
        let Self { duplicates, late, too_late, merged, handoffs, silences, candidates, .. } = *self;
        let Self {
            retracted, asked_again, refused, capped, reacted, told, returned, went_on, shared, milestones, ..
        } = *self;
        let least = [duplicates, late, too_late, merged, handoffs, silences, candidates, retracted];
        let rarer = [asked_again, refused, capped, reacted, told, returned, went_on, shared, milestones];
        assert!(least.iter().chain(&rarer).all(|count| *count > 0), "something never happened: {self:?}");
    }
}

/// Updates that nothing hurries are told so far apart. ms.
const CADENCE_MS: i64 = 5_000;

/// When a run starts. Epoch ms.
pub const START_MS: i64 = 1_700_000_000_000;

/// Runs the shoppers of a seed. An error says what differs from the oracle.
pub fn run(seed: u64, steps: usize, change: impl Fn(&mut Config)) -> Result<Reached, String> {
    let mut rng = Rng::new(seed);
    let mut config = Config { partitions: rng.pick(&[1, 2, 3, 5]), ..Config::default() };
    let mut oracle = Oracle::default();
    change(&mut config);
    let ways = Ways {
        ticks: rng.pick(&[Ticks::Within(0), Ticks::Within(20), Ticks::Within(1_000), Ticks::Never]),
        route_ms: rng.pick(&[0, 0, 3, 100]),
        decide_ms: rng.pick(&[0, 5, 3_000]),
        twice: rng.pick(&[0, 10]),
        forgotten: rng.pick(&[0, 20]),
        painted: rng.pick(&[0, 50, 90]),
    };
    let start_ms = START_MS + rng.between(0, 10_000);
    let arrivals = Shoppers::draw(Rng::new(rng.bits()), start_ms, steps);
    let mut world = World::new(config, ways, start_ms, Rng::new(rng.bits()));
    world.spill(|partition| spilled::of_seed(seed, partition));
    let mut unmerges = unmerges(&mut rng, &arrivals);
    for (at_ms, event) in arrivals {
        // Of the same millisecond, either may come first.
        while let Some((_, unmerge)) =
            unmerges.pop_if(|(due_ms, _)| *due_ms < at_ms || *due_ms == at_ms && rng.chance(50))
        {
            let partition = partition_of(unmerge.visitor_id.as_str(), config.partitions).0;
            world.append_at(at_ms, partition, Record::Unmerge(Box::new(unmerge)));
        }
        let partition = partition_of(event.key(), config.partitions).0;
        world.append_at(at_ms, partition, Record::Event(Box::new(event)));
    }
    for (at_ms, unmerge) in unmerges {
        let partition = partition_of(unmerge.visitor_id.as_str(), config.partitions).0;
        world.append_at(at_ms, partition, Record::Unmerge(Box::new(unmerge)));
    }
    let sound = config == Config { partitions: config.partitions, ..Config::default() };
    let mut check = Check { sound, ..Check::default() };
    let mut quiet_ends = 0;
    // Looking at all of it after each record takes three times as long.
    let often = if seed.is_multiple_of(3) { 100 } else { 10 };
    loop {
        while let Some(step) = world.step() {
            check.step(&step, &mut oracle)?;
            check.state(&world.streams[step.partition as usize], &oracle, rng.chance(often))?;
        }
        // Nothing will happen by itself: let all run out, twice, for what the first round set off.
        if quiet_ends == 3 {
            break;
        }
        quiet_ends += 1;
        let later_ms = world.now_ms + rng.pick(&[0, 1, 5_000, 1_800_000, 1_920_000, 7_200_000]);
        for step in world.tick_all_at(later_ms) {
            check.step(&step, &mut oracle)?;
            check.state(&world.streams[step.partition as usize], &oracle, true)?;
        }
    }
    if let Some(place) = oracle.in_flight().first() {
        return Err(format!("I4: {place:?} never arrived at its user's home"));
    }
    if let Some(telling) = oracle.untold() {
        return Err(format!("I10: {telling:?} never arrived"));
    }
    if let Some(candidate) = world.streams.iter().flat_map(Stream::pending).next() {
        return Err(format!("I6: a candidate was never decided: {candidate:?}"));
    }
    replay(&mut world, config).map_err(|cause| format!("I8: {cause}"))?;
    for partition in 0..world.logs.len() {
        restart(&mut rng, seed, partition, &world, config).map_err(|cause| format!("I8: {cause}"))?;
    }
    let mut reached = check.reached;
    reached.simulated_ms = world.now_ms - start_ms;
    for counters in world.streams.iter().map(Stream::counters) {
        if !counters.adds_up() {
            return Err(format!("I1: {counters:?}"));
        }
        reached.duplicates += counters.duplicates;
        reached.late += counters.late;
        reached.too_late += counters.too_late;
        reached.merged += counters.sessions_merged;
        reached.refused += counters.refused;
    }
    Ok(reached)
}

#[derive(Default)]
struct Check {
    /// Nothing is wrong on purpose.
    sound: bool,
    shapes: Shapes,
    told: Told,
    /// Between when the last update of each session was told. Epoch ms.
    told_at: BTreeMap<u128, (i64, i64)>,
    /// Stamps of the last records of the partitions. Epoch ms.
    stamps: BTreeMap<u32, i64>,
    asked: BTreeSet<u128>,
    decided: BTreeSet<u128>,
    reached: Reached,
    lately: VecDeque<String>,
}

/// A step in one line.
fn line(step: &Step) -> String {
    let what = match &step.record {
        Record::Event(event) => {
            let (visitor, user) = (event.visitor_id.as_ref(), event.user_id.as_ref());
            let late_ms = step.stamp_ms - event.occurred_at_ms;
            format!("{} {} {visitor:?} {user:?} late {late_ms}", event.event_id, event.name)
        }
        Record::Forward(forward) => format!("forward {} to {}", forward.event.event_id, forward.user_id),
        Record::Handoff(handoff) => {
            let way = if handoff.returns { "back from" } else { "to" };
            format!("handoff {:?} of {} {way} {}", handoff.id, handoff.visitor_id, handoff.user_id)
        }
        Record::Unmerge(unmerge) => format!("unmerge {} from {}", unmerge.visitor_id, unmerge.user_id),
        Record::Recall(recall) => format!("recall {:?} {} from {}", recall.id, recall.visitor_id, recall.user_id),
        Record::Told(told) => {
            format!("told {} that {} allows {}", told.visitor_id, told.user_id, told.consent.0)
        }
        Record::Decision(decision) => format!("decision {} {:?}", decision.decision_id, decision.outcome),
        Record::Tick(_) => "tick".into(),
        Record::Filled(filled) => format!("filled {}", filled.events.len()),
        Record::Definition(change) => format!("definitions {}", change.revision),
    };
    format!("{}/{} {} {what} -> {:?}", step.partition, step.offset, step.stamp_ms, step.seam)
}

impl Check {
    fn step(&mut self, step: &Step, oracle: &mut Oracle) -> Result<(), String> {
        self.reached.records += 1;
        self.reached.events += u64::from(matches!(step.record, Record::Event(_)));
        if self.lately.len() == 40 {
            self.lately.pop_front();
        }
        self.lately.push_back(line(step));
        self.judge(step, oracle).map_err(|cause| {
            let lately: Vec<_> = self.lately.iter().map(String::as_str).collect();
            format!("{cause}\n{:?}\nlately:\n{}", step.record, lately.join("\n"))
        })
    }

    /// The state after a record: its shape, and now and then all of it.
    fn state(&mut self, stream: &Stream, oracle: &Oracle, with_oracle: bool) -> Result<(), String> {
        self.shapes.look(stream, self.sound)?;
        if !with_oracle {
            return Ok(());
        }
        let judged = judge::partition(oracle, stream, stream.partition().0, Some(&self.told));
        judged.map_err(|cause| format!("I2: {cause}"))
    }

    fn judge(&mut self, step: &Step, oracle: &mut Oracle) -> Result<(), String> {
        let Step { partition, offset, stamp_ms, .. } = *step;
        let expected = match &step.record {
            Record::Event(event) => Some(oracle.event(partition, offset, stamp_ms, &Act::from(&**event))),
            Record::Tick(_) | Record::Definition(_) | Record::Filled(_) => {
                oracle.passes(partition, stamp_ms);
                None
            }
            Record::Handoff(handoff) => {
                self.reached.handoffs += 1;
                let id = (handoff.id.partition.0, handoff.id.offset, handoff.id.ordinal);
                let (user, visitor) = (handoff.user_id.as_str(), handoff.visitor_id.as_str());
                let place = (partition, offset);
                if handoff.left && !handoff.returns && oracle.has_share(id, user) {
                    self.reached.shared += 1;
                    oracle.inherits(partition, stamp_ms, id, user, visitor)?;
                } else if handoff.returns {
                    self.reached.returned += u64::from(!handoff.sessions.is_empty());
                    oracle.returned(place, stamp_ms, id, user, visitor)?;
                    let goes_on = step.effects.iter().any(|effect| matches!(effect, Effect::Handoff(on) if !on.left));
                    self.reached.went_on += u64::from(goes_on);
                } else {
                    oracle.handoff(place, stamp_ms, id, user, visitor)?;
                }
                None
            }
            Record::Unmerge(unmerge) => {
                let (user, visitor) = (unmerge.user_id.as_str(), unmerge.visitor_id.as_str());
                oracle.unmerge((partition, offset), stamp_ms, visitor, user);
                None
            }
            Record::Recall(recall) => {
                let id = (recall.id.partition.0, recall.id.offset, recall.id.ordinal);
                let (user, visitor) = (recall.user_id.as_str(), recall.visitor_id.as_str());
                oracle.recall((partition, offset), stamp_ms, id, user, visitor)?;
                None
            }
            Record::Forward(forward) => {
                let id = (forward.id.partition.0, forward.id.offset, forward.id.ordinal);
                oracle.forward((partition, offset), stamp_ms, id, forward.user_id.as_str())?
            }
            Record::Told(told) => {
                let id = (told.id.partition.0, told.id.offset, told.id.ordinal);
                oracle.is_told(partition, stamp_ms, id, Telling::from(&**told))?;
                None
            }
            Record::Decision(decision) => {
                let counts = matches!(decision.outcome, Outcome::Served | Outcome::Holdout);
                let until = (decision.outcome == Outcome::Served).then_some(decision.expires_at_ms);
                let who = decision.shopper.to_string();
                oracle.decision(partition, stamp_ms, &who, decision.decision_id.0, counts, until);
                None
            }
        };
        let forwards = |is_parting: bool| {
            step.effects.iter().find_map(|effect| match effect {
                Effect::Forward(forward) if forward.is_parting() == is_parting => Some(forward.user_id.to_string()),
                _ => None,
            })
        };
        let forwarded = forwards(false);
        let parted = oracle.parted((partition, offset)).map(str::to_string);
        differ("I4: who is told that a device is somebody else's", &forwards(true), &parted)?;
        let found = step.seam.map(|seam| match seam {
            Seam::Applied(id) => Fate::In(id.0),
            Seam::Duplicate => Fate::Duplicate,
            Seam::TooLate => Fate::TooLate,
            Seam::Forwarded => Fate::Forwarded(forwarded.unwrap_or_default()),
            Seam::Keyless => Fate::Keyless,
            Seam::Refused => Fate::Refused,
        });
        differ("I1: what became of the event", &found, &expected)?;
        self.at_once(step, oracle)?;
        self.effects(step, oracle)?;
        self.stamps.insert(partition, stamp_ms);
        Ok(())
    }

    /// An update is told at the very record that is a milestone; of the others, at the cadence.
    fn at_once(&mut self, step: &Step, oracle: &mut Oracle) -> Result<(), String> {
        let milestones = std::mem::take(&mut oracle.milestones);
        let Some(Seam::Applied(id)) = step.seam else { return Ok(()) };
        let visit = oracle.people.values().flat_map(|person| &person.visits).find(|visit| visit.id == id.0);
        let events = visit.map_or(0, |visit| visit.taken.len() as i64);
        let updates = step.effects.iter().filter_map(|effect| match effect {
            Effect::Session(update) if update.session_id == id => Some(update.events),
            _ => None,
        });
        let updates: Vec<i64> = updates.collect();
        let is_told = updates.last() == Some(&events);
        let stamp_ms = step.stamp_ms;
        let before_ms = self.stamps.get(&step.partition).copied().unwrap_or(i64::MIN);
        let (from_ms, to_ms) = match updates.len() - usize::from(is_told) {
            0 => self.told_at.get(&id.0).copied().unwrap_or((i64::MIN, i64::MIN)),
            _ => (before_ms, stamp_ms),
        };
        let is_milestone = milestones.contains(&id.0);
        self.reached.milestones += u64::from(is_milestone);
        let must = is_milestone || stamp_ms >= to_ms.saturating_add(CADENCE_MS);
        let may = must || stamp_ms >= from_ms.saturating_add(CADENCE_MS);
        if is_told && !may || !is_told && must {
            let how = if is_milestone { "a milestone" } else { "none" };
            return Err(format!("I3: told {is_told} of {id}, {how}; told before between {from_ms} and {to_ms}"));
        }
        if is_told {
            self.told_at.insert(id.0, (stamp_ms, stamp_ms));
        }
        Ok(())
    }

    fn effects(&mut self, step: &Step, oracle: &mut Oracle) -> Result<(), String> {
        let (mut asked, mut decided, mut retracted) = (Vec::new(), Vec::new(), Vec::new());
        let (mut capped, mut reacted, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut identities = Vec::new();
        for effect in &step.effects {
            match effect {
                Effect::Session(update) => {
                    let last = self.told.insert(update.session_id.0, (**update).clone());
                    let last = last.map_or(0, |last| last.version);
                    if update.version <= last {
                        return Err(format!("I3: version {} after {last}: {update:?}", update.version));
                    }
                    // Told when something was due since the last record, or of this one.
                    let before_ms = self.stamps.get(&step.partition).copied().unwrap_or(i64::MIN);
                    let between_ms = self.told_at.entry(update.session_id.0).or_insert((before_ms, step.stamp_ms));
                    if between_ms.1 < step.stamp_ms {
                        *between_ms = (before_ms, step.stamp_ms);
                    }
                }
                Effect::Candidate(candidate) => {
                    if self.asked.insert(candidate.decision_id.0) {
                        asked.push((candidate.decision_id.0, candidate.asked_at_ms));
                    } else if matches!(step.record, Record::Handoff(_)) {
                        self.reached.asked_again += 1;
                    } else {
                        return Err(format!("I6: asked twice: {candidate:?}"));
                    }
                }
                Effect::Decided(decision) => {
                    if !self.decided.insert(decision.decision_id.0) {
                        return Err(format!("I6: decided twice: {decision:?}"));
                    }
                    decided.push((decision.decision_id.0, decision.outcome == Outcome::Served));
                }
                Effect::Retract { decision_id, .. } => retracted.push(decision_id.0),
                Effect::Capped { rule } => capped.push(rule.to_string()),
                Effect::Reaction(reaction) => reacted.push((reaction.decision_id.0, reaction.name.to_string())),
                Effect::Tell(telling) => told.push(Telling::from(&**telling)),
                Effect::Identity(identity) => identities.push((
                    identity.visitor_id.to_string(),
                    identity.user_id.as_ref().map(ToString::to_string),
                    identity.attached_since_ms,
                    identity.detached_at_ms,
                )),
                Effect::Handoff(_) | Effect::Forward(_) | Effect::Recall(_) | Effect::Evidence(_) => {}
            }
        }
        self.reached.told += told.len() as u64;
        self.reached.candidates += asked.len() as u64;
        self.reached.retracted += retracted.len() as u64;
        self.reached.capped += capped.len() as u64;
        self.reached.reacted += reacted.len() as u64;
        let mut silences = step.silences.clone();
        silences.sort();
        oracle.silences.sort();
        self.reached.silences += silences.len() as u64;
        differ("I5: silences told", &silences, &std::mem::take(&mut oracle.silences))?;
        asked.sort_unstable();
        oracle.asked.sort_unstable();
        differ("I6: candidates", &asked, &std::mem::take(&mut oracle.asked))?;
        differ("I6: decisions in force", &decided, &std::mem::take(&mut oracle.decided))?;
        retracted.sort_unstable();
        oracle.retracted.sort_unstable();
        differ("I6: taken back", &retracted, &std::mem::take(&mut oracle.retracted))?;
        capped.sort_unstable();
        oracle.capped.sort_unstable();
        differ("I6: held back by a cap", &capped, &std::mem::take(&mut oracle.capped))?;
        differ("I1: reports and answers", &reacted, &std::mem::take(&mut oracle.reacted))?;
        told.sort();
        oracle.told.sort();
        differ("I10: devices told", &told, &std::mem::take(&mut oracle.told))?;
        differ("I4: whom visitors are taken for", &identities, &std::mem::take(&mut oracle.identities))
    }
}
