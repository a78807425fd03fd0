//! Undoing a wrong merge: what came of a visitor who was taken for somebody else leaves that user's home and returns.
//!
//! The record stands in the visitor's partition. It ends the attachment, and asks the user's home for all that has come
//! from this device; that answers with one hand-off back. Who was at the device before or after has what is theirs of it, at
//! their home. Each step is applied once, by its id. Until the answer is there
//! no rule asks about the visitor: whatever would be decided now would be decided without what is on its way.

use crate::Defect;
use crate::household::mark_of;
use crate::identity::Leaving;
use crate::shopper::{Attachment, Loose, Shopper, forget, is_displaced};
use crate::stream::Stream;
use midsession_event::{
    CapEntry, CarriedFact, CarriedSession, DecisionId, Event, Evidence, Handoff, OutputId, Recall, ShopperId, Unmerge,
    UserId, VisitorId,
};
use midsession_machine::partial::{Life, pack, unpack};
use midsession_machine::{Effect, Fact, Session};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a partition remembers of unmerges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unmerged {
    /// How many hand-offs are on their way back, by visitor.
    away: BTreeMap<VisitorId, u32>,
    /// Whom a visitor was not, up to an event time. Epoch ms.
    undone: BTreeMap<(VisitorId, UserId), i64>,
}

/// A visitor whose state is on its way back, as it stands in a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Away {
    visitor: VisitorId,
    returns: u32,
}

/// A merge that was undone, as it stands in a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undone {
    visitor: VisitorId,
    user: UserId,
    until_ms: i64,
}

impl Unmerged {
    pub(crate) fn all(&self) -> (Vec<Away>, Vec<Undone>) {
        let away = self.away.iter().map(|(visitor, returns)| Away { visitor: visitor.clone(), returns: *returns });
        let undone = self.undone.iter().map(|((visitor, user), until_ms)| Undone {
            visitor: visitor.clone(),
            user: user.clone(),
            until_ms: *until_ms,
        });
        (away.collect(), undone.collect())
    }

    pub(crate) fn restored(away: Vec<Away>, undone: Vec<Undone>) -> Self {
        Self {
            away: away.into_iter().map(|away| (away.visitor, away.returns)).collect(),
            undone: undone.into_iter().map(|undone| ((undone.visitor, undone.user), undone.until_ms)).collect(),
        }
    }

    /// Whether what is known of this shopper is not all here.
    pub(crate) fn is_away(&self, shopper: &ShopperId) -> bool {
        match shopper {
            ShopperId::Visitor(visitor) => !self.away.is_empty() && self.away.contains_key(visitor),
            ShopperId::User(_) => false,
        }
    }

    /// No merge was undone lately: the usual case.
    pub(crate) fn is_empty(&self) -> bool {
        self.undone.is_empty()
    }
}

impl Stream {
    /// Whether a visitor whose events enter here has been this user, as far as that is remembered.
    pub fn has_been(&self, visitor: &ShopperId, user: &UserId) -> bool {
        let state = self.visitors.find(visitor).and_then(|index| self.visitors.get(index as usize));
        state.is_some_and(|(_, state)| state.attachments.iter().any(|attachment| attachment.user == *user))
    }

    /// Whether an event names a user that its visitor turned out not to be then.
    pub(crate) fn is_undone(&self, event: &Event) -> bool {
        let (Some(visitor), Some(user)) = (&event.visitor_id, &event.user_id) else { return false };
        let until_ms = self.unmerged.undone.get(&(visitor.clone(), user.clone()));
        // As far back as duplicates are known.
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        until_ms.is_some_and(|until_ms| event.occurred_at_ms <= *until_ms && *until_ms > oldest_ms)
    }

