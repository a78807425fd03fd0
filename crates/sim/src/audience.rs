//! Browser tabs at the hub: they listen, break off, resume, paint and answer, and what is written to them is judged.
//!
//! I6, in parts: a page is not written the same twice; only what is durable is written; nothing is written that has
//! expired, was painted or is over, and what is on a page and no longer true is taken back; whoever listens has all that
//! is to be shown. A page says what it knows when it comes back, so all of this holds across restarts.

use crate::audit::Audit;
use crate::house::House;
use crate::rng::Rng;
use midsession_edge::{Message, Reason, Subscription};
use midsession_event::{DecisionId, Event, EventName, VisitorId};
use std::collections::{BTreeMap, BTreeSet};

/// What a page has of a frame.
#[derive(Clone, Copy, Debug)]
struct Held {
    expires_at_ms: i64,
    painted: bool,
    /// It was answered: what becomes of it is the page's own affair.
    answered: bool,
}

struct Tab {
    visitor: VisitorId,
    line: Option<Subscription>,
    got: BTreeSet<u128>,
    holds: BTreeMap<u128, Held>,
}

/// What tabs came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    /// Frames written.
    pub written: u64,
    /// Frames taken back because they were no longer true.
    pub retracted: u64,
    /// Connections of pages that knew a frame already.
    pub resumed: u64,
}

/// The tabs of a run.
pub struct Audience {
    rng: Rng,
    tabs: Vec<Tab>,
    /// What some tab of its visitor has painted or will: the others leave it alone.
    claimed: BTreeSet<u128>,
    /// What machines took back before this process was started: a state goes on from there, and does not say so again.
    retracted_before: BTreeSet<u128>,
    /// What retention, by size, had taken before this process was started: pages that come back are not offered it again, nor told
    /// that it is not true any more.
    gone_before: BTreeSet<u128>,
    /// What was seen before this process was started.
    seen_before: BTreeSet<u128>,
    reports: u64,
    /// What they came to.
    pub watched: Watched,
}

impl Audience {
    /// Some tabs of the first visitors.
    pub fn new(mut rng: Rng) -> Self {
        let tabs = (0..rng.below(8))
            .map(|_| Tab {
                visitor: format!("v{}", rng.below(4)).into(),
                line: None,
                got: BTreeSet::new(),
                holds: BTreeMap::new(),
            })
            .collect();
        Self {
            rng,
            tabs,
            claimed: BTreeSet::new(),
            retracted_before: BTreeSet::new(),
            gone_before: BTreeSet::new(),
            seen_before: BTreeSet::new(),
            reports: 0,
            watched: Watched::default(),
        }
    }

    /// The process is gone, and every connection with it.
    pub fn cut_off(&mut self, house: &House) {
        self.retracted_before.append(&mut house.retracted());
        self.tabs.iter_mut().for_each(|tab| tab.line = None);
    }

    /// A process has been started, and pages come back before it has read its log.
    pub fn begin(&mut self, house: &House, audit: &Audit) -> Result<(), String> {
        let there = house.decided().map_err(|error| error.to_string())?;
        let gone = audit.decisions().map(|decision| decision.decision_id).filter(|id| !there.contains(id));
        self.gone_before.extend(gone.map(|id| id.0));
        self.seen_before.clone_from(audit.seen());
        (0..self.tabs.len()).for_each(|index| self.come_and_go(index, house, 80));
        Ok(())
    }

