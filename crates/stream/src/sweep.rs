//! Forgetting: each record looks at one shopper and one visitor, in turn, and drops what no read can ask for.

use crate::stream::Stream;
use midsession_event::SessionState;
use midsession_machine::{Session, WINDOW_MAX_MS};

impl Stream {
    /// Looks at the next shopper and the next visitor. Driven by records, so replay forgets at the same places.
    pub(crate) fn sweep_some(&mut self) {
        let now_ms = self.now_ms;
        if !self.shoppers.is_empty() {
            let index = self.sweep_at.0 as usize % self.shoppers.len();
            self.sweep_at.0 = index as u32 + 1;
            self.sweep_shopper(index, now_ms);
        }
        if !self.visitors.is_empty() {
            let index = self.sweep_at.1 as usize % self.visitors.len();
            self.sweep_at.1 = index as u32 + 1;
            self.sweep_visitor(index, now_ms);
        }
    }

    fn sweep_shopper(&mut self, index: usize, now_ms: i64) {
        let kept_ms = self.config.gap_ms + self.config.grace_ms + self.config.readable_ms;
        let memory_ms = self.config.memory_ms;
        let Some(shopper) = self.shoppers[index].as_mut() else { return };
        let oldest_ms = shopper.facts.all().first().map_or(i64::MAX, |fact| fact.time_ms);
        let is_over = |session: &Session| {
            matches!(session.state, SessionState::Closed | SessionState::Merged)
                && session.ended_at_ms + kept_ms <= now_ms
        };
        if shopper.sessions.iter().any(is_over) {
            let over: Vec<Session> = shopper.sessions.extract_if(.., |session| is_over(session)).collect();
            over.iter().for_each(|session| self.forget_session(session));
        }
        let Some(shopper) = self.shoppers[index].as_mut() else { return };
        self.tally.update(shopper);
        if oldest_ms <= now_ms - WINDOW_MAX_MS {
            let numbers: smallvec::SmallVec<[u32; 8]> = shopper.sessions.iter().map(|session| session.number).collect();
            shopper.facts.retain(|fact| fact.time_ms > now_ms - WINDOW_MAX_MS || numbers.contains(&fact.session));
        }
        shopper.caps.retain(|entry| entry.at_ms > now_ms - memory_ms);
        let is_empty = shopper.sessions.is_empty()
            && shopper.facts.all().is_empty()
            && shopper.caps.is_empty()
            && shopper.pending.is_empty()
            && shopper.last_stamp_ms <= now_ms - WINDOW_MAX_MS;
        if is_empty {
            self.by_id.remove(&shopper.id);
            self.shoppers[index] = None;
            self.free.push(index as u32);
        }
    }

    /// Forgets the ids that lead to a session.
    pub(crate) fn forget_session(&mut self, session: &Session) {
        self.sessions.remove(&session.id);
        if let Some(tracker) = &session.tracker_session_id
            && self.tracker_sessions.get(tracker) == Some(&session.id)
        {
            self.tracker_sessions.remove(tracker);
        }
    }

    fn sweep_visitor(&mut self, index: usize, now_ms: i64) {
        let (horizon_ms, memory_ms) = (self.config.duplicate_horizon_ms, self.config.memory_ms);
        let Some((id, visitor)) = self.visitors[index].as_mut() else { return };
        visitor.seen.expire(now_ms, horizon_ms);
        visitor.attachments.retain(|attachment| match attachment.to_ms {
            // Late events reach back as far as duplicates are known.
            Some(to_ms) => to_ms > now_ms - horizon_ms,
            None => visitor.last_stamp_ms > now_ms - memory_ms,
        });
        if visitor.consent.is_some() && visitor.last_stamp_ms <= now_ms - memory_ms {
            visitor.consent = None;
        }
        if visitor.seen.is_empty() && visitor.attachments.is_empty() && visitor.consent.is_none() {
            self.by_visitor.remove(id);
            self.visitors[index] = None;
            self.free_visitors.push(index as u32);
        }
    }
}
