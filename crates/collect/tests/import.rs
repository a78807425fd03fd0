//! Files of history: what a pipeline wrote down means what the same event means when it is collected.

use crate::help::*;
use base64::Engine as _;
use midsession_collect::{Collected, Collector, Protocol, Request};
use midsession_event::{Consent, Event};
use serde_json::Value;

/// Columns of an enriched event by name; the names are those of Snowplow's documentation, in its order.
const NAMES: &str = "app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker \
v_tracker v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid \
geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp ip_organization ip_domain \
ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport page_urlpath page_urlquery \
page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery refr_urlfragment refr_medium \
refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign contexts se_category se_action se_label \
se_property se_value unstruct_event tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country \
ti_orderid ti_sku ti_name ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max \
useragent br_name br_family br_version br_type br_renderengine br_lang br_features_pdf br_features_flash \
br_features_java br_features_director br_features_quicktime br_features_realplayer br_features_windowsmedia \
br_features_gears br_features_silverlight br_cookies br_colordepth br_viewwidth br_viewheight os_name os_family \
os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height \
tr_currency tr_total_base tr_tax_base tr_shipping_base ti_currency ti_price_base base_currency geo_timezone mkt_clickid \
mkt_network etl_tags dvce_sent_tstamp refr_domain_userid refr_device_tstamp derived_contexts domain_sessionid \
derived_tstamp event_vendor event_name event_format event_version event_fingerprint true_tstamp";

pub fn line(columns: &[(&str, &str)]) -> String {
    let names: Vec<&str> = NAMES.split_whitespace().collect();
    assert_eq!(names.len(), 131);
    let mut values = vec![""; names.len()];
    for (name, value) in columns {
        values[names.iter().position(|known| known == name).expect("a column")] = value;
    }
    values.join("\t")
}

pub fn import(collector: &Collector, protocol: Protocol, message: &str) -> Collected {
    let request = Request {
        method: "POST",
        path: "",
        query: "",
        headers: &[],
        body: message.as_bytes(),
        peer_ip: None,
        received_at_us: NOW_MS * 1_000,
        daily_salt: Some([9; 32]),
    };
    collector.import(protocol, &request, &mut || 7)
}

/// Epoch ms as text, in the words of the pipeline.
fn time(ms: &Value) -> String {
    let ms: i64 = ms.as_str().unwrap_or_default().parse().unwrap_or_default();
    if ms == 0 {
        return String::new();
    }
    let text = jiff::Timestamp::from_millisecond(ms).expect("a time").to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

/// What the pipeline makes of an event of payload_data.
fn enriched(event: &Value, agent: &str) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let plain = |plain: &str, packed: &str| match event[packed].as_str() {
        Some(packed) => {
            String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(packed).expect("base64"))
                .expect("JSON")
        }
        None => text(plain),
    };
    let kind = match text("e").as_str() {
        "pv" => "page_view",
        "pp" => "page_ping",
        "se" => "struct",
        "ue" => "unstruct",
        "tr" => "transaction",
        _ => "transaction_item",
    };
    let agent = if event["ua"].is_null() { agent.to_owned() } else { text("ua") };
    let columns = [
        ("app_id", text("aid")),
        ("platform", text("p")),
        ("collector_tstamp", time(&NOW_MS.to_string().into())),
        ("dvce_created_tstamp", time(&event["dtm"])),
        ("dvce_sent_tstamp", time(&event["stm"])),
        ("true_tstamp", time(&event["ttm"])),
        ("event", kind.to_owned()),
        ("event_id", text("eid")),
        ("v_tracker", text("tv")),
        ("user_id", text("uid")),
        ("user_ipaddress", text("ip")),
        ("domain_userid", text("duid")),
        ("domain_sessionidx", text("vid")),
        ("network_userid", text("nuid")),
        ("domain_sessionid", text("sid")),
        ("page_url", text("url")),
        ("page_title", text("page")),
        ("page_referrer", text("refr")),
        ("unstruct_event", plain("ue_pr", "ue_px")),
        ("contexts", plain("co", "cx")),
        ("useragent", agent),
        ("br_lang", text("lang")),
        ("se_category", text("se_ca")),
        ("se_action", text("se_ac")),
        ("se_label", text("se_la")),
        ("se_property", text("se_pr")),
        ("se_value", text("se_va")),
        ("pp_xoffset_min", text("pp_mix")),
        ("pp_xoffset_max", text("pp_max")),
        ("pp_yoffset_min", text("pp_miy")),
        ("pp_yoffset_max", text("pp_may")),
    ];
    line(&columns.each_ref().map(|(name, value)| (*name, value.as_str())))
}

#[test]
fn an_enriched_event_is_the_event_that_was_collected() {
    let collector = open_collector();
    let mut compared = 0;
    for folder in ["snowplow-browser-post", "snowplow-browser-batch", "snowplow-node"] {
        for (file, call) in fixtures(folder) {
            if call.method != "POST" {
                continue;
            }
            let live = call.to(&collector).events;
            let agent = call.headers.iter().find(|(name, _)| name == "user-agent").expect("an agent").1.clone();
            let body = json_of(&call);
            let sent = body["data"].as_array().expect("events");
            assert_eq!(live.len(), sent.len(), "{file}");
            for (live, sent) in live.iter().zip(sent) {
                let row = enriched(sent, &agent);
                let read = import(&collector, Protocol::SnowplowTsv, &row);
                assert_eq!(one(&read), live, "{file}: {row}");
                compared += 1;
            }
            // The body itself, from a log of payloads.
            assert_eq!(import(&collector, Protocol::Snowplow, &body.to_string()).events.len(), sent.len(), "{file}");
        }
    }
    assert!(compared > 20, "{compared}");
}

