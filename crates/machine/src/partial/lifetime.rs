//! Partials over a lifetime: of each shopper, since they were first seen here.

use super::bounded::Shared;
use super::{Bounded, Partial, Piece};
use midsession_event::{ShopperId, Str, VisitorId};
use serde::{Deserialize, Serialize};

/// Devices of one shopper that are told apart; over it the two that were in use least lately become one.
const LIVES_MAX: usize = 32;

/// What a partition has of its shoppers' lifetimes.
#[derive(Clone, Debug, Default)]
pub struct Lifetimes {
    table: Bounded<ShopperId, Vec<Life>>,
    shoppers_max: usize,
    dropped: u64,
}

/// What is known of a shopper as something is counted that they did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// When they did something before: if nothing has been counted so far, that is not. Epoch ms.
    pub acted_ms: Option<i64>,
    /// Whoever did it has left the device since. Epoch ms.
    pub left_ms: Option<i64>,
}

/// What one device has added to a shopper's lifetime. Devices are kept apart, so that one can be taken out again, and so is what was
/// done there until its user left, whether they are known to have been there or not: whoever was next is somebody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The device; none for a server, or for several.
    pub visitor: Option<VisitorId>,
    /// Stamp of the first record that was counted. Epoch ms.
    pub since_ms: i64,
    /// Stamp of the last one. Epoch ms.
    pub last_ms: i64,
    /// Event time of the earliest, where it came late. Epoch ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_ms: Option<i64>,
    /// When the shopper last did something that is in none of their lives: before a definition was there to count it. Epoch ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncounted_ms: Option<i64>,
    /// Whoever it is of left the device then; `i64::MIN` of several who had. Epoch ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<i64>,
    /// By the slots of the definitions.
    pub partials: Vec<(u32, Partial)>,
}

impl Lifetimes {
    pub(super) fn new(shoppers_max: usize) -> Self {
        Self { shoppers_max, ..Self::default() }
    }

    /// The shopper was heard on this device; the life to add to.
    pub fn heard(
        &mut self,
        shopper: &ShopperId,
        visitor: Option<&VisitorId>,
        Heard { acted_ms, left_ms }: Heard,
        now_ms: i64,
    ) -> &mut Life {
        if self.table.get(shopper).is_none() {
            self.make_room();
        }
        let lives = self.table.entry(shopper, Vec::new);
        let is_it = |life: &Life| life.visitor.as_ref() == visitor && life.left_ms == left_ms;
        let at = lives.iter().position(is_it).unwrap_or_else(|| {
            let uncounted_ms = lives.first().map_or(acted_ms, |life| life.uncounted_ms);
            lives.push(Life {
                visitor: visitor.cloned(),
                since_ms: now_ms,
                last_ms: now_ms,
                earliest_ms: None,
                uncounted_ms,
                left_ms,
                partials: Vec::new(),
            });
            join_stalest(lives);
            lives.iter().position(is_it).unwrap_or(0)
        });
        let life = &mut lives[at];
        life.last_ms = life.last_ms.max(now_ms);
        life
    }

    /// The shopper's lives, by device.
    pub fn of(&self, shopper: &ShopperId) -> &[Life] {
        self.table.get(shopper).map_or(&[], Vec::as_slice)
    }

    /// Whoever was on this device left it at this event time: what is done later is another life.
    pub fn leaves(&mut self, shopper: &ShopperId, visitor: &VisitorId, left_ms: i64) {
        let is_meant = |life: &Life| {
            life.left_ms.is_none() && life.visitor.as_ref() == Some(visitor) && life.begins_ms() <= left_ms
        };
        // What is shared with a snapshot under way is copied only where something changes.
        if self.of(shopper).iter().any(is_meant)
            && let Some(lives) = self.table.get_mut(shopper)
        {
            lives.iter_mut().filter(|life| is_meant(life)).for_each(|life| life.left_ms = Some(left_ms));
        }
    }

    /// Takes lives of a shopper out: to be given to the user that they turn out to be.
    pub fn take(&mut self, shopper: &ShopperId, is_theirs: impl Fn(&Life) -> bool) -> Vec<Life> {
        if self.of(shopper).iter().all(&is_theirs) {
            return self.table.remove(shopper).unwrap_or_default();
        }
        self.table
            .get_mut(shopper)
            .map_or_else(Vec::new, |lives| lives.extract_if(.., |life| is_theirs(life)).collect())
    }

