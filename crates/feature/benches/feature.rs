//! What reading costs: a predicate over an event, one feature, all features of a shopper, 250 features.
#![expect(clippy::expect_used, reason = "a bench")]

use divan::{Bencher, black_box};
use midsession_event::{Event, EventName, Product, ShopperId};
use midsession_feature::expr::{Program, Scope};
use midsession_feature::{FeatureSet, Key, NATIVE};
use midsession_machine::partial::Heard;
use midsession_machine::{Fact, FactKind, Facts, Names, Partials, View};

fn main() {
    divan::main();
}

#[divan::bench(args = [
    "event.name == \"add_to_cart\"",
    "event.name == \"add_to_cart\" && event.cart.total_value > 80.0",
    "event.product.price > 50.0 || event.properties.colour == \"red\"",
    "event.name in [\"search\", \"list_view\", \"add_to_cart\"] && !event.bot",
    "event.page.url.contains(\"/sale\")",
    "event.page.url.matches(\"/sale/[0-9]+\")",
])]
fn predicate(bencher: Bencher<'_, '_>, source: &str) {
    let program = Program::compile(source, Scope::default()).expect("compiles");
    let mut event = Event::new("shop".into(), "e1".into(), "add_to_cart".into(), 1);
    event.products = vec![Product { id: "p1".into(), price: Some(40.0), ..Product::default() }];
    event.page =
        Some(midsession_event::Page { url: Some("https://shop.example/sale/17?x=1".into()), ..Default::default() });
    event.cart = Some(midsession_event::Cart { total_value: Some(90.0), ..Default::default() });
    bencher.bench_local(|| program.holds_for_event(black_box(&event)));
}

/// A shopper with so many facts over the last day, most of them recent.
struct Shopper {
    id: ShopperId,
    facts: Facts,
    names: Names,
    partials: Partials,
}

const NOW: i64 = 100_000_000;

impl Shopper {
    fn with(count: i64) -> Self {
        let (mut facts, mut names) = (Facts::default(), Names::default());
        let kinds = [
            EventName::ProductView,
            EventName::ProductView,
            EventName::ListView,
            EventName::PageView,
            EventName::AddToCart,
        ];
        for index in 0..count {
            // Half of them in the last hour, a tenth in the last five minutes.
            let back_ms = match index % 10 {
                0 => 280_000 * index / count,
                1..5 => 300_000 + 3_200_000 * index / count,
                _ => 3_600_000 + 82_000_000 * index / count,
            };
            facts.insert(Fact {
                time_ms: NOW - back_ms,
                value: 10.0 + (index % 90) as f64,
                product: names.number(&format!("p{}", index % 30)),
                category: names.number(&format!("c{}", index % 5)),
                session: 1,
                quantity: 1,
                kind: FactKind::of(&kinds[index as usize % kinds.len()]),
                currency: 1,
            });
        }
        Self { id: ShopperId::Visitor("v1".into()), facts, names, partials: Partials::default() }
    }

    fn view(&self) -> View<'_> {
        View {
            shopper: &self.id,
            facts: (&self.facts).into(),
            whole_after_ms: i64::MIN,
            session: None,
            names: &self.names,
            currencies: &self.names,
            partials: &self.partials,
            caps: &[],
            since: &[],
            last_stamp_ms: NOW,
            now_ms: NOW,
        }
    }
}

#[divan::bench(args = [20, 100, 500])]
fn one_count_over_an_hour(bencher: Bencher<'_, '_>, facts: i64) {
    let (set, shopper) = (FeatureSet::native(), Shopper::with(facts));
    let (entry, _) = set.entry(Key::User, "product_view_count_1h").expect("there");
    bencher.bench_local(|| black_box(set.val(black_box(&shopper.view()), entry)));
}

