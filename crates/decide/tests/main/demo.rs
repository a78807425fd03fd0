//! The demo's three interventions: who gets them, and that nobody else does.

use crate::kit::{Shopper, event, rules_with};
use midsession_decide::{DEMO, Rules};

fn demo() -> Rules {
    rules_with(&[midsession_feature::NATIVE, DEMO])
}

#[test]
fn all_three_are_complete() {
    let rules = demo();
    let names: Vec<_> = rules.all().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["chat_offer", "cart_stalled", "price_sensitive_discount"]);
    assert!(!rules.caps().is_empty(), "one cap over all");
    for rule in rules.all() {
        assert!(!rule.caps.is_empty() && rule.enabled && !rule.dry_run, "{}", rule.name);
        // The reminder is what a newcomer is told to try: it comes to everybody.
        assert_eq!(rule.holdout > 0.0, rule.name != "cart_stalled", "{}", rule.name);
        for field in ["title", "body", "label"] {
            assert!(rule.payload[field].is_string(), "{}: {field} in English", rule.name);
            assert!(rule.payload["locales"]["de"][field].is_string(), "{}: {field} in German", rule.name);
        }
    }
}

#[test]
fn a_stalled_cart_is_reminded_or_offered_a_talk() {
    let rules = demo();
    for (cart, after_20s, after_30s) in [
        (80.0, None, None),
        (80.01, Some("cart_stalled"), None),
        (200.0, Some("cart_stalled"), None),
        (250.0, None, Some("chat_offer")),
    ] {
        let mut shopper = Shopper::with_cart(cart);
        assert_eq!(shopper.idle(&rules, 20_000), Vec::from_iter(after_20s), "{cart} after 20 s");
        assert_eq!(shopper.idle(&rules, 30_000), Vec::from_iter(after_30s), "{cart} after 30 s");
        shopper.did("transaction", 5, "", cart);
        assert_eq!(shopper.idle(&rules, 20_000).len() + shopper.idle(&rules, 30_000).len(), 0, "bought");
    }
}

#[test]
fn a_price_sensitive_shopper_gets_a_discount() {
    let rules = demo();
    type Views = &'static [(&'static str, f64)];
    let visits: &[(&str, Views, bool)] = &[
        ("comes back to cheap ones", &[("dear", 180.0), ("a", 20.0), ("b", 30.0), ("a", 20.0), ("b", 30.0)], true),
        ("once is chance", &[("dear", 180.0), ("a", 20.0), ("b", 30.0), ("a", 20.0)], false),
        ("comes back to dear ones", &[("dear", 180.0), ("a", 20.0), ("dear", 180.0), ("dear", 180.0)], false),
        ("sees only cheap ones", &[("a", 20.0), ("b", 30.0), ("a", 20.0), ("b", 30.0)], false),
    ];
    for (name, views, expected) in visits {
        let mut shopper = Shopper::with_cart(0.0);
        for (index, (product, price)) in views.iter().enumerate() {
            shopper.did("product_view", index as i64 * 1_000, product, *price);
        }
        let asked = shopper.event(&rules, &event("product_view", views.len() as i64 * 1_000));
        assert_eq!(!asked.is_empty(), *expected, "{name}: {asked:?}");
    }
}
