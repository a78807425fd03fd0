//! The fields of an event that an expression can name: one row each.

use super::Type;
use crate::Val;
use midsession_event::{ContextKind, Event, Joined, Product, Purpose, Str};

/// A field of the event.
pub struct EventField {
    /// Its path after `event.`.
    pub path: &'static str,
    /// What it holds.
    pub ty: Type,
    get: for<'a> fn(&'a Event) -> Val<'a>,
}

/// A field of a product.
pub struct ProductField {
    /// Its name after `event.product.`.
    pub path: &'static str,
    /// What it holds.
    pub ty: Type,
    get: for<'a> fn(&'a Product) -> Val<'a>,
}

macro_rules! rows {
    ($row:ident, $of:ident: $($path:literal $ty:ident $get:expr;)*) => {
        &[$($row { path: $path, ty: Type::$ty, get: |$of| $get },)*]
    };
}

/// Every field of the event itself.
pub static EVENT_FIELDS: &[EventField] = rows! { EventField, event:
    "event_id" Text Val::Text(event.event_id.as_str());
    "name" Text Val::Text(event.name.as_str());
    "source" Text Val::Text(event.source.as_str());
    "visitor_id" Text Val::text(event.visitor_id.as_ref().map(|id| &id.0));
    "user_id" Text Val::text(event.user_id.as_ref().map(|id| &id.0));
    "session_id" Text Val::text(event.tracker_session_id.as_ref());
    "occurred_at_ms" Int Val::Int(event.occurred_at_ms);
    "page.url" Text Val::text(event.page.as_ref().and_then(|page| page.url.as_ref()));
    "page.title" Text Val::text(event.page.as_ref().and_then(|page| page.title.as_ref()));
    "page.referrer" Text Val::text(event.page.as_ref().and_then(|page| page.referrer.as_ref()));
    "campaign.source" Text Val::text(event.campaign.as_ref().and_then(|campaign| campaign.source.as_ref()));
    "campaign.medium" Text Val::text(event.campaign.as_ref().and_then(|campaign| campaign.medium.as_ref()));
    "campaign.name" Text Val::text(event.campaign.as_ref().and_then(|campaign| campaign.name.as_ref()));
    "campaign.term" Text Val::text(event.campaign.as_ref().and_then(|campaign| campaign.term.as_ref()));
    "campaign.content" Text Val::text(event.campaign.as_ref().and_then(|campaign| campaign.content.as_ref()));
    "device.class" Text Val::text(event.device.as_ref().and_then(|device| device.class.as_ref()));
    "device.os" Text Val::text(event.device.as_ref().and_then(|device| device.os.as_ref()));
    "device.browser" Text Val::text(event.device.as_ref().and_then(|device| device.browser.as_ref()));
    "geo.country" Text Val::text(event.geo.as_ref().and_then(|geo| geo.country.as_ref()));
    "geo.region" Text Val::text(event.geo.as_ref().and_then(|geo| geo.region.as_ref()));
    "geo.city" Text Val::text(event.geo.as_ref().and_then(|geo| geo.city.as_ref()));
    "cart.id" Text Val::text(event.cart.as_ref().and_then(|cart| cart.id.as_ref()));
    "cart.total_value" Float number(event.cart.as_ref().and_then(|cart| cart.total_value));
    "cart.currency" Text Val::text(event.cart.as_ref().and_then(|cart| cart.currency.as_ref()));
    "order.id" Text Val::text(event.order.as_ref().and_then(|order| order.id.as_ref()));
    "order.revenue" Float number(revenue(event));
    "order.currency" Text Val::text(event.order.as_ref().and_then(|order| order.currency.as_ref()));
    "order.tax" Float number(event.order.as_ref().and_then(|order| order.tax));
    "order.shipping" Float number(event.order.as_ref().and_then(|order| order.shipping));
    "order.discount" Float number(event.order.as_ref().and_then(|order| order.discount));
    "promotion.id" Text Val::text(event.promotion.as_ref().and_then(|promotion| promotion.id.as_ref()));
    "promotion.name" Text Val::text(event.promotion.as_ref().and_then(|promotion| promotion.name.as_ref()));
    "list" Text Val::text(event.list.as_ref());
    "step" Int event.step.map_or(Val::Absent, |step| Val::Int(i64::from(step)));
    "query" Text Val::text(event.query.as_ref());
    "decision_id" Text Val::text(event.decision_id.as_ref());
    "consent.analytics" Bool Val::Bool(event.consent.allows(Purpose::Analytics));
    "consent.personalization" Bool Val::Bool(event.consent.allows(Purpose::Personalization));
    "consent.experiments" Bool Val::Bool(event.consent.allows(Purpose::Experiments));
    "consent.marketing" Bool Val::Bool(event.consent.allows(Purpose::Marketing));
    "bot" Bool Val::Bool(event.bot);
    "preview" Bool Val::Bool(event.preview);
};

