//! What a partition keeps of one shopper, and of one visitor.

use crate::config::{FACTS_MAX, FACTS_OF_ROBOTS_MAX};
use crate::household::{Heard, Household};
use crate::seen::Seen;
use midsession_event::{CapEntry, Consent, DecisionId, SessionId, SessionState, ShopperId, Str, UserId, VisitorId};
use midsession_machine::{Candidate, Effect, Facts, Session, Spilled};
use serde::{Deserialize, Serialize};

/// A shopper at home: all that is known of them is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shopper {
    /// Who.
    pub id: ShopperId,
    /// What they did within the longest window, while it is in memory: [`crate::Stream::facts_of`] has it wherever it is.
    pub(crate) facts: Facts,
    /// They are whole after this: some before it were dropped for want of room. Epoch ms.
    #[serde(default = "never")]
    pub(crate) whole_after_ms: i64,
    /// Their sessions: live ones and those still readable.
    pub sessions: Vec<Session>,
    /// The number of the last session; facts carry it.
    pub last_session: u32,
    /// The numbers of facts that are in none of a user's sessions, by device.
    #[serde(default)]
    pub loose: Box<[Loose]>,
    /// What was decided for them, or is being decided.
    pub caps: Vec<CapEntry>,
    /// Candidates whose decision has not been read yet.
    pub pending: Vec<Candidate>,
    /// Shown in a live session and not answered yet.
    pub shown: Vec<Shown>,
    /// Stamp of their last own event. Epoch ms.
    pub last_stamp_ms: i64,
    /// Silence thresholds up to this have fired since. ms.
    pub idle_fired_ms: i64,
    /// The deadline that counts; others that come up are old.
    pub armed_ms: Option<i64>,
    /// How many of their sessions are open, idle and closed, as counted into the partition's sum.
    #[serde(skip)]
    pub(crate) tally: Tally,
    /// Where their facts stand while they are not in memory.
    #[serde(skip)]
    pub(crate) spilled: Option<Box<Spilled>>,
    /// What their facts take of the budget, as counted into the partition's sum. Bytes.
    #[serde(skip)]
    pub(crate) counted_bytes: usize,
}

/// Nothing has been dropped.
fn never() -> i64 {
    i64::MIN
}

/// A device's facts that are in no session of its any more, or never were: too late for any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loose {
    /// The device.
    pub visitor: VisitorId,
    /// What its facts carry instead of a session's number.
    pub number: u32,
}

/// Sessions by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Open.
    pub open: u32,
    /// Past the gap, within the grace.
    pub idle: u32,
    /// Over, still readable.
    pub closed: u32,
}

impl Tally {
    fn of(sessions: &[Session]) -> Self {
        let mut tally = Self::default();
        for session in sessions {
            match session.state {
                SessionState::Open => tally.open += 1,
                SessionState::Idle => tally.idle += 1,
                SessionState::Closed => tally.closed += 1,
                SessionState::Merged => {}
            }
        }
        tally
    }

    fn replace(&mut self, old: Self, new: Self) {
        for (sum, old, new) in [
            (&mut self.open, old.open, new.open),
            (&mut self.idle, old.idle, new.idle),
            (&mut self.closed, old.closed, new.closed),
        ] {
            *sum = *sum - old + new;
        }
    }

    /// Counts a shopper anew into this sum.
    pub(crate) fn update(&mut self, shopper: &mut Shopper) {
        let new = Self::of(&shopper.sessions);
        self.replace(shopper.tally, new);
        shopper.tally = new;
    }

    /// Takes a shopper who leaves out of this sum.
    pub(crate) fn remove(&mut self, shopper: &Shopper) {
        self.replace(shopper.tally, Self::default());
    }
}

impl Shopper {
    pub(crate) fn new(id: ShopperId) -> Self {
        Self {
            id,
            facts: Facts::default(),
            whole_after_ms: never(),
            sessions: Vec::new(),
            last_session: 0,
            loose: Box::default(),
            caps: Vec::new(),
            pending: Vec::new(),
            shown: Vec::new(),
            last_stamp_ms: i64::MIN,
            idle_fired_ms: 0,
            armed_ms: None,
            tally: Tally::default(),
            spilled: None,
            counted_bytes: 0,
        }
    }

    /// Silences that were due by now are told or over: a session that is live from now on does not bring them back.
    pub(crate) fn pass_over_silences(&mut self, now_ms: i64, idle_thresholds_ms: &[i64]) {
        let silent_ms = now_ms.saturating_sub(self.last_stamp_ms);
        let over_ms = idle_thresholds_ms.iter().filter(|idle_ms| **idle_ms <= silent_ms).max();
        self.idle_fired_ms = self.idle_fired_ms.max(over_ms.copied().unwrap_or(0));
    }

    /// Takes back what was shown but for what stays, by itself or by its session, which may be forgotten.
    pub(crate) fn take_back(&mut self, out: &mut Vec<Effect>, stays: impl Fn(&Shown, Option<&Session>) -> bool) {
        let sessions = &self.sessions;
        self.shown.retain(|shown| {
            let session = sessions.iter().find(|session| session.id == shown.session_id);
            let stays = stays(shown, session);
            if !stays {
                let visitor_id = session.and_then(|session| session.visitor.clone());
                out.push(Effect::Retract { decision_id: shown.decision_id, visitor_id });
            }
            stays
        });
    }

