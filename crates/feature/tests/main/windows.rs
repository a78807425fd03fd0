//! Windows against a slow oracle over the events themselves, with draws around the edges of windows.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Event, Order, PropertyValue};
use midsession_feature::{FeatureSet, Key, LookBack, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Beyond the native profile: each fold, and predicates that need facts of their own.
const OWN: &str = r#"
[[feature]]
name = "last_product"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "last"
of = "product.id"
windows = ["5m", "1h"]
[[feature]]
name = "since_view"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "time_since"
windows = ["5m", "1h"]
[[feature]]
name = "returns"
key = ["user", "session"]
when = 'event.name == "product_view" && event.product.price < 50.0'
fold = "repeat"
of = "product.id"
windows = ["5m", "1h"]
[[feature]]
name = "worth"
key = ["user", "session"]
when = 'event.name != "transaction" && event.name != "refund"'
fold = "sum"
of = "product.price * product.quantity"
windows = ["5m", "1h"]
[[feature]]
name = "red_events"
key = ["user", "session"]
when = 'event.properties.colour == "red"'
fold = "count"
windows = ["5m", "1h"]
[[feature]]
name = "brands"
key = ["user", "session"]
when = 'event.properties.colour == "red"'
fold = "distinct"
of = "product.brand"
windows = ["5m", "1h"]
[[feature]]
name = "first_product"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "first"
of = "product.id"
windows = ["5m", "1h"]
[[feature]]
name = "price_range"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "range"
of = "product.price"
windows = ["5m", "1h"]
[[feature]]
name = "prices"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "min_max"
of = "product.price"
windows = ["5m", "1h"]
[[feature]]
name = "price_p90"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "quantile"
quantile = 0.9
of = "product.price"
windows = ["5m", "1h"]
[[feature]]
name = "first_prices"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "average"
of = "product.price"
by = "product.id"
windows = ["5m", "1h"]
[[feature]]
name = "categories"
key = ["user", "session"]
when = 'event.name in ["product_view", "list_view"]'
fold = "top_k"
of = "product.category"
limit = 2
windows = ["5m", "1h"]
[[feature]]
name = "per_category"
key = ["user", "session"]
when = 'event.name in ["product_view", "list_view"]'
fold = "count_per_value"
of = "product.category"
windows = ["5m", "1h"]
[[feature]]
name = "category_changes"
key = ["user", "session"]
when = 'event.name in ["product_view", "list_view"]'
fold = "changes"
of = "product.category"
windows = ["5m", "1h"]
[[feature]]
name = "revenue_per_view"
key = ["user", "session"]
when = 'event.name == "transaction"'
fold = "ratio"
of = "order.revenue"
over = 'event.name == "product_view"'
windows = ["5m", "1h"]
[[feature]]
name = "red_share"
key = ["user", "session"]
when = 'event.properties.colour == "red"'
fold = "ratio"
over = 'event.name != "search"'
windows = ["5m", "1h"]
[[feature]]
name = "searches_a_minute"
key = "user"
when = 'event.name == "search"'
fold = "rate"
per = "1m"
windows = ["5m", "1h"]
[[feature]]
name = "view_to_cart"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "sequence"
then = 'event.name == "add_to_cart"'
within = "10m"
windows = ["5m", "1h"]
[[feature]]
name = "view_to_red"
key = ["user", "session"]
when = 'event.name == "product_view"'
fold = "sequence"
then = 'event.properties.colour == "red"'
within = "10m"
windows = ["5m", "1h"]
[[feature]]
name = "busy"
key = "user"
value = "user.red_events_5m > 3 || user.returns >= 2"
windows = ["5m", "1h"]
"#;

const WINDOWS: [(&str, i64); 3] = [("5m", 300_000), ("1h", 3_600_000), ("24h", 86_400_000)];
const NOW: i64 = 1_000_000_000;

fn set() -> FeatureSet {
    FeatureSet::load(&[midsession_feature::NATIVE, ("own.toml", OWN)]).expect("valid")
}

/// An instant at or beside an edge of a window, or anywhere.
fn instants() -> impl Strategy<Value = i64> {
    let edge = prop::sample::select(vec![0i64, 300_000, 3_600_000, 86_400_000]);
    prop_oneof![
        3 => (edge, -2i64..=2).prop_map(|(back_ms, off_ms)| NOW - back_ms + off_ms),
        1 => (NOW - 90_000_000)..(NOW + 1_000),
    ]
}

fn events() -> impl Strategy<Value = Vec<(u32, Event)>> {
    let names =
        prop::sample::select(vec!["product_view", "list_view", "add_to_cart", "transaction", "search", "custom"]);
    let products = prop::collection::vec((0u8..4, 0u8..3, prop::option::of(1u32..200), 1i32..4), 0..3);
    let one = (instants(), names, products, 1u32..3, any::<bool>(), prop::option::of(1u32..100));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(index, (at_ms, name, products, session, red, revenue))| {
                let mut event = Event { event_id: index.to_string().into(), ..event(name, at_ms) };
                event.products = products
                    .into_iter()
                    .map(|(id, category, price, quantity)| midsession_event::Product {
                        brand: (id < 3).then(|| format!("b{}", id % 2).into()),
                        quantity: (quantity > 1).then_some(quantity),
                        ..product(
                            &format!("p{id}"),
                            ["", "Shoes", "Bags"][usize::from(category)],
                            price.map_or(f64::NAN, f64::from),
                        )
                    })
                    .collect();
                if name == "transaction" {
                    event.order = Some(Order { revenue: revenue.map(f64::from), ..Order::default() });
                }
                event.properties.insert("colour".into(), PropertyValue::Text(if red { "red" } else { "blue" }.into()));
                (session, event)
            })
            .collect()
    })
}