#[divan::bench(args = [20, 100, 500])]
fn all_39_native(bencher: Bencher<'_, '_>, facts: i64) {
    let (set, shopper) = (FeatureSet::native(), Shopper::with(facts));
    bencher.bench_local(|| {
        set.for_each(black_box(&shopper.view()), Key::User, |entry, value| {
            black_box((entry, value));
        })
    });
}

#[divan::bench(args = [20, 100, 500])]
fn all_250(bencher: Bencher<'_, '_>, facts: i64) {
    let mut text = String::new();
    for index in 0..70 {
        let (fold, of) = [
            ("count", ""),
            ("distinct", "of = \"product.id\"\n"),
            ("average", "of = \"product.price\"\n"),
            ("max", "of = \"product.price\"\n"),
        ][index % 4];
        let name = ["product_view", "list_view", "add_to_cart", "page_view", "search"][index % 5];
        text += &format!(
            "[[feature]]\nname = \"f{index}\"\nkey = \"user\"\nfold = \"{fold}\"\n{of}when = 'event.name == \"{name}\"'\nwindows = [\"5m\", \"1h\", \"24h\"]\n"
        );
    }
    text += "[[feature]]\nname = \"one_more\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"24h\"]\n";
    let set = FeatureSet::load(&[NATIVE, ("more.toml", &text)]).expect("valid");
    assert_eq!(set.names(Key::User).count(), 250);
    let shopper = Shopper::with(facts);
    bencher.bench_local(|| {
        set.for_each(black_box(&shopper.view()), Key::User, |entry, value| {
            black_box((entry, value));
        })
    });
}

/// Definitions of each kind that costs more than a count.
const COSTLY: &str = r#"
[[feature]]
name = "price_p90"
key = ["user"]
when = 'event.name == "product_view"'
fold = "quantile"
quantile = 0.9
of = "product.price"
windows = ["1h"]
[[feature]]
name = "tops"
key = "user"
when = 'event.name == "product_view"'
fold = "top_k"
limit = 3
of = "product.id"
windows = ["1h"]
[[feature]]
name = "view_to_cart"
key = "user"
when = 'event.name == "product_view"'
fold = "sequence"
then = 'event.name == "add_to_cart"'
within = "10m"
windows = ["1h"]
[[feature]]
name = "cart_view_ratio"
key = "user"
when = 'event.name == "add_to_cart"'
fold = "ratio"
over = 'event.name == "product_view"'
windows = ["1h"]
"#;

#[divan::bench(args = ["price_p90_1h", "tops_1h", "view_to_cart_1h", "cart_view_ratio_1h"])]
fn one_over_an_hour_of_500(bencher: Bencher<'_, '_>, name: &str) {
    let (set, shopper) = (FeatureSet::load(&[("bench.toml", COSTLY)]).expect("valid"), Shopper::with(500));
    bencher.bench_local(|| black_box(set.read(black_box(&shopper.view()), Key::User, name)));
}

/// What an event costs beside its facts: nothing defined, three counts by product and category.
#[divan::bench(args = ["", "[\"product\", \"category\"]"])]
fn accumulate(bencher: Bencher<'_, '_>, keys: &str) {
    let mut text = String::new();
    for name in ["a", "b", "c"].iter().filter(|_| !keys.is_empty()) {
        text += &format!(
            "[[feature]]\nname = \"{name}\"\nkey = {keys}\nfold = \"count\"\nwindows = [\"5m\", \"1h\", \"24h\"]\n"
        );
    }
    let set = FeatureSet::load(&[NATIVE, ("bench.toml", &text)]).expect("valid");
    let mut partials = Partials::new(1 << 24, 1_000);
    let id = ShopperId::Visitor("v1".into());
    let mut event = Event::new("shop".into(), "e1".into(), "product_view".into(), NOW);
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        event.occurred_at_ms = NOW + number;
        event.products = vec![Product { id: format!("p{}", number % 1_000).into(), ..Product::default() }];
        set.accumulate(black_box(&event), &id, Heard::default(), NOW + number, &mut partials);
    });
}
