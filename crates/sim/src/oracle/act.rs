//! What a shopper did, in plain text and numbers.

use midsession_event::{DecisionId, Event, Str};

/// The purpose that counting needs, and the one that being shown something needs.
const COUNTING: i32 = 1;
const SHOWING: i32 = 2;

/// A product in an act.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Product id.
    pub id: String,
    /// Price of one.
    pub price: Option<f64>,
    /// Its currency.
    pub currency: Option<String>,
    /// How many.
    pub quantity: i64,
    /// Category.
    pub category: Option<String>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Act {
    /// Source and event id: the idempotency key.
    pub key: (String, String),
    /// Event name.
    pub name: String,
    /// Device.
    pub visitor: Option<String>,
    /// Person.
    pub user: Option<String>,
    /// Event time as collected. Epoch ms.
    pub time_ms: i64,
    /// Products.
    pub pieces: Vec<Piece>,
    /// What the tracker says the cart is worth.
    pub cart_total: Option<(f64, Option<String>)>,
    /// Revenue of a transaction.
    pub revenue: Option<f64>,
    /// Checkout step.
    pub step: Option<i32>,
    /// It is an order, or takes one back.
    pub has_order: bool,
    /// What it was paid in.
    pub paid_in: Option<String>,
    /// Name of the list.
    pub list: Option<String>,
    /// Name of the campaign.
    pub campaign: Option<String>,
    /// Kind of device.
    pub device_class: Option<String>,
    /// The tracker's own session.
    pub tracker: Option<String>,
    /// By a robot.
    pub bot: bool,
    /// Purposes allowed, as bits.
    pub consent: i32,
    /// Of which a word on consent says nothing, as bits.
    pub unsaid: i32,
    /// The shopper said so; else it is a default.
    pub consent_said: bool,
    /// The decision that it is about.
    pub decision: Option<u128>,
}

impl From<&Event> for Act {
    fn from(event: &Event) -> Self {
        let text = |text: Option<&Str>| text.map(ToString::to_string);
        let of_cart = event.cart.as_ref().and_then(|cart| text(cart.currency.as_ref()));
        let pieces: Vec<Piece> = event
            .products
            .iter()
            .map(|product| Piece {
                id: product.id.to_string(),
                price: product.price,
                currency: text(product.currency.as_ref()).or_else(|| of_cart.clone()),
                quantity: i64::from(product.quantity.unwrap_or(1)),
                category: product.category.as_ref().map(ToString::to_string),
            })
            .collect();
        let first_currency = pieces.first().and_then(|piece| piece.currency.clone());
        let total = |cart: &midsession_event::Cart| {
            Some((cart.total_value?, cart.currency.as_ref().map(ToString::to_string).or(first_currency)))
        };
        Self {
            key: (event.source.to_string(), event.event_id.to_string()),
            name: event.name.to_string(),
            visitor: event.visitor_id.as_ref().map(ToString::to_string),
            user: event.user_id.as_ref().map(ToString::to_string),
            time_ms: event.occurred_at_ms,
            cart_total: event.cart.as_ref().and_then(total),
            revenue: event.order.as_ref().and_then(|order| order.revenue),
            step: event.step,
            has_order: event.order.is_some(),
            paid_in: event.order.as_ref().and_then(|order| text(order.currency.as_ref())),
            list: text(event.list.as_ref()),
            campaign: event.campaign.as_ref().and_then(|campaign| text(campaign.name.as_ref())),
            device_class: event.device.as_ref().and_then(|device| text(device.class.as_ref())),
            tracker: text(event.tracker_session_id.as_ref()),
            bot: event.bot,
            consent: event.consent.0 & 15,
            unsaid: event.consent.0 >> 4,
            consent_said: event.consent_said,
            decision: event.decision_id.as_ref().and_then(|id| Some(id.parse::<DecisionId>().ok()?.0)),
            pieces,
        }
    }
}

impl Act {
    /// Done by the shopper, not reported by the tracker of itself.
    pub fn is_own(&self) -> bool {
        self.name != "exposure" && self.name != "painted"
    }

    /// Reports that it was shown, or answers what was shown.
    pub fn is_about_shown(&self) -> bool {
        ["exposure", "painted", "click", "dismiss"].contains(&self.name.as_str())
    }

    /// Nothing may be made of it.
    pub fn is_refusal(&self) -> bool {
        self.name != "consent" && self.consent & (COUNTING | SHOWING) == 0
    }

    /// It may count over everybody.
    pub fn may_count(&self) -> bool {
        self.consent & COUNTING != 0
    }

    /// What it does to a visit is told at once.
    pub fn is_milestone(&self) -> bool {
        ["login", "logout", "checkout_step", "transaction", "refund"].contains(&self.name.as_str())
    }

    /// Changes what is in the cart.
    pub fn is_about_cart(&self) -> bool {
        ["add_to_cart", "remove_from_cart", "transaction"].contains(&self.name.as_str()) || self.cart_total.is_some()
    }
}

/// These purposes allow that something is shown.
pub fn may_be_shown(consent: i32) -> bool {
    consent & SHOWING != 0
}
