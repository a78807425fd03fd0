//! Whose currency an amount is in: what is folded of an event, where it is money.

use crate::expr::{Field, Node, Program, Which};
use midsession_event::{Event, Str};

/// Whose currency an amount is in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AmountOf {
    Product(Which),
    Order,
    Cart,
}

impl AmountOf {
    /// Of what is folded; none where it is no money.
    pub(crate) fn of(of: &Program) -> Option<Self> {
        Self::of_node(&of.node)
    }

    fn of_node(node: &Node) -> Option<Self> {
        match node {
            Node::Field(Field::Product(which, row)) if row.path == "price" => Some(Self::Product(*which)),
            Node::Field(Field::Event(row)) => match row.path {
                "order.revenue" | "order.tax" | "order.shipping" | "order.discount" => Some(Self::Order),
                "cart.total_value" => Some(Self::Cart),
                _ => None,
            },
            node => node.children().into_iter().find_map(Self::of_node),
        }
    }

    /// The currency in an event, of its product `current` where it is about the one at hand.
    pub(crate) fn currency(self, event: &Event, current: usize) -> Option<&Str> {
        let of_product = |index: usize| event.products.get(index).and_then(|product| product.currency.as_ref());
        let of_order = || event.order.as_ref().and_then(|order| order.currency.as_ref());
        let of_cart = || event.cart.as_ref().and_then(|cart| cart.currency.as_ref());
        let bought_in = || of_order().filter(|_| event.name.is_order());
        match self {
            Self::Product(which) => {
                let index = if let Which::At(index) = which { index } else { current };
                of_product(index).or_else(bought_in).or_else(of_cart)
            }
            Self::Order => of_order(),
            Self::Cart => of_cart().or_else(|| of_product(0)),
        }
    }
}
