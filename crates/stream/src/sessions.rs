//! Which session an event belongs to: opens, extends, bridges.

use crate::Defect;
use crate::apply::{close, emit, is_paid_in_two};
use crate::config::SESSIONS_MAX;
use crate::shopper::Shopper;
use crate::stream::Stream;
use midsession_event::{Event, EventName, SessionId, SessionState, ShopperId, plus};
use midsession_machine::{Cart, Effect, FactKind, Facts, Session};

impl Stream {
    /// The position of the event's session among the shopper's, opened or merged as needed; `None` when it is too
    /// late for any. `left`: its shopper has left the device since.
    pub(crate) fn place_in_session(
        &mut self,
        index: u32,
        (event, left): (&Event, bool),
        time_ms: i64,
        out: &mut Vec<Effect>,
    ) -> Option<usize> {
        let (gap_ms, grace_ms, now_ms) = (self.config.gap_ms, self.config.grace_ms, self.now_ms);
        let (merges_one, opens_again) = (self.config.has(Defect::MergesOne), self.config.has(Defect::VisitAgain));
        let shopper = self.shoppers[index as usize].as_mut()?;
        // Of before a logout on a device where nobody was known to be it is no visit's of after it.
        if left && matches!(shopper.id, ShopperId::Visitor(_)) {
            return None;
        }
        let same_device = |session: &&Session| session.visitor == event.visitor_id;
        let reaches = |session: &Session| {
            session.is_live() && time_ms >= session.started_at_ms - gap_ms && time_ms <= session.ended_at_ms + gap_ms
        };
        // A visit that is over takes nothing any more, nor does another one take what was done within it or before.
        let is_of_the_past = |session: &Session| {
            session.state == SessionState::Closed
                && time_ms >= session.started_at_ms - gap_ms
                && time_ms <= session.ended_at_ms
        };
        if shopper.sessions.iter().any(|session| is_of_the_past(session) && same_device(&session)) {
            return None;
        }
        let mut fitting = (0..shopper.sessions.len())
            .filter(|position| same_device(&&shopper.sessions[*position]) && reaches(&shopper.sessions[*position]));
        match (fitting.next(), fitting.next()) {
            (Some(position), None) => Some(position),
            (Some(position), _) if merges_one => Some(position),
            // Live sessions of one device lie more than a gap apart, so an event can touch two at most.
            (Some(one), Some(other)) => Some(self.merge(index, one, other, out)),
            (None, _) => {
                let over = shopper.sessions.iter().filter(same_device).any(|session| {
                    session.state == SessionState::Closed
                        && time_ms > session.ended_at_ms
                        && time_ms <= session.ended_at_ms + gap_ms
                        && match end_of(&shopper.facts, session) {
                            End::Time => true,
                            // Who logs out leaves: what comes after is a new session.
                            End::Logout => false,
                            // When they left is not known, but that this was before it.
                            End::Parting => left && !opens_again,
                        }
                });
                // A session of this event alone would be closed by now, or one that is closed would take it.
                if time_ms.saturating_add(gap_ms + grace_ms) <= now_ms || over {
                    return None;
                }
                // It has opened one before: its visitor has been forgotten since, for want of room, and it came again.
                let visitor = event.visitor_id.clone().map(ShopperId::Visitor);
                let id = SessionId::opened_by(&event.source, &event.event_id, visitor.as_ref().unwrap_or(&shopper.id));
                if shopper.sessions.iter().any(|session| session.id == id) {
                    return None;
                }
                self.counters.sessions_opened += 1;
                if shopper.sessions.len() >= SESSIONS_MAX {
                    self.drop_session(index, out);
                }
                let shopper = self.shoppers[index as usize].as_mut()?;
                shopper.last_session += 1;
                let number = shopper.last_session;
                // Most shoppers have one session within a day: no room for four.
                shopper.sessions.reserve_exact(1);
                shopper.sessions.push(opened(id, event, time_ms, number, &shopper.id));
                Some(shopper.sessions.len() - 1)
            }
        }
    }

    /// Ends and forgets the session that ended first.
    fn drop_session(&mut self, index: u32, out: &mut Vec<Effect>) {
        let Self { shoppers, currencies, counters, now_ms, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return };
        let first = (0..shopper.sessions.len()).min_by_key(|position| shopper.sessions[*position].ended_at_ms);
        let Some(mut session) = first.map(|position| shopper.sessions.remove(position)) else { return };
        counters.sessions_dropped += 1;
        if session.is_live() {
            close(&mut session, counters, currencies, *now_ms, out);
        }
        shopper.loosen(&session);
        self.forget_session(&session);
    }

    /// Merges a session that came with a hand-off with live ones of its device that it touches.
    pub(crate) fn merge_neighbours(&mut self, index: u32, number: u32, out: &mut Vec<Effect>) {
        let gap_ms = self.config.gap_ms;
        let find = |shopper: &Shopper, number: u32| {
            let one = shopper.sessions.iter().position(|session| session.number == number && session.is_live())?;
            let session = &shopper.sessions[one];
            let other = shopper.sessions.iter().position(|other| {
                other.number != number
                    && other.is_live()
                    && other.visitor == session.visitor
                    && other.started_at_ms <= session.ended_at_ms + gap_ms
                    && session.started_at_ms <= other.ended_at_ms + gap_ms
            })?;
            Some((one, other))
        };
        let mut number = number;
        while let Some((one, other)) = self.shoppers[index as usize].as_ref().and_then(|shopper| find(shopper, number))
        {
            let kept = self.merge(index, one, other, out);
            let kept = self.shoppers[index as usize].as_ref().and_then(|shopper| shopper.sessions.get(kept));
            number = kept.map_or(number, |session| session.number);
        }
    }

