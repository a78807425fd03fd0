//! Segment's and RudderStack's SDKs: single calls on long and short paths, batches, beacons and the settings they ask for.

use super::{Answer, Envelope, Protocol, Random, Reading, Route, Row, add_property, commerce};
use crate::agent::is_server_library;
use crate::draft::Draft;
use crate::field;
use crate::json::{self, Json};
use crate::scan::Piece;
use crate::time::{self, Clock};
use crate::{Fault, Limits, Reply, Request, Source, consent};
use compact_str::format_compact;
use midsession_event::{Campaign, Dialect, Event, EventName, Page, PropertyValue, Str, canonical_name};
use serde_json::json;
use std::borrow::Cow;

pub(super) const ROW: Row = Row {
    protocol: Protocol::Segment,
    route,
    envelope,
    begin: super::begin_nothing,
    event,
    accept: |_: &Answer<'_>| Reply::json(200, &json!({ "success": true })),
    refuse,
    ask,
    id_member: "messageId",
};

/// What the consent tools of Segment (of late, and before) and of RudderStack track when a shopper has chosen.
const CONSENT_EVENTS: [&str; 3] =
    ["Segment Consent Preference Updated", "Segment Consent Preference", "Consent Management Interaction"];

fn route(request: &Request<'_>) -> Option<Route> {
    if request.method == "POST" {
        if request.path == "/beacon/v1/batch" {
            return Some(Route::Collect("batch"));
        }
        let kind = match request.path.strip_prefix("/v1/")?.trim_end_matches('/') {
            "track" | "t" => "track",
            "identify" | "i" => "identify",
            "page" | "p" => "page",
            "screen" | "s" => "screen",
            "group" | "g" => "group",
            "alias" | "a" => "alias",
            "batch" | "b" | "import" => "batch",
            _ => return None,
        };
        return Some(Route::Collect(kind));
    }
    if request.method != "GET" {
        return None;
    }
    if request.path.trim_end_matches('/') == "/sourceConfig" {
        return Some(Route::Ask("rudder"));
    }
    let key = request.path.strip_prefix("/v1/projects/")?.strip_suffix("/settings")?;
    (!key.is_empty() && !key.contains('/')).then_some(Route::Ask("segment"))
}

fn envelope<'a>(request: &Request<'a>, _: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let (pieces, frame) = super::batch_or_single(body, limits)?;
    let text = |name: &str| frame.as_ref().and_then(|frame| frame.text(name));
    let key = request
        .authorization_key()
        .filter(|key| !key.is_empty())
        .or_else(|| text("writeKey"))
        .or_else(|| request.query_value("writeKey"))
        .or_else(|| request.header("writekey").map(Cow::Borrowed));
    let sent = text("sentAt").or_else(|| request.header("sentat").map(Cow::Borrowed));
    let sent_at_ms = sent.and_then(|sent| time::parse(&Json::Text(sent), "sentAt").ok().flatten());
    // A single call's context is its own.
    let is_single = matches!(pieces.as_slice(), [only] if only.bytes.len() == body.len());
    let shared = match frame.as_ref().and_then(|frame| frame.get("context")).filter(|_| !is_single) {
        Some(context) => json::parse(context.bytes, limits).map_err(|fault| fault.at("context"))?,
        None => Json::Null,
    };
    Ok(Envelope { key, sent_at_ms, shared, ..Envelope::new(pieces) })
}

/// A call's members, borrowed.
#[derive(Default)]
struct Call<'j, 'a> {
    kind: Option<&'j str>,
    event: Option<&'j Json<'a>>,
    properties: Option<&'j Json<'a>>,
    traits: Option<&'j Json<'a>>,
    context: Option<&'j Json<'a>>,
    name: Option<&'j Json<'a>>,
    category: Option<&'j Json<'a>>,
    group: Option<&'j Json<'a>>,
    previous: Option<&'j Json<'a>>,
    channel: Option<&'j str>,
}

