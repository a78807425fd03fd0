//! Which rules ask: triggers, conditions, priorities, caps, consent, and what stays true.

use crate::kit::{Shopper, event, rule, rules};
use midsession_event::{Consent, DecisionId, PropertyValue, Purpose};
use std::collections::BTreeMap;

#[test]
fn triggers_and_conditions() {
    let text = [
        rule("on_add", "when = 'event.product.price > 80 && session.cart_value > 80'"),
        rule("on_search", "trigger = { event = \"search\" }"),
        rule("on_custom", "trigger = { event = \"wishlist_add\" }"),
        rule("idle", "trigger = { idle = \"20s\" }\nwhen = 'session.cart_value > 80 && session.order_count == 0'"),
        rule("longer", "trigger = { idle = \"2m\" }"),
    ];
    let rules = rules(&text.concat());
    assert_eq!(rules.idle_thresholds_ms(), [20_000, 120_000]);
    let mut shopper = Shopper::with_cart(90.0);
    assert_eq!(shopper.event(&rules, &event("add_to_cart", 5)), ["on_add"]);
    assert_eq!(shopper.event(&rules, &event("search", 5)), ["on_search"]);
    assert_eq!(shopper.event(&rules, &event("wishlist_add", 5)), ["on_custom"]);
    assert_eq!(shopper.event(&rules, &event("page_view", 5)), [""; 0]);
    assert_eq!(shopper.idle(&rules, 20_000), ["idle"]);
    assert_eq!(shopper.idle(&rules, 120_000), ["longer"]);
    shopper.did("transaction", 10, "", 90.0);
    assert_eq!(shopper.idle(&rules, 20_000), [""; 0], "bought");
    let cheap = Shopper::with_cart(80.0);
    assert_eq!(cheap.event(&rules, &event("add_to_cart", 5)), [""; 0], "80 is not over 80");
}

#[test]
fn purposes_beside_personalization() {
    let rules = rules(&(rule("plain", "") + &rule("offer", "purposes = [\"marketing\"]")));
    let mut shopper = Shopper::with_cart(90.0);
    let add = event("add_to_cart", 5);
    assert_eq!(shopper.event(&rules, &add), ["plain", "offer"]);
    shopper.session.consent = Consent::FULL.with(Purpose::Marketing, false);
    assert_eq!(shopper.event(&rules, &add), ["plain"]);
    assert_eq!(
        [rules.still_holds(&shopper.view(5), "plain"), rules.still_holds(&shopper.view(5), "offer")],
        [true, false]
    );
    // Who allows no experiment is asked about, and it is said.
    for (allowed, said) in [(true, None), (false, Some(&PropertyValue::Bool(true)))] {
        shopper.session.consent = Consent::FULL.with(Purpose::Experiments, allowed);
        let mut inputs = BTreeMap::new();
        rules.on_event(&shopper.view(5), &add, &mut |ask| inputs = ask.inputs);
        assert_eq!(inputs.get("consent.no_experiment"), said);
    }
}

#[test]
fn the_highest_priority_first() {
    let all = [rule("low", "priority = 1"), rule("high", "priority = 9"), rule("middle", "priority = 5")].concat();
    let shopper = Shopper::with_cart(90.0);
    assert_eq!(shopper.event(&rules(&all), &event("add_to_cart", 5)), ["high", "middle", "low"]);
    let capped = format!("{all}[interventions]\ncap = [\"2 per session\"]\n");
    // Who gets the two places is settled when the decisions are read, in this order: a rule that is switched off takes none.
    assert_eq!(shopper.event(&rules(&capped), &event("add_to_cart", 5)), ["high", "middle", "low"]);
    let (rules, mut shopper) = (rules(&capped), Shopper::with_cart(90.0));
    for (shown, may) in [(None, true), (Some("high"), true), (Some("middle"), false)] {
        if let Some(shown) = shown {
            shopper.was_shown(shown, 1, 5, true);
        }
        assert_eq!(shopper.may(&rules, "low", 6), may, "{shown:?}");
    }
}

#[test]
fn caps_at_their_edges() {
    const DAY: i64 = 86_400_000;
    let text =
        rule("r", "cap = [\"1 per session\", \"2 per 7d\"]") + &rule("other", "trigger = { event = \"search\" }");
    let rules = rules(&text);
    // What was shown before (rule, session, when, counts), and whether it may be shown again on day 10.
    type Shown = &'static [(&'static str, u128, i64, bool)];
    let cases: &[(Shown, bool)] = &[
        (&[], true),
        (&[("r", 1, 10 * DAY - 1, true)], false),
        (&[("r", 1, 10 * DAY - 1, false)], true),
        (&[("r", 1, 0, true)], false),
        (&[("other", 1, 10 * DAY - 1, true)], true),
        (&[("r", 2, 9 * DAY, true)], true),
        (&[("r", 2, 9 * DAY, true), ("r", 3, 8 * DAY, true)], false),
        (&[("r", 2, 9 * DAY, true), ("r", 3, 3 * DAY + 1, true)], false),
        (&[("r", 2, 9 * DAY, true), ("r", 3, 3 * DAY, true)], true),
        (&[("r", 2, 9 * DAY, true), ("r", 3, 8 * DAY, false)], true),
    ];
    for (shown, may) in cases {
        let mut shopper = Shopper::with_cart(90.0);
        for (rule, session, at_ms, counts) in *shown {
            shopper.was_shown(rule, *session, *at_ms, *counts);
        }
        let asked = !shopper.event(&rules, &event("add_to_cart", 10 * DAY)).is_empty();
        assert_eq!(asked, *may, "{shown:?}");
    }
}

