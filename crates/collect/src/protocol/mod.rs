//! The tracker protocols, one file and one row each. Exact routes come first; Snowplow's `/{vendor}/{version}` last.

mod commerce;
mod ga4;
mod iglu_webhook;
mod native;
mod posthog;
mod segment;
mod snowplow;
mod snowplow_shop;
mod snowplow_tsv;

use crate::draft::Draft;
use crate::scan::{self, Frame, Piece};
use crate::{Fault, Limits, Reply, Request, Schemas, Source};
use midsession_event::{EventName, PropertyValue, Str};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Whose words a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// This product's own.
    Native,
    /// Snowplow's trackers.
    Snowplow,
    /// Snowplow's Iglu webhook.
    IgluWebhook,
    /// Segment's and RudderStack's SDKs.
    Segment,
    /// PostHog's SDKs.
    PostHog,
    /// The GA4 Measurement Protocol.
    Ga4,
    /// What Snowplow's pipeline writes: read from files, on no route.
    SnowplowTsv,
}

impl Protocol {
    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Snowplow => "snowplow",
            Self::IgluWebhook => "iglu_webhook",
            Self::Segment => "segment",
            Self::PostHog => "posthog",
            Self::Ga4 => "ga4",
            Self::SnowplowTsv => "snowplow_tsv",
        }
    }
}

/// What a protocol does with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Events, of this kind.
    Collect(&'static str),
    /// Something an SDK asks before it sends, answered at once.
    Ask(&'static str),
}

/// A request's frame, before its events are looked at.
pub(crate) struct Envelope<'a> {
    /// Write key, when the request names one.
    pub key: Option<Cow<'a, str>>,
    /// Snowplow's app id.
    pub app_id: Option<Cow<'a, str>>,
    /// The events, unparsed.
    pub pieces: Vec<Piece<'a>>,
    /// When the batch was sent. Epoch ms.
    pub sent_at_ms: Option<i64>,
    /// The batch's own fields that its events inherit.
    pub shared: crate::json::Json<'a>,
}

impl<'a> Envelope<'a> {
    pub fn new(pieces: Vec<Piece<'a>>) -> Self {
        Self { key: None, app_id: None, pieces, sent_at_ms: None, shared: crate::json::Json::Null }
    }
}

/// What a protocol may look at while it reads an event.
pub(crate) struct Reading<'r> {
    pub request: &'r Request<'r>,
    pub source: &'r Source,
    pub limits: &'r Limits,
    pub schemas: &'r Schemas,
    pub kind: &'static str,
    pub begun: Begun,
}

/// What a protocol settled for the whole request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun {
    /// Snowplow's network user id, from the cookie or new.
    pub network_user: Option<Str>,
    /// It was made for this request: no cookie and no parameter named one.
    pub network_user_is_new: bool,
    /// The tracker asks for no identifier.
    pub anonymous: bool,
}

/// What an answer is made from.
pub(crate) struct Answer<'r> {
    pub request: &'r Request<'r>,
    pub source: &'r Source,
    pub kind: &'static str,
    pub begun: &'r Begun,
    pub accepted: usize,
    pub may_set_cookie: bool,
}

/// Fresh random numbers, from the caller.
pub(crate) type Random<'r> = &'r mut dyn FnMut() -> u128;

