//! Snowplow's self-describing events and entities, the ecommerce ones above all, in native words.

use super::{Reading, add_property};
use crate::Fault;
use crate::field::{self, ProductNames};
use crate::json::Json;
use crate::{consent, iglu};
use midsession_event::{Cart, Consent, Dialect, Event, EventName, Order, Promotion, canonical_name};

const SHOP: &str = "com.snowplowanalytics.snowplow.ecommerce";
const WEB: &str = "com.snowplowanalytics.snowplow";

pub(super) const PRODUCT: ProductNames = ProductNames {
    id: &["id"],
    name: &["name"],
    category: &["category"],
    brand: &["brand"],
    price: &["price"],
    currency: &["currency"],
    quantity: &["quantity"],
    position: &["position"],
    from_zero: false,
};

/// Fills an event from self-describing JSON.
pub(super) struct Described<'d> {
    pub reading: &'d Reading<'d>,
    pub event: &'d mut Event,
}

impl Described<'_> {
    /// The event itself: `unstruct_event` around a self-describing object. Answers what it says on consent.
    pub fn unstruct(&mut self, value: &Json<'_>) -> Result<Option<Consent>, Fault> {
        let (schema, inner) = iglu::unwrap(value)?;
        if !schema.starts_with("iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-") {
            return Err(Fault::new("payload_schema", "the event is not wrapped in unstruct_event 1-0-x").at("schema"));
        }
        self.event(inner).map_err(|fault| fault.at("data"))
    }

    /// A self-describing event. Answers what it says on consent.
    pub fn event(&mut self, value: &Json<'_>) -> Result<Option<Consent>, Fault> {
        let (address, data) = iglu::describe(value)?;
        self.reading.schemas.check(address, data, self.reading.source.strict)?;
        let is_web = address.vendor == WEB && address.model() == 1;
        if is_web && let Some(said) = consent::snowplow(address.name, data, self.reading.source) {
            self.event.name = EventName::Consent;
            self.properties_except(data, &["consentUrl", "consentVersion"]);
            if let Some(version) = data.get("consentVersion") {
                add_property(&mut self.event.properties, "policy_version".into(), version);
            }
            return Ok(Some(said));
        }
        match (address.vendor, address.name) {
            (SHOP, "snowplow_ecommerce_action") => {
                let kind = data.get("type").and_then(Json::text).unwrap_or_default();
                self.event.name = canonical_name(Dialect::Snowplow, kind).0;
                if let Some(name) = data.get("name") {
                    self.event.list = field::text(name, "name")?;
                }
            }
            (WEB, "site_search") => {
                self.event.name = canonical_name(Dialect::Snowplow, "site_search").0;
                if let Some(Json::List(terms)) = data.get("terms") {
                    let terms: Vec<&str> = terms.iter().filter_map(Json::text).collect();
                    self.event.query = Some(field::cut(&terms.join(" "), field::TEXT_BYTES));
                }
                self.properties_except(data, &["terms"]);
            }
            (WEB, "submit_form" | "change_form" | "focus_form") => {
                self.event.name = canonical_name(Dialect::Snowplow, address.name).0;
                self.properties_except(&without_typed(data), &[]);
            }
            (WEB, name) => {
                self.event.name = canonical_name(Dialect::Snowplow, name).0;
                // Addresses are cut where an event keeps them; a link's target is none of its fields.
                self.properties_except(data, &["targetUrl"]);
            }
            (vendor, name) => {
                field::event_name(name, "schema")?;
                self.event.name = super::custom_name(vendor, name);
                self.properties_except(data, &[]);
            }
        }
        Ok(None)
    }

    fn properties_except(&mut self, data: &Json<'_>, except: &[&str]) {
        for (key, value) in data.members().iter().filter(|(key, _)| !except.contains(&key.as_ref())) {
            add_property(&mut self.event.properties, key.as_ref().into(), value);
        }
    }

    /// The entities beside the event: `contexts` around an array of self-describing objects.
    pub fn entities(&mut self, value: &Json<'_>) -> Result<(), Fault> {
        let (schema, inner) = iglu::unwrap(value)?;
        if !schema.starts_with("iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-") {
            return Err(Fault::new("payload_schema", "the entities are not wrapped in contexts 1-0-x").at("schema"));
        }
        let Json::List(entities) = inner else {
            return Err(Fault::new("wrong_type", "contexts hold an array").at("data"));
        };
        for (index, entity) in entities.iter().enumerate() {
            field::in_element(self.entity(entity), "data", index)?;
        }
        Ok(())
    }

    fn entity(&mut self, value: &Json<'_>) -> Result<(), Fault> {
        let (address, data) = iglu::describe(value)?;
        self.reading.schemas.check(address, data, self.reading.source.strict)?;
        let limits = self.reading.limits;
        match (address.vendor, address.name) {
            (SHOP, "product") => {
                if self.event.products.len() == limits.products {
                    let message = compact_str::format_compact!("over {} products", limits.products);
                    return Err(Fault::new("too_many_products", message));
                }
                self.event.products.extend(field::product(data.members(), &PRODUCT, limits, true)?);
            }
            (SHOP, "cart") => {
                let mut cart = Cart::default();
                for (key, value) in data.members() {
                    match key.as_ref() {
                        "cart_id" => cart.id = field::id(value, "cart_id", limits)?,
                        "total_value" => cart.total_value = field::money(value, "total_value")?,
                        "currency" => cart.currency = field::currency(value, "currency")?,
                        _ => {}
                    }
                }
                self.event.cart = Some(cart);
            }
            (SHOP, "checkout_step") => {
                if let Some(step) = data.get("step") {
                    self.event.step = field::count(step, "step", 1..=90)?;
                }
                let harmless =
                    ["delivery_provider", "delivery_method", "coupon_code", "account_type", "payment_method"];
                self.properties(data, &harmless, "");
            }
            (SHOP, "transaction") => {
                let mut order = Order::default();
                for (key, value) in data.members() {
                    match key.as_ref() {
                        "transaction_id" => order.id = field::id(value, "transaction_id", limits)?,
                        "revenue" => order.revenue = field::money(value, "revenue")?,
                        "currency" => order.currency = field::currency(value, "currency")?,
                        "tax" => order.tax = field::money(value, "tax")?,
                        "shipping" => order.shipping = field::money(value, "shipping")?,
                        "discount_amount" => order.discount = field::money(value, "discount_amount")?,
                        _ => {}
                    }
                }
                self.event.order = Some(order);
                self.properties(data, &["payment_method", "total_quantity", "discount_code", "credit_order"], "");
            }
            (SHOP, "refund") => {
                let mut order = Order::default();
                for (key, value) in data.members() {
                    match key.as_ref() {
                        "transaction_id" => order.id = field::id(value, "transaction_id", limits)?,
                        "refund_amount" => order.revenue = field::money(value, "refund_amount")?,
                        "currency" => order.currency = field::currency(value, "currency")?,
                        _ => {}
                    }
                }
                self.event.order = Some(order);
                self.properties(data, &["refund_reason"], "");
            }
            (SHOP, "transaction_error") => {
                self.properties(data, &["error_code", "error_shortcode", "error_type", "resolution"], "");
            }
            (SHOP, "promotion") => {
                let mut promotion = Promotion::default();
                for (key, value) in data.members() {
                    match key.as_ref() {
                        "id" => promotion.id = field::id(value, "id", limits)?,
                        "name" => promotion.name = field::text(value, "name")?,
                        _ => {}
                    }
                }
                self.event.promotion = Some(promotion);
                self.properties(data, &["position", "creative_id", "type", "slot"], "promotion_");
            }
            (SHOP, "page") => self.properties(data, &["type", "language", "locale"], "page_"),
            (SHOP, "user") => {
                let is_guest = matches!(data.get("is_guest"), Some(Json::Bool(true)));
                if let (Some(id), false, None) = (data.get("id"), is_guest, &self.event.user_id) {
                    self.event.user_id = field::who(id, "id", limits)?.map(Into::into);
                }
            }
            (WEB, "client_session") => self.session(data)?,
            // The longest that an anonymous page tells of itself without storing anything.
            (WEB, "web_page") if self.reading.begun.anonymous && self.event.tracker_session_id.is_none() => {
                if let Some(id) = data.get("id") {
                    self.event.tracker_session_id = field::id(id, "id", limits)?;
                }
            }
            // What trackers tell of the page and the browser; nothing of it is a field of ours.
            (vendor, _) if vendor.starts_with("com.snowplowanalytics.") || vendor.starts_with("org.") => {}
            (_, name) => add_property(&mut self.event.properties, name.into(), data),
        }
        Ok(())
    }

    fn session(&mut self, data: &Json<'_>) -> Result<(), Fault> {
        let limits = self.reading.limits;
        if let Some(id) = data.get("sessionId")
            && self.event.tracker_session_id.is_none()
        {
            self.event.tracker_session_id = field::id(id, "sessionId", limits)?;
        }
        let user =
            data.get("userId").and_then(Json::text).filter(|id| id.bytes().any(|byte| !matches!(byte, b'0' | b'-')));
        if let (Some(user), None) = (user, &self.event.visitor_id) {
            self.event.visitor_id = field::check_id(user, "userId", limits, true)?.map(Into::into);
        }
        Ok(())
    }

    fn properties(&mut self, data: &Json<'_>, names: &[&str], prefix: &str) {
        for (key, value) in data.members().iter().filter(|(key, _)| names.contains(&key.as_ref())) {
            if !matches!(value, Json::Null) {
                add_property(&mut self.event.properties, compact_str::format_compact!("{prefix}{key}"), value);
            }
        }
    }
}

/// A form's fields without what somebody entered: how a shop calls them tells not enough of what that is.
fn without_typed<'a>(data: &Json<'a>) -> Json<'a> {
    match data {
        Json::Object(members) => {
            let kept = members.iter().filter(|(key, _)| key != "value");
            Json::Object(kept.map(|(key, value)| (key.clone(), without_typed(value))).collect())
        }
        Json::List(items) => Json::List(items.iter().map(without_typed).collect()),
        other => other.clone(),
    }
}
