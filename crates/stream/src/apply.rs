//! What one event does to the shopper at home: facts, session, rules.

use crate::Defect;
use crate::counters::Counters;
use crate::defined::mark_of_event;
use crate::shopper::Shopper;
use crate::stream::{Seam, Stream};
use midsession_event::{CapEntry, DecisionId, Event, EventName, Product, Reaction, SessionState, plus};
use midsession_machine::partial::Heard;
use midsession_machine::{
    Ask, Candidate, Cart, Definitions, Derived, Earliest, Effect, FACTS_KEPT_MS, Fact, FactKind, Names, Session, View,
};

impl Stream {
    /// Applies a first copy of an event to its shopper. `left`: they have left its device since; `left_ms`: when whoever did it, who
    /// was not known, logged out.
    pub(crate) fn apply_event<D: Definitions>(
        &mut self,
        index: u32,
        (event, left, left_ms): (&Event, bool, Option<i64>),
        definitions: &D,
        out: &mut Vec<Effect>,
    ) -> Seam {
        let now_ms = self.now_ms;
        let time_ms = event.occurred_at_ms.min(now_ms);
        let acted_ms = self.shoppers[index as usize].as_ref().and_then(Shopper::acted_ms);
        let position = self.place_in_session(index, (event, left), time_ms, out);
        let Self {
            shoppers,
            names,
            currencies,
            config,
            counters,
            sessions,
            tracker_sessions,
            idle_thresholds,
            partials,
            ..
        } = self;
        // Invariant: the caller got this index from `shopper_index`, nothing has removed the shopper since.
        let Some(shopper) = shoppers[index as usize].as_mut() else { return Seam::Keyless };
        let number = match position {
            Some(position) => shopper.sessions[position].number,
            // In no window and no session: nothing can ask for it.
            None if time_ms <= now_ms - FACTS_KEPT_MS => 0,
            None => shopper.loose_number(event.visitor_id.as_ref()),
        };
        // Room is made before, so that this event's own facts are here below.
        counters.facts_dropped += shopper.drop_facts();
        let had = shopper.facts.all().len();
        if position.is_some() || time_ms > now_ms - FACTS_KEPT_MS {
            write_facts(shopper, names, currencies, event, time_ms, number, definitions);
        }
        let written = shopper.facts.all().len() - had;
        definitions.accumulate(event, &shopper.id, Heard { acted_ms, left_ms }, now_ms, partials);
        if let (EventName::Logout, Some(visitor), false) = (&event.name, &event.visitor_id, left) {
            partials.lifetimes.leaves(&shopper.id, visitor, time_ms);
        }
        if !is_reaction(&event.name) {
            shopper.last_stamp_ms = now_ms;
            shopper.idle_fired_ms = 0;
        } else {
            shopper.pass_over_silences(now_ms, idle_thresholds);
        }
        let Some(position) = position else {
            counters.too_late += 1;
            self.arm(index);
            return Seam::TooLate;
        };
        let session = &mut shopper.sessions[position];
        let in_order = time_ms >= session.ended_at_ms || session.events == 0;
        if in_order {
            counters.on_time += 1;
        } else {
            counters.late += 1;
        }
        // Whoever withdraws their consent means it from when it is read, though another event was faster.
        let is_last_word =
            time_ms >= session.ended_at_ms || (event.name == EventName::Consent && !config.has(Defect::ConsentInOrder));
        if is_last_word {
            // A late event does not bring back a consent that was withdrawn since, and a source's default says nothing
            // new.
            session.consent = if event.consent_said { event.consent } else { session.consent.and(event.consent) };
        }
        let cart_changed = count_in(session, event, time_ms, now_ms, config.gap_ms) && {
            let before = session.cart;
            let is_next = time_ms >= session.cart_until_ms;
            if is_next {
                session.cart_until_ms = time_ms;
            }
            // Its own facts are the last ones of their instant.
            let instant = shopper.facts.between(time_ms - 1, time_ms);
            let own = &instant[instant.len().saturating_sub(written)..];
            // Out of order the fold starts anew.
            if !is_next || !own.iter().all(|fact| session.cart.apply(fact)) {
                session.cart = Cart::after(facts_of(&shopper.facts, number));
            }
            let changed = session.cart != before || event.name == EventName::AddToCart;
            session.cart_version += u64::from(changed);
            changed
        };
        if event.name == EventName::Transaction && is_paid_in_two(&shopper.facts, number) {
            session.revenue = f64::NAN;
        }
        let opened = session.version == 0;
        let session_id = session.id;
        if let Some(tracker) = &event.tracker_session_id {
            tracker_sessions.heard(session, tracker, in_order);
        }
        if event.user_id.is_some() && session.user.is_none() {
            session.user.clone_from(&event.user_id);
        }
        if opened {
            sessions.insert(session_id, index);
        }
        let is_over = event.name == EventName::Logout;
        if is_over {
            session.state = SessionState::Closed;
            counters.sessions_closed += 1;
        }
        let milestone = opened
            || session.state == SessionState::Closed
            || cart_changed
            || event.name == EventName::Login
            || matches!(event.name, EventName::CheckoutStep | EventName::Transaction | EventName::Refund)
                && !config.has(Defect::MilestoneWaits);
        session.dirty = true;
        if milestone || now_ms.saturating_sub(session.emitted_at_ms) >= config.cadence_ms {
            emit(session, currencies, now_ms, out);
        }
        if is_over {
            // A visit of theirs there that is idle by now has not been closed yet.
            let idle = |other: &&mut Session| {
                other.is_live() && other.visitor == event.visitor_id && other.ended_at_ms <= time_ms
            };
            for other in shopper.sessions.iter_mut().filter(idle) {
                close(other, counters, currencies, now_ms, out);
            }
        }
        self.watch_session(index, session_id, event);
        self.react(index, event, time_ms, out);
        self.ask_rules(index, session_id, event, definitions, out);
        self.arm(index);
        Seam::Applied(session_id)
    }

