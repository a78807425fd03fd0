//! All that is known of one person: visits, what is in the windows, caps, silence.

use crate::oracle::visit::{Stand, Taken, Visit};
use crate::oracle::{Act, Rules, may_be_shown};
use crate::probe;
use midsession_event::{DecisionId, SessionId, ShopperId};
use std::rc::Rc;

/// A decision that counts, counted or waits.
#[derive(Clone, Debug)]
pub struct Cap {
    /// Which.
    pub decision: u128,
    /// Its rule.
    pub rule: String,
    /// In which visit.
    pub visit: u128,
    /// When asked, then when decided. Epoch ms.
    pub at_ms: i64,
    /// Uses up the cap.
    pub counts: bool,
    /// Not decided yet.
    pub pending: bool,
    /// On which device.
    pub device: Option<String>,
}

/// Something served that may have to be taken back.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Which.
    pub decision: u128,
    /// In which visit.
    pub visit: u128,
}

/// A person, or an anonymous visitor.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Partition.
    pub home: u32,
    /// Visits of all devices.
    pub visits: Vec<Visit>,
    /// Too late for any visit.
    pub loose: Vec<Taken>,
    /// Stamp of the last own act. Epoch ms.
    pub heard_ms: Option<i64>,
    /// Silences told since.
    pub told: Vec<i64>,
    /// Decisions.
    pub caps: Vec<Cap>,
    /// Shown now.
    pub shown: Vec<Shown>,
}

/// What follows from an act or from time.
#[derive(Clone, Debug, Default)]
pub struct Follows {
    /// Silences: (session, threshold, at).
    pub silences: Vec<(u128, i64, i64)>,
    /// Candidates: (decision, asked at).
    pub asked: Vec<(u128, i64)>,
    /// Rules that a cap held back.
    pub capped: Vec<String>,
    /// Taken back.
    pub retracted: Vec<u128>,
    /// Reports and answers: decision and name.
    pub reacted: Vec<(u128, String)>,
    /// Visits of which it is told at once.
    pub milestones: Vec<u128>,
    /// No rule is asked, no silence told.
    pub is_mute: bool,
    /// The devices that a user is at; none of an anonymous visitor, who is where they are.
    pub at: Option<Vec<String>>,
}

impl Follows {
    /// Whether rules are asked and silences told on this device; without one it is the shop's server that speaks.
    fn is_asked_on(&self, device: &Option<String>) -> bool {
        self.at.as_ref().zip(device.as_ref()).is_none_or(|(at, device)| at.contains(device))
    }
}

impl Person {
    /// Time passes up to and including `stamp_ms`.
    pub fn passes(&mut self, stamp_ms: i64, rules: &Rules, follows: &mut Follows) {
        let over_ms = rules.gap_ms + rules.grace_ms;
        for threshold_ms in probe::SILENCES_MS {
            let Some(at_ms) = self.heard_ms.map(|heard| heard + threshold_ms).filter(|at| *at <= stamp_ms) else {
                break;
            };
            if self.told.contains(&threshold_ms) {
                continue;
            }
            self.told.push(threshold_ms);
            let awake: Vec<u128> = self
                .visits
                .iter()
                .filter(|visit| visit.stand == Stand::Live && !visit.is_bot() && visit.span_ms().1 + over_ms >= at_ms)
                .filter(|visit| follows.is_asked_on(&visit.device))
                .map(|visit| visit.id)
                .collect();
            if follows.is_mute {
                continue;
            }
            for id in &awake {
                follows.silences.push((*id, threshold_ms, at_ms));
            }
            if threshold_ms == probe::STALLED_MS {
                // All are looked at before any is asked for.
                let wanted: Vec<(u128, bool)> = awake
                    .into_iter()
                    .filter(|id| self.wants(*id))
                    .map(|id| (id, self.has_room("stalled", id, at_ms)))
                    .collect();
                for (id, has_room) in wanted {
                    self.ask("stalled", id, at_ms, has_room, follows);
                }
            }
        }
        for visit in self.visits.iter_mut().filter(|visit| visit.stand == Stand::Live) {
            if visit.span_ms().1 + over_ms <= stamp_ms {
                visit.stand = Stand::Closed;
            }
        }
    }