/// The naive way: over the events in their order of time, equal times in the order of arrival.
fn expected(events: &[&Event], now_ms: i64) -> BTreeMap<&'static str, Value> {
    let mut out = BTreeMap::new();
    let named = |name: &str| events.iter().filter(|event| event.name.as_str() == name).count() as i64;
    for (feature, name) in [
        ("product_view_count", "product_view"),
        ("list_view_count", "list_view"),
        ("search_count", "search"),
        ("cart_add_count", "add_to_cart"),
        ("cart_remove_count", "remove_from_cart"),
        ("order_count", "transaction"),
    ] {
        out.insert(feature, Value::Int(named(name)));
    }
    let views: Vec<_> = events.iter().filter(|event| event.name.as_str() == "product_view").collect();
    let viewed: Vec<_> = views.iter().flat_map(|event| &event.products).collect();
    let ids: BTreeSet<_> = viewed.iter().map(|product| &product.id).collect();
    out.insert("distinct_products", Value::Int(ids.len() as i64));
    let prices: Vec<f64> = viewed.iter().filter_map(|product| product.price).collect();
    if !prices.is_empty() {
        out.insert("min_viewed_price", Value::Float(prices.iter().copied().fold(f64::MAX, f64::min)));
        out.insert("max_viewed_price", Value::Float(prices.iter().copied().fold(f64::MIN, f64::max)));
        out.insert("avg_viewed_price", Value::Float(prices.iter().sum::<f64>() / prices.len() as f64));
    }
    let orders = events.iter().filter(|event| event.name.as_str() == "transaction");
    let revenues: Vec<f64> = orders.filter_map(|event| event.order.as_ref()?.revenue).collect();
    if !revenues.is_empty() {
        out.insert("order_value", Value::Float(revenues.iter().sum()));
    }
    let mut categories: BTreeMap<&str, u32> = BTreeMap::new();
    for event in events.iter().filter(|event| ["product_view", "list_view"].contains(&event.name.as_str())) {
        for category in event.products.iter().filter_map(|product| product.category.as_ref()) {
            *categories.entry(category.as_str()).or_default() += 1;
        }
    }
    out.insert("unique_categories", Value::Int(categories.len() as i64));
    if let Some(most) = categories.values().max() {
        let first = categories.iter().find(|(_, count)| *count == most).map(|(name, _)| *name);
        out.extend(first.map(|name| ("top_category", Value::Text(name.into()))));
    }
    if let Some(last) = views.last() {
        out.insert("since_view", Value::Int(now_ms - last.occurred_at_ms));
    }
    if let Some(last) = viewed.last() {
        out.insert("last_product", Value::Text(last.id.as_str().into()));
    }
    let cheap: Vec<_> = viewed.iter().filter(|product| product.price.is_some_and(|price| price < 50.0)).collect();
    let cheap_ids: BTreeSet<_> = cheap.iter().map(|product| &product.id).collect();
    out.insert("returns", Value::Int((cheap.len() - cheap_ids.len()) as i64));
    let all = events.iter().filter(|event| event.name.as_str() != "transaction").flat_map(|event| &event.products);
    let worths: Vec<f64> =
        all.filter_map(|product| Some(product.price? * f64::from(product.quantity.unwrap_or(1)))).collect();
    if !worths.is_empty() {
        out.insert("worth", Value::Float(worths.iter().sum()));
    }
    let is_red = |event: &Event| event.properties.get("colour") == Some(&PropertyValue::Text("red".into()));
    let red: Vec<_> = events.iter().filter(|event| is_red(event)).collect();
    out.insert("red_events", Value::Int(red.len() as i64));
    let brands: BTreeSet<_> =
        red.iter().flat_map(|event| &event.products).filter_map(|product| product.brand.as_ref()).collect();
    out.insert("brands", Value::Int(brands.len() as i64));
    more(events, &viewed, &prices, &categories, &mut out);
    out
}