#[test]
fn one_cap_over_all() {
    let rules = rules(&(rule("a", "") + &rule("b", "") + "[interventions]\ncap = [\"2 per 1h\"]"));
    let mut shopper = Shopper::with_cart(90.0);
    shopper.was_shown("gone_since", 7, 1_000, true);
    assert_eq!(
        shopper.event(&rules, &event("add_to_cart", 2_000)),
        ["a", "b"],
        "one place is left: the first one takes it"
    );
    shopper.was_shown("a", 8, 2_000, true);
    assert_eq!(shopper.event(&rules, &event("add_to_cart", 2_001)), [""; 0], "none is left");
    assert_eq!(shopper.event(&rules, &event("add_to_cart", 3_601_000)), ["a", "b"], "the first one's hour is over");
}

#[test]
fn the_same_decision_is_asked_once() {
    let rules = rules(&rule("r", ""));
    let mut shopper = Shopper::with_cart(90.0);
    shopper.was_shown("r", 1, 0, false);
    shopper.caps[0].decision_id = DecisionId::of(shopper.session.id, "r", 1);
    assert_eq!(shopper.event(&rules, &event("add_to_cart", 5)), [""; 0]);
    shopper.session.cart_version = 2;
    assert_eq!(shopper.event(&rules, &event("add_to_cart", 5)), ["r"], "another cart, another decision");
}

#[test]
fn robots_and_those_who_do_not_wish_it_are_not_asked() {
    let rules = rules(&(rule("e", "") + &rule("i", "trigger = { idle = \"20s\" }")));
    let asks =
        |shopper: &Shopper| shopper.event(&rules, &event("add_to_cart", 5)).len() + shopper.idle(&rules, 20_000).len();
    let mut shopper = Shopper::with_cart(90.0);
    assert_eq!(asks(&shopper), 2);
    shopper.session.bot = true;
    assert_eq!(asks(&shopper), 0, "a robot");
    shopper.session.bot = false;
    shopper.session.consent = Consent::FULL.with(Purpose::Personalization, false);
    assert_eq!(asks(&shopper), 0, "no consent");
    shopper.session.consent = Consent::COOKIELESS;
    assert_eq!(asks(&shopper), 0, "counting only");
}

#[test]
fn what_was_looked_at_goes_along_by_value() {
    let rules =
        rules(&rule("r", "when = 'session.order_count == 0 && event.product.price > 1 || user.order_value_24h > 5'"));
    let shopper = Shopper::with_cart(90.0);
    let mut inputs = BTreeMap::new();
    rules.on_event(&shopper.view(5), &event("add_to_cart", 5), &mut |ask| inputs = ask.inputs);
    let expected = [
        ("event.product.price", PropertyValue::Float(90.0)),
        ("session.cart_value", PropertyValue::Float(90.0)),
        ("session.order_count", PropertyValue::Int(0)),
        ("source", PropertyValue::Text("shop".into())),
    ];
    assert_eq!(inputs, expected.into_iter().map(|(path, value)| (path.into(), value)).collect());
}

#[test]
fn what_is_shown_is_taken_back_when_it_is_no_longer_true() {
    let text = rule("r", "when = 'event.product.price > 80 && session.cart_value > 80'") + &rule("always", "");
    let rules = rules(&text);
    let holds = |cart: f64, rule: &str| rules.still_holds(&Shopper::with_cart(cart).view(9), rule);
    assert!(holds(90.0, "r"), "the event is gone, the rest is true");
    assert!(!holds(70.0, "r"), "the cart shrank");
    assert!(holds(70.0, "always"));
    assert!(!holds(90.0, "unknown"), "its definition is gone");
}

#[test]
fn one_alone_for_a_dry_run() {
    let text = rule("a", "enabled = false") + &rule("b", "") + "[interventions]\ncap = [\"1 per session\"]";
    let alone = rules(&text).alone("a").expect("there is one");
    assert_eq!(alone.all().iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(alone.all()[0].enabled, "as if it were on");
    assert_eq!(alone.caps().len(), 1, "with the caps over all");
    assert!(rules(&text).alone("c").is_none());
}
