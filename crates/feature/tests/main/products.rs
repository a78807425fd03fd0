//! Events with several products, against plain sums: over a window, a session, a lifetime and by a field a definition says
//! the same.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Cart, ContextKind, Event, Joined, Order, PropertyValue};
use midsession_feature::{FeatureSet, Key, Value};
use midsession_machine::partial::Heard;
use std::collections::BTreeMap;

const NOW_MS: i64 = 1_700_000_000_000;

/// What is asked: fold, condition, what is folded; and what it is of these events.
struct Asked {
    fold: &'static str,
    when: &'static str,
    of: &'static str,
    options: &'static str,
    /// Of everything, and of the category Lamp; none: there is no value.
    whole: Option<Value>,
    lamps: Option<Value>,
}

const fn asked(fold: &'static str, when: &'static str, of: &'static str) -> Asked {
    Asked { fold, when, of, options: "", whole: None, lamps: None }
}

fn price(pieces: &[f64]) -> Option<Value> {
    (!pieces.is_empty()).then(|| Value::Float(pieces.iter().sum()))
}

/// Two views, an order of 100 with three lamps and a bulb, and a step that says a revenue though it is no order.
fn events() -> Vec<Event> {
    let order = |revenue: f64| Some(Order { revenue: Some(revenue), ..Order::default() });
    let lamp = |id: &str, price: f64| product(id, "Lamp", price);
    let mut view = event("product_view", NOW_MS - 4_000);
    view.products = vec![product("b1", "Bulb", 2.0), lamp("l1", 10.0)];
    let stock = |id: &str, stock: i64| Joined {
        kind: ContextKind::Inventory,
        id: id.into(),
        version: 1,
        at_ms: NOW_MS,
        stale: false,
        values: BTreeMap::from([("stock".into(), PropertyValue::Int(stock))]).into(),
    };
    view.context = vec![stock("b1", 100), stock("l1", 1)];
    let mut other = event("product_view", NOW_MS - 3_000);
    other.products = vec![lamp("l1", 10.0), lamp("l2", 30.0)];
    let mut sold = event("transaction", NOW_MS - 2_000);
    sold.products = vec![lamp("l1", 10.0), lamp("l2", 30.0), lamp("l3", 50.0), product("b1", "Bulb", 10.0)];
    sold.order = order(100.0);
    let mut step = event("checkout_step", NOW_MS - 1_000);
    (step.products, step.order) = (vec![lamp("l1", 10.0)], order(80.0));
    vec![view, other, sold, step]
}