    /// A visitor was taken for this user and is not.
    pub(crate) fn on_unmerge(&mut self, unmerge: Unmerge, out: &mut Vec<Effect>) {
        let Unmerge { visitor_id, user_id, reason, asked_at_ms, gives_on } = unmerge;
        self.counters.unmerged += 1;
        let known = self.visitors.find(&ShopperId::Visitor(visitor_id.clone()));
        if let Some(index) = known {
            self.keep_visitor(index);
        }
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        if let Some((_, state)) = known.and_then(|index| self.visitors[index as usize].as_mut()) {
            // Sweeping may or may not have forgotten what is older.
            forget(&mut state.attachments, |stay| stay.to_ms.is_none_or(|to_ms| to_ms > oldest_ms));
            match gives_on && !self.config.has(Defect::NeighboursForgotten) {
                true => state.attachments = without(std::mem::take(&mut state.attachments), &user_id),
                false => state.attachments.retain(|stay| stay.user != user_id),
            }
            state.heard.take_if(|heard| heard.user == user_id);
            // What was said on the device was said by whoever has it.
            if let Some(said) = state.consent.as_mut().filter(|said| said.by == mark_of(&user_id)) {
                said.by = 0;
            }
        }
        self.unmerged.undone.retain(|_, until_ms| *until_ms > oldest_ms);
        self.unmerged.undone.insert((visitor_id.clone(), user_id.clone()), self.now_ms);
        *self.unmerged.away.entry(visitor_id.clone()).or_default() += 1;
        out.push(self.identity_of(&visitor_id));
        let id = self.output_id();
        let mut evidence = Evidence::new("unmerged", self.now_ms);
        evidence.visitor_id = Some(visitor_id.clone());
        evidence.user_id = Some(user_id.clone());
        evidence.said_at_ms = asked_at_ms;
        evidence.detail = reason;
        evidence.cause = Some(OutputId { ordinal: 0, ..id });
        out.push(Effect::Evidence(Box::new(evidence)));
        out.push(Effect::Recall(Box::new(Recall { id, visitor_id, user_id })));
    }

    /// At the user's home: gives back what came from this device.
    pub(crate) fn on_recall(&mut self, recall: Recall, out: &mut Vec<Effect>) {
        let Recall { visitor_id, user_id, .. } = recall;
        self.disowns(&user_id, &visitor_id, out);
        let user = ShopperId::User(user_id.clone());
        let index = self.shoppers.find(&user);
        let mut leaving = Shopper::new(user.clone());
        if let Some(index) = index {
            self.wake(index);
            let leaves_facts = self.config.has(Defect::FactLeftBehind);
            if let Some(shopper) = self.shoppers[index as usize].as_mut() {
                leaving = shopper.split_off(&visitor_id, leaves_facts);
                leaving.pass_over_silences(self.now_ms, &self.idle_thresholds);
                shopper.heard_without(&leaving, self.now_ms, &self.idle_thresholds);
            }
            for session in &leaving.sessions {
                self.forget_session(session);
            }
            self.arm(index);
        }
        let lives = self.partials.lifetimes.take(&user, |life| life.visitor.as_ref() == Some(&visitor_id));
        let how = Leaving { visitor_id, user_id, returns: true, heard: (leaving.last_stamp_ms, leaving.idle_fired_ms) };
        let handoff = Handoff { left: true, ..self.pack(leaving, lives, how) };
        out.push(Effect::Handoff(Box::new(handoff)));
    }

