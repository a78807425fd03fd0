//! The live-shopper profile: a visit whose every key and value is known, and any history against the formulas written
//! out slowly over the events themselves.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Campaign, Cart, Device, Event, Geo, Page, PropertyValue, Str};
use midsession_feature::{FeatureSet, Key, LIVE_SHOPPER, Served, TextForm};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_000_000_000;
const DAY: i64 = 1_440 * MINUTE;

fn set() -> FeatureSet {
    FeatureSet::load(&[LIVE_SHOPPER]).expect("valid")
}

fn with(name: &str, at_ms: i64, id: &str, category: &str, price: f64) -> Event {
    Event { products: vec![product(id, category, price)], ..event(name, at_ms) }
}

fn cart(name: &str, at_ms: i64, id: &str, price: f64, total: f64) -> Event {
    Event { cart: Some(Cart { total_value: Some(total), ..Cart::default() }), ..with(name, at_ms, id, "Men", price) }
}

fn step(at_ms: i64, step: i32) -> Event {
    Event { step: Some(step), ..event("checkout_step", at_ms) }
}

fn page(at_ms: i64, url: &str) -> Event {
    Event { page: Some(Page { url: Some(url.into()), ..Page::default() }), ..event("page_view", at_ms) }
}

fn list(at_ms: i64, name: &str) -> Event {
    Event { list: Some(name.into()), ..event("list_view", at_ms) }
}

/// What is served, as the Redis protocol writes it and as JSON.
fn served(set: &FeatureSet, shopper: &Shopper, key: Key, now_ms: i64) -> BTreeMap<Str, (String, Json, i64)> {
    let served = set.serve(&shopper.view(now_ms), key, &[]);
    let row = |served: Served| {
        let left_ms = served.expires_at_ms.expect("every key expires") - now_ms;
        let value = served.value.expect("a value");
        (served.name, (value.text(set.serving().text), json!(value), left_ms))
    };
    served.into_iter().map(row).collect()
}

fn shopper(set: &FeatureSet, events: &[Event]) -> Shopper {
    let mut shopper = Shopper::new();
    for event in events {
        shopper.take(event, 1, set);
    }
    let started_at_ms = events.iter().map(|event| event.occurred_at_ms).min().unwrap_or(0);
    shopper.session = Some(session(1, started_at_ms, NOW));
    shopper
}