    /// Makes two sessions one: the smaller id stays, the other points to it. Returns the survivor's position.
    fn merge(&mut self, index: u32, one: usize, other: usize, out: &mut Vec<Effect>) -> usize {
        let now_ms = self.now_ms;
        let takes_later = self.config.has(Defect::LaterCampaign);
        let Self { shoppers, currencies, counters, tracker_sessions, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return one };
        let (kept, gone) =
            if shopper.sessions[one].id < shopper.sessions[other].id { (one, other) } else { (other, one) };
        counters.sessions_merged += 1;
        let merged_into = shopper.sessions[kept].id;
        let lost = {
            let lost = &mut shopper.sessions[gone];
            let copy = lost.clone();
            lost.state = SessionState::Merged;
            lost.merged_into = Some(merged_into);
            emit(lost, currencies, now_ms, out);
            copy
        };
        shopper.facts.relabel(lost.number, shopper.sessions[kept].number);
        // What was decided in either was decided in the one they are now.
        shopper.caps.iter_mut().filter(|cap| cap.session_id == lost.id).for_each(|cap| cap.session_id = merged_into);
        shopper.shown.iter_mut().filter(|shown| shown.session_id == lost.id).for_each(|s| s.session_id = merged_into);
        let session = &mut shopper.sessions[kept];
        add_counts(session, &lost);
        let is_later = lost.ended_at_ms > session.ended_at_ms;
        if let Some(tracker) = &lost.tracker_session_id {
            tracker_sessions.heard(session, tracker, is_later);
        }
        lost.other_tracker_ids.iter().for_each(|tracker| tracker_sessions.heard(session, tracker, false));
        if is_later {
            session.ended_at_ms = lost.ended_at_ms;
            session.consent = lost.consent;
            session.state = lost.state;
        }
        if is_paid_in_two(&shopper.facts, session.number) {
            session.revenue = f64::NAN;
        }
        session.last_stamp_ms = session.last_stamp_ms.max(lost.last_stamp_ms);
        session.cart_version += lost.cart_version;
        session.user = session.user.take().or(lost.user);
        for (slot, value) in [(&mut session.device_class, lost.device_class), (&mut session.campaign, lost.campaign)] {
            if let Some(value) = value
                && slot.as_ref().is_none_or(|known| (value.time_ms < known.time_ms) != takes_later)
            {
                *slot = Some(value);
            }
        }
        let number = session.number;
        session.cart = Cart::after(shopper.facts.all().iter().filter(|fact| fact.session == number));
        session.cart_until_ms = session.ended_at_ms;
        emit(session, currencies, now_ms, out);
        kept
    }
}

/// Takes what another session counted into this one.
pub(crate) fn add_counts(session: &mut Session, other: &Session) {
    session.version = session.version.max(other.version);
    session.started_at_ms = session.started_at_ms.min(other.started_at_ms);
    session.events += other.events;
    session.page_views += other.page_views;
    session.product_views += other.product_views;
    session.add_to_carts += other.add_to_carts;
    session.checkout_step = session.checkout_step.max(other.checkout_step);
    session.orders += other.orders;
    session.revenue = plus(session.revenue, other.revenue);
    session.bot |= other.bot;
}

/// What a session ended by.
enum End {
    /// Nothing came any more.
    Time,
    /// There is a logout among its events.
    Logout,
    /// Somebody else has signed in on its device.
    Parting,
}

fn end_of(facts: &Facts, session: &Session) -> End {
    let logout = FactKind::of(&EventName::Logout);
    let within = facts.between(session.started_at_ms - 1, session.ended_at_ms);
    match within.iter().any(|fact| fact.session == session.number && fact.kind == logout) {
        true => End::Logout,
        false if session.last_kind == logout => End::Parting,
        false => End::Time,
    }
}

/// The session that this event opens.
fn opened(id: SessionId, event: &Event, time_ms: i64, number: u32, shopper: &midsession_event::ShopperId) -> Session {
    Session {
        id,
        number,
        visitor: event.visitor_id.clone(),
        user: match shopper {
            midsession_event::ShopperId::User(user) => Some(user.clone()),
            midsession_event::ShopperId::Visitor(_) => None,
        },
        tracker_session_id: None,
        other_tracker_ids: Box::default(),
        source: event.source.0.clone(),
        state: SessionState::Open,
        merged_into: None,
        version: 0,
        started_at_ms: time_ms,
        ended_at_ms: time_ms,
        last_stamp_ms: i64::MIN,
        last_kind: FactKind::of(&event.name),
        events: 0,
        page_views: 0,
        product_views: 0,
        add_to_carts: 0,
        checkout_step: 0,
        orders: 0,
        revenue: 0.0,
        cart: Cart::default(),
        cart_until_ms: i64::MIN,
        cart_version: 0,
        device_class: None,
        campaign: None,
        bot: false,
        consent: event.consent,
        emitted_at_ms: i64::MIN,
        dirty: false,
    }
}
