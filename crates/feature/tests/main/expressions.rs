//! The expression language, one row each: expression, what it is looked at with, result.

use crate::kit::{Shopper, event, product, session};
use midsession_event::{Cart, ContextKind, Event, Joined, Page, PropertyValue, Str};
use midsession_feature::expr::{Env, EventEnv, Field, Program, Scope};
use midsession_feature::{FeatureSet, Val, Value};
use midsession_machine::View;
use proptest::prelude::*;

fn sample() -> Event {
    let properties = [
        ("gift", PropertyValue::Bool(true)),
        ("count", PropertyValue::Int(3)),
        ("ratio", PropertyValue::Float(2.5)),
        ("colour", PropertyValue::Text("red".into())),
        ("nothing", PropertyValue::Null),
        ("two words", PropertyValue::Int(2)),
    ];
    Event {
        page: Some(Page { url: Some("https://shop.example/sale?q=shoes".into()), ..Page::default() }),
        products: vec![product("p1", "Shoes", 40.0), product("p2", "", 120.0)],
        cart: Some(Cart { total_value: Some(81.0), ..Cart::default() }),
        list: Some("New series".into()),
        context: [
            (ContextKind::Inventory, "p2", false, 7),
            (ContextKind::Inventory, "p1", false, 3),
            (ContextKind::Price, "p1", true, 39),
            (ContextKind::Delivery, "p1@NL", false, 2),
            (ContextKind::Profile, "u1", false, 120),
        ]
        .map(|(kind, id, stale, number)| Joined {
            kind,
            id: id.into(),
            version: 1_000 + number,
            at_ms: 0,
            stale,
            values: std::collections::BTreeMap::from([(Str::from("number"), PropertyValue::Int(number))]).into(),
        })
        .to_vec(),
        properties: properties.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        ..event("add_to_cart", 1_700_000_000_000)
    }
}

