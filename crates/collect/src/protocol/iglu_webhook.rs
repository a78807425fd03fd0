//! Snowplow's Iglu webhook: self-describing JSON by `POST`, or a schema and its fields in the query.

use super::snowplow_shop::Described;
use super::{Answer, Begun, Envelope, Protocol, Random, Reading, Route, Row};
use crate::draft::Draft;
use crate::json::{self, Json};
use crate::scan::{self, Piece};
use crate::time::{self, Clock};
use crate::{Fault, Limits, Request, Source, field};
use compact_str::format_compact;
use midsession_event::EventName;
use std::borrow::Cow;

pub(super) const ROW: Row = Row {
    protocol: Protocol::IgluWebhook,
    route: |request| match (request.method, request.path) {
        ("GET" | "HEAD", "/com.snowplowanalytics.iglu/v1") => Some(Route::Collect("pixel")),
        ("POST", "/com.snowplowanalytics.iglu/v1") => Some(Route::Collect("post")),
        _ => None,
    },
    envelope,
    begin,
    event,
    accept: |answer: &Answer<'_>| super::snowplow::with_cookie(super::snowplow::plain(answer.kind), answer),
    refuse: super::snowplow::refuse,
    ask: super::ask_nothing,
    id_member: "eid",
};

/// Query parameters that are the event's own and not its data's.
const OWN: [&str; 9] = ["schema", "aid", "eid", "uid", "duid", "nuid", "sid", "ttm", "key"];

fn envelope<'a>(request: &Request<'a>, kind: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let start = scan::skip_space(body, 0);
    let pieces = match (kind, body.get(start)) {
        ("pixel", _) if request.query.is_empty() => Vec::new(),
        ("pixel", _) => vec![Piece::new(request.query.as_bytes())],
        (_, None) => return Err(Fault::new("body_empty", "the body is empty")),
        (_, Some(b'[')) => scan::elements(body, limits.batch_events),
        _ => match scan::single(body) {
            Some(piece) => vec![piece],
            // Form fields, for webhooks that know nothing else; the schema stands in the query.
            None => vec![Piece::new(body)],
        },
    };
    let app_id = request.query_value("aid").unwrap_or_default();
    Ok(Envelope { app_id: Some(app_id), ..Envelope::new(pieces) })
}

fn begin(request: &Request<'_>, source: &Source, random: Random<'_>) -> Begun {
    super::snowplow::begin(request, source, random)
}

fn event(reading: &Reading<'_>, _: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let own = |name: &str| reading.request.query_value(name).filter(|value| !value.is_empty());
    let clock =
        Clock::Snowplow { created: None, sent: None, true_time: own("ttm").as_deref().and_then(time::parse_epoch_ms) };
    let id = match own("eid") {
        Some(id) if uuid::Uuid::try_parse(&id).is_ok_and(|id| !id.is_nil()) => id.as_ref().into(),
        Some(_) => return Err(Fault::new("id_invalid", "eid is not a UUID").at("eid")),
        None => format_compact!("{}", super::fresh_uuid(random)).into(),
    };
    let mut draft = Draft::new(&reading.source.name, id, EventName::PageView, clock);
    draft.anonymous = reading.begun.anonymous;
    let who = |name: &'static str| own(name).map_or(Ok(None), |id| field::check_id(&id, name, limits, true));
    draft.event.user_id = who("uid")?.map(Into::into);
    let begun = &reading.begun;
    let network = begun.network_user.clone().filter(|_| !begun.network_user_is_new || draft.event.user_id.is_none());
    draft.event.visitor_id = who("duid")?.or(network).map(Into::into);
    draft.event.tracker_session_id = who("sid")?;
    let is_json = reading.kind == "post" && matches!(piece.bytes.first(), Some(b'{' | b'['));
    let value = if is_json { json::parse(piece.bytes, limits)? } else { from_form(reading, piece)? };
    // A bare object is data of the schema in the query.
    let value = match own("schema") {
        Some(schema) if is_json && value.get("schema").is_none() => described(Json::Text(schema), value),
        _ => value,
    };
    draft.consent = Described { reading, event: &mut draft.event }.event(&value)?;
    Ok(draft)
}

fn described<'a>(schema: Json<'a>, data: Json<'a>) -> Json<'a> {
    Json::Object(vec![(Cow::Borrowed("schema"), schema), (Cow::Borrowed("data"), data)])
}

fn from_form<'a>(reading: &Reading<'_>, piece: Piece<'a>) -> Result<Json<'a>, Fault> {
    let mut schema = reading.request.query_value("schema").map(Cow::into_owned);
    let mut data: Vec<json::Member<'a>> = Vec::new();
    for (key, value) in form_urlencoded::parse(piece.bytes) {
        if key == "schema" {
            schema = Some(value.into_owned());
        } else if !OWN.contains(&key.as_ref()) {
            if data.iter().any(|(known, _)| *known == key) {
                return Err(json::duplicate(&key));
            }
            if data.len() == reading.limits.properties || key.len() > reading.limits.key_bytes {
                return Err(Fault::new("too_many_properties", "too many or too long parameters"));
            }
            data.push((key, Json::Text(value)));
        }
    }
    let schema = schema.ok_or_else(|| {
        Fault::new("field_missing", "the webhook names no schema")
            .at("schema")
            .hint("?schema=iglu:vendor/name/jsonschema/1-0-0")
    })?;
    Ok(described(Json::Text(Cow::Owned(schema)), Json::Object(data)))
}