/// An event that says nothing but who and when.
const BARE: [(&str, &str); 7] = [
    ("app_id", "shop"),
    ("platform", "web"),
    ("event", "page_view"),
    ("event_id", "853f037b-2cbe-463f-92b1-f11c349fc405"),
    ("v_tracker", "js-4.10.1"),
    ("domain_userid", "d1"),
    ("collector_tstamp", "2026-11-22 12:00:00.000"),
];

fn with(more: &[(&str, &str)]) -> String {
    line(&[&BARE[..], more].concat())
}

fn event_of(more: &[(&str, &str)]) -> Event {
    one(&import(&open_collector(), Protocol::SnowplowTsv, &with(more))).clone()
}

#[test]
fn what_enrichment_added_is_read() {
    let derived = r#"{"schema":"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1","data":[
        {"schema":"iglu:nl.basjes/yauaa_context/jsonschema/1-0-4","data":{"deviceClass":"Phone","operatingSystemName":"Android","agentName":"Chrome"}},
        {"schema":"iglu:com.snowplowanalytics.snowplow/ua_parser_context/jsonschema/1-0-0","data":{"osFamily":"Other","useragentFamily":"Other"}},
        {"schema":"iglu:com.iab.snowplow/spiders_and_robots/jsonschema/1-0-0","data":{"spiderOrRobot":false}}]}"#;
    let derived = derived.replace('\n', " ");
    let event = event_of(&[
        ("geo_country", "NL"),
        ("geo_region", "UT"),
        ("mkt_campaign", "autumn"),
        ("mkt_source", "mail"),
        ("derived_contexts", &derived),
    ]);
    let geo = event.geo.expect("a place");
    assert_eq!((geo.country.as_deref(), geo.region.as_deref(), geo.city), (Some("NL"), Some("UT"), None));
    let campaign = event.campaign.expect("a campaign");
    assert_eq!((campaign.name.as_deref(), campaign.source.as_deref()), (Some("autumn"), Some("mail")));
    let device = event.device.expect("a device");
    assert_eq!(
        (device.class.as_deref(), device.os.as_deref(), device.browser.as_deref(), event.bot),
        (Some("mobile"), Some("Android"), Some("Chrome"), false)
    );
    // Where the agent is still there, it is read as live.
    let event = event_of(&[("useragent", DESKTOP), ("derived_contexts", &derived)]);
    assert_eq!(event.device.expect("a device").class.as_deref(), Some("desktop"));
    let robot = derived.replace(r#""spiderOrRobot":false"#, r#""spiderOrRobot":true"#);
    assert!(event_of(&[("derived_contexts", &robot)]).bot);
    // The tracker asked for no identifier.
    let nobody = "00000000-0000-0000-0000-000000000000";
    let event = event_of(&[("domain_userid", ""), ("network_userid", nobody)]);
    assert_eq!((event.consent, event.user_id), (Consent::COOKIELESS, None));
    assert_ne!(event.visitor_id.expect("one of the day").as_str(), nobody);
    // An order of the tracker's old kind.
    let event =
        event_of(&[("event", "transaction"), ("tr_orderid", "o1"), ("tr_total", "89.9"), ("tr_currency", "EUR")]);
    assert_eq!(event.order.and_then(|order| order.revenue), Some(89.9));
}

#[test]
fn what_is_no_enriched_event_is_refused_by_itself() {
    for (message, code) in [
        ("a\tb".to_owned(), "invalid_tsv"),
        (with(&[("event", "ad_impression")]), "event_type_unknown"),
        (with(&[("event_id", "7")]), "id_invalid"),
        (with(&[("domain_userid", "")]), "identity_missing"),
        (with(&[("contexts", "{")]), "invalid_json"),
        (with(&[("derived_contexts", "{")]), "invalid_json"),
        (with(&[("event", "unstruct")]), "field_missing"),
    ] {
        let read = import(&open_collector(), Protocol::SnowplowTsv, &message);
        assert!(read.events.is_empty());
        assert_eq!(codes(&read).first().map(|(_, code, _)| *code), Some(code), "{message}");
    }
}

#[test]
fn a_file_is_its_sources_and_no_route_leads_there() {
    let other = midsession_collect::Source { name: "other".into(), write_key: "o".into(), ..Default::default() };
    let collector = collector_of(vec![source(), other]);
    let native = r#"{"event_id":"e1","name":"page_view","visitor_id":"v1","received_at":1}"#;
    let read = import(&collector, Protocol::Native, native);
    let event = one(&read);
    assert_eq!((event.source.as_str(), event.properties.len(), event.occurred_at_ms), ("shop", 0, NOW_MS));
    let keyed = r#"{"writeKey":"o","batch":[{"type":"track","event":"x","messageId":"m","anonymousId":"a"}]}"#;
    assert_eq!(one(&import(&collector, Protocol::Segment, keyed)).source.as_str(), "other");
    for path in ["", "/", "/import", "/snowplow_tsv"] {
        assert_eq!(Call::post(path, with(&[])).to(&collector).protocol, None, "{path}");
    }
}