fn event(reading: &Reading<'_>, envelope: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let value = json::parse(piece.bytes, limits)?;
    let Json::Object(members) = &value else {
        return Err(Fault::new("wrong_type", "a call is a JSON object"));
    };
    let mut call = Call::default();
    let clock = Clock::Device { device: None, sent: None };
    let mut draft = Draft::new(&reading.source.name, "".into(), EventName::PageView, clock);
    let event = &mut draft.event;
    let (mut original, mut timestamp, mut sent, mut is_corrected) = (None, None, envelope.sent_at_ms, false);
    for (key, value) in members {
        match key.as_ref() {
            "type" => call.kind = value.text(),
            "event" => call.event = Some(value),
            "properties" => call.properties = Some(value),
            "traits" => call.traits = Some(value),
            "context" => call.context = Some(value),
            "name" => call.name = Some(value),
            "category" => call.category = Some(value),
            "groupId" => call.group = Some(value),
            "previousId" => call.previous = Some(value),
            "channel" => call.channel = value.text(),
            "messageId" => event.event_id = field::id(value, "messageId", limits)?.unwrap_or_default().into(),
            "anonymousId" => event.visitor_id = field::who(value, "anonymousId", limits)?.map(Into::into),
            "userId" => event.user_id = field::who(value, "userId", limits)?.map(Into::into),
            "originalTimestamp" => original = time::parse(value, "originalTimestamp")?,
            "timestamp" => timestamp = time::parse(value, "timestamp")?,
            // No SDK sends that: Segment writes it, beside a timestamp that it has corrected by then.
            "receivedAt" => is_corrected = !matches!(value, Json::Null),
            "sentAt" => sent = time::parse(value, "sentAt")?.or(sent),
            _ => {}
        }
    }
    if event.event_id.as_str().is_empty() {
        event.event_id = format_compact!("{}", super::fresh_uuid(random)).into();
    }
    draft.clock = match (original, timestamp) {
        (None, Some(true_time)) if is_corrected => Clock::Corrected { true_time, sent },
        _ => Clock::Device { device: original.or(timestamp), sent },
    };
    context(&mut draft, reading, call.context, &envelope.shared)?;
    draft.by_server |= call.channel == Some("server");
    let kind = if reading.kind == "batch" { call.kind.unwrap_or_default() } else { reading.kind };
    read(&mut draft.event, kind, &call, limits)?;
    if matches!(&draft.event.name, EventName::Custom(name) if CONSENT_EVENTS.contains(&name.as_str()))
        && draft.consent.is_some()
    {
        draft.event.name = EventName::Consent;
    }
    Ok(draft)
}

fn read(event: &mut Event, kind: &str, call: &Call<'_, '_>, limits: &Limits) -> Result<(), Fault> {
    let properties = call.properties.map_or(&[][..], Json::members);
    match kind {
        "track" => {
            let name = call.event.and_then(Json::text).unwrap_or_default();
            field::event_name(name, "event")?;
            let (native, step) = canonical_name(Dialect::Segment, name);
            (event.name, event.step) = (native, step);
            commerce::read(event, properties, limits, |_| false).map_err(|fault| fault.at("properties"))?;
        }
        "page" | "screen" => {
            page_view(event, kind, call)?;
            let known = ["url", "title", "referrer", "path", "search", "tab_url", "initial_referrer"];
            for (key, value) in properties.iter().filter(|(key, _)| !known.contains(&key.as_ref())) {
                add_property(&mut event.properties, key.as_ref().into(), value);
            }
        }
        "identify" => {
            // Who signs in is named; traits alone are told of a visitor without making them anybody.
            let named = event.user_id.is_some();
            event.name = if named { EventName::Login } else { EventName::Custom("identify".into()) };
            if let Some(traits) = call.traits {
                add_property(&mut event.properties, "traits".into(), traits);
            }
        }
        "group" => {
            event.name = EventName::Custom("group".into());
            let id = call.group.map_or(Ok(None), |id| field::id(id, "groupId", limits))?;
            let id = id.ok_or_else(|| Fault::new("field_missing", "a group call names its group").at("groupId"))?;
            event.properties.insert("group_id".into(), PropertyValue::Text(id));
        }
        "alias" => {
            event.name = EventName::Login;
            let previous = call.previous.map_or(Ok(None), |id| field::who(id, "previousId", limits))?;
            // analytics.js names who is signed in as both: that is the device's.
            let is_user = |id: &Str| event.user_id.as_ref().is_some_and(|user| user.0 == *id);
            if let Some(previous) = previous.filter(|id| !is_user(id)) {
                event.visitor_id = Some(previous.into());
            }
        }
        _ => {
            return Err(Fault::new(
                "event_type_unknown",
                "type is none of track, page, screen, identify, group, alias",
            )
            .at("type"));
        }
    }
    Ok(())
}

