//! Snowplow's tracker protocol: `POST` of payload_data to any `/{vendor}/{version}`, and pixels at `/i`, `/ice.png`.
//!
//! Parameters of a `POST`'s query override those of its events. Answers never tell a tracker to forget events: what is
//! wrong with them is said in the dead letters.

use super::snowplow_shop::Described;
use super::{Answer, Begun, Envelope, Protocol, Random, Reading, Route, Row};
use crate::draft::Draft;
use crate::json::{self, Json};
use crate::scan::{self, Piece};
use crate::time::{self, Clock};
use crate::{Fault, Limits, Reply, Request, Source, decode, field, quote, whole_cart};
use compact_str::format_compact;
use midsession_event::{Dialect, Event, EventName, Order, Page, Product, PropertyValue, Str, canonical_name};
use std::borrow::Cow;

pub(super) const ROW: Row = Row {
    protocol: Protocol::Snowplow,
    route,
    envelope,
    begin,
    event,
    accept,
    refuse,
    ask: super::ask_nothing,
    id_member: "eid",
};

/// The network user id of nobody.
pub(super) const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// A transparent pixel.
const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
const COOKIE_LIFE_S: u32 = 365 * 86_400;
/// First segments that belong to other routes; `v1` is never a vendor.
const NOT_VENDORS: [&str; 22] = [
    "v1",
    "v2",
    "r",
    "shop",
    "mp",
    "array",
    "flags",
    "decide",
    "batch",
    "beacon",
    "capture",
    "track",
    "e",
    "engage",
    "static",
    "assets",
    "sourceConfig",
    "micro",
    "subjects",
    "health",
    "ready",
    "sink-health",
];

fn route(request: &Request<'_>) -> Option<Route> {
    let pixel = matches!(request.method, "GET" | "HEAD");
    match request.path {
        "/i" | "/ice.png" => return pixel.then_some(Route::Collect("pixel")),
        _ => {}
    }
    let mut segments = request.path.strip_prefix('/')?.split('/');
    let (vendor, version) = (segments.next()?, segments.next()?);
    if segments.next().is_some() || vendor.is_empty() || version.is_empty() || NOT_VENDORS.contains(&vendor) {
        return None;
    }
    if request.method == "POST" {
        return Some(Route::Collect("post"));
    }
    // A pixel on somebody's own path: told from a page by its vendor or its event.
    let is_event = vendor.contains('.') || request.query.starts_with("e=") || request.query.contains("&e=");
    (pixel && is_event).then_some(Route::Collect("pixel"))
}

fn envelope<'a>(request: &Request<'a>, kind: &str, body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Fault> {
    let mut pieces = Vec::new();
    let query = Piece::new(request.query.as_bytes());
    if kind == "pixel" {
        if !request.query.is_empty() {
            pieces.push(query);
        }
    } else if body.trim_ascii().is_empty() {
        return Err(Fault::new("body_empty", "the body is empty"));
    } else {
        pieces = events_of(body, limits)?;
    }
    let app_id = app_id(request, pieces.first(), kind);
    Ok(Envelope { app_id: Some(app_id), ..Envelope::new(pieces) })
}

/// The events of a payload_data object.
fn events_of<'a>(body: &'a [u8], limits: &Limits) -> Result<Vec<Piece<'a>>, Fault> {
    let frame = scan::frame(body, "data", limits)?;
    let schema = frame.text("schema");
    let is_payload = schema
        .as_deref()
        .is_some_and(|schema| schema.starts_with("iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-"));
    if !is_payload {
        return Err(Fault::new("payload_schema", "the body is not payload_data 1-0-x")
            .at("schema")
            .hint("post what a Snowplow tracker posts, or use the Iglu webhook"));
    }
    let pieces = frame.list.ok_or_else(|| Fault::new("field_missing", "data is not an array").at("data"))?;
    if pieces.is_empty() {
        return Err(Fault::new("payload_empty", "data holds no event").at("data"));
    }
    Ok(pieces)
}