    /// When they left this device after something that they did there, as far as a life says so. Epoch ms.
    pub fn left_after(&self, shopper: &ShopperId, visitor: &VisitorId, time_ms: i64) -> Option<i64> {
        let lives = self.of(shopper).iter().filter(|life| life.visitor.as_ref() == Some(visitor));
        lives.filter_map(|life| life.left_ms).filter(|left_ms| *left_ms >= time_ms).min()
    }

    /// Forgets what was added up under these slots; a life goes on without it.
    pub(super) fn forget(&mut self, slots: &[u32]) {
        let has = |lives: &[Life]| lives.iter().flat_map(|life| &life.partials).any(|(slot, _)| slots.contains(slot));
        for shopper in self.table.keys() {
            // What is shared with a snapshot under way is copied only where something goes.
            if self.table.get(&shopper).is_some_and(|lives| has(lives))
                && let Some(lives) = self.table.get_mut(&shopper)
            {
                lives.iter_mut().for_each(|life| life.partials.retain(|(slot, _)| !slots.contains(slot)));
            }
        }
    }

    /// Gives lives to a shopper, and what is in none of them is theirs too.
    pub fn give(&mut self, shopper: &ShopperId, lives: Vec<Life>, uncounted_ms: Option<i64>) {
        if lives.is_empty() && self.of(shopper).is_empty() {
            return;
        }
        if self.table.get(shopper).is_none() {
            self.make_room();
        }
        let known = self.table.entry(shopper, Vec::new);
        for life in lives {
            match known.iter_mut().find(|own| own.visitor == life.visitor && own.left_ms == life.left_ms) {
                Some(own) => own.join(life),
                None => known.push(life),
            }
            join_stalest(known);
        }
        // Each says it, whichever is taken out again.
        let uncounted_ms = known.iter().filter_map(|life| life.uncounted_ms).chain(uncounted_ms).max();
        known.iter_mut().for_each(|life| life.uncounted_ms = uncounted_ms);
    }

    pub(super) fn shared(&self) -> Shared<ShopperId, Vec<Life>> {
        self.table.shared()
    }

    pub(super) fn restore(&mut self, entries: Vec<(ShopperId, Vec<Life>)>) {
        self.table.extend(entries);
    }

    pub(super) fn restore_head(&mut self, dropped: u64, next: usize) {
        self.dropped = dropped;
        self.table.look_from(next);
    }

    /// Shoppers whose lifetime was forgotten because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn make_room(&mut self) {
        while self.table.len() >= self.shoppers_max.max(1) {
            let last_ms = |lives: &Vec<Life>| lives.iter().map(|life| life.last_ms).max().unwrap_or(i64::MIN);
            let Some(stalest) = self.table.stalest(last_ms) else { return };
            self.table.remove(&stalest);
            self.dropped += 1;
        }
    }
}

/// Lives as they travel with a hand-off; none of none.
pub fn pack(lives: Vec<Life>) -> Option<Str> {
    // Invariant: maps have text keys and numbers are finite, so that it is JSON.
    (!lives.is_empty()).then(|| serde_json::to_string(&lives).ok()).flatten().map(Into::into)
}