    /// At the visitor's partition: what was given back is there.
    pub(crate) fn on_return(&mut self, mut handoff: Handoff, out: &mut Vec<Effect>) {
        let visitor_id = handoff.visitor_id.clone();
        let visitor = ShopperId::Visitor(visitor_id.clone());
        if let Some(returns) = self.unmerged.away.get_mut(&visitor_id) {
            *returns -= 1;
            if *returns == 0 {
                self.unmerged.away.remove(&visitor_id);
            }
        }
        let state = self.visitors.find(&visitor).and_then(|index| self.visitors.get(index as usize));
        let gives_on = handoff.left;
        let stays: Vec<Attachment> = state.map_or_else(Vec::new, |(_, state)| state.attachments.clone());
        let logouts = state.map_or_else(Default::default, |(_, state)| state.logouts.clone());
        let here = stays.last().filter(|last| last.to_ms.is_none()).map(|last| last.user.clone());
        // What was done within the stay of somebody who has left since is theirs.
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        let is_known = |stay: &Attachment| stay.to_ms.is_none_or(|to_ms| to_ms > oldest_ms);
        let stay_at = |time_ms: i64| stays.iter().rfind(|stay| stay.holds(time_ms) && is_known(stay));
        let is_here = |stay: &&Attachment| here.as_ref() == Some(&stay.user);
        let whose = |time_ms| stay_at(time_ms).filter(|stay| gives_on && !is_here(stay)).map(|stay| stay.user.clone());
        for mut share in shares(&mut handoff, self.config.unreadable_ms(self.now_ms), whose) {
            share.id = self.output_id();
            out.push(Effect::Handoff(Box::new(share)));
        }
        let mut lives = handoff.lifetimes.take().map_or_else(Vec::new, |lives| unpack(&lives));
        for life in lives.iter_mut().filter(|life| life.left_ms > Some(i64::MIN) && stay_at(life.ended_ms()).is_none())
        {
            // Whoever was there instead, and is not known, left by the next logout; that is known for a day.
            let (ended_ms, was_ms) = (life.ended_ms(), life.left_ms.filter(|left_ms| *left_ms <= oldest_ms));
            let later = logouts.iter().copied().filter(|left_ms| *left_ms >= ended_ms.max(oldest_ms.saturating_add(1)));
            life.left_ms = was_ms.or(later.min());
        }
        handoff.lifetimes = pack(lives);
        if handoff.has_something() {
            self.move_in(&visitor, handoff, out);
        }
        // Whoever is signed in there has it at their home, which hears of the device with it, though nothing were left.
        if let Some(user_id) = here.clone() {
            let within = |time_ms| stay_at(time_ms).is_some_and(|stay| is_here(&stay));
            let handed = match gives_on {
                true => self.hand_over_part(&visitor, user_id.clone(), None, &visitor_id, &within),
                false => self.hand_over(&visitor, user_id.clone(), None, &visitor_id),
            };
            let handed = handed.or_else(|| {
                let how = Leaving { visitor_id, user_id, returns: false, heard: (i64::MIN, 0) };
                gives_on.then(|| self.pack(Shopper::new(visitor), Vec::new(), how))
            });
            out.extend(handed.map(|handoff| Effect::Handoff(Box::new(handoff))));
        }
    }
}

/// The stays on a device had this user never been there: whoever they displaced goes on until somebody else comes or a logout;
/// where nobody was, whoever came next has all that was done since.
fn without(mut stays: Vec<Attachment>, user: &UserId) -> Vec<Attachment> {
    for at in 0..stays.len() {
        stays[at].displaced = Some(is_displaced(&stays, at));
    }
    let mut left: Vec<Attachment> = Vec::with_capacity(stays.len());
    let mut nobodys_from_ms = None;
    for mut stay in stays {
        let before = left.last_mut().filter(|before| before.displaced == Some(true));
        if let Some(before) = before.filter(|before| stay.user == *user || stay.user == before.user) {
            (before.to_ms, before.displaced) = (stay.to_ms, stay.displaced);
        } else if stay.user == *user {
            // After a logout it is whose the device was next as it is.
            let from_ms = *nobodys_from_ms.get_or_insert(stay.from_ms);
            nobodys_from_ms = (stay.displaced == Some(true)).then_some(from_ms);
        } else {
            stay.from_ms = nobodys_from_ms.take().unwrap_or(stay.from_ms);
            left.push(stay);
        }
    }
    left
}

