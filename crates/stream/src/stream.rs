//! The state of a partition and the way of a record through it.

use crate::apply::is_reaction;
use crate::counters::Counters;
use crate::household::mark_of;
use crate::room::Room;
use crate::seams::Home;
use crate::shopper::{Attachment, Shopper, Tally, Visitor};
use crate::slots::Slots;
use crate::snapshot::Snapshot;
use crate::spill::Spilling;
use crate::sweep::Sweep;
use crate::trackers::TrackerSessions;
use crate::unmerge::Unmerged;
use crate::watch::Watch;
use crate::{Config, Defect};
use midsession_event::{
    DecisionId, Event, EventName, Forward, OutputId, PartitionId, Record, SessionId, ShopperId, UserId,
};
use midsession_machine::{Candidate, Defined, Definitions, Effect, Map, Names, Partials, Session, Timers, View};

/// One partition's sessions, identities, duplicates, facts and timers.
#[derive(Debug)]
pub struct Stream {
    pub(crate) partition: PartitionId,
    pub(crate) config: Config,
    pub(crate) shoppers: Slots<Shopper>,
    pub(crate) visitors: Slots<(ShopperId, Visitor)>,
    pub(crate) sessions: Map<SessionId, u32>,
    pub(crate) tracker_sessions: TrackerSessions,
    /// The last record applied from each other partition.
    pub(crate) received: Map<PartitionId, (i64, u32)>,
    pub(crate) names: Names,
    pub(crate) currencies: Names,
    /// What definitions by a field, and over a lifetime, have added up.
    pub(crate) partials: Partials,
    /// What the log has put in force so far.
    pub(crate) defined: Defined,
    pub(crate) timers: Timers<u32>,
    /// Silences that rules wait for, as of the record at hand.
    pub(crate) idle_thresholds: Vec<i64>,
    /// How far caps look back, likewise. ms.
    pub(crate) caps_look_back_ms: i64,
    pub(crate) sweep: Sweep,
    pub(crate) room: Room,
    pub(crate) unmerged: Unmerged,
    pub(crate) counters: Counters,
    pub(crate) tally: Tally,
    pub(crate) watch: Watch,
    /// Place and `now` of the record at hand.
    pub(crate) offset: i64,
    pub(crate) now_ms: i64,
    pub(crate) ordinal: u32,
    /// The snapshot under way.
    pub(crate) snapshot: Option<Box<Snapshot>>,
    /// Where facts go that are over a budget, if there is one.
    pub(crate) spilling: Option<Box<Spilling>>,
}

/// What the last event record did: for timelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// Took effect in this session.
    Applied(SessionId),
    /// A repeat.
    Duplicate,
    /// Fitted no session any more.
    TooLate,
    /// Sent on to the user's home.
    Forwarded,
    /// Without a visitor or a user.
    Keyless,
    /// From a shopper who has withdrawn their consent.
    Refused,
}

impl Stream {
    /// An empty partition.
    pub fn new(partition: PartitionId, config: Config) -> Self {
        Self {
            partition,
            config,
            shoppers: Slots::default(),
            visitors: Slots::default(),
            sessions: Map::default(),
            tracker_sessions: TrackerSessions::default(),
            received: Map::default(),
            names: Names::default(),
            currencies: Names::default(),
            partials: Partials::new(config.field_bytes_max, config.shoppers_max),
            defined: Defined::default(),
            timers: Timers::default(),
            idle_thresholds: Vec::new(),
            caps_look_back_ms: 0,
            sweep: Sweep::default(),
            room: Room::default(),
            unmerged: Unmerged::default(),
            counters: Counters::default(),
            tally: Tally::default(),
            watch: Watch::default(),
            offset: -1,
            now_ms: i64::MIN,
            ordinal: 0,
            snapshot: None,
            spilling: None,
        }
    }

