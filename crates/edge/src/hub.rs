//! Interventions on their way to browsers: a mailbox per visitor, and every connection of that visitor.
//!
//! A frame stays in the mailbox until it is painted, retracted or expired, so that a page that loads or reconnects
//! meanwhile still gets it. Every queue is bounded: a full mailbox drops its oldest frame, a slow connection is closed,
//! and both are counted.

use crate::clock;
use crate::frame::{Frame, Message, Reason};
use midsession_event::{DecisionId, VisitorId};
use midsession_observe::{Metric, Observe};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bounds of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubLimits {
    /// Frames waiting for one visitor; the oldest goes first.
    pub frames_per_visitor: usize,
    /// Connections of one visitor; the oldest is closed.
    pub connections_per_visitor: usize,
    /// Frames in all mailboxes; further ones are not taken.
    pub frames: usize,
    /// Messages waiting for one connection; a slower one is closed.
    pub queue: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { frames_per_visitor: 32, connections_per_visitor: 16, frames: 200_000, queue: 64 }
    }
}

/// Epoch ms.
pub type HubClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Mailboxes and connections of all visitors.
pub struct PushHub {
    limits: HubLimits,
    observe: Arc<Observe>,
    clock: HubClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mailboxes: HashMap<VisitorId, Mailbox>,
    /// Whose mailbox a waiting frame lies in.
    owners: HashMap<DecisionId, VisitorId>,
    /// Waiting frames by expiry. Epoch ms.
    expiries: BTreeSet<(i64, DecisionId)>,
    connections_opened: u64,
    /// Painted or retracted: not to be taken any more. After a restart partitions are replayed side by side, so the
    /// news that a frame was painted can come before the frame. The oldest go first.
    gone: HashMap<DecisionId, Reason>,
    gone_order: VecDeque<DecisionId>,
}

#[derive(Default)]
struct Mailbox {
    pending: VecDeque<Arc<Frame>>,
    connections: Vec<Connection>,
}

struct Connection {
    id: u64,
    /// What its page had before, at most what one connection may name.
    known: Vec<DecisionId>,
    sender: mpsc::Sender<Message>,
}

impl PushHub {
    /// An empty hub.
    pub fn new(observe: Arc<Observe>, limits: HubLimits) -> Arc<Self> {
        Self::with_clock(observe, limits, Arc::new(clock::now_ms))
    }

    /// An empty hub under another clock than the wall's.
    pub fn with_clock(observe: Arc<Observe>, limits: HubLimits, clock: HubClock) -> Arc<Self> {
        Arc::new(Self { limits, observe, clock, state: Mutex::default() })
    }

    /// Hands a frame to every connection of the visitor, and keeps it for those to come. The same decision is taken
    /// once; an expired one never.
    pub fn push(&self, visitor: &VisitorId, frame: Frame) {
        let now_ms = (self.clock)();
        let mut state = self.state.lock();
        state.sweep(now_ms);
        let decision = frame.decision_id;
        if frame.expires_at_ms <= now_ms {
            return self.dropped("expired");
        }
        if state.gone.contains_key(&decision) {
            return;
        }
        if state.owners.len() >= self.limits.frames {
            return self.dropped("hub_full");
        }
        let state = &mut *state;
        let mailbox = state.mailboxes.entry(visitor.clone()).or_default();
        if mailbox.pending.iter().any(|waiting| waiting.decision_id == decision) {
            return;
        }
        if mailbox.pending.len() >= self.limits.frames_per_visitor
            && let Some(oldest) = mailbox.pending.pop_front()
        {
            state.owners.remove(&oldest.decision_id);
            state.expiries.remove(&(oldest.expires_at_ms, oldest.decision_id));
            self.dropped("mailbox_full");
        }
        state.owners.insert(decision, visitor.clone());
        state.expiries.insert((frame.expires_at_ms, decision));
        let frame = Arc::new(frame);
        mailbox.pending.push_back(frame.clone());
        self.send(mailbox, &Message::Frame(frame));
    }

    /// Takes a frame back everywhere: it no longer fits. One that is painted already is taken back from the visitor's
    /// pages.
    pub fn retract(&self, decision: DecisionId, visitor: Option<&VisitorId>) {
        self.remove(decision, visitor, Reason::Overtaken);
    }

