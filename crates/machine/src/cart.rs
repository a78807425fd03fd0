//! The cart of a session: a fold over its facts in the order of event time.
//!
//! Most carts are a sum, and the next fact adds to it or takes away. One with an unknown price or a second currency in it has
//! no value until that is out again; what is in it line by line say all of its facts.

use crate::{Fact, FactKind};
use midsession_event::{EventName, plus, times};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is in the cart. Compared in its own currency; a mixed cart has no value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    /// What it is worth; `None` while a price in it is missing or currencies are mixed.
    pub value: Option<f64>,
    /// The partition's number of its currency; 0 while unknown.
    pub currency: u8,
    /// Pieces in it.
    pub size: i64,
    /// Something was ever put in.
    pub touched: bool,
}

impl Default for Cart {
    fn default() -> Self {
        Self { value: Some(0.0), currency: 0, size: 0, touched: false }
    }
}

impl Cart {
    /// Whether a fact of this kind changes a cart.
    pub fn is_changed_by(kind: FactKind) -> bool {
        let kind = kind.base();
        kind == FactKind::CART || [ADD, REMOVE, TRANSACTION].contains(&kind)
    }

    /// Takes the next fact in time; false if what is in the cart then only all of its facts say.
    #[must_use]
    pub fn apply(&mut self, fact: &Fact) -> bool {
        let kind = fact.kind.base();
        let is_in = self.size > 0 || self.value != Some(0.0);
        // What says no currency is in that of the rest.
        let currency = if fact.currency == 0 && is_in { self.currency } else { fact.currency };
        if kind == FactKind::CART {
            if is_of_order(fact) {
                return true;
            }
            // The tracker says what the cart is worth; that beats our own sum.
            (self.value, self.currency, self.touched) = (Some(fact.value), currency, true);
            return !fact.value.is_nan();
        }
        if kind == TRANSACTION {
            *self = Self { currency: self.currency, touched: self.touched, ..Self::default() };
            return true;
        }
        if kind != ADD && kind != REMOVE {
            return true;
        }
        let sign = if kind == ADD { 1 } else { -1 };
        let pieces = i64::from(fact.quantity);
        let Some(value) = self.value else { return false };
        let is_mixed = is_in && self.currency != 0 && self.currency != currency;
        let value = plus(value, times(fact.value, sign * pieces)).max(0.0);
        let size = (self.size + sign * pieces).max(0);
        // The last piece that goes leaves nothing, unless the tracker said what else is in it.
        let is_last = kind == REMOVE && size == 0 && value != 0.0;
        if is_mixed || fact.value.is_nan() || is_last {
            return false;
        }
        *self = Self { value: Some(value), currency, size, touched: self.touched || kind == ADD };
        true
    }

    /// The cart after these facts, in the order of their time.
    pub fn after<'a>(facts: impl Iterator<Item = &'a Fact> + Clone) -> Self {
        // Most facts are views: they are passed over before anything is called.
        let facts = facts.filter(|fact| Self::is_changed_by(fact.kind));
        let mut sum = Self::default();
        if facts.clone().all(|fact| sum.apply(fact)) { sum } else { Lines::of(facts).cart() }
    }
}

/// A total that came with an order is of what was bought: that is out of the cart.
fn is_of_order(fact: &Fact) -> bool {
    fact.quantity == 0
}

/// What is in a cart, line by line.
#[derive(Default)]
struct Lines {
    /// As they were put in.
    lines: Vec<Line>,
    /// The newest line of each product in each currency.
    newest: BTreeMap<(u32, u8), usize>,
    /// Lines of a currency before this one have gone with all that was in it.
    begins: BTreeMap<u8, usize>,
    sums: Vec<Sum>,
    /// Pieces of all of it.
    size: i64,
    touched: bool,
    /// Of what came or went last.
    currency: u8,
}

/// Pieces of one product at one price.
struct Line {
    /// NaN when unknown.
    price: f64,
    pieces: i64,
    /// The line of the same product and currency before it.
    before: Option<usize>,
}

/// Everything in one currency.
#[derive(Default)]
struct Sum {
    currency: u8,
    value: f64,
    pieces: i64,
    /// Of these the price is unknown.
    unpriced: i64,
    /// Something went out of it that nobody knows the price of.
    is_unknown: bool,
    /// The tracker said what it is worth: there may be more in it than was put in here.
    is_told: bool,
}