    /// An act takes effect. False when it is too late for any visit.
    pub fn take(
        &mut self,
        user: Option<&str>,
        (taken, left): (Taken, bool),
        stamp_ms: i64,
        rules: &Rules,
        follows: &mut Follows,
    ) -> bool {
        let act = Rc::clone(&taken.act);
        let time_ms = taken.time_ms;
        let at = self.visit_for(user, (&act, left), time_ms, stamp_ms, rules);
        if act.is_own() {
            self.heard_ms = Some(stamp_ms);
            self.told.clear();
        }
        let Some(at) = at else {
            self.loose.push(taken);
            return false;
        };
        let visit = &mut self.visits[at];
        let before = visit.basket();
        let is_last = visit.taken.is_empty() || time_ms >= visit.span_ms().1;
        if is_last || act.name == "consent" {
            visit.consent = if act.consent_said { act.consent } else { visit.consent & act.consent };
        }
        let is_opened = visit.taken.is_empty();
        visit.taken.push(taken);
        if act.is_own() {
            visit.heard_ms = Some(stamp_ms);
        }
        visit.tracker = if is_last {
            act.tracker.clone().or(visit.tracker.take())
        } else {
            visit.tracker.take().or(act.tracker.clone())
        };
        let is_cart_changed = act.is_about_cart() && (act.name == "add_to_cart" || visit.basket() != before);
        if is_cart_changed {
            visit.cart_version += 1;
        }
        if is_opened || is_cart_changed || act.is_milestone() {
            follows.milestones.push(visit.id);
        }
        let id = visit.id;
        if act.name == "logout" {
            visit.stand = Stand::LoggedOut;
            // What was idle there is over, too.
            let earlier = self.visits.iter_mut().filter(|other| {
                other.stand == Stand::Live && other.device == act.visitor && other.span_ms().1 <= time_ms
            });
            earlier.for_each(|other| other.stand = Stand::Closed);
        }
        if let Some(decision) = act.decision.filter(|_| act.is_about_shown()) {
            follows.reacted.push((decision, act.name.clone()));
            // What is on the page stays until it is answered, and whether it is on the page is not known for sure.
            if act.is_own() {
                self.shown.retain(|shown| shown.decision != decision);
            }
        }
        let is_untrue = |visit: &&Visit| {
            visit.stand != Stand::Live || visit.count("transaction") > 0 || !may_be_shown(visit.consent)
        };
        let untrue: Vec<u128> = self.visits.iter().filter(is_untrue).map(|visit| visit.id).collect();
        for shown in self.shown.iter().filter(|shown| untrue.contains(&shown.visit)) {
            follows.retracted.push(shown.decision);
        }
        self.shown.retain(|shown| !untrue.contains(&shown.visit));
        let is_asked = !act.bot && !follows.is_mute && follows.is_asked_on(&act.visitor);
        if act.name == "add_to_cart" && is_asked && self.wants(id) {
            self.ask("big_cart", id, stamp_ms, self.has_room("big_cart", id, stamp_ms), follows);
        }
        true
    }

    /// Where the act belongs; visits that it joins become one.
    fn visit_for(
        &mut self,
        user: Option<&str>,
        (act, left): (&Act, bool),
        time_ms: i64,
        stamp_ms: i64,
        rules: &Rules,
    ) -> Option<usize> {
        let device = &act.visitor;
        // What was done before the end of a visit that is over is part of no other.
        let is_over =
            |visit: &&Visit| visit.device == *device && matches!(visit.stand, Stand::Closed | Stand::LoggedOut);
        let is_before = |visit: &Visit| time_ms <= visit.span_ms().1 && time_ms >= visit.span_ms().0 - rules.gap_ms;
        if left && user.is_none() || self.visits.iter().filter(is_over).any(is_before) {
            return None;
        }
        let near: Vec<u128> = self
            .visits
            .iter()
            .filter(|visit| {
                visit.device == *device && visit.stand == Stand::Live && visit.is_near(time_ms, rules.gap_ms)
            })
            .map(|visit| visit.id)
            .collect();
        if let Some((first, rest)) = near.split_first() {
            let mut kept = *first;
            for other in rest {
                kept = self.join(kept, *other);
            }
            return self.visits.iter().position(|visit| visit.id == kept);
        }
        let belongs_to_the_past = self.visits.iter().filter(is_over).any(|visit| {
            let ended_ms = visit.span_ms().1;
            // Who logs out leaves; what comes after is a new visit. Where somebody else has come, what is of those who have left the
            // device was before that.
            let takes_more = visit.stand == Stand::Closed || left && visit.count("logout") == 0;
            takes_more && time_ms > ended_ms && time_ms <= ended_ms + rules.gap_ms
        });
        if belongs_to_the_past || time_ms + rules.gap_ms + rules.grace_ms <= stamp_ms {
            return None;
        }
        let source = midsession_event::SourceId::from(act.key.0.as_str());
        // By the device, where there is one, else by the person.
        let who = match (device, user) {
            (Some(device), _) => ShopperId::Visitor(device.as_str().into()),
            (None, user) => ShopperId::User(user.unwrap_or_default().into()),
        };
        self.visits.push(Visit {
            id: SessionId::opened_by(&source, &act.key.1.as_str().into(), &who).0,
            device: device.clone(),
            user: user.map(ToString::to_string),
            source: act.key.0.clone(),
            tracker: None,
            taken: Vec::new(),
            stand: Stand::Live,
            cart_version: 0,
            consent: act.consent,
            heard_ms: None,
        });
        Some(self.visits.len() - 1)
    }

