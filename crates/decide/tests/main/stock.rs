//! Offers that need stock: none is served without a fresh row that shows it, and the decision carries that row.

use crate::kit::{Shopper, event, rule, rules};
use midsession_decide::{Live, Rules, decide, products_of};
use midsession_event::{
    ContextKind, DecisionId, Event, Joined, Outcome, OutputId, PropertyValue, SessionId, ShopperId, Str, Values,
};
use midsession_machine::{Ask, Candidate};
use std::collections::BTreeMap;

fn row(id: &str, stock: i64, stale: bool) -> Joined {
    let values: Values = BTreeMap::from([(Str::from("stock"), PropertyValue::Int(stock))]).into();
    Joined { kind: ContextKind::Inventory, id: id.into(), version: stock + 100, at_ms: 1, stale, values }
}

fn candidate(rule: &str, inputs: BTreeMap<Str, PropertyValue>) -> Candidate {
    Candidate {
        decision_id: DecisionId(1),
        rule: rule.into(),
        shopper: ShopperId::Visitor("v1".into()),
        visitor_id: Some("v1".into()),
        session_id: SessionId(1),
        cart_version: 1,
        inputs,
        cause: OutputId::default(),
        cause_event: None,
        asked_at_ms: 1_000,
        consented: true,
        bot: false,
    }
}

fn about(products: &[&str]) -> Candidate {
    let named = products.iter().enumerate();
    let inputs = named.map(|(n, id)| (format!("stock.product.{n}").into(), PropertyValue::Text((*id).into())));
    candidate("r", inputs.collect())
}

fn live(stock: &[Joined]) -> Live<'_> {
    Live { now_ms: 1_500, enabled: true, dry_run: false, holdout: 0.0, signing_key: b"key", stock }
}

fn needy() -> Rules {
    rules(&rule("r", "requires_stock = true"))
}

#[test]
fn stock_is_asked_after_what_is_cheaper_and_before_anybody_is_counted() {
    let rules = needy();
    let rule_of = rules.rule("r");
    let (some, none) = ([row("p", 3, false)], [row("p", 0, false)]);
    let candidate = about(&["p"]);
    let outcome = |live: &Live<'_>| decide(&candidate, rule_of, live, BTreeMap::new()).outcome;
    assert_eq!(outcome(&live(&some)), Outcome::Served);
    for (name, live, expected) in [
        ("none left", live(&none), Outcome::OutOfStock),
        ("no row", live(&[]), Outcome::OutOfStock),
        ("of another product", live(&[row("q", 3, false)]), Outcome::OutOfStock),
        ("too old a row", live(&[row("p", 3, true)]), Outcome::OutOfStock),
        ("switched off", Live { enabled: false, ..live(&none) }, Outcome::Disabled),
        ("too late", Live { now_ms: 121_000, ..live(&none) }, Outcome::Expired),
        ("on trial", Live { dry_run: true, ..live(&none) }, Outcome::OutOfStock),
        ("held out", Live { holdout: 1.0, ..live(&none) }, Outcome::OutOfStock),
    ] {
        assert_eq!(outcome(&live), expected, "{name}");
    }
    let nothing = candidate_about_nothing();
    assert_eq!(decide(&nothing, rule_of, &live(&some), BTreeMap::new()).outcome, Outcome::OutOfStock);
    let careless = rules_without();
    assert_eq!(decide(&nothing, careless.rule("r"), &live(&[]), BTreeMap::new()).outcome, Outcome::Served);
}

fn candidate_about_nothing() -> Candidate {
    about(&[])
}

fn rules_without() -> Rules {
    rules(&rule("r", "requires_stock = false"))
}

#[test]
fn a_rule_that_does_not_need_stock_is_the_version_it_was() {
    let version = |lines: &str| rules(&rule("r", lines)).rule("r").map(|rule| rule.version.clone());
    assert_eq!(version("priority = 1"), version("priority = 1\nrequires_stock = false"));
    assert_ne!(version("priority = 1"), version("priority = 1\nrequires_stock = true"));
}

/// However the rows of three products are, and whichever of them are concerned: what is served has a fresh row that shows
/// stock of each, and the decision carries them.
#[test]
fn nothing_is_served_without_stock_that_the_decision_shows() {
    const STATES: [Option<(i64, bool)>; 5] =
        [None, Some((0, false)), Some((1, false)), Some((0, true)), Some((1, true))];
    let rules = needy();
    let ids = ["a", "b", "c"];
    let mut served = 0;
    for (draw, concerned) in (0..125usize).flat_map(|draw| (0..8usize).map(move |concerned| (draw, concerned))) {
        let states = [STATES[draw % 5], STATES[draw / 5 % 5], STATES[draw / 25]];
        let stock: Vec<Joined> = ids
            .iter()
            .zip(states)
            .filter_map(|(id, state)| state.map(|(stock, stale)| row(id, stock, stale)))
            .collect();
        let products: Vec<&str> = (0..3).filter(|n| concerned >> n & 1 == 1).map(|n| ids[n]).collect();
        let decision = decide(&about(&products), rules.rule("r"), &live(&stock), BTreeMap::new());
        let shows = |n: usize| states[n] == Some((1, false));
        let all = concerned > 0 && (0..3).filter(|n| concerned >> n & 1 == 1).all(shows);
        let case = format!("{products:?} of {states:?}");
        assert_eq!(decision.outcome, if all { Outcome::Served } else { Outcome::OutOfStock }, "{case}");
        assert_eq!(decision.payload == "null", !all, "{case}");
        assert_eq!(decision.context, stock, "{case}");
        served += usize::from(all);
    }
    assert_eq!(served, 91, "one product 3 × 25 ways, two 3 × 5, all three 1");
}

fn named(ask: Ask) -> Vec<String> {
    let candidate = candidate(&ask.rule, ask.inputs);
    products_of(&candidate).map(str::to_owned).collect()
}

#[test]
fn the_products_are_those_of_the_event_or_of_the_cart() {
    let rules = rules(
        &(rule("r", "requires_stock = true") + &rule("quiet", "requires_stock = true\ntrigger = { idle = \"20s\" }")),
    );
    let mut shopper = Shopper::with_cart(90.0);
    for (name, product, at_ms) in [
        ("add_to_cart", "bought", 1),
        ("transaction", "bought", 2),
        ("add_to_cart", "lamp", 3),
        ("product_view", "seen", 4),
        ("add_to_cart", "back", 5),
        ("add_to_cart", "chair", 6),
        ("remove_from_cart", "back", 7),
    ] {
        shopper.did(name, at_ms, product, 10.0);
    }
    let mut asked = Vec::new();
    rules.on_idle(&shopper.view(20_007), 20_000, &mut |ask| asked.push(named(ask)));
    let mut cart = asked.pop().expect("asks");
    cart.sort();
    assert_eq!(cart, ["chair", "lamp"]);
    let mut added = event("add_to_cart", 8);
    added.products.extend(added.products.clone());
    added.products[1].id = "p2".into();
    for (event, expected) in
        [(added.clone(), vec!["p1", "p2"]), (Event { products: vec![], ..added }, vec!["chair", "lamp"])]
    {
        let mut asked = Vec::new();
        rules.on_event(&shopper.view(8), &event, &mut |ask| asked.push(named(ask)));
        let mut products = asked.pop().expect("asks");
        products.sort();
        assert_eq!(products, expected);
    }
}
