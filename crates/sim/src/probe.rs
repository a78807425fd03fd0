//! Definitions for the simulation: two rules with caps, and a record of every silence that was told.

use midsession::assemble::Assembly;
use midsession_event::{Event, EventName, SessionId, ShopperId};
use midsession_machine::partial::{FieldWindow, Heard, Partial, Piece};
use midsession_machine::{Ask, Definitions, Derived, Partials, View};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Carts above this interest the rules.
pub const CART_ABOVE: f64 = 40.0;
/// At most this many decisions of a rule within [`CAP_WINDOW_MS`] per shopper; one per session.
pub const CAP_IN_WINDOW: usize = 2;
/// Seven days.
pub const CAP_WINDOW_MS: i64 = 7 * 24 * 3_600_000;
/// The silences told, ms. The second also triggers a rule.
pub const SILENCES_MS: [i64; 3] = [5_000, 20_000, 600_000];
/// The silence that triggers `stalled`.
pub const STALLED_MS: i64 = 20_000;

/// A silence that the machine told: shopper, session, threshold, `now`.
pub type Silence = (String, u128, i64, i64);

/// The definitions.
#[derive(Default)]
pub struct Probe {
    /// What was told so far.
    pub silences: RefCell<Vec<Silence>>,
    /// Real definitions, whose features are added up and read.
    pub assembly: Option<Arc<Assembly>>,
}

/// Sketches over all shoppers and of each: a machine that goes on from a snapshot must have the same, byte by byte.
fn add_up(event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
    let text = event.visitor_id.as_ref().map(|visitor| visitor.as_str());
    let (time_ms, number) = (event.occurred_at_ms.min(now_ms), (event.occurred_at_ms % 1_009) as f64 / 7.0);
    let piece = Piece { time_ms, number, text, currency: None, second: false };
    let starts: [fn() -> Partial; 2] =
        [|| Partial::Digest(Default::default()), || Partial::Distinct(Default::default())];
    for (slot, start) in (0..).zip(starts) {
        partials.fields.add(slot, event.name.as_str(), &[FieldWindow::of(3_600_000)], start, &piece, now_ms);
    }
    let life = partials.lifetimes.heard(shopper, event.visitor_id.as_ref(), heard, now_ms);
    (0..).zip(starts).for_each(|(slot, start)| life.add(slot, start, &piece));
}

impl Probe {
    fn wants(view: &View<'_>) -> bool {
        view.session
            .is_some_and(|session| session.cart.value.is_some_and(|value| value > CART_ABOVE) && session.orders == 0)
    }
}

impl Definitions for Probe {
    fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        if let Some(assembly) = &self.assembly {
            assembly.derive(event, out);
        }
    }

    fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        match &self.assembly {
            Some(assembly) => assembly.accumulate(event, shopper, heard, now_ms, partials),
            None => add_up(event, shopper, heard, now_ms, partials),
        }
    }

    fn idle_thresholds_ms(&self) -> &[i64] {
        &SILENCES_MS
    }

    fn on_event(&self, view: &View<'_>, event: &Event, ask: &mut dyn FnMut(Ask)) {
        if event.name == EventName::AddToCart && Self::wants(view) {
            let capped = !view.session.is_some_and(|session| self.allows(view, "big_cart", session.id));
            ask(Ask { rule: "big_cart".into(), inputs: BTreeMap::new(), capped });
        }
    }

    fn on_idle(&self, view: &View<'_>, idle_ms: i64, ask: &mut dyn FnMut(Ask)) {
        let Some(session) = view.session else { return };
        let is_of_it = |fact: &midsession_machine::Fact| fact.session == session.number;
        // A visit that goes on has facts: what is told where there are none is told of nobody.
        let who = if view.facts.all().iter().any(is_of_it) { view.shopper.to_string() } else { "nobody".into() };
        self.silences.borrow_mut().push((who, session.id.0, idle_ms, view.now_ms));
        if idle_ms == STALLED_MS && Self::wants(view) {
            let capped = !self.allows(view, "stalled", session.id);
            ask(Ask { rule: "stalled".into(), inputs: BTreeMap::new(), capped });
        }
    }

    fn version(&self, _rule: &str) -> Option<&str> {
        Some("1")
    }

    fn allows(&self, view: &View<'_>, rule: &str, session: SessionId) -> bool {
        let counted = || view.caps.iter().filter(|cap| cap.rule == rule && cap.counts);
        counted().all(|cap| cap.session_id != session)
            && counted().filter(|cap| cap.at_ms > view.now_ms - CAP_WINDOW_MS).count() < CAP_IN_WINDOW
    }

    fn still_holds(&self, view: &View<'_>, _rule: &str) -> bool {
        view.session.is_some_and(|session| session.orders == 0)
    }
}
