//! The GA4 Measurement Protocol: `POST /mp/collect`, answered with 204 whatever was in it.

use super::{Answer, Envelope, Protocol, Random, Reading, Route, Row, add_property};
use crate::draft::Draft;
use crate::field::{self, ProductNames};
use crate::json::{self, Json, Member};
use crate::scan::{self, Piece};
use crate::time::Clock;
use crate::{Fault, Limits, Reply, Request, consent, whole_cart};
use compact_str::format_compact;
use midsession_event::{Cart, Dialect, Event, EventName, Order, Page, Promotion, Str, canonical_name, hash128};

pub(super) const ROW: Row = Row {
    protocol: Protocol::Ga4,
    route: |request| match (request.method, request.path) {
        ("POST", "/mp/collect") => Some(Route::Collect("events")),
        _ => None,
    },
    envelope,
    begin: super::begin_nothing,
    event,
    accept: |_: &Answer<'_>| Reply::new(204, "", &b""[..]),
    refuse: |_, _| Reply::new(204, "", &b""[..]),
    ask: super::ask_nothing,
    id_member: "event_id",
};

const PRODUCT: ProductNames = ProductNames {
    id: &["item_id", "id"],
    name: &["item_name", "name"],
    category: &["item_category"],
    brand: &["item_brand"],
    price: &["price"],
    currency: &["currency"],
    quantity: &["quantity"],
    position: &["index"],
    from_zero: true,
};

fn envelope<'a>(request: &Request<'a>, _: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let frame = scan::frame(body, "events", limits)?;
    let mut shared = Vec::new();
    for (name, piece) in frame.members {
        let is_used = matches!(
            name.as_ref(),
            "client_id"
                | "app_instance_id"
                | "user_id"
                | "timestamp_micros"
                | "consent"
                | "ip_override"
                | "user_agent"
                | "non_personalized_ads"
        );
        if is_used {
            shared.push((name, json::parse(piece.bytes, limits)?));
        }
    }
    let pieces =
        frame.list.ok_or_else(|| Fault::new("field_missing", "the body has no array of events").at("events"))?;
    let key = request.query_value("api_secret");
    let app_id = request.query_value("measurement_id").or_else(|| request.query_value("firebase_app_id"));
    let app_id = app_id.filter(|_| key.is_none());
    Ok(Envelope { key, app_id, shared: Json::Object(shared), ..Envelope::new(pieces) })
}

fn event(reading: &Reading<'_>, envelope: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let value = json::parse(piece.bytes, limits)?;
    let name = value.get("name").and_then(Json::text).unwrap_or_default();
    field::event_name(name, "name")?;
    let shared = &envelope.shared;
    let micros = match value.get("timestamp_micros").or_else(|| shared.get("timestamp_micros")) {
        Some(Json::Int(micros)) => Some(*micros),
        Some(Json::Text(text)) => text.parse().ok(),
        _ => None,
    };
    let device = micros.map(|micros: i64| micros.div_euclid(1_000)).filter(|ms| *ms > 0);
    let clock = Clock::Device { device, sent: None };
    let mut draft = Draft::new(&reading.source.name, "".into(), EventName::PageView, clock);
    let id = |name: &'static str| shared.get(name).map_or(Ok(None), |value| field::who(value, name, limits));
    let visitor = id("client_id")?;
    let visitor = if visitor.is_some() { visitor } else { id("app_instance_id")? };
    draft.event.visitor_id = visitor.map(Into::into);
    draft.event.user_id = id("user_id")?.map(Into::into);
    let (native, step) = canonical_name(Dialect::Ga4, name);
    (draft.event.name, draft.event.step) = (native, step);
    let params = value.get("params").map_or(&[][..], Json::members);
    read(&mut draft.event, params, limits).map_err(|fault| fault.at("params"))?;
    if draft.event.event_id.as_str().is_empty() {
        draft.event.event_id = event_id(&draft.event, micros, piece, earlier(envelope, piece), random).into();
    }
    let text = |name: &str| shared.get(name).and_then(Json::text);
    draft.agent = text("user_agent").map(|agent| field::cut(agent, 512));
    draft.address = text("ip_override").and_then(|address| address.parse().ok());
    draft.by_server = reading.request.header("origin").is_none();
    draft.consent = consent::ga4(shared, reading.source.consent_default.purposes());
    Ok(draft)
}

