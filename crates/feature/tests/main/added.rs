//! Features by a field and over a lifetime against sums over all events, however these are dealt to partitions.

use crate::kit::{Shopper, event, product};
use midsession_event::{Campaign, Event, Order, Purpose, ShopperId};
use midsession_feature::{FeatureSet, Key, LookBack, Served, Value};
use midsession_machine::Partials;
use midsession_machine::partial::{FieldWindow, Heard};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DEFINED: &str = r#"
[[feature]]
name = "views"
key = ["product", "category"]
when = 'event.name == "product_view"'
fold = "count"
windows = ["5m", "1h", "lifetime"]
[[feature]]
name = "viewers"
key = "product"
when = 'event.name == "product_view"'
fold = "distinct"
of = "visitor_id"
windows = ["5m", "1h", "lifetime"]
[[feature]]
name = "cheap_views"
key = "product"
when = 'event.name == "product_view" && event.product.price < 50.0'
fold = "count"
windows = ["5m", "1h", "lifetime"]
[[feature]]
name = "revenue"
key = "campaign"
when = 'event.name == "transaction"'
fold = "sum"
of = "order.revenue"
windows = ["5m", "1h", "lifetime"]
[[feature]]
name = "conversion"
key = "campaign"
when = 'event.name == "transaction"'
fold = "ratio"
over = 'event.name == "product_view"'
windows = ["5m", "1h", "lifetime"]
[[feature]]
name = "last_price"
key = "product"
when = 'event.name == "product_view"'
fold = "last"
of = "product.price"
windows = ["1h", "lifetime"]
[[feature]]
name = "views"
key = "user"
when = 'event.name == "product_view"'
fold = "count"
windows = ["lifetime"]
[[feature]]
name = "categories"
key = "user"
when = 'event.name == "product_view"'
fold = "distinct"
of = "product.category"
windows = ["lifetime"]
[[feature]]
name = "spent"
key = "user"
when = 'event.name == "transaction"'
fold = "sum"
of = "order.revenue"
windows = ["lifetime"]
[[feature]]
name = "favourite"
key = "user"
when = 'event.name == "product_view"'
fold = "top"
of = "product.category"
windows = ["lifetime"]
[[feature]]
name = "spends"
key = "user"
value = "user.spent_lifetime > 100.0"
windows = ["lifetime"]
"#;

const NOW: i64 = 100_000_000;
const WINDOWS: [(&str, FieldWindow); 3] = [
    ("5m", FieldWindow { length_ms: 300_000, step_ms: 5_000 }),
    ("1h", FieldWindow { length_ms: 3_600_000, step_ms: 60_000 }),
    ("lifetime", FieldWindow::LIFETIME),
];

fn set() -> FeatureSet {
    FeatureSet::load(&[("added.toml", DEFINED)]).unwrap_or_else(|found| panic!("{found:?}"))
}

/// Time, view or order, products, campaign, visitor, revenue.
type Drawn = (i64, bool, Vec<(u8, u8, Option<u32>)>, u8, u8, Option<u32>);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let step = prop::sample::select(vec![0i64, 300_000, 305_000, 3_600_000, 3_660_000]);
    let at = prop_oneof![(step, -2i64..=2).prop_map(|(back, off)| NOW - back + off), (NOW - 4_000_000)..NOW];
    let products = prop::collection::vec((0u8..3, 0u8..3, prop::option::of(1u32..100)), 0..4);
    let one = (at, any::<bool>(), products, 0u8..3, 0u8..4, prop::option::of(1u32..100));
    prop::collection::vec(one, 0..30).prop_map(|all| {
        let event_of = |(index, drawn): (usize, Drawn)| {
            let (at_ms, is_view, products, campaign, visitor, revenue) = drawn;
            let name = if is_view { "product_view" } else { "transaction" };
            let mut event = Event { event_id: index.to_string().into(), ..event(name, at_ms) };
            event.visitor_id = Some(format!("v{visitor}").into());
            event.products = products
                .into_iter()
                .map(|(id, category, price)| {
                    product(
                        &format!("p{id}"),
                        ["", "Shoes", "Bags"][usize::from(category)],
                        price.map_or(f64::NAN, f64::from),
                    )
                })
                .collect();
            event.campaign =
                (campaign > 0).then(|| Campaign { name: Some(format!("c{campaign}").into()), ..Campaign::default() });
            event.order = (!is_view).then(|| Order { revenue: revenue.map(f64::from), ..Order::default() });
            event
        };
        all.into_iter().enumerate().map(event_of).collect()
    })
}