    /// The reactions to what was shown, derived onto `decision`.
    fn react(&mut self, index: u32, event: &Event, time_ms: i64, out: &mut Vec<Effect>) {
        let is_about_a_decision =
            is_reaction(&event.name) || matches!(event.name, EventName::Click | EventName::Dismiss);
        let Some(decision_id) = event.decision_id.as_ref().and_then(|id| id.parse::<DecisionId>().ok()) else { return };
        if !is_about_a_decision {
            return;
        }
        let cause = self.output_id();
        let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
        let rule = shopper.caps.iter().find(|entry| entry.decision_id == decision_id);
        out.push(Effect::Reaction(Box::new(Reaction {
            decision_id,
            rule: rule.map(|entry| entry.rule.clone()).unwrap_or_default(),
            name: event.name.clone(),
            visitor_id: event.visitor_id.clone(),
            source: event.source.clone(),
            occurred_at_ms: time_ms,
            preview: event.preview,
            bot: event.bot,
            properties: event.properties.clone(),
            cause,
        })));
        // A report that it was painted changes nothing: what was shown is taken for painted until it is answered or taken
        // back, as the report may come late or never.
        if !is_reaction(&event.name) && !self.config.has(Defect::AnsweredStays) {
            shopper.shown.retain(|shown| shown.decision_id != decision_id);
        }
    }

    /// Takes back what is no longer true, and asks the rules that this event triggers.
    fn ask_rules<D: Definitions>(
        &mut self,
        index: u32,
        session_id: midsession_event::SessionId,
        event: &Event,
        definitions: &D,
        out: &mut Vec<Effect>,
    ) {
        let now_ms = self.now_ms;
        let Some(shopper) = self.shoppers[index as usize].as_ref() else { return };
        if !shopper.shown.is_empty() {
            let mut gone = Vec::new();
            for shown in &shopper.shown {
                let session = shopper.sessions.iter().find(|session| session.id == shown.session_id);
                let view = self.view_of(shopper, session, now_ms);
                let consents = session
                    .is_some_and(|session| session.consent.allows(midsession_event::Purpose::Personalization))
                    || self.config.has(Defect::ConsentLate);
                let still_holds = consents && definitions.still_holds(&view, &shown.rule);
                // After a logout, say, the page is somebody else's.
                let is_over = !session.is_some_and(Session::is_live);
                let is_forgotten = shown.expires_at_ms <= now_ms && self.config.has(Defect::PaintedExpires);
                if (is_over || !still_holds) && !is_forgotten {
                    // Also what has expired since: a page may have painted it before that.
                    out.push(Effect::Retract {
                        decision_id: shown.decision_id,
                        visitor_id: session.and_then(|session| session.visitor.clone()),
                    });
                }
                if is_over || !still_holds || is_forgotten {
                    gone.push(shown.decision_id);
                }
            }
            if let (false, Some(shopper)) = (gone.is_empty(), self.shoppers[index as usize].as_mut()) {
                shopper.shown.retain(|shown| !gone.contains(&shown.decision_id));
            }
        }
        let Some(shopper) = self.shoppers[index as usize].as_ref() else { return };
        if event.bot || is_reaction(&event.name) || self.unmerged.is_away(&shopper.id) {
            return;
        }
        if !self.is_at(&shopper.id, event.visitor_id.as_ref()) && !self.config.has(Defect::LeftAsked) {
            return;
        }
        let Some(session) = shopper.sessions.iter().find(|session| session.id == session_id) else { return };
        let mut asks = Vec::new();
        let view = self.view_of(shopper, Some(session), now_ms);
        definitions.on_event(&view, event, &mut |ask| asks.push(ask));
        let cause_event = Some(event.event_id.0.clone());
        for ask in asks {
            self.candidate(index, session_id, ask, cause_event.clone(), now_ms, out);
        }
    }

