//! PostHog's SDKs: `/batch/`, `/e/`, `/i/v0/e/`, `/capture`, `/track`, and the flags and configuration they ask for.

use super::{Answer, Envelope, Protocol, Random, Reading, Route, Row, commerce};
use crate::draft::Draft;
use crate::field;
use crate::json::{self, Json};
use crate::scan::Piece;
use crate::time::{self, Clock};
use crate::{Fault, Limits, Reply, Request, Source};
use compact_str::format_compact;
use midsession_event::{Campaign, Consent, Dialect, Event, EventName, Page, Str, canonical_name};
use serde_json::json;
use std::borrow::Cow;

pub(super) const ROW: Row = Row {
    protocol: Protocol::PostHog,
    route,
    envelope,
    begin: super::begin_nothing,
    event,
    accept: |_: &Answer<'_>| Reply::json(200, &json!({ "status": 1 })),
    refuse: super::refuse_with_problem,
    ask,
    id_member: "uuid",
};

/// The distinct id of everybody in PostHog's cookieless mode.
const COOKIELESS: &str = "$posthog_cookieless";

fn route(request: &Request<'_>) -> Option<Route> {
    let path = request.path.trim_end_matches('/');
    match (request.method, path) {
        ("POST", "/batch" | "/e" | "/i/v0/e" | "/capture" | "/track") => Some(Route::Collect("events")),
        ("POST", "/flags" | "/decide") => Some(Route::Ask("flags")),
        // Session recordings and heat maps: taken and forgotten, so that the SDK does not keep them.
        ("POST", "/s") => Some(Route::Ask("forget")),
        ("GET", _) => {
            let rest = path.strip_prefix("/array/")?;
            let (key, file) = rest.split_once('/')?;
            match file {
                "config" if !key.is_empty() => Some(Route::Ask("config")),
                "config.js" if !key.is_empty() => Some(Route::Ask("config.js")),
                _ => None,
            }
        }
        _ => None,
    }
}

fn envelope<'a>(request: &Request<'a>, _: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let (pieces, frame) = super::batch_or_single(body, limits)?;
    let text = |name: &str| frame.as_ref().and_then(|frame| frame.text(name));
    let in_event = pieces.first().and_then(|piece| {
        super::text_after(piece.bytes, b"\"token\"").or_else(|| super::text_after(piece.bytes, b"\"api_key\""))
    });
    let key = text("api_key")
        .or_else(|| text("token"))
        .or_else(|| in_event.map(Cow::Borrowed))
        .or_else(|| request.query_value("token"))
        .or_else(|| request.query_value("api_key"));
    // Older SDKs send the time of the request as `_`.
    let sent = text("sent_at").or_else(|| request.query_value("_"));
    let sent_at_ms = sent.and_then(|sent| time::parse(&Json::Text(sent), "sent_at").ok().flatten());
    Ok(Envelope { key, sent_at_ms, ..Envelope::new(pieces) })
}