/// The naive way: over the events of the window, in their order of time.
fn expected(events: &[&Event], key: &str, id: &str) -> BTreeMap<&'static str, Value> {
    let mut out = BTreeMap::new();
    let named = |name: &'static str| events.iter().filter(move |event| event.name.as_str() == name);
    let has = |event: &Event| match key {
        "product" => event.products.iter().any(|product| product.id.as_str() == id),
        "category" => event.products.iter().any(|product| product.category.as_deref() == Some(id)),
        _ => event.campaign.as_ref().is_some_and(|campaign| campaign.name.as_deref() == Some(id)),
    };
    let views: Vec<&&Event> = named("product_view").filter(|event| has(event)).collect();
    match key {
        "product" => {
            out.insert("views", Value::Int(views.len() as i64));
            let viewers: BTreeSet<_> = views.iter().map(|event| &event.visitor_id).collect();
            out.insert("viewers", Value::Int(viewers.len() as i64));
            let pieces = || views.iter().flat_map(|event| &event.products).filter(|product| product.id.as_str() == id);
            let is_cheap = |event: &Event| {
                event.products.iter().any(|p| p.id.as_str() == id && p.price.is_some_and(|price| price < 50.0))
            };
            out.insert("cheap_views", Value::Int(views.iter().filter(|event| is_cheap(event)).count() as i64));
            if let Some(price) = pieces().filter_map(|product| product.price).next_back() {
                out.insert("last_price", Value::Float(price));
            }
        }
        "category" => {
            out.insert("views", Value::Int(views.len() as i64));
        }
        _ => {
            let orders: Vec<&&Event> = named("transaction").filter(|event| has(event)).collect();
            let paid: Vec<f64> = orders.iter().filter_map(|event| event.order.as_ref()?.revenue).collect();
            if !paid.is_empty() {
                out.insert("revenue", Value::Float(paid.iter().sum()));
            }
            if !views.is_empty() {
                out.insert("conversion", Value::Float(orders.len() as f64 / views.len() as f64));
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn fields_equal_the_oracle(events in events(), deal in any::<u64>(), later_ms in prop_oneof![Just(0i64), 0i64..4_000_000]) {
        let set = set();
        let now_ms = NOW + later_ms;
        let mut partitions = [Partials::new(1 << 20, 100), Partials::new(1 << 20, 100)];
        for (index, event) in events.iter().enumerate() {
            // A record's stamp is not before its event, and never goes back.
            let shopper = ShopperId::Visitor("v".into());
            set.accumulate(event, &shopper, Heard::default(), NOW, &mut partitions[(deal >> (index % 64) & 1) as usize]);
        }
        let mut sorted: Vec<&Event> = events.iter().collect();
        sorted.sort_by_key(|event| event.occurred_at_ms.min(NOW));
        let ids = [("product", "p0"), ("product", "p1"), ("product", "none"), ("category", "Shoes"), ("campaign", "c1")];
        for (key, id) in ids {
            let parts = partitions.iter().flat_map(|partials| set.field_partials(partials, key, id, now_ms));
            let joined = set.join(key, parts.collect::<Vec<_>>(), &[], now_ms, &[]);
            let joined: Vec<Served> = joined.into_iter().flatten().collect();
            let is_viewed = |event: &&&Event| {
                event.name.as_str() == "product_view" && event.products.iter().any(|product| product.id.as_str() == id)
            };
            if let (true, Some(first)) = (key == "product", sorted.iter().find(is_viewed)) {
                let views = joined.iter().find(|served| served.name == "views_lifetime");
                prop_assert_eq!(views.and_then(|served| served.since_ms), Some(first.occurred_at_ms.min(NOW)));
            }
            let found: BTreeMap<_, _> =
                joined.into_iter().filter_map(|Served { name, value, .. }| Some((name.to_string(), value?))).collect();
            for (label, window) in WINDOWS {
                let begins_ms = window.begins_ms(now_ms);
                if let (FieldWindow { length_ms, .. }, false) = (window, window.is_lifetime()) {
                    prop_assert_eq!(window, FieldWindow::of(length_ms));
                    prop_assert!((now_ms - length_ms - begins_ms + 1) <= length_ms / 60, "at most a step longer");
                }
                let within: Vec<&Event> =
                    sorted.iter().filter(|event| event.occurred_at_ms.min(NOW) >= begins_ms).copied().collect();
                let mut expected = expected(&within, key, id);
                if label == "5m" {
                    expected.remove("last_price");
                }
                for entry in set.field_entries(key).filter(|entry| entry.name.ends_with(label)) {
                    let name = entry.name.trim_end_matches(label).trim_end_matches('_');
                    let found = found.get(entry.name.as_str());
                    // Where nobody has anything, nothing is said at all; with ties in time any price is the last.
                    let is_tied = name == "last_price";
                    prop_assert!(
                        found == expected.get(name) || found.is_none() && expected.get(name).is_none_or(|value| *value == Value::Int(0)) || is_tied && found.is_some(),
                        "{key} {id} {}: {found:?}, {:?}", entry.name, expected.get(name)
                    );
                }
            }
        }
        let mut known: Vec<_> = partitions.iter().flat_map(|partials| set.field_ids(partials, NOW)).collect();
        known.sort();
        known.dedup();
        prop_assert!(known.iter().all(|(key, id)| ["product", "category", "campaign"].contains(&key.as_str()) && !id.is_empty()));
    }

    #[test]
    fn lifetimes_equal_the_oracle(events in events(), login in 0usize..30) {
        let set = set();
        let (visitor, user) = (ShopperId::Visitor("v".into()), ShopperId::User("u".into()));
        let mut shopper = Shopper::new();
        shopper.id = user.clone();
        let mut stamps: Vec<i64> = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let stamp_ms = NOW + index as i64;
            let whose = if index < login { &visitor } else { &user };
            if index == login {
                let lives = shopper.partials.lifetimes.take(&visitor, |_| true);
                shopper.partials.lifetimes.give(&user, lives, None);
            }
            set.accumulate(event, whose, Heard::default(), stamp_ms, &mut shopper.partials);
            stamps.push(stamp_ms);
        }
        let lives = shopper.partials.lifetimes.take(&visitor, |_| true);
        shopper.partials.lifetimes.give(&user, lives, None);
        let view = shopper.view(NOW + 1_000);
        let views: Vec<&Event> = events.iter().filter(|event| event.name.as_str() == "product_view").collect();
        prop_assert_eq!(set.read(&view, Key::User, "views_lifetime"), Some(Value::Int(views.len() as i64)));
        let categories: BTreeSet<_> = views.iter().flat_map(|event| &event.products).filter_map(|p| p.category.as_ref()).collect();
        prop_assert_eq!(set.read(&view, Key::User, "categories_lifetime"), Some(Value::Int(categories.len() as i64)));
        let paid: Vec<f64> = events.iter().filter_map(|event| event.order.as_ref()?.revenue).collect();
        let spent = (!paid.is_empty()).then(|| Value::Float(paid.iter().sum()));
        prop_assert_eq!(set.read(&view, Key::User, "spent_lifetime"), spent);
        let spends = paid.iter().sum::<f64>() > 100.0;
        prop_assert_eq!(set.read(&view, Key::User, "spends_lifetime"), Some(Value::Bool(spends)));
        let since = set.read(&view, Key::User, "lifetime_since_ms");
        prop_assert_eq!(since, stamps.first().map(|first| Value::Int(*first)));
    }
}

#[test]
fn without_such_definitions_nothing_is_added() {
    let mut partials = Partials::new(1 << 20, 100);
    let set = FeatureSet::native();
    let view = Event { products: vec![product("p", "Shoes", 1.0)], ..event("product_view", NOW) };
    set.accumulate(&view, &ShopperId::Visitor("v".into()), Heard::default(), NOW, &mut partials);
    assert_eq!(partials.fields.heap_bytes(), 0);
    assert!(partials.lifetimes.of(&ShopperId::Visitor("v".into())).is_empty());
    assert_eq!(set.field_keys().count(), 0);
}

#[test]
fn who_allows_no_analytics_is_not_counted_over_everybody() {
    let set = set();
    let mut partials = Partials::new(1 << 20, 100);
    let mut view = Event { products: vec![product("p", "Shoes", 1.0)], ..event("product_view", NOW) };
    let shopper = ShopperId::Visitor("v1".into());
    let mut views = |event: &Event| {
        set.accumulate(event, &shopper, Heard::default(), NOW, &mut partials);
        let parts = set.field_partials(&partials, "product", "p", NOW);
        let joined = set.join("product", parts, &["views_5m".into()], NOW, &[]);
        let mut reader = Shopper::new();
        reader.partials = partials.clone();
        let own = set.read(&reader.view(NOW), Key::User, "views_lifetime");
        (joined.and_then(|joined| joined.first().and_then(|served| served.value.clone())), own)
    };
    assert_eq!(views(&view), (Some(Value::Int(1)), Some(Value::Int(1))));
    view.consent = view.consent.with(Purpose::Analytics, false);
    assert_eq!(views(&view), (Some(Value::Int(1)), Some(Value::Int(2))), "the shopper's own counts on");
}

#[test]
fn two_profiles_with_one_definition_add_it_once() {
    let first = set();
    let mut second = set();
    second.leave_to(&first);
    let mut partials = Partials::new(1 << 20, 100);
    let view = Event { products: vec![product("p", "Shoes", 1.0)], ..event("product_view", NOW) };
    let shopper = ShopperId::Visitor("v1".into());
    for set in [&first, &second] {
        set.accumulate(&view, &shopper, Heard::default(), NOW, &mut partials);
    }
    for set in [&first, &second] {
        let joined =
            set.join("product", set.field_partials(&partials, "product", "p", NOW), &["views_5m".into()], NOW, &[]);
        assert_eq!(joined.expect("known")[0].value, Some(Value::Int(1)));
    }
    let mut reader = Shopper::new();
    reader.partials = partials;
    assert_eq!(second.read(&reader.view(NOW), Key::User, "views_lifetime"), Some(Value::Int(1)));
    let entry = second.entries(Key::User).find(|entry| entry.name == "views_lifetime").expect("there");
    assert_eq!(entry.looks_back, LookBack::FirstSeen);
}

#[test]
fn amounts_in_two_currencies_do_not_mix_here_either() {
    let set = set();
    let mut partials = [Partials::new(1 << 20, 100), Partials::new(1 << 20, 100)];
    for (index, currency) in ["EUR", "CHF"].into_iter().enumerate() {
        let order = Order { revenue: Some(10.0), currency: Some(currency.into()), ..Order::default() };
        let campaign = Some(Campaign { name: Some("c".into()), ..Campaign::default() });
        let sale = Event { order: Some(order), campaign, ..event("transaction", NOW) };
        set.accumulate(&sale, &ShopperId::Visitor("v".into()), Heard::default(), NOW, &mut partials[index]);
    }
    let read = |partials: &[Partials]| {
        let parts = partials.iter().flat_map(|partials| set.field_partials(partials, "campaign", "c", NOW));
        set.join("campaign", parts.collect::<Vec<_>>(), &["revenue_5m".into()], NOW, &[]).expect("known")
    };
    assert_eq!(read(&partials[..1])[0].value, Some(Value::Float(10.0)));
    assert!(read(&partials).is_empty(), "mixed");
}

/// Over facts of any kind, over a lifetime and by a field: what is of one currency has a value, what is of two has none.
#[test]
fn amounts_in_two_currencies_have_no_value_wherever_they_are_kept() {
    let conditions = ["true", "event.name == \"transaction\"", "event.properties.on_sale == true"];
    let amounts = ["product.price", "products[1].price", "order.revenue", "order.tax * 2.0", "cart.total_value"];
    let folds = ["sum", "average", "min", "max", "range", "min_max", "quantile", "ratio"];
    let sale = |at_ms: i64, currency: &str, number: f64| {
        let currency: Option<midsession_event::Str> = Some(currency.into());
        let of = |id| midsession_event::Product { currency: currency.clone(), ..product(id, "", number) };
        let mut sale = Event { products: vec![of("p"), of("q")], ..event("transaction", at_ms) };
        let (revenue, tax) = (Some(number), Some(number));
        sale.order = Some(Order { revenue, tax, currency: currency.clone(), ..Order::default() });
        sale.cart = Some(midsession_event::Cart { total_value: Some(number), currency: currency.clone(), id: None });
        sale.campaign = Some(Campaign { name: Some("c".into()), ..Campaign::default() });
        sale.properties.insert("on_sale".into(), midsession_event::PropertyValue::Bool(true));
        sale
    };
    for (when, of) in conditions.iter().flat_map(|when| amounts.map(|of| (when, of))) {
        let define = |fold: &str, of: &str, key: &str, windows: &str| {
            let setting = match fold {
                "quantile" => "quantile = 0.5",
                "ratio" => "over = 'event.name == \"transaction\"'",
                _ => "",
            };
            format!(
                "[[feature]]\nname = \"{key}_{fold}\"\nwhen = '{when}'\nof = \"{of}\"\nfold = \"{fold}\"\n{setting}\nkey = \"{key}\"\nwindows = [{windows}]\n"
            )
        };
        let mut text: String = folds.map(|fold| define(fold, of, "user", "\"5m\", \"lifetime\"")).concat();
        text += &folds.map(|fold| define(fold, of, "campaign", "\"5m\"")).concat();
        let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
        for (currency, is_there) in [("EUR", true), ("JPY", false)] {
            let mut shopper = Shopper::new();
            for event in [sale(NOW - 1, "EUR", 10.0), sale(NOW, currency, 1_000.0)] {
                shopper.take(&event, 1, &set);
                set.accumulate(&event, &shopper.id, Heard::default(), NOW, &mut shopper.partials);
            }
            let view = shopper.view(NOW);
            let parts = set.field_partials(&shopper.partials, "campaign", "c", NOW);
            let by_field = set.join("campaign", parts, &[], NOW, &[]).expect("known");
            let read = |name: &str| match by_field.iter().find(|served| served.name == name) {
                Some(_) => true,
                None => set.read(&view, Key::User, name).is_some(),
            };
            for fold in folds {
                for name in ["user_{}_5m", "user_{}_lifetime", "campaign_{}_5m"].map(|name| name.replace("{}", fold)) {
                    assert_eq!(read(&name), is_there, "{name} of {of} when {when}, EUR and {currency}");
                }
            }
        }
    }
}

/// How many pieces there were is no amount, whatever they cost.
#[test]
fn a_number_that_is_no_money_has_a_value_in_any_currencies() {
    let text = "[[feature]]\nname = \"pieces\"\nfold = \"sum\"\nof = \"product.quantity\"\nkey = \"user\"\nwindows = [\"5m\", \"lifetime\"]";
    let set = FeatureSet::load(&[("f.toml", text)]).unwrap_or_else(|found| panic!("{found:?}"));
    let mut shopper = Shopper::new();
    for (back_ms, currency) in [(1, "EUR"), (0, "JPY")] {
        let mut view = event("product_view", NOW - back_ms);
        view.products = vec![midsession_event::Product { currency: Some(currency.into()), ..product("p", "", 1.0) }];
        shopper.take(&view, 1, &set);
        set.accumulate(&view, &shopper.id, Heard::default(), NOW, &mut shopper.partials);
    }
    for name in ["pieces_5m", "pieces_lifetime"] {
        let pieces = set.read(&shopper.view(NOW), Key::User, name);
        assert!(matches!(pieces, Some(Value::Int(2) | Value::Float(2.0))), "{name}: {pieces:?}");
    }
}

#[test]
fn a_rate_over_a_lifetime_is_over_what_is_counted() {
    let defined =
        "[[feature]]\nname = \"pace\"\nkey = \"user\"\nfold = \"rate\"\nper = \"1m\"\nwindows = [\"lifetime\"]\n";
    let set = FeatureSet::load(&[("pace.toml", defined)]).unwrap_or_else(|found| panic!("{found:?}"));
    let mut shopper = Shopper::new();
    let rate = |shopper: &Shopper, now_ms: i64| set.read(&shopper.view(now_ms), Key::User, "pace_lifetime");
    // Held up: they come all at once, a quarter of an hour after the first was done.
    for back_min in [13, 15, 12] {
        let late = event("page_view", NOW - back_min * 60_000);
        set.accumulate(&late, &shopper.id, Heard::default(), NOW, &mut shopper.partials);
    }
    assert_eq!(rate(&shopper, NOW), Some(Value::Float(0.2)));
    assert_eq!(rate(&shopper, NOW + 900_000), Some(Value::Float(0.1)));
}