fn page_view(event: &mut Event, kind: &str, call: &Call<'_, '_>) -> Result<(), Fault> {
    event.name = EventName::PageView;
    let property = |name: &str| call.properties.and_then(|properties| properties.get(name));
    let page = event.page.get_or_insert_with(Page::default);
    for (slot, name) in [(&mut page.url, "url"), (&mut page.title, "title"), (&mut page.referrer, "referrer")] {
        if let Some(value) = property(name) {
            *slot = field::long_text(value, "properties", 4 * field::URL_BYTES)?.or(slot.take());
        }
    }
    for (value, name) in [(call.name, "name"), (call.category, "category")] {
        if let Some(text) = value.map_or(Ok(None), |value| field::text(value, "name"))? {
            if kind == "screen" && name == "name" {
                page.title.get_or_insert_with(|| text.clone());
            }
            event.properties.insert(name.into(), PropertyValue::Text(text));
        }
    }
    Ok(())
}

/// The event's own context, and the batch's where it says nothing.
fn context(draft: &mut Draft, reading: &Reading<'_>, own: Option<&Json<'_>>, shared: &Json<'_>) -> Result<(), Fault> {
    let get = |name: &str| own.and_then(|own| own.get(name)).or_else(|| shared.get(name));
    let text = |value: Option<&Json<'_>>| value.and_then(Json::text).filter(|text| !text.is_empty()).map(str::to_owned);
    let event = &mut draft.event;
    if let Some(page) = get("page") {
        let long = |name: &str| text(page.get(name)).map(|text| field::cut(&text, 4 * field::URL_BYTES));
        let page = Page {
            url: long("url"),
            title: long("title").map(|title| field::cut(&title, field::TEXT_BYTES)),
            referrer: long("referrer"),
        };
        event.page = (page != Page::default()).then_some(page);
    }
    if let Some(campaign) = get("campaign") {
        let part = |name: &str| text(campaign.get(name)).map(|text| field::cut(&text, 256));
        let campaign = Campaign {
            source: part("source"),
            medium: part("medium"),
            name: part("name"),
            term: part("term"),
            content: part("content"),
        };
        event.campaign = (campaign != Campaign::default()).then_some(campaign);
    }
    // RudderStack's session id is a number.
    if let Some(session) = get("sessionId") {
        event.tracker_session_id = field::id(session, "context.sessionId", reading.limits)?;
    }
    draft.agent = text(get("userAgent")).map(|agent| field::cut(&agent, 512));
    draft.address = text(get("ip")).and_then(|address| address.parse().ok());
    let library = get("library").and_then(|library| library.get("name")).and_then(Json::text).unwrap_or_default();
    draft.by_server = is_server_library(library);
    let said = own.and_then(|own| consent::categories(own, reading.source));
    draft.consent = said.or_else(|| consent::categories(shared, reading.source));
    Ok(())
}

/// Segment's SDKs give up at 400 and try again at most others: what a second try can't mend is 400, but for the key, the
/// origin and a coding that none of the SDKs sends.
fn refuse(_: &Request<'_>, fault: &Fault) -> Reply {
    let status = fault.status();
    Reply::problem_as(if matches!(status, 401 | 403 | 415) { status } else { 400 }, fault)
}

fn ask(request: &Request<'_>, kind: &'static str, _: Option<&Source>) -> Reply {
    if kind == "rudder" {
        let key = request.query_value("writeKey").or_else(|| request.authorization_key()).unwrap_or_default();
        return Reply::json(
            200,
            &json!({ "source": {
                "id": "midsession", "name": "midsession", "writeKey": key, "enabled": true, "workspaceId": "midsession",
                "destinations": [], "connections": [], "dataplanes": {}, "updatedAt": "2026-01-01T00:00:00.000Z",
                "config": { "statsCollection": { "errors": { "enabled": false }, "metrics": { "enabled": false } } },
            }}),
        );
    }
    let key = request.path.split('/').nth(3).unwrap_or_default();
    let host = request.header("host").unwrap_or("localhost");
    let scheme = request
        .header("x-forwarded-proto")
        .or_else(|| request.header("origin").and_then(|origin| origin.split_once("://")).map(|(scheme, _)| scheme));
    let scheme = if scheme == Some("https") { "https" } else { "http" };
    let every = json!({ "__default": { "enabled": true, "integrations": {} } });
    Reply::json(
        200,
        &json!({
            "integrations": { "Segment.io": {
                "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": scheme, "unbundledIntegrations": [],
                "addBundledMetadata": true, "maybeBundledConfigIds": {},
            }},
            "plan": { "track": every, "identify": { "__default": { "enabled": true } }, "group": { "__default": { "enabled": true } } },
            "edgeFunction": {}, "analyticsNextEnabled": true, "middlewareSettings": {}, "enabledMiddleware": {},
            "metrics": { "sampleRate": 0 }, "legacyVideoPluginsEnabled": false, "remotePlugins": [],
        }),
    )
}
