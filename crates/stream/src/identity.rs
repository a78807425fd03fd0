//! Who a visitor is: login moves what is known of them to the user's home, logout ends it.

use crate::Defect;
use crate::apply::{currency_number, emit};
use crate::sessions::add_counts;
use crate::shopper::{Shopper, Shown};
use crate::stream::Stream;
use midsession_event::{
    CarriedCandidate, CarriedFact, CarriedSession, CarriedShown, Event, Handoff, Identity, OutputId, Place, SessionId,
    SessionState, ShopperId, UserId, VisitorId,
};
use midsession_machine::partial::Life;
use midsession_machine::{Candidate, Cart, Earliest, Effect, Fact, FactKind, Invariant, Session};

impl Stream {
    /// Whom a visitor is taken for now; none of one who is not known.
    pub fn identity(&self, visitor: &ShopperId) -> Option<Identity> {
        self.visitors.find(visitor)?;
        match self.identity_of(&visitor.as_str().into()) {
            Effect::Identity(identity) => Some(*identity),
            _ => None,
        }
    }

    /// Whom a visitor is taken for now, to be told.
    pub(crate) fn identity_of(&self, visitor_id: &VisitorId) -> Effect {
        let known = self.visitors.find(&ShopperId::Visitor(visitor_id.clone()));
        let state = known.and_then(|index| self.visitors.get(index as usize));
        // Sweeping may or may not have forgotten what is older than duplicates are known.
        let oldest_ms = self.now_ms.saturating_sub(self.config.duplicate_horizon_ms);
        let last = state.and_then(|(_, state)| state.attachments.last());
        let last = last.filter(|last| last.to_ms.is_none_or(|to_ms| to_ms > oldest_ms));
        Effect::Identity(Box::new(Identity {
            visitor_id: visitor_id.clone(),
            user_id: last.map(|last| last.user.clone()),
            attached_since_ms: last.and_then(|last| last.since_ms),
            detached_at_ms: last.and_then(|last| last.to_ms),
            cause: Place { partition: self.partition, offset: self.offset },
        }))
    }

    /// Takes the visitor's state out of this partition; `login` is the event that says so, if there is one.
    pub(crate) fn hand_over(
        &mut self,
        key: &ShopperId,
        user_id: UserId,
        login: Option<&Event>,
        visitor_id: &VisitorId,
    ) -> Option<Handoff> {
        let lives = self.partials.lifetimes.take(key, |life| life.left_ms.is_none());
        self.hand_over_with(key, user_id, login, visitor_id, lives)
    }

    /// The same, with these lifetimes.
    pub(crate) fn hand_over_with(
        &mut self,
        key: &ShopperId,
        user_id: UserId,
        login: Option<&Event>,
        visitor_id: &VisitorId,
        lives: Vec<Life>,
    ) -> Option<Handoff> {
        let shopper = match self.shoppers.find(key) {
            Some(index) => {
                self.wake(index);
                self.take_out(index)?
            }
            // Silent for so long that all but what is over a lifetime was forgotten.
            None if !lives.is_empty() => Shopper::new(key.clone()),
            None => return None,
        };
        for session in &shopper.sessions {
            self.forget_session(session);
        }
        let heard = shopper.heard_by(login, self.now_ms);
        let how = Leaving { visitor_id: visitor_id.clone(), user_id, returns: false, heard };
        Some(self.pack(shopper, lives, how))
    }