#[test]
fn over_an_event() {
    let event = sample();
    let cases = [
        // Fields of every kind.
        ("event.name", text("add_to_cart")),
        ("event.source", text("shop")),
        ("event.page.url", text("https://shop.example/sale?q=shoes")),
        ("event.page.title", None),
        ("event.cart.total_value", Some(Value::Float(81.0))),
        ("event.order.revenue", None),
        ("event.product.id", text("p1")),
        ("event.product.category", text("Shoes")),
        ("event.products[1].id", text("p2")),
        ("event.products[1].category", None),
        ("event.products[7].id", None),
        ("event.product.quantity", int(1)),
        ("event.properties.colour", text("red")),
        ("event.properties[\"two words\"]", int(2)),
        ("event[\"name\"]", text("add_to_cart")),
        ("event.properties.nothing", None),
        ("event.bot", bool(false)),
        // Rows that the event was joined with: of the product at hand; nothing is made of a stale one.
        ("event.context.inventory.number", int(3)),
        ("event.context.inventory.version", int(1_003)),
        ("event.context.inventory.other", None),
        ("event.context.price.number", None),
        ("event.context.price.stale && event.context.price.version == 1039", bool(true)),
        ("event.context.delivery.number <= 2", bool(true)),
        ("event.context.profile.number * 2", int(240)),
        ("event.context.location.number", None),
        ("event.context[\"inventory\"].number > 2", bool(true)),
        ("event.consent.marketing", bool(true)),
        ("event.occurred_at_ms", int(1_700_000_000_000)),
        // Comparison: whole and other numbers by value, different types unequal.
        ("event.name == \"add_to_cart\" && event.cart.total_value > 80.0", bool(true)),
        ("event.cart.total_value > 80", bool(true)),
        ("event.cart.total_value == 81", bool(true)),
        ("event.cart.total_value <= 80.5", bool(false)),
        ("event.properties.count == 3.0", bool(true)),
        ("event.properties.count == \"3\"", bool(false)),
        ("event.properties.count != \"3\"", bool(true)),
        ("event.properties.colour > 1", bool(false)),
        ("event.properties.gift", bool(true)),
        ("!event.properties.gift", bool(false)),
        ("\"a\" < \"b\" && true != false", bool(true)),
        ("9223372036854775807 > 9223372036854775806", bool(true)),
        // Absence: comparisons are false, conditions too, arithmetic is absent.
        ("event.order.revenue > 1.0", bool(false)),
        ("event.order.revenue < 1.0", bool(false)),
        ("event.order.revenue == 1.0", bool(false)),
        ("event.order.revenue != 1.0", bool(false)),
        ("!(event.order.revenue > 1.0)", bool(true)),
        ("event.properties.missing == event.properties.missing", bool(false)),
        ("event.properties.missing || event.name == \"add_to_cart\"", bool(true)),
        ("event.properties.missing ? 1 : 2", int(2)),
        ("event.order.revenue + 1.0", None),
        ("-event.order.revenue", None),
        ("size(event.query)", None),
        ("event.query.contains(\"x\")", bool(false)),
        ("has(event.order.revenue)", bool(false)),
        ("has(event.cart.total_value)", bool(true)),
        ("has(event.properties.nothing) || has(event.properties.colour)", bool(true)),
        // Arithmetic.
        ("1 + 2 * 3 - 4", int(3)),
        ("7 / 2", int(3)),
        ("7.0 / 2", Some(Value::Float(3.5))),
        ("7 % 3", int(1)),
        ("1 / 0", None),
        ("1 % 0", None),
        ("1.0 / 0.0 > 1.0", bool(true)),
        ("0.0 / 0.0", None),
        ("9223372036854775807 + 1", None),
        ("-9223372036854775807 - 2", None),
        ("-(2 - 5)", int(3)),
        ("event.properties.ratio * 2", Some(Value::Float(5.0))),
        ("event.properties.count * 2", int(6)),
        ("event.properties.colour * 2", None),
        // Membership, text, patterns.
        ("event.name in [\"search\", \"add_to_cart\"]", bool(true)),
        ("event.name in []", bool(false)),
        ("event.properties.count in [1, 2, 3.0]", bool(true)),
        ("event.order.id in [\"a\"]", bool(false)),
        ("event.page.url.startsWith(\"https://\")", bool(true)),
        ("event.page.url.endsWith(\"boots\")", bool(false)),
        ("event.page.url.contains(\"/sale\")", bool(true)),
        ("event.page.url.matches(\"[?]q=(shoes|boots)$\")", bool(true)),
        ("event.page.url.matches('^http:')", bool(false)),
        ("size(\"Größe\")", int(5)),
        ("event.name.size() == 11", bool(true)),
        // Loops over products.
        ("event.products.exists(p, p.price > 100.0)", bool(true)),
        ("event.products.all(p, p.price > 100.0)", bool(false)),
        ("event.products.exists(p, p.category == \"Shoes\" && event.name == \"add_to_cart\")", bool(true)),
        ("size(event.products) == 2 && event.products.size() > 1", bool(true)),
        // Choice and time.
        ("event.bot ? \"robot\" : \"person\"", text("person")),
        ("true ? event.cart.total_value : 0.0", Some(Value::Float(81.0))),
        ("duration(\"20s\")", int(20_000)),
        ("event.occurred_at_ms > duration(\"7d\")", bool(true)),
    ];
    for (source, expected) in cases {
        let program = Program::compile(source, Scope::default()).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(program.eval(&EventEnv { event: &event, product: 0 }).to_value(), expected, "{source}");
    }
}

