//! The canonical event: what every tracker's message becomes before it reaches the log.

use crate::id::hash64;
use crate::{EventId, EventName, Joined, ProductId, SourceId, Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing a shopper did, validated, corrected and free of personal fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The tracker's id; the idempotency key with `source`.
    pub event_id: EventId,
    /// Which source (write key) it came through.
    pub source: SourceId,
    /// What happened.
    pub name: EventName,
    /// The browser or device.
    pub visitor_id: Option<VisitorId>,
    /// The signed-in person.
    pub user_id: Option<UserId>,
    /// The tracker's own session id, kept beside ours.
    pub tracker_session_id: Option<Str>,
    /// Event time, corrected by the sent time and never past the receive time. Epoch ms.
    pub occurred_at_ms: i64,
    /// Device time as sent. Epoch ms.
    pub device_at_ms: Option<i64>,
    /// When the tracker sent it, by the device's clock. Epoch ms.
    pub sent_at_ms: Option<i64>,
    /// Server-side stamps of its way so far.
    pub stamps: Stamps,
    /// Where.
    pub page: Option<Page>,
    /// From which campaign.
    pub campaign: Option<Campaign>,
    /// With what.
    pub device: Option<Device>,
    /// From where in the world, when a database is configured.
    pub geo: Option<Geo>,
    /// The products concerned, in the tracker's order.
    pub products: Vec<Product>,
    /// The cart after the event.
    pub cart: Option<Cart>,
    /// The order, on `transaction` and `refund`.
    pub order: Option<Order>,
    /// The promotion, on `promo_view` and `promo_click`.
    pub promotion: Option<Promotion>,
    /// Name of the list, on `list_view` and `list_click`.
    pub list: Option<Str>,
    /// Checkout step, from 1.
    pub step: Option<i32>,
    /// Search terms.
    pub query: Option<Str>,
    /// The decision that an `exposure`, `painted`, `click` or `dismiss` is about.
    pub decision_id: Option<Str>,
    /// What may be done with it.
    pub consent: Consent,
    /// The tracker said so; else it is the source's default, which can narrow what the shopper said but never widen it.
    pub consent_said: bool,
    /// Sent by a robot.
    pub bot: bool,
    /// Someone trying an intervention on their own browser; left out of rates.
    pub preview: bool,
    /// The remaining fields that the source allows.
    pub properties: BTreeMap<Str, PropertyValue>,
    /// What the context tables knew of it when it was collected. What the event itself says goes first.
    #[serde(default)]
    pub context: Vec<Joined>,
}

impl Event {
    /// An event with nothing but its identity and time; the other fields are empty and consent is full.
    pub fn new(source: SourceId, event_id: EventId, name: EventName, occurred_at_ms: i64) -> Self {
        Self {
            event_id,
            source,
            name,
            visitor_id: None,
            user_id: None,
            tracker_session_id: None,
            occurred_at_ms,
            device_at_ms: None,
            sent_at_ms: None,
            stamps: Stamps::default(),
            page: None,
            campaign: None,
            device: None,
            geo: None,
            products: Vec::new(),
            cart: None,
            order: None,
            promotion: None,
            list: None,
            step: None,
            query: None,
            decision_id: None,
            consent: Consent::FULL,
            consent_said: false,
            bot: false,
            preview: false,
            properties: BTreeMap::new(),
            context: Vec::new(),
        }
    }

    /// Who did what and when, and what they allow; nothing else of it.
    pub fn bare(&self) -> Self {
        let event = Self::new(self.source.clone(), self.event_id.clone(), self.name.clone(), self.occurred_at_ms);
        Self {
            visitor_id: self.visitor_id.clone(),
            user_id: self.user_id.clone(),
            tracker_session_id: self.tracker_session_id.clone(),
            device_at_ms: self.device_at_ms,
            sent_at_ms: self.sent_at_ms,
            stamps: self.stamps,
            consent: self.consent,
            ..event
        }
    }

    /// A hash of its source and id, which tell it from others of its shopper: the duplicate filter goes by it.
    #[inline]
    pub fn id_hash(&self) -> u64 {
        hash64(&[self.source.as_str(), self.event_id.as_str()])
    }

    /// The log's key: the visitor id, the user id only where there is no visitor.
    pub fn key(&self) -> &str {
        match (&self.visitor_id, &self.user_id) {
            (Some(visitor), _) => visitor.as_str(),
            (None, Some(user)) => user.as_str(),
            (None, None) => "",
        }
    }
}

/// Server clock readings along the way. Epoch µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    /// First byte of the request read.
    pub received_at_us: i64,
    /// Parsed, validated, handed to the log.
    pub collected_at_us: i64,
}

/// The page an event happened on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Address, its query cut to the source's allow-list.
    pub url: Option<Str>,
    /// Title.
    pub title: Option<Str>,
    /// Where the visit came from.
    pub referrer: Option<Str>,
}

/// The marketing campaign, from `utm_*` or the tracker's own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// utm_source.
    pub source: Option<Str>,
    /// utm_medium.
    pub medium: Option<Str>,
    /// utm_campaign.
    pub name: Option<Str>,
    /// utm_term.
    pub term: Option<Str>,
    /// utm_content.
    pub content: Option<Str>,
}

