//! Public data sets as history: each row in the words of a native event.
//!
//! None of them has receive stamps: what happened is taken to have arrived at once. None has ids of events either: each
//! row is an event of its own, known by where it stands.

use super::format::{Message, Unreadable};
use midsession_collect::{Arrival, Basis};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where a row stands: in which of the files, and on which of its lines, both from 1.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The file's number, in the order that they were given in.
    pub file: usize,
    /// The line's.
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}-{}", self.file, self.line)
    }
}

fn push(event: &Value, at_ms: i64, out: &mut Vec<Message>) {
    let arrival = Arrival { at_us: at_ms * 1000, basis: Basis::Assumed };
    out.push(Message { arrival, bytes: event.to_string().into_bytes() });
}

fn wrong(message: impl Into<String>) -> Unreadable {
    Unreadable::new("row_invalid", message)
}

fn text(line: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(line).map_err(|_| wrong("the row is not UTF-8"))
}

/// The bol.com sample: every row is the view of an item.
pub(super) fn serenade(line: &[u8], place: Place, out: &mut Vec<Message>) -> Result<(), Unreadable> {
    let fields: Vec<&str> = text(line)?.split('\t').collect();
    let [session, item, time] = fields[..] else { return Err(wrong("a row has SessionId, ItemId and Time")) };
    let seconds: f64 = time.trim().parse().map_err(|_| wrong("Time is not a number of seconds"))?;
    let at_ms = (seconds * 1000.0).round() as i64;
    let event = json!({
        "event_id": format!("bol-{session}-row-{place}"), "name": "product_view", "visitor_id": format!("bol-{session}"),
        "occurred_at": at_ms, "products": [{"id": format!("bol-{item}")}],
    });
    push(&event, at_ms, out);
    Ok(())
}

#[derive(Deserialize)]
struct OttoSession {
    session: u64,
    events: Vec<OttoEvent>,
}

#[derive(Deserialize)]
struct OttoEvent {
    aid: u64,
    ts: i64,
    r#type: String,
}

/// The OTTO data set: a session with all of its events on one line.
pub(super) fn otto(line: &[u8], place: Place, out: &mut Vec<Message>) -> Result<(), Unreadable> {
    let row: OttoSession = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    for (number, event) in row.events.iter().enumerate() {
        let name = match event.r#type.as_str() {
            "clicks" => "product_view",
            "carts" => "add_to_cart",
            "orders" => "transaction",
            other => return Err(wrong(format!("an event is clicks, carts or orders, not {other}"))),
        };
        let session = row.session;
        let event_json = json!({
            "event_id": format!("otto-{session}-row-{place}-{number}"), "name": name, "visitor_id": format!("otto-{session}"),
            "occurred_at": event.ts, "products": [{"id": format!("otto-{}", event.aid)}],
        });
        push(&event_json, event.ts, out);
    }
    Ok(())
}

/// The retentioneering shop: pages and steps of known users; no products and no prices.
pub(super) fn retentioneering(line: &[u8], place: Place, out: &mut Vec<Message>) -> Result<(), Unreadable> {
    // No field of this table is quoted.
    let fields: Vec<&str> = text(line)?.split(',').collect();
    let [user, session, event, time, platform, channel, ..] = fields[..] else {
        return Err(wrong("a row has user_id, session_id, event, timestamp, platform, acquisition_channel"));
    };
    let at: jiff::Timestamp =
        format!("{time}Z").parse().map_err(|_| wrong("timestamp does not look like 2024-03-13 10:21:14"))?;
    let at_ms = at.as_millisecond();
    let (name, step) = match event {
        "product_view" | "add_to_cart" | "search" => (event, None),
        "catalog" | "filter_results" => ("list_view", None),
        "promo_page" => ("promo_view", None),
        "cart" => ("cart_view", None),
        "shipping_details" => ("checkout_step", Some(1)),
        "payment_details" => ("checkout_step", Some(2)),
        "review_page" => ("checkout_step", Some(3)),
        "purchase" => ("transaction", None),
        "home" | "account_page" => ("page_view", None),
        own => (own, None),
    };
    let event = json!({
        "event_id": format!("{user}-row-{place}"), "name": name, "user_id": user, "session_id": session, "occurred_at": at_ms,
        "step": step, "device": {"class": platform}, "campaign": {"source": channel, "name": channel},
        "properties": {"event": event},
    });
    push(&event, at_ms, out);
    Ok(())
}