    /// A tab has painted it: the others shall not.
    pub fn painted(&self, decision: DecisionId) {
        self.remove(decision, None, Reason::Painted);
    }

    /// Takes back all that waits for a rule that was switched off, or changed; `stays`: but for these.
    pub fn retract_rule(&self, rule: &str, stays: &dyn Fn(DecisionId) -> bool) {
        let of_rule = |mailbox: &Mailbox| {
            let frames = mailbox.pending.iter().filter(|frame| frame.rule == rule && !frame.preview);
            frames.map(|frame| frame.decision_id).collect::<Vec<_>>()
        };
        let waiting: Vec<DecisionId> = self.state.lock().mailboxes.values().flat_map(of_rule).collect();
        waiting.into_iter().filter(|decision| !stays(*decision)).for_each(|decision| self.retract(decision, None));
    }

    /// Frames, and retractions, that are kept in mind at once.
    pub fn frames_max(&self) -> usize {
        self.limits.frames
    }

    /// Browsers listening now.
    pub fn connections(&self) -> usize {
        self.state.lock().mailboxes.values().map(|mailbox| mailbox.connections.len()).sum()
    }

    /// Browser tabs of a visitor that listen now.
    pub fn connections_of(&self, visitor: &VisitorId) -> usize {
        self.state.lock().mailboxes.get(visitor).map_or(0, |mailbox| mailbox.connections.len())
    }

    /// Opens a connection of a visitor: what was taken back of what the page knows, then what waits and the page does
    /// not know, then what comes. The page says itself what it knows, so a hub that was just started, or has forgotten
    /// the mailbox, answers it as well as any other.
    pub fn subscribe(self: &Arc<Self>, visitor: &VisitorId, known: &[DecisionId]) -> Subscription {
        let mut state = self.state.lock();
        state.sweep((self.clock)());
        let state = &mut *state;
        state.connections_opened += 1;
        let id = state.connections_opened;
        let mailbox = state.mailboxes.entry(visitor.clone()).or_default();
        if mailbox.connections.len() >= self.limits.connections_per_visitor {
            mailbox.connections.remove(0);
            self.dropped("too_many_connections");
        }
        let is_overtaken = |decision: &&DecisionId| state.gone.get(*decision) == Some(&Reason::Overtaken);
        let gone: Vec<_> =
            known.iter().filter(is_overtaken).map(|id| Message::Retract(*id, Reason::Overtaken)).collect();
        let (sender, receiver) = mpsc::channel(self.limits.queue.max(self.limits.frames_per_visitor) + gone.len());
        let unknown = mailbox.pending.iter().filter(|frame| !known.contains(&frame.decision_id));
        let mut backlog = 0;
        // Room for all of it, and for a whole mailbox, has just been made.
        for message in gone.into_iter().chain(unknown.map(|frame| Message::Frame(frame.clone()))) {
            backlog += usize::from(sender.try_send(message).is_ok());
        }
        mailbox.connections.push(Connection { id, known: known.to_vec(), sender });
        self.observe.metrics.shift(Metric::PushConnections, 1);
        Subscription { id, visitor: visitor.clone(), hub: self.clone(), receiver, backlog }
    }

    fn remove(&self, decision: DecisionId, visitor: Option<&VisitorId>, reason: Reason) {
        let mut state = self.state.lock();
        let known = state.gone.get(&decision).copied();
        if known != Some(Reason::Overtaken) {
            state.gone.insert(decision, reason);
        }
        if known.is_none() {
            state.gone_order.push_back(decision);
            if state.gone_order.len() > self.limits.frames
                && let Some(oldest) = state.gone_order.pop_front()
            {
                state.gone.remove(&oldest);
            }
        }
        let Some(visitor) = state.forget(decision).or_else(|| visitor.cloned()) else { return };
        if let Some(mailbox) = state.mailboxes.get_mut(&visitor) {
            self.send(mailbox, &Message::Retract(decision, reason));
        }
        state.tidy(&visitor);
    }

