//! Captures, damaged at random: nothing panics, every event of the input is accounted for, and what is let through is
//! fit for the log.

use crate::help::*;
use midsession_collect::{Collected, Collector, Protocol};
use midsession_event::Event;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;

/// Its schemas are compiled once for all cases.
static COLLECTOR: LazyLock<Collector> = LazyLock::new(open_collector);

/// A small generator of random numbers: a seed is a whole case.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}

/// Per protocol; a deeper search is a matter of this number.
const CASES: u32 = 500;

const TOKENS: [&str; 18] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\u{0}",
    "\\u0000",
    "null",
    "1e999",
    "18446744073709551616",
    "-1",
    "\\ud800",
    "undefined",
    "%40",
    "\u{feff}",
];

/// Damages bytes in a few places.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        let end = (at + dice.roll(40)).min(bytes.len());
        match dice.roll(6) {
            0 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => drop(bytes.splice(at..at, TOKENS[dice.roll(TOKENS.len())].bytes())),
            4 => drop(bytes.splice(at..end, TOKENS[dice.roll(TOKENS.len())].bytes())),
            _ if dice.roll(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
}

/// Puts something else in the place of a value somewhere in a JSON text that stays JSON.
fn distort(value: &mut Value, dice: &mut Dice) {
    let deeper = dice.roll(4) > 0;
    match value {
        Value::Array(values) if deeper && !values.is_empty() => {
            let at = dice.roll(values.len());
            distort(&mut values[at], dice);
        }
        Value::Object(members) if deeper && !members.is_empty() => {
            let name = members.keys().nth(dice.roll(members.len())).cloned().unwrap_or_default();
            if dice.roll(6) == 0 {
                let moved = members.remove(&name).unwrap_or_default();
                members.insert(format!("{name}x"), moved);
            } else if let Some(inner) = members.get_mut(&name) {
                distort(inner, dice);
            }
        }
        Value::String(text) if deeper => {
            // Text that is JSON itself, as Snowplow's, is distorted inside.
            match serde_json::from_str::<Value>(text) {
                Ok(mut inner) if text.starts_with('{') => {
                    distort(&mut inner, dice);
                    *text = inner.to_string();
                }
                _ => text.push_str(TOKENS[dice.roll(TOKENS.len())]),
            }
        }
        _ => {
            *value = match dice.roll(9) {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => (-1).into(),
                3 => 0.5.into(),
                4 => u64::MAX.into(),
                5 => "x".repeat(dice.roll(300)).into(),
                6 => serde_json::json!([1, "a", {}]),
                7 => serde_json::json!({ "a": { "b": [] } }),
                _ => "2026-11-22T11:00:00Z".into(),
            }
        }
    }
}

/// How many events a body holds, by a reading of one's own; `None` when it can't be told.
fn events_in(body: &[u8]) -> Option<usize> {
    match serde_json::from_slice::<Value>(body).ok()? {
        Value::Array(events) => Some(events.len()),
        Value::Object(body) => {
            ["batch", "data", "events"].iter().find_map(|list| body.get(*list).and_then(Value::as_array)).map(Vec::len)
        }
        _ => None,
    }
}

fn accounted(collected: &Collected) -> usize {
    collected.events.len() + collected.rejects.len() + collected.dropped_no_consent() + collected.dropped_sampled()
}

fn check_event(event: &Event) {
    midsession_event::encode(event).expect("fit for the log");
    assert!(event.occurred_at_ms <= NOW_MS, "in the future");
    assert!(!event.key().is_empty(), "belongs to nobody");
    let ids = [
        Some(event.event_id.as_str()),
        event.visitor_id.as_ref().map(|id| id.as_str()),
        event.user_id.as_ref().map(|id| id.as_str()),
    ];
    for id in ids.into_iter().flatten() {
        assert!(!id.is_empty() && id.len() <= 256 && !id.chars().any(char::is_control), "{id:?}");
    }
    let order = event.order.as_ref();
    let amounts = event.products.iter().map(|product| product.price).chain([
        event.cart.as_ref().and_then(|cart| cart.total_value),
        order.and_then(|order| order.revenue),
        order.and_then(|order| order.tax),
    ]);
    assert!(amounts.flatten().all(|amount| amount.is_finite() && amount >= 0.0));
    assert!(event.properties.len() <= 512);
}

fn check(call: &Call, protocol: Protocol) {
    let collected = call.to(&COLLECTOR);
    assert_eq!(collected.protocol, Some(protocol));
    collected.events.iter().for_each(check_event);
    match events_in(&call.body) {
        // A request refused as a whole (a name twice, nothing in the list) is one dead letter.
        Some(count) if accounted(&collected) != count => {
            assert!(
                collected.events.is_empty() && collected.rejects.len() == 1,
                "{count} events, {} accounted for",
                accounted(&collected)
            );
        }
        Some(_) => {}
        // Broken around an empty list: there was nothing to lose.
        None if memchr::memmem::find(&call.body, b"[]").is_some() => {}
        None if call.method == "POST" => assert!(accounted(&collected) > 0, "input vanished"),
        None => assert_eq!(accounted(&collected), usize::from(!call.query.is_empty())),
    }
    let indexes: Vec<usize> = collected.rejects.iter().map(|rejected| rejected.index).collect();
    assert!(indexes.is_sorted(), "{indexes:?}");
}

fn is_sending(call: &Call) -> bool {
    let asks = ["/flags", "/array", "/sourceConfig", "/v1/projects"];
    call.method != "OPTIONS" && !asks.iter().any(|path| call.path.starts_with(path))
}

fn calls(folders: &[&str]) -> Vec<Call> {
    let mut calls: Vec<Call> =
        folders.iter().flat_map(|folder| fixtures(folder)).map(|(_, call)| call).filter(is_sending).collect();
    for call in &mut calls {
        if call.method == "POST" {
            call.body = json_of(call).to_string().into_bytes();
            call.headers.retain(|(name, _)| name != "content-encoding");
        }
    }
    calls
}

fn fuzz(calls: &[Call], protocol: Protocol, seed: u64) {
    let mut dice = Dice(seed | 1);
    let mut call = calls[dice.roll(calls.len())].clone();
    if call.method == "GET" {
        let mut query = call.query.into_bytes();
        damage(&mut query, &mut dice);
        call.query = String::from_utf8_lossy(&query).into_owned();
    } else if dice.roll(2) == 0 {
        let mut value = json_of(&call);
        for _ in 0..=dice.roll(5) {
            distort(&mut value, &mut dice);
        }
        call.body = value.to_string().into_bytes();
    } else {
        damage(&mut call.body, &mut dice);
    }
    check(&call, protocol);
}

/// Seeds are printed by the failure; `fuzz(&calls, protocol, seed)` plays one again.
fn run(calls: &[Call], protocol: Protocol) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(seed in any::<u64>())| {
        fuzz(calls, protocol, seed);
    });
}