    /// What is taken along between partitions.
    pub(crate) fn pack(&mut self, shopper: Shopper, lives: Vec<Life>, how: Leaving) -> Handoff {
        let Leaving { visitor_id, user_id, returns, heard: (last_stamp_ms, idle_fired_ms) } = how;
        let name = |number: u32| self.names.name(number).cloned();
        let facts = shopper
            .facts
            .all()
            .iter()
            .map(|fact| {
                let derived = fact.kind.base() == FactKind::DERIVED;
                CarriedFact {
                    time_ms: fact.time_ms,
                    value: (!fact.value.is_nan()).then_some(fact.value),
                    product: name(fact.product),
                    category: if derived { None } else { name(fact.category) },
                    currency: self.currencies.name(u32::from(fact.currency)).cloned(),
                    session: shopper
                        .sessions
                        .iter()
                        .position(|session| session.number == fact.session)
                        .map_or(-1, |position| position as i32),
                    quantity: i32::from(fact.quantity),
                    kind: i32::from(fact.kind.0),
                    slot: if derived { i64::from(fact.category) } else { 0 },
                }
            })
            .collect();
        let sessions = shopper
            .sessions
            .iter()
            .map(|session| CarriedSession {
                update: session.update(&self.currencies),
                last_stamp_ms: if session.is_live() { last_stamp_ms } else { session.last_stamp_ms },
                cart_version: session.cart_version as i64,
                consent: session.consent,
                idle_fired_ms,
                device_class_at_ms: session.device_class.as_ref().map(|said| said.time_ms),
                campaign_at_ms: session.campaign.as_ref().map(|said| said.time_ms),
                other_tracker_ids: session.other_tracker_ids.to_vec(),
                last_kind: Some(i32::from(session.last_kind.0)),
            })
            .collect();
        let pending = shopper.pending.into_iter().map(carried).collect();
        let shown = shopper
            .shown
            .into_iter()
            .map(|Shown { decision_id, rule, session_id, expires_at_ms }| CarriedShown {
                decision_id,
                rule,
                session_id,
                expires_at_ms,
            })
            .collect();
        let lifetimes = midsession_machine::partial::pack(lives);
        let id = self.output_id();
        let left = false;
        Handoff {
            id,
            visitor_id,
            user_id,
            sessions,
            facts,
            caps: if self.config.has(Defect::CapsLeftBehind) { Vec::new() } else { shopper.caps },
            pending,
            shown,
            lifetimes,
            returns,
            left,
        }
    }

    /// Receives a visitor's state at the user's home.
    pub(crate) fn on_handoff(&mut self, handoff: Handoff, out: &mut Vec<Effect>) {
        let (user_id, visitor_id, left) = (handoff.user_id.clone(), handoff.visitor_id.clone(), handoff.left);
        let user = ShopperId::User(user_id.clone());
        let home = self.visitor_index(&user);
        if !left {
            self.joins(home, &user_id, &visitor_id, out);
        }
        if handoff.has_something() {
            self.move_in(&user, handoff, out);
        }
        if left {
            // Their visits there were over before.
            self.parts(&user_id, Some(&visitor_id), i64::MIN, out);
        }
    }