/// `aid` of the query or of the first event; empty when there is none.
fn app_id<'a>(request: &Request<'a>, first: Option<&Piece<'a>>, kind: &str) -> Cow<'a, str> {
    if let Some(id) = request.query_value("aid") {
        return id;
    }
    if kind == "pixel" {
        return Cow::Borrowed("");
    }
    let Some(piece) = first else { return Cow::Borrowed("") };
    Cow::Borrowed(super::text_after(piece.bytes, b"\"aid\"").unwrap_or_default())
}

pub(super) fn begin(request: &Request<'_>, source: &Source, random: Random<'_>) -> Begun {
    if request.header("sp-anonymous").is_some() {
        return Begun { network_user: None, network_user_is_new: false, anonymous: true };
    }
    let is_uuid = |text: &str| uuid::Uuid::try_parse(text).is_ok_and(|id| !id.is_nil());
    let said = request.query_value("nuid").filter(|id| is_uuid(id)).map(|id| Str::from(id.as_ref()));
    let known = said.or_else(|| request.cookie(&source.cookie_name).filter(|id| is_uuid(id)).map(Str::from));
    let is_new = known.is_none();
    // A retry must meet its first copy: what is made up comes from the first event's id, where there is one.
    let first = request.query_value("eid").or_else(|| super::text_after(request.body, b"\"eid\"").map(Cow::Borrowed));
    let id = known.unwrap_or_else(|| match first {
        Some(eid) => {
            let bits = midsession_event::hash128(&["nuid", source.name.as_str(), &eid]);
            format_compact!("{}", uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
        }
        None => format_compact!("{}", super::fresh_uuid(random)),
    });
    Begun { network_user: Some(id), network_user_is_new: is_new, anonymous: false }
}

macro_rules! parameters {
    ($($name:ident)*) => {
        /// The parameters that are looked at.
        #[derive(Default)]
        pub(super) struct Parameters<'p> { $(pub $name: Option<Cow<'p, str>>,)* }

        impl<'p> Parameters<'p> {
            /// Takes one in; says whether it is one of these.
            fn take(&mut self, name: &str, value: Cow<'p, str>) -> bool {
                match name {
                    $(stringify!($name) => self.$name = Some(value),)*
                    _ => return false,
                }
                true
            }
        }
    };
}

parameters! {
    e eid aid p tv dtm stm ttm uid duid nuid tnuid sid vid url page refr ue_pr ue_px co cx ip ua lang
    se_ca se_ac se_la se_pr se_va pp_mix pp_max pp_miy pp_may
    tr_id tr_af tr_tt tr_tx tr_sh tr_cu ti_id ti_sk ti_nm ti_na ti_ca ti_pr ti_qu ti_cu
}

/// Parameters of the protocol that carry nothing for us, so that strict sources can tell unknown ones.
const KNOWN: [&str; 33] = [
    "tna", "tz", "tid", "fp", "ctype", "res", "vp", "ds", "cd", "cs", "cookie", "mac", "f_pdf", "f_qt", "f_realp",
    "f_wma", "f_dir", "f_fla", "f_java", "f_gears", "f_ag", "ad_ba", "ad_ca", "ad_ad", "ad_uid", "tr_ci", "tr_st",
    "tr_co", "sa", "sn", "st", "sp", "ue_na",
];

fn event(reading: &Reading<'_>, _: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let mut parameters = Parameters::default();
    let strict = reading.source.strict;
    let unknown = |name: &str| Fault::new("unknown_field", "payload_data knows no such key").at(quote::name(name));
    let value;
    if reading.kind == "pixel" {
        for (key, text) in form_urlencoded::parse(piece.bytes) {
            if !parameters.take(&key, text) && strict && !KNOWN.contains(&key.as_ref()) {
                return Err(unknown(&key));
            }
        }
    } else {
        value = json::parse(piece.bytes, limits)?;
        let Json::Object(members) = &value else {
            return Err(Fault::new("wrong_type", "an event of payload_data is an object"));
        };
        for (key, value) in members {
            let Json::Text(text) = value else {
                let message = format_compact!("{} where payload_data has text", value.kind());
                return Err(Fault::new("wrong_type", message).at(quote::name(key)));
            };
            if !parameters.take(key, Cow::Borrowed(text)) && strict && !KNOWN.contains(&key.as_ref()) {
                return Err(unknown(key));
            }
        }
        if !reading.request.query.is_empty() {
            for (key, text) in form_urlencoded::parse(reading.request.query.as_bytes()) {
                parameters.take(&key, text);
            }
        }
    }
    for (value, name) in [(&parameters.e, "e"), (&parameters.p, "p"), (&parameters.tv, "tv")] {
        if value.as_deref().is_none_or(str::is_empty) {
            return Err(Fault::new("field_missing", "payload_data requires e, p and tv").at(name));
        }
    }
    read(reading, &parameters, random)
}