/// Likewise of the other folds.
fn more(
    events: &[&Event],
    viewed: &[&midsession_event::Product],
    prices: &[f64],
    categories: &BTreeMap<&str, u32>,
    out: &mut BTreeMap<&'static str, Value>,
) {
    let named = |name: &'static str| events.iter().filter(move |event| event.name.as_str() == name);
    out.extend(viewed.first().map(|first| ("first_product", Value::Text(first.id.as_str().into()))));
    let mut sorted = prices.to_vec();
    sorted.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (sorted.first(), sorted.last()) {
        out.insert("price_range", Value::Float(most - least));
        out.insert("prices", Value::Range(*least, *most));
        let place = 0.9 * (sorted.len() - 1) as f64;
        let below = sorted[place as usize];
        let above = sorted[(place as usize + 1).min(sorted.len() - 1)];
        out.insert("price_p90", Value::Float(below + (above - below) * (place - place.floor())));
    }
    let mut first: Vec<(&str, f64)> = Vec::new();
    for product in viewed {
        if let Some(price) = product.price.filter(|_| first.iter().all(|(id, _)| *id != product.id.as_str())) {
            first.push((product.id.as_str(), price));
        }
    }
    if !first.is_empty() {
        let sum: f64 = first.iter().map(|(_, price)| price).sum();
        out.insert("first_prices", Value::Float(sum / first.len() as f64));
    }
    let mut ranked: Vec<(midsession_event::Str, i64)> =
        categories.iter().map(|(name, count)| ((*name).into(), i64::from(*count))).collect();
    ranked.sort_by_key(|(_, count)| -count);
    out.insert("categories", Value::List(ranked.iter().take(2).map(|(name, _)| name.clone()).collect()));
    out.insert("per_category", Value::Map(ranked.into()));
    let seen: Vec<&midsession_event::Str> = events
        .iter()
        .filter(|event| ["product_view", "list_view"].contains(&event.name.as_str()))
        .flat_map(|event| &event.products)
        .filter_map(|product| product.category.as_ref())
        .collect();
    let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    out.insert("category_changes", Value::Int(changes as i64));
    let views = named("product_view").count();
    let revenue: f64 = named("transaction").filter_map(|event| event.order.as_ref()?.revenue).sum();
    if views > 0 {
        out.insert("revenue_per_view", Value::Float(revenue / views as f64));
    }
    let is_red = |event: &Event| event.properties.get("colour") == Some(&PropertyValue::Text("red".into()));
    let native = events.iter().filter(|event| event.name.as_str() != "search").count();
    if native > 0 {
        let red = events.iter().filter(|event| is_red(event)).count();
        out.insert("red_share", Value::Float(red as f64 / native as f64));
    }
    // Sorted by time and stably: of one millisecond in the order of their arrival.
    let (mut completed, mut view_ms) = (0, None);
    let (mut reddened, mut seen_ms) = (0, None);
    for event in events {
        // One that meets both ends one and begins the next.
        if is_red(event) {
            let is_soon = |view_ms: i64| event.occurred_at_ms - view_ms <= 600_000;
            reddened += i64::from(seen_ms.take().is_some_and(is_soon));
        }
        if event.name.as_str() == "product_view" {
            seen_ms = Some(event.occurred_at_ms);
        }
        match event.name.as_str() {
            "product_view" => view_ms = Some(event.occurred_at_ms),
            "add_to_cart" => {
                let is_soon = |view_ms: i64| event.occurred_at_ms - view_ms <= 600_000;
                completed += i64::from(view_ms.take().is_some_and(is_soon));
            }
            _ => {}
        }
    }
    out.insert("view_to_cart", Value::Int(completed));
    out.insert("view_to_red", Value::Int(reddened));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn windows_and_sessions_equal_the_oracle(events in events(), now_ms in prop_oneof![Just(NOW), instants()]) {
        let set = set();
        let mut shopper = Shopper::new();
        for (session, event) in &events {
            shopper.take(event, *session, &set);
        }
        let mut sorted: Vec<_> = events.iter().map(|(session, event)| (*session, event)).collect();
        sorted.sort_by_key(|(_, event)| event.occurred_at_ms);
        let view = shopper.view(now_ms);
        let all: BTreeMap<_, _> = set.read_all(&view, Key::User).into_iter().collect();
        for (label, window_ms) in WINDOWS {
            let inside = |event: &Event| event.occurred_at_ms > now_ms - window_ms && event.occurred_at_ms <= now_ms;
            let within: Vec<_> = sorted.iter().map(|(_, event)| *event).filter(|event| inside(event)).collect();
            let mut expected = expected(&within, now_ms);
            let searches = within.iter().filter(|event| event.name.as_str() == "search").count();
            expected.insert("searches_a_minute", Value::Float(searches as f64 * 60_000.0 / window_ms as f64));
            let since = |back_ms: i64, test: &dyn Fn(&Event) -> bool| {
                sorted.iter().filter(|(_, event)| event.occurred_at_ms > now_ms - back_ms && event.occurred_at_ms <= now_ms && test(event)).count()
            };
            let red = since(300_000, &|event| event.properties.get("colour") == Some(&PropertyValue::Text("red".into())));
            let returns = expected.get("returns").cloned();
            expected.insert("busy", Value::Bool(red > 3 || matches!(returns, Some(Value::Int(2..)))));
            for entry in set.entries(Key::User).filter(|entry| entry.name.ends_with(&format!("_{label}"))) {
                let name = entry.name.trim_end_matches(&format!("_{label}"));
                let one = set.read(&view, Key::User, &entry.name);
                prop_assert_eq!(one.as_ref(), expected.get(name), "{}", entry.name);
                prop_assert_eq!(one.as_ref(), all.get(entry.name.as_str()), "{} read with all", entry.name);
            }
        }
        let mine: Vec<_> = sorted.iter().filter(|(number, event)| *number == 2 && event.occurred_at_ms <= now_ms).map(|(_, event)| *event).collect();
        let started_at_ms = sorted.iter().find(|(number, _)| *number == 2).map_or(now_ms, |(_, event)| event.occurred_at_ms);
        shopper.session = Some(session(2, started_at_ms, now_ms));
        let expected = expected(&mine, now_ms);
        let view = shopper.view(now_ms);
        for (name, value) in &expected {
            let read = set.read(&view, Key::Session, name);
            prop_assert_eq!(read.as_ref(), Some(value), "session {}", name);
        }
        let read: BTreeMap<_, _> = set.read_all(&view, Key::Session).into_iter().collect();
        prop_assert!(expected.iter().all(|(name, value)| read.get(name) == Some(value)));
    }
}