    /// Takes the next record of the log. Timers due by its stamp fire first, each at its own deadline.
    ///
    /// Says what became of an event (`None` for other records).
    pub fn on_record<D: Definitions>(
        &mut self,
        offset: i64,
        stamp_ms: i64,
        record: Record,
        definitions: &D,
        out: &mut Vec<Effect>,
    ) -> Option<Seam> {
        self.watch_place(offset, stamp_ms);
        let effects_before = out.len();
        self.offset = offset;
        self.ordinal = 0;
        self.fire_due(stamp_ms, definitions, out);
        // A stamp never goes back; should a log break that promise, time stands still instead.
        self.now_ms = self.now_ms.max(stamp_ms);
        let seam = match record {
            Record::Event(event) => {
                let is_word = event.name == EventName::Consent;
                let named = event.visitor_id.as_ref().filter(|_| is_word).and_then(|it| self.is_named(it.clone()));
                let seam = self.on_event(event, definitions, out);
                self.names_anew(named, out);
                Some(seam)
            }
            Record::Tick(_) => {
                self.counters.ticks += 1;
                None
            }
            Record::Decision(decision) => {
                self.on_decision(*decision, definitions, out);
                None
            }
            Record::Handoff(handoff) => {
                let again = handoff.returns && self.config.has(Defect::UnmergeTwice);
                if self.is_new(handoff.id) || again {
                    if handoff.returns { self.on_return(*handoff, out) } else { self.on_handoff(*handoff, out) }
                }
                None
            }
            Record::Unmerge(unmerge) => {
                self.on_unmerge(*unmerge, out);
                None
            }
            Record::Recall(recall) => {
                if self.is_new(recall.id) {
                    self.on_recall(*recall, out);
                }
                None
            }
            Record::Forward(forward) if forward.is_parting() => {
                self.is_parted(&forward, out);
                None
            }
            Record::Forward(forward) => self.is_new(forward.id).then(|| {
                self.counters.arrived += 1;
                let Forward { user_id, mut event, left, .. } = *forward;
                // The same one may have come by another device, or from the shop's server, which names the user alone.
                let home = self.visitor_index(&ShopperId::User(user_id.clone()));
                if !self.is_first(home, &event) {
                    return Seam::Duplicate;
                }
                self.apply_at_home(home, user_id, (&mut event, left), definitions, out)
            }),
            Record::Told(told) => {
                if self.is_new(told.id) {
                    let named = self.is_named(told.visitor_id.clone());
                    self.on_told(*told, out);
                    self.names_anew(named, out);
                }
                None
            }
            Record::Definition(change) => {
                self.on_definition(&change, definitions);
                None
            }
            Record::Filled(filled) => {
                self.on_filled(*filled);
                None
            }
        };
        self.sweep_some();
        self.spill_over();
        self.watch_effects(out.get(effects_before..).unwrap_or_default());
        seam
    }

