//! Who a visitor is: login moves what is known of them to the user's home, logout ends it.

use crate::shopper::Attachment;
use crate::stream::Stream;
use midsession_event::{
    CapEntry, CarriedFact, CarriedSession, Event, EventName, Handoff, SessionState, ShopperId, UserId,
};
use midsession_machine::{Cart, Effect, Fact, FactKind, Session};

impl Stream {
    /// The user whose home this event belongs to; `None` while it stays with the visitor here. At a login the
    /// visitor's state is handed over first.
    pub(crate) fn home_of(
        &mut self,
        visitor: u32,
        key: &ShopperId,
        event: &Event,
        out: &mut Vec<Effect>,
    ) -> Option<UserId> {
        // Without a visitor the user's own partition is where the event entered: it is home already.
        let ShopperId::Visitor(visitor_id) = key else { return None };
        let time_ms = event.occurred_at_ms.min(self.now_ms);
        let gap_ms = self.config.gap_ms;
        let state = &mut self.visitors[visitor as usize].as_mut()?.1;
        let open = state.attachments.last().filter(|attachment| attachment.to_ms.is_none()).cloned();
        let holds = |attachment: &&Attachment| {
            attachment.from_ms <= time_ms && attachment.to_ms.is_none_or(|to_ms| time_ms <= to_ms)
        };
        let Some(user) = &event.user_id else {
            let user = state.attachments.iter().rev().find(holds).map(|attachment| attachment.user.clone())?;
            if event.name == EventName::Logout {
                close_attachment(&mut state.attachments, time_ms);
            }
            return Some(user);
        };
        if event.name == EventName::Logout {
            close_attachment(&mut state.attachments, time_ms);
            return Some(user.clone());
        }
        match open {
            Some(open) if open.user == *user => return Some(user.clone()),
            // A late event of somebody who has left since: it goes to them, and changes nothing here.
            Some(open) if time_ms < open.from_ms => return Some(user.clone()),
            None if state.attachments.iter().any(|a| a.user == *user && a.to_ms.is_some_and(|to| time_ms <= to)) => {
                return Some(user.clone());
            }
            Some(_) => close_attachment(&mut state.attachments, time_ms),
            None => {}
        }
        let from_ms = self
            .by_id
            .get(key)
            .and_then(|index| self.shoppers[*index as usize].as_ref())
            .into_iter()
            .flat_map(|shopper| &shopper.sessions)
            .filter(|session| session.is_live())
            .map(|session| session.started_at_ms - gap_ms)
            .min()
            .unwrap_or(time_ms)
            .min(time_ms);
        let state = &mut self.visitors[visitor as usize].as_mut()?.1;
        // What belongs to an earlier attachment stays there.
        let from_ms = state.attachments.last().and_then(|last| last.to_ms).map_or(from_ms, |to| from_ms.max(to + 1));
        state.attachments.push(Attachment { user: user.clone(), from_ms, to_ms: None });
        if state.attachments.len() > 16 {
            state.attachments.remove(0);
        }
        if let Some(handoff) = self.hand_over(key, user.clone(), visitor_id) {
            out.push(Effect::Handoff(Box::new(handoff)));
        }
        Some(user.clone())
    }

