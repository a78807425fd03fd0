//! Session ids of trackers: which of our sessions carry one. More than one does, if a link or a backup was copied.

use midsession_event::{SessionId, Str};
use midsession_machine::Map;

/// Sessions that the same id may lead to at once: a tracker that gives everybody the same one costs nothing.
const SESSIONS_MAX: usize = 64;

/// The sessions that carry an id of a tracker.
#[derive(Debug, Default)]
pub(crate) struct TrackerSessions {
    one: Map<Str, SessionId>,
    /// Where there are several.
    others: Map<Str, Vec<SessionId>>,
}

impl TrackerSessions {
    /// A session carries this id from now on.
    pub(crate) fn add(&mut self, tracker: &Str, session: SessionId) {
        let one = *self.one.entry(tracker.clone()).or_insert(session);
        if one == session {
            return;
        }
        let others = self.others.entry(tracker.clone()).or_default();
        if others.len() < SESSIONS_MAX - 1 && !others.contains(&session) {
            others.push(session);
        }
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
            known.add(&id, SessionId(session));
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
        (0..10_000).for_each(|session| known.add(&id, SessionId(session)));
        assert_eq!(of(&known).len(), SESSIONS_MAX);
        (0..10_000).for_each(|session| known.remove(&id, SessionId(session)));
        assert!(known.one.is_empty() && known.others.is_empty());
    }
}