    /// Two visits become one; the smaller id stays. Returns it.
    fn join(&mut self, one: u128, other: u128) -> u128 {
        let (kept, gone) = (one.min(other), one.max(other));
        let Some(lost) = self.visits.iter_mut().find(|visit| visit.id == gone) else { return kept };
        lost.stand = Stand::Into(kept);
        let (taken, version, user) = (lost.taken.clone(), lost.cart_version, lost.user.clone());
        let tracker = lost.tracker.clone();
        let (lost_until_ms, lost_consent, lost_heard_ms) = (lost.span_ms().1, lost.consent, lost.heard_ms);
        if let Some(visit) = self.visits.iter_mut().find(|visit| visit.id == kept) {
            let is_later = lost_until_ms > visit.span_ms().1;
            if is_later {
                visit.consent = lost_consent;
            }
            visit.tracker = if is_later { tracker.or(visit.tracker.take()) } else { visit.tracker.take().or(tracker) };
            visit.taken.extend(taken);
            visit.heard_ms = visit.heard_ms.max(lost_heard_ms);
            visit.cart_version += version;
            visit.user = visit.user.take().or(user);
        }
        self.caps.iter_mut().filter(|cap| cap.visit == gone).for_each(|cap| cap.visit = kept);
        self.shown.iter_mut().filter(|shown| shown.visit == gone).for_each(|shown| shown.visit = kept);
        kept
    }

    /// Nothing but this is allowed any more, on whichever device.
    pub fn narrow(&mut self, consent: i32, retracted: &mut Vec<u128>) {
        self.visits.iter_mut().for_each(|visit| visit.consent &= consent);
        let Self { visits, shown, .. } = self;
        shown.retain(|shown| {
            let stays = visits.iter().any(|visit| visit.id == shown.visit && may_be_shown(visit.consent));
            if !stays {
                retracted.push(shown.decision);
            }
            stays
        });
    }

    /// Somebody else has signed in on this device.
    pub fn parts(&mut self, device: &str, at_ms: i64, retracted: &mut Vec<u128>) {
        let mut over = Vec::new();
        for visit in self.visits.iter_mut().filter(|visit| visit.device.as_deref() == Some(device)) {
            if visit.stand == Stand::Live && visit.span_ms().0 <= at_ms {
                visit.stand = Stand::LoggedOut;
                over.push(visit.id);
            }
        }
        retracted.extend(self.shown.iter().filter(|shown| over.contains(&shown.visit)).map(|shown| shown.decision));
        self.shown.retain(|shown| !over.contains(&shown.visit));
    }

    /// Takes over what is known of a visitor.
    pub fn welcome(&mut self, user: &str, mut moved: Person, order: &mut u64, rules: &Rules) {
        let live = moved.visits.iter_mut().filter(|visit| visit.stand == Stand::Live);
        live.for_each(|visit| visit.user = Some(user.to_string()));
        self.move_in(moved, order, rules);
    }