/// Makes an event of its parameters.
pub(super) fn read(reading: &Reading<'_>, given: &Parameters<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let limits = reading.limits;
    let id = match given.eid.as_deref().filter(|id| !id.is_empty()) {
        Some(id) if uuid::Uuid::try_parse(id).is_ok_and(|id| !id.is_nil()) => Str::from(id),
        Some(_) => return Err(Fault::new("id_invalid", "eid is not a UUID").at("eid")),
        None => format_compact!("{}", super::fresh_uuid(random)),
    };
    let ms = |text: &Option<Cow<'_, str>>| text.as_deref().and_then(time::parse_epoch_ms);
    let clock = Clock::Snowplow { created: ms(&given.dtm), sent: ms(&given.stm), true_time: ms(&given.ttm) };
    let mut draft = Draft::new(&reading.source.name, id.into(), EventName::PageView, clock);
    draft.anonymous = reading.begun.anonymous;
    draft.by_server = given.p.as_deref() == Some("srv");
    draft.agent = given.ua.as_deref().map(|agent| field::cut(agent, 512));
    draft.address = given.ip.as_deref().and_then(|address| address.parse().ok());
    who(reading, given, &mut draft.event)?;
    place(given, &mut draft.event);
    match given.e.as_deref() {
        Some("pv") => {}
        Some("pp") => {
            draft.event.name = EventName::PagePing;
            let offsets = [
                (&given.pp_mix, "min_x"),
                (&given.pp_max, "max_x"),
                (&given.pp_miy, "min_y"),
                (&given.pp_may, "max_y"),
            ];
            for (value, name) in offsets {
                if let Some(offset) = value.as_deref().and_then(|text| text.parse().ok()) {
                    draft.event.properties.insert(name.into(), PropertyValue::Int(offset));
                }
            }
        }
        Some("se") => structured(given, &mut draft.event)?,
        Some("ue") => {
            let text = described_text(&given.ue_pr, &given.ue_px, "ue_pr")?;
            let value = json::parse(&text, limits).map_err(|fault| fault.at("ue_pr"))?;
            let mut described = Described { reading, event: &mut draft.event };
            draft.consent = described.unstruct(&value).map_err(|fault| fault.at("ue_pr"))?;
        }
        Some("tr") => transaction(given, &mut draft.event)?,
        Some("ti") => item(given, &mut draft.event, limits)?,
        _ => {
            return Err(Fault::new("event_type_unknown", "e is none of pv, pp, se, ue, tr, ti").at("e"));
        }
    }
    if given.co.is_some() || given.cx.is_some() {
        let text = described_text(&given.co, &given.cx, "co")?;
        let value = json::parse(&text, limits).map_err(|fault| fault.at("co"))?;
        Described { reading, event: &mut draft.event }.entities(&value).map_err(|fault| fault.at("co"))?;
        whole_cart::add_total(&mut draft.event, None);
    }
    if draft.event.visitor_id.is_none() {
        // The session of a tracker without a user id is steadier than a cookie that has just been made.
        let is_new = reading.begun.network_user_is_new;
        let session = draft.event.tracker_session_id.clone().filter(|_| is_new);
        // A server that names its user needs no made-up visitor beside them.
        let network = reading.begun.network_user.clone().filter(|_| !is_new || draft.event.user_id.is_none());
        draft.event.visitor_id = session.or(network).map(Into::into);
    }
    Ok(draft)
}