    /// When they last did something, as far as that is known. Epoch ms.
    pub(crate) fn acted_ms(&self) -> Option<i64> {
        // The stamp comes last: a login is heard before it is applied here.
        let in_session_ms = self.sessions.iter().map(|session| session.ended_at_ms).max();
        let stamp_ms = || Some(self.last_stamp_ms).filter(|stamp_ms| *stamp_ms > i64::MIN);
        in_session_ms.or_else(|| self.newest_fact_ms()).or_else(stamp_ms)
    }

    /// Event time of their newest fact, wherever it is. Epoch ms.
    pub(crate) fn newest_fact_ms(&self) -> Option<i64> {
        match &self.spilled {
            Some(spilled) => Some(spilled.newest_ms),
            None => self.facts.all().last().map(|fact| fact.time_ms),
        }
    }

    /// Drops facts where there are too many; says how many.
    pub(crate) fn drop_facts(&mut self) -> u64 {
        if self.facts.all().len() <= FACTS_OF_ROBOTS_MAX {
            return 0;
        }
        let is_robot = self.sessions.iter().any(|session| session.bot);
        let most = if is_robot { FACTS_OF_ROBOTS_MAX } else { FACTS_MAX };
        if self.facts.all().len() <= most {
            return 0;
        }
        // A quarter at a time, so that it costs little per event.
        self.whole_after_ms = self.whole_after_ms.max(self.facts.drop_least(most / 4));
        most as u64 / 4
    }

    /// The live session with the latest event, else the latest of all.
    pub fn current_session(&self) -> Option<&Session> {
        self.sessions.iter().max_by_key(|session| (session.is_live(), session.ended_at_ms, session.number))
    }
}

/// A served decision that may still have to be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Which.
    pub decision_id: DecisionId,
    /// Its rule.
    pub rule: Str,
    /// Its session.
    pub session_id: SessionId,
    /// Not painted after this. Epoch ms.
    pub expires_at_ms: i64,
}

/// A visitor at the partition where their events enter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Visitor {
    /// Event ids that took effect.
    pub seen: Seen,
    /// Who they were, by event time. The last one may be open.
    pub attachments: Vec<Attachment>,
    /// When somebody logged out there, within the time that late events reach back, in order of arrival. Epoch ms.
    #[serde(default)]
    pub logouts: Box<[i64]>,
    /// What was last said in a `consent` event: nothing but another one widens it.
    pub consent: Option<Said>,
    /// What they were told that the user they are attached to allows.
    pub heard: Option<Box<Heard>>,
    /// Of a user: their devices and their word.
    pub household: Option<Box<Household>>,
    /// How many events were in the last second that there was one in.
    pub in_second: Pace,
    /// In the last minute.
    pub in_minute: Pace,
    /// Once they were too many.
    pub hasty: bool,
    /// Stamp of the last event. Epoch ms.
    pub last_stamp_ms: i64,
}

/// Events within a stretch of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    stretch: i64,
    count: u32,
}

/// Stretches of event time, and the most events that a person makes in one. Over it a visitor counts as a robot: a page
/// that reports each of its hundred products at once is none, thirty things a second for a whole minute are.
const HASTY: [(i64, u32); 2] = [(1_000, 100), (60_000, 1_800)];

impl Visitor {
    /// Whoever has been silent for so long that no id of theirs is known may be forgotten at any time, and is a stranger.
    pub(crate) fn expire(&mut self, now_ms: i64, horizon_ms: i64) {
        self.seen.expire(now_ms, horizon_ms);
        if self.seen.is_empty() {
            (self.in_second, self.in_minute, self.hasty) = (Pace::default(), Pace::default(), false);
        }
    }

    /// Remembers when somebody logged out, known here or not; how many had to be forgotten for it.
    pub(crate) fn logs_out(&mut self, time_ms: i64, oldest_ms: i64) -> u64 {
        let known = self.logouts.iter().copied().filter(|known_ms| *known_ms > oldest_ms);
        let known: Vec<i64> = known.chain([time_ms]).collect();
        let over = known.len().saturating_sub(STAYS_MAX);
        self.logouts = known[over..].into();
        over as u64
    }

    /// Counts an event; whether its visitor acts faster than people do. By event time: a queue that was kept while the
    /// network was away comes at once too.
    pub(crate) fn is_hasty(&mut self, time_ms: i64) -> bool {
        for (pace, (stretch_ms, most)) in [&mut self.in_second, &mut self.in_minute].into_iter().zip(HASTY) {
            let stretch = time_ms.div_euclid(stretch_ms);
            if stretch > pace.stretch {
                *pace = Pace { stretch, count: 0 };
            }
            // Late ones belong to a stretch that is over.
            pace.count += u32::from(stretch == pace.stretch);
            self.hasty |= pace.count > most;
        }
        self.hasty
    }
}

