//! Counted again from what there is: sessions against the facts they left, for an audit and for the simulator.

use crate::shopper::Shopper;
use crate::stream::Stream;
use midsession_event::{EventName, SessionState, plus};
use midsession_machine::{Cart, FACTS_KEPT_MS, Fact, FactKind, Session};

/// Sums of money may differ by how they were added up, as a share of them.
const ROUNDING: f64 = 1e-9;

impl Stream {
    /// Counts every session again from its facts. An error says which session differs, and in what. Where facts were
    /// dropped for want of room there is nothing to count by.
    ///
    /// It walks all of the state: not for a partition at work.
    pub fn recount(&self) -> Result<(), String> {
        if self.counters.facts_dropped > 0 {
            return Ok(());
        }
        self.shoppers.iter().try_for_each(|shopper| self.recount_of(shopper))
    }

    /// The same of one shopper.
    pub fn recount_of(&self, shopper: &Shopper) -> Result<(), String> {
        let has_all = |session: &&Session| {
            session.state != SessionState::Merged
                && (session.is_live() || session.started_at_ms > self.now_ms - FACTS_KEPT_MS)
        };
        let kept = self.facts_of(shopper);
        let all = kept.all();
        for session in shopper.sessions.iter().filter(has_all) {
            let facts = || all.iter().filter(|fact| fact.session == session.number);
            recount(session, facts).map_err(|cause| format!("session {}: {cause}", session.id))?;
        }
        Ok(())
    }
}

fn recount<'a, I: Iterator<Item = &'a Fact> + Clone>(session: &Session, facts: impl Fn() -> I) -> Result<(), String> {
    let is_event =
        |fact: &&Fact| !fact.kind.is_continued() && fact.kind != FactKind::CART && fact.kind != FactKind::DERIVED;
    let count = |name: Option<EventName>| {
        let kind = name.map(|name| FactKind::of(&name));
        facts().filter(is_event).filter(|fact| kind.is_none_or(|kind| fact.kind == kind)).count() as i64
    };
    for (what, said, counted) in [
        ("events", session.events, count(None)),
        ("page views", session.page_views, count(Some(EventName::PageView))),
        ("product views", session.product_views, count(Some(EventName::ProductView))),
        ("adds to cart", session.add_to_carts, count(Some(EventName::AddToCart))),
        ("orders", session.orders, count(Some(EventName::Transaction))),
    ] {
        if said != counted {
            return Err(format!("{said} {what}, and {counted} by its facts"));
        }
    }
    let times = || facts().map(|fact| fact.time_ms);
    for (what, said, counted) in
        [("begins", session.started_at_ms, times().min()), ("ends", session.ended_at_ms, times().max())]
    {
        if Some(said) != counted {
            return Err(format!("{what} at {said}, and at {counted:?} by its facts"));
        }
    }
    let order = FactKind::of(&EventName::Transaction);
    let revenue: f64 =
        facts().filter(|fact| fact.kind == order && !fact.value.is_nan()).map(|fact| fact.value).fold(0.0, plus);
    // Orders in several currencies have no sum.
    if !session.revenue.is_nan() && (session.revenue - revenue).abs() > ROUNDING * revenue.abs().max(1.0) {
        return Err(format!("orders worth {}, and {revenue} by its facts", session.revenue));
    }
    let cart = Cart::after(facts());
    if session.cart != cart {
        return Err(format!("cart {:?}, and {cart:?} by its facts", session.cart));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::{Consent, PartitionId, SessionId, ShopperId};

    fn shopper() -> Shopper {
        let mut shopper = Shopper::new(ShopperId::Visitor("v1".into()));
        let kinds = [EventName::PageView, EventName::ProductView, EventName::AddToCart, EventName::Transaction];
        for (place, name) in kinds.iter().enumerate() {
            let (kind, time_ms) = (FactKind::of(name), 1_000 + place as i64);
            let fact =
                Fact { time_ms, value: 9.0, product: 1, category: 0, session: 1, quantity: 1, kind, currency: 1 };
            shopper.facts.insert(fact);
            if *name == EventName::ProductView {
                shopper.facts.insert(Fact { kind: kind.continued(), ..fact });
            }
        }
        shopper.sessions.push(Session {
            id: SessionId(1),
            number: 1,
            visitor: None,
            user: None,
            tracker_session_id: None,
            other_tracker_ids: Box::default(),
            source: "web".into(),
            state: SessionState::Open,
            merged_into: None,
            version: 1,
            started_at_ms: 1_000,
            ended_at_ms: 1_003,
            last_stamp_ms: 1_003,
            last_kind: FactKind::of(&EventName::Transaction),
            events: 4,
            page_views: 1,
            product_views: 1,
            add_to_carts: 1,
            checkout_step: 0,
            orders: 1,
            revenue: 9.0,
            cart: Cart { touched: true, currency: 1, ..Cart::default() },
            cart_until_ms: 1_003,
            cart_version: 2,
            device_class: None,
            campaign: None,
            bot: false,
            consent: Consent::FULL,
            emitted_at_ms: 0,
            dirty: false,
        });
        shopper
    }

    /// What is changed, and what is said of it.
    type Case = (fn(&mut Shopper), &'static str);

    #[test]
    fn each_count_is_held_to_the_facts() {
        let stream = Stream::new(PartitionId(0), crate::Config::default());
        assert_eq!(stream.recount_of(&shopper()), Ok(()));
        let cases: [Case; 10] = [
            (|shopper| shopper.sessions[0].events += 1, "5 events, and 4 by its facts"),
            (|shopper| shopper.sessions[0].page_views -= 1, "0 page views, and 1 by its facts"),
            (|shopper| shopper.sessions[0].product_views += 1, "2 product views, and 1 by its facts"),
            (|shopper| shopper.sessions[0].add_to_carts = 7, "7 adds to cart, and 1 by its facts"),
            (|shopper| shopper.sessions[0].orders = 0, "0 orders, and 1 by its facts"),
            (|shopper| shopper.sessions[0].started_at_ms -= 1, "begins at 999"),
            (|shopper| shopper.sessions[0].ended_at_ms += 1, "ends at 1004"),
            (|shopper| shopper.sessions[0].revenue = 9.01, "orders worth 9.01, and 9 by its facts"),
            (|shopper| shopper.sessions[0].cart.size = 1, "cart "),
            (|shopper| shopper.facts.insert(shopper.facts.all()[0]), "4 events, and 5 by its facts"),
        ];
        for (change, said) in cases {
            let mut shopper = shopper();
            change(&mut shopper);
            let found = stream.recount_of(&shopper).expect_err(said);
            assert!(found.contains(said), "{found}, not {said}");
        }
        // Of what is merged into another one, and of a session from before the facts that are kept, nothing is to be had.
        let mut merged = shopper();
        (merged.sessions[0].state, merged.sessions[0].events) = (SessionState::Merged, 9);
        assert_eq!(stream.recount_of(&merged), Ok(()));
    }
}
