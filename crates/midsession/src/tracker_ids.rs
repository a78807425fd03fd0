//! Session ids of trackers that two shoppers have: a copied link, a restored backup. Their sessions stay apart; it is counted.

use midsession_event::{SessionUpdate, hash64};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Ids that are remembered at least; twice as many at most.
const IDS_MIN: usize = 100_000;

/// Whose an id is: hashes of the device and of the person; 0 for none.
type Whose = (u64, u64);

/// Who had which id, of the sessions opened lately.
#[derive(Default)]
pub struct TrackerIds(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    present: HashMap<u64, Whose>,
    before: HashMap<u64, Whose>,
}

impl TrackerIds {
    /// A session's first update: whether its tracker's id was somebody else's before.
    pub fn opened(&self, update: &SessionUpdate) -> bool {
        let Some(id) = update.tracker_session_id.as_ref().filter(|_| update.version == 1) else { return false };
        let hash = |id: Option<&str>| id.map_or(0, |id| hash64(&[id]));
        let whose = (
            hash(update.visitor_id.as_ref().map(|id| id.as_str())),
            hash(update.user_id.as_ref().map(|id| id.as_str())),
        );
        let id = hash64(&[update.source.as_str(), id]);
        let mut ids = self.0.lock();
        if ids.present.len() >= IDS_MIN {
            ids.before = std::mem::take(&mut ids.present);
        }
        let before = ids.before.remove(&id);
        let Some(known) = ids.present.insert(id, whose).or(before) else { return false };
        if known.0 != whose.0 {
            // The same person on another device is nobody else.
            return known.1 != whose.1 || known.1 == 0;
        }
        if whose.1 == 0 {
            // Whoever it is: the device is remembered with who signed in there last.
            ids.present.insert(id, known);
            return false;
        }
        // Two people at one device, whose tracker goes on.
        known.1 != 0 && known.1 != whose.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(ids: &TrackerIds, visitor: &str, user: Option<&str>, tracker: &str) -> bool {
        ids.opened(&SessionUpdate {
            version: 1,
            visitor_id: Some(visitor.into()),
            user_id: user.map(Into::into),
            tracker_session_id: Some(tracker.into()),
            ..SessionUpdate::default()
        })
    }

    #[test]
    fn an_id_of_two_shoppers_is_noticed_once_for_each_session() {
        let ids = TrackerIds::default();
        assert!(!opened(&ids, "v1", None, "t1"));
        assert!(!opened(&ids, "v1", None, "t1"), "their next visit");
        assert!(!opened(&ids, "v1", Some("u1"), "t1"), "signed in meanwhile");
        assert!(!opened(&ids, "v1", None, "t1"), "signed out");
        assert!(opened(&ids, "v1", Some("u2"), "t1"), "somebody else at the same device");
        assert!(opened(&ids, "v1", Some("u1"), "t1"), "and the first one again");
        assert!(!opened(&ids, "v2", Some("u1"), "t1"), "the same person's other device");
        assert!(opened(&ids, "v3", Some("u2"), "t1"));
        assert!(opened(&ids, "v1", None, "t1"), "and back");
        assert!(opened(&ids, "v4", None, "t1"));
        assert!(!opened(&ids, "v4", None, "t2"));
        let later = SessionUpdate { version: 2, tracker_session_id: Some("t1".into()), ..SessionUpdate::default() };
        assert!(!ids.opened(&later), "of each session the first update");
    }

    #[test]
    fn memory_is_bounded() {
        let ids = TrackerIds::default();
        for number in 0..3 * IDS_MIN {
            assert!(!opened(&ids, &format!("v{number}"), None, &format!("t{number}")));
        }
        let held = ids.0.lock();
        assert!(held.present.len() + held.before.len() <= 2 * IDS_MIN);
    }
}