#[test]
fn only_what_reads_beyond_the_columns_counts_from_now() {
    let set = set();
    let from_now: Vec<_> = set
        .entries(Key::User)
        .filter(|entry| entry.looks_back == LookBack::FromNow)
        .map(|entry| entry.name.as_str())
        .collect();
    let expected = ["red_events", "brands", "red_share", "view_to_red", "busy"]
        .map(|name| [format!("{name}_5m"), format!("{name}_1h")]);
    assert_eq!(from_now, expected.concat());
    let mut out = Vec::new();
    let red = |event: &mut Event| event.properties.insert("colour".into(), PropertyValue::Text("red".into()));
    let mut plain = event("search", 1);
    red(&mut plain);
    set.derive(&plain, &mut out);
    assert_eq!(out.len(), 1, "counted once though users and sessions both have it");
    let again = FeatureSet::load(&[("other.toml", OWN)]).expect("valid");
    let mut twin = Vec::new();
    again.derive(&plain, &mut twin);
    assert_eq!(out[0].slot, twin[0].slot, "the slot depends on the definition alone");
}

#[test]
fn kinds_and_names() {
    for (when, of, looks_back) in [
        ("event.name == \"product_view\"", "", LookBack::Exactly),
        ("event.name != \"page_view\"", "", LookBack::Exactly),
        ("event.name in [\"search\", \"list_view\"]", "", LookBack::Exactly),
        ("event.name.startsWith(\"cart\")", "", LookBack::FromNow),
        ("event.name == \"wishlist_add\"", "", LookBack::FromNow),
        ("event.name == \"search\" && event.query == \"x\"", "", LookBack::FromNow),
        ("event.name == \"product_view\" && event.product.price > 10", "", LookBack::Exactly),
        ("event.name == \"product_view\" && event.product.brand == \"x\"", "", LookBack::FromNow),
        ("event.name == \"transaction\"", "order.revenue", LookBack::Exactly),
        ("event.name == \"transaction\"", "product.price", LookBack::FromNow),
        ("event.cart.total_value > 80", "cart.total_value", LookBack::Exactly),
        ("event.name == \"add_to_cart\"", "cart.total_value", LookBack::FromNow),
        ("event.name == \"add_to_cart\" && event.cart.total_value > 80.0", "", LookBack::FromNow),
        ("event.products.exists(p, p.price > 10.0)", "", LookBack::FromNow),
    ] {
        let fold = if of.is_empty() { "fold = \"count\"".to_owned() } else { format!("fold = \"max\"\nof = \"{of}\"") };
        let text = format!("[[feature]]\nname = \"f\"\nkey = \"user\"\nwhen = '{when}'\n{fold}\nwindows = [\"5m\"]");
        let set = FeatureSet::load(&[("f.toml", &text)]).expect(&text);
        let entry = set.entries(Key::User).next().expect("one");
        assert_eq!(entry.looks_back, looks_back, "{when} {of}");
    }
}