/// Every field of a product. `quantity` is as it is counted: 1 where absent, at most 65535.
pub static PRODUCT_FIELDS: &[ProductField] = rows! { ProductField, product:
    "id" Text Val::Text(product.id.as_str());
    "name" Text Val::text(product.name.as_ref());
    "category" Text Val::text(product.category.as_ref());
    "brand" Text Val::text(product.brand.as_ref());
    "price" Float number(product.price);
    "currency" Text Val::text(product.currency.as_ref());
    "quantity" Int Val::Int(i64::from(product.quantity.unwrap_or(1).clamp(0, 65_535)));
    "position" Int product.position.map_or(Val::Absent, |position| Val::Int(i64::from(position)));
};

/// By the vocabulary orders and refunds have one: of anything else no fact keeps it.
fn revenue(event: &Event) -> Option<f64> {
    event.order.as_ref().filter(|_| event.name.is_order())?.revenue
}

fn number<'a>(number: Option<f64>) -> Val<'a> {
    number.map_or(Val::Absent, Val::number)
}

/// Which product of the event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `event.product`: the one at hand, else the first.
    Current,
    /// `event.products[n]`.
    At(usize),
    /// The variable of `exists` or `all`.
    Loop,
}

/// A field that an expression names.
#[derive(Clone)]
pub enum Field {
    /// A field of the event.
    Event(&'static EventField),
    /// A field of one of its products.
    Product(Which, &'static ProductField),
    /// `event.product.category`: the category of the product at hand, else the name of the list.
    Category,
    /// A custom property.
    Property(Str),
    /// `event.context.inventory.stock`: a value of the row that the event was joined with; of those about a product, of
    /// the one at hand. A stale row has no values, but its `version`, and that it is `stale`.
    Context(ContextKind, Str),
}

impl Field {
    /// What it holds.
    pub fn ty(&self) -> Type {
        match self {
            Self::Event(field) => field.ty,
            Self::Product(_, field) => field.ty,
            Self::Category => Type::Text,
            Self::Context(_, name) if name == "version" => Type::Int,
            Self::Context(_, name) if name == "stale" => Type::Bool,
            Self::Property(_) | Self::Context(..) => Type::Any,
        }
    }

    /// Its path, as written.
    pub fn path(&self) -> String {
        match self {
            Self::Event(field) => format!("event.{}", field.path),
            Self::Product(Which::At(index), field) => format!("event.products[{index}].{}", field.path),
            Self::Product(_, field) => format!("event.product.{}", field.path),
            Self::Category => "event.product.category".to_owned(),
            Self::Property(name) => format!("event.properties.{name}"),
            Self::Context(kind, name) => format!("event.context.{}.{name}", kind.as_str()),
        }
    }

    /// Its value, where `event.product` is product `current` and the variable of a loop is product `at`.
    pub fn get<'a>(&self, event: &'a Event, current: usize, at: usize) -> Val<'a> {
        match self {
            Self::Event(field) => (field.get)(event),
            Self::Product(which, field) => {
                let index = match which {
                    Which::Current => current,
                    Which::At(index) => *index,
                    Which::Loop => at,
                };
                event.products.get(index).map_or(Val::Absent, |product| (field.get)(product))
            }
            Self::Category => {
                let own = event.products.get(current).and_then(|product| product.category.as_ref());
                Val::text(own.or(event.list.as_ref()))
            }
            Self::Property(name) => event.properties.get(name).map_or(Val::Absent, Val::from),
            Self::Context(kind, name) => {
                context(event, *kind, current).map_or(Val::Absent, |row| match name.as_str() {
                    "version" => Val::Int(row.version),
                    "stale" => Val::Bool(row.stale),
                    name => row.values.get(name).filter(|_| !row.stale).map_or(Val::Absent, Val::from),
                })
            }
        }
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path())
    }
}

/// The row of a kind that an event was joined with, for its product `current` where it is about one.
fn context(event: &Event, kind: ContextKind, current: usize) -> Option<&Joined> {
    let mut rows = event.context.iter().filter(|row| row.kind == kind);
    if !kind.is_of_product() {
        return rows.next();
    }
    let product = event.products.get(current)?;
    rows.find(|row| row.is_of(product.id.as_str()))
}
