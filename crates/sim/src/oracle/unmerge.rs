//! A visitor who was taken for somebody else: what must come of undoing that, told plainly.

use super::identity::{self, Stay};
use super::{Act, Flight, Oracle, Person, Visit};
use crate::probe;
use std::collections::BTreeMap;

/// What is remembered of unmerges, over all partitions.
#[derive(Debug, Default)]
pub(super) struct Unmerged {
    /// Whom a visitor was not, up to when. Epoch ms.
    undone: BTreeMap<(String, String), i64>,
    /// Answers that a visitor waits for.
    away: BTreeMap<String, usize>,
    /// Questions on their way to the user's home, by the place of the unmerge.
    asked: BTreeMap<(u32, i64), (String, String)>,
    /// Answers on their way back, by the place of the question.
    answered: BTreeMap<(u32, i64), (String, String, Person)>,
    /// What goes on to those who had been there and have left, by the place of the answer, and who.
    shares: BTreeMap<((u32, i64), String), Share>,
}

/// What was somebody's who has left since.
#[derive(Debug)]
struct Share {
    person: Person,
    /// All of it is so old that it may be forgotten where it was: then nothing comes.
    is_old: bool,
}

impl Unmerged {
    /// Places whose question or answer has not arrived.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = (u32, i64)> {
        let shares = self.shares.iter().filter(|(_, share)| !share.is_old).map(|((place, _), _)| place);
        self.asked.keys().chain(self.answered.keys()).chain(shares).copied()
    }

    /// Not all that is known of them is there.
    pub(super) fn is_away(&self, who: &str) -> bool {
        who.strip_prefix("visitor:").is_some_and(|visitor| self.away.contains_key(visitor))
    }

    /// It turned out that the visitor was not the user then whom the act names.
    pub(super) fn is_undone(&self, act: &Act, forgotten_ms: i64) -> bool {
        let until_ms = act.visitor.clone().zip(act.user.clone()).and_then(|both| self.undone.get(&both));
        until_ms.is_some_and(|until_ms| act.time_ms <= *until_ms && *until_ms > forgotten_ms)
    }
}

impl Oracle {
    /// An unmerge is read in the visitor's partition.
    pub fn unmerge(&mut self, (partition, offset): (u32, i64), stamp_ms: i64, visitor: &str, user: &str) {
        self.passes(partition, stamp_ms);
        if let Some(state) = self.visitors.get_mut(&format!("visitor:{visitor}")) {
            let forgotten_ms = stamp_ms - self.rules.horizon_ms;
            identity::forget(&mut state.stays, forgotten_ms);
            identity::without(&mut state.stays, user);
            state.told.take_if(|told| told.user == user);
            if let Some(said) = &mut state.said {
                said.by.take_if(|by| by == user);
            }
        }
        let both = (visitor.to_string(), user.to_string());
        self.unmerged.undone.insert(both.clone(), stamp_ms);
        *self.unmerged.away.entry(both.0.clone()).or_default() += 1;
        self.unmerged.asked.insert((partition, offset), both);
        self.tells_identity(visitor, stamp_ms);
    }

    /// Whether it turned out that the visitor was not whom they were taken for.
    pub fn was_unmerged(&self, visitor: &str) -> bool {
        self.unmerged.undone.keys().any(|(unmerged, _)| unmerged == visitor)
    }

    /// The question is read at the user's home. An error says what is wrong with it.
    pub fn recall(
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
        let asked = self.unmerged.asked.remove(&(id.0, id.1)).ok_or(format!("a recall {id:?} that nothing caused"))?;
        if asked != (visitor.to_string(), user.to_string()) {
            return Err(format!("the recall {id:?} is of {visitor} from {user} instead of {asked:?}"));
        }
        if let Some(house) = self.houses.get_mut(user) {
            let mut tells = Vec::new();
            if let Some(consent) = house.disowns(user, visitor, &mut tells)
                && let Some(person) = self.people.get_mut(&format!("user:{user}"))
            {
                person.narrow(consent, &mut self.retracted);
            }
            self.tells((partition, offset), tells);
        }
        let person = self.people.get_mut(&format!("user:{user}"));
        let left = person.map(|person| person.split_off(visitor, stamp_ms)).unwrap_or_default();
        self.unmerged.answered.insert((partition, offset), (asked.0, asked.1, left));
        Ok(())
    }