#[test]
fn snowplow() {
    let folders = [
        "snowplow-browser-post",
        "snowplow-browser-batch",
        "snowplow-browser-get",
        "snowplow-browser-anonymous",
        "snowplow-node",
    ];
    run(&calls(&folders), Protocol::Snowplow);
}

#[test]
fn segment() {
    let folders = [
        "segment-node",
        "segment-browser",
        "segment-browser-batch",
        "rudder-node",
        "rudder-browser",
        "rudder-browser-beacon",
    ];
    run(&calls(&folders), Protocol::Segment);
}

#[test]
fn posthog() {
    run(&calls(&["posthog-browser", "posthog-node"]), Protocol::PostHog);
}

#[test]
fn native() {
    let call = Call::post("/v1/events", crate::native::batch_of_20()).header("authorization", &format!("Bearer {KEY}"));
    run(&[call], Protocol::Native);
}

#[test]
fn ga4() {
    let body = r#"{"client_id":"c1","user_id":"u1","timestamp_micros":1795348800000000,"events":[
        {"name":"add_to_cart","params":{"currency":"EUR","value":1,"items":[{"item_id":"p1","price":1,"quantity":1,"index":0}]}},
        {"name":"purchase","params":{"transaction_id":"t","value":2.5,"tax":1}},{"name":"x","params":{"a":{"b":1}}}]}"#;
    run(&[Call::post(&format!("/mp/collect?api_secret={KEY}"), body)], Protocol::Ga4);
}

#[test]
fn webhook() {
    let body = r#"[{"schema":"iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1","data":{"targetUrl":"/x"}},{"schema":"iglu:com.acme/x/jsonschema/1-0-0","data":{"a":[1]}}]"#;
    run(&[Call::post("/com.snowplowanalytics.iglu/v1?duid=d1", body)], Protocol::IgluWebhook);
}

#[test]
fn wire_bytes() {
    // Bytes that nobody unpacked: damaged gzip, base64 and forms.
    let mut calls: Vec<Call> =
        fixtures("posthog-browser").into_iter().map(|(_, call)| call).filter(is_sending).collect();
    calls.extend(fixtures("rudder-node").into_iter().map(|(_, call)| call));
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(seed in any::<u64>())| {
        let mut dice = Dice(seed | 1);
        let mut call = calls[dice.roll(calls.len())].clone();
        damage(&mut call.body, &mut dice);
        let collected = call.to(&COLLECTOR);
        collected.events.iter().for_each(check_event);
        prop_assert!(accounted(&collected) > 0);
    });
}
