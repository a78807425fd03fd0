//! Snowplow's enriched events: one line of 131 tab-separated columns each, as its pipeline writes them.
//!
//! The columns are put back into the tracker's parameters and read like them, so that history means what the same
//! event means when it is collected. What enrichment added (place, campaign, device, robots) is taken from its columns
//! and derived contexts where the event itself does not say.

use super::snowplow::{NOBODY, Parameters};
use super::{Answer, Begun, Envelope, Protocol, Random, Reading, Row};
use crate::draft::Draft;
use crate::json::{self, Json};
use crate::scan::Piece;
use crate::{Fault, Limits, Reply, Request, Source, field, iglu};
use compact_str::format_compact;
use midsession_event::{Campaign, Event, Geo, Str};
use std::borrow::Cow;

pub(super) const ROW: Row = Row {
    protocol: Protocol::SnowplowTsv,
    route: |_| None,
    envelope,
    begin,
    event,
    accept: |_: &Answer<'_>| Reply::default(),
    refuse: super::refuse_with_problem,
    ask: super::ask_nothing,
    id_member: "event_id",
};

/// Columns of an enriched event.
const COLUMNS: usize = 131;

/// The places of the columns that are read.
mod at {
    pub const APP_ID: usize = 0;
    pub const PLATFORM: usize = 1;
    pub const COLLECTED: usize = 3;
    pub const CREATED: usize = 4;
    pub const EVENT: usize = 5;
    pub const EVENT_ID: usize = 6;
    pub const TRACKER: usize = 9;
    pub const USER_ID: usize = 12;
    pub const ADDRESS: usize = 13;
    pub const DOMAIN_USER: usize = 15;
    pub const VISIT: usize = 16;
    pub const NETWORK_USER: usize = 17;
    pub const COUNTRY: usize = 18;
    pub const REGION: usize = 19;
    pub const CITY: usize = 20;
    pub const URL: usize = 29;
    pub const TITLE: usize = 30;
    pub const REFERRER: usize = 31;
    pub const MEDIUM: usize = 47;
    pub const SOURCE: usize = 48;
    pub const TERM: usize = 49;
    pub const CONTENT: usize = 50;
    pub const CAMPAIGN: usize = 51;
    pub const CONTEXTS: usize = 52;
    pub const STRUCTURED: usize = 53;
    pub const UNSTRUCTURED: usize = 58;
    pub const ORDER: usize = 59;
    pub const ITEM: usize = 67;
    pub const OFFSETS: usize = 73;
    pub const AGENT: usize = 77;
    pub const LANGUAGE: usize = 83;
    pub const ORDER_CURRENCY: usize = 108;
    pub const ITEM_CURRENCY: usize = 112;
    pub const SENT: usize = 119;
    pub const DERIVED: usize = 122;
    pub const SESSION: usize = 123;
    pub const TRUE_TIME: usize = 130;
}

/// The columns of a line.
fn columns(line: &[u8]) -> Result<Vec<&str>, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::new("invalid_tsv", "the line is not UTF-8"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    let columns: Vec<&str> = text.split('\t').collect();
    if columns.len() != COLUMNS {
        let message = format_compact!("{} columns where an enriched event has {COLUMNS}", columns.len());
        return Err(Fault::new("invalid_tsv", message).hint("give the lines as Snowplow's Enrich writes them"));
    }
    Ok(columns)
}

/// `2026-11-22 12:00:00.123`, in UTC. Epoch ms.
fn parse_time(text: &str) -> Option<i64> {
    let time = if text.ends_with('Z') { text.parse() } else { format_compact!("{text}Z").parse::<jiff::Timestamp>() };
    time.ok().map(|time| time.as_millisecond())
}

/// When a line says that its event was collected, sent and created. Epoch ms.
pub(crate) fn times(line: &[u8]) -> Result<[Option<i64>; 3], Fault> {
    let columns = columns(line)?;
    Ok([at::COLLECTED, at::SENT, at::CREATED].map(|column| parse_time(columns[column])))
}

fn envelope<'a>(_: &Request<'a>, _: &str, body: &'a [u8], _: &Limits) -> Result<Envelope<'a>, Fault> {
    let app_id = columns(body)?[at::APP_ID];
    Ok(Envelope { app_id: Some(Cow::Borrowed(app_id)), ..Envelope::new(vec![Piece::new(body)]) })
}

/// The pipeline writes the id of nobody for a tracker that asked for none. Where it has no network user's id at all, the
/// session stands for the visitor, as when one would have to be made up.
fn begin(request: &Request<'_>, _: &Source, _: Random<'_>) -> Begun {
    let Ok(columns) = columns(request.body) else { return Begun::default() };
    let network = columns[at::NETWORK_USER];
    let anonymous = network == NOBODY && columns[at::DOMAIN_USER].is_empty() && columns[at::USER_ID].is_empty();
    Begun { network_user: None, network_user_is_new: network.is_empty(), anonymous }
}