    /// Takes in what was handed over.
    pub(crate) fn move_in(&mut self, home: &ShopperId, handoff: Handoff, out: &mut Vec<Effect>) {
        let index = self.shopper_index(home, out);
        let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
        let lives =
            handoff.lifetimes.as_ref().map_or_else(Vec::new, |lives| midsession_machine::partial::unpack(lives));
        let lifetimes = &mut self.partials.lifetimes;
        let uncounted_ms = match (lives.is_empty(), lifetimes.of(home).is_empty()) {
            (true, false) => acted_ms(&handoff),
            (false, true) => shopper.acted_ms(),
            _ => None,
        };
        lifetimes.give(home, lives, uncounted_ms);
        shopper.sessions.reserve_exact(handoff.sessions.len());
        shopper.pass_over_silences(self.now_ms, &self.idle_thresholds);
        let mut numbers = Vec::with_capacity(handoff.sessions.len());
        let mut renamed = Vec::new();
        for carried in &handoff.sessions {
            let session = session_of(carried, shopper.last_session + 1, &handoff);
            if let Some(known) = known_as(shopper, session.id) {
                // It was opened again by the same event, which the duplicate filter had no room to remember.
                self.watch.saw(Invariant::Sessions);
                take_in(known, &session);
                numbers.push(known.number);
                continue;
            }
            shopper.last_session += 1;
            numbers.push(shopper.last_session);
            if !session.is_live() && (handoff.left && !handoff.returns || session.user != carried.update.user_id) {
                renamed.push(session.number);
            }
            if session.is_live() && carried.last_stamp_ms > shopper.last_stamp_ms {
                shopper.last_stamp_ms = carried.last_stamp_ms;
                shopper.idle_fired_ms = carried.idle_fired_ms;
            }
            self.sessions.insert(session.id, index);
            session.tracker_ids().for_each(|tracker| _ = self.tracker_sessions.add(tracker, session.id));
            shopper.sessions.push(session);
        }
        for fact in &handoff.facts {
            let kind = FactKind(u8::try_from(fact.kind).unwrap_or(FactKind::CUSTOM.0));
            let number = |names: &mut midsession_machine::Names, text: &Option<midsession_event::Str>| {
                text.as_ref().map_or(0, |text| names.number(text))
            };
            let session = match usize::try_from(fact.session).ok().and_then(|at| numbers.get(at)) {
                Some(number) => *number,
                None => shopper.loose_number(Some(&handoff.visitor_id)),
            };
            shopper.facts.insert(Fact {
                time_ms: fact.time_ms,
                value: fact.value.unwrap_or(f64::NAN),
                product: number(&mut self.names, &fact.product),
                category: if kind.base() == FactKind::DERIVED {
                    u32::try_from(fact.slot).unwrap_or(0)
                } else {
                    number(&mut self.names, &fact.category)
                },
                session,
                quantity: u16::try_from(fact.quantity).unwrap_or(1),
                kind,
                currency: fact.currency.as_ref().map_or(0, |currency| currency_number(&mut self.currencies, currency)),
            });
        }
        for entry in handoff.caps {
            match shopper.caps.iter_mut().find(|known| known.decision_id == entry.decision_id) {
                // It stayed counted here when it was taken back.
                Some(known) => {
                    known.session_id = entry.session_id;
                    known.counts |= entry.counts;
                }
                None => shopper.caps.push(entry),
            }
        }
        shopper.shown.extend(handoff.shown.into_iter().map(
            |CarriedShown { decision_id, rule, session_id, expires_at_ms }| Shown {
                decision_id,
                rule,
                session_id,
                expires_at_ms,
            },
        ));
        for number in &numbers {
            let Some(session) = shopper.sessions.iter_mut().find(|session| session.number == *number) else { continue };
            session.cart = Cart::after(shopper.facts.all().iter().filter(|fact| fact.session == *number));
            session.cart_until_ms = session.ended_at_ms;
            if session.is_live() || renamed.contains(number) && session.merged_into.is_none() {
                emit(session, &self.currencies, self.now_ms, out);
            }
        }
        for candidate in handoff.pending {
            let cause = self.output_id();
            let candidate = asked_again(candidate, home.clone(), cause);
            let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
            if shopper.pending.iter().all(|known| known.decision_id != candidate.decision_id) {
                shopper.pending.push(candidate.clone());
                out.push(Effect::Candidate(Box::new(candidate)));
            }
        }
        for number in numbers {
            self.merge_neighbours(index, number, out);
        }
        if !handoff.returns {
            // Of what was shown in a visit that is part of another one now, by what that allows.
            self.narrow_home(&handoff.user_id, out);
        }
        self.arm(index);
    }
}

/// When those last did something who are handed over. Epoch ms.
fn acted_ms(handoff: &Handoff) -> Option<i64> {
    let in_sessions_ms = handoff.sessions.iter().map(|session| session.update.ended_at_ms);
    in_sessions_ms.chain(handoff.facts.iter().map(|fact| fact.time_ms)).max()
}

/// How a shopper's state leaves a partition.
pub(crate) struct Leaving {
    pub(crate) visitor_id: VisitorId,
    pub(crate) user_id: UserId,
    /// After an unmerge, to the visitor's partition.
    pub(crate) returns: bool,
    /// Stamp of the last own event, and the silences told since. ms.
    pub(crate) heard: (i64, i64),
}