impl Lines {
    fn of<'a>(facts: impl Iterator<Item = &'a Fact>) -> Self {
        let mut lines = Self::default();
        facts.for_each(|fact| lines.apply(fact));
        lines
    }

    fn apply(&mut self, fact: &Fact) {
        match fact.kind.base() {
            FactKind::CART if is_of_order(fact) => {}
            FactKind::CART => self.tell(fact),
            ADD => self.put(fact),
            REMOVE => self.remove(fact),
            TRANSACTION => {
                *self = Self { currency: self.cart().currency, touched: self.touched, ..Self::default() };
            }
            _ => {}
        }
    }

    /// The currency that a fact goes by here: what says none is in that of the rest, and what is in without one is in its.
    fn currency_of(&mut self, fact: &Fact) -> u8 {
        self.drop_empty();
        let currency = fact.currency;
        if currency == 0 {
            return if self.sums.is_empty() { 0 } else { self.cart().currency };
        }
        if let Some(sum) = self.sums.iter_mut().find(|sum| sum.currency == 0) {
            sum.currency = currency;
            let begins = self.begins.get(&0).copied().unwrap_or(0);
            let unsaid = self.newest.extract_if(.., |(_, of), at| *of == 0 && *at >= begins);
            let said: Vec<_> = unsaid.map(|((product, _), at)| ((product, currency), at)).collect();
            self.newest.extend(said);
        }
        currency
    }

    fn tell(&mut self, fact: &Fact) {
        let is_unknown = fact.value.is_nan();
        let value = if is_unknown { 0.0 } else { fact.value };
        let (currency, pieces) = (self.currency_of(fact), self.size);
        let told = Sum { currency, value, pieces, is_unknown, is_told: true, ..Sum::default() };
        let others = std::mem::replace(&mut self.sums, vec![told]);
        // With nothing put in here, nothing of it is in.
        for other in others.iter().filter(|sum| sum.currency != currency || pieces == 0) {
            self.begins.insert(other.currency, self.lines.len());
        }
        (self.currency, self.touched) = (currency, true);
    }

    fn put(&mut self, fact: &Fact) {
        let (currency, price, pieces) = (self.currency_of(fact), fact.value, i64::from(fact.quantity));
        let before = self.newest.insert((fact.product, currency), self.lines.len());
        self.lines.push(Line { price, pieces, before });
        let at = self.sums.iter().position(|sum| sum.currency == currency).unwrap_or_else(|| {
            self.sums.push(Sum { currency, ..Sum::default() });
            self.sums.len() - 1
        });
        let sum = &mut self.sums[at];
        sum.pieces += pieces;
        if price.is_nan() {
            sum.unpriced += pieces;
        } else {
            sum.value = plus(sum.value, times(price, pieces));
        }
        self.size += pieces;
        (self.currency, self.touched) = (currency, true);
    }

    fn remove(&mut self, fact: &Fact) {
        let said_in = self.currency_of(fact);
        let mut left = i64::from(fact.quantity);
        self.size = (self.size - left).max(0);
        self.currency = said_in;
        // What it was put in as says what it costs, where the event does not.
        while left > 0
            && let Some((currency, at)) = self.line_of(fact.product, said_in)
        {
            let line = &mut self.lines[at];
            let (pieces, price, before) = (line.pieces.min(left), line.price, line.before);
            line.pieces -= pieces;
            if line.pieces == 0 {
                match before {
                    Some(before) => self.newest.insert((fact.product, currency), before),
                    None => self.newest.remove(&(fact.product, currency)),
                };
            }
            let said = Some(fact.value).filter(|value| !value.is_nan() && currency == said_in);
            self.take(currency, pieces, said.unwrap_or(price), price.is_nan());
            self.currency = currency;
            left -= pieces;
        }
        if left > 0 {
            self.take(said_in, left, fact.value, false);
        }
        if self.size == 0 {
            // Nothing is left but what the tracker has told of.
            self.sums.retain(|sum| sum.is_told);
            self.sums.iter_mut().for_each(|sum| (sum.pieces, sum.unpriced) = (0, 0));
            (self.lines, self.newest, self.begins) = Default::default();
        }
        self.drop_empty();
    }

    /// Takes pieces out of what is in one currency; `was_unpriced` if they were put in without a price.
    fn take(&mut self, currency: u8, pieces: i64, price: f64, was_unpriced: bool) {
        match self.sums.iter_mut().find(|sum| sum.currency == currency) {
            Some(sum) => {
                sum.pieces = (sum.pieces - pieces).max(0);
                // What the tracker has told a worth since is priced.
                let unpriced = if was_unpriced { sum.unpriced.min(pieces) } else { 0 };
                sum.unpriced -= unpriced;
                match pieces - unpriced {
                    0 => {}
                    _ if price.is_nan() => sum.is_unknown = true,
                    priced => sum.value = plus(sum.value, times(price, -priced)).max(0.0),
                }
            }
            // It went out of something else.
            None => self.sums.iter_mut().for_each(|sum| sum.is_unknown = true),
        }
    }

    /// The line that a product goes out of: the newest in this currency, else in another one.
    fn line_of(&self, product: u32, said_in: u8) -> Option<(u8, usize)> {
        let product = Some(product).filter(|product| *product != 0)?;
        let begins = |currency: &u8| self.begins.get(currency).copied().unwrap_or(0);
        let lines = self.newest.range((product, 0)..=(product, u8::MAX)).map(|((_, currency), at)| (*currency, *at));
        lines.filter(|(currency, at)| *at >= begins(currency)).max_by_key(|(currency, at)| (*currency == said_in, *at))
    }

    fn drop_empty(&mut self) {
        let is_in = |sum: &Sum| sum.pieces > 0 || sum.is_told && (sum.value > 0.0 || sum.is_unknown);
        for sum in self.sums.iter().filter(|sum| !is_in(sum)) {
            self.begins.insert(sum.currency, self.lines.len());
        }
        self.sums.retain(is_in);
    }

    fn cart(&self) -> Cart {
        let (currency, value) = match self.sums.as_slice() {
            [] => (self.currency, Some(0.0)),
            [sum] => (sum.currency, (sum.unpriced == 0 && !sum.is_unknown).then_some(sum.value)),
            _ => (self.currency, None),
        };
        Cart { value, currency, size: self.size, touched: self.touched }
    }
}

