//! What a million products cost: memory, a look-up, the join of an event; `cargo bench -p midsession-collect`.
//!
//! `fill` counts every byte that a million products take as they are put (its `alloc` row); the tables' own account of it
//! is printed first.

use divan::{AllocProfiler, Bencher, black_box};
use midsession_collect::context::{PerKind, Row, Tables, Tally, enrich};
use midsession_event::{ContextKind, Event, EventName, Product, PropertyValue, Str, Values};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const PRODUCTS: u64 = 1_000_000;

fn main() {
    let bytes: usize = ContextKind::ALL.into_iter().map(|kind| FULL.bytes(kind)).sum();
    let told = format!("{PRODUCTS} products, three rows each: {} bytes per product\n", bytes as u64 / PRODUCTS);
    // A reader that has gone away misses it.
    let _ = std::io::stdout().write_all(told.as_bytes());
    divan::main();
}

static FULL: LazyLock<Tables> = LazyLock::new(|| filled(PRODUCTS));

fn id(number: u64) -> Str {
    compact_str::format_compact!("sku-{number:08}")
}

fn values<const N: usize>(pairs: [(&str, PropertyValue); N]) -> Values {
    pairs.into_iter().map(|(name, value)| (Str::from(name), value)).collect::<BTreeMap<_, _>>().into()
}

/// A catalogue as shops have it: a name of about forty letters, category, brand, price, currency, stock.
fn filled(products: u64) -> Tables {
    let tables = Tables::new(products as usize);
    let text = |text: String| PropertyValue::Text(text.into());
    for number in 0..products {
        let catalogue = values([
            ("name", text(format!("Trail boots with a number, {number:08}, men"))),
            ("category", text(format!("Shoes/Outdoor/{}", number % 300))),
            ("brand", text(format!("Brand {}", number % 2_000))),
        ]);
        let price = values([("price", PropertyValue::Float(number as f64 / 100.0)), ("currency", text("EUR".into()))]);
        let stock = values([("stock", PropertyValue::Int((number % 50) as i64))]);
        let rows = [(ContextKind::Product, catalogue), (ContextKind::Price, price), (ContextKind::Inventory, stock)];
        for (kind, values) in rows {
            tables.put(kind, id(number), Row { version: number as i64, at_ms: 0, values });
        }
    }
    tables
}

/// Ids in an order that no cache follows.
fn walk() -> impl FnMut() -> u64 {
    let mut at = 1u64;
    move || {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (at >> 33) % PRODUCTS
    }
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn fill(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| filled(PRODUCTS));
}

#[divan::bench(sample_size = 100_000)]
fn look_up(bencher: Bencher<'_, '_>) {
    let mut next = walk();
    LazyLock::force(&FULL);
    bencher
        .with_inputs(|| id(next()))
        .bench_local_values(|id| FULL.get(ContextKind::Price, &id).map(|row| row.version));
}

#[divan::bench(sample_size = 100_000)]
fn look_up_what_is_not_there(bencher: Bencher<'_, '_>) {
    let mut next = walk();
    LazyLock::force(&FULL);
    bencher.with_inputs(|| id(next() + PRODUCTS)).bench_local_values(|id| FULL.get(ContextKind::Price, &id).is_some());
}

/// A product view with an id alone: three rows joined, five values filled in.
#[divan::bench(sample_size = 20_000)]
fn join(bencher: Bencher<'_, '_>) {
    let (mut next, any_age) = (walk(), PerKind::default());
    LazyLock::force(&FULL);
    let view = || {
        let mut event = Event::new("shop".into(), "e1".into(), EventName::ProductView, 0);
        event.products = vec![Product { id: id(next()).into(), ..Product::default() }];
        event
    };
    bencher.with_inputs(view).bench_local_values(|mut event| {
        let mut tally = Tally::default();
        enrich(black_box(&mut event), &FULL, &any_age, 1, |_| true, &mut tally);
        event
    });
}

/// The same where nothing is loaded: what everybody pays.
#[divan::bench(sample_size = 20_000)]
fn join_with_nothing(bencher: Bencher<'_, '_>) {
    let (tables, any_age) = (Tables::new(10), PerKind::default());
    let mut event = Event::new("shop".into(), "e1".into(), EventName::ProductView, 0);
    bencher.bench_local(|| enrich(black_box(&mut event), &tables, &any_age, 1, |_| true, &mut Tally::default()));
}
