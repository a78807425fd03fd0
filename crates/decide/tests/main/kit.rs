//! A shopper with facts, a session and caps, and rules to look at them with.

use midsession_decide::{Definitions, Rules};
use midsession_event::{
    CapEntry, Consent, DecisionId, Event, EventName, Product, SessionId, SessionState, ShopperId, Str,
};
use midsession_feature::FeatureSet;
use midsession_machine::{Cart, Fact, FactKind, Facts, Names, Partials, Session, View};
use std::sync::Arc;

pub struct Shopper {
    pub id: ShopperId,
    pub facts: Facts,
    pub names: Names,
    pub partials: Partials,
    pub session: Session,
    pub caps: Vec<CapEntry>,
    pub last_stamp_ms: i64,
}

impl Shopper {
    /// In session 1, with a cart worth this much.
    pub fn with_cart(value: f64) -> Self {
        Self {
            id: ShopperId::Visitor("v1".into()),
            facts: Facts::default(),
            names: Names::default(),
            partials: Partials::default(),
            session: Session {
                id: SessionId(1),
                number: 1,
                visitor: Some("v1".into()),
                user: None,
                tracker_session_id: None,
                other_tracker_ids: Box::default(),
                source: "shop".into(),
                state: SessionState::Open,
                merged_into: None,
                version: 1,
                started_at_ms: 0,
                ended_at_ms: 0,
                last_stamp_ms: 0,
                last_kind: FactKind::CUSTOM,
                events: 1,
                page_views: 1,
                product_views: 1,
                add_to_carts: 1,
                checkout_step: 0,
                orders: 0,
                revenue: 0.0,
                cart: Cart { value: Some(value), currency: 0, size: 1, touched: true },
                cart_until_ms: 0,
                cart_version: 1,
                device_class: None,
                campaign: None,
                bot: false,
                consent: Consent::FULL,
                emitted_at_ms: 0,
                dirty: false,
            },
            caps: Vec::new(),
            last_stamp_ms: 0,
        }
    }

    /// A fact of the session.
    pub fn did(&mut self, name: &str, at_ms: i64, product: &str, price: f64) {
        let product = if product.is_empty() { 0 } else { self.names.number(product) };
        let kind = FactKind::of(&EventName::from(name));
        self.facts.insert(Fact {
            time_ms: at_ms,
            value: price,
            product,
            category: 0,
            session: 1,
            quantity: 1,
            kind,
            currency: 0,
        });
        self.session.ended_at_ms = self.session.ended_at_ms.max(at_ms);
        self.last_stamp_ms = at_ms;
    }

    /// A decision that took effect earlier, in another session.
    pub fn was_shown(&mut self, rule: &str, session: u128, at_ms: i64, counts: bool) {
        let decision_id = DecisionId::of(SessionId(session), rule, at_ms as u64 + 1_000);
        self.caps.push(CapEntry {
            decision_id,
            rule: rule.into(),
            session_id: SessionId(session),
            at_ms,
            counts,
            visitor_id: None,
        });
    }

    pub fn view(&self, now_ms: i64) -> View<'_> {
        View {
            shopper: &self.id,
            facts: (&self.facts).into(),
            whole_after_ms: i64::MIN,
            session: Some(&self.session),
            names: &self.names,
            currencies: &self.names,
            partials: &self.partials,
            caps: &self.caps,
            since: &[],
            last_stamp_ms: self.last_stamp_ms,
            now_ms,
        }
    }

    /// Names of the rules that ask after this much silence.
    pub fn idle(&self, rules: &Rules, idle_ms: i64) -> Vec<Str> {
        let mut asked = Vec::new();
        rules.on_idle(&self.view(self.last_stamp_ms + idle_ms), idle_ms, &mut |ask| {
            asked.extend((!ask.capped).then_some(ask.rule))
        });
        asked
    }

    /// Names of the rules that ask on this event, now.
    pub fn event(&self, rules: &Rules, event: &Event) -> Vec<Str> {
        let mut asked = Vec::new();
        rules.on_event(&self.view(event.occurred_at_ms), event, &mut |ask| {
            asked.extend((!ask.capped).then_some(ask.rule))
        });
        asked
    }

    /// Whether the caps leave room for one more of a rule in the session.
    pub fn may(&self, rules: &Rules, rule: &str, now_ms: i64) -> bool {
        rules.allows(&self.view(now_ms), rule, self.session.id)
    }
}

pub fn event(name: &str, at_ms: i64) -> Event {
    let product = Product { id: "p1".into(), price: Some(90.0), ..Product::default() };
    Event { products: vec![product], ..Event::new("shop".into(), "e1".into(), name.into(), at_ms) }
}

pub fn rules(text: &str) -> Rules {
    rules_with(&[midsession_feature::NATIVE, ("rules.toml", text)])
}

pub fn rules_with(files: &[(&str, &str)]) -> Rules {
    let features = Arc::new(FeatureSet::load(files).expect("valid features"));
    let mut definitions = Definitions::default();
    for (file, text) in files {
        let found = definitions.add(file, text, &features);
        assert_eq!(found, [], "{file}");
    }
    Rules::new(definitions, features)
}

/// A rule with these lines, and what else it needs.
pub fn rule(name: &str, lines: &str) -> String {
    let trigger = if lines.contains("trigger") { "" } else { "trigger = { event = \"add_to_cart\" }\n" };
    format!("[[intervention]]\nname = \"{name}\"\nslot = \"s\"\npayload = {{ title = \"T\" }}\n{trigger}{lines}\n")
}