const ADD: FactKind = kind_of(&EventName::AddToCart);
const REMOVE: FactKind = kind_of(&EventName::RemoveFromCart);
const TRANSACTION: FactKind = kind_of(&EventName::Transaction);

/// [`FactKind::of`] at compile time, for the three names above.
const fn kind_of(name: &EventName) -> FactKind {
    let mut index = 0;
    while index < EventName::NATIVE.len() {
        let same = matches!(
            (&EventName::NATIVE[index], name),
            (EventName::AddToCart, EventName::AddToCart)
                | (EventName::RemoveFromCart, EventName::RemoveFromCart)
                | (EventName::Transaction, EventName::Transaction)
        );
        if same {
            return FactKind(index as u8);
        }
        index += 1;
    }
    FactKind::CUSTOM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: FactKind, value: f64, quantity: u16, currency: u8) -> Fact {
        of(1, kind, value, quantity, currency)
    }

    fn of(product: u32, kind: FactKind, value: f64, quantity: u16, currency: u8) -> Fact {
        Fact { time_ms: 0, value, product, category: 0, session: 1, quantity, kind, currency }
    }

    #[test]
    fn a_cart_is_the_fold_of_its_facts() {
        let cases: &[(&str, Vec<Fact>, Option<f64>, i64)] = &[
            ("sum of adds", vec![fact(ADD, 10.0, 2, 1), fact(ADD, 5.0, 1, 1)], Some(25.0), 3),
            ("in decimals", vec![fact(ADD, 1.1, 3, 1), fact(ADD, 0.2, 1, 1), fact(REMOVE, 1.1, 2, 1)], Some(1.3), 2),
            ("removed again", vec![fact(ADD, 10.0, 2, 1), fact(REMOVE, 10.0, 2, 1)], Some(0.0), 0),
            (
                "the tracker's total beats the sum",
                vec![fact(ADD, 10.0, 1, 1), fact(FactKind::CART, 90.0, 1, 1)],
                Some(90.0),
                1,
            ),
            (
                "one that says no currency is in that of the rest",
                vec![of(2, ADD, 5.0, 1, 0), fact(ADD, 10.0, 1, 2)],
                Some(15.0),
                2,
            ),
            (
                "so is what the tracker says, and what goes",
                vec![
                    fact(FactKind::CART, 90.0, 1, 0),
                    fact(ADD, 10.0, 2, 2),
                    of(2, ADD, 5.0, 1, 0),
                    of(1, REMOVE, f64::NAN, 1, 0),
                ],
                Some(105.0),
                2,
            ),
            (
                "an order's total is out of it",
                vec![fact(ADD, 10.0, 1, 1), fact(TRANSACTION, 10.0, 1, 1), fact(FactKind::CART, 10.0, 0, 1)],
                Some(0.0),
                0,
            ),
            ("mixed currencies have no value", vec![fact(ADD, 10.0, 1, 1), fact(ADD, 10.0, 1, 2)], None, 2),
            ("an unknown price", vec![fact(ADD, f64::NAN, 1, 1)], None, 1),
            ("bought", vec![fact(ADD, 10.0, 1, 1), fact(TRANSACTION, 10.0, 1, 1)], Some(0.0), 0),
            (
                "the second currency is out again",
                vec![fact(ADD, 10.0, 2, 1), of(2, ADD, 7.0, 1, 2), of(2, REMOVE, 7.0, 1, 2)],
                Some(20.0),
                2,
            ),
            (
                "what goes is in the currency that it came in, and costs as much",
                vec![fact(ADD, 10.0, 2, 1), of(2, ADD, 7.0, 2, 1), of(2, REMOVE, f64::NAN, 1, 0)],
                Some(27.0),
                3,
            ),
            (
                "the unknown price is out again",
                vec![fact(ADD, 10.0, 1, 1), of(2, ADD, f64::NAN, 2, 1), of(2, REMOVE, f64::NAN, 2, 1)],
                Some(10.0),
                1,
            ),
            ("nobody knows what went", vec![fact(ADD, 10.0, 2, 1), of(2, REMOVE, f64::NAN, 1, 1)], None, 1),
            (
                "what was in it before",
                vec![fact(FactKind::CART, 90.0, 1, 1), fact(ADD, 10.0, 1, 1), fact(REMOVE, 10.0, 1, 1)],
                Some(90.0),
                0,
            ),
            ("not two currencies in one sum", vec![fact(FactKind::CART, 90.0, 1, 1), fact(ADD, 10.0, 1, 2)], None, 1),
            (
                "another price when it is bought back",
                vec![fact(ADD, 10.0, 1, 1), fact(ADD, 8.0, 1, 1), fact(REMOVE, f64::NAN, 2, 0), fact(ADD, 9.0, 1, 2)],
                Some(9.0),
                1,
            ),
        ];
        for (name, facts, value, size) in cases {
            let cart = Lines::of(facts.iter()).cart();
            assert_eq!(cart, Cart::after(facts.iter()), "{name}");
            assert_eq!((cart.value, cart.size), (*value, *size), "{name}");
        }
    }

    #[test]
    fn fact_by_fact_it_is_the_fold_of_all() {
        // A small generator of its own: the machine has no dice.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut below = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        let (mut by_sum, mut by_lines) = (0, 0);
        for _ in 0..20_000 {
            let (mut cart, mut facts) = (Cart::default(), Vec::new());
            let mixes = below(3);
            for _ in 0..below(14) {
                let kind = [ADD, ADD, ADD, REMOVE, REMOVE, REMOVE, FactKind::CART, TRANSACTION][below(8) as usize];
                let price = [10.0, 0.1, 7.35, 0.0, f64::NAN][below(if mixes > 0 { 5 } else { 4 }) as usize];
                let price = if kind == FactKind::CART && price.is_nan() { 3.0 } else { price };
                let currency = if mixes > 1 { below(3) as u8 } else { 1 };
                let pieces = if kind == FactKind::CART { u16::from(below(8) > 0) } else { 1 + below(3) as u16 };
                facts.push(of(below(3) as u32, kind, price, pieces, currency));
                let last = facts.last().expect("just put");
                if cart.apply(last) {
                    by_sum += 1;
                } else {
                    cart = Cart::after(facts.iter());
                    by_lines += 1;
                }
                assert_eq!(cart, Lines::of(facts.iter()).cart(), "{facts:?}");
            }
        }
        assert!(by_sum > 10_000 && by_lines > 10_000, "{by_sum} {by_lines}");
    }

    #[test]
    fn the_kinds_are_the_names() {
        assert_eq!(ADD, FactKind::of(&EventName::AddToCart));
        assert_eq!(REMOVE, FactKind::of(&EventName::RemoveFromCart));
        assert_eq!(TRANSACTION, FactKind::of(&EventName::Transaction));
    }
}