    /// Takes the visitor's state out of this partition.
    fn hand_over(
        &mut self,
        key: &ShopperId,
        user_id: UserId,
        visitor_id: &midsession_event::VisitorId,
    ) -> Option<Handoff> {
        let index = self.by_id.remove(key)?;
        let shopper = self.shoppers[index as usize].take()?;
        self.free.push(index);
        for session in &shopper.sessions {
            self.sessions.remove(&session.id);
        }
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
                last_stamp_ms: session.last_stamp_ms,
                cart_version: session.cart_version as i64,
                consent: session.consent,
                idle_fired_ms: shopper.idle_fired_ms,
            })
            .collect();
        let caps: Vec<CapEntry> = shopper
            .caps
            .iter()
            // What was asked and not decided is asked anew at the new home, if it still holds there.
            .filter(|entry| !shopper.pending.iter().any(|pending| pending.decision_id == entry.decision_id))
            .cloned()
            .collect();
        Some(Handoff { id: self.output_id(), visitor_id: visitor_id.clone(), user_id, sessions, facts, caps })
    }

    /// Receives a visitor's state at the user's home.
    pub(crate) fn on_handoff(&mut self, handoff: Handoff, out: &mut Vec<Effect>) {
        let index = self.shopper_index(&ShopperId::User(handoff.user_id.clone()));
        let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
        let mut numbers = Vec::with_capacity(handoff.sessions.len());
        for carried in &handoff.sessions {
            shopper.last_session += 1;
            numbers.push(shopper.last_session);
            shopper.last_stamp_ms = shopper.last_stamp_ms.max(carried.last_stamp_ms);
            shopper.sessions.push(session_of(carried, shopper.last_session, &handoff.user_id));
            self.sessions.insert(carried.update.session_id, index);
            if let Some(tracker) = &carried.update.tracker_session_id {
                self.tracker_sessions.insert(tracker.clone(), carried.update.session_id);
            }
        }
        for fact in &handoff.facts {
            let kind = FactKind(u8::try_from(fact.kind).unwrap_or(FactKind::CUSTOM.0));
            let number = |names: &mut midsession_machine::Names, text: &Option<midsession_event::Str>| {
                text.as_ref().map_or(0, |text| names.number(text))
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
                session: usize::try_from(fact.session).ok().and_then(|i| numbers.get(i)).copied().unwrap_or(0),
                quantity: u16::try_from(fact.quantity).unwrap_or(1),
                kind,
                currency: u8::try_from(number(&mut self.currencies, &fact.currency)).unwrap_or(u8::MAX),
            });
        }
        for entry in handoff.caps {
            if !shopper.caps.iter().any(|known| known.decision_id == entry.decision_id) {
                shopper.caps.push(entry);
            }
        }
        for number in numbers {
            let Some(position) = shopper.sessions.iter().position(|session| session.number == number) else { continue };
            let session = &mut shopper.sessions[position];
            if session.is_live() {
                session.cart = Cart::after(shopper.facts.all().iter().filter(|fact| fact.session == number));
                session.cart_until_ms = session.ended_at_ms;
                session.version += 1;
                session.emitted_at_ms = self.now_ms;
                out.push(Effect::Session(Box::new(session.update(&self.currencies))));
            }
        }
        self.arm(index);
    }
}

/// Ends the open attachment.
fn close_attachment(attachments: &mut [Attachment], time_ms: i64) {
    if let Some(open) = attachments.last_mut().filter(|attachment| attachment.to_ms.is_none()) {
        open.to_ms = Some(time_ms.max(open.from_ms));
    }
}

/// A session as it was carried, under its new number.
fn session_of(carried: &CarriedSession, number: u32, user: &UserId) -> Session {
    let update = &carried.update;
    let is_live = matches!(update.state, SessionState::Open | SessionState::Idle);
    Session {
        id: update.session_id,
        number,
        visitor: update.visitor_id.clone(),
        // A visit that was over before the login stays what it was.
        user: if is_live { Some(user.clone()) } else { update.user_id.clone() },
        tracker_session_id: update.tracker_session_id.clone(),
        source: update.source.clone(),
        state: update.state,
        merged_into: update.merged_into,
        version: update.version,
        started_at_ms: update.started_at_ms,
        ended_at_ms: update.ended_at_ms,
        last_stamp_ms: carried.last_stamp_ms,
        last_kind: FactKind::CUSTOM,
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
        device_class: update.device_class.clone().map(|class| (update.started_at_ms, class)),
        campaign: update.campaign.clone().map(|name| (update.started_at_ms, name)),
        bot: update.bot,
        consent: carried.consent,
        emitted_at_ms: i64::MIN,
        dirty: false,
    }
}
