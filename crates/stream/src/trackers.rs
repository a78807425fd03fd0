//! Session ids of trackers: which of our sessions carry one. More than one does, if a link or a backup was copied.

use midsession_event::{SessionId, Str};
use midsession_machine::{Map, Session};

/// Sessions that the same id may lead to at once: a tracker that gives everybody the same one costs nothing.
const SESSIONS_MAX: usize = 64;

/// Ids beside the latest that lead to one session: a client that makes them up costs no more.
const IDS_MAX: usize = 7;

/// The sessions that carry an id of a tracker.
#[derive(Debug, Default)]
pub(crate) struct TrackerSessions {
    one: Map<Str, SessionId>,
    /// Where there are several.
    others: Map<Str, Vec<SessionId>>,
}

impl TrackerSessions {
    /// A session carries this id from now on; false if it leads to too many already.
    pub(crate) fn add(&mut self, tracker: &Str, session: SessionId) -> bool {
        let one = *self.one.entry(tracker.clone()).or_insert(session);
        if one == session {
            return true;
        }
        let others = self.others.entry(tracker.clone()).or_default();
        let is_known = others.contains(&session);
        if !is_known && others.len() < SESSIONS_MAX - 1 {
            others.push(session);
            return true;
        }
        is_known
    }

    /// An event of a session came under this id, its last or one of before.
    pub(crate) fn heard(&mut self, session: &mut Session, tracker: &Str, is_last: bool) {
        let Session { id, tracker_session_id, other_tracker_ids, .. } = session;
        if tracker_session_id.as_ref() == Some(tracker) || !is_last && other_tracker_ids.contains(tracker) {
            return;
        }
        let mut others = std::mem::take(other_tracker_ids).into_vec();
        if tracker_session_id.is_none() || is_last {
            others.retain(|other| other != tracker);
            others.extend(tracker_session_id.replace(tracker.clone()).filter(|before| self.leads_to(before, *id)));
            self.add(tracker, *id);
        } else if self.add(tracker, *id) {
            others.insert(0, tracker.clone());
        }
        let over = others.len().saturating_sub(IDS_MAX);
        others.drain(..over).for_each(|gone| self.remove(&gone, *id));
        *other_tracker_ids = others.into();
    }

    /// A session does not carry this id any more.
    pub(crate) fn remove(&mut self, tracker: &Str, session: SessionId) {
        let mut others = self.others.get_mut(tracker);
        if self.one.get(tracker) == Some(&session) {
            match others.as_mut().and_then(|others| others.pop()) {
                Some(other) => _ = self.one.insert(tracker.clone(), other),
                None => _ = self.one.remove(tracker),
            }
        } else if let Some(others) = &mut others {
            others.retain(|other| *other != session);
        }
        if others.is_some_and(|others| others.is_empty()) {
            self.others.remove(tracker);
        }
    }

    /// The sessions that carry it, in no order.
    pub(crate) fn of(&self, tracker: &str) -> impl Iterator<Item = SessionId> {
        self.one.get(tracker).into_iter().chain(self.others.get(tracker).into_iter().flatten()).copied()
    }

    /// Whether this session can be found by it.
    pub(crate) fn leads_to(&self, tracker: &Str, session: SessionId) -> bool {
        self.of(tracker).any(|known| known == session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_goes_leaves_the_others() {
        let (mut known, id) = (TrackerSessions::default(), Str::from("t"));
        let of = |known: &TrackerSessions| {
            let mut of: Vec<u128> = known.of("t").map(|session| session.0).collect();
            of.sort_unstable();
            of
        };
        for session in [1, 2, 3, 2, 1] {
            assert!(known.add(&id, SessionId(session)));
        }
        assert_eq!(of(&known), [1, 2, 3]);
        known.remove(&id, SessionId(1));
        assert_eq!(of(&known), [2, 3]);
        known.remove(&id, SessionId(1));
        known.remove(&id, SessionId(2));
        assert_eq!(of(&known), [3]);
        assert!(known.leads_to(&id, SessionId(3)) && !known.leads_to(&id, SessionId(2)));
        known.remove(&id, SessionId(3));
        assert!(of(&known).is_empty() && known.one.is_empty() && known.others.is_empty());
        let added = (0..10_000).filter(|session| known.add(&id, SessionId(*session))).count();
        assert_eq!(added, SESSIONS_MAX);
        assert_eq!(of(&known).len(), SESSIONS_MAX);
        (0..10_000).for_each(|session| known.remove(&id, SessionId(session)));
        assert!(known.one.is_empty() && known.others.is_empty());
    }
}
