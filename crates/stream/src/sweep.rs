//! Forgetting: records look at one shopper and one visitor at a time, in turn, and drop what no read can ask for.

use crate::shopper::{Shopper, forget};
use crate::stream::Stream;
use midsession_event::{SessionState, ShopperId};
use midsession_machine::{FACTS_KEPT_MS, Fact, FactKind, Session, WINDOW_MAX_MS};
use serde::{Deserialize, Serialize};

/// Records per look at one shopper and one visitor.
const SWEEP_EVERY: i64 = 4;
/// Looks with a record that brings somebody new: visitors who come for a click or two must not come faster than they are
/// forgotten.
const LOOKS_FOR_NEW: u32 = 2;

/// About as many looks as the records have that are warmed together.
const LOOKS_AHEAD: usize = 16;

/// How long somebody is remembered who has withdrawn something, and whom they are attached to: what they go on to send does
/// not get here, so that they seem silent.
const WITHDRAWN_KEPT_MS: i64 = 400 * 24 * 3_600_000;

/// Fewer names than this are not worth looking through.
const NAMES_MIN: usize = 1 << 16;

/// Where forgetting is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// The shopper's slot that is looked at next.
    shopper: usize,
    /// The visitor's.
    visitor: usize,
    /// Somebody new came with the record at hand.
    #[serde(skip)]
    pub(crate) is_owed: bool,
    /// So many names make it worth looking which are still used.
    names_max: usize,
}

/// The slot to look at, of so many; after the last comes the first.
fn step(next: &mut usize, slots: usize) -> Option<usize> {
    let at = if *next < slots { *next } else { 0 };
    *next = at + 1;
    (at < slots).then_some(at)
}

impl Stream {
    /// Looks at the next shopper and the next visitor. Driven by records, so replay forgets at the same places; not by
    /// each, since what is looked at is seldom in the processor's cache.
    pub(crate) fn sweep_some(&mut self) {
        let owed = if std::mem::take(&mut self.sweep.is_owed) { LOOKS_FOR_NEW } else { 0 };
        let looks = owed + u32::from(self.offset % SWEEP_EVERY == 0);
        (0..looks).for_each(|_| self.look());
    }

    fn look(&mut self) {
        let now_ms = self.now_ms;
        if self.names.len() >= self.sweep.names_max.max(NAMES_MIN) {
            self.sweep_names();
        }
        if let Some(index) = step(&mut self.sweep.shopper, self.shoppers.len()) {
            self.keep_shopper(index as u32);
            self.sweep_shopper(index, now_ms);
        }
        if let Some(index) = step(&mut self.sweep.visitor, self.visitors.len()) {
            self.keep_visitor(index as u32);
            self.sweep_visitor(index, now_ms);
        }
    }

    /// Reads the places that are looked at next.
    pub(crate) fn touch_swept(&self) -> i64 {
        let mut sum = 0;
        for ahead in 0..LOOKS_AHEAD {
            if let Some(shopper) = self.shoppers.get(self.sweep.shopper + ahead) {
                sum ^= shopper.last_stamp_ms ^ shopper.facts.all().first().map_or(0, |fact| fact.time_ms);
                sum ^= shopper.sessions.first().map_or(0, |session| session.ended_at_ms);
            }
            if let Some((_, visitor)) = self.visitors.get(self.sweep.visitor + ahead) {
                sum ^= visitor.last_stamp_ms ^ visitor.seen.touch();
            }
        }
        sum
    }

    /// How long a decision counts under caps. ms.
    fn cap_memory_ms(&self) -> i64 {
        self.config.cap_memory_ms.max(self.caps_look_back_ms)
    }

    /// Whether there is nothing of a shopper that a read could ask for, though nobody has looked at them since: when that is depends
    /// on how much traffic the others of the partition make.
    pub(crate) fn is_gone(&self, shopper: &Shopper, now_ms: i64) -> bool {
        let since_ms = now_ms.saturating_sub(WINDOW_MAX_MS);
        let caps_since_ms = now_ms.saturating_sub(self.cap_memory_ms());
        shopper.last_stamp_ms <= since_ms
            && shopper.pending.is_empty()
            && shopper.sessions.iter().all(|session| self.config.is_past(session, now_ms))
            && shopper.newest_fact_ms().is_none_or(|newest_ms| newest_ms <= since_ms)
            && shopper.caps.iter().all(|entry| entry.at_ms <= caps_since_ms)
    }

