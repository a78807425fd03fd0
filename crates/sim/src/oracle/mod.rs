//! The independent oracle: what must have happened, computed plainly from the records in their order.
//!
//! It shares nothing with the machine but the vocabulary and the rules' numbers. Every visit is a list of acts; counts,
//! carts and ends are computed from the list each time they are asked for.

mod act;
mod follow;
mod identity;
mod person;
mod visit;

pub use act::{Act, Piece, may_be_shown};
pub use follow::{ActOf, Log};
pub use identity::Stay;
pub use person::{Cap, Follows, Person, Shown};
pub use visit::{Basket, Stand, Taken, Visit};

use identity::Whose;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The numbers. ms.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Further apart is another visit.
    pub gap_ms: i64,
    /// Late acts still change a visit for so long after the gap.
    pub grace_ms: i64,
    /// How long an id takes effect once.
    pub horizon_ms: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { gap_ms: 1_800_000, grace_ms: 120_000, horizon_ms: 86_400_000 }
    }
}

/// What must become of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Took effect in this session.
    In(u128),
    /// A repeat.
    Duplicate,
    /// Fits no visit any more.
    TooLate,
    /// Goes to the user's home.
    Forwarded(String),
    /// Without an id.
    Keyless,
    /// By somebody who has withdrawn their consent.
    Refused,
}

#[derive(Debug, Default)]
struct Visitor {
    seen: BTreeMap<(String, String), i64>,
    stays: Vec<Stay>,
    /// The last word on consent: its event time and what it allows.
    said: Option<(i64, i32)>,
}

/// Something on its way between partitions.
#[derive(Debug)]
struct Flight {
    user: String,
    act: Option<Act>,
    moved: Option<Person>,
}

/// The whole of it, over all partitions.
#[derive(Debug, Default)]
pub struct Oracle {
    /// The numbers.
    pub rules: Rules,
    /// Everybody, by `visitor:ID` or `user:ID`.
    pub people: BTreeMap<String, Person>,
    visitors: BTreeMap<String, Visitor>,
    flights: BTreeMap<(u32, i64), Flight>,
    received: BTreeSet<(u32, i64, u32)>,
    order: u64,
    /// Silences so far: (shopper, session, threshold, at).
    pub silences: Vec<crate::probe::Silence>,
    /// Candidates asked so far: decision, asked at.
    pub asked: Vec<(u128, i64)>,
    /// Decisions that took effect, with whether they are shown.
    pub decided: Vec<(u128, bool)>,
    /// Taken back.
    pub retracted: Vec<u128>,
    /// Rules that a cap held back.
    pub capped: Vec<String>,
    /// Reports and answers: decision and name.
    pub reacted: Vec<(u128, String)>,
}

impl Oracle {
    /// With these numbers.
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Time passes in a partition up to the stamp of the record that is read next.
    pub fn passes(&mut self, partition: u32, stamp_ms: i64) {
        for (who, person) in self.people.iter_mut().filter(|(_, person)| person.home == partition) {
            let mut follows = Follows::default();
            person.passes(stamp_ms, &self.rules, &mut follows);
            let told = |(session, threshold, at)| (who.clone(), session, threshold, at);
            self.silences.extend(follows.silences.into_iter().map(told));
            self.asked.extend(follows.asked);
            self.capped.extend(follows.capped);
        }
    }

    /// An event is read.
    pub fn event(&mut self, partition: u32, offset: i64, stamp_ms: i64, act: &Act) -> Fate {
        self.passes(partition, stamp_ms);
        let key = match (&act.visitor, &act.user) {
            (Some(visitor), _) => format!("visitor:{visitor}"),
            (None, Some(user)) => format!("user:{user}"),
            (None, None) => return Fate::Keyless,
        };
        let visitor = self.visitors.entry(key.clone()).or_default();
        // Repeats are known by the second they came in.
        let oldest_s = (stamp_ms - self.rules.horizon_ms) / 1000;
        if visitor.seen.get(&act.key).is_some_and(|at_ms| at_ms / 1000 >= oldest_s) {
            return Fate::Duplicate;
        }
        visitor.seen.insert(act.key.clone(), stamp_ms);
        let mut act = act.clone();
        match visitor.said {
            Some((at_ms, said)) if act.name == "consent" && at_ms > act.time_ms => act.consent = said,
            _ if act.name == "consent" => visitor.said = Some((act.time_ms, act.consent)),
            // Nothing but another word on consent widens it.
            Some((_, said)) => act.consent &= said,
            None => {}
        }
        if act.is_refusal() {
            return Fate::Refused;
        }
        let act = &act;
        let time_ms = act.time_ms.min(stamp_ms);
        let person = self.people.get(&key);
        let live = person.into_iter().flat_map(|person| &person.visits).filter(|visit| visit.stand == Stand::Live);
        let live_from_ms = live.map(|visit| visit.span_ms().0).min();
        let whose = match act.visitor {
            Some(_) => {
                let Rules { gap_ms, horizon_ms, .. } = self.rules;
                identity::attribute(&mut visitor.stays, act, time_ms, stamp_ms - horizon_ms, gap_ms, live_from_ms)
            }
            None => Whose::Visitor,
        };
        let (user, moved) = match whose {
            Whose::Visitor => {
                let user = act.visitor.is_none().then(|| act.user.clone()).flatten();
                return self.take(partition, &key, user.as_deref(), stamp_ms, act);
            }
            Whose::User(user) => (user, None),
            Whose::SignsIn(user) => {
                let mut moved = self.people.remove(&key);
                if let Some(moved) = moved.as_mut().filter(|_| act.is_own()) {
                    moved.heard_ms = Some(stamp_ms);
                    moved.told.clear();
                }
                (user, moved)
            }
        };
        self.flights.insert((partition, offset), Flight { user: user.clone(), act: Some(act.clone()), moved });
        Fate::Forwarded(user)
    }