/// Stays on one device within the time that late events reach back, and logouts: a terminal in a store has hundreds a day. What
/// comes late of one that went over it is taken for nobody's.
pub(crate) const STAYS_MAX: usize = 512;

/// A consent as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What.
    pub consent: Consent,
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// As which user it was said (a hash of the id); 0 for nobody.
    #[serde(default)]
    pub by: i64,
}

/// An interval of event time in which a visitor is a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Who.
    pub user: UserId,
    /// From this event time on. Epoch ms.
    pub from_ms: i64,
    /// Up to this one; open while signed in. Epoch ms.
    pub to_ms: Option<i64>,
    /// Event time of the login; not known of those that earlier versions have left. Epoch ms.
    #[serde(default)]
    pub since_ms: Option<i64>,
    /// It ended because somebody else has come, not by a logout; not known of those that earlier versions have left.
    #[serde(default)]
    pub displaced: Option<bool>,
}

impl Attachment {
    /// Whether this instant of event time lies in it.
    pub fn holds(&self, time_ms: i64) -> bool {
        self.from_ms <= time_ms && self.to_ms.is_none_or(|to_ms| time_ms <= to_ms)
    }

    /// Ends it: by a clock that is behind not before it began.
    pub fn ends(&mut self, time_ms: i64) {
        self.to_ms = Some(time_ms.max(self.since_ms.unwrap_or(self.from_ms)));
        self.displaced = Some(false);
    }
}

/// Whether a stay ended as the next one's person came. Where nothing says so, by the instant.
pub(crate) fn is_displaced(stays: &[Attachment], at: usize) -> bool {
    let stay = &stays[at];
    stay.displaced.unwrap_or_else(|| {
        let came_ms = stays.get(at + 1).and_then(|next| next.since_ms);
        stay.to_ms.zip(came_ms).is_some_and(|(to_ms, came_ms)| to_ms == (came_ms - 1).max(stay.from_ms))
    })
}

/// The first instant that may belong to an attachment after these, by a login at this time: after the one before, and after a
/// logout of whoever was there unknown. Epoch ms.
pub(crate) fn floor_ms(before: &[Attachment], logouts: &[i64], time_ms: i64, oldest_ms: i64) -> i64 {
    let left_ms = before.last().and_then(|last| last.to_ms);
    let logout_ms = logouts.iter().copied().filter(|logout_ms| *logout_ms < time_ms).max();
    left_ms.max(logout_ms).map_or(oldest_ms, |left_ms| left_ms.max(oldest_ms)).saturating_add(1)
}

/// Forgets stays, but for one that somebody has displaced who is known: should it turn out not to have been them, it goes on.
pub(crate) fn forget(stays: &mut Vec<Attachment>, is_known: impl Fn(&Attachment) -> bool) {
    let mut at = 0;
    while let Some(stay) = stays.get(at) {
        if is_known(stay) || is_displaced(stays, at) && stays.get(at + 1).is_some_and(&is_known) {
            at += 1;
        } else {
            stays.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_than_people_act_is_a_robot_for_good() {
        let mut person = Visitor::default();
        // A hundred within one second, a moment later a hundred more, and a late one between.
        for second in [7_000, 8_000] {
            assert!((0..100).all(|count| !person.is_hasty(second + count)), "a hundred within a second are allowed");
        }
        assert!(!person.is_hasty(7_999));
        let mut robot = Visitor::default();
        let hasty = (0..101).filter(|count| robot.is_hasty(7_000 + count * 9)).count();
        assert_eq!(hasty, 1, "from the hundred and first on");
        assert!(robot.is_hasty(9_000_000), "once a robot, always a robot");
        let mut steady = Visitor::default();
        let hasty = (0..3_600).filter(|count| steady.is_hasty(120_000 + count * 33)).count();
        // 1,819 fit into the first minute, and what follows is a robot's.
        assert_eq!(hasty, 1_800, "more than eighteen hundred within a minute");
        let mut late = Visitor::default();
        let at_ms = |count: i64| 120_000 + count * 20 - count % 50 / 49 * 90_000;
        let hasty = (0..3_000).filter(|count| late.is_hasty(at_ms(*count))).count();
        assert!(hasty > 1_000, "late events do not make the count start anew: {hasty}");
        let mut busy = Visitor::default();
        assert!(!(0..3_600).any(|count| busy.is_hasty(120_000 + count * 34)), "just under thirty a second");
    }

    #[test]
    fn who_may_be_forgotten_is_a_stranger() {
        let (day_ms, mut robot) = (86_400_000, Visitor::default());
        for (now_ms, is_robot) in [(0, true), (day_ms, true), (2 * day_ms + 999, true), (3 * day_ms + 2_000, false)] {
            robot.expire(now_ms, day_ms);
            assert!(robot.seen.insert(now_ms.cast_unsigned(), now_ms));
            let acts = if now_ms == 0 { 101 } else { 1 };
            let found = (0..acts).map(|count| robot.is_hasty(now_ms + count)).last();
            assert_eq!(found, Some(is_robot), "at {now_ms}");
        }
    }
}