/// The JSON text of a parameter that comes plain or in base64.
fn described_text<'p>(
    plain: &'p Option<Cow<'_, str>>,
    encoded: &'p Option<Cow<'_, str>>,
    field: &'static str,
) -> Result<Cow<'p, [u8]>, Fault> {
    match (plain.as_deref().filter(|text| !text.is_empty()), encoded) {
        (Some(text), _) => Ok(Cow::Borrowed(text.as_bytes())),
        (None, Some(text)) => decode::base64(text.as_bytes())
            .map(Cow::Owned)
            .ok_or_else(|| Fault::new("base64_invalid", "the base64 can't be read").at(field)),
        (None, None) => Err(Fault::new("field_missing", "a self-describing event has ue_pr or ue_px").at(field)),
    }
}

fn who(reading: &Reading<'_>, given: &Parameters<'_>, event: &mut Event) -> Result<(), Fault> {
    let limits = reading.limits;
    let id = |text: &Option<Cow<'_, str>>, name| match text.as_deref() {
        None | Some(NOBODY) => Ok(None),
        Some(text) => field::check_id(text, name, limits, true),
    };
    event.user_id = id(&given.uid, "uid")?.map(Into::into);
    event.visitor_id = id(&given.duid, "duid")?.map(Into::into);
    if event.visitor_id.is_none() {
        let network = id(&given.tnuid, "tnuid")?;
        event.visitor_id = if network.is_some() { network } else { id(&given.nuid, "nuid")? }.map(Into::into);
    }
    event.tracker_session_id = match given.sid.as_deref() {
        Some(text) => field::check_id(text, "sid", limits, false)?,
        None => None,
    };
    Ok(())
}

fn place(given: &Parameters<'_>, event: &mut Event) {
    let text = |text: &Option<Cow<'_, str>>, bytes| {
        text.as_deref().filter(|text| !text.is_empty()).map(|text| field::cut(text, bytes))
    };
    let long = 4 * field::URL_BYTES;
    let page = Page {
        url: text(&given.url, long),
        title: text(&given.page, field::TEXT_BYTES),
        referrer: text(&given.refr, long),
    };
    if page != Page::default() {
        event.page = Some(page);
    }
    for (value, name) in [(&given.p, "platform"), (&given.aid, "app_id"), (&given.lang, "language")] {
        if let Some(value) = text(value, 64) {
            event.properties.insert(name.into(), PropertyValue::Text(value));
        }
    }
    if let Some(visit) = given.vid.as_deref().and_then(|text| text.parse().ok()) {
        event.properties.insert("visit".into(), PropertyValue::Int(visit));
    }
}

/// A structured event is a custom one, named by its action.
fn structured(given: &Parameters<'_>, event: &mut Event) -> Result<(), Fault> {
    let action = given.se_ac.as_deref().filter(|action| !action.is_empty());
    let action = action.ok_or_else(|| Fault::new("field_missing", "a structured event has an action").at("se_ac"))?;
    field::event_name(action, "se_ac")?;
    event.name = super::custom_name("struct", action);
    for (value, name) in [(&given.se_ca, "category"), (&given.se_la, "label"), (&given.se_pr, "property")] {
        if let Some(text) = value.as_deref().filter(|text| !text.is_empty()) {
            event.properties.insert(name.into(), PropertyValue::Text(field::cut(text, field::TEXT_BYTES)));
        }
    }
    if let Some(number) =
        given.se_va.as_deref().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite())
    {
        event.properties.insert("value".into(), PropertyValue::Float(number));
    }
    Ok(())
}

fn money(text: &Option<Cow<'_, str>>, name: &'static str) -> Result<Option<f64>, Fault> {
    text.as_deref().map_or(Ok(None), |text| field::money(&Json::Text(Cow::Borrowed(text)), name))
}

fn currency(text: &Option<Cow<'_, str>>, name: &'static str) -> Result<Option<Str>, Fault> {
    text.as_deref().map_or(Ok(None), |text| field::check_currency(text, name))
}

