//! Offers that need stock: which products one is about, and whether the inventory shows every one of them.

use midsession_event::{Event, EventName, Joined, PropertyValue, Str};
use midsession_machine::{Candidate, FactKind, View};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Inputs of a candidate that name its products start so.
const PRODUCT: &str = "stock.product.";
/// Products of one candidate. A cart with more gets no offer that needs stock.
const PRODUCTS_MAX: usize = 50;

/// The products that a candidate's offer needs in stock, as its inputs name them.
pub fn products_of(candidate: &Candidate) -> impl Iterator<Item = &str> {
    let from = candidate.inputs.range::<str, _>((Bound::Included(PRODUCT), Bound::Unbounded));
    let named = from.take_while(|(name, _)| name.starts_with(PRODUCT));
    named.filter_map(|(_, value)| if let PropertyValue::Text(id) = value { Some(id.as_str()) } else { None })
}

/// Whether each of a candidate's products has a fresh row that shows stock. One that is about nothing has none.
pub(crate) fn is_shown(candidate: &Candidate, rows: &[Joined]) -> bool {
    let mut products = products_of(candidate).peekable();
    products.peek().is_some() && products.all(|id| rows.iter().any(|row| row.id == id && row.shows_stock()))
}

/// Names the products of a rule that needs stock: those of its event, else those in the session's cart.
pub(crate) fn name_products(view: &View<'_>, event: Option<&Event>, inputs: &mut BTreeMap<Str, PropertyValue>) {
    let mut ids: Vec<Str> =
        event.iter().flat_map(|event| &event.products).map(|product| product.id.0.clone()).collect();
    if ids.is_empty() {
        ids = in_cart(view);
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > PRODUCTS_MAX {
        return;
    }
    let named = |(index, id)| (format!("{PRODUCT}{index}").into(), PropertyValue::Text(id));
    inputs.extend(ids.into_iter().filter(|id| !id.is_empty()).enumerate().map(named));
}

/// Products that were put into the session's cart, not taken out again and not bought.
fn in_cart(view: &View<'_>) -> Vec<Str> {
    let Some(session) = view.session else { return Vec::new() };
    let mut pieces: BTreeMap<u32, i64> = BTreeMap::new();
    for fact in view.facts.all().iter().filter(|fact| fact.session == session.number) {
        let kind = fact.kind.base();
        let quantity = i64::from(fact.quantity);
        if kind == FactKind::of(&EventName::AddToCart) {
            *pieces.entry(fact.product).or_default() += quantity;
        } else if kind == FactKind::of(&EventName::RemoveFromCart) {
            let left = pieces.entry(fact.product).or_default();
            *left = (*left - quantity).max(0);
        } else if kind == FactKind::of(&EventName::Transaction) {
            pieces.clear();
        }
    }
    let left = pieces.into_iter().filter(|(_, pieces)| *pieces > 0);
    left.filter_map(|(product, _)| view.names.name(product).cloned()).collect()
}