fn event(reading: &Reading<'_>, envelope: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let value = json::parse(piece.bytes, limits)?;
    let Json::Object(members) = &value else {
        return Err(Fault::new("wrong_type", "an event is a JSON object"));
    };
    let clock = Clock::Device { device: None, sent: None };
    let mut draft = Draft::new(&reading.source.name, "".into(), EventName::PageView, clock);
    let (mut name, mut distinct, mut properties, mut device, mut age) = ("", None, &[][..], None, None);
    for (key, value) in members {
        match key.as_ref() {
            "event" => name = value.text().unwrap_or_default(),
            "uuid" => draft.event.event_id = field::id(value, "uuid", limits)?.unwrap_or_default().into(),
            "distinct_id" | "$distinct_id" => distinct = Some(value),
            "properties" => properties = value.members(),
            "timestamp" => device = time::parse(value, "timestamp")?,
            "offset" => age = field::count(value, "offset", 0..=i32::MAX)?,
            _ => {}
        }
    }
    field::event_name(name, "event")?;
    let find = |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let distinct = distinct.or_else(|| find("distinct_id"));
    if distinct.and_then(Json::text) == Some(COOKIELESS) || matches!(find("$cookieless_mode"), Some(Json::Bool(true))) {
        // Theirs is the day's id too, by address and agent.
        let default = reading.source.consent_default.purposes();
        draft.consent = Some(Consent(default.0 & Consent::COOKIELESS.0));
    } else {
        who(&mut draft.event, name, distinct, &find, limits)?;
    }
    if draft.event.event_id.as_str().is_empty() {
        draft.event.event_id = format_compact!("{}", super::fresh_uuid(random)).into();
    }
    let sent = envelope.sent_at_ms;
    draft.clock = match (device, age) {
        (None, Some(age)) => {
            let now = reading.request.received_at_ms();
            Clock::Device { device: Some(now - i64::from(age)), sent: Some(now) }
        }
        _ => Clock::Device { device, sent },
    };
    let (native, step) = canonical_name(Dialect::PostHog, name);
    (draft.event.name, draft.event.step) = (if name == "$create_alias" { EventName::Login } else { native }, step);
    place(&mut draft, &find)?;
    // What begins with $ is the SDK's own; the rest of what it adds is empty or said elsewhere.
    let skip = |name: &str| {
        name.starts_with('$')
            || name.starts_with("utm_")
            || matches!(name, "token" | "distinct_id" | "alias" | "title")
            || find(name) == Some(&Json::Null)
    };
    commerce::read(&mut draft.event, properties, limits, skip).map_err(|fault| fault.at("properties"))?;
    Ok(draft)
}

/// The device is the visitor; whom `$identify` (or the SDK since then) names is the user. A shop's server knows people, not
/// devices: whom it names is the user too, unless it says or its form says that this is somebody's device.
fn who<'j, 'a: 'j>(
    event: &mut Event,
    name: &str,
    distinct: Option<&Json<'_>>,
    find: &impl Fn(&str) -> Option<&'j Json<'a>>,
    limits: &Limits,
) -> Result<(), Fault> {
    let id = |value: Option<&Json<'_>>, field: &'static str| {
        value.map_or(Ok(None), |value| field::who(value, field, limits))
    };
    let mut distinct = id(distinct, "distinct_id")?;
    let device = id(find("$device_id"), "properties.$device_id")?;
    let anonymous = id(find("$anon_distinct_id"), "properties.$anon_distinct_id")?;
    let mut alias = if name == "$create_alias" { id(find("alias"), "properties.alias")? } else { None };
    let by_server = is_by_server(find);
    if let (Some(one), Some(other)) = (&distinct, &alias)
        && is_anonymous(one)
        && !is_anonymous(other)
    {
        // Servers name the two in either order, and a page that knows nobody yet has its own id first.
        std::mem::swap(&mut distinct, &mut alias);
    }
    let is_identified =
        matches!(name, "$identify" | "$create_alias") || matches!(find("$is_identified"), Some(Json::Bool(true)));
    let is_person = |id: &Str| {
        // A group without a person goes by `$type_key`.
        let is_group = name == "$groupidentify" && id.starts_with('$');
        by_server && !is_group && !is_anonymous(id) && find("$process_person_profile") != Some(&Json::Bool(false))
    };
    let user = id(find("$user_id"), "properties.$user_id")?
        .or_else(|| distinct.clone().filter(|id| is_identified || is_person(id)));
    let visitor = alias.or(device).or(anonymous).or_else(|| distinct.filter(|id| user.as_ref() != Some(id)));
    event.user_id = user.map(Into::into);
    event.visitor_id = visitor.map(Into::into);
    if let Some(session) = find("$session_id") {
        event.tracker_session_id = field::id(session, "properties.$session_id", limits)?;
    }
    Ok(())
}

