//! Stays on a device: whose an event is, what a login or logout begins and ends, however late it comes.

use crate::Defect;
use crate::apply::is_reaction;
use crate::identity::Leaving;
use crate::shopper::{Attachment, STAYS_MAX, Shopper, floor_ms};
use crate::stream::{Seam, Stream};
use midsession_event::{CapEntry, Event, EventName, Forward, Handoff, ShopperId, UserId, VisitorId};
use midsession_machine::partial::Life;
use midsession_machine::{Effect, Session};

/// The home that an event goes to.
pub(crate) struct Home {
    /// Whose.
    pub(crate) user: UserId,
    /// They have left the device since.
    pub(crate) left: bool,
}

impl Stream {
    /// Where this event belongs, if it does not stay with the visitor here. At a login the visitor's state is handed over
    /// first.
    pub(crate) fn home_of(
        &mut self,
        visitor: u32,
        key: &ShopperId,
        event: &Event,
        out: &mut Vec<Effect>,
    ) -> Option<Home> {
        // Without a visitor the user's own partition is where the event entered: it is home already.
        let ShopperId::Visitor(visitor_id) = key else { return None };
        let time_ms = event.occurred_at_ms.min(self.now_ms);
        let attachments = &mut self.visitors[visitor as usize].as_mut()?.1.attachments;
        // As far back as duplicates are known; sweeping may or may not have forgotten what is older.
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        let is_known = |attachment: &Attachment| attachment.to_ms.is_none_or(|to_ms| to_ms > oldest_ms);
        let holding = attachments.iter().rposition(|attachment| attachment.holds(time_ms) && is_known(attachment));
        let Some(user) = &event.user_id else {
            let position = holding?;
            let Attachment { user, to_ms, .. } = attachments[position].clone();
            if event.name == EventName::Logout {
                self.ends_stay(visitor, visitor_id, position, time_ms, out);
            }
            return Some(Home { user, left: to_ms.is_some() });
        };
        let home = |left: bool| Some(Home { user: user.clone(), left });
        if event.name == EventName::Logout {
            // A late logout ends the stay that it belongs to, not the one that came after; one of no known stay, this one.
            let is_theirs = |at: &usize| attachments[*at].user == *user;
            let last = attachments.len().checked_sub(1).filter(|last| attachments[*last].to_ms.is_none());
            if let Some(position) = holding.filter(is_theirs).or(last.filter(is_theirs)) {
                let left = attachments[position].to_ms.is_some();
                self.ends_stay(visitor, visitor_id, position, time_ms, out);
                return home(left);
            }
            let was_here = attachments.iter().any(|stay| stay.user == *user && is_known(stay));
            let is_over = attachments.last().is_some_and(|last| last.to_ms > Some(time_ms)) || time_ms <= oldest_ms;
            match last.map(|last| &mut attachments[last]) {
                // Of before who is there came.
                Some(open) if time_ms <= open.since_ms.unwrap_or(open.from_ms).max(oldest_ms) => return home(true),
                // They say once more that they have left: whoever seems to be there is not.
                Some(open) if was_here => {
                    open.ends(time_ms);
                    let left = open.user.clone();
                    self.tell_parting(left, event, out);
                    out.push(self.identity_of(visitor_id));
                    return home(true);
                }
                None if was_here || is_over => {
                    if !is_over {
                        self.ends_visit(key, visitor_id, time_ms, out);
                    }
                    return home(true);
                }
                // It was they who were there: it goes on as a login that is over at once.
                _ => {}
            }
        }
        // Whoever logs in in the millisecond of their logout is back.
        let at_once = i64::from(event.name != EventName::Login);
        let has_left = time_ms <= oldest_ms
            || attachments.iter().any(|a| a.user == *user && a.to_ms.is_some_and(|to_ms| time_ms < to_ms + at_once));
        let was_there_after = attachments.last().is_some_and(|last| last.to_ms > Some(time_ms));
        match attachments.last_mut().filter(|attachment| attachment.to_ms.is_none()) {
            Some(open) if open.user == *user => return home(false),
            // A late event of somebody who has left since: it goes to them, and changes nothing here.
            Some(open) if time_ms < open.since_ms.unwrap_or(open.from_ms).max(oldest_ms) => return home(true),
            // Or they come late themselves: somebody was there after them, who has left.
            None if has_left || was_there_after => return home(true),
            Some(open) => {
                open.to_ms = Some(time_ms.saturating_sub(1).max(open.from_ms));
                open.displaced = Some(true);
                // Whoever was here has left without a word: their home is told, as it would be by a logout.
                let left = open.user.clone();
                self.tell_parting(left, event, out);
            }
            None => {}
        }
        let state = &mut self.visitors[visitor as usize].as_mut()?.1;
        // They logged out before this was heard of.
        let left_ms = state.logouts.iter().copied().filter(|left_ms| *left_ms > time_ms).min();
        let left_ms = left_ms.filter(|_| event.name != EventName::Logout);
        // All that the visitor has done since somebody left goes with them, so that what comes late does too; what belongs to an
        // earlier attachment stays there.
        let comes_ms = time_ms + i64::from(event.name != EventName::Logout);
        let from_ms = floor_ms(&state.attachments, &state.logouts, comes_ms, oldest_ms);
        let has_parts = !(state.logouts.is_empty() && state.attachments.is_empty());
        let has_parts = has_parts && !self.config.has(Defect::WholeHandedOver);
        let attachments = &mut state.attachments;
        attachments.reserve_exact(1);
        let to_ms = left_ms.or((event.name == EventName::Logout).then_some(time_ms));
        attachments.push(Attachment {
            user: user.clone(),
            from_ms,
            to_ms,
            since_ms: Some(time_ms),
            displaced: Some(false),
        });
        if attachments.len() > STAYS_MAX {
            attachments.remove(0);
            self.counters.stays_dropped += 1;
        }
        out.push(self.identity_of(visitor_id));
        // Of the first who is known there it is all that there is, however old.
        let since_ms = if from_ms > oldest_ms + 1 { from_ms } else { i64::MIN };
        let within = |time_ms: i64| (since_ms..=to_ms.unwrap_or(i64::MAX)).contains(&time_ms);
        let handoff = match has_parts {
            true => self.hand_over_part(key, user.clone(), Some(event), visitor_id, &within),
            false => self.hand_over(key, user.clone(), Some(event), visitor_id),
        };
        let handoff = handoff.map(|handoff| Handoff { left: left_ms.is_some(), ..handoff });
        out.extend(handoff.map(|handoff| Effect::Handoff(Box::new(handoff))));
        home(to_ms.is_some())
    }