/// The ecommerce events of old trackers.
fn transaction(given: &Parameters<'_>, event: &mut Event) -> Result<(), Fault> {
    event.name = canonical_name(Dialect::Snowplow, "transaction").0;
    event.order = Some(Order {
        id: given.tr_id.as_deref().map(|id| field::cut(id, 256)),
        revenue: money(&given.tr_tt, "tr_tt")?,
        currency: currency(&given.tr_cu, "tr_cu")?,
        tax: money(&given.tr_tx, "tr_tx")?,
        shipping: money(&given.tr_sh, "tr_sh")?,
        discount: None,
    });
    if let Some(affiliation) = given.tr_af.as_deref() {
        event.properties.insert("affiliation".into(), PropertyValue::Text(field::cut(affiliation, 256)));
    }
    Ok(())
}

fn item(given: &Parameters<'_>, event: &mut Event, limits: &Limits) -> Result<(), Fault> {
    event.name = EventName::Custom("transaction_item".into());
    event.order = Some(Order { id: given.ti_id.as_deref().map(|id| field::cut(id, 256)), ..Order::default() });
    let sku = given.ti_sk.as_deref().unwrap_or_default();
    let id = field::check_id(sku, "ti_sk", limits, false)?
        .ok_or_else(|| Fault::new("field_missing", "a transaction item has a SKU").at("ti_sk"))?;
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| field::cut(text, field::TEXT_BYTES));
    event.products.push(Product {
        id: id.into(),
        name: text(&given.ti_nm).or_else(|| text(&given.ti_na)),
        category: text(&given.ti_ca),
        brand: None,
        price: money(&given.ti_pr, "ti_pr")?,
        currency: currency(&given.ti_cu, "ti_cu")?,
        quantity: given.ti_qu.as_deref().and_then(|text| text.parse().ok()),
        position: None,
    });
    Ok(())
}

fn accept(answer: &Answer<'_>) -> Reply {
    with_cookie(plain(answer.kind), answer)
}

pub(super) fn plain(kind: &str) -> Reply {
    if kind == "pixel" {
        Reply::new(200, "image/gif", GIF).with("cache-control", "no-cache, no-store, must-revalidate")
    } else {
        Reply::new(200, "text/plain; charset=UTF-8", &b"ok"[..])
    }
}

pub(super) fn with_cookie(reply: Reply, answer: &Answer<'_>) -> Reply {
    let name = &answer.source.cookie_name;
    let domain = cookie_domain(answer.request, answer.source);
    match &answer.begun.network_user {
        Some(id) if answer.may_set_cookie => {
            let cookie =
                format!("{name}={id}; Max-Age={COOKIE_LIFE_S}; Path=/{domain}; Secure; HttpOnly; SameSite=None");
            reply.with("set-cookie", cookie)
        }
        // Whoever asks to be nobody loses the name they had.
        None if answer.request.cookie(name).is_some() => {
            reply.with("set-cookie", format!("{name}=; Max-Age=0; Path=/{domain}; Secure; HttpOnly; SameSite=None"))
        }
        _ => reply,
    }
}

/// The configured domain that the origin's host belongs to.
fn cookie_domain(request: &Request<'_>, source: &Source) -> String {
    let origin = request.header("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    let host = origin.unwrap_or_default().split(':').next().unwrap_or_default();
    let belongs = |domain: &&String| host == domain.as_str() || host.ends_with(&format!(".{domain}"));
    source.cookie_domains.iter().find(belongs).map(|domain| format!("; Domain={domain}")).unwrap_or_default()
}

/// A tracker retries what it is refused, or drops it for good: only a request that can never find a source is refused.
pub(super) fn refuse(request: &Request<'_>, fault: &Fault) -> Reply {
    match fault.code {
        "key_unknown" | "key_missing" | "app_id_unknown" | "origin_not_allowed" => Reply::problem(fault),
        _ if request.method == "POST" => plain("post"),
        _ => plain("pixel"),
    }
}