    /// Connections come and go; what is written is taken and judged. Returns what the pages report, and when. Epoch ms.
    pub fn look(
        &mut self,
        house: &House,
        audit: &mut Audit,
        now_ms: i64,
        clock_ms: i64,
    ) -> Result<Vec<(i64, Event)>, String> {
        let mut reports = Vec::new();
        for index in 0..self.tabs.len() {
            self.come_and_go(index, house, 20);
            let tab = &mut self.tabs[index];
            let Some(line) = tab.line.as_mut() else { continue };
            let mut fresh = BTreeSet::new();
            while let Some((message, _)) = line.try_next() {
                match message {
                    Message::Frame(frame) => {
                        self.watched.written += 1;
                        let id = frame.decision_id;
                        if frame.expires_at_ms <= clock_ms {
                            return Err(format!("I6: written at {clock_ms}, after it expired: {frame:?}"));
                        }
                        if self.seen_before.contains(&id.0) {
                            return Err(format!("I6: written again, painted in an earlier life: {frame:?}"));
                        }
                        if !tab.got.insert(id.0) {
                            return Err(format!("I6: written twice to a page of {}: {frame:?}", tab.visitor));
                        }
                        let held = Held { expires_at_ms: frame.expires_at_ms, painted: false, answered: false };
                        tab.holds.entry(id.0).or_insert(held);
                        fresh.insert(id.0);
                    }
                    Message::Retract(id, reason) => {
                        self.watched.retracted += u64::from(reason == Reason::Overtaken);
                        // What this page painted stays when the others are told of it.
                        if reason != Reason::Painted || tab.holds.get(&id.0).is_some_and(|held| !held.painted) {
                            tab.holds.remove(&id.0);
                        }
                        fresh.remove(&id.0);
                    }
                }
            }
            if line.is_closed() {
                tab.line = None;
            }
            if fresh.is_empty() {
                continue;
            }
            audit.collect(house)?;
            for id in fresh {
                match audit.served(id) {
                    None => return Err(format!("I6: {id:032x} is shown and not on the log")),
                    Some(decision) if decision.visitor_id.as_ref() != Some(&self.tabs[index].visitor) => {
                        return Err(format!("I6: shown to {}: {decision:?}", self.tabs[index].visitor));
                    }
                    _ if audit.is_over(id) => {
                        return Err(format!("I6: {id:032x} is written, though its visit is over or has bought"));
                    }
                    _ if audit.is_seen(id) => {
                        return Err(format!("I6: {id:032x} is written after it was painted"));
                    }
                    _ => self.report(index, id, now_ms, &mut reports),
                }
            }
        }
        Ok(reports)
    }

    /// Everything has been read: pages have what they should, and nothing else.
    pub fn judge(&mut self, house: &House, audit: &Audit, clock_ms: i64) -> Result<(), String> {
        for tab in self.tabs.iter_mut().filter(|tab| tab.line.is_some()) {
            tab.holds.retain(|_, held| held.painted || held.expires_at_ms > clock_ms);
            for decision in audit.decisions() {
                let id = decision.decision_id.0;
                if decision.visitor_id.as_ref() == Some(&tab.visitor)
                    && decision.expires_at_ms > clock_ms
                    && !audit.is_seen(id)
                    && !house.is_retracted(id)
                    && !self.retracted_before.contains(&id)
                    && !self.gone_before.contains(&id)
                    && !audit.is_ended(decision)
                    && !tab.holds.contains_key(&id)
                {
                    return Err(format!("I6: not written to {}: {decision:?}", tab.visitor));
                }
            }
            for (id, held) in tab.holds.iter().filter(|(_, held)| !held.answered) {
                let is_others = !held.painted && self.claimed.contains(id) || self.gone_before.contains(id);
                if let Some(why) = audit.untruth(*id).filter(|_| !is_others) {
                    let decision = audit.served(*id);
                    return Err(format!("I6: on the page of {}, but: {why}: {decision:?}", tab.visitor));
                }
            }
        }
        Ok(())
    }

    /// `comes`: how likely a page is to come back. Percent.
    fn come_and_go(&mut self, index: usize, house: &House, comes: u64) {
        let tab = &mut self.tabs[index];
        if tab.line.is_some() {
            if self.rng.chance(4) {
                tab.line = None;
            }
            return;
        }
        if !self.rng.chance(comes) {
            return;
        }
        if self.rng.chance(25) {
            // Another page.
            tab.got.clear();
            tab.holds.clear();
        }
        self.watched.resumed += u64::from(!tab.got.is_empty());
        let known: Vec<_> = tab.got.iter().copied().map(DecisionId).collect();
        tab.line = Some(house.listen(&tab.visitor, &known));
    }

    /// The page paints it, says so, and is answered; or not.
    fn report(&mut self, index: usize, id: u128, now_ms: i64, reports: &mut Vec<(i64, Event)>) {
        let tab = &mut self.tabs[index];
        if !self.rng.chance(40) || !self.claimed.insert(id) {
            return;
        }
        let Some(held) = tab.holds.get_mut(&id) else { return };
        held.painted = true;
        let answer = match self.rng.below(4) {
            0 => Some(EventName::Dismiss),
            1 => Some(EventName::Click),
            _ => None,
        };
        held.answered = answer.is_some();
        let mut delay_ms = 0;
        for name in [Some(EventName::Painted), answer].into_iter().flatten() {
            delay_ms += self.rng.pick(&[0, 5, 300, 3_000, 60_000]);
            self.reports += 1;
            let mut event = Event::new("page".into(), format!("r{}", self.reports).into(), name, now_ms + delay_ms);
            event.visitor_id = Some(tab.visitor.clone());
            event.decision_id = Some(DecisionId(id).to_string().into());
            reports.push((now_ms + delay_ms, event));
        }
    }
}