#[test]
fn a_visit_whose_values_are_known() {
    let set = set();
    let at = |minutes: i64| NOW - minutes * MINUTE;
    let marketing = Some(Campaign { name: Some("spring".into()), source: Some("mail".into()), ..Campaign::default() });
    let source_only = Some(Campaign { source: Some("mail".into()), ..Campaign::default() });
    let mobile = |event: Event| Event {
        device: Some(Device { class: Some("mobile".into()), ..Device::default() }),
        properties: [("platform".into(), PropertyValue::Text("mob".into()))].into(),
        ..event
    };
    let desktop = |event: Event| Event {
        device: Some(Device { class: Some("desktop".into()), ..Device::default() }),
        geo: Some(Geo { country: Some("DE".into()), region: Some("BE".into()), city: Some("Berlin".into()) }),
        ..event
    };
    let events = [
        // Yesterday, to the minute: the left edge of a day counts.
        cart("add_to_cart", NOW - DAY, "9", 11.313, 300.0),
        step(NOW - DAY + 1, 2),
        // Out of every window but the day's.
        cart("add_to_cart", at(300), "8", 0.0, 0.0),
        step(at(299), 2),
        list(at(298), "New series"),
        // An hour.
        desktop(page(at(25), "https://shop.example/")),
        Event { campaign: marketing, ..desktop(page(at(24), "https://shop.example/search?q=shoes")) },
        Event { campaign: source_only, ..list(at(23), "Top this week") },
        desktop(with("product_view", at(22), "5", "Men", 42.99)),
        desktop(with("product_view", at(21), "6", "Women", 189.99)),
        // Five minutes: the price has changed, the first counts; two products, the first counts.
        with("product_view", at(5), "5", "Men", 40.0),
        Event {
            products: vec![product("6", "Women", 100.0), product("7", "Kid", 1.0)],
            ..event("product_view", at(4))
        },
        with("product_view", at(3), "5", "", 60.0),
        cart("remove_from_cart", at(2), "5", 10.0, 10.0),
        mobile(with("product_view", at(1), "6", "Women", 120.0)),
        step(NOW - 1, 1),
        step(NOW, 2),
    ];
    let shopper = shopper(&set, &events);
    let users = served(&set, &shopper, Key::User, NOW);
    let expected: &[(&str, &str, Json)] = &[
        ("product_view_count_5m", "2", json!(2)),
        ("product_view_count_1h", "2", json!(2)),
        ("avg_viewed_price_5m", "70.0", json!(70.0)),
        ("avg_viewed_price_1h", "116.49000000000001", json!(116.49000000000001)),
        ("return_view_count_5m", "{5=2, 6=2}", json!({"5": 2, "6": 2})),
        ("return_view_count_1h", "{5=3, 6=3}", json!({"5": 3, "6": 3})),
        ("price_range_viewed_5m", "40.0-120.0", json!({"min": 40.0, "max": 120.0})),
        ("price_range_viewed_1h", "40.0-189.99", json!({"min": 40.0, "max": 189.99})),
        ("top_category_5m", "Women", json!("Women")),
        ("top_category_1h", "Women", json!("Women")),
        ("top_category_24h", "Women", json!("Women")),
        ("unique_categories_5m", "3", json!(3)),
        ("unique_categories_1h", "4", json!(4)),
        ("unique_categories_24h", "5", json!(5)),
        ("category_view_count_5m", "{Women=2, =1, Men=1}", json!({"Women": 2, "": 1, "Men": 1})),
        ("cart_add_count_5m", "0", json!(0)),
        ("cart_add_count_1h", "0", json!(0)),
        ("cart_remove_count_5m", "1", json!(1)),
        ("cart_remove_count_1h", "1", json!(1)),
        ("cart_update_frequency_5m", "1", json!(1)),
        ("cart_update_frequency_1h", "1", json!(1)),
        ("cart_value_5m", "-10.0", json!(-10.0)),
        ("cart_value_1h", "-10.0", json!(-10.0)),
        ("orders_count_24h", "3", json!(3)),
        ("order_value_24h", "311.313", json!(311.313)),
        ("avg_order_value_24h", "103.77", json!(103.77)),
    ];
    for (name, text, value) in expected {
        let (found, typed, _) = users.get(*name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((found.as_str(), typed), (*text, value), "{name}");
    }
    assert_eq!(
        users.len(),
        expected.len() + 2,
        "no other keys than categories over longer windows: {:?}",
        users.keys()
    );
    let sessions = served(&set, &shopper, Key::Session, NOW);
    let expected: &[(&str, &str, Json)] = &[
        ("session_duration", "1500000", json!(25 * MINUTE)),
        ("session_page_count", "2", json!(2)),
        ("session_search_count", "1", json!(1)),
        ("session_bounce", "false", json!(false)),
        ("session_marketing_campaign", "spring", json!("spring")),
        ("session_cart_ratio", "0", json!(0)),
        ("shopper_device_types", "[Desktop, Mobile]", json!(["Desktop", "Mobile"])),
        ("shopper_latest_platform", "mob", json!("mob")),
        ("shopper_locations", "[Berlin]", json!(["Berlin"])),
        ("shopper_region_changes", "0", json!(0)),
    ];
    for (name, text, value) in expected {
        let (found, typed, _) = sessions.get(*name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((found.as_str(), typed), (*text, value), "{name}");
    }
    assert_eq!(sessions.len(), expected.len(), "no other keys: {:?}", sessions.keys());
}

#[test]
fn one_page_view_and_then_nothing() {
    let set = set();
    let shopper = shopper(&set, &[page(NOW, "https://shop.example/")]);
    assert!(served(&set, &shopper, Key::User, NOW).is_empty(), "no feature of users is about page views");
    let text =
        |now_ms: i64, name: &str| served(&set, &shopper, Key::Session, now_ms).get(name).map(|row| row.0.clone());
    assert_eq!(text(NOW, "session_duration").as_deref(), Some("0"));
    assert_eq!(text(NOW, "session_marketing_campaign").as_deref(), Some("null"));
    assert_eq!(text(NOW, "session_bounce").as_deref(), Some("true"));
    assert_eq!(text(NOW, "session_cart_ratio").as_deref(), Some("0"));
    assert_eq!(text(NOW + 29 * MINUTE, "session_duration").as_deref(), Some("1740000"), "it grows while idle");
    assert_eq!(
        text(NOW + 39 * MINUTE, "session_duration").as_deref(),
        Some("1800000"),
        "and has its idle minutes then"
    );
    assert_eq!(text(NOW + 40 * MINUTE, "session_duration"), None, "600 s after its last change");
    assert_eq!(text(NOW + 599_999, "session_bounce").as_deref(), Some("true"));
    assert_eq!(text(NOW + 600_000, "session_bounce"), None);
}

#[test]
fn zeroes_follow_a_window_and_then_nothing() {
    let set = set();
    let shopper = shopper(&set, &[with("product_view", NOW, "5", "Men", 42.99)]);
    let row = |now_ms: i64, name: &str| served(&set, &shopper, Key::User, now_ms).get(name).cloned();
    let text = |now_ms: i64, name: &str| row(now_ms, name).map(|row| row.0);
    for (name, then, after) in [
        ("product_view_count_5m", "1", Some("0")),
        ("avg_viewed_price_5m", "42.99", Some("0.0")),
        ("return_view_count_5m", "{5=1}", Some("{}")),
        ("price_range_viewed_5m", "42.99-42.99", Some("0.0-0.0")),
        ("top_category_5m", "Men", None),
        ("unique_categories_5m", "1", Some("0")),
    ] {
        assert_eq!(text(NOW + 300_000, name).as_deref(), Some(then), "{name}: the left edge is in");
        assert_eq!(text(NOW + 300_001, name).as_deref(), after, "{name}: past it");
        assert_eq!(text(NOW + 900_000, name).as_deref(), after, "{name}: for 600 s");
        assert_eq!(text(NOW + 900_001, name), None, "{name}: and no longer");
    }
    assert_eq!(row(NOW + 60_000, "product_view_count_5m").map(|row| row.2), Some(540_000), "what is left");
    assert_eq!(text(NOW + 600_000, "product_view_count_1h"), None, "unchanged for 600 s");
    assert_eq!(text(NOW + 60 * MINUTE + 1, "product_view_count_1h").as_deref(), Some("0"), "it left the window");
    let one = |name: &str| set.serve(&shopper.view(NOW), Key::User, &[name.into()]);
    assert_eq!(one("product_view_count_5min")[0].name, "product_view_count_5min", "as its documentation calls it");
    assert_eq!(one("top_category_24hr").len(), 1);
    assert!(one("product_view_count_6m").is_empty());
    assert!(set.serve(&shopper.view(NOW), Key::Session, &["cart_adds".into()]).is_empty(), "hidden");
    assert_eq!(set.serving().text, TextForm::Java);
}

/// What is missing costs nothing but itself.
#[test]
fn where_the_original_fails() {
    let set = set();
    let bare = |name: &str, at_ms: i64| event(name, at_ms);
    let events = [
        bare("add_to_cart", NOW - 9),
        step(NOW - 8, 2),
        Event { products: vec![product("1", "", 20.0)], ..bare("add_to_cart", NOW - 7) },
        step(NOW - 6, 2),
        Event { cart: Some(Cart { total_value: Some(50.0), ..Cart::default() }), ..bare("remove_from_cart", NOW - 5) },
        step(NOW - 4, 2),
        bare("product_view", NOW - 3),
    ];
    let shopper = shopper(&set, &events);
    let users = served(&set, &shopper, Key::User, NOW);
    let text = |name: &str| users.get(name).map(|row| row.0.as_str());
    assert_eq!(text("orders_count_24h"), Some("3"), "a cart event without a price or total is one");
    assert_eq!(text("order_value_24h"), Some("70.0"));
    assert_eq!(text("product_view_count_5m"), Some("0"), "a view of no product");
    assert_eq!(text("cart_add_count_5m"), Some("2"));
}

/// One thing a shopper does, in small numbers.
#[derive(Clone, Debug)]
struct Act {
    at_ms: i64,
    kind: u8,
    product: u8,
    price: Option<u16>,
    total: Option<u16>,
    flag: u8,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let edge = prop::sample::select(vec![0i64, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 4_200_000, DAY]);
    let at = prop_oneof![
        3 => (edge, -2i64..=2).prop_map(|(back_ms, off_ms)| NOW - back_ms + off_ms),
        2 => (NOW - 7_200_000)..(NOW + 1_000),
        1 => (NOW - DAY - 700_000)..NOW,
    ];
    let act = (at, 0u8..7, 0u8..4, prop::option::of(1u16..20_000), prop::option::of(0u16..20_000), 0u8..4);
    let act =
        act.prop_map(|(at_ms, kind, product, price, total, flag)| Act { at_ms, kind, product, price, total, flag });
    // Every third at the very millisecond of another one that arrived before it.
    let tied = prop::option::weighted(0.33, any::<prop::sample::Index>());
    prop::collection::vec((act, tied), 0..40).prop_map(|drawn| {
        let mut acts: Vec<Act> = Vec::new();
        for (mut act, tied) in drawn {
            if let Some(other) = tied.filter(|_| !acts.is_empty()) {
                act.at_ms = acts[other.index(acts.len())].at_ms;
            }
            acts.push(act);
        }
        acts
    })
}

fn event_of(index: usize, act: &Act) -> Event {
    let name = ["page_view", "product_view", "list_view", "add_to_cart", "remove_from_cart", "checkout_step", "search"]
        [usize::from(act.kind)];
    let mut event = Event { event_id: index.to_string().into(), ..event(name, act.at_ms) };
    event.stamps.received_at_us = 1_000 * index as i64;
    let price = |number: u16| f64::from(number) / 100.0;
    if matches!(act.kind, 1 | 3 | 4) {
        let category = ["", "Men", "Women", "Kid"][usize::from(act.product)];
        event.products.push(product(&act.product.to_string(), category, act.price.map_or(f64::NAN, price)));
        if act.flag == 3 {
            event.products.push(product("extra", "Extra", 1.0));
        }
    }
    match act.kind {
        0 => {
            let url = if act.flag == 1 { "https://s/search?q=a" } else { "https://s/" };
            event.page = Some(Page { url: Some(url.into()), ..Page::default() });
        }
        2 => event.list = (act.flag > 0).then(|| ["", "Men", "New", "Top"][usize::from(act.flag)].into()),
        3 | 4 => event.cart = act.total.map(|total| Cart { total_value: Some(price(total)), ..Cart::default() }),
        5 => event.step = Some(i32::from(act.flag)),
        _ => {}
    }
    if act.flag == 2 {
        event.campaign = Some(Campaign { name: Some(format!("c{}", act.product).into()), ..Campaign::default() });
        event.properties.insert("platform".into(), PropertyValue::Text("mob".into()));
        event.geo = Some(Geo { region: Some(format!("r{}", act.product).into()), ..Geo::default() });
    }
    event.device = Some(Device {
        class: Some(["desktop", "mobile", "tablet", "other"][usize::from(act.flag)].into()),
        ..Device::default()
    });
    event
}

/// Alive: an event came in or left the window within the last 600 s.
fn lives(times: &[i64], window_ms: Option<i64>, now_ms: i64) -> bool {
    times.iter().any(|time_ms| {
        let came = now_ms < time_ms + 600_000;
        let left = window_ms
            .is_some_and(|window_ms| (time_ms + window_ms + 1..time_ms + window_ms + 600_001).contains(&now_ms));
        came || left
    })
}

fn expected_user(acts: &[(usize, &Act)], now_ms: i64) -> BTreeMap<String, Json> {
    let mut out = BTreeMap::new();
    let of = |kinds: &'static [u8]| {
        acts.iter().filter(move |(_, act)| kinds.contains(&act.kind) && act.at_ms <= now_ms).map(|(_, act)| *act)
    };
    for (label, window_ms) in [("5m", 300_000), ("1h", 3_600_000), ("24h", DAY)] {
        let within = |act: &&Act| act.at_ms >= now_ms - window_ms;
        let alive = |kinds: &'static [u8]| {
            let times: Vec<i64> = of(kinds).map(|act| act.at_ms).collect();
            lives(&times, Some(window_ms), now_ms)
        };
        if label != "24h" && alive(&[1]) {
            let views: Vec<&Act> = of(&[1]).filter(within).collect();
            let mut per: BTreeMap<String, i64> = BTreeMap::new();
            let mut first: BTreeMap<u8, f64> = BTreeMap::new();
            for view in &views {
                *per.entry(view.product.to_string()).or_default() += 1;
                if let Some(price) = view.price {
                    first.entry(view.product).or_insert(f64::from(price) / 100.0);
                }
            }
            let prices: Vec<f64> = views.iter().filter_map(|view| Some(f64::from(view.price?) / 100.0)).collect();
            let mean = if first.is_empty() { 0.0 } else { first.values().sum::<f64>() / first.len() as f64 };
            let least = prices.iter().copied().reduce(f64::min).unwrap_or(0.0);
            let most = prices.iter().copied().reduce(f64::max).unwrap_or(0.0);
            out.insert(format!("product_view_count_{label}"), json!(per.len()));
            out.insert(format!("return_view_count_{label}"), json!(per));
            out.insert(format!("avg_viewed_price_{label}"), json!(mean));
            out.insert(format!("price_range_viewed_{label}"), json!({"min": least, "max": most}));
        }
        if alive(&[1, 2]) {
            let mut per: BTreeMap<&str, i64> = BTreeMap::new();
            for act in of(&[1, 2]).filter(within) {
                let category = match act.kind {
                    1 => ["", "Men", "Women", "Kid"][usize::from(act.product)],
                    _ => ["", "Men", "New", "Top"][usize::from(act.flag)],
                };
                *per.entry(category).or_default() += 1;
            }
            out.insert(format!("unique_categories_{label}"), json!(per.len()));
            let most = per.values().max().copied();
            let tops: BTreeSet<&str> =
                per.iter().filter(|(_, count)| Some(**count) == most).map(|(name, _)| *name).collect();
            out.insert(format!("category_view_count_{label}"), json!(per));
            if !tops.is_empty() {
                out.insert(format!("top_category_{label}"), json!(tops));
            }
        }
        if label != "24h" && alive(&[3, 4]) {
            let (adds, removes) = (of(&[3]).filter(within).count(), of(&[4]).filter(within).count());
            out.insert(format!("cart_add_count_{label}"), json!(adds));
            out.insert(format!("cart_remove_count_{label}"), json!(removes));
            out.insert(format!("cart_update_frequency_{label}"), json!(adds + removes));
            let mut net = 0.0;
            for act in of(&[3, 4]).filter(within) {
                let sign = if act.kind == 3 { 1.0 } else { -1.0 };
                let extra = if act.flag == 3 { 1.0 } else { 0.0 };
                net += sign * (act.price.map_or(0.0, |price| f64::from(price) / 100.0) + extra);
            }
            out.insert(format!("cart_value_{label}"), json!(net));
        }
        if label == "24h" && alive(&[3, 4, 5]) {
            // In hundredths, sorted by time and stably: of one millisecond the one that arrived first comes first.
            let (mut orders, mut unit): (Vec<i64>, i64) = (Vec::new(), 10);
            let mut last_cart: Option<&Act> = None;
            for act in of(&[3, 4, 5]).filter(within) {
                match act.kind {
                    5 if act.flag == 2 => {
                        if let Some(cart) = last_cart.take() {
                            if [cart.price, cart.total].iter().flatten().any(|number| number % 10 > 0) {
                                unit = 1;
                            }
                            let price = i64::from(cart.price.unwrap_or(0));
                            let change = if cart.kind == 3 { price } else { -price };
                            orders.push(i64::from(cart.total.unwrap_or(0)) + change);
                        }
                    }
                    5 => {}
                    _ => last_cart = Some(act),
                }
            }
            let sum: i64 = orders.iter().sum();
            out.insert("orders_count_24h".into(), json!(orders.len()));
            out.insert("order_value_24h".into(), json!(sum as f64 / 100.0));
            // At the last decimal of the total, half to even.
            let by = unit * orders.len().max(1) as i64;
            let (whole, rest) = (sum.div_euclid(by), 2 * sum.rem_euclid(by));
            let average = whole + i64::from(rest > by || rest == by && whole % 2 != 0);
            out.insert("avg_order_value_24h".into(), json!((average * unit) as f64 / 100.0));
        }
    }
    out
}