/// Takes out of what is given back what others did, by when they did it: a session goes as a whole, by when it ended.
fn shares(given: &mut Handoff, forgotten_ms: i64, whose: impl Fn(i64) -> Option<UserId>) -> Vec<Handoff> {
    let heirs: Vec<Option<UserId>> = given.sessions.iter().map(|session| whose(session.update.ended_at_ms)).collect();
    let heir = |fact: &CarriedFact| match usize::try_from(fact.session).ok().and_then(|at| heirs.get(at)) {
        Some(heir) => heir.clone(),
        None => whose(fact.time_ms),
    };
    // What was decided goes with its session, so that it is decided once; where that is forgotten, by when it was.
    let ends: Vec<_> = given.sessions.iter().map(|it| (it.update.session_id, it.update.ended_at_ms)).collect();
    let cap_time_ms = |cap: &CapEntry| {
        let of = ends.iter().find(|(id, ended_at_ms)| *id == cap.session_id && *ended_at_ms > forgotten_ms);
        of.map_or(cap.at_ms, |(_, ended_at_ms)| *ended_at_ms)
    };
    let shown_to = given.caps.iter().map(|cap| whose(cap_time_ms(cap)));
    let mut lives: BTreeMap<Option<UserId>, Vec<Life>> = BTreeMap::new();
    for life in given.lifetimes.take().map_or_else(Vec::new, |lives| unpack(&lives)) {
        lives.entry(whose(life.ended_ms())).or_default().push(life);
    }
    let done_by = heirs.iter().cloned().chain(given.facts.iter().map(heir));
    let users: BTreeSet<UserId> = done_by.chain(shown_to).chain(lives.keys().cloned()).flatten().collect();
    given.lifetimes = pack(lives.remove(&None).unwrap_or_default());
    // Where a session stands among those that go where it goes.
    let place = |at: usize| heirs[..at].iter().filter(|heir| **heir == heirs[at]).count() as i32;
    let places: Vec<i32> = (0..heirs.len()).map(place).collect();
    let mut facts: BTreeMap<Option<UserId>, Vec<CarriedFact>> = BTreeMap::new();
    for mut fact in std::mem::take(&mut given.facts) {
        let heir = heir(&fact);
        fact.session = usize::try_from(fact.session).ok().and_then(|at| places.get(at)).copied().unwrap_or(-1);
        facts.entry(heir).or_default().push(fact);
    }
    given.facts = facts.remove(&None).unwrap_or_default();
    let mut sessions: BTreeMap<Option<UserId>, Vec<CarriedSession>> = BTreeMap::new();
    for (mut session, heir) in std::mem::take(&mut given.sessions).into_iter().zip(heirs) {
        if heir.is_some() && session.update.user_id.as_ref() == Some(&given.user_id) {
            session.update.user_id.clone_from(&heir);
        }
        sessions.entry(heir).or_default().push(session);
    }
    given.sessions = sessions.remove(&None).unwrap_or_default();
    let share = |user: UserId| {
        let key = Some(user.clone());
        let caps: Vec<CapEntry> = given.caps.extract_if(.., |cap| whose(cap_time_ms(cap)) == key).collect();
        let is_theirs = |id: DecisionId| caps.iter().any(|cap| cap.decision_id == id);
        Handoff {
            id: given.id,
            visitor_id: given.visitor_id.clone(),
            user_id: user,
            facts: facts.remove(&key).unwrap_or_default(),
            pending: given.pending.extract_if(.., |ask| is_theirs(ask.decision_id)).collect(),
            shown: given.shown.extract_if(.., |shown| is_theirs(shown.decision_id)).collect(),
            lifetimes: pack(lives.remove(&key).unwrap_or_default()),
            returns: false,
            left: true,
            sessions: sessions.remove(&key).unwrap_or_default(),
            caps,
        }
    };
    users.into_iter().map(share).collect()
}