    fn sweep_shopper(&mut self, index: usize, now_ms: i64) {
        let (config, cap_memory_ms) = (self.config, self.cap_memory_ms());
        let Some(shopper) = self.shoppers[index].as_ref() else { return };
        let is_over = |session: &Session| {
            matches!(session.state, SessionState::Closed | SessionState::Merged) && config.is_past(session, now_ms)
        };
        let has_over = shopper.sessions.iter().any(is_over);
        let is_old = shopper.oldest_fact_ms().is_some_and(|oldest_ms| oldest_ms <= now_ms - FACTS_KEPT_MS);
        let newest_ms = shopper.spilled.as_ref().map(|spilled| spilled.newest_ms);
        if newest_ms.is_some_and(|newest_ms| newest_ms <= now_ms - FACTS_KEPT_MS) && shopper.sessions.is_empty() {
            self.drop_spilled(index as u32);
        } else if is_old || has_over && matches!(shopper.id, ShopperId::User(_)) {
            // What a user's facts are in changes with their sessions, what a visitor's are in does not.
            self.load_facts(index as u32);
        }
        let Some(shopper) = self.shoppers[index].as_mut() else { return };
        if has_over {
            let over: Vec<Session> = shopper.sessions.extract_if(.., |session| is_over(session)).collect();
            over.iter().for_each(|session| shopper.loosen(session));
            over.iter().for_each(|session| self.forget_session(session));
        }
        let Some(shopper) = self.shoppers[index].as_mut() else { return };
        self.tally.update(shopper);
        if is_old {
            let numbers: smallvec::SmallVec<[u32; 8]> = shopper.sessions.iter().map(|session| session.number).collect();
            shopper.facts.retain(|fact| fact.time_ms > now_ms - FACTS_KEPT_MS || numbers.contains(&fact.session));
            shopper.tidy_loose();
            if let Some(spilling) = &mut self.spilling {
                spilling.count(index as u32, shopper);
            }
        }
        // A cap per session counts for as long as its session is known.
        let sessions = &shopper.sessions;
        shopper.caps.retain(|entry| {
            entry.at_ms > now_ms - cap_memory_ms || sessions.iter().any(|session| session.id == entry.session_id)
        });
        let is_empty = shopper.sessions.is_empty()
            && !shopper.has_facts()
            && shopper.caps.is_empty()
            && shopper.pending.is_empty()
            && shopper.last_stamp_ms <= now_ms - FACTS_KEPT_MS;
        if is_empty {
            self.take_out(index as u32);
        }
    }

    /// Forgets the ids that lead to a session.
    pub(crate) fn forget_session(&mut self, session: &Session) {
        self.sessions.remove(&session.id);
        session.tracker_ids().for_each(|tracker| self.tracker_sessions.remove(tracker, session.id));
    }

    /// Forgets the names that no fact has any more. It looks at every fact, so it waits until the names have doubled:
    /// that way it costs each new name the same, and names cost no more memory than the facts do.
    fn sweep_names(&mut self) {
        // The numbers in it would be the old ones. It is seldom, and another one is begun.
        self.snapshot = None;
        let Self { shoppers, names, spilling, .. } = self;
        let mut is_used = vec![false; names.len() + 1];
        let derived = |fact: &Fact| fact.kind.base() == FactKind::DERIVED;
        for shopper in shoppers.iter() {
            for fact in shopper.lazy_facts(spilling.as_deref()).all() {
                is_used[fact.product as usize] = true;
                if !derived(fact) {
                    is_used[fact.category as usize] = true;
                }
            }
        }
        let renamed = names.keep(&is_used);
        self.change_facts(|facts| {
            facts.for_each_mut(|fact| {
                fact.product = renamed[fact.product as usize];
                if !derived(fact) {
                    fact.category = renamed[fact.category as usize];
                }
            });
        });
        self.sweep.names_max = 2 * self.names.len();
    }

    fn sweep_visitor(&mut self, index: usize, now_ms: i64) {
        let (horizon_ms, mut memory_ms) = (self.config.duplicate_horizon_ms, self.config.memory_ms);
        let Some((_, visitor)) = self.visitors[index].as_mut() else { return };
        if visitor.is_restricted() {
            memory_ms = memory_ms.max(WITHDRAWN_KEPT_MS);
        }
        visitor.seen.expire(now_ms, horizon_ms);
        let last_stamp_ms = visitor.last_stamp_ms;
        forget(&mut visitor.attachments, |attachment| match attachment.to_ms {
            // Late events reach back as far as duplicates are known.
            Some(to_ms) => to_ms > now_ms - horizon_ms,
            None => last_stamp_ms > now_ms - memory_ms,
        });
        let is_forgotten = visitor.last_stamp_ms <= now_ms - memory_ms;
        if is_forgotten {
            (visitor.consent, visitor.heard) = (None, None);
        }
        if let Some(household) = &mut visitor.household {
            household.devices.retain(|device| device.stamp_ms > now_ms - memory_ms);
            household.word.take_if(|_| is_forgotten);
            if household.is_empty() {
                visitor.household = None;
            }
        }
        let says_nothing = visitor.consent.is_none() && visitor.heard.is_none() && visitor.household.is_none();
        if visitor.seen.is_empty() && visitor.attachments.is_empty() && says_nothing {
            self.visitors.release(index as u32);
        }
    }
}