fn event(reading: &Reading<'_>, _: &Envelope<'_>, piece: Piece<'_>, random: Random<'_>) -> Result<Draft, Fault> {
    let columns = columns(piece.bytes)?;
    let text = |column: usize| Some(columns[column]).filter(|text| !text.is_empty()).map(Cow::Borrowed);
    let ms = |column: usize| parse_time(columns[column]).map(|ms| Cow::Owned(ms.to_string()));
    let kind = match columns[at::EVENT] {
        "page_view" => "pv",
        "page_ping" => "pp",
        "struct" => "se",
        "unstruct" => "ue",
        "transaction" => "tr",
        "transaction_item" => "ti",
        _ => return Err(Fault::new("event_type_unknown", "the column event names no type of Snowplow's").at("event")),
    };
    let given = Parameters {
        e: Some(Cow::Borrowed(kind)),
        eid: text(at::EVENT_ID),
        aid: text(at::APP_ID),
        p: text(at::PLATFORM),
        tv: text(at::TRACKER),
        dtm: ms(at::CREATED),
        stm: ms(at::SENT),
        ttm: ms(at::TRUE_TIME),
        uid: text(at::USER_ID),
        duid: text(at::DOMAIN_USER),
        nuid: text(at::NETWORK_USER),
        sid: text(at::SESSION),
        vid: text(at::VISIT),
        url: text(at::URL),
        page: text(at::TITLE),
        refr: text(at::REFERRER),
        ue_pr: text(at::UNSTRUCTURED),
        co: text(at::CONTEXTS),
        ip: text(at::ADDRESS),
        ua: text(at::AGENT),
        lang: text(at::LANGUAGE),
        se_ca: text(at::STRUCTURED),
        se_ac: text(at::STRUCTURED + 1),
        se_la: text(at::STRUCTURED + 2),
        se_pr: text(at::STRUCTURED + 3),
        se_va: text(at::STRUCTURED + 4),
        tr_id: text(at::ORDER),
        tr_af: text(at::ORDER + 1),
        tr_tt: text(at::ORDER + 2),
        tr_tx: text(at::ORDER + 3),
        tr_sh: text(at::ORDER + 4),
        tr_cu: text(at::ORDER_CURRENCY),
        ti_id: text(at::ITEM),
        ti_sk: text(at::ITEM + 1),
        ti_nm: text(at::ITEM + 2),
        ti_ca: text(at::ITEM + 3),
        ti_pr: text(at::ITEM + 4),
        ti_qu: text(at::ITEM + 5),
        ti_cu: text(at::ITEM_CURRENCY),
        pp_mix: text(at::OFFSETS),
        pp_max: text(at::OFFSETS + 1),
        pp_miy: text(at::OFFSETS + 2),
        pp_may: text(at::OFFSETS + 3),
        ..Parameters::default()
    };
    let mut draft = super::snowplow::read(reading, &given, random)?;
    let word = |column: usize| Some(columns[column]).filter(|text| !text.is_empty()).map(|text| field::cut(text, 256));
    let geo = Geo { country: word(at::COUNTRY), region: word(at::REGION), city: word(at::CITY) };
    draft.event.geo = (geo != Geo::default()).then_some(geo);
    let campaign = Campaign {
        source: word(at::SOURCE),
        medium: word(at::MEDIUM),
        name: word(at::CAMPAIGN),
        term: word(at::TERM),
        content: word(at::CONTENT),
    };
    draft.event.campaign = (campaign != Campaign::default()).then_some(campaign);
    if !columns[at::DERIVED].is_empty() {
        let contexts = json::parse(columns[at::DERIVED].as_bytes(), reading.limits);
        let contexts = contexts.map_err(|fault| fault.at("derived_contexts"))?;
        derived(&mut draft.event, &contexts, columns[at::AGENT].is_empty());
    }
    Ok(draft)
}

/// What enrichment found out of the device and of robots. `is_agent_gone`: the user agent was taken out since, so what
/// was read of it is all there is.
fn derived(event: &mut Event, contexts: &Json<'_>, is_agent_gone: bool) {
    let Some(Json::List(entities)) = contexts.get("data") else { return };
    for entity in entities {
        let Ok((address, data)) = iglu::describe(entity) else { continue };
        let word = |name: &str| data.get(name).and_then(Json::text).filter(|text| !text.is_empty());
        let cut = |name: &str| word(name).map(|text| field::cut(text, 256));
        match (address.vendor, address.name) {
            ("com.iab.snowplow", "spiders_and_robots") => {
                event.bot |= matches!(data.get("spiderOrRobot"), Some(Json::Bool(true)));
            }
            ("nl.basjes", "yauaa_context") => {
                let class = word("deviceClass").unwrap_or_default();
                event.bot |= class.starts_with("Robot");
                if is_agent_gone {
                    let device = event.device.get_or_insert_with(Default::default);
                    device.class = device.class.take().or_else(|| Some(class_of(class)));
                    device.os = device.os.take().or_else(|| cut("operatingSystemName"));
                    device.browser = device.browser.take().or_else(|| cut("agentName"));
                }
            }
            ("com.snowplowanalytics.snowplow", "ua_parser_context") if is_agent_gone => {
                let device = event.device.get_or_insert_with(Default::default);
                device.os = device.os.take().or_else(|| cut("osFamily"));
                device.browser = device.browser.take().or_else(|| cut("useragentFamily"));
            }
            _ => {}
        }
    }
}

fn class_of(yauaa: &str) -> Str {
    let class = match yauaa {
        "Desktop" => "desktop",
        "Phone" | "Mobile" => "mobile",
        "Tablet" | "eReader" => "tablet",
        robot if robot.starts_with("Robot") => "bot",
        _ => "other",
    };
    class.into()
}