    fn send(&self, mailbox: &mut Mailbox, message: &Message) {
        mailbox.connections.retain(|Connection { known, sender, .. }| {
            // After a restart a page may be back before the log says that its frame waits.
            let is_known = matches!(message, Message::Frame(frame) if known.contains(&frame.decision_id));
            let sent = is_known || sender.try_send(message.clone()).is_ok();
            if !sent {
                self.dropped("slow_connection");
            }
            sent
        });
    }

    fn dropped(&self, cause: &str) {
        self.observe.metrics.add_by(Metric::PushDropped, cause, 1);
    }
}

impl State {
    /// Forgets what has expired. The tracker minds the expiry too, so nothing is sent.
    fn sweep(&mut self, now_ms: i64) {
        while let Some(&(expires_at_ms, decision)) = self.expiries.first()
            && expires_at_ms <= now_ms
        {
            match self.forget(decision) {
                Some(visitor) => self.tidy(&visitor),
                // Invariant: expiries and owners hold the same decisions; were one missing, this ends the loop.
                None => drop(self.expiries.pop_first()),
            }
        }
    }

    /// Takes a frame out of its mailbox.
    fn forget(&mut self, decision: DecisionId) -> Option<VisitorId> {
        let visitor = self.owners.remove(&decision)?;
        if let Some(mailbox) = self.mailboxes.get_mut(&visitor)
            && let Some(at) = mailbox.pending.iter().position(|frame| frame.decision_id == decision)
            && let Some(frame) = mailbox.pending.remove(at)
        {
            self.expiries.remove(&(frame.expires_at_ms, decision));
        }
        Some(visitor)
    }

    fn tidy(&mut self, visitor: &VisitorId) {
        if self
            .mailboxes
            .get(visitor)
            .is_some_and(|mailbox| mailbox.pending.is_empty() && mailbox.connections.is_empty())
        {
            self.mailboxes.remove(visitor);
        }
    }
}

/// One connection's end of the hub; dropping it closes the connection.
pub struct Subscription {
    id: u64,
    visitor: VisitorId,
    hub: Arc<PushHub>,
    receiver: mpsc::Receiver<Message>,
    /// Messages yet to come that waited before the connection was opened.
    backlog: usize,
}

impl Subscription {
    /// The next message to be written, and whether it came since the connection was opened; `None` when the hub has
    /// closed it.
    pub async fn next(&mut self) -> Option<(Message, bool)> {
        loop {
            let message = self.receiver.recv().await?;
            if let due @ Some(_) = self.due(message) {
                return due;
            }
        }
    }

    /// The next message to be written, if there is one.
    pub fn try_next(&mut self) -> Option<(Message, bool)> {
        loop {
            let message = self.receiver.try_recv().ok()?;
            if let due @ Some(_) = self.due(message) {
                return due;
            }
        }
    }

