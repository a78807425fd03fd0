//! The independent oracle: what must have happened, computed plainly from the records in their order.
//!
//! It shares nothing with the machine but the vocabulary and the rules' numbers. Every visit is a list of acts; counts,
//! carts and ends are computed from the list each time they are asked for.

mod act;
mod basket;
mod defined;
mod follow;
mod household;
mod identity;
mod pace;
mod person;
mod ruled;
mod rules;
mod unmerge;
mod visit;

pub use act::{Act, Piece, may_be_shown};
pub use basket::Basket;
pub use defined::{ByField, Versions, WORDINGS, written};
pub use follow::{ActOf, Log};
pub use household::Telling;
pub use identity::Stay;
pub use person::{Cap, Follows, Person, Shown};
pub use ruled::{RULE, RULES, RuleWording, Trigger, rule, rule_of, title_of};
pub use rules::Rules;
pub use visit::{Stand, Taken, Visit, in_full, mills};

use household::{Houses, Said};
use identity::Whose;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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
    pace: pace::Pace,
    stays: Vec<Stay>,
    /// Event times of logouts.
    logouts: Vec<i64>,
    /// The last word on consent that was said there.
    said: Option<Said>,
    /// What it was told that its user allows.
    told: Option<Telling>,
}

/// Something on its way between partitions.
#[derive(Debug)]
struct Flight {
    user: String,
    act: Option<Act>,
    moved: Option<Person>,
    /// They have left the device since.
    left: bool,
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
    /// Who was signed in where somebody else has signed in, by the place of that event.
    partings: BTreeMap<(u32, i64), (String, String)>,
    received: BTreeSet<(u32, i64, u32)>,
    houses: Houses,
    /// What users' homes told their devices, by the place of what caused it.
    telling: BTreeMap<(u32, i64), Vec<Telling>>,
    unmerged: unmerge::Unmerged,
    order: u64,
    /// Every act that took effect, and where.
    pub took: Vec<Took>,
    /// Every logout that was heard: the device (`visitor:ID`), when it was, and when it came in. Epoch ms.
    pub left: Vec<(String, i64, i64)>,
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
    /// Visits of which it is to be told at once.
    pub milestones: Vec<u128>,
    /// Devices told so far what their users allow.
    pub told: Vec<Telling>,
    /// Whom visitors are taken for, as told.
    pub identities: Vec<Told>,
    /// What was told last, by visitor: of nobody where they did not want to be named by then.
    pub identity: BTreeMap<String, Told>,
    /// Whoever has said once that nothing is to be shown to them.
    pub withdrew: BTreeSet<String>,
}

/// An act took effect at the home of its shopper.
#[derive(Clone, Debug)]
pub struct Took {
    /// Partition and offset of the record that did it.
    pub place: (u32, i64),
    /// Its stamp. Epoch ms.
    pub stamp_ms: i64,
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// What.
    pub act: Rc<Act>,
}

/// A visitor with the user that they are taken for, since when and until when. Epoch ms.
pub type Told = (String, Option<String>, Option<i64>, Option<i64>);