/// The device, by its user agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `desktop`, `mobile`, `tablet`, `bot`, `other`.
    pub class: Option<Str>,
    /// Operating system.
    pub os: Option<Str>,
    /// Browser.
    pub browser: Option<Str>,
}

/// The place an address belongs to; the address itself is never kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geo {
    /// ISO 3166-1 alpha-2.
    pub country: Option<Str>,
    /// Subdivision.
    pub region: Option<Str>,
    /// City.
    pub city: Option<Str>,
}

/// A product as the event named it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// The shop's id.
    pub id: ProductId,
    /// Name.
    pub name: Option<Str>,
    /// Category.
    pub category: Option<Str>,
    /// Brand.
    pub brand: Option<Str>,
    /// Price of one, in `currency`.
    pub price: Option<f64>,
    /// ISO 4217.
    pub currency: Option<Str>,
    /// How many; absent means one.
    pub quantity: Option<i32>,
    /// Position in the list, from 1.
    pub position: Option<i32>,
}

/// The cart after the event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    /// The shop's id of it.
    pub id: Option<Str>,
    /// What it is worth in `currency`.
    pub total_value: Option<f64>,
    /// ISO 4217.
    pub currency: Option<Str>,
}

/// An order or its refund.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The shop's id of it.
    pub id: Option<Str>,
    /// What was paid (refunded), in `currency`.
    pub revenue: Option<f64>,
    /// ISO 4217.
    pub currency: Option<Str>,
    /// Tax.
    pub tax: Option<f64>,
    /// Shipping.
    pub shipping: Option<f64>,
    /// Discount.
    pub discount: Option<f64>,
}

/// A promotion shown or clicked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The shop's id of it.
    pub id: Option<Str>,
    /// Name.
    pub name: Option<Str>,
}

/// One purpose a shopper's data may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Counting.
    Analytics = 1,
    /// Features, interventions, recommendations.
    Personalization = 2,
    /// Experiment arms.
    Experiments = 4,
    /// Marketing.
    Marketing = 8,
}

impl Purpose {
    /// Every purpose with its name on the wire.
    pub const ALL: [(Purpose, &'static str); 4] = [
        (Purpose::Analytics, "analytics"),
        (Purpose::Personalization, "personalization"),
        (Purpose::Experiments, "experiments"),
        (Purpose::Marketing, "marketing"),
    ];
}

/// The set of purposes allowed, as bits of [`Purpose`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Consent(pub i32);

impl Consent {
    /// Nothing: the event is not kept.
    pub const NONE: Consent = Consent(0);
    /// Counting only, without a durable id.
    pub const COOKIELESS: Consent = Consent(Purpose::Analytics as i32);
    /// Every purpose.
    pub const FULL: Consent = Consent(15);

    /// Whether this purpose is allowed.
    pub fn allows(self, purpose: Purpose) -> bool {
        self.0 & purpose as i32 != 0
    }

    /// Whether all of these purposes are allowed.
    pub fn covers(self, purposes: Self) -> bool {
        self.and(purposes) == purposes
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether anything may be made of an event at all: counted, or used for the shopper.
    pub fn is_refusal(self) -> bool {
        !self.allows(Purpose::Analytics) && !self.allows(Purpose::Personalization)
    }

    /// A word that says nothing of these purposes. It travels with an event `consent` until it is known what was said before.
    #[must_use]
    pub fn leaving(self, purposes: Self) -> Self {
        Self(self.0 | (purposes.0 & Self::FULL.0) << Self::FULL.0.count_ones())
    }

    /// The purposes that a word says nothing of.
    #[must_use]
    pub fn left(self) -> Self {
        Self(self.0 >> Self::FULL.0.count_ones() & Self::FULL.0)
    }

    /// What holds after this word: of the purposes that it says nothing of what held before; where nothing was said before,
    /// its source's default, which it has of them.
    #[must_use]
    pub fn over(self, before: Option<Self>) -> Self {
        let (said, left) = (self.and(Self::FULL), self.left());
        before.map_or(said, |before| Self(said.0 & !left.0 | before.0 & left.0))
    }

    /// With this purpose set or cleared.
    #[must_use]
    pub fn with(self, purpose: Purpose, allowed: bool) -> Self {
        if allowed { Self(self.0 | purpose as i32) } else { Self(self.0 & !(purpose as i32)) }
    }
}

/// The value of a custom property: a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyValue {
    /// Null.
    Null,
    /// true or false.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Str),
}

impl Serialize for PropertyValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}
impl<'de> Deserialize<'de> for PropertyValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = PropertyValue;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("null, a boolean, a number or text")
            }
            fn visit_unit<E>(self) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Null)
            }
            fn visit_none<E>(self) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Null)
            }
            fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<PropertyValue, D::Error> {
                d.deserialize_any(self)
            }
            fn visit_bool<E>(self, value: bool) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<PropertyValue, E> {
                Ok(i64::try_from(value).map_or(PropertyValue::Float(value as f64), PropertyValue::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<PropertyValue, E> {
                Ok(PropertyValue::Text(value.into()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