/// How many events before this one in its request are equal to it.
fn earlier(envelope: &Envelope<'_>, piece: Piece<'_>) -> usize {
    let before = envelope.pieces.iter().take_while(|other| !std::ptr::eq(other.bytes.as_ptr(), piece.bytes.as_ptr()));
    before.filter(|other| other.bytes == piece.bytes).count()
}

/// The protocol has no event ids. With a time the same request sent again has the same ids; without one, each is new.
fn event_id(event: &Event, micros: Option<i64>, piece: Piece<'_>, earlier: usize, random: Random<'_>) -> Str {
    match micros {
        Some(micros) => {
            let text = String::from_utf8_lossy(piece.bytes);
            format_compact!("{:032x}", hash128(&["ga4", event.key(), &micros.to_string(), &earlier.to_string(), &text]))
        }
        None => format_compact!("{}", super::fresh_uuid(random)),
    }
}

fn read(event: &mut Event, params: &[Member<'_>], limits: &Limits) -> Result<(), Fault> {
    let is_order = event.name.is_order();
    let is_cart = matches!(event.name, EventName::CartView | EventName::CheckoutStep);
    let is_promotion = matches!(event.name, EventName::PromoView | EventName::PromoClick);
    let (mut order, mut cart, mut promotion, mut page) =
        (Order::default(), Cart::default(), Promotion::default(), Page::default());
    for (key, value) in params {
        match key.as_ref() {
            "items" => items(event, value, limits)?,
            "event_id" => event.event_id = field::id(value, "event_id", limits)?.unwrap_or_default().into(),
            "session_id" | "ga_session_id" => event.tracker_session_id = field::id(value, "session_id", limits)?,
            "page_location" => page.url = field::long_text(value, "page_location", 4 * field::URL_BYTES)?,
            "page_title" => page.title = field::text(value, "page_title")?,
            "page_referrer" => page.referrer = field::long_text(value, "page_referrer", 4 * field::URL_BYTES)?,
            "search_term" => event.query = field::text(value, "search_term")?,
            "item_list_name" => event.list = field::text(value, "item_list_name")?.or(event.list.take()),
            "item_list_id" => event.list = event.list.take().or(field::text(value, "item_list_id")?),
            "transaction_id" if is_order => order.id = field::id(value, "transaction_id", limits)?,
            "value" if is_order => order.revenue = field::money(value, "value")?,
            "value" if is_cart => cart.total_value = field::money(value, "value")?,
            "currency" => {
                order.currency = field::currency(value, "currency")?;
                cart.currency.clone_from(&order.currency);
            }
            "tax" if is_order => order.tax = field::money(value, "tax")?,
            "shipping" if is_order => order.shipping = field::money(value, "shipping")?,
            "promotion_id" if is_promotion => promotion.id = field::id(value, "promotion_id", limits)?,
            "promotion_name" if is_promotion => promotion.name = field::text(value, "promotion_name")?,
            name => add_property(&mut event.properties, name.into(), value),
        }
    }
    // Items are priced in the event's currency.
    for product in &mut event.products {
        product.currency = product.currency.take().or_else(|| order.currency.clone());
    }
    if is_order {
        event.order = Some(order);
    }
    let currency = cart.currency.clone();
    if cart.total_value.is_some() {
        event.cart = Some(cart);
    }
    let listed = params.iter().find(|(key, _)| key == "items");
    if matches!(listed, Some((_, Json::List(items))) if items.len() == event.products.len()) {
        whole_cart::add_total(event, currency);
    }
    if is_promotion {
        event.promotion = Some(promotion);
    }
    if page != Page::default() {
        event.page = Some(page);
    }
    Ok(())
}

fn items(event: &mut Event, value: &Json<'_>, limits: &Limits) -> Result<(), Fault> {
    let Json::List(items) = value else {
        return Err(Fault::new("wrong_type", "items is an array").at("items"));
    };
    if items.len() > limits.products {
        return Err(Fault::new("too_many_products", format_compact!("over {} items", limits.products)).at("items"));
    }
    for (index, item) in items.iter().enumerate() {
        let read = field::product(item.members(), &PRODUCT, limits, false);
        event.products.extend(field::in_element(read, "items", index)?);
    }
    Ok(())
}
