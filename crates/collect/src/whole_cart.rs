//! What a cart is worth that an event lists whole and gives no total for.

use midsession_event::{Event, EventName, Product, Str, plus, times};

/// Gives the cart its total: the sum of its products, where each has its price and all are in one currency. Only what shows
/// the cart or takes it to the checkout lists it whole; what is added or taken out is a part of it.
pub(crate) fn add_total(event: &mut Event, currency: Option<Str>) {
    let is_whole = matches!(event.name, EventName::CartView | EventName::CheckoutStep);
    if !is_whole || event.cart.as_ref().is_some_and(|cart| cart.total_value.is_some()) {
        return;
    }
    let currency = event.cart.as_ref().and_then(|cart| cart.currency.clone()).or(currency);
    let Some((total, currency)) = sum(&event.products, currency) else { return };
    let cart = event.cart.get_or_insert_default();
    cart.total_value = Some(total);
    cart.currency = currency;
}

fn sum(products: &[Product], currency: Option<Str>) -> Option<(f64, Option<Str>)> {
    let of = |product: &Product| product.currency.clone().or_else(|| currency.clone());
    let one = products.first().map(of)?;
    if currency.is_some() && one != currency {
        return None;
    }
    let mut total = 0.0;
    for product in products {
        if of(product) != one {
            return None;
        }
        total = plus(total, times(product.price?, product.quantity.unwrap_or(1).into()));
    }
    Some((total, one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::Cart;

    #[test]
    fn only_what_is_whole_has_a_sum() {
        let product = |price: Option<f64>, quantity: Option<i32>, currency: Option<&str>| Product {
            id: "p".into(),
            price,
            quantity,
            currency: currency.map(Into::into),
            ..Product::default()
        };
        let (eur, usd) = (Some("EUR"), Some("USD"));
        let lamps = vec![product(Some(0.1), Some(3), eur), product(Some(9.0), None, eur)];
        for (name, products, currency, expected) in [
            (EventName::CartView, lamps.clone(), None, Some((9.3, eur))),
            (EventName::CartView, lamps.clone(), eur, Some((9.3, eur))),
            (EventName::CheckoutStep, lamps.clone(), None, Some((9.3, eur))),
            (EventName::CartView, vec![product(Some(90.0), Some(2), None)], None, Some((180.0, None))),
            (EventName::CartView, vec![product(Some(90.0), Some(2), None)], usd, Some((180.0, usd))),
            (EventName::CartView, vec![product(Some(90.0), Some(0), None)], None, Some((0.0, None))),
            (EventName::CartView, lamps.clone(), usd, None),
            (EventName::CartView, vec![product(Some(1.0), None, eur), product(Some(1.0), None, usd)], None, None),
            (EventName::CartView, vec![product(Some(1.0), None, eur), product(Some(1.0), None, None)], None, None),
            (EventName::CartView, vec![product(Some(1.0), None, eur), product(None, None, eur)], None, None),
            (EventName::CartView, vec![], eur, None),
            (EventName::AddToCart, lamps.clone(), eur, None),
            (EventName::RemoveFromCart, lamps.clone(), eur, None),
            (EventName::ProductView, lamps.clone(), eur, None),
            (EventName::Transaction, lamps.clone(), eur, None),
        ] {
            let mut event = Event::new("shop".into(), "e".into(), name.clone(), 0);
            event.products = products;
            add_total(&mut event, currency.map(Into::into));
            let found =
                event.cart.as_ref().map(|cart| (cart.total_value.unwrap_or(f64::NAN), cart.currency.as_deref()));
            assert_eq!(found, expected, "{name}");
        }
        let mut told = Event::new("shop".into(), "e".into(), EventName::CartView, 0);
        told.products = lamps;
        told.cart = Some(Cart { total_value: Some(8.0), ..Cart::default() });
        add_total(&mut told, None);
        assert_eq!(told.cart.and_then(|cart| cart.total_value), Some(8.0), "what was told stays");
    }
}
