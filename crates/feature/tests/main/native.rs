//! The native profile by hand: a visit whose every value is known.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Event, Order};
use midsession_feature::{FeatureSet, Key, LookBack, Value};
use midsession_machine::Cart;

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_000 * MINUTE;

fn with_products(name: &str, at_ms: i64, products: &[(&str, &str, f64)]) -> Event {
    let products = products.iter().map(|(id, category, price)| product(id, category, *price)).collect();
    Event { products, ..event(name, at_ms) }
}

fn visit(set: &FeatureSet) -> Shopper {
    let mut shopper = Shopper::new();
    let order = Order { revenue: Some(59.5), ..Order::default() };
    let events = [
        (1, with_products("product_view", NOW - 90 * MINUTE, &[("p1", "Shoes", 40.0)])),
        (2, Event { list: Some("New series".into()), ..event("list_view", NOW - 30 * MINUTE) }),
        (2, with_products("product_view", NOW - 20 * MINUTE, &[("p1", "Shoes", 40.0)])),
        (2, with_products("product_view", NOW - 10 * MINUTE, &[("p2", "Shoes", 120.0)])),
        (2, event("search", NOW - 6 * MINUTE)),
        (2, with_products("product_view", NOW - 4 * MINUTE, &[("p3", "Bags", 20.0), ("p4", "Bags", f64::NAN)])),
        (2, with_products("add_to_cart", NOW - 3 * MINUTE, &[("p3", "Bags", 20.0)])),
        (2, with_products("remove_from_cart", NOW - 2 * MINUTE, &[("p3", "Bags", 20.0)])),
        (2, Event { order: Some(order), ..with_products("transaction", NOW - MINUTE, &[("p2", "Shoes", 120.0)]) }),
        (2, event("page_view", NOW + 1)),
    ];
    for (number, event) in &events {
        shopper.take(event, *number, set);
    }
    shopper.last_stamp_ms = NOW - MINUTE;
    shopper
}

#[test]
fn a_users_values_in_every_window() {
    let set = FeatureSet::native();
    let shopper = visit(&set);
    let cases: &[(&str, [Option<Value>; 3])] = &[
        ("product_view_count", [int(1), int(3), int(4)]),
        ("distinct_products", [int(2), int(4), int(4)]),
        ("list_view_count", [int(0), int(1), int(1)]),
        ("search_count", [int(0), int(1), int(1)]),
        ("cart_add_count", [int(1), int(1), int(1)]),
        ("cart_remove_count", [int(1), int(1), int(1)]),
        ("order_count", [int(1), int(1), int(1)]),
        ("order_value", [float(59.5), float(59.5), float(59.5)]),
        ("avg_viewed_price", [float(20.0), float(60.0), float(55.0)]),
        ("min_viewed_price", [float(20.0), float(20.0), float(20.0)]),
        ("max_viewed_price", [float(20.0), float(120.0), float(120.0)]),
        ("top_category", [text("Bags"), text("Bags"), text("Shoes")]),
        ("unique_categories", [int(1), int(3), int(3)]),
    ];
    let view = shopper.view(NOW);
    for (name, expected) in cases {
        for (window, expected) in ["5m", "1h", "24h"].iter().zip(expected) {
            assert_eq!(set.read(&view, Key::User, &format!("{name}_{window}")), *expected, "{name}_{window}");
        }
    }
    assert_eq!(set.names(Key::User).count(), 3 * cases.len(), "the contract's names and no others");
    assert_eq!(set.read(&view, Key::User, "product_view_count"), None);
    assert!(set.entries(Key::User).all(|entry| entry.looks_back == LookBack::Exactly));
}