fn expected_session(acts: &[(usize, &Act)], now_ms: i64) -> BTreeMap<String, Json> {
    let mut out = BTreeMap::new();
    let mut lane: Vec<(usize, &Act)> =
        acts.iter().filter(|(_, act)| [0, 1, 3, 4].contains(&act.kind) && act.at_ms <= now_ms).copied().collect();
    // The last visit only.
    for at in (1..lane.len()).rev() {
        if lane[at].1.at_ms - lane[at - 1].1.at_ms > 30 * MINUTE {
            lane.drain(..at);
            break;
        }
    }
    let (Some((_, first)), Some((_, last))) = (lane.first(), lane.last()) else { return out };
    let ends_ms = now_ms.min(last.at_ms + 30 * MINUTE);
    if now_ms < ends_ms + 600_000 {
        out.insert("session_duration".into(), json!(ends_ms - first.at_ms));
    }
    if now_ms >= last.at_ms + 600_000 {
        return out;
    }
    let count = |test: &dyn Fn(&Act) -> bool| lane.iter().filter(|(_, act)| test(act)).count();
    let pages = count(&|act| act.kind == 0);
    out.insert("session_page_count".into(), json!(pages));
    out.insert("session_bounce".into(), json!(pages < 2));
    out.insert("session_search_count".into(), json!(count(&|act| act.kind == 0 && act.flag == 1)));
    let campaign = lane.iter().find(|(_, act)| act.flag == 2).map(|(_, act)| format!("c{}", act.product));
    out.insert("session_marketing_campaign".into(), json!(campaign));
    out.insert(
        "session_cart_ratio".into(),
        json!(count(&|act| act.kind == 3).checked_div(count(&|act| act.kind == 1)).unwrap_or(0)),
    );
    let devices: BTreeSet<&str> =
        lane.iter().map(|(_, act)| ["Desktop", "Mobile", "Mobile", "Unknown"][usize::from(act.flag)]).collect();
    out.insert("shopper_device_types".into(), json!(devices));
    let latest =
        lane.iter().max_by_key(|(arrived, _)| *arrived).map(|(_, act)| if act.flag == 2 { "mob" } else { "web" });
    out.insert("shopper_latest_platform".into(), json!(latest));
    let regions: Vec<String> =
        lane.iter().filter(|(_, act)| act.flag == 2).map(|(_, act)| format!("r{}", act.product)).collect();
    out.insert("shopper_locations".into(), json!(regions.iter().collect::<BTreeSet<_>>()));
    out.insert("shopper_region_changes".into(), json!(regions.windows(2).filter(|pair| pair[0] != pair[1]).count()));
    out
}

