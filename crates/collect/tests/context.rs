//! The join from outside: what an event takes with it, against a plain look-up.

use midsession_collect::context::{PerKind, Put, Row, Tables, Tally, enrich};
use midsession_event::{
    Consent, ContextKind, Event, EventName, Geo, Product, Promotion, PropertyValue, Purpose, Str, Values,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW_MS: i64 = 1_000_000;

fn values(pairs: &[(&str, PropertyValue)]) -> Values {
    pairs.iter().map(|(name, value)| (Str::from(*name), value.clone())).collect::<BTreeMap<_, _>>().into()
}

fn text(text: &str) -> PropertyValue {
    PropertyValue::Text(text.into())
}

/// Kind, id, age in ms, values.
type Loaded<'a> = (ContextKind, &'a str, i64, &'a [(&'a str, PropertyValue)]);

/// Tables with these rows; the version of each is its place in the list, its age so many ms.
fn tables(rows: &[Loaded<'_>]) -> Tables {
    let tables = Tables::new(1_000);
    for (version, (kind, id, age_ms, pairs)) in rows.iter().enumerate() {
        let row = Row { version: version as i64, at_ms: NOW_MS - age_ms, values: values(pairs) };
        assert_eq!(tables.put(*kind, (*id).into(), row), Put::Done);
    }
    tables
}

fn max_ages() -> PerKind<i64> {
    PerKind::of(|kind| if kind == ContextKind::Product { 0 } else { 1_000 })
}

fn event(products: &[Product]) -> Event {
    let mut event = Event::new("shop".into(), "e1".into(), EventName::ProductView, NOW_MS);
    event.products = products.to_vec();
    event
}

fn product(id: &str) -> Product {
    Product { id: id.into(), ..Product::default() }
}

fn joined(event: &mut Event, tables: &Tables) -> Tally {
    let mut tally = Tally::default();
    enrich(event, tables, &max_ages(), NOW_MS, |_| true, &mut tally);
    tally
}

fn misses(tally: &Tally) -> Vec<(ContextKind, &str)> {
    tally.misses.iter().map(|miss| (miss.kind, miss.id.as_str())).collect()
}

#[test]
fn an_event_takes_its_rows_with_it_and_its_own_values_go_first() {
    use ContextKind::{Inventory, Price, Product as Catalogue};
    let tables = tables(&[
        (
            Catalogue,
            "p1",
            0,
            &[
                ("name", text("Lamp")),
                ("brand", text("Lumi")),
                ("category", text("Lighting")),
                ("margin", PropertyValue::Float(0.4)),
            ],
        ),
        (Price, "p1", 0, &[("price", PropertyValue::Float(129.0)), ("currency", text("EUR"))]),
        (Inventory, "p1", 0, &[("stock", PropertyValue::Int(3))]),
    ]);
    let own = Product { brand: Some("Own".into()), quantity: Some(2), ..product("p1") };
    let mut event = event(&[own, product("p1")]);
    let tally = joined(&mut event, &tables);
    let first = &event.products[0];
    assert_eq!(
        (first.name.as_deref(), first.brand.as_deref(), first.category.as_deref()),
        (Some("Lamp"), Some("Own"), Some("Lighting"))
    );
    assert_eq!((first.price, first.currency.as_deref(), first.quantity), (Some(129.0), Some("EUR"), Some(2)));
    assert_eq!(event.products[1].brand.as_deref(), Some("Lumi"), "each of them is filled");
    let rows: Vec<_> = event.context.iter().map(|row| (row.kind, row.id.as_str(), row.version, row.stale)).collect();
    assert_eq!(
        rows,
        [(Catalogue, "p1", 0, false), (Price, "p1", 1, false), (Inventory, "p1", 2, false)],
        "and joined once"
    );
    assert_eq!(event.context[0].values.get("margin"), Some(&PropertyValue::Float(0.4)));
    assert_eq!(
        event.context[0].values.text("brand").map(Str::as_str),
        Some("Lumi"),
        "what the event overrules is told too"
    );
    assert_eq!((tally.joined[Catalogue], tally.stale[Price], tally.misses.len(), tally.cut), (1, 0, 0, 0));
}

#[test]
fn a_price_comes_with_its_currency_or_not_at_all() {
    use ContextKind::{Price, Product as Catalogue};
    let eur: &[(&str, PropertyValue)] = &[("price", PropertyValue::Int(10)), ("currency", text("EUR"))];
    let usd: &[(&str, PropertyValue)] = &[("price", PropertyValue::Int(12)), ("currency", text("USD"))];
    let priced = |price: Option<f64>, currency: Option<&str>| Product {
        price,
        currency: currency.map(Str::from),
        ..product("p")
    };
    for (rows, own, expected) in [
        (vec![(Price, "p", 0, eur)], priced(None, None), (Some(10.0), Some("EUR"))),
        (vec![(Price, "p", 0, eur)], priced(None, Some("EUR")), (Some(10.0), Some("EUR"))),
        (vec![(Price, "p", 0, eur)], priced(None, Some("USD")), (None, Some("USD"))),
        (vec![(Price, "p", 0, eur)], priced(Some(7.0), None), (Some(7.0), None)),
        (vec![(Price, "p", 0, eur), (Catalogue, "p", 0, usd)], priced(None, None), (Some(10.0), Some("EUR"))),
        (vec![(Price, "p", 0, eur), (Catalogue, "p", 0, usd)], priced(None, Some("USD")), (Some(12.0), Some("USD"))),
        (vec![(Price, "p", 5_000, eur), (Catalogue, "p", 0, usd)], priced(None, None), (Some(12.0), Some("USD"))),
        (vec![(Price, "p", 5_000, eur), (Catalogue, "p", 5_000, usd)], priced(None, None), (None, None)),
        (vec![(Price, "p", 5_000, eur), (Catalogue, "p", 6_000, usd)], priced(None, None), (None, None)),
        (vec![(Price, "p", 5_000, eur), (Catalogue, "p", 6_000, eur)], priced(None, Some("EUR")), (None, Some("EUR"))),
        (
            vec![(Price, "p", 500, eur), (Catalogue, "p", 6_000, usd)],
            priced(None, Some("USD")),
            (Some(12.0), Some("USD")),
        ),
        (vec![(Price, "q", 5_000, eur), (Catalogue, "p", 6_000, usd)], priced(None, None), (Some(12.0), Some("USD"))),
        (vec![(Price, "p", 5_000, eur)], priced(None, None), (None, None)),
    ] {
        let mut event = event(std::slice::from_ref(&own));
        joined(&mut event, &tables(&rows));
        let product = &event.products[0];
        assert_eq!((product.price, product.currency.as_deref()), expected, "{own:?} {rows:?}");
    }
}

#[test]
fn what_is_too_old_is_told_and_nothing_is_made_of_it() {
    let rows: &[Loaded<'_>] = &[
        (ContextKind::Product, "p", 900_000, &[("name", text("Lamp"))]),
        (ContextKind::Price, "p", 1_001, &[("price", PropertyValue::Int(1))]),
        (ContextKind::Inventory, "p", 1_000, &[("stock", PropertyValue::Int(1))]),
        (ContextKind::Promotion, "sale", 1_001, &[("name", text("Sale"))]),
    ];
    let mut event = event(&[product("p")]);
    event.promotion = Some(Promotion { id: Some("sale".into()), name: None });
    let tally = joined(&mut event, &tables(rows));
    let stale: Vec<_> = event.context.iter().map(|row| (row.kind, row.stale)).collect();
    assert_eq!(
        stale,
        [
            (ContextKind::Product, false),
            (ContextKind::Price, true),
            (ContextKind::Inventory, false),
            (ContextKind::Promotion, true)
        ]
    );
    assert_eq!((event.products[0].name.as_deref(), event.products[0].price), (Some("Lamp"), None));
    assert_eq!(event.promotion.and_then(|promotion| promotion.name), None);
    assert_eq!((tally.stale[ContextKind::Price], tally.stale[ContextKind::Promotion], tally.misses.len()), (1, 1, 0));
}

#[test]
fn people_and_places_are_looked_up_by_their_names() {
    let gold: &[(&str, PropertyValue)] = &[("tier", text("gold"))];
    let here: &[(&str, PropertyValue)] = &[("store", text("Utrecht"))];
    let tables = tables(&[
        (ContextKind::Profile, "u1", 0, gold),
        (ContextKind::Segment, "v1", 0, gold),
        (ContextKind::Location, "NL-UT", 0, here),
        (ContextKind::Location, "NL", 0, here),
        (ContextKind::Delivery, "p", 0, &[("days", PropertyValue::Int(3))]),
        (ContextKind::Delivery, "p@NL", 0, &[("days", PropertyValue::Int(1))]),
        (ContextKind::Promotion, "sale", 0, &[("name", text("Sale"))]),
    ]);
    let shopper = |user: Option<&str>, region: &str, country: &str| {
        let mut event = event(&[product("p")]);
        event.visitor_id = Some("v1".into());
        event.user_id = user.map(Into::into);
        event.geo = Some(Geo { country: Some(country.into()), region: Some(region.into()), city: None });
        event
    };
    let ids = |event: &Event| event.context.iter().map(|row| format!("{:?} {}", row.kind, row.id)).collect::<Vec<_>>();

    let mut event = shopper(Some("u1"), "UT", "NL");
    assert_eq!(misses(&joined(&mut event, &tables)), []);
    assert_eq!(ids(&event), ["Delivery p@NL", "Profile u1", "Segment v1", "Location NL-UT"]);
    let mut event = shopper(Some("u2"), "NH", "NL");
    assert_eq!(misses(&joined(&mut event, &tables)), [(ContextKind::Profile, "u2")]);
    assert_eq!(ids(&event), ["Delivery p@NL", "Segment v1", "Location NL"]);
    let mut event = shopper(None, "BE", "DE");
    event.promotion = Some(Promotion { id: Some("sale".into()), name: None });
    assert_eq!(misses(&joined(&mut event, &tables)), [(ContextKind::Location, "DE-BE")]);
    assert_eq!(ids(&event), ["Delivery p", "Promotion sale", "Segment v1"]);
    assert_eq!(event.promotion.and_then(|promotion| promotion.name).as_deref(), Some("Sale"));
    // What is known of a person serves the person alone.
    let mut event = shopper(Some("u1"), "UT", "NL");
    event.consent = Consent::FULL.with(Purpose::Personalization, false);
    assert_eq!(misses(&joined(&mut event, &tables)), []);
    assert_eq!(ids(&event), ["Delivery p@NL", "Location NL-UT"]);
}

#[test]
fn products_without_a_row_are_missed_once_each_and_very_many_are_cut() {
    let tables = tables(&[(ContextKind::Price, "p0", 0, &[("price", PropertyValue::Int(1))])]);
    let products: Vec<Product> = (0..50).map(|n| product(&format!("p{}", n % 40))).chain([product("")]).collect();
    let mut event = event(&products);
    let tally = joined(&mut event, &tables);
    assert_eq!(event.context.len(), 1);
    assert_eq!(tally.misses.len(), 31, "thirty-two are looked up");
    assert_eq!(tally.cut, 8, "the others are counted; those that come again are known");
    assert_eq!((tally.misses[0].event_id.as_str(), tally.misses[0].source.as_str()), ("e1", "shop"));
}

proptest! {
    /// Whatever is in the tables and on the event: the rows are those of a plain look-up, every product is in them or
    /// missed, and nothing that the event says itself is changed.
    #[test]
    fn a_join_is_a_look_up(
        rows in prop::collection::vec((0usize..3, 0u8..6, 0i64..3_000, 0i64..5), 0..20),
        named in prop::collection::vec((0u8..8, prop::option::of(0i64..9)), 0..8),
    ) {
        let kinds = [ContextKind::Product, ContextKind::Price, ContextKind::Inventory];
        let tables = Tables::new(1_000);
        let mut plain: BTreeMap<(usize, String), (i64, i64, i64)> = BTreeMap::new();
        for (version, (kind, id, age_ms, number)) in rows.iter().enumerate() {
            let pairs = [("price", PropertyValue::Int(*number)), ("stock", PropertyValue::Int(*number))];
            let row = Row { version: version as i64, at_ms: NOW_MS - age_ms, values: values(&pairs) };
            tables.put(kinds[*kind], format!("p{id}").into(), row);
            plain.insert((*kind, format!("p{id}")), (version as i64, *age_ms, *number));
        }
        let products: Vec<Product> = named.iter().map(|(id, price)| Product { price: price.map(|price| price as f64), ..product(&format!("p{id}")) }).collect();
        let mut event = event(&products);
        let tally = joined(&mut event, &tables);
        let in_use = |kind: usize| plain.keys().any(|(of, _)| *of == kind);
        let ids: std::collections::BTreeSet<String> = named.iter().map(|(id, _)| format!("p{id}")).collect();
        for id in &ids {
            for (kind, name) in kinds.iter().enumerate() {
                let found: Vec<_> = event.context.iter().filter(|row| row.kind == *name && row.id == *id).collect();
                let missed = tally.misses.iter().filter(|miss| miss.kind == *name && miss.id == *id).count();
                match plain.get(&(kind, id.clone())) {
                    Some((version, age_ms, number)) => {
                        prop_assert_eq!((found.len(), missed), (1, 0));
                        prop_assert_eq!((found[0].version, found[0].stale), (*version, *name != ContextKind::Product && *age_ms > 1_000));
                        prop_assert_eq!(found[0].values.number("stock"), Some(*number as f64));
                    }
                    None => prop_assert_eq!((found.len(), missed), (0, usize::from(in_use(kind)))),
                }
            }
        }
        prop_assert_eq!(event.context.len() + tally.misses.len(), tally.misses.len() + ids.iter().map(|id| (0..3).filter(|kind| plain.contains_key(&(*kind, id.clone()))).count()).sum::<usize>());
        for (product, (id, own)) in event.products.iter().zip(&named) {
            let of = |kind: usize| plain.get(&(kind, format!("p{id}"))).copied();
            let price = match (of(1), of(0)) {
                (Some((_, 0..=1_000, number)), _) | (None, Some((_, _, number))) => Some(number),
                (Some((_, too_old_ms, _)), Some((_, age_ms, number))) if age_ms < too_old_ms => Some(number),
                _ => None,
            };
            prop_assert_eq!(product.price, own.or(price).map(|price| price as f64));
        }
    }
}