#[test]
fn the_cart_total_is_folded_from_its_own_facts() {
    let text =
        "[[feature]]\nname = \"f\"\nkey = \"user\"\nfold = \"max\"\nof = \"cart.total_value\"\nwindows = [\"5m\"]";
    let set = FeatureSet::load(&[("f.toml", text)]).expect("valid");
    let mut shopper = Shopper::new();
    for (at_ms, total) in [(1, Some(90.0)), (2, None), (3, Some(70.0))] {
        let cart = Some(midsession_event::Cart { total_value: total, ..Default::default() });
        shopper.take(&Event { cart, products: vec![product("p", "", 500.0)], ..event("add_to_cart", at_ms) }, 1, &set);
    }
    assert_eq!(set.read(&shopper.view(3), Key::User, "f_5m"), Some(Value::Float(90.0)));
}

#[test]
fn sequences_are_worked_out_in_decimals_from_columns_and_from_facts_of_their_own() {
    let red =
        |event: Event| Event { properties: [("colour".into(), PropertyValue::Text("red".into()))].into(), ..event };
    for condition in ["event.name == \"product_view\"", "event.properties.colour == \"red\""] {
        for (fold, of, prices, expected) in [
            ("sequence_sum", "product.price * 3.0", [10.1, 20.2, 0.0], Some(90.9)),
            // 11.00, 11.00 and 10.00: a total of two decimals.
            ("sequence_average", "product.price + 0.75", [10.25, 10.25, 9.25], Some(10.67)),
            ("sequence_average", "product.price - 0.25", [0.25, 0.25, 0.27], Some(0.01)),
            ("sequence_sum", "product.price * 3.0", [1e300, 1.0, 1.0], None),
        ] {
            let then = "then = 'event.name == \"search\"'\nwithin = \"1m\"\nwindows = [\"5m\"]";
            let text = format!(
                "[[feature]]\nname = \"f\"\nkey = \"user\"\nwhen = '{condition}'\nfold = \"{fold}\"\nof = \"{of}\"\n{then}"
            );
            let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
            let mut shopper = Shopper::new();
            for (at_ms, price) in (1..).zip(prices) {
                let view = Event { products: vec![product("p", "", price)], ..event("product_view", at_ms * 10) };
                shopper.take(&red(view), 1, &set);
                shopper.take(&event("search", at_ms * 10 + 1), 1, &set);
            }
            let found = set.read(&shopper.view(100), Key::User, "f_5m");
            assert_eq!(found, expected.map(Value::Float), "{fold} of {of} when {condition}");
        }
    }
}