    /// The hub has closed it.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed() && self.receiver.is_empty()
    }

    /// What has expired while it waited here is not written.
    fn due(&mut self, message: Message) -> Option<(Message, bool)> {
        let is_live = self.backlog == 0;
        self.backlog = self.backlog.saturating_sub(1);
        if matches!(&message, Message::Frame(frame) if frame.expires_at_ms <= (self.hub.clock)()) {
            self.hub.dropped("expired");
            return None;
        }
        Some((message, is_live))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        if let Some(mailbox) = state.mailboxes.get_mut(&self.visitor) {
            mailbox.connections.retain(|connection| connection.id != self.id);
        }
        state.tidy(&self.visitor);
        self.hub.observe.metrics.shift(Metric::PushConnections, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u128, expires_in_ms: i64) -> Frame {
        Frame {
            decision_id: DecisionId(id),
            rule: "r".into(),
            slot: "nudge".into(),
            payload: serde_json::json!({ "title": "Still thinking?" }),
            expires_at_ms: clock::now_ms() + expires_in_ms,
            preview: false,
            cause_event_id: None,
            by_silence: false,
            deadline_ms: None,
            stamps_us: Default::default(),
        }
    }

    fn hub(limits: HubLimits) -> (Arc<PushHub>, VisitorId) {
        (PushHub::new(Observe::new(), limits), "v1".into())
    }

    fn received(subscription: &mut Subscription) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(message) = subscription.receiver.try_recv() {
            all.push(match message {
                Message::Frame(frame) => format!("+{}", frame.decision_id.0),
                Message::Retract(decision, reason) => format!("-{} {reason:?}", decision.0),
            });
        }
        all
    }

    #[test]
    fn every_connection_of_the_visitor_gets_it_once() {
        let (hub, visitor) = hub(HubLimits::default());
        let mut one = hub.subscribe(&visitor, &[]);
        let mut two = hub.subscribe(&visitor, &[]);
        let mut other = hub.subscribe(&"v2".into(), &[]);
        hub.push(&visitor, frame(1, 60_000));
        hub.push(&visitor, frame(1, 60_000));
        hub.painted(DecisionId(1));
        hub.push(&visitor, frame(1, 60_000));
        assert_eq!(received(&mut one), ["+1", "-1 Painted"]);
        assert_eq!(received(&mut two), ["+1", "-1 Painted"]);
        assert_eq!(received(&mut other), [""; 0]);
        assert_eq!(hub.connections(), 3);
        drop((one, two, other));
        assert_eq!(hub.connections(), 0);
        assert!(hub.state.lock().mailboxes.is_empty(), "an idle mailbox is kept");
    }

    #[test]
    fn what_is_known_to_be_painted_is_not_taken() {
        let (hub, visitor) = hub(HubLimits { frames: 2, ..HubLimits::default() });
        for id in 1..=3 {
            hub.painted(DecisionId(id));
        }
        for id in 2..=4 {
            hub.push(&visitor, frame(id, 60_000));
        }
        assert_eq!(received(&mut hub.subscribe(&visitor, &[])), ["+4"]);
        assert_eq!(hub.state.lock().gone.len(), 2, "bounded");
    }

    #[test]
    fn a_late_connection_gets_what_still_waits_and_what_was_taken_back() {
        let (hub, visitor) = hub(HubLimits::default());
        for id in 1..=4 {
            hub.push(&visitor, frame(id, 60_000));
        }
        hub.retract(DecisionId(2), None);
        hub.push(&visitor, frame(5, 0));
        let told = |hub: &Arc<PushHub>, known: &[u128]| {
            let known: Vec<_> = known.iter().map(|id| DecisionId(*id)).collect();
            received(&mut hub.subscribe(&visitor, &known))
        };
        assert_eq!(told(&hub, &[]), ["+1", "+3", "+4"]);
        assert_eq!(told(&hub, &[1]), ["+3", "+4"]);
        assert_eq!(told(&hub, &[1, 2, 4]), ["-2 Overtaken", "+3"]);
        assert_eq!(told(&hub, &[99]), ["+1", "+3", "+4"]);
        hub.retract(DecisionId(3), None);
        hub.painted(DecisionId(4));
        assert_eq!(told(&hub, &[1, 2, 3, 4]), ["-2 Overtaken", "-3 Overtaken"]);
        (1..=5).for_each(|id| hub.retract(DecisionId(id), None));
        assert!(hub.state.lock().mailboxes.is_empty() && hub.state.lock().expiries.is_empty());
        assert_eq!(told(&hub, &[5, 1]), ["-5 Overtaken", "-1 Overtaken"]);
        assert_eq!(told(&hub, &[6]), [""; 0]);
        // A process that was started again hears of it from the log, before or after the page is back.
        let (hub, _) = self::hub(HubLimits::default());
        hub.retract(DecisionId(1), Some(&visitor));
        let mut page = hub.subscribe(&visitor, &[DecisionId(1), DecisionId(2)]);
        hub.push(&visitor, frame(2, 60_000));
        hub.retract(DecisionId(2), None);
        assert_eq!(received(&mut page), ["-1 Overtaken", "-2 Overtaken"]);
    }

    #[test]
    fn a_rule_that_was_switched_off_is_shown_to_nobody() {
        let (hub, visitor) = hub(HubLimits::default());
        let mut page = hub.subscribe(&visitor, &[]);
        hub.push(&visitor, frame(1, 60_000));
        hub.push(&visitor, Frame { rule: "other".into(), ..frame(2, 60_000) });
        hub.push(&visitor, Frame { preview: true, ..frame(3, 60_000) });
        hub.push(&"v2".into(), frame(4, 60_000));
        hub.retract_rule("r", &|_| false);
        assert_eq!(received(&mut page), ["+1", "+2", "+3", "-1 Overtaken"]);
        assert_eq!(received(&mut hub.subscribe(&visitor, &[DecisionId(1)])), ["-1 Overtaken", "+2", "+3"]);
        assert_eq!(received(&mut hub.subscribe(&"v2".into(), &[])), [""; 0]);
    }

    #[test]
    fn what_is_overtaken_stays_so_whenever_it_is_painted() {
        let (hub, visitor) = hub(HubLimits::default());
        hub.push(&visitor, frame(1, 60_000));
        hub.push(&visitor, frame(2, 60_000));
        hub.painted(DecisionId(1));
        hub.retract(DecisionId(1), Some(&visitor));
        hub.retract(DecisionId(2), Some(&visitor));
        hub.painted(DecisionId(2));
        let known = [DecisionId(1), DecisionId(2)];
        assert_eq!(received(&mut hub.subscribe(&visitor, &known)), ["-1 Overtaken", "-2 Overtaken"]);
    }

    #[test]
    fn what_expires_while_it_waits_for_a_slow_connection_is_not_written() {
        let now_ms = Arc::new(std::sync::atomic::AtomicI64::new(clock::now_ms()));
        let reads = now_ms.clone();
        let clock: HubClock = Arc::new(move || reads.load(std::sync::atomic::Ordering::Relaxed));
        let (hub, visitor) = (PushHub::with_clock(Observe::new(), HubLimits::default(), clock), "v1".into());
        hub.push(&visitor, frame(1, 30_000));
        let mut page = hub.subscribe(&visitor, &[]);
        hub.push(&visitor, frame(2, 30_000));
        hub.push(&visitor, frame(3, 90_000));
        now_ms.fetch_add(60_000, std::sync::atomic::Ordering::Relaxed);
        let next = page.try_next();
        assert!(matches!(&next, Some((Message::Frame(frame), true)) if frame.decision_id == DecisionId(3)), "{next:?}");
        assert_eq!(page.try_next(), None);
        assert_eq!(hub.observe.metrics.get(Metric::PushDropped, Some("expired")), 2);
    }

    #[test]
    fn expired_frames_are_forgotten() {
        let (hub, visitor) = hub(HubLimits::default());
        hub.push(&visitor, frame(1, 60_000));
        hub.push(&visitor, frame(2, 120_000));
        hub.state.lock().sweep(clock::now_ms() + 90_000);
        assert_eq!(received(&mut hub.subscribe(&visitor, &[])), ["+2"]);
        hub.state.lock().sweep(clock::now_ms() + 200_000);
        let state = hub.state.lock();
        assert!(state.owners.is_empty() && state.expiries.is_empty() && state.mailboxes.is_empty());
    }

    #[test]
    fn full_queues_drop_and_count() {
        let limits = HubLimits { frames_per_visitor: 2, connections_per_visitor: 2, frames: 3, queue: 2 };
        let (hub, visitor) = hub(limits);
        let mut slow = hub.subscribe(&visitor, &[]);
        for id in 1..=3 {
            hub.push(&visitor, frame(id, 60_000));
        }
        assert_eq!(received(&mut slow), ["+1", "+2"]);
        assert_eq!(hub.connections(), 0, "the slow one is closed");
        assert_eq!(received(&mut hub.subscribe(&visitor, &[])), ["+2", "+3"]);
        let kept: Vec<_> = (0..3).map(|_| hub.subscribe(&visitor, &[])).collect();
        assert_eq!(hub.connections(), 2);
        hub.push(&"v2".into(), frame(4, 60_000));
        hub.push(&"v3".into(), frame(5, 60_000));
        drop(kept);
        for cause in ["slow_connection", "mailbox_full", "too_many_connections", "hub_full"] {
            assert_eq!(hub.observe.metrics.get(Metric::PushDropped, Some(cause)), 1, "{cause}");
        }
    }
}
