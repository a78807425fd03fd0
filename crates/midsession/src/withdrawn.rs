//! Who has withdrawn something, for those who take events in and those who show what was kept: told by the partitions'
//! owners as it takes effect, and anew after a start. Where a source allows less than everything as long as nothing was said, also
//! what was said else.
//!
//! It holds whom the partitions hold as such, and is bounded with them.

use midsession_collect::{ConsentInForce, InForce};
use midsession_event::{Consent, Purpose, ShopperId, Str, UserId, VisitorId};
use midsession_stream::Words;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What was said, by id.
#[derive(Default)]
pub struct Withdrawn {
    visitors: RwLock<HashMap<Str, Words>>,
    users: RwLock<HashMap<Str, Words>>,
    count: AtomicUsize,
    is_whole: AtomicBool,
}

impl Withdrawn {
    /// What a device or person has said now; none: nothing that would be withdrawn.
    pub fn told(&self, who: &ShopperId, words: Option<Words>) {
        let map = match who {
            ShopperId::Visitor(_) => &self.visitors,
            ShopperId::User(_) => &self.users,
        };
        let mut map = map.write();
        let before = match words {
            Some(words) => {
                let before = map.insert(who.as_str().into(), words);
                if before.is_none() {
                    self.count.fetch_add(1, Ordering::Release);
                }
                return;
            }
            None => map.remove(who.as_str()),
        };
        if before.is_some() {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Whether what a shopper had done by then may be shown: not once they have withdrawn `personalization`, nor what a
    /// device had done before it turned out to be theirs.
    pub fn may_read(&self, shopper: &ShopperId, at_ms: i64) -> bool {
        let map = match shopper {
            ShopperId::Visitor(_) => &self.visitors,
            ShopperId::User(_) => &self.users,
        };
        let map = map.read();
        map.get(shopper.as_str()).is_none_or(|words| words.of_past(at_ms).allows(Purpose::Personalization))
    }

    /// How many have.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Everything that had been said before the start has been told.
    pub fn set_whole(&self) {
        self.is_whole.store(true, Ordering::Release);
    }

    /// Whether it has: before, nobody can say who has withdrawn something.
    pub fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }
}

impl ConsentInForce for Withdrawn {
    fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn of(&self, visitor: Option<&VisitorId>, user: Option<&UserId>) -> InForce {
        let of_user = |word: fn(&Words) -> Option<Consent>| self.users.read().get(user?.as_str()).and_then(word);
        let Some(visitor) = visitor else {
            let consent = of_user(|words| Some(words.own.and(words.at_home()))).unwrap_or(Consent::FULL);
            let said = of_user(|words| words.said(None));
            return InForce { consent, said, is_tie: false, is_attached: false, is_other: false };
        };
        let (consent, said, is_told, is_attached, is_other) = match self.visitors.read().get(visitor.as_str()) {
            Some(words) => {
                let is_told = words.attached.as_ref().is_some_and(|(told, _)| Some(told) == user);
                (words.allow(user), words.said(user), is_told, words.signed_in.is_some(), words.is_another(user))
            }
            None => (Consent::FULL, None, false, false, false),
        };
        // What a person said holds on a device that has said nothing itself.
        let at_home = of_user(|words| words.home);
        let said = said.or(at_home);
        // A device that is attached has been told; before, only what names the user can lead there.
        let is_tie = user.is_some() && !is_told && at_home.is_some_and(|word| !word.allows(Purpose::Personalization));
        InForce { consent, said, is_tie, is_attached, is_other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_and_the_person_bind_their_own_events() {
        const FULL: Consent = Consent::FULL;
        const NONE: Consent = Consent::NONE;
        let withdrawn = Withdrawn::default();
        let visitor = |id: &str| ShopperId::Visitor(id.into());
        let words = |own, attached: Option<(&str, Consent)>, home| {
            let attached: Option<(UserId, Consent)> = attached.map(|(user, consent)| (user.into(), consent));
            let signed_in = attached.as_ref().map(|(user, _)| user.clone());
            let home = Some(home).filter(|home| *home != FULL);
            Some(Words { own, is_said: own != FULL, attached, home, signed_in, left: None })
        };
        assert!(withdrawn.is_empty());
        // `phone` has said no; `laptop` was told so by u1, at whose home it stands; u2's server said no; `u3` counts alone.
        withdrawn.told(&visitor("phone"), words(NONE, None, FULL));
        withdrawn.told(&visitor("laptop"), words(FULL, Some(("u1", NONE)), FULL));
        withdrawn.told(&ShopperId::User("u1".into()), words(FULL, None, NONE));
        withdrawn.told(&ShopperId::User("u2".into()), words(NONE, None, NONE));
        withdrawn.told(&ShopperId::User("u3".into()), words(FULL, None, Consent::COOKIELESS));
        for (visitor, user, consent, is_tie) in [
            (Some("phone"), None, NONE, false),
            (Some("phone"), Some("u9"), NONE, false),
            (Some("laptop"), None, NONE, false),
            (Some("laptop"), Some("u1"), NONE, false),
            (Some("laptop"), Some("u9"), FULL, false),
            (Some("other"), None, FULL, false),
            (Some("other"), Some("u9"), FULL, false),
            (Some("other"), Some("u1"), FULL, true),
            (Some("laptop"), Some("u2"), FULL, true),
            (None, Some("u1"), NONE, false),
            (None, Some("u2"), NONE, false),
            (None, Some("u3"), Consent::COOKIELESS, false),
            (None, Some("u9"), FULL, false),
            // Ids of one kind are none of the other.
            (Some("u1"), Some("phone"), FULL, false),
        ] {
            let in_force = withdrawn.of(visitor.map(Into::into).as_ref(), user.map(Into::into).as_ref());
            let is_attached = visitor == Some("laptop");
            let is_other = is_attached && user.is_some_and(|user| user != "u1");
            let said = in_force.said;
            assert_eq!(in_force, InForce { consent, said, is_tie, is_attached, is_other }, "{visitor:?} {user:?}");
        }
        // u1, who had withdrawn, has left the tablet: what was done there by then is theirs.
        withdrawn.told(
            &visitor("tablet"),
            Some(Words {
                own: FULL,
                is_said: false,
                attached: None,
                home: None,
                signed_in: None,
                left: Some((NONE, 5)),
            }),
        );
        let user = |id: &str| ShopperId::User(id.into());
        for (who, at_ms, may) in [
            (visitor("phone"), 9, false),
            (visitor("laptop"), 9, false),
            (visitor("other"), 9, true),
            (visitor("tablet"), 5, false),
            (visitor("tablet"), 6, true),
            (user("u1"), 9, false),
            (user("u2"), 9, false),
            (user("u3"), 9, false),
            (user("u9"), 9, true),
        ] {
            assert_eq!(withdrawn.may_read(&who, at_ms), may, "{who:?} {at_ms}");
        }
        withdrawn.told(&visitor("tablet"), None);
        for who in [visitor("phone"), visitor("phone"), visitor("laptop")] {
            withdrawn.told(&who, None);
        }
        assert_eq!(withdrawn.count(), 3);
        assert_eq!(withdrawn.of(Some(&"phone".into()), None).consent, FULL);
    }
}