    /// Remembers when somebody logged out on a device, known there or not; a lifetime goes on as the next one's.
    pub(crate) fn logs_out(&mut self, visitor: u32, key: &ShopperId, time_ms: i64, oldest_ms: i64) {
        let (ShopperId::Visitor(id), Some((_, state))) = (key, &mut self.visitors[visitor as usize]) else { return };
        self.counters.stays_dropped += state.logs_out(time_ms, oldest_ms);
        self.partials.lifetimes.leaves(key, id, time_ms);
    }

    /// An event of somebody who has withdrawn consent is not taken in; that they leave is heard.
    pub(crate) fn refuses(&mut self, key: &ShopperId, event: &Event, out: &mut Vec<Effect>) -> Seam {
        self.counters.refused += 1;
        if let (EventName::Logout, ShopperId::Visitor(id)) = (&event.name, key) {
            self.ends_visit(key, id, event.occurred_at_ms.min(self.now_ms), out);
        }
        Seam::Refused
    }

    /// When whoever did something on this device, who was not known, logged out, by that or after it, as far as that is remembered
    /// (epoch ms), and whether it was after it.
    pub(crate) fn left_after(&self, visitor: u32, event: &Event) -> (Option<i64>, bool) {
        let Some((_, state)) = self.visitors.get(visitor as usize) else { return (None, false) };
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        let time_ms = event.occurred_at_ms.min(self.now_ms).max(oldest_ms.saturating_add(1));
        let later = state.logouts.iter().copied().filter(|left_ms| *left_ms >= time_ms);
        let has_left = later.clone().any(|left_ms| left_ms > time_ms || event.name != EventName::Logout);
        (later.min(), has_left)
    }

    /// When a user left the device of this event, by that or after it. Epoch ms.
    pub(crate) fn left_home(&self, user: &UserId, event: &Event, left: bool) -> Option<i64> {
        let (visitor, time_ms) = (event.visitor_id.as_ref()?, event.occurred_at_ms.min(self.now_ms));
        let lifetimes = &self.partials.lifetimes;
        left.then(|| lifetimes.left_after(&ShopperId::User(user.clone()), visitor, time_ms).unwrap_or(time_ms))
    }

    /// A logout ends this stay; the last one is told.
    fn ends_stay(&mut self, visitor: u32, id: &VisitorId, position: usize, time_ms: i64, out: &mut Vec<Effect>) {
        let Some((_, state)) = self.visitors[visitor as usize].as_mut() else { return };
        let stay = &mut state.attachments[position];
        let (was_ms, was_displaced) = (stay.to_ms, stay.displaced == Some(true));
        stay.ends(time_ms);
        let to_ms = stay.to_ms;
        match state.attachments.get_mut(position + 1) {
            // What comes late of the time between is whose the device was next.
            Some(next) => {
                if was_displaced && to_ms < was_ms && was_ms.is_some_and(|was_ms| next.from_ms == was_ms + 1) {
                    next.from_ms = to_ms.map_or(next.from_ms, |to_ms| to_ms + 1);
                }
            }
            None => out.push(self.identity_of(id)),
        }
    }