/// One protocol.
pub(crate) struct Row {
    pub protocol: Protocol,
    /// What it does with a method and path, if anything.
    pub route: fn(&Request<'_>) -> Option<Route>,
    /// Finds the events and the key in the decoded body.
    pub envelope: for<'a> fn(&Request<'a>, &'static str, &'a [u8], &Limits) -> Result<Envelope<'a>, Fault>,
    /// Settles what holds for the whole request.
    pub begin: fn(&Request<'_>, &Source, Random<'_>) -> Begun,
    /// Reads one event.
    pub event: fn(&Reading<'_>, &Envelope<'_>, Piece<'_>, Random<'_>) -> Result<Draft, Fault>,
    /// The answer when all is durable.
    pub accept: fn(&Answer<'_>) -> Reply,
    /// The answer when the request as a whole is refused.
    pub refuse: fn(&Request<'_>, &Fault) -> Reply,
    /// The answer to a question of the SDK.
    pub ask: fn(&Request<'_>, &'static str, Option<&Source>) -> Reply,
    /// The member that holds an event's id, for rejects.
    pub id_member: &'static str,
}

/// Every protocol, in the order in which paths are offered to them.
pub(crate) static PROTOCOLS: [Row; 7] =
    [native::ROW, segment::ROW, posthog::ROW, ga4::ROW, iglu_webhook::ROW, snowplow::ROW, snowplow_tsv::ROW];

/// The kind of what is read from a file instead of a request.
pub(crate) const IMPORT: &str = "import";

pub(crate) use snowplow_tsv::times as tsv_times;

/// Nothing to settle.
fn begin_nothing(_: &Request<'_>, _: &Source, _: Random<'_>) -> Begun {
    Begun::default()
}

/// Nothing to ask.
fn ask_nothing(_: &Request<'_>, _: &'static str, _: Option<&Source>) -> Reply {
    Reply::problem(&Fault::new("route_unknown", "nothing answers here"))
}

fn refuse_with_problem(_: &Request<'_>, fault: &Fault) -> Reply {
    Reply::problem(fault)
}

/// The events of a body that is one event, an array of them, or an object with a `batch`; with the object around them.
fn batch_or_single<'a>(body: &'a [u8], limits: &Limits) -> Result<(Vec<Piece<'a>>, Option<Frame<'a>>), Fault> {
    let start = scan::skip_space(body, 0);
    match body.get(start) {
        None => return Err(Fault::new("body_empty", "the body is empty")),
        Some(b'[') => return Ok((scan::elements(body, limits.batch_events), None)),
        _ => {}
    }
    let mut frame = scan::frame(body, "batch", limits)?;
    let pieces = frame.list.take().unwrap_or_else(|| vec![Piece::new(body)]);
    Ok((pieces, Some(frame)))
}

/// The text of the first member of this (quoted) name: finds a key without parsing the event around it. Text with escapes
/// is no key that anyone configured.
pub(crate) fn text_after<'a>(bytes: &'a [u8], member: &[u8]) -> Option<&'a str> {
    let at = memchr::memmem::find(bytes, member)?;
    let rest = bytes[at + member.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(&rest[..end]).ok().filter(|text| !text.is_empty())
}

/// The name of a custom event; where it is also a native one, what it belongs to stands before it, for it was not
/// said in the words that the native event needs.
fn custom_name(belongs_to: &str, name: &str) -> EventName {
    match EventName::from(name) {
        EventName::Custom(name) => EventName::Custom(name),
        native => EventName::Custom(compact_str::format_compact!("{belongs_to}.{native}")),
    }
}

/// A fresh version 4 UUID from the caller's random numbers.
fn fresh_uuid(random: Random<'_>) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(random().to_be_bytes()).into_uuid()
}

/// Adds a value to the properties: objects flattened with points, arrays as JSON text.
fn add_property(properties: &mut BTreeMap<Str, PropertyValue>, name: Str, value: &crate::json::Json<'_>) {
    use crate::json::Json;
    let value = match value {
        Json::Null => PropertyValue::Null,
        Json::Bool(value) => PropertyValue::Bool(*value),
        Json::Int(value) => PropertyValue::Int(*value),
        Json::Float(value) => PropertyValue::Float(*value),
        // Nor is an object cut in half one, told as text.
        Json::Text(text) if text.len() > crate::field::TEXT_BYTES && crate::property::is_json(text) => return,
        Json::Text(text) => PropertyValue::Text(crate::field::cut(text, crate::field::TEXT_BYTES)),
        Json::List(_) => {
            let text = crate::property::list_text(&name, value);
            // A list cut in half is no list.
            if text.len() > crate::field::TEXT_BYTES {
                return;
            }
            PropertyValue::Text(text.into())
        }
        Json::Object(members) => {
            for (key, value) in members {
                add_property(properties, compact_str::format_compact!("{name}.{key}"), value);
            }
            return;
        }
    };
    // `{"a": {"b": 1}, "a.b": 2}`: the first one stays.
    properties.entry(name).or_insert(value);
}
