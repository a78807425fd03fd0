//! The cart of a session: a fold over its facts in the order of event time.

use crate::{Fact, FactKind};
use midsession_event::{EventName, plus, times};
use serde::{Deserialize, Serialize};

/// What is in the cart. Compared in its own currency; a mixed cart has no value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    /// What it is worth; `None` when a price was missing or currencies are mixed.
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

    /// Takes the next fact in time.
    pub fn apply(&mut self, fact: &Fact) {
        let kind = fact.kind.base();
        if kind == FactKind::CART {
            // The tracker says what the cart is worth; that beats our own sum.
            self.value = (!fact.value.is_nan()).then_some(fact.value);
            self.currency = fact.currency;
            self.touched = true;
        } else if kind == ADD || kind == REMOVE {
            let sign = if kind == ADD { 1 } else { -1 };
            let pieces = i64::from(fact.quantity);
            let mixed = self.size > 0 && self.currency != fact.currency;
            self.value = match self.value {
                Some(value) if !mixed && !fact.value.is_nan() => {
                    Some(plus(value, times(fact.value, sign * pieces)).max(0.0))
                }
                _ => None,
            };
            self.size = (self.size + sign * pieces).max(0);
            self.touched |= kind == ADD;
            if self.size == 0 && kind == REMOVE {
                self.value = Some(0.0);
            }
            if !mixed {
                self.currency = fact.currency;
            }
        } else if kind == TRANSACTION {
            *self = Self { currency: self.currency, touched: self.touched, ..Self::default() };
        }
    }

    /// The cart after these facts.
    pub fn after<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let mut cart = Self::default();
        for fact in facts {
            cart.apply(fact);
        }
        cart
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
        Fact { time_ms: 0, value, product: 1, category: 0, session: 1, quantity, kind, currency }
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
            ("mixed currencies have no value", vec![fact(ADD, 10.0, 1, 1), fact(ADD, 10.0, 1, 2)], None, 2),
            ("an unknown price", vec![fact(ADD, f64::NAN, 1, 1)], None, 1),
            ("bought", vec![fact(ADD, 10.0, 1, 1), fact(TRANSACTION, 10.0, 1, 1)], Some(0.0), 0),
        ];
        for (name, facts, value, size) in cases {
            let cart = Cart::after(facts);
            assert_eq!((cart.value, cart.size), (*value, *size), "{name}");
        }
    }

    #[test]
    fn the_kinds_are_the_names() {
        assert_eq!(ADD, FactKind::of(&EventName::AddToCart));
        assert_eq!(REMOVE, FactKind::of(&EventName::RemoveFromCart));
        assert_eq!(TRANSACTION, FactKind::of(&EventName::Transaction));
    }
}
