//! The native protocol: `POST /v1/events` with one JSON object, an array, `{"batch": […]}` or JSON lines.

use super::{Answer, Envelope, Protocol, Random, Reading, Route, Row};
use crate::draft::Draft;
use crate::field::{self, ProductNames};
use crate::json::{self, Json};
use crate::scan::{self, Frame, Piece};
use crate::time::{self, Clock};
use crate::{Fault, Limits, Reply, Request, consent, quote, whole_cart};
use midsession_event::{Campaign, Cart, Device, EventName, Order, Page, Promotion};

pub(super) const ROW: Row = Row {
    protocol: Protocol::Native,
    route: |request| match (request.method, request.path) {
        ("POST", "/v1/events") => Some(Route::Collect("events")),
        _ => None,
    },
    envelope,
    begin: super::begin_nothing,
    event,
    accept: |answer: &Answer<'_>| Reply::json(200, &serde_json::json!({ "accepted": answer.accepted })),
    refuse: super::refuse_with_problem,
    ask: super::ask_nothing,
    id_member: "event_id",
};

const PRODUCT: ProductNames = ProductNames {
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

fn envelope<'a>(request: &Request<'a>, _: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let start = scan::skip_space(body, 0);
    let (mut pieces, mut sent_at_ms) = (Vec::new(), None);
    match body.get(start) {
        None => {
            return Err(
                Fault::new("body_empty", "the body is empty").hint("send one JSON event, an array or JSON lines")
            );
        }
        Some(b'[') => pieces = scan::elements(body, limits.batch_events),
        Some(_) => match scan::single(body) {
            // A batch is told by its list and by not being an event itself.
            Some(piece) if memchr::memmem::find(body, b"\"batch\"").is_some() => {
                match scan::frame(piece.bytes, "batch", limits) {
                    Ok(Frame { members, list: Some(list) }) if !members.iter().any(|(name, _)| name == "name") => {
                        pieces = list;
                        if let Some((_, sent)) = members.iter().find(|(name, _)| name == "sent_at") {
                            sent_at_ms = time::parse(&json::parse(sent.bytes, limits)?, "sent_at")?;
                        }
                    }
                    _ => pieces.push(piece),
                }
            }
            Some(piece) => pieces.push(piece),
            None => pieces = scan::lines(body, limits.batch_events),
        },
    }
    let key = request.authorization_key().or_else(|| request.query_value("key"));
    Ok(Envelope { key, sent_at_ms, ..Envelope::new(pieces) })
}

fn event(reading: &Reading<'_>, envelope: &Envelope<'_>, piece: Piece<'_>, _: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let value = json::parse(piece.bytes, limits)?;
    let Json::Object(members) = &value else {
        return Err(Fault::new("wrong_type", "an event is a JSON object").hint("send {\"event_id\": …, \"name\": …}"));
    };
    let mut draft =
        Draft::new(&reading.source.name, "".into(), EventName::PageView, Clock::Device { device: None, sent: None });
    let event = &mut draft.event;
    let (mut named, mut device, mut sent) = (false, None, envelope.sent_at_ms);
    for (key, value) in members {
        match key.as_ref() {
            "event_id" => event.event_id = field::id(value, "event_id", limits)?.unwrap_or_default().into(),
            "name" => {
                let name = value.text().unwrap_or_default();
                field::event_name(name, "name")?;
                event.name = EventName::from(name);
                named = true;
            }
            "visitor_id" => event.visitor_id = field::who(value, "visitor_id", limits)?.map(Into::into),
            "user_id" => event.user_id = field::who(value, "user_id", limits)?.map(Into::into),
            "session_id" => event.tracker_session_id = field::id(value, "session_id", limits)?,
            "occurred_at" => device = time::parse(value, "occurred_at")?,
            "sent_at" => sent = time::parse(value, "sent_at")?.or(sent),
            "page" => event.page = page(value).map_err(|fault| fault.at("page"))?,
            "campaign" => event.campaign = campaign(value).map_err(|fault| fault.at("campaign"))?,
            "device" => event.device = device_of(value).map_err(|fault| fault.at("device"))?,
            "products" => products(value, event, limits)?,
            "cart" => event.cart = cart(value, limits).map_err(|fault| fault.at("cart"))?,
            "order" => event.order = order(value, limits).map_err(|fault| fault.at("order"))?,
            "promotion" => event.promotion = promotion(value, limits).map_err(|fault| fault.at("promotion"))?,
            "list" => event.list = field::text(value, "list")?,
            "step" => event.step = field::count(value, "step", 1..=90)?,
            "query" => event.query = field::text(value, "query")?,
            "decision_id" => event.decision_id = field::id(value, "decision_id", limits)?,
            "preview" => event.preview = matches!(value, Json::Bool(true)),
            "consent" => {
                draft.consent = consent::native(value, reading.source.consent_default.purposes())?;
            }
            "properties" => match value {
                Json::Null => {}
                Json::Object(members) => {
                    for (key, value) in members {
                        super::add_property(&mut event.properties, key.as_ref().into(), value);
                    }
                }
                other => return Err(wrong_object(other).at("properties")),
            },
            // What a file says of the arrival is the request's own time already.
            "received_at" if reading.kind == super::IMPORT => {}
            other if reading.source.strict => {
                return Err(Fault::new("unknown_field", "the source is strict and knows no such field")
                    .at(quote::name(other))
                    .hint("put custom fields under properties"));
            }
            // A field of one's own belongs under properties, and is found there.
            other => super::add_property(&mut event.properties, other.into(), value),
        }
    }
    if !named {
        return Err(Fault::new("name_missing", "the event has no name")
            .at("name")
            .hint("page_view, add_to_cart, … or your own"));
    }
    if event.event_id.as_str().is_empty() {
        return Err(Fault::new("field_missing", "the event has no id")
            .at("event_id")
            .hint("send a fresh UUID with each event: it makes sending again harmless"));
    }
    whole_cart::add_total(event, None);
    draft.clock = Clock::Device { device, sent };
    Ok(draft)
}