#[test]
fn a_sessions_values() {
    let set = FeatureSet::native();
    let mut shopper = visit(&set);
    shopper.session = Some(midsession_machine::Session {
        page_views: 3,
        product_views: 4,
        add_to_carts: 1,
        checkout_step: 2,
        cart: Cart { value: Some(90.0), currency: 1, size: 2, touched: true },
        device_class: Some(midsession_machine::Earliest { time_ms: 1, text: "mobile".into() }),
        campaign: Some(midsession_machine::Earliest { time_ms: 1, text: "spring".into() }),
        ..session(2, NOW - 30 * MINUTE, NOW - MINUTE)
    });
    let view = shopper.view(NOW);
    for (name, expected) in [
        ("product_view_count", int(3)),
        ("distinct_products", int(4)),
        ("order_count", int(1)),
        ("order_value", float(59.5)),
        ("top_category", text("Bags")),
        ("cart_value", float(90.0)),
        ("cart_size", int(2)),
        ("checkout_step", int(2)),
        ("duration_ms", int(29 * MINUTE)),
        ("page_count", int(3)),
        ("bounce", Some(Value::Bool(false))),
        ("idle_ms", int(MINUTE)),
        ("cart_view_ratio", float(0.25)),
        ("device_class", text("mobile")),
        ("campaign", text("spring")),
    ] {
        assert_eq!(set.read(&view, Key::Session, name), expected, "{name}");
    }
    assert_eq!(set.names(Key::Session).count(), 13 + 10);
}

#[test]
fn nothing_is_known_of_nobody() {
    let set = FeatureSet::native();
    let mut shopper = Shopper::new();
    assert!(set.read_all(&shopper.view(NOW), Key::Session).is_empty(), "no session");
    for (name, value) in set.read_all(&shopper.view(NOW), Key::User) {
        assert_eq!(value, Value::Int(0), "{name}");
    }
    shopper.session = Some(session(1, 0, 0));
    let known = set.read_all(&shopper.view(NOW), Key::Session);
    let absent =
        ["order_value", "top_category", "cart_value", "idle_ms", "cart_view_ratio", "device_class", "campaign"];
    assert!(known.iter().all(|(name, _)| !absent.contains(name)), "{known:?}");
    assert!(known.contains(&("bounce", Value::Bool(true))));
    assert!(known.contains(&("cart_size", Value::Int(0))));
}

#[test]
fn amounts_in_two_currencies_do_not_mix() {
    let set = FeatureSet::native();
    let mut shopper = Shopper::new();
    for (at_ms, currency) in [(1, "EUR"), (2, "EUR"), (400_000, "CHF")] {
        let order = Order { revenue: Some(10.0), currency: Some(currency.into()), ..Order::default() };
        shopper.take(&Event { order: Some(order), ..event("transaction", at_ms) }, 1, &set);
    }
    let read = |now_ms| set.read(&shopper.view(now_ms), Key::User, "order_value_5m");
    assert_eq!(read(2), float(20.0));
    assert_eq!(read(400_000), float(10.0), "the euros have left the window");
    assert_eq!(set.read(&shopper.view(400_000), Key::User, "order_value_1h"), None, "mixed");
    assert_eq!(set.read(&shopper.view(400_000), Key::User, "order_count_1h"), int(3));
}

fn int(int: i64) -> Option<Value> {
    Some(Value::Int(int))
}
fn float(float: f64) -> Option<Value> {
    Some(Value::Float(float))
}
fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.into()))
}

/// What goes by itself goes at the instant that is said, and what stays stays.
#[test]
fn values_are_gone_when_their_windows_are_empty() {
    let set = FeatureSet::native();
    let shopper = visit(&set);
    let at = |now_ms: i64, name: &str| set.read(&shopper.view(now_ms), Key::User, name);
    let said = |name: &str| set.vanishes_ms(&shopper.view(NOW), Key::User, name);
    assert_eq!(said("avg_viewed_price_5m"), Some(NOW + MINUTE), "four minutes ago");
    assert_eq!(said("top_category_1h"), Some(NOW + 56 * MINUTE));
    let mut going = 0;
    for name in set.names(Key::User) {
        match said(name) {
            Some(at_ms) => {
                assert!(at(at_ms - 1, name).is_some() && at(at_ms, name).is_none(), "{name} at {at_ms}");
                going += 1;
            }
            None => assert!(at(NOW + 48 * 60 * MINUTE, name).is_some() || at(NOW, name).is_none(), "{name} stays"),
        }
    }
    assert!(going >= 12, "{going} of them go");
}
