//! What must hold after all the kills, told from outside: the log as printed, features over HTTP, the topics.

use crate::http::Connection;
use crate::load::{Journal, VISITORS, visitor_id};
use crate::server::{ADMIN_TOKEN, Server};
use midsession_event::{Event, Record};
use midsession_sim::judge::{self, differ};
use midsession_sim::oracle::{Log, Oracle, Person, Rules, Stand, Visit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const RULES: Rules = Rules { gap_ms: 3_000, grace_ms: 1_000, horizon_ms: 86_400_000 };
const PARTITIONS: usize = 4;

/// The records of `behavior` by partition, checked for holes and for stamps that go back.
pub fn behavior(data: &Path) -> Result<Vec<Log>, String> {
    let mut logs = vec![Log::new(); PARTITIONS];
    for line in Server::log_read("behavior", data) {
        let stamp: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        let stamp_ms = stamp.as_millisecond();
        let (partition, offset) = (line["partition"].as_u64().unwrap() as usize, line["offset"].as_u64().unwrap());
        let log = &mut logs[partition];
        differ(&format!("the next offset of partition {partition}"), &offset, &(log.len() as u64))?;
        if log.last().is_some_and(|(last_ms, _)| *last_ms > stamp_ms) {
            return Err(format!("the stamp of {partition}/{offset} goes back"));
        }
        let value = line["value"].clone();
        let record = match line["schema"].as_str().unwrap() {
            "behavior-event" => Record::Event(Box::new(serde_json::from_value::<Event>(value).unwrap())),
            "behavior-tick" => Record::Tick(serde_json::from_value(value).unwrap()),
            "decision" => Record::Decision(serde_json::from_value(value).unwrap()),
            "behavior-handoff" => Record::Handoff(serde_json::from_value(value).unwrap()),
            "behavior-forward" => Record::Forward(serde_json::from_value(value).unwrap()),
            other => return Err(format!("{partition}/{offset}: an unknown schema {other}")),
        };
        log.push((stamp_ms, record));
    }
    Ok(logs)
}

/// All that was acknowledged is in the log.
pub fn acknowledged(logs: &[Log], journal: &Journal) -> Result<(), String> {
    let in_log: BTreeSet<&str> = logs
        .iter()
        .flatten()
        .filter_map(|(_, record)| match record {
            Record::Event(event) => Some(event.event_id.as_str()),
            _ => None,
        })
        .collect();
    let lost: Vec<_> = journal.acked.iter().filter(|id| !in_log.contains(id.as_str())).collect();
    if lost.is_empty() { Ok(()) } else { Err(format!("{} acknowledged events are lost: {lost:?}", lost.len())) }
}

/// What stands in the log is what was sent, field by field; how many events were compared.
pub fn unaltered(logs: &[Log], journal: &Journal) -> Result<usize, String> {
    let mut compared = 0;
    for (_, record) in logs.iter().flatten() {
        let Record::Event(event) = record else { continue };
        let Some(sent) = journal.sent.get(event.event_id.as_str()) else { continue };
        let product = |field: &str| sent["products"][0][field].clone();
        let read = event.products.first();
        for (field, sent, found) in [
            ("name", sent["name"].clone(), event.name.as_str().into()),
            ("visitor_id", sent["visitor_id"].clone(), event.visitor_id.as_ref().map(|id| id.as_str()).into()),
            ("user_id", sent["user_id"].clone(), event.user_id.as_ref().map(|id| id.as_str()).into()),
            ("occurred_at", sent["occurred_at"].clone(), event.device_at_ms.into()),
            ("product", product("id"), read.map(|product| product.id.as_str()).into()),
            ("price", product("price"), read.and_then(|product| product.price).into()),
            ("quantity", product("quantity"), read.and_then(|product| product.quantity).into()),
            ("revenue", sent["order"]["revenue"].clone(), event.order.as_ref().and_then(|order| order.revenue).into()),
            ("step", sent["step"].clone(), event.step.into()),
        ] {
            differ(&format!("{field} of {}", event.event_id), &found, &sent)?;
        }
        compared += 1;
    }
    Ok(compared)
}

/// What must be, from the log alone.
pub fn oracle(logs: &[Log]) -> Result<Oracle, String> {
    let mut oracle = Oracle::new(RULES);
    let mut next = vec![0; logs.len()];
    oracle.follow(logs, &mut next)?;
    let read: usize = next.iter().sum();
    differ("records read by the oracle", &read, &logs.iter().map(Vec::len).sum())?;
    differ("events on their way to a user's home", &oracle.in_flight(), &Vec::new())?;
    Ok(oracle)
}

/// Exactly once: no hand-off or forward stands twice in the log.
pub fn routed_once(logs: &[Log]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (_, record) in logs.iter().flatten() {
        let id = match record {
            Record::Handoff(handoff) => handoff.id,
            Record::Forward(forward) => forward.id,
            _ => continue,
        };
        if !seen.insert(id) {
            return Err(format!("{id:?} stands twice in the log"));
        }
    }
    Ok(())
}

/// Versions rise; the last ones are what the oracle says. Returns whether all sessions have ended.
pub fn sessions(data: &Path, oracle: &Oracle) -> Result<bool, String> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for line in Server::log_read("session", data) {
        let update = line["value"].clone();
        let id = update["session_id"].as_str().unwrap().to_owned();
        if let Some(before) = last.insert(id, update.clone())
            && before["version"].as_i64() >= update["version"].as_i64()
        {
            return Err(format!("version {} after {}: {update}", update["version"], before["version"]));
        }
    }
    let visits: Vec<&Visit> = oracle.people.values().flat_map(|person| &person.visits).collect();
    differ("sessions", &last.len(), &visits.len())?;
    let mut all_over = true;
    for visit in visits {
        let id = format!("{:032x}", visit.id);
        let update = last.get(&id).ok_or_else(|| format!("no session {id}"))?;
        match visit.stand {
            Stand::Live => all_over = false,
            Stand::Into(other) => {
                let into = Some(format!("{other:032x}"));
                differ(&format!("what {id} became"), &update["merged_into"].as_str().map(str::to_owned), &into)?;
            }
            Stand::Closed | Stand::LoggedOut => {
                differ(&format!("session {id}"), &told(update), &expected(visit))?;
            }
        }
    }
    Ok(all_over)
}

