//! A shopper in a box: facts written as the partition writes them, and a view of them.

use midsession_event::{Consent, Event, Product, SessionId, SessionState, ShopperId, Str};
use midsession_feature::FeatureSet;
use midsession_machine::{Cart, Fact, FactKind, Facts, Names, Partials, Session, View};

pub struct Shopper {
    pub id: ShopperId,
    pub facts: Facts,
    pub names: Names,
    pub currencies: Names,
    pub partials: Partials,
    pub session: Option<Session>,
    pub last_stamp_ms: i64,
}

impl Shopper {
    pub fn new() -> Self {
        Self {
            id: ShopperId::Visitor("v1".into()),
            facts: Facts::default(),
            names: Names::default(),
            currencies: Names::default(),
            partials: Partials::new(1 << 20, 1_000),
            session: None,
            last_stamp_ms: i64::MIN,
        }
    }

    /// Writes what remains of an event in session `number`.
    pub fn take(&mut self, event: &Event, number: u32, set: &FeatureSet) {
        let kind = FactKind::of(&event.name);
        let blank = Fact {
            time_ms: event.occurred_at_ms,
            value: f64::NAN,
            product: 0,
            category: 0,
            session: number,
            quantity: 1,
            kind,
            currency: 0,
        };
        let currency =
            |currencies: &mut Names, name: &Option<Str>| name.as_ref().map_or(0, |name| currencies.number(name) as u8);
        if let (true, Some(order)) = (matches!(event.name.as_str(), "transaction" | "refund"), &event.order) {
            let currency = currency(&mut self.currencies, &order.currency);
            self.facts.insert(Fact { value: order.revenue.unwrap_or(f64::NAN), currency, ..blank });
        } else if event.products.is_empty() {
            let category = event.list.as_ref().map_or(0, |list| self.names.number(list));
            self.facts.insert(Fact { category, ..blank });
        }
        let products: &[Product] = if event.order.is_some() { &[] } else { &event.products };
        let of_cart = event.cart.as_ref().and_then(|cart| cart.currency.clone());
        for (position, product) in products.iter().enumerate() {
            let category = product.category.as_ref().or(event.list.as_ref());
            self.facts.insert(Fact {
                value: product.price.unwrap_or(f64::NAN),
                product: self.names.number(product.id.as_str()),
                category: category.map_or(0, |category| self.names.number(category)),
                quantity: product.quantity.unwrap_or(1) as u16,
                kind: if position == 0 { kind } else { kind.continued() },
                currency: currency(&mut self.currencies, &product.currency.clone().or(of_cart.clone())),
                ..blank
            });
        }
        if let Some(value) = event.cart.as_ref().and_then(|cart| cart.total_value) {
            let of_first = || event.products.first().and_then(|product| product.currency.clone());
            let currency = currency(&mut self.currencies, &of_cart.or_else(of_first));
            self.facts.insert(Fact { value, kind: FactKind::CART, currency, ..blank });
        }
        let mut derived = Vec::new();
        set.derive(event, &mut derived);
        for derived in derived {
            self.facts.insert(Fact {
                value: derived.value.unwrap_or(f64::NAN),
                product: derived.text.as_ref().map_or(0, |text| self.names.number(text)),
                category: derived.slot,
                kind: FactKind::DERIVED,
                currency: currency(&mut self.currencies, &derived.currency),
                ..blank
            });
        }
    }

    pub fn view(&self, now_ms: i64) -> View<'_> {
        View {
            shopper: &self.id,
            facts: (&self.facts).into(),
            whole_after_ms: i64::MIN,
            session: self.session.as_ref(),
            names: &self.names,
            currencies: &self.currencies,
            partials: &self.partials,
            caps: &[],
            since: &[],
            last_stamp_ms: self.last_stamp_ms,
            now_ms,
        }
    }
}

pub fn event(name: &str, at_ms: i64) -> Event {
    Event::new("shop".into(), format!("{name}-{at_ms}").into(), name.into(), at_ms)
}

pub fn product(id: &str, category: &str, price: f64) -> Product {
    Product {
        id: id.into(),
        category: (!category.is_empty()).then(|| category.into()),
        price: (!price.is_nan()).then_some(price),
        ..Product::default()
    }
}

pub fn session(number: u32, started_at_ms: i64, ended_at_ms: i64) -> Session {
    Session {
        id: SessionId(u128::from(number)),
        number,
        visitor: Some("v1".into()),
        user: None,
        tracker_session_id: None,
        other_tracker_ids: Box::default(),
        source: "shop".into(),
        state: SessionState::Open,
        merged_into: None,
        version: 1,
        started_at_ms,
        ended_at_ms,
        last_stamp_ms: ended_at_ms,
        last_kind: FactKind::CUSTOM,
        events: 1,
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
        consent: Consent::FULL,
        emitted_at_ms: 0,
        dirty: false,
    }
}