    /// Emits a candidate, once per session, rule and version of the cart.
    pub(crate) fn candidate(
        &mut self,
        index: u32,
        session_id: midsession_event::SessionId,
        ask: Ask,
        cause_event: Option<midsession_event::Str>,
        asked_at_ms: i64,
        out: &mut Vec<Effect>,
    ) {
        let cause = self.output_id();
        let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
        let Some(session) = shopper.sessions.iter().find(|session| session.id == session_id) else { return };
        let decision_id = DecisionId::of(session.id, &ask.rule, session.cart_version);
        if shopper.caps.iter().any(|entry| entry.decision_id == decision_id) {
            return;
        }
        if ask.capped {
            out.push(Effect::Capped { rule: ask.rule });
            return;
        }
        let candidate = Candidate {
            decision_id,
            rule: ask.rule,
            shopper: shopper.id.clone(),
            visitor_id: session.visitor.clone(),
            session_id,
            cart_version: session.cart_version,
            inputs: ask.inputs,
            cause,
            cause_event,
            asked_at_ms,
            consented: session.consent.allows(midsession_event::Purpose::Personalization),
            bot: session.bot,
        };
        // It is known, so that it is not asked again, and counts once it has been decided so: a rule that turns out to be
        // switched off takes nobody's place. Who comes first under a cap is settled when the decisions are read.
        shopper.caps.reserve_exact(1);
        shopper.caps.push(CapEntry {
            decision_id,
            rule: candidate.rule.clone(),
            session_id,
            at_ms: asked_at_ms,
            counts: false,
            visitor_id: candidate.visitor_id.clone(),
        });
        shopper.pending.push(candidate.clone());
        self.counters.candidates += 1;
        out.push(Effect::Candidate(Box::new(candidate)));
    }
}

/// What the tracker reports of an intervention by itself; not something the shopper does.
pub(crate) fn is_reaction(name: &EventName) -> bool {
    matches!(name, EventName::Exposure | EventName::Painted)
}

/// Emits the session's next version.
pub(crate) fn emit(session: &mut Session, currencies: &Names, now_ms: i64, out: &mut Vec<Effect>) {
    session.version += 1;
    session.emitted_at_ms = now_ms;
    session.dirty = false;
    out.push(Effect::Session(Box::new(session.update(currencies))));
}

/// Ends a session, and says so.
pub(crate) fn close(
    session: &mut Session,
    counters: &mut Counters,
    currencies: &Names,
    now_ms: i64,
    out: &mut Vec<Effect>,
) {
    session.state = SessionState::Closed;
    counters.sessions_closed += 1;
    emit(session, currencies, now_ms, out);
}

fn facts_of(facts: &midsession_machine::Facts, number: u32) -> impl Iterator<Item = &Fact> + Clone {
    facts.all().iter().filter(move |fact| fact.session == number)
}

/// Whether a session's orders are in more than one currency: then they have no sum.
pub(crate) fn is_paid_in_two(facts: &midsession_machine::Facts, number: u32) -> bool {
    let order = FactKind::of(&EventName::Transaction);
    let mut currencies =
        facts_of(facts, number).filter(|fact| fact.kind == order && fact.currency != 0).map(|fact| fact.currency);
    let first = currencies.next();
    currencies.any(|currency| Some(currency) != first)
}