    /// The answer is read in the visitor's partition. An error says what is wrong with it.
    pub fn returned(
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
        let answer = self.unmerged.answered.remove(&(id.0, id.1));
        let (from, was, mut left) = answer.ok_or(format!("a return {id:?} that nothing caused"))?;
        if (from.as_str(), was.as_str()) != (visitor, user) {
            return Err(format!("the return {id:?} is of {visitor} from {user} instead of {from} from {was}"));
        }
        if let Some(returns) = self.unmerged.away.get_mut(visitor) {
            *returns -= 1;
        }
        self.unmerged.away.retain(|_, returns| *returns > 0);
        let key = format!("visitor:{visitor}");
        for (heir, mut share) in self.shares_of(visitor, stamp_ms, &mut left) {
            share.becomes(user, Some(&heir));
            let newest_ms = share.newest_ms().max(share.caps.iter().map(|cap| cap.at_ms).max());
            let is_old = newest_ms.is_none_or(|newest_ms| newest_ms <= stamp_ms - self.rules.horizon_ms);
            self.unmerged.shares.insert(((partition, offset), heir), Share { person: share, is_old });
        }
        left.becomes(user, None);
        if !left.is_blank() {
            let person = self.people.entry(key.clone()).or_default();
            person.home = partition;
            person.move_in(left, &mut self.order, &self.rules);
        }
        // On to whom they are taken for now. Where decisions are not followed, nobody here knows which caps count: then it may
        // be nothing but those, though nothing is known of the visitor.
        if let Some(user) = self.user_of(visitor).map(ToString::to_string) {
            let forgotten_ms = stamp_ms - self.rules.horizon_ms;
            let stays = self.visitors.get(&key).map_or_else(Vec::new, |state| state.stays.clone());
            let holds = |time_ms: i64| stay_at(&stays, time_ms, forgotten_ms).is_some_and(|stay| stay.user == user);
            let moved = self.part_of(&key, &user, stamp_ms, holds).unwrap_or_default();
            self.flights.insert((partition, offset), Flight { user, act: None, left: false, moved: Some(moved) });
        }
        Ok(())
    }
}

impl Oracle {
    /// What of this was done while somebody was there who has left since: visits by their end, the rest by its time.
    fn shares_of(&self, visitor: &str, stamp_ms: i64, left: &mut Person) -> BTreeMap<String, Person> {
        let Some(state) = self.visitors.get(&format!("visitor:{visitor}")) else { return BTreeMap::new() };
        let (here, forgotten_ms) = (self.user_of(visitor), stamp_ms - self.rules.horizon_ms);
        let whose = |time_ms: i64| {
            let stay = stay_at(&state.stays, time_ms, forgotten_ms)?;
            (Some(stay.user.as_str()) != here).then(|| stay.user.clone())
        };
        split(left, self.rules.unreadable_ms(stamp_ms), whose)
    }

    /// What of a visitor's was done within a user's stays, taken out of it; none where nobody knows the visitor.
    pub(super) fn part_of(
        &mut self,
        key: &str,
        user: &str,
        stamp_ms: i64,
        holds: impl Fn(i64) -> bool,
    ) -> Option<Person> {
        let mut person = self.people.remove(key)?;
        let forgotten_ms = self.rules.unreadable_ms(stamp_ms);
        let part = split(&mut person, forgotten_ms, |time_ms| holds(time_ms).then(|| user.to_string())).remove(user);
        if !person.is_blank() {
            self.people.insert(key.to_string(), person);
        }
        Some(part.unwrap_or_default())
    }

    /// Whether there is a share of this user on its way.
    pub fn has_share(&self, id: (u32, i64, u32), user: &str) -> bool {
        self.unmerged.shares.contains_key(&((id.0, id.1), user.to_string()))
    }

    /// Somebody's share is read at their home: they are not at the device any more. An error says what is wrong with it.
    pub fn inherits(
        &mut self,
        partition: u32,
        stamp_ms: i64,
        id: (u32, i64, u32),
        user: &str,
        visitor: &str,
    ) -> Result<(), String> {
        if !self.is_new(partition, stamp_ms, id) {
            return Ok(());
        }
        let share = self.unmerged.shares.remove(&((id.0, id.1), user.to_string()));
        let share = share.ok_or(format!("a share {id:?} of {user} that nothing caused"))?;
        self.comes_home(partition, user, share.person);
        self.leaves(user, visitor);
        Ok(())
    }
}

/// The last stay that an instant lies in, of those that are known.
fn stay_at(stays: &[Stay], time_ms: i64, forgotten_ms: i64) -> Option<&Stay> {
    let holds = |stay: &&Stay| stay.from_ms <= time_ms && stay.to_ms.is_none_or(|to_ms| time_ms <= to_ms);
    stays.iter().rev().filter(|stay| stay.is_known(forgotten_ms)).find(holds)
}