fn all() -> Vec<Asked> {
    const VIEW: &str = r#"event.name == "product_view""#;
    const LAMP: &str = r#"event.name == "product_view" && event.product.category == "Lamp""#;
    const SOLD_LAMP: &str = r#"event.name == "transaction" && event.product.category == "Lamp""#;
    const CHEAP: &str = r#"event.name == "product_view" && event.product.price < 5.0"#;
    const BRANDED: &str = r#"event.name == "product_view" && event.product.price * 2.0 < 5.0"#;
    let int = |number: i64| Some(Value::Int(number));
    let float = |number: f64| Some(Value::Float(number));
    vec![
        Asked { whole: int(2), lamps: int(2), ..asked("count", LAMP, "") },
        Asked { whole: int(1), lamps: int(1), ..asked("count", SOLD_LAMP, "") },
        // The bulb is cheap, and the field has to be that product's.
        Asked { whole: int(1), ..asked("count", CHEAP, "") },
        Asked { whole: int(1), ..asked("count", BRANDED, "") },
        Asked { whole: int(1), lamps: int(1), ..asked("count", "event.context.inventory.stock <= 3", "") },
        Asked { whole: float(101.0), lamps: float(1.0), ..asked("sum", VIEW, "context.inventory.stock * 1.0") },
        Asked {
            whole: price(&[10.0, 10.0, 30.0]),
            lamps: price(&[10.0, 10.0, 30.0]),
            ..asked("sum", LAMP, "product.price")
        },
        Asked {
            whole: float(100.0),
            lamps: float(100.0),
            ..asked("sum", r#"event.name == "transaction""#, "order.revenue")
        },
        Asked { whole: float(100.0), lamps: float(100.0), ..asked("sum", SOLD_LAMP, "order.revenue") },
        Asked { whole: float(100.0), lamps: float(100.0), ..asked("average", "true", "order.revenue") },
        Asked { whole: int(1), lamps: int(1), ..asked("count", "event.order.revenue > 50.0", "") },
        Asked {
            whole: float(10.0),
            lamps: float(10.0),
            options: "quantile = 0.1",
            ..asked("quantile", LAMP, "product.price")
        },
        Asked {
            whole: float(26.0),
            lamps: float(26.0),
            options: "quantile = 0.9",
            ..asked("quantile", LAMP, "product.price")
        },
        Asked {
            whole: float(7.0),
            lamps: float(7.0),
            options: "empty = 7.0",
            ..asked("max", r#"event.name == "refund""#, "product.price")
        },
        Asked {
            whole: float(9.0),
            lamps: float(9.0),
            options: "empty = 9.0",
            ..asked("max", r#"event.name == "refund""#, "product.price")
        },
        // One order, and one view with something dear in it, whichever of its products that is.
        Asked {
            whole: float(1.0),
            lamps: float(1.0),
            options: "over = 'event.name == \"product_view\" && event.product.price > 20.0'",
            ..asked("ratio", r#"event.name == "transaction""#, "")
        },
        Asked {
            whole: float(100.0),
            lamps: float(100.0),
            options: "over = 'event.name == \"product_view\" && event.product.price > 20.0'",
            ..asked("ratio", r#"event.name == "transaction""#, "order.revenue")
        },
        Asked {
            whole: Some(Value::List(["l1".into()].into())),
            lamps: Some(Value::List(["l1".into()].into())),
            options: "limit = 1",
            ..asked("top_k", LAMP, "product.id")
        },
        Asked {
            whole: Some(Value::List(["l1".into(), "l2".into()].into())),
            lamps: Some(Value::List(["l1".into(), "l2".into()].into())),
            options: "limit = 3",
            ..asked("top_k", LAMP, "product.id")
        },
    ]
}

fn definitions() -> String {
    let one = |(number, asked): (usize, Asked)| {
        let of = if asked.of.is_empty() { String::new() } else { format!("of = \"{}\"\n", asked.of) };
        let Asked { fold, when, options, .. } = asked;
        let body = format!("when = '{when}'\nfold = \"{fold}\"\n{of}{options}\n");
        format!(
            "[[feature]]\nname = \"f{number}\"\nkey = \"user\"\n{body}windows = [\"1h\", \"lifetime\"]\n\
             [[feature]]\nname = \"f{number}\"\nkey = \"session\"\n{body}\
             [[feature]]\nname = \"by{number}\"\nkey = \"category\"\n{body}windows = [\"1h\"]\n"
        )
    };
    all().into_iter().enumerate().map(one).collect()
}

#[test]
fn a_definition_says_the_same_wherever_it_is_asked() {
    let text = definitions();
    let set = FeatureSet::load(&[("products.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}\n{text}"));
    let mut shopper = Shopper::new();
    shopper.session = Some(session(1, NOW_MS - 4_000, NOW_MS));
    for event in events() {
        shopper.take(&event, 1, &set);
        set.accumulate(&event, &shopper.id, Heard::default(), NOW_MS, &mut shopper.partials);
    }
    let view = shopper.view(NOW_MS);
    let parts = set.field_partials(&shopper.partials, "category", "Lamp", NOW_MS);
    let by_field = set.join("category", parts, &[], NOW_MS, &[]).expect("something of lamps");
    let mut wrong = Vec::new();
    for (number, Asked { fold, when, of, options, whole, lamps }) in all().into_iter().enumerate() {
        let by = by_field
            .iter()
            .find(|served| served.name == format!("by{number}_1h"))
            .and_then(|served| served.value.clone());
        let found = [
            ("1h", set.read(&view, Key::User, &format!("f{number}_1h")), &whole),
            ("lifetime", set.read(&view, Key::User, &format!("f{number}_lifetime")), &whole),
            ("session", set.read(&view, Key::Session, &format!("f{number}")), &whole),
            // Where nothing counts, a count by a field is none or zero.
            ("by category", by.filter(|value| lamps.is_some() || *value != Value::Int(0)), &lamps),
        ];
        let differ = found.into_iter().filter(|(_, found, expected)| found != *expected);
        wrong.extend(differ.map(|(surface, found, expected)| {
            format!("{surface}: {fold} {of} when {when} {options}: {found:?}, not {expected:?}")
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A product that says no currency is in its order's or its cart's, wherever the amount is kept.
#[test]
fn a_price_is_in_the_currency_of_what_it_stands_in() {
    let one = |name: &str, keys: &str, windows: &str, when: &str| {
        format!(
            "[[feature]]\nname = \"{name}\"\nkey = {keys}\nwhen = '{when}'\nfold = \"sum\"\nof = \"product.price\"\n\
             windows = {windows}\n"
        )
    };
    let text = [
        one("any", "[\"user\", \"category\"]", "[\"1h\", \"lifetime\"]", "true"),
        one("web", "\"user\"", "[\"1h\"]", "event.properties.web == true"),
    ]
    .concat();
    let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
    for (name, of_order) in [("add_to_cart", false), ("transaction", true)] {
        for (second, is_there) in [("EUR", true), ("USD", false)] {
            let mut shopper = Shopper::new();
            for (at_ms, currency) in [(NOW_MS - 1, "EUR"), (NOW_MS, second)] {
                let mut added = event(name, at_ms);
                let currency = Some(currency.into());
                added.products = vec![product("l1", "Lamp", 10.0)];
                if of_order {
                    added.order = Some(Order { currency, ..Order::default() });
                } else {
                    added.cart = Some(Cart { currency, ..Cart::default() });
                }
                added.properties.insert("web".into(), PropertyValue::Bool(true));
                shopper.take(&added, 1, &set);
                set.accumulate(&added, &shopper.id, Heard::default(), NOW_MS, &mut shopper.partials);
            }
            let view = shopper.view(NOW_MS);
            for window in ["any_1h", "any_lifetime", "web_1h"] {
                let value = set.read(&view, Key::User, window);
                assert_eq!(value, is_there.then_some(Value::Float(20.0)), "{window} of {name}, EUR and {second}");
            }
            let parts = set.field_partials(&shopper.partials, "category", "Lamp", NOW_MS);
            let by_field = set.join("category", parts, &[], NOW_MS, &[]).expect("something of lamps");
            assert_eq!(by_field.len(), if is_there { 2 } else { 0 }, "by field of {name}, EUR and {second}");
        }
    }
}