    /// Somebody has left a device without a word: their home is told, as it would be by a logout.
    fn tell_parting(&mut self, left: UserId, event: &Event, out: &mut Vec<Effect>) {
        let id = self.output_id();
        if !self.config.has(Defect::PartingUntold) {
            out.push(Effect::Forward(Box::new(Forward::parts(id, left, event))));
        }
    }

    /// At the home of who was at a device before somebody else came.
    pub(crate) fn is_parted(&mut self, parting: &Forward, out: &mut Vec<Effect>) {
        if self.is_new(parting.id) {
            let left_ms = parting.event.occurred_at_ms.min(self.now_ms) - 1;
            self.parts(&parting.user_id, parting.event.visitor_id.as_ref(), left_ms, out);
        }
    }

    /// Whoever was here unknown has left.
    fn ends_visit(&mut self, key: &ShopperId, id: &VisitorId, time_ms: i64, out: &mut Vec<Effect>) {
        let Some(index) = self.shoppers.find(key) else { return };
        self.end_visits(index, Some(id), time_ms, out);
    }

    /// What of the visitor's state was done within a user's stays goes to them.
    pub(crate) fn hand_over_part(
        &mut self,
        key: &ShopperId,
        user_id: UserId,
        login: Option<&Event>,
        visitor_id: &VisitorId,
        within: &impl Fn(i64) -> bool,
    ) -> Option<Handoff> {
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        let is_theirs = |life: &Life| match life.left_ms {
            Some(left_ms) => left_ms > oldest_ms && within(left_ms),
            None => within(life.ended_ms()),
        };
        let lives = self.partials.lifetimes.take(key, is_theirs);
        let index = self.shoppers.find(key).filter(|index| {
            self.wake(*index);
            self.shoppers[*index as usize].as_ref().is_some_and(|shopper| !shopper.is_within(within))
        });
        let Some(index) = index else {
            return self.hand_over_with(key, user_id, login, visitor_id, lives).filter(Handoff::has_something);
        };
        let (shopper, forgotten_ms) = (self.shoppers[index as usize].as_mut()?, self.config.unreadable_ms(self.now_ms));
        let past: Vec<Session> = shopper
            .sessions
            .extract_if(.., |session| session.ended_at_ms <= forgotten_ms && !session.is_live())
            .collect();
        let leaving = shopper.split_within(within);
        let heard = shopper.heard_by(login, self.now_ms);
        past.iter().chain(&leaving.sessions).for_each(|session| self.forget_session(session));
        self.arm(index);
        let how = Leaving { visitor_id: visitor_id.clone(), user_id, returns: false, heard };
        Some(self.pack(leaving, lives, how)).filter(Handoff::has_something)
    }
}

impl Shopper {
    /// When they were heard last, and which silences since were told. A login is heard where it comes in, before what is known of them
    /// goes with it: no silence runs on while it travels.
    pub(crate) fn heard_by(&self, login: Option<&Event>, now_ms: i64) -> (i64, i64) {
        match login.is_some_and(|login| !is_reaction(&login.name)) {
            true => (now_ms, 0),
            false => (self.last_stamp_ms, self.idle_fired_ms),
        }
    }

    /// Whether all that is here was done within these times.
    fn is_within(&self, within: &impl Fn(i64) -> bool) -> bool {
        let facts = self.facts.all().iter().map(|fact| fact.time_ms);
        let sessions = self.sessions.iter().map(|session| session.ended_at_ms);
        facts.chain(sessions).chain(self.caps.iter().map(|cap| cap.at_ms)).all(within)
    }

    /// Takes out what was done within these times: sessions by when they ended, the rest by its own time.
    fn split_within(&mut self, within: &impl Fn(i64) -> bool) -> Self {
        let mut leaving = Self::new(self.id.clone());
        leaving.sessions = self.sessions.extract_if(.., |session| within(session.ended_at_ms)).collect();
        let (goes, stays) = (&leaving.sessions, &self.sessions);
        leaving.facts = self.facts.take(|fact| {
            let is_of = |sessions: &[Session]| sessions.iter().any(|it| it.number == fact.session);
            is_of(goes) || !is_of(stays) && within(fact.time_ms)
        });
        // What was decided goes with its session, so that it is decided once; that may be forgotten.
        let (goes, stays) = (&leaving.sessions, &self.sessions);
        let is_of = |cap: &CapEntry, sessions: &[Session]| sessions.iter().any(|it| it.id == cap.session_id);
        let caps = self.caps.extract_if(.., |cap| is_of(cap, goes) || !is_of(cap, stays) && within(cap.at_ms));
        leaving.caps = caps.collect();
        let is_theirs = |id| leaving.caps.iter().any(|cap| cap.decision_id == id);
        leaving.pending = self.pending.extract_if(.., |ask| is_theirs(ask.decision_id)).collect();
        leaving.shown = self.shown.extract_if(.., |shown| is_theirs(shown.decision_id)).collect();
        leaving
    }
}