/// Lives that came with a hand-off; what a newer version wrote differently is none.
pub fn unpack(text: &str) -> Vec<Life> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Life {
    /// When what is counted begins. Epoch ms.
    pub fn begins_ms(&self) -> i64 {
        self.earliest_ms.map_or(self.since_ms, |earliest_ms| earliest_ms.min(self.since_ms))
    }

    /// When it ended, or was heard of last. Epoch ms.
    pub fn ended_ms(&self) -> i64 {
        self.left_ms.unwrap_or(self.last_ms)
    }

    /// Something was done then.
    pub fn did(&mut self, time_ms: i64) {
        if time_ms < self.begins_ms() {
            self.earliest_ms = Some(time_ms);
        }
    }

    /// Adds a piece under a definition's slot.
    pub fn add(&mut self, slot: u32, start: fn() -> Partial, piece: &Piece<'_>) {
        let at = self.partials.iter().position(|(known, _)| *known == slot).unwrap_or_else(|| {
            self.partials.push((slot, start()));
            self.partials.len() - 1
        });
        self.partials[at].1.add(piece);
    }

    /// Makes two of them one.
    pub fn join(&mut self, other: Self) {
        self.since_ms = self.since_ms.min(other.since_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.earliest_ms = self.earliest_ms.into_iter().chain(other.earliest_ms).min();
        self.uncounted_ms = self.uncounted_ms.max(other.uncounted_ms);
        // Of several stays it is of none that could be told.
        if self.left_ms != other.left_ms {
            self.left_ms = Some(i64::MIN);
        }
        for (slot, partial) in other.partials {
            match self.partials.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, own)) => own.merge(&partial),
                None => self.partials.push((slot, partial)),
            }
        }
    }
}