/// Takes an event into a session's counts. Says whether it is about the cart.
fn count_in(session: &mut Session, event: &Event, time_ms: i64, now_ms: i64, gap_ms: i64) -> bool {
    session.events += 1;
    session.last_kind = FactKind::of(&event.name);
    session.started_at_ms = session.started_at_ms.min(time_ms);
    session.ended_at_ms = session.ended_at_ms.max(time_ms);
    if !is_reaction(&event.name) {
        session.last_stamp_ms = now_ms;
    }
    session.state = if session.ended_at_ms + gap_ms <= now_ms { SessionState::Idle } else { SessionState::Open };
    session.bot |= event.bot;
    match &event.name {
        EventName::PageView => session.page_views += 1,
        EventName::ProductView => session.product_views += 1,
        EventName::AddToCart => session.add_to_carts += 1,
        EventName::CheckoutStep => session.checkout_step = session.checkout_step.max(event.step.unwrap_or(1)),
        EventName::Transaction => {
            session.orders += 1;
            let paid = event.order.as_ref().and_then(|order| order.revenue);
            session.revenue = plus(session.revenue, paid.unwrap_or(0.0));
        }
        _ => {}
    }
    let earliest = |slot: &mut Option<Earliest>, value: Option<&midsession_event::Str>| {
        if let Some(text) = value
            && slot.as_ref().is_none_or(|known| time_ms < known.time_ms)
        {
            *slot = Some(Earliest { time_ms, text: text.clone() });
        }
    };
    earliest(&mut session.device_class, event.device.as_ref().and_then(|device| device.class.as_ref()));
    earliest(&mut session.campaign, event.campaign.as_ref().and_then(|campaign| campaign.name.as_ref()));
    matches!(event.name, EventName::AddToCart | EventName::RemoveFromCart | EventName::Transaction)
        || event.cart.as_ref().is_some_and(|cart| cart.total_value.is_some())
}

/// The number of a currency. There are fewer than 255 in the world: what a client makes up beyond that has one number,
/// and takes no memory.
pub(crate) fn currency_number(currencies: &mut Names, currency: &str) -> u8 {
    let known = currencies.get(currency);
    let number = known.or_else(|| (currencies.len() < 254).then(|| currencies.number(currency)));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

/// Writes what remains of an event.
fn write_facts<D: Definitions>(
    shopper: &mut Shopper,
    names: &mut Names,
    currencies: &mut Names,
    event: &Event,
    time_ms: i64,
    session: u32,
    definitions: &D,
) {
    let mut currency_number =
        |currency: Option<&midsession_event::Str>| currency.map_or(0, |currency| currency_number(currencies, currency));
    let kind = FactKind::of(&event.name);
    let fact = Fact { time_ms, value: f64::NAN, product: 0, category: 0, session, quantity: 1, kind, currency: 0 };
    if let Some(order) = event.order.as_ref().filter(|_| event.name.is_order()) {
        shopper.facts.insert(Fact {
            value: order.revenue.unwrap_or(f64::NAN),
            currency: currency_number(order.currency.as_ref()),
            ..fact
        });
    } else if event.products.is_empty() {
        let category = event.list.as_ref().map_or(0, |list| names.number(list));
        shopper.facts.insert(Fact { category, ..fact });
    } else {
        let of_cart = event.cart.as_ref().and_then(|cart| cart.currency.as_ref());
        for (position, product) in event.products.iter().enumerate() {
            let Product { id, category, price, currency, quantity, .. } = product;
            let category = category.as_ref().or(event.list.as_ref()).map_or(0, |name| names.number(name));
            shopper.facts.insert(Fact {
                value: price.unwrap_or(f64::NAN),
                product: names.number(id.as_str()),
                category,
                quantity: u16::try_from(quantity.unwrap_or(1).max(0)).unwrap_or(u16::MAX),
                kind: if position == 0 { kind } else { kind.continued() },
                currency: currency_number(currency.as_ref().or(of_cart)),
                ..fact
            });
        }
    }
    if let Some(cart) = event.cart.as_ref().filter(|cart| cart.total_value.is_some()) {
        let value = cart.total_value.unwrap_or(f64::NAN);
        let currency = cart.currency.as_ref().or(event.products.first().and_then(|product| product.currency.as_ref()));
        let (quantity, currency) = (u16::from(event.name != EventName::Transaction), currency_number(currency));
        shopper.facts.insert(Fact { value, quantity, kind: FactKind::CART, currency, ..fact });
    }
    let mut derived: Vec<Derived> = Vec::new();
    definitions.derive(event, &mut derived);
    for derived in derived {
        shopper.facts.insert(Fact {
            value: derived.value.unwrap_or(f64::NAN),
            product: derived.text.as_ref().map_or(0, |text| names.number(text)),
            category: derived.slot,
            quantity: mark_of_event(event),
            kind: FactKind::DERIVED,
            currency: currency_number(derived.currency.as_ref()),
            ..fact
        });
    }
}

/// A view used where a shopper's rule is looked at in one session.
pub(crate) fn view_in<'a>(stream: &'a Stream, shopper: &'a Shopper, session: &'a Session, now_ms: i64) -> View<'a> {
    stream.view_of(shopper, Some(session), now_ms)
}