impl Oracle {
    /// With these numbers.
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Time passes in a partition up to the stamp of the record that is read next.
    pub fn passes(&mut self, partition: u32, stamp_ms: i64) {
        for (who, person) in self.people.iter_mut().filter(|(_, person)| person.home == partition) {
            let at = household::devices_of(&self.houses, who);
            let mut follows = Follows { is_mute: self.unmerged.is_away(who), at, ..Follows::default() };
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
        let visitor = act.visitor.as_deref().filter(|_| act.name == "consent");
        let named = visitor.and_then(|visitor| Some((visitor, self.is_named(visitor, stamp_ms)?)));
        let fate = self.enters(partition, offset, stamp_ms, act);
        self.names_anew(named, stamp_ms);
        fate
    }

    fn enters(&mut self, partition: u32, offset: i64, stamp_ms: i64, act: &Act) -> Fate {
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
        // Whoever has been silent for so long that no id of theirs is known is a stranger.
        if visitor.seen.values().all(|at_ms| at_ms / 1000 < oldest_s) {
            visitor.pace = pace::Pace::default();
        }
        visitor.seen.insert(act.key.clone(), stamp_ms);
        let mut act = act.clone();
        let forgotten_ms = stamp_ms - self.rules.horizon_ms;
        if self.unmerged.is_undone(&act, forgotten_ms) {
            act.user = None;
        }
        if act.name == "logout" && act.visitor.is_some() {
            visitor.logouts.push(act.time_ms.min(stamp_ms));
            self.left.push((key.clone(), act.time_ms.min(stamp_ms), stamp_ms));
        }
        let mut is_word = false;
        match &visitor.said {
            Some(said) if act.name == "consent" && said.at_ms > act.time_ms => {
                (act.consent, act.unsaid) = (said.consent, 0);
            }
            own if act.name == "consent" => {
                is_word = true;
                let open = visitor.stays.last().filter(|stay| stay.to_ms.is_none()).map(|stay| stay.user.as_str());
                let before = household::word(own.as_ref(), visitor.told.as_ref(), open, act.user.as_deref());
                act.consent = household::mixed(act.consent, act.unsaid, before);
                if !may_be_shown(act.consent) {
                    self.withdrew.insert(key.clone());
                }
                visitor.said = Some(Said { at_ms: act.time_ms, consent: act.consent, by: None });
            }
            // Nothing but another word on consent widens it.
            own => {
                let open = visitor.stays.last().filter(|stay| stay.to_ms.is_none()).map(|stay| stay.user.as_str());
                act.consent =
                    household::allowed(own.as_ref(), visitor.told.as_ref(), open, act.user.as_deref(), act.consent);
            }
        }
        // That somebody leaves is heard, whatever they have withdrawn, and that somebody else is there.
        let is_refused = act.is_refusal();
        let there = visitor.stays.last().filter(|stay| stay.to_ms.is_none()).map(|stay| &stay.user);
        let is_other = there.is_some_and(|there| act.user.as_ref().is_some_and(|user| user != there));
        if is_refused && !(act.name == "logout" && there.is_some() || is_other) {
            if let Some((device, person)) =
                act.visitor.as_ref().zip(self.people.get_mut(&key)).filter(|_| act.name == "logout")
            {
                person.parts(device, act.time_ms.min(stamp_ms), &mut self.retracted);
            }
            return Fate::Refused;
        }
        act.bot |= act.is_own() && visitor.pace.is_a_robots(act.time_ms);
        let time_ms = act.time_ms.min(stamp_ms);
        let open = visitor.stays.last().filter(|stay| stay.to_ms.is_none());
        let before = open.map(|stay| stay.user.clone());
        let whose = match act.visitor {
            Some(_) => identity::attribute(&mut visitor.stays, &visitor.logouts, &act, time_ms, forgotten_ms),
            None => Whose::Visitor,
        };
        let has_left = identity::has_left(&visitor.logouts, &act, time_ms, forgotten_ms);
        let is_told = identity::is_told(&whose);
        let is_late = (forgotten_ms + self.rules.gap_ms..stamp_ms - self.rules.gap_ms).contains(&act.time_ms);
        let ends = matches!(whose, Whose::SignsOut(_) | Whose::Ends(_))
            || act.name == "logout" && matches!(whose, Whose::SignsIn(_));
        if ends && before.is_some() && is_late {
            // What it ends has gone on meanwhile: it ends now.
            act.time_ms = stamp_ms;
        }
        let left = match &whose {
            Whose::Left(_) | Whose::WasIn(_) | Whose::Ends(_) | Whose::Repeats(_) => true,
            Whose::SignsIn(_) => act.name == "logout",
            Whose::SignsOut(_) => before.is_none(),
            Whose::Visitor | Whose::User(_) => false,
        };
        // Of the first who is known there it is all that there is, however old.
        let since = |from_ms: i64| if from_ms > forgotten_ms + 1 { from_ms } else { i64::MIN };
        let (from_ms, to_ms) = visitor.stays.last().map_or((0, None), |stay| (since(stay.from_ms), stay.to_ms));
        let within = |time_ms: i64| from_ms <= time_ms && to_ms.is_none_or(|to_ms| time_ms <= to_ms);
        if let (Some(user), Some(said)) = (whose.user(), visitor.said.as_mut().filter(|_| is_word)) {
            said.by = Some(user.to_string());
        }
        if let Some(id) = act.visitor.as_deref().filter(|_| is_told) {
            self.tells_identity(id, stamp_ms);
        }
        let (user, moved) = match whose {
            Whose::Visitor if is_refused => return Fate::Refused,
            Whose::Visitor => {
                return match act.user.as_ref().filter(|_| act.visitor.is_none()) {
                    Some(user) => self.take_home(partition, offset, user, stamp_ms, (&act, false)),
                    None => self.take((partition, offset), &key, None, stamp_ms, (&act, has_left)),
                };
            }
            Whose::User(user) | Whose::Left(user) | Whose::SignsOut(user) => (user, None),
            Whose::Ends(user) => {
                if let (Some(left), Some(visitor)) = (before, &act.visitor) {
                    self.partings.insert((partition, offset), (left, visitor.clone()));
                }
                (user, None)
            }
            Whose::Repeats(user) => {
                if let (Some(visitor), Some(person)) = (&act.visitor, self.people.get_mut(&key)) {
                    person.parts(visitor, act.time_ms.min(stamp_ms), &mut self.retracted);
                }
                (user, None)
            }
            Whose::SignsIn(user) | Whose::WasIn(user) => {
                if let (Some(left), Some(visitor)) = (before, &act.visitor) {
                    self.partings.insert((partition, offset), (left, visitor.clone()));
                }
                // Of whom nothing is left else there may be a lifetime.
                let mut moved = Some(self.part_of(&key, &user, stamp_ms, within).unwrap_or_default());
                if let Some(moved) = moved.as_mut().filter(|_| act.is_own()) {
                    moved.heard_ms = Some(stamp_ms);
                    moved.told.clear();
                }
                (user, moved)
            }
        };
        self.flights.insert((partition, offset), Flight { user: user.clone(), act: Some(act.clone()), moved, left });
        Fate::Forwarded(user)
    }

    /// A hand-off is read at the user's home. An error says what is wrong with it.
    pub fn handoff(
        &mut self,
        (partition, offset): (u32, i64),
        stamp_ms: i64,
        id: (u32, i64, u32),
        user: &str,
        visitor: &str,
    ) -> Result<(), String> {
        if !self.is_new(partition, stamp_ms, id) {
            return Ok(());
        }
        let flight = self.flights.get_mut(&(id.0, id.1)).ok_or(format!("a hand-off {id:?} that nothing caused"))?;
        let moved = flight.moved.take().ok_or(format!("a hand-off {id:?} of nothing"))?;
        if flight.user != user {
            return Err(format!("the hand-off {id:?} goes to {user} instead of {}", flight.user));
        }
        // A logout ends what it brings itself.
        let has_left = flight.left && flight.act.as_ref().is_some_and(|act| act.name != "logout");
        self.comes_home(partition, user, moved);
        if has_left {
            self.leaves(user, visitor);
            return Ok(());
        }
        let mut tells = Vec::new();
        self.houses.entry(user.to_string()).or_default().joins(user, visitor, &mut tells);
        self.tells((partition, offset), tells);
        Ok(())
    }

    /// Something that was sent from another partition is read; false where it was before.
    fn is_new(&mut self, partition: u32, stamp_ms: i64, id: (u32, i64, u32)) -> bool {
        self.passes(partition, stamp_ms);
        self.received.insert(id)
    }

    /// A user is not at this device any more, and their visits there are over.
    fn leaves(&mut self, user: &str, visitor: &str) {
        self.houses.entry(user.to_string()).or_default().parts(visitor);
        if let Some(person) = self.people.get_mut(&format!("user:{user}")) {
            person.parts(visitor, i64::MAX, &mut self.retracted);
        }
    }

    /// What was handed over is at its user's home, as far as their word allows it.
    fn comes_home(&mut self, partition: u32, user: &str, moved: Person) {
        let person = self.people.entry(format!("user:{user}")).or_default();
        person.home = partition;
        person.welcome(user, moved, &mut self.order, &self.rules);
        if let Some(consent) = self.houses.entry(user.to_string()).or_default().word() {
            person.narrow(consent, &mut self.retracted);
        }
    }

    /// Whose stay on a device has ended by this record, as somebody else has signed in there; until their home has read of it.
    pub fn parted(&self, place: (u32, i64)) -> Option<&str> {
        self.partings.get(&place).map(|(user, _)| user.as_str())
    }

    /// A forwarded event is read at the user's home. `None`: it was read before.
    pub fn forward(
        &mut self,
        (partition, offset): (u32, i64),
        stamp_ms: i64,
        id: (u32, i64, u32),
        user: &str,
    ) -> Result<Option<Fate>, String> {
        if !self.is_new(partition, stamp_ms, id) {
            return Ok(None);
        }
        if self.parted((id.0, id.1)).is_some_and(|left| left == user)
            && let Some((_, visitor)) = self.partings.remove(&(id.0, id.1))
        {
            self.leaves(user, &visitor);
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
        let (act, left) = (flight.act.take().ok_or(format!("a second forward {id:?}"))?, flight.left);
        let seen = &mut self.visitors.entry(format!("user:{user}")).or_default().seen;
        let oldest_s = (stamp_ms - self.rules.horizon_ms) / 1000;
        if seen.get(&act.key).is_some_and(|at_ms| at_ms / 1000 >= oldest_s) {
            return Ok(Some(Fate::Duplicate));
        }
        seen.insert(act.key.clone(), stamp_ms);
        Ok(Some(self.take_home(partition, offset, user, stamp_ms, (&act, left))))
    }

    /// A device is told what its user allows. An error says what is wrong with it.
    pub fn is_told(&mut self, partition: u32, stamp_ms: i64, id: (u32, i64, u32), told: Telling) -> Result<(), String> {
        if !self.is_new(partition, stamp_ms, id) {
            return Ok(());
        }
        let sent = self.telling.get_mut(&(id.0, id.1)).ok_or(format!("{told:?} {id:?} that nothing caused"))?;
        let at = sent.iter().position(|sent| *sent == told).ok_or(format!("{told:?} {id:?}, but {sent:?} was sent"))?;
        sent.remove(at);
        let device = told.visitor.clone();
        let named = self.is_named(&device, stamp_ms).map(|is_named| (device.as_str(), is_named));
        let Some(visitor) = self.visitors.get_mut(&format!("visitor:{}", told.visitor)) else { return Ok(()) };
        let open = visitor.stays.last().filter(|stay| stay.to_ms.is_none());
        let is_overtaken =
            visitor.told.as_ref().is_some_and(|before| before.user == told.user && before.at_ms > told.at_ms);
        if open.is_some_and(|open| open.user == told.user) && !is_overtaken {
            visitor.told = Some(told);
        }
        self.names_anew(named, stamp_ms);
        Ok(())
    }

    /// An act arrives at its user's home: their word holds for it, and one on consent for all of their devices.
    fn take_home(&mut self, partition: u32, offset: i64, user: &str, stamp_ms: i64, (act, left): (&Act, bool)) -> Fate {
        let house = self.houses.entry(user.to_string()).or_default();
        let (mut act, mut tells) = (act.clone(), Vec::new());
        match &act.visitor {
            Some(visitor) if act.name == "logout" => house.parts(visitor),
            Some(visitor) if !left => house.joins(user, visitor, &mut tells),
            _ => {}
        }
        if act.name == "consent" {
            let (holds, is_word) =
                house.says(user, act.visitor.as_deref(), act.time_ms, (act.consent, act.unsaid), &mut tells);
            act.consent = holds;
            if !may_be_shown(holds) {
                self.withdrew.insert(format!("user:{user}"));
            }
            if let Some(person) = self.people.get_mut(&format!("user:{user}")).filter(|_| is_word) {
                person.narrow(holds, &mut self.retracted);
            }
        } else {
            act.consent = house.leaves(act.consent);
        }
        self.tells((partition, offset), tells);
        if act.is_refusal() {
            let leaves = act.visitor.filter(|_| act.name == "logout");
            if let (Some(visitor), Some(person)) = (leaves, self.people.get_mut(&format!("user:{user}"))) {
                person.parts(&visitor, i64::MAX, &mut self.retracted);
            }
            return Fate::Refused;
        }
        self.take((partition, offset), &format!("user:{user}"), Some(user), stamp_ms, (&act, left))
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
        let acts = self.flights.iter().filter(|(_, flight)| flight.act.is_some()).map(|(place, _)| *place);
        acts.chain(self.unmerged.in_flight()).collect()
    }

    fn take(
        &mut self,
        place: (u32, i64),
        who: &str,
        user: Option<&str>,
        stamp_ms: i64,
        (act, left): (&Act, bool),
    ) -> Fate {
        let partition = place.0;
        self.order += 1;
        let taken = Taken { time_ms: act.time_ms.min(stamp_ms), order: self.order, act: Rc::new(act.clone()) };
        self.took.push(Took { place, stamp_ms, time_ms: taken.time_ms, act: Rc::clone(&taken.act) });
        let order = self.order;
        let person = self.people.entry(who.to_string()).or_default();
        person.home = partition;
        let at = household::devices_of(&self.houses, who);
        let mut follows = Follows { is_mute: self.unmerged.is_away(who), at, ..Follows::default() };
        let in_time = person.take(user, (taken, left), stamp_ms, &self.rules, &mut follows);
        self.asked.extend(follows.asked);
        self.capped.extend(follows.capped);
        self.retracted.extend(follows.retracted);
        self.reacted.extend(follows.reacted);
        self.milestones.extend(follows.milestones);
        if !in_time {
            return Fate::TooLate;
        }
        let visit = person.visits.iter().find(|visit| {
            !matches!(visit.stand, Stand::Into(_)) && visit.taken.iter().any(|taken| taken.order == order)
        });
        visit.map_or(Fate::TooLate, |visit| Fate::In(visit.id))
    }
}