/// The session of this id, or the one that it has been merged into.
fn known_as(shopper: &mut Shopper, id: SessionId) -> Option<&mut Session> {
    let mut position = shopper.sessions.iter().position(|session| session.id == id)?;
    for _ in 0..shopper.sessions.len() {
        let Some(into) = shopper.sessions[position].merged_into else { break };
        position = shopper.sessions.iter().position(|session| session.id == into)?;
    }
    shopper.sessions.get_mut(position)
}

/// What was counted in a session again.
fn take_in(session: &mut Session, again: &Session) {
    add_counts(session, again);
    session.ended_at_ms = session.ended_at_ms.max(again.ended_at_ms);
    session.consent = session.consent.and(again.consent);
}

/// A candidate on its way.
fn carried(candidate: Candidate) -> CarriedCandidate {
    CarriedCandidate {
        decision_id: candidate.decision_id,
        rule: candidate.rule,
        visitor_id: candidate.visitor_id,
        session_id: candidate.session_id,
        cart_version: candidate.cart_version as i64,
        inputs: candidate.inputs,
        cause_event_id: candidate.cause_event,
        asked_at_ms: candidate.asked_at_ms,
        consented: candidate.consented,
        bot: candidate.bot,
    }
}

/// A carried candidate, asked of its new home.
fn asked_again(carried: CarriedCandidate, shopper: ShopperId, cause: OutputId) -> Candidate {
    Candidate {
        decision_id: carried.decision_id,
        rule: carried.rule,
        shopper,
        visitor_id: carried.visitor_id,
        session_id: carried.session_id,
        cart_version: u64::try_from(carried.cart_version).unwrap_or(0),
        inputs: carried.inputs,
        cause,
        cause_event: carried.cause_event_id,
        asked_at_ms: carried.asked_at_ms,
        consented: carried.consented,
        bot: carried.bot,
    }
}

/// A session as it was carried, under its new number.
fn session_of(carried: &CarriedSession, number: u32, handoff: &Handoff) -> Session {
    let update = &carried.update;
    let is_live = matches!(update.state, SessionState::Open | SessionState::Idle);
    // Earlier versions did not say when it was said.
    let said = |text: &Option<midsession_event::Str>, at_ms: Option<i64>| {
        Some(Earliest { time_ms: at_ms.unwrap_or(update.started_at_ms), text: text.clone()? })
    };
    Session {
        id: update.session_id,
        number,
        visitor: update.visitor_id.clone(),
        user: match &update.user_id {
            known if handoff.returns => known.clone().filter(|user| *user != handoff.user_id),
            _ if is_live => Some(handoff.user_id.clone()),
            // A visit that was over before the login stays what it was.
            known => known.clone(),
        },
        tracker_session_id: update.tracker_session_id.clone(),
        other_tracker_ids: carried.other_tracker_ids.as_slice().into(),
        source: update.source.clone(),
        state: update.state,
        merged_into: update.merged_into,
        version: update.version,
        started_at_ms: update.started_at_ms,
        ended_at_ms: update.ended_at_ms,
        last_stamp_ms: carried.last_stamp_ms,
        last_kind: carried.last_kind.and_then(|kind| u8::try_from(kind).ok()).map_or(FactKind::CUSTOM, FactKind),
        events: update.events,
        page_views: update.page_views,
        product_views: update.product_views,
        add_to_carts: update.add_to_carts,
        checkout_step: update.checkout_step,
        orders: update.orders,
        revenue: update.revenue,
        cart: Cart { value: update.cart_value, touched: update.cart_value.is_some(), ..Cart::default() },
        cart_until_ms: update.ended_at_ms,
        cart_version: u64::try_from(carried.cart_version).unwrap_or(0),
        device_class: said(&update.device_class, carried.device_class_at_ms),
        campaign: said(&update.campaign, carried.campaign_at_ms),
        bot: update.bot,
        consent: carried.consent,
        emitted_at_ms: i64::MIN,
        dirty: false,
    }
}