fn join_stalest(lives: &mut Vec<Life>) {
    while lives.len() > LIVES_MAX {
        // The one just heard stands last and stays.
        lives[..LIVES_MAX].sort_by_key(|life| life.last_ms);
        // Of one device rather than of two, so that it can be taken out again.
        let is_of_one = |(at, next): &(usize, usize)| lives[*at].visitor == lives[*next].visitor;
        let mut pairs = (0..LIVES_MAX).flat_map(|at| (at + 1..LIVES_MAX).map(move |next| (at, next)));
        let (at, next) = pairs.find(is_of_one).unwrap_or((0, 1));
        let stalest = lives.remove(at);
        let joined = &mut lives[next - 1];
        joined.visitor = joined.visitor.take().filter(|visitor| stalest.visitor.as_ref() == Some(visitor));
        joined.join(stalest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lifetimes: &Lifetimes, shopper: &ShopperId) -> u64 {
        let partials = lifetimes.of(shopper).iter().flat_map(|life| &life.partials);
        partials.map(|(_, partial)| if let Partial::Count(count) = partial { *count } else { 0 }).sum()
    }

    fn add(lifetimes: &mut Lifetimes, shopper: &ShopperId, visitor: &str, now_ms: i64) {
        add_to(lifetimes, shopper, visitor, now_ms, Heard::default());
    }

    fn add_to(lifetimes: &mut Lifetimes, shopper: &ShopperId, visitor: &str, now_ms: i64, heard: Heard) {
        let piece = Piece { time_ms: now_ms, number: f64::NAN, text: None, currency: None, second: false };
        lifetimes.heard(shopper, Some(&visitor.into()), heard, now_ms).add(1, || Partial::Count(0), &piece);
    }

    #[test]
    fn a_login_moves_them_and_a_device_can_be_taken_out() {
        let mut lifetimes = Lifetimes::new(10);
        let (visitor, user) = (ShopperId::Visitor("v1".into()), ShopperId::User("u1".into()));
        add(&mut lifetimes, &visitor, "v1", 5);
        add(&mut lifetimes, &visitor, "v1", 6);
        add(&mut lifetimes, &user, "v2", 7);
        let lives = pack(lifetimes.take(&visitor, |_| true)).expect("some");
        lifetimes.give(&user, unpack(&lives), None);
        assert_eq!((pack(Vec::new()), unpack("{}")), (None, Vec::new()));
        add(&mut lifetimes, &user, "v1", 8);
        assert_eq!((count(&lifetimes, &user), count(&lifetimes, &visitor)), (4, 0));
        assert_eq!(lifetimes.of(&user).iter().map(|life| life.since_ms).min(), Some(5));
        let other = lifetimes.take(&user, |life| life.visitor == Some("v1".into()));
        lifetimes.give(&visitor, other, None);
        assert_eq!((count(&lifetimes, &user), count(&lifetimes, &visitor)), (1, 3));
    }

    #[test]
    fn what_was_done_before_a_logout_is_apart_from_what_was_done_after_it() {
        let mut lifetimes = Lifetimes::new(10);
        let visitor = ShopperId::Visitor("v1".into());
        add(&mut lifetimes, &visitor, "v1", 5);
        lifetimes.leaves(&visitor, &"v1".into(), 4);
        assert_eq!(lifetimes.of(&visitor)[0].left_ms, None, "they came after it");
        lifetimes.leaves(&visitor, &"v1".into(), 7);
        for (now_ms, left_ms) in [(7, Some(7)), (8, None), (9, Some(7)), (9, None), (9, Some(3))] {
            add_to(&mut lifetimes, &visitor, "v1", now_ms, Heard { acted_ms: None, left_ms });
        }
        lifetimes.leaves(&visitor, &"v1".into(), 9);
        let lives = unpack(&pack(lifetimes.of(&visitor).to_vec()).expect("some"));
        let counts: Vec<_> = lives.iter().map(|life| (life.left_ms, life.partials[0].1.clone())).collect();
        let (seven, nine) = ((Some(7), Partial::Count(3)), (Some(9), Partial::Count(2)));
        assert_eq!(counts, [seven, nine, (Some(3), Partial::Count(1))]);
        let first = lifetimes.take(&visitor, |life| life.left_ms == Some(7));
        assert_eq!((first.len(), count(&lifetimes, &visitor)), (1, 3));
        // Joined for want of room they stay over.
        (20..60).for_each(|at_ms| {
            add(&mut lifetimes, &visitor, "v1", at_ms);
            lifetimes.leaves(&visitor, &"v1".into(), at_ms);
        });
        assert_eq!((count(&lifetimes, &visitor), lifetimes.of(&visitor).len()), (43, LIVES_MAX));
        assert!(lifetimes.of(&visitor).iter().all(|life| life.left_ms.is_some()));
        let joined = lifetimes.of(&visitor).iter().find(|life| life.left_ms == Some(i64::MIN)).expect("of several");
        assert_eq!(joined.visitor, Some("v1".into()), "of one device");
    }

    #[test]
    fn what_was_not_counted_is_remembered_with_every_device() {
        let mut lifetimes = Lifetimes::new(10);
        let (visitor, user) = (ShopperId::Visitor("v1".into()), ShopperId::User("u1".into()));
        let uncounted = |lifetimes: &Lifetimes, shopper: &ShopperId| -> Vec<Option<i64>> {
            lifetimes.of(shopper).iter().map(|life| life.uncounted_ms).collect()
        };
        lifetimes.give(&user, Vec::new(), Some(3));
        assert_eq!(uncounted(&lifetimes, &user), [], "who has no life has nothing to say it of");
        lifetimes.heard(&user, Some(&"v1".into()), Heard { acted_ms: Some(3), left_ms: None }, 5);
        lifetimes.heard(&user, Some(&"v2".into()), Heard { acted_ms: Some(5), left_ms: None }, 6);
        assert_eq!(uncounted(&lifetimes, &user), [Some(3), Some(3)], "what was done at 5 is counted");
        let left = lifetimes.take(&user, |life| life.visitor == Some("v1".into()));
        lifetimes.give(&visitor, unpack(&pack(left).expect("some")), None);
        assert_eq!((uncounted(&lifetimes, &user), uncounted(&lifetimes, &visitor)), (vec![Some(3)], vec![Some(3)]));
        lifetimes.give(&user, Vec::new(), Some(4));
        add(&mut lifetimes, &user, "v3", 7);
        assert_eq!(uncounted(&lifetimes, &user), [Some(4), Some(4)]);
        let earlier = r#"[{"visitor":"v1","since_ms":1,"last_ms":1,"partials":[]}]"#;
        assert_eq!(unpack(earlier).first().map(|life| life.uncounted_ms), Some(None), "as it was written before");
    }

    #[test]
    fn shoppers_and_their_devices_are_bounded() {
        let mut lifetimes = Lifetimes::new(100);
        let faithful = ShopperId::User("faithful".into());
        for number in 0..1_000 {
            add(&mut lifetimes, &ShopperId::Visitor(format!("v{number}").into()), "d", number);
            add(&mut lifetimes, &faithful, &format!("d{number}"), number);
        }
        assert_eq!(lifetimes.table.len(), 100);
        assert_eq!(lifetimes.dropped(), 901);
        assert_eq!(count(&lifetimes, &faithful), 1_000, "nothing of them is lost");
        assert!(lifetimes.of(&faithful).len() <= LIVES_MAX);
    }
}