fn wrong_object(value: &Json<'_>) -> Fault {
    Fault::new("wrong_type", compact_str::format_compact!("{} where an object belongs", value.kind()))
}

/// The members of an object; none for null.
fn object<'j, 'a>(value: &'j Json<'a>) -> Result<Option<&'j [json::Member<'a>]>, Fault> {
    match value {
        Json::Null => Ok(None),
        Json::Object(members) => Ok(Some(members)),
        other => Err(wrong_object(other)),
    }
}

fn page(value: &Json<'_>) -> Result<Option<Page>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut page = Page::default();
    for (key, value) in members {
        match key.as_ref() {
            // Not cut before its query has been read and cut.
            "url" => page.url = field::long_text(value, "url", 4 * field::URL_BYTES)?,
            "title" => page.title = field::text(value, "title")?,
            "referrer" => page.referrer = field::long_text(value, "referrer", 4 * field::URL_BYTES)?,
            _ => {}
        }
    }
    Ok(Some(page))
}

fn campaign(value: &Json<'_>) -> Result<Option<Campaign>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut campaign = Campaign::default();
    for (key, value) in members {
        match key.as_ref() {
            "source" => campaign.source = field::text(value, "source")?,
            "medium" => campaign.medium = field::text(value, "medium")?,
            "name" => campaign.name = field::text(value, "name")?,
            "term" => campaign.term = field::text(value, "term")?,
            "content" => campaign.content = field::text(value, "content")?,
            _ => {}
        }
    }
    Ok(Some(campaign))
}

fn device_of(value: &Json<'_>) -> Result<Option<Device>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut device = Device::default();
    for (key, value) in members {
        match key.as_ref() {
            "class" => {
                let class = field::text(value, "class")?;
                device.class =
                    class.filter(|class| matches!(class.as_str(), "desktop" | "mobile" | "tablet" | "bot" | "other"));
            }
            "os" => device.os = field::text(value, "os")?,
            "browser" => device.browser = field::text(value, "browser")?,
            _ => {}
        }
    }
    Ok(Some(device))
}

fn products(value: &Json<'_>, event: &mut midsession_event::Event, limits: &Limits) -> Result<(), Fault> {
    let items = match value {
        Json::Null => return Ok(()),
        Json::List(items) => items,
        other => {
            return Err(Fault::new(
                "wrong_type",
                compact_str::format_compact!("{} where an array belongs", other.kind()),
            )
            .at("products"));
        }
    };
    if items.len() > limits.products {
        return Err(Fault::new("too_many_products", compact_str::format_compact!("over {} products", limits.products))
            .at("products"));
    }
    event.products.reserve_exact(items.len());
    for (index, item) in items.iter().enumerate() {
        let read = match item {
            Json::Object(members) => field::product(members, &PRODUCT, limits, true),
            other => Err(wrong_object(other)),
        };
        event.products.extend(field::in_element(read, "products", index)?);
    }
    Ok(())
}

fn cart(value: &Json<'_>, limits: &Limits) -> Result<Option<Cart>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut cart = Cart::default();
    for (key, value) in members {
        match key.as_ref() {
            "id" => cart.id = field::id(value, "id", limits)?,
            "total_value" => cart.total_value = field::money(value, "total_value")?,
            "currency" => cart.currency = field::currency(value, "currency")?,
            _ => {}
        }
    }
    Ok(Some(cart))
}

fn order(value: &Json<'_>, limits: &Limits) -> Result<Option<Order>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut order = Order::default();
    for (key, value) in members {
        match key.as_ref() {
            "id" => order.id = field::id(value, "id", limits)?,
            "revenue" => order.revenue = field::money(value, "revenue")?,
            "currency" => order.currency = field::currency(value, "currency")?,
            "tax" => order.tax = field::money(value, "tax")?,
            "shipping" => order.shipping = field::money(value, "shipping")?,
            "discount" => order.discount = field::money(value, "discount")?,
            _ => {}
        }
    }
    Ok(Some(order))
}

fn promotion(value: &Json<'_>, limits: &Limits) -> Result<Option<Promotion>, Fault> {
    let Some(members) = object(value)? else { return Ok(None) };
    let mut promotion = Promotion::default();
    for (key, value) in members {
        match key.as_ref() {
            "id" => promotion.id = field::id(value, "id", limits)?,
            "name" => promotion.name = field::text(value, "name")?,
            _ => {}
        }
    }
    Ok(Some(promotion))
}