/// Takes apart what was done, by whose it was: visits by their end, the rest by its time.
fn split(left: &mut Person, forgotten_ms: i64, whose: impl Fn(i64) -> Option<String>) -> BTreeMap<String, Person> {
    let mut shares: BTreeMap<String, Person> = BTreeMap::new();
    let blank = Person { heard_ms: left.heard_ms, told: left.told.clone(), ..Person::default() };
    let (mut kept, mut loose) = (Vec::new(), Vec::new());
    let visits: Vec<_> = left.visits.iter().map(|visit| (visit.id, visit.span_ms().1)).collect();
    for visit in std::mem::take(&mut left.visits) {
        let is_of_one = visit.taken.iter().all(|taken| whose(taken.time_ms) == whose(visit.span_ms().1));
        if visit.span_ms().1 <= forgotten_ms && !is_of_one {
            // What it was of is all that may be known of it.
            left.loose.extend(visit.taken);
            continue;
        }
        match whose(visit.span_ms().1) {
            Some(heir) => shares.entry(heir).or_insert_with(|| blank.clone()).visits.push(visit),
            None => kept.push(visit),
        }
    }
    for taken in std::mem::take(&mut left.loose) {
        match whose(taken.time_ms) {
            Some(heir) => shares.entry(heir).or_insert_with(|| blank.clone()).loose.push(taken),
            None => loose.push(taken),
        }
    }
    let mut caps = Vec::new();
    for cap in std::mem::take(&mut left.caps) {
        // It goes with its visit, so that it is decided once; that may be forgotten.
        let visit = visits.iter().find(|(id, end_ms)| *id == cap.visit && *end_ms > forgotten_ms);
        let Some(heir) = whose(visit.map_or(cap.at_ms, |(_, end_ms)| *end_ms)) else {
            caps.push(cap);
            continue;
        };
        let share = shares.entry(heir).or_insert_with(|| blank.clone());
        share.shown.extend(left.shown.extract_if(.., |shown| shown.decision == cap.decision));
        share.caps.push(cap);
    }
    (left.visits, left.loose, left.caps) = (kept, loose, caps);
    shares
}

impl Person {
    /// The last that is known of what they did. Epoch ms.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        let visits = self.visits.iter().map(|visit| visit.span_ms().1);
        visits.chain(self.loose.iter().map(|taken| taken.time_ms)).max()
    }

    fn is_blank(&self) -> bool {
        self.visits.is_empty() && self.loose.is_empty() && self.caps.is_empty()
    }

    /// All that came from this device leaves. What counts for the caps counts for both.
    fn split_off(&mut self, device: &str, now_ms: i64) -> Self {
        let is_from = |visit: &mut Visit| visit.device.as_deref() == Some(device);
        let visits: Vec<Visit> = self.visits.extract_if(.., is_from).collect();
        let is_theirs = |id: u128| visits.iter().any(|visit| visit.id == id);
        let loose = self.loose.extract_if(.., |taken| taken.act.visitor.as_deref() == Some(device)).collect();
        let shown = self.shown.extract_if(.., |shown| is_theirs(shown.visit)).collect();
        let caps = self.caps.iter().filter(|cap| cap.device.as_deref() == Some(device)).cloned().collect();
        self.caps.retain(|cap| cap.counts || cap.device.as_deref() != Some(device));
        let mut left = Self { visits, loose, shown, caps, ..Self::default() };
        if !left.visits.is_empty() {
            let heard_ms = self.visits.iter().filter_map(|visit| visit.heard_ms).max();
            if heard_ms < self.heard_ms {
                self.heard_ms = heard_ms;
                self.pass_over(now_ms);
            }
        }
        left.heard_ms = left.visits.iter().filter_map(|visit| visit.heard_ms).max();
        left.pass_over(now_ms);
        left
    }

    /// Silences that are over by now are not told any more.
    fn pass_over(&mut self, now_ms: i64) {
        let Some(heard_ms) = self.heard_ms else { return };
        self.told.extend(probe::SILENCES_MS.iter().filter(|silence_ms| heard_ms + **silence_ms <= now_ms));
    }

    /// What was taken for this user's is somebody else's, or nobody's.
    fn becomes(&mut self, user: &str, heir: Option<&str>) {
        for visit in &mut self.visits {
            if visit.user.as_deref() == Some(user) {
                visit.user = heir.map(ToString::to_string);
            }
        }
    }
}