impl Shopper {
    /// The number that facts of this device carry outside of its sessions: they remember whose they are.
    pub(crate) fn loose_number(&mut self, visitor: Option<&VisitorId>) -> u32 {
        let (ShopperId::User(_), Some(visitor)) = (&self.id, visitor) else { return 0 };
        if let Some(known) = self.loose.iter().find(|loose| loose.visitor == *visitor) {
            return known.number;
        }
        self.last_session += 1;
        let loose = Loose { visitor: visitor.clone(), number: self.last_session };
        self.loose = std::mem::take(&mut self.loose).into_iter().chain([loose]).collect();
        self.last_session
    }

    /// The device that a fact came from, where that is known: none for a user without one.
    pub(crate) fn device_of(&self, fact: &Fact) -> Option<Option<&VisitorId>> {
        let session = self.sessions.iter().find(|session| session.number == fact.session);
        let loose = || self.loose.iter().find(|loose| loose.number == fact.session);
        session.map(|session| session.visitor.as_ref()).or_else(|| loose().map(|loose| Some(&loose.visitor)))
    }

    /// A session is forgotten; its facts are not.
    pub(crate) fn loosen(&mut self, session: &Session) {
        if self.facts.all().iter().any(|fact| fact.session == session.number) {
            let number = self.loose_number(session.visitor.as_ref());
            if number > 0 {
                self.facts.relabel(session.number, number);
            }
        }
    }

    /// Forgets numbers that no fact carries any more.
    pub(crate) fn tidy_loose(&mut self) {
        let facts = &self.facts;
        let is_used = |loose: &Loose| facts.all().iter().any(|fact| fact.session == loose.number);
        if !self.loose.iter().all(is_used) {
            self.loose = std::mem::take(&mut self.loose).into_iter().filter(is_used).collect();
        }
    }

    /// Takes out all that came from this device. What was shown there goes along and stays counted.
    fn split_off(&mut self, visitor: &VisitorId, leaves_facts: bool) -> Self {
        let mut leaving = Self::new(self.id.clone());
        let is_theirs = |session: &mut Session| session.visitor.as_ref() == Some(visitor);
        leaving.sessions = self.sessions.extract_if(.., is_theirs).collect();
        let mut numbers: Vec<u32> = leaving.sessions.iter().map(|session| session.number).collect();
        let loose = self.loose.iter().filter(|loose| loose.visitor == *visitor && !leaves_facts);
        numbers.extend(loose.map(|loose| loose.number));
        leaving.facts = self.facts.take(|fact| numbers.contains(&fact.session));
        self.tidy_loose();
        let is_from = |cap: &CapEntry| cap.visitor_id.as_ref() == Some(visitor);
        leaving.caps = self.caps.iter().filter(|cap| is_from(cap)).cloned().collect();
        // By the device: their sessions may be forgotten already.
        leaving.pending = self.pending.extract_if(.., |ask| ask.visitor_id.as_ref() == Some(visitor)).collect();
        let was_there = |id| leaving.caps.iter().any(|cap| cap.decision_id == id);
        leaving.shown = self.shown.extract_if(.., |shown| was_there(shown.decision_id)).collect();
        self.caps.retain(|cap| cap.counts || !is_from(cap));
        leaving.last_stamp_ms = last_heard_ms(&leaving.sessions);
        leaving
    }

    /// They were heard last on another device than the one that has left.
    fn heard_without(&mut self, left: &Self, now_ms: i64, idle_thresholds_ms: &[i64]) {
        if left.sessions.is_empty() {
            return;
        }
        let last_stamp_ms = last_heard_ms(&self.sessions);
        if last_stamp_ms < self.last_stamp_ms {
            self.last_stamp_ms = last_stamp_ms;
            self.pass_over_silences(now_ms, idle_thresholds_ms);
        }
    }
}

fn last_heard_ms(sessions: &[Session]) -> i64 {
    sessions.iter().map(|session| session.last_stamp_ms).max().unwrap_or(i64::MIN)
}
