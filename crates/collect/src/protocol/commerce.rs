//! Properties of Segment's ecommerce specification v2, which RudderStack's and PostHog's share, in native words.

use super::add_property;
use crate::field::{self, ProductNames};
use crate::json::{Json, Member};
use crate::{Fault, Limits, whole_cart};
use midsession_event::{Cart, Event, EventName, Order, Promotion};

const PRODUCT: ProductNames = ProductNames {
    id: &["product_id", "productId", "sku", "id"],
    name: &["name"],
    category: &["category"],
    brand: &["brand"],
    price: &["price"],
    currency: &["currency"],
    quantity: &["quantity"],
    position: &["position"],
    from_zero: false,
};

/// Reads properties into an event whose name is set; what has no field of its own becomes a property, unless `skip`.
pub(super) fn read(
    event: &mut Event,
    properties: &[Member<'_>],
    limits: &Limits,
    skip: impl Fn(&str) -> bool,
) -> Result<(), Fault> {
    let kind = Kind::of(&event.name);
    let find = |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut is_complete = true;
    if let Some(Json::List(items)) = find("products") {
        if items.len() > limits.products {
            return Err(Fault::new(
                "too_many_products",
                compact_str::format_compact!("over {} products", limits.products),
            )
            .at("products"));
        }
        for (index, item) in items.iter().enumerate() {
            // A product that names no id is no product of ours; the event still happened.
            let read = field::product(item.members(), &PRODUCT, limits, false);
            let product = field::in_element(read, "products", index)?;
            is_complete &= product.is_some();
            event.products.extend(product);
        }
    } else if kind == Kind::Product {
        event.products.extend(field::product(properties, &PRODUCT, limits, false)?);
    }
    let (mut order, mut cart, mut promotion) = (Order::default(), Cart::default(), Promotion::default());
    let mut total = None;
    for (key, value) in properties {
        match key.as_ref() {
            "products" => {}
            name if kind == Kind::Product && is_product_field(name) => {}
            "currency" if kind != Kind::Other => {
                order.currency = field::currency(value, "currency")?;
                cart.currency.clone_from(&order.currency);
            }
            "order_id" if kind == Kind::Order => order.id = field::id(value, "order_id", limits)?,
            "revenue" if matches!(kind, Kind::Order | Kind::Checkout) => {
                order.revenue = field::money(value, "revenue")?
            }
            "total" if matches!(kind, Kind::Order | Kind::Checkout) => total = field::money(value, "total")?,
            "value" if kind == Kind::Checkout => cart.total_value = field::money(value, "value")?,
            "tax" if kind == Kind::Order => order.tax = field::money(value, "tax")?,
            "shipping" if kind == Kind::Order => order.shipping = field::money(value, "shipping")?,
            "discount" if kind == Kind::Order => order.discount = field::money(value, "discount")?,
            "cart_id" if kind != Kind::Other => cart.id = field::id(value, "cart_id", limits)?,
            "cart_value" | "cart_total" if kind != Kind::Other => cart.total_value = field::money(value, "cart_value")?,
            "step" if kind == Kind::Checkout => event.step = field::count(value, "step", 1..=90)?.or(event.step),
            "query" => event.query = field::text(value, "query")?,
            "list_id" | "list" if kind == Kind::List => event.list = field::text(value, "list")?.or(event.list.take()),
            "category" if kind == Kind::List => event.list = event.list.take().or(field::text(value, "category")?),
            "promotion_id" if kind == Kind::Promotion => promotion.id = field::id(value, "promotion_id", limits)?,
            "name" if kind == Kind::Promotion => promotion.name = field::text(value, "name")?,
            name if skip(name) => {}
            name => add_property(&mut event.properties, name.into(), value),
        }
    }
    match kind {
        Kind::Order => {
            order.revenue = order.revenue.or(total);
            event.order = Some(order);
        }
        Kind::Checkout => cart.total_value = cart.total_value.or(order.revenue).or(total),
        Kind::Promotion => event.promotion = Some(promotion),
        _ => {}
    }
    let currency = cart.currency.clone();
    if cart.id.is_some() || cart.total_value.is_some() {
        event.cart = Some(cart);
    }
    if is_complete {
        whole_cart::add_total(event, currency);
    }
    Ok(())
}

/// Which of the fields an event of this name is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Product,
    List,
    Checkout,
    Order,
    Promotion,
    Other,
}

impl Kind {
    fn of(name: &EventName) -> Self {
        match name {
            EventName::ProductView | EventName::AddToCart | EventName::RemoveFromCart | EventName::ListClick => {
                Self::Product
            }
            EventName::ListView => Self::List,
            EventName::CheckoutStep | EventName::CartView => Self::Checkout,
            EventName::Transaction | EventName::Refund => Self::Order,
            EventName::PromoView | EventName::PromoClick => Self::Promotion,
            _ => Self::Other,
        }
    }
}

fn is_product_field(name: &str) -> bool {
    let ProductNames { id, name: title, category, brand, price, currency, quantity, position, .. } = PRODUCT;
    let fields = [id, title, category, brand, price, currency, quantity, position];
    // The second id (a SKU beside the product's id) stays readable.
    name != "sku" && fields.iter().any(|names| names.contains(&name))
}