#[test]
fn over_a_shopper() {
    let set = FeatureSet::native();
    let mut shopper = Shopper::new();
    let viewed = [product("p1", "Shoes", 40.0), product("p2", "Bags", 150.0)];
    shopper.take(&Event { products: viewed.to_vec(), ..event("product_view", 100_000) }, 1, &set);
    shopper.session = Some(midsession_machine::Session {
        cart: midsession_machine::Cart { value: Some(90.0), currency: 0, size: 1, touched: true },
        ..session(1, 90_000, 100_000)
    });
    shopper.last_stamp_ms = 100_000;
    let env = ShopperEnv { set: &set, view: shopper.view(120_000) };
    let scope = Scope { features: Some(&set), bare: false, window: None };
    for (source, expected) in [
        ("session.cart_value > 80 && session.order_count == 0", bool(true)),
        ("session.idle_ms >= duration(\"20s\")", bool(true)),
        ("user.max_viewed_price_1h - user.min_viewed_price_1h", Some(Value::Float(110.0))),
        ("user.top_category_5m", text("Bags")),
        ("user.order_value_24h > 0.0", bool(false)),
        ("session.bounce", bool(true)),
        ("now", int(120_000)),
        ("event.name == \"search\"", bool(false)),
    ] {
        let program = Program::compile(source, scope).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(program.eval(&env).to_value(), expected, "{source}");
    }
    let program = Program::compile("session.cart_value > 80 && user.order_value_24h > 0.0", scope).expect("compiles");
    let reads: Vec<_> = program.reads(&env).collect();
    assert_eq!(reads, [("session.cart_value", Val::Float(90.0))], "what is absent is left out");
}

#[test]
fn faults_point_and_help() {
    let set = FeatureSet::native();
    let cases: &[(&str, (usize, usize), &str, &str)] = &[
        ("event.nmae == \"x\"", (1, 1), "`event.nmae` is not a field of an event", "did you mean `event.name`?"),
        ("true &&\n  event.product.prize > 1.0", (2, 3), "event.product.prize", "did you mean `event.product.price`?"),
        ("evnt.name == \"x\"", (1, 1), "`evnt` is not known", "did you mean `event`?"),
        ("user.order_count_24 > 1", (1, 1), "`user.order_count_24` is not a feature", "`user.order_count_24h`"),
        ("true && session.cart_vlaue > 80", (1, 9), "session.cart_vlaue", "did you mean `session.cart_value`?"),
        ("event.name == 5", (1, 12), "text is compared with a whole number", "text stands in quotes"),
        ("event.name in [\"a\", 5]", (1, 21), "text is looked for among a whole number", "quotes"),
        ("event.name + 1 > 2", (1, 1), "a number is wanted here, this is text", ""),
        ("event.cart.total_value && true", (1, 1), "a condition is wanted here", ""),
        ("event.step.startsWith(\"x\")", (1, 1), "text is wanted here, this is a whole number", ""),
        ("event.page == \"x\"", (1, 1), "`event.page` holds fields", "event.page.url"),
        ("event.coupon == \"x\"", (1, 1), "`event.coupon` is not a field", "event.properties.coupon"),
        ("event.products.exists(p, p.pice > 1.0)", (1, 26), "`p.pice`", "did you mean `p.price`?"),
        ("[1].exists(x, x > 0)", (1, 1), "go over `event.products`", ""),
        ("event.products.map(p, p.price)", (1, 1), "only `exists` and `all`", ""),
        ("event.name.matches(\"(\")", (1, 20), "not a usable pattern", ""),
        ("event.name.matches(\"(a{99}){99}\")", (1, 20), "not a usable pattern", ""),
        ("event.name.startWith(\"x\")", (1, 1), "there is no method `startWith`", "did you mean `startsWith`?"),
        ("sise(event.name) > 1", (1, 5), "there is no function `sise`", "did you mean `size`?"),
        ("duration(\"20\") > 1", (1, 10), "`20` is not a duration", ""),
        ("event.query == null", (1, 16), "nothing is compared with null", "has(…)"),
        ("event.name ==", (1, 14), "the expression ends too early", ""),
        ("event.name = \"x\"", (1, 12), "`=` is no operator", "did you mean `==`?"),
        ("event.name=\"x\"", (1, 11), "`=` is no operator", "did you mean `==`?"),
        ("event.bot &&\n  event.name = \"a\"", (2, 14), "`=` is no operator", "did you mean `==`?"),
        ("event.step => 2", (1, 12), "`=>` is no operator", "did you mean `>=`?"),
        ("event.step =< 2", (1, 12), "`=<` is no operator", "did you mean `<=`?"),
        ("event.name === \"x\"", (1, 14), "`=` is no operator", "did you mean `==`?"),
        ("event.bot & true", (1, 11), "`&` is no operator", "did you mean `&&`?"),
        ("event.bot | true", (1, 11), "`|` is no operator", "did you mean `||`?"),
        ("== 1", (1, 1), "", ""),
        ("event.bot || || true", (1, 14), "", ""),
        ("\"Größe\" == 1", (1, 9), "text is compared with", ""),
        ("\"Größe\" = 1", (1, 9), "`=` is no operator", "did you mean `==`?"),
    ];
    for (source, place, message, hint) in cases {
        let error =
            Program::compile(source, Scope { features: Some(&set), bare: false, window: None }).expect_err(source);
        assert_eq!((error.line, error.column), *place, "{source}: {error}");
        assert!(error.message.contains(message), "{source}: {error}");
        assert!(error.hint.unwrap_or_default().contains(hint), "{source}: {}", error.message);
    }
    let error = Program::compile("user.order_count_24h > 1", Scope::default()).expect_err("no features here");
    assert!(error.message.contains("can't be looked at here"), "{error}");
    let error = Program::condition("event.step", Scope::default()).expect_err("not a condition");
    assert!(error.message.contains("a condition is true or false"), "{error}");
}