/// Whether an SDK beside the shop's server sent it. Newer ones say so; of the others those on the shopper's device are known.
fn is_by_server<'j, 'a: 'j>(find: &impl Fn(&str) -> Option<&'j Json<'a>>) -> bool {
    if let Some(Json::Bool(said)) = find("$is_server") {
        return *said;
    }
    let library = find("$lib").and_then(Json::text).unwrap_or_default();
    !library.is_empty() && !ON_DEVICES.iter().any(|name| library.starts_with(name))
}

/// How the names of the libraries for browsers and apps begin.
const ON_DEVICES: [&str; 11] = [
    "web",
    "js",
    "posthog-js",
    "posthog-web",
    "posthog-browser",
    "posthog-ios",
    "posthog-android",
    "posthog-react-native",
    "posthog-flutter",
    "posthog-kmp",
    "posthog-unity",
];

/// The form of the ids that the SDKs on devices make for somebody whom they don't know: a version 7 UUID.
fn is_anonymous(id: &str) -> bool {
    uuid::Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 7)
}

fn place<'j, 'a: 'j>(draft: &mut Draft, find: &impl Fn(&str) -> Option<&'j Json<'a>>) -> Result<(), Fault> {
    let text = |name: &str, bytes: usize| {
        find(name)
            .and_then(Json::text)
            .filter(|text| !matches!(*text, "" | "$direct"))
            .map(|text| field::cut(text, bytes))
    };
    let long = 4 * field::URL_BYTES;
    let page = Page {
        url: text("$current_url", long),
        title: text("title", field::TEXT_BYTES),
        referrer: text("$referrer", long),
    };
    draft.event.page = (page != Page::default()).then_some(page);
    let part = |name: &str| -> Option<Str> { text(name, 256) };
    let campaign = Campaign {
        source: part("utm_source"),
        medium: part("utm_medium"),
        name: part("utm_campaign"),
        term: part("utm_term"),
        content: part("utm_content"),
    };
    draft.event.campaign = (campaign != Campaign::default()).then_some(campaign);
    draft.agent = text("$raw_user_agent", 512).or_else(|| text("$useragent", 512));
    draft.address = text("$ip", 64).and_then(|address| address.parse().ok());
    draft.by_server = is_by_server(find);
    if let Some(screen) = find("$screen_name") {
        let title = field::text(screen, "properties.$screen_name")?;
        draft.event.page.get_or_insert_with(Page::default).title = title;
    }
    Ok(())
}

fn ask(request: &Request<'_>, kind: &'static str, _: Option<&Source>) -> Reply {
    let key = request.path.split('/').nth(2).unwrap_or_default();
    let config = json!({
        "token": key, "supportedCompression": ["gzip", "gzip-js", "base64"], "hasFeatureFlags": false, "capturePerformance": false,
        "autocapture_opt_out": true, "autocaptureExceptions": false, "analytics": { "endpoint": "/e/" },
        "elementsChainAsString": true, "sessionRecording": false, "heatmaps": false, "surveys": false,
        "defaultIdentifiedOnly": false, "siteApps": [], "isAuthenticated": false, "toolbarParams": {},
    });
    match kind {
        "flags" => Reply::json(
            200,
            &json!({
                "featureFlags": {}, "featureFlagPayloads": {}, "flags": {}, "errorsWhileComputingFlags": false,
                "requestId": "00000000-0000-0000-0000-000000000000", "supportedCompression": ["gzip", "gzip-js", "base64"],
                "config": { "enable_collect_everything": false }, "sessionRecording": false, "siteApps": [],
                "isAuthenticated": false, "toolbarParams": {},
            }),
        ),
        "config.js" => {
            let text = format!(
                "(function(){{var c=window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{{}};c[{}]={{config:{config},siteApps:[]}};}})();",
                json!(key)
            );
            Reply::new(200, "text/javascript; charset=utf-8", text.into_bytes())
        }
        "config" => Reply::json(200, &config),
        _ => Reply::json(200, &json!({ "status": 1 })),
    }
}