    /// Takes in what has come from another partition.
    pub fn move_in(&mut self, mut moved: Person, order: &mut u64, rules: &Rules) {
        let is_live = |visit: &Visit| visit.stand == Stand::Live;
        if moved.heard_ms > self.heard_ms && moved.visits.iter().any(is_live) {
            self.heard_ms = moved.heard_ms;
            self.told = moved.told;
        }
        // They arrive in the order of their times.
        let lists = moved.visits.iter_mut().map(|visit| &mut visit.taken).chain([&mut moved.loose]);
        let mut all: Vec<&mut Taken> = lists.flatten().collect();
        all.sort_by_key(|taken| (taken.time_ms, taken.order));
        for taken in all {
            *order += 1;
            taken.order = *order;
        }
        if moved.heard_ms.is_some() {
            moved.visits.iter_mut().filter(|visit| is_live(visit)).for_each(|visit| visit.heard_ms = moved.heard_ms);
        }
        self.visits.extend(moved.visits);
        self.loose.extend(moved.loose);
        for cap in moved.caps {
            match self.caps.iter_mut().find(|known| known.decision == cap.decision) {
                Some(known) => {
                    known.visit = cap.visit;
                    known.counts |= cap.counts;
                }
                None => self.caps.push(cap),
            }
        }
        self.shown.extend(moved.shown);
        while let Some((one, other)) = self.touching(rules) {
            self.join(one, other);
        }
    }

    /// Two live visits of one device that are within a gap of each other.
    fn touching(&self, rules: &Rules) -> Option<(u128, u128)> {
        let live: Vec<&Visit> = self.visits.iter().filter(|visit| visit.stand == Stand::Live).collect();
        live.iter().find_map(|one| {
            let other = live.iter().find(|other| {
                other.id != one.id
                    && other.device == one.device
                    && other.taken.iter().any(|taken| one.is_near(taken.time_ms, rules.gap_ms))
            })?;
            Some((one.id, other.id))
        })
    }

    /// A decision is read. `None` when it has no effect; then whether it counts and still holds.
    pub fn settle(&mut self, decision: u128, counts: bool, served_until_ms: Option<i64>, now_ms: i64) -> Option<bool> {
        let cap = self.caps.iter().find(|cap| cap.decision == decision && cap.pending)?;
        let (id, rule) = (cap.visit, cap.rule.clone());
        let visit = self.visits.iter().find(|visit| visit.id == id);
        let in_time = served_until_ms.is_none_or(|until_ms| until_ms > now_ms);
        // Who has left since is shown nothing: the page is somebody else's.
        let is_here = |visit: &Visit| visit.stand == Stand::Live;
        let is_true = |visit: &Visit| is_here(visit) && visit.count("transaction") == 0 && may_be_shown(visit.consent);
        let holds = in_time && visit.is_some_and(is_true);
        // What does not hold takes no place; the first to hold takes the last one.
        let has_place = self.has_room(&rule, id, now_ms);
        let cap = self.caps.iter_mut().find(|cap| cap.decision == decision)?;
        cap.pending = false;
        cap.at_ms = now_ms;
        cap.counts = counts && has_place && (holds || served_until_ms.is_none());
        let shows = holds && has_place;
        if served_until_ms.is_some() && shows {
            self.shown.push(Shown { decision, visit: id });
        }
        Some(shows)
    }

    fn wants(&self, id: u128) -> bool {
        let Some(visit) = self.visits.iter().find(|visit| visit.id == id) else { return false };
        visit.basket().value.is_some_and(|value| value > probe::CART_ABOVE) && visit.count("transaction") == 0
    }

    /// One per visit, so many in the window.
    fn has_room(&self, rule: &str, id: u128, now_ms: i64) -> bool {
        let counted = || self.caps.iter().filter(|cap| cap.rule == rule && cap.counts);
        counted().all(|cap| cap.visit != id)
            && counted().filter(|cap| cap.at_ms > now_ms - probe::CAP_WINDOW_MS).count() < probe::CAP_IN_WINDOW
    }

    fn ask(&mut self, rule: &str, id: u128, at_ms: i64, has_room: bool, follows: &mut Follows) {
        let version = self.visits.iter().find(|visit| visit.id == id).map_or(0, |visit| visit.cart_version);
        let decision = DecisionId::of(SessionId(id), rule, version).0;
        if self.caps.iter().any(|cap| cap.decision == decision) {
            return;
        }
        if !has_room {
            follows.capped.push(rule.to_string());
            return;
        }
        let device = self.visits.iter().find(|visit| visit.id == id).and_then(|visit| visit.device.clone());
        let rule = rule.to_string();
        self.caps.push(Cap { decision, rule, visit: id, at_ms, counts: false, pending: true, device });
        follows.asked.push((decision, at_ms));
    }
}