#[test]
fn no_text_makes_it_panic() {
    let nested = |open: &str, middle: &str, close: &str, depth: usize| {
        format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    let texts = [
        "a".repeat(5_000),
        nested("(", "1", ")", 1_000),
        nested("[", "", "]", 1_000),
        nested("!", "event.bot", "", 2_000),
        nested("-", "1 > 0", "", 2_000),
        nested("", "1", "+1", 1_023),
        nested("", "event", ".a", 1_021),
        nested("", "event.products", "[0]", 678),
        nested("true?1:", "1", "", 290),
        nested("size(", "\"\"", ")", 300),
        nested("event.products.exists(p,", "true", ")", 75),
        nested("", "event.bot", "||event.bot", 180),
    ];
    let odd = ["", " ", "\u{0}", "\"", "'''", "{1: 2}", "event", "\\", "é", "b'x'", "a{b:1}", "1u", "0x", "1e999"];
    for source in texts.iter().map(String::as_str).chain(odd) {
        let _ = Program::compile(source, Scope::default());
    }
    let chain = vec!["event.bot"; 150].join(" && ");
    let program = Program::compile(&chain, Scope::default()).expect("a long chain is no deep one");
    assert!(!program.holds_for_event(&sample()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_soup_of_words_makes_it_panic(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..14),
        noise in ".{0,6}",
    ) {
        for source in [words.concat(), words.join(" "), format!("{}{noise}", words.concat())] {
            if let Ok(program) = Program::compile(&source, Scope { features: None, bare: true, window: None }) {
                let _ = program.eval(&EventEnv { event: &sample(), product: 0 });
            }
        }
    }
}

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "event", ".name", ".product", ".products", ".price", "[0]", "[\"x\"]", ".properties", ".exists(p, ", ".all(", "has(",
    "size(", "(", ")", "[", "]", "{", "}", "&&", "||", "!", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", "?", ":", ",",
    "in", "1", "2.5", "-9223372036854775808", "0u", "\"a\"", "'é'", "r\"\\\"", "true", "null", "duration(\"1s\")",
    ".matches(\"(a|b)*\")", ".startsWith(", "p", ".", "..", "\n", "//", "@result", "__result__", "`a`", ".map(x, ", "b'x'",
    "\"\\u12\"", "\"\\xff\"", "\"\\777\"", "1e999", "event.products.exists(p, p.price > 1.0)", "99999999999999999999",
];

struct ShopperEnv<'a> {
    set: &'a FeatureSet,
    view: View<'a>,
}

impl<'a> Env<'a> for ShopperEnv<'a> {
    fn field(&self, _field: &Field, _at: usize) -> Val<'a> {
        Val::Absent
    }
    fn feature(&self, entry: u32) -> Val<'a> {
        self.set.val(&self.view, entry)
    }
    fn now_ms(&self) -> Val<'a> {
        Val::Int(self.view.now_ms)
    }
}

fn int(int: i64) -> Option<Value> {
    Some(Value::Int(int))
}
fn bool(bool: bool) -> Option<Value> {
    Some(Value::Bool(bool))
}
fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.into()))
}