    /// The next instant at which something happens by itself. Epoch ms.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_deadline_ms()
    }

    /// The partition's last record: (offset, stamp).
    pub fn as_of(&self) -> (i64, i64) {
        (self.offset, self.now_ms)
    }

    /// Which partition.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let Partials { fields, lifetimes } = &self.partials;
        Counters {
            fields_dropped: fields.dropped(),
            lifetimes_dropped: lifetimes.dropped(),
            violations: self.violations(),
            ..self.counters
        }
    }

    /// Sessions at home here, by state.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The view of a shopper that is at home here. `now_ms` may be ahead of the log.
    pub fn view<'a>(&'a self, id: &ShopperId, now_ms: i64) -> Option<View<'a>> {
        let shopper = self.shoppers.get(self.shoppers.find(id)? as usize)?;
        let session = shopper.current_session().filter(|session| !self.config.is_past(session, now_ms));
        (!self.is_gone(shopper, now_ms)).then(|| self.view_of(shopper, session, now_ms))
    }

    /// The view of a session that is at home here, by our id.
    pub fn session_view<'a>(&'a self, id: SessionId, now_ms: i64) -> Option<View<'a>> {
        let shopper = self.shoppers.get(*self.sessions.get(&id)? as usize)?;
        let session = shopper.sessions.iter().find(|session| session.id == id)?;
        if let Some(merged) = session.merged_into.filter(|merged| *merged != id) {
            return self.session_view(merged, now_ms);
        }
        (!self.config.is_past(session, now_ms)).then(|| self.view_of(shopper, Some(session), now_ms))
    }

    /// Our id of a tracker's session id: of several sessions that have carried it, the one that still does and was heard of
    /// last.
    pub fn resolve_tracker_session(&self, tracker_session_id: &str) -> Option<SessionId> {
        let rank = |id| {
            let session = self.session_view(id, self.now_ms)?.session?;
            // A hand-off says of all visits when somebody was heard of last.
            let heard_ms = (session.last_stamp_ms, session.ended_at_ms);
            Some((session.tracker_session_id.as_deref() == Some(tracker_session_id), heard_ms))
        };
        self.tracker_sessions.of(tracker_session_id).max_by_key(|id| (rank(*id), *id))
    }

    /// Who a visitor is now: the user while signed in.
    pub fn user_of(&self, visitor: &ShopperId) -> Option<ShopperId> {
        let (_, visitor) = self.visitors.get(self.visitors.find(visitor)? as usize)?;
        visitor.open().map(|open| ShopperId::User(open.user.clone()))
    }

    /// Shoppers at home here, by slot, from a slot on. For scans.
    pub fn shoppers_from(&self, slot: usize) -> impl Iterator<Item = (usize, &Shopper)> {
        (slot..self.shoppers.len()).filter_map(|slot| Some((slot, self.shoppers.get(slot)?)))
    }

    /// Candidates that wait for their decision, to be asked again after a restart.
    pub fn pending(&self) -> impl Iterator<Item = &Candidate> {
        self.shoppers.iter().flat_map(|shopper| &shopper.pending)
    }

    /// What was shown, or is to be, and is still true.
    pub fn shown(&self) -> impl Iterator<Item = DecisionId> {
        self.shoppers.iter().flat_map(|shopper| &shopper.shown).map(|shown| shown.decision_id)
    }

    /// The partition's currencies, for [`Session::update`].
    pub fn currencies(&self) -> &Names {
        &self.currencies
    }

    /// What definitions by a field, and over a lifetime, have added up.
    pub fn partials(&self) -> &Partials {
        &self.partials
    }

    /// A view of this shopper and session.
    pub fn view_of<'a>(&'a self, shopper: &'a Shopper, session: Option<&'a Session>, now_ms: i64) -> View<'a> {
        View {
            shopper: &shopper.id,
            facts: self.facts_of(shopper),
            whole_after_ms: shopper.whole_after_ms,
            session,
            names: &self.names,
            currencies: &self.currencies,
            partials: &self.partials,
            caps: &shopper.caps,
            since: &self.defined.since,
            last_stamp_ms: shopper.last_stamp_ms,
            now_ms,
        }
    }

    /// Bytes held by shoppers and visitors, by the sizes of their containers.
    pub fn heap_bytes(&self) -> usize {
        let shoppers: usize = self
            .shoppers
            .iter()
            .map(|shopper| {
                shopper.facts.heap_bytes()
                    + shopper.spilled.as_ref().map_or(0, |_| size_of::<midsession_machine::Spilled>())
                    + shopper.sessions.capacity() * size_of::<Session>()
                    + shopper.caps.capacity() * size_of::<midsession_event::CapEntry>()
            })
            .sum();
        let visitors: usize = self.visitors.iter().map(|(_, visitor)| visitor.heap_bytes()).sum();
        shoppers
            + visitors
            + self.shoppers.heap_bytes()
            + self.visitors.heap_bytes()
            + self.sessions.capacity() * (size_of::<(SessionId, u32)>() + 1)
            + self.timers.len() * 24
            + self.spilling.as_ref().map_or(0, |spilling| spilling.heap_bytes())
    }

    /// Timers armed, those that were moved since among them.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Shoppers at home here.
    pub fn len(&self) -> usize {
        self.shoppers.taken()
    }

    /// Nobody at home.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next output's id.
    pub(crate) fn output_id(&mut self) -> OutputId {
        let id = OutputId { partition: self.partition, offset: self.offset, ordinal: self.ordinal };
        self.ordinal += 1;
        id
    }

    /// Remembers a received record; false if it was applied before.
    pub(crate) fn is_new(&mut self, id: OutputId) -> bool {
        let mark = self.received.entry(id.partition).or_insert((-1, 0));
        let fresh = (id.offset, id.ordinal) > *mark || self.config.has(Defect::HandoffTwice);
        if fresh {
            *mark = (id.offset, id.ordinal);
        } else {
            self.counters.repeated_outputs += 1;
        }
        fresh
    }

    /// Remembers an event's id with whom it came to; false, and counted, if it was there already.
    fn is_first(&mut self, visitor: u32, event: &Event) -> bool {
        let id = event.id_hash();
        let (now_ms, horizon_ms) = (self.now_ms, self.config.duplicate_horizon_ms);
        let Some((_, state)) = &mut self.visitors[visitor as usize] else { return true };
        state.last_stamp_ms = now_ms;
        state.expire(now_ms, horizon_ms);
        self.counters.event_ids_dropped += state.seen.make_room();
        let is_first = state.seen.insert(id, now_ms) || self.config.has(Defect::DedupeOff);
        self.counters.duplicates += u64::from(!is_first);
        is_first
    }

    fn on_event<D: Definitions>(&mut self, mut event: Box<Event>, definitions: &D, out: &mut Vec<Effect>) -> Seam {
        self.counters.events += 1;
        self.counters.bots += u64::from(event.bot);
        let key = match (&event.visitor_id, &event.user_id) {
            (Some(visitor), _) => ShopperId::Visitor(visitor.clone()),
            (None, Some(user)) => ShopperId::User(user.clone()),
            (None, None) => {
                self.counters.keyless += 1;
                return Seam::Keyless;
            }
        };
        let visitor = self.visitor_index(&key);
        if !self.is_first(visitor, &event) {
            return Seam::Duplicate;
        }
        if !self.unmerged.is_empty() && self.is_undone(&event) && !self.config.has(Defect::UndoneAgain) {
            // They were not this user: it is the visitor's own.
            event.user_id = None;
        }
        if event.name == EventName::Consent {
            out.push(self.evidence_of(visitor, &event));
        }
        let (now_ms, oldest_ms) = (self.now_ms, self.now_ms - self.config.duplicate_horizon_ms);
        if event.name == EventName::Logout && !self.config.has(Defect::LogoutForgotten) {
            self.logs_out(visitor, &key, event.occurred_at_ms.min(now_ms), oldest_ms);
        }
        let Some((_, state)) = &mut self.visitors[visitor as usize] else { return Seam::Keyless };
        let is_consent = event.name == EventName::Consent;
        let is_word = is_consent && state.says(&mut event);
        if !is_consent && let Some(word) = state.word(event.user_id.as_ref()) {
            // Another tab, a server, a source's default: none of them brings back what was withdrawn.
            event.consent = event.consent.and(word);
        }
        let is_refused = event.consent.is_refusal() && !is_consent && !self.config.has(Defect::ConsentLate);
        if is_refused {
            let is_other = |open: &Attachment| event.user_id.as_ref().is_some_and(|user| *user != open.user);
            if !state.open().is_some_and(|open| event.name == EventName::Logout || is_other(open)) {
                return self.refuses(&key, &event, out);
            }
            // That they leave, or that somebody else is there, is all that is made of it: what the next one says is not theirs.
            event = Box::new(event.bare());
        }
        // What the tracker reports by itself is nobody's doing.
        let is_hasty = !is_reaction(&event.name) && state.is_hasty(event.occurred_at_ms);
        event.bot |= is_hasty && !self.config.has(Defect::HasteUnseen);
        let was_signed_in = state.open().is_some();
        match self.home_of(visitor, &key, &event, out) {
            Some(Home { user, left }) => {
                let is_signed_in = || self.visitors.get(visitor as usize).is_some_and(|(_, now)| now.open().is_some());
                let ends_stay = event.name == EventName::Logout && was_signed_in && !is_signed_in();
                // An older one may have been here before, by a clock that was up to a gap ahead then.
                let since = oldest_ms + self.config.gap_ms..now_ms - self.config.gap_ms;
                if ends_stay && since.contains(&event.occurred_at_ms) {
                    // What it ends has gone on meanwhile, or the clock is behind: whoever is there next finds nobody's visit.
                    event.occurred_at_ms = now_ms;
                }
                if let Some((_, state)) = self.visitors[visitor as usize].as_mut().filter(|_| is_word)
                    && let Some(said) = &mut state.consent
                {
                    said.by = mark_of(&user);
                }
                self.counters.forwarded += 1;
                let id = self.output_id();
                out.push(Effect::Forward(Box::new(Forward { id, user_id: user, event, left })));
                Seam::Forwarded
            }
            None if is_refused => {
                self.counters.refused += 1;
                Seam::Refused
            }
            None => match key {
                ShopperId::User(user) => self.apply_at_home(visitor, user, (&mut event, false), definitions, out),
                anonymous => {
                    event.consent = event.consent.over(None);
                    let shopper = self.shopper_index(&anonymous, out);
                    let (left_ms, left) = self.left_after(visitor, &event);
                    self.apply_event(shopper, (&event, left, left_ms), definitions, out)
                }
            },
        }
    }

    /// Applies an event at the home of its user, at this slot of theirs. `left`: they have left the device since.
    fn apply_at_home<D: Definitions>(
        &mut self,
        home: u32,
        user: UserId,
        (event, left): (&mut Event, bool),
        definitions: &D,
        out: &mut Vec<Effect>,
    ) -> Seam {
        if self.comes_home(home, &user, event, left, out) {
            self.counters.refused += 1;
            return Seam::Refused;
        }
        let left_ms = self.left_home(&user, event, left);
        let shopper = self.shopper_index(&ShopperId::User(user), out);
        self.apply_event(shopper, (event, left, left_ms), definitions, out)
    }

    pub(crate) fn shopper_index(&mut self, id: &ShopperId, out: &mut Vec<Effect>) -> u32 {
        if let Some(index) = self.shoppers.find(id) {
            self.wake(index);
            return index;
        }
        self.make_room_for_shopper(out);
        self.sweep.is_owed = true;
        let index = self.shoppers.claim();
        self.keep_shopper(index);
        self.shoppers.fill(index, Shopper::new(id.clone()));
        index
    }

    pub(crate) fn visitor_index(&mut self, id: &ShopperId) -> u32 {
        if let Some(index) = self.visitors.find(id) {
            self.keep_visitor(index);
            return index;
        }
        self.make_room_for_visitor();
        self.sweep.is_owed = true;
        let index = self.visitors.claim();
        self.keep_visitor(index);
        self.visitors.fill(index, (id.clone(), Visitor::default()));
        index
    }
}
