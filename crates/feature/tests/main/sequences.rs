//! Sequences against a slow oracle over the events themselves: with several products, or without what is folded.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Cart, Event, Order, Product, PropertyValue};
use midsession_feature::{FeatureSet, Key, Value};
use midsession_machine::{Fact, FactKind};
use proptest::prelude::*;

const NOW_MS: i64 = 1_000_000;
const WITHIN_MS: i64 = 60_000;

/// A condition, and the same in Rust.
type Condition = (&'static str, fn(&Event) -> bool);
/// What is folded, and what that is of an event.
type Folded = (&'static str, fn(&Event) -> Vec<i64>);

fn is_red(event: &Event) -> bool {
    event.properties.get("colour") == Some(&PropertyValue::Text("red".into()))
}

fn is_view(event: &Event) -> bool {
    event.name.as_str() == "product_view"
}

fn is_cheap(price: Option<f64>) -> bool {
    price.is_some_and(|price| price < 50.0)
}

fn whole(amount: Option<f64>) -> Vec<i64> {
    amount.map(|amount| amount as i64).into_iter().collect()
}

fn prices(event: &Event) -> Vec<i64> {
    event.products.iter().filter_map(|product| product.price).map(|price| price as i64).collect()
}

const VIEWS: Condition = (r#"event.name == "product_view""#, is_view);
const REDS: Condition = (r#"event.properties.colour == "red""#, is_red);
const CARTS: Condition = (r#"event.name == "add_to_cart""#, |event| event.name.as_str() == "add_to_cart");
const CHEAP: Condition = (r#"event.name == "product_view" && event.product.price < 50.0"#, |event| {
    is_view(event) && event.products.iter().any(|product| is_cheap(product.price))
});
const BOUGHT: Condition = (r#"event.name in ["product_view", "transaction"]"#, |event| {
    ["product_view", "transaction"].contains(&event.name.as_str())
});
/// No condition at all.
const ANY: Condition = ("", |_| true);

/// What is asked, and what of.
const CASES: [(Condition, Folded); 7] = [
    (VIEWS, ("product.price", prices)),
    (REDS, ("product.price", prices)),
    (
        VIEWS,
        ("product.price * product.quantity", |event| {
            let worth = |product: &Product| Some(product.price? as i64 * i64::from(product.quantity.unwrap_or(1)));
            event.products.iter().filter_map(worth).collect()
        }),
    ),
    (
        VIEWS,
        ("product.quantity * 1.0", |event| {
            event.products.iter().map(|product| i64::from(product.quantity.unwrap_or(1))).collect()
        }),
    ),
    (CHEAP, ("product.price", |event| prices(event).into_iter().filter(|price| *price < 50).collect())),
    // By the vocabulary no other event has one.
    (BOUGHT, ("order.revenue", |event| whole(event.order.as_ref().and_then(|order| order.revenue)))),
    (ANY, ("cart.total_value", |event| whole(event.cart.as_ref().and_then(|cart| cart.total_value)))),
];
/// What follows: by columns, by facts of its own, and by what may meet both conditions.
const THENS: [Condition; 3] = [CARTS, REDS, VIEWS];

fn definitions() -> String {
    let mut text = String::new();
    for (case, ((when, _), (of, _))) in CASES.iter().enumerate() {
        for (number, (then, _)) in THENS.iter().enumerate() {
            for fold in ["sequence", "sequence_sum", "sequence_average"] {
                let of = if fold == "sequence" { String::new() } else { format!("of = '{of}'\n") };
                let when = if when.is_empty() { String::new() } else { format!("when = '{when}'\n") };
                text += &format!(
                    "[[feature]]\nname = \"{fold}_{case}_{number}\"\nkey = [\"user\", \"session\"]\n{when}\
                     fold = \"{fold}\"\n{of}then = '{then}'\nwithin = \"1m\"\nwindows = [\"5m\"]\n"
                );
            }
        }
    }
    text
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let names = prop::sample::select(vec!["product_view", "add_to_cart", "transaction", "search"]);
    let products = prop::collection::vec((0u8..4, prop::option::weighted(0.7, 1u32..100), 1i32..4), 0..4);
    // Few instants, so that some events are of one millisecond, and some exactly as far apart as may be.
    let one = (1i64..16, names, products, any::<bool>(), prop::option::of(1u32..100));
    prop::collection::vec(one, 0..20).prop_map(|all| {
        let event = |(index, (at, name, products, red, amount)): (usize, (i64, &str, Vec<_>, bool, Option<u32>))| {
            let mut event =
                Event { event_id: index.to_string().into(), ..event(name, NOW_MS - 300_000 + at * (WITHIN_MS / 3)) };
            let made = |(id, price, quantity): (u8, Option<u32>, i32)| Product {
                quantity: (quantity > 1).then_some(quantity),
                ..product(&format!("p{id}"), "", price.map_or(f64::NAN, f64::from))
            };
            event.products = products.into_iter().map(made).collect();
            let amount = amount.map(f64::from);
            if name == "transaction" {
                event.order = Some(Order { revenue: amount, ..Order::default() });
            } else if name == "add_to_cart" {
                event.cart = Some(Cart { total_value: amount, ..Default::default() });
            }
            event.properties.insert("colour".into(), PropertyValue::Text(if red { "red" } else { "blue" }.into()));
            event
        };
        all.into_iter().enumerate().map(event).collect()
    })
}

/// How many pairs there are, and what the first halves of them have to add up.
fn paired(events: &[&Event], case: usize, then: usize) -> (i64, Vec<i64>) {
    let ((_, when), (_, rows)) = CASES[case];
    let (mut pairs, mut all) = (0, Vec::new());
    let mut waiting: Option<&Event> = None;
    for event in events {
        if THENS[then].1(event)
            && let Some(first) = waiting.take()
            && event.occurred_at_ms - first.occurred_at_ms <= WITHIN_MS
        {
            pairs += 1;
            all.extend(rows(first));
        }
        if when(event) {
            waiting = Some(event);
        }
    }
    (pairs, all)
}

/// A mean of whole numbers at one decimal, half to even.
fn mean(all: &[i64]) -> f64 {
    let (tenths, count) = (all.iter().sum::<i64>() * 10, all.len() as i64);
    let (whole, twice) = (tenths / count, tenths % count * 2);
    let up = twice > count || twice == count && whole % 2 == 1;
    (whole + i64::from(up)) as f64 / 10.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn sequences_equal_the_oracle(events in events()) {
        let set = FeatureSet::load(&[("f.toml", &definitions())]).unwrap_or_else(|found| panic!("{found:?}"));
        let mut shopper = Shopper::new();
        events.iter().for_each(|event| shopper.take(event, 1, &set));
        shopper.session = Some(session(1, 0, NOW_MS));
        let mut sorted: Vec<&Event> = events.iter().collect();
        sorted.sort_by_key(|event| event.occurred_at_ms);
        let view = shopper.view(NOW_MS);
        for (case, then) in (0..CASES.len()).flat_map(|case| (0..THENS.len()).map(move |then| (case, then))) {
            let (pairs, all) = paired(&sorted, case, then);
            let sum = (!all.is_empty()).then(|| Value::Float(all.iter().sum::<i64>() as f64));
            let average = (!all.is_empty()).then(|| Value::Float(mean(&all)));
            for (fold, expected) in
                [("sequence", Some(Value::Int(pairs))), ("sequence_sum", sum), ("sequence_average", average)]
            {
                let name = format!("{fold}_{case}_{then}");
                let user = set.read(&view, Key::User, &format!("{name}_5m"));
                prop_assert_eq!(&user, &expected, "{} of {:?}, then {}", name, CASES[case].0.0, THENS[then].0);
                let of_session = set.read(&view, Key::Session, &name);
                prop_assert_eq!(&of_session, &expected, "{} of a session", name);
            }
        }
    }
}

/// A product without a price says nothing of its currency.
#[test]
fn what_adds_nothing_mixes_nothing() {
    let then = "then = 'event.name == \"search\"'\nwithin = \"1m\"\nwindows = [\"5m\"]";
    for when in ["event.name == \"product_view\"", "has(event.product.id)"] {
        let text = format!(
            "[[feature]]\nname = \"f\"\nkey = \"user\"\nwhen = '{when}'\nfold = \"sequence_sum\"\nof = \"product.price\"\n{then}"
        );
        let set = FeatureSet::load(&[("f.toml", &text)]).expect("valid");
        let mut shopper = Shopper::new();
        let priced =
            |price: f64, currency: &str| Product { currency: Some(currency.into()), ..product("p", "", price) };
        let products = vec![priced(10.0, "EUR"), priced(f64::NAN, "USD"), priced(20.0, "EUR")];
        shopper.take(&Event { products, ..event("product_view", 1) }, 1, &set);
        shopper.take(&event("search", 2), 1, &set);
        assert_eq!(set.read(&shopper.view(3), Key::User, "f_5m"), Some(Value::Float(30.0)), "{when}");
    }
}

/// Where two events of one millisecond got theirs afterwards, the facts of both stand behind the first one.
#[test]
fn two_events_whose_facts_stand_together_are_two() {
    let text = "[[feature]]\nname = \"f\"\nkey = \"user\"\nwhen = 'has(event.product.id)'\nfold = \"sequence_sum\"\n\
                of = \"product.price\"\nthen = 'event.name == \"search\"'\nwithin = \"1m\"\nwindows = [\"5m\"]";
    let set = FeatureSet::load(&[("f.toml", text)]).expect("valid");
    let none = FeatureSet::load(&[]).expect("valid");
    let mut shopper = Shopper::new();
    let views = [[1.0, 2.0], [10.0, 20.0]].map(|prices| Event {
        products: prices.map(|price| product("p", "", price)).into(),
        ..event("product_view", 1)
    });
    views.iter().for_each(|view| shopper.take(view, 1, &none));
    for (mark, view) in (1..).zip(&views) {
        let own = shopper.facts.all()[0];
        let mut derived = Vec::new();
        set.derive(view, &mut derived);
        for derived in derived {
            let number = derived.text.as_ref().map_or(0, |text| shopper.names.number(text));
            let (value, category) = (derived.value.unwrap_or(f64::NAN), derived.slot);
            let fact = Fact { value, product: number, category, quantity: mark, kind: FactKind::DERIVED, ..own };
            shopper.facts.insert_behind(|other| other.kind == own.kind, fact);
        }
    }
    shopper.take(&event("search", 2), 1, &none);
    assert_eq!(set.read(&shopper.view(3), Key::User, "f_5m"), Some(Value::Float(30.0)), "of the second one alone");
}

/// An amount that is in no pair is not counted, whatever its currency: that nothing follows it is known from those around it.
#[test]
fn an_amount_in_no_pair_has_no_currency() {
    let one = |fold: &str, condition: &str| {
        format!(
            "[[feature]]\nname = \"{fold}\"\nkey = \"user\"\nwhen = 'event.name == \"add_to_cart\"{condition}'\nfold = \"{fold}\"\n\
             of = \"product.price\"\nthen = 'event.name == \"transaction\"'\nwithin = \"1m\"\nempty = 0.0\nwindows = [\"1h\"]\n"
        )
    };
    let added = |at_ms: i64, price: f64, currency: &str| Event {
        products: vec![Product { currency: Some(currency.into()), ..product("p", "", price) }],
        ..event("add_to_cart", at_ms)
    };
    let sold = |at_ms: i64| Event { order: Some(Order::default()), ..event("transaction", at_ms) };
    // From columns, and derived.
    for condition in ["", " && event.source == \"shop\""] {
        let text = [one("sequence_sum", condition), one("sequence_average", condition)].concat();
        let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
        for (events, expected) in [
            (vec![added(NOW_MS - 3, 20.0, "USD"), added(NOW_MS - 2, 80.0, "EUR"), sold(NOW_MS - 1)], Some(80.0)),
            (vec![added(NOW_MS - 3, 80.0, "EUR"), sold(NOW_MS - 2), added(NOW_MS - 1, 20.0, "USD")], Some(80.0)),
            (
                vec![
                    added(NOW_MS - 4, 20.0, "USD"),
                    sold(NOW_MS - 3),
                    added(NOW_MS - 2, 80.0, "EUR"),
                    sold(NOW_MS - 1),
                ],
                None,
            ),
        ] {
            let mut shopper = Shopper::new();
            events.iter().for_each(|event| shopper.take(event, 1, &set));
            for name in ["sequence_sum_1h", "sequence_average_1h"] {
                let value = set.read(&shopper.view(NOW_MS), Key::User, name);
                assert_eq!(value, expected.map(Value::Float), "{name}{condition} of {events:?}");
            }
        }
    }
}