    /// A hand-off is read at the user's home. An error says what is wrong with it.
    pub fn handoff(&mut self, partition: u32, stamp_ms: i64, id: (u32, i64, u32), user: &str) -> Result<(), String> {
        self.passes(partition, stamp_ms);
        if !self.received.insert(id) {
            return Ok(());
        }
        let flight = self.flights.get_mut(&(id.0, id.1)).ok_or(format!("a hand-off {id:?} that nothing caused"))?;
        let moved = flight.moved.take().ok_or(format!("a hand-off {id:?} of nothing"))?;
        if flight.user != user {
            return Err(format!("the hand-off {id:?} goes to {user} instead of {}", flight.user));
        }
        let person = self.people.entry(format!("user:{user}")).or_default();
        person.home = partition;
        person.welcome(user, moved, &mut self.order, &self.rules);
        Ok(())
    }

    /// A forwarded event is read at the user's home. `None`: it was read before.
    pub fn forward(
        &mut self,
        partition: u32,
        stamp_ms: i64,
        id: (u32, i64, u32),
        user: &str,
    ) -> Result<Option<Fate>, String> {
        self.passes(partition, stamp_ms);
        if !self.received.insert(id) {
            return Ok(None);
        }
        let flight = self.flights.get_mut(&(id.0, id.1)).ok_or(format!("a forward {id:?} that nothing caused"))?;
        let lives = |person: &Person| person.visits.iter().any(|visit| visit.stand == Stand::Live);
        if flight.user != user || flight.moved.as_ref().is_some_and(lives) {
            return Err(format!(
                "the forward {id:?} to {user} is before its hand-off, or should go to {}",
                flight.user
            ));
        }
        let act = flight.act.take().ok_or(format!("a second forward {id:?}"))?;
        Ok(Some(self.take(partition, &format!("user:{user}"), Some(user), stamp_ms, &act)))
    }

    /// A decision is read: does it take effect, and if it is to be shown, does it still hold?
    pub fn decision(
        &mut self,
        partition: u32,
        stamp_ms: i64,
        who: &str,
        decision: u128,
        counts: bool,
        served_until_ms: Option<i64>,
    ) -> bool {
        self.passes(partition, stamp_ms);
        let Some(person) = self.people.get_mut(who) else { return false };
        let Some(holds) = person.settle(decision, counts, served_until_ms, stamp_ms) else { return false };
        self.decided.push((decision, holds && served_until_ms.is_some()));
        true
    }

    /// The places of events on their way to their user's home that have not arrived.
    pub fn in_flight(&self) -> Vec<(u32, i64)> {
        self.flights.iter().filter(|(_, flight)| flight.act.is_some()).map(|(place, _)| *place).collect()
    }

    fn take(&mut self, partition: u32, who: &str, user: Option<&str>, stamp_ms: i64, act: &Act) -> Fate {
        self.order += 1;
        let taken = Taken { time_ms: act.time_ms.min(stamp_ms), order: self.order, act: Rc::new(act.clone()) };
        let order = self.order;
        let person = self.people.entry(who.to_string()).or_default();
        person.home = partition;
        let mut follows = Follows::default();
        let in_time = person.take(user, taken, stamp_ms, &self.rules, &mut follows);
        self.asked.extend(follows.asked);
        self.capped.extend(follows.capped);
        self.retracted.extend(follows.retracted);
        self.reacted.extend(follows.reacted);
        if !in_time {
            return Fate::TooLate;
        }
        let visit = person.visits.iter().find(|visit| {
            !matches!(visit.stand, Stand::Into(_)) && visit.taken.iter().any(|taken| taken.order == order)
        });
        visit.map_or(Fate::TooLate, |visit| Fate::In(visit.id))
    }
}