fn told(update: &Value) -> String {
    format!(
        "{} {} {} {}..{} {} {} {} {} {} {:?} {:?}",
        update["state"],
        update["visitor_id"],
        update["user_id"],
        update["started_at_ms"],
        update["ended_at_ms"],
        update["events"],
        update["page_views"],
        update["product_views"],
        update["add_to_carts"],
        update["orders"],
        update["revenue"].as_f64(),
        update["cart_value"].as_f64(),
    )
}

fn expected(visit: &Visit) -> String {
    let (from_ms, to_ms) = visit.span_ms();
    let basket = visit.basket();
    let text = |id: &Option<String>| Value::from(id.clone());
    format!(
        "\"closed\" {} {} {from_ms}..{to_ms} {} {} {} {} {} {:?} {:?}",
        text(&visit.device),
        text(&visit.user),
        visit.taken.len(),
        visit.count("page_view"),
        visit.count("product_view"),
        visit.count("add_to_cart"),
        visit.count("transaction"),
        Some(visit.revenue()),
        basket.value.filter(|_| basket.touched),
    )
}

/// Each decision once, each (session, rule, cart version) once; what was pushed was decided.
pub fn decisions(data: &Path, journal: &Journal) -> Result<usize, String> {
    let (mut ids, mut causes, mut served) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for line in Server::log_read("decision", data) {
        if line["schema"] != "decision" {
            continue;
        }
        let decision = &line["value"];
        let id = decision["decision_id"].as_str().unwrap().to_owned();
        let cause =
            (decision["session_id"].to_string(), decision["rule"].to_string(), decision["cart_version"].to_string());
        if !ids.insert(id.clone()) || !causes.insert(cause.clone()) {
            return Err(format!("decided twice: {cause:?}"));
        }
        if decision["outcome"] == "served" {
            served.insert(id, cause);
        }
    }
    for (id, visitor) in journal.pushes.keys() {
        if !served.contains_key(id) {
            return Err(format!("pushed to {visitor} without a decision: {id}"));
        }
    }
    for ((id, visitor), starts) in &journal.pushes {
        let painted = journal.painted.get(id);
        if starts.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!("pushed twice over one connection to {visitor}: {id}"));
        }
        if let Some(painted) = painted.filter(|painted| starts.iter().any(|start| start > *painted)) {
            return Err(format!("pushed to {visitor} in starts {starts:?}, though painted in {painted}: {id}"));
        }
    }
    Ok(served.len())
}

/// Features over HTTP equal the oracle's at the instant that they say.
pub fn features(admin: &str, oracle: &Oracle) -> Result<usize, String> {
    let mut http = Connection::open(admin).map_err(|error| error.to_string())?;
    let token = format!("Bearer {ADMIN_TOKEN}");
    let mut checked = 0;
    let users = oracle.people.keys().filter_map(|who| who.strip_prefix("user:")).map(str::to_owned);
    for id in users.chain((0..VISITORS).map(visitor_id)) {
        let answer = http.json(&format!("/v1/features/user/{id}"), &[("authorization", &token)]);
        let answer = match answer.map_err(|error| error.to_string())? {
            Ok(answer) => answer,
            Err(404) if !oracle.people.contains_key(&format!("visitor:{id}")) => continue,
            Err(status) => return Err(format!("features of {id}: {status}")),
        };
        let resolved = answer["user"].as_str().unwrap_or_default();
        let who = if resolved.starts_with('u') { format!("user:{resolved}") } else { format!("visitor:{resolved}") };
        let nobody = Person::default();
        let person = oracle.people.get(&who).unwrap_or(&nobody);
        let now_ms = answer["as_of"]["now"].as_i64().unwrap();
        for (window, window_ms) in [("5m", 300_000), ("1h", 3_600_000), ("24h", 86_400_000)] {
            let acts = |name: &'static str| {
                judge::acts(person).filter(move |taken| {
                    taken.act.name == name && taken.time_ms > now_ms - window_ms && taken.time_ms <= now_ms
                })
            };
            let number = |name: &str| answer["features"][format!("{name}_{window}")].as_f64();
            for (feature, name) in [
                ("product_view_count", "product_view"),
                ("cart_add_count", "add_to_cart"),
                ("cart_remove_count", "remove_from_cart"),
                ("order_count", "transaction"),
            ] {
                let count = acts(name).count() as f64;
                differ(&format!("{feature}_{window} of {who} at {now_ms}"), &number(feature), &Some(count))?;
            }
            let paid: Vec<f64> = acts("transaction").filter_map(|taken| taken.act.revenue).collect();
            let paid = (!paid.is_empty()).then(|| paid.iter().fold(0.0, |sum, paid| sum + paid));
            differ(&format!("order_value_{window} of {who} at {now_ms}"), &number("order_value"), &paid)?;
            let seen = acts("product_view").flat_map(|taken| taken.act.pieces.iter().map(|piece| piece.id.clone()));
            let seen = seen.collect::<BTreeSet<_>>().len() as f64;
            differ(&format!("distinct_products_{window} of {who}"), &number("distinct_products"), &Some(seen))?;
        }
        checked += 1;
    }
    Ok(checked)
}