/// Numbers as numbers (what is in decimals exactly), lists as sets, a tie's winner as any of the tied.
fn same(name: &str, found: &Json, expected: &Json) -> bool {
    if name.starts_with("top_category") {
        return expected.as_array().is_some_and(|tops| tops.contains(found));
    }
    match (found, expected) {
        (Json::Number(found), Json::Number(expected)) => {
            let off = if name.contains("order_value") { 0.0 } else { 1e-6 };
            (found.as_f64().unwrap_or(f64::NAN) - expected.as_f64().unwrap_or(f64::NAN)).abs() <= off
        }
        (Json::Array(found), Json::Array(expected)) => {
            found.len() == expected.len() && expected.iter().all(|item| found.contains(item))
        }
        (Json::Object(found), Json::Object(expected)) => {
            found.len() == expected.len()
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| same("", found, value)))
        }
        _ => found == expected,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_equals_the_formulas(acts in acts(), off_ms in prop_oneof![Just(0i64), -3_000_000i64..3_000_000]) {
        let set = set();
        let now_ms = NOW + off_ms;
        let events: Vec<Event> = acts.iter().enumerate().map(|(index, act)| event_of(index, act)).collect();
        let shopper = shopper(&set, &events);
        let mut sorted: Vec<(usize, &Act)> = acts.iter().enumerate().collect();
        sorted.sort_by_key(|(_, act)| act.at_ms);
        for (key, expected) in [(Key::User, expected_user(&sorted, now_ms)), (Key::Session, expected_session(&sorted, now_ms))] {
            let found = served(&set, &shopper, key, now_ms);
            for (name, expected) in &expected {
                let value = found.get(name.as_str()).map(|row| &row.1);
                prop_assert!(value.is_some_and(|value| same(name, value, expected)), "{name}: {value:?}, {expected}");
            }
            for name in found.keys() {
                prop_assert!(expected.contains_key(name.as_str()), "{name} is alive");
            }
        }
    }
}
