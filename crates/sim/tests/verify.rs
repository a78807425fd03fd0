//! What must hold after all the kills, told from outside: the log as printed, and the other topics.

use crate::journal::act_of;
use crate::load::{Journal, user_of};
use crate::server::Server;
use midsession_event::{Event, Record};
use midsession_sim::judge::differ;
use midsession_sim::oracle::{Log, Oracle, Rules, Stand, Visit};
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
            "behavior-told" => Record::Told(serde_json::from_value(value).unwrap()),
            "behavior-unmerge" => Record::Unmerge(serde_json::from_value(value).unwrap()),
            "behavior-recall" => Record::Recall(serde_json::from_value(value).unwrap()),
            "behavior-definition" => Record::Definition(serde_json::from_value(value).unwrap()),
            "behavior-filled" => Record::Filled(serde_json::from_value(value).unwrap()),
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
    if !lost.is_empty() {
        return Err(format!("{} acknowledged events are lost: {lost:?}", lost.len()));
    }
    // What was answered and not kept is of people who have withdrawn, on whichever device.
    let person = |event: &Value| event["visitor_id"].as_str()?[1..].parse().ok().map(user_of);
    let refusals = journal.sent.values().filter(|event| event["name"] == "consent" && event["consent"] == "none");
    let refusing: BTreeSet<_> = refusals.filter_map(person).collect();
    let kept = journal.withheld.iter().find(|id| person(&journal.sent[*id]).is_none_or(|who| !refusing.contains(&who)));
    kept.map_or(Ok(()), |id| Err(format!("{id} was not kept, though nobody had withdrawn anything")))
}

/// What must be: what the journal says was done, in the order of the log.
pub fn oracle(logs: &[Log], journal: &Journal) -> Result<Oracle, String> {
    let mut oracle = Oracle::new(RULES);
    let mut next = vec![0; logs.len()];
    oracle.follow_with(logs, &mut next, &|event| act_of(event, journal))?;
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
            Record::Told(told) => told.id,
            Record::Recall(recall) => recall.id,
            _ => continue,
        };
        if !seen.insert(id) {
            return Err(format!("{id:?} stands twice in the log"));
        }
    }
    Ok(())
}

/// A repeat takes effect once: no visitor's sessions count more events of a kind than the log has different ones.
pub fn counted_once(data: &Path, logs: &[Log]) -> Result<(), String> {
    const KINDS: [(&str, Option<&str>); 5] = [
        ("events", None),
        ("page_views", Some("page_view")),
        ("product_views", Some("product_view")),
        ("add_to_carts", Some("add_to_cart")),
        ("orders", Some("transaction")),
    ];
    let last: BTreeMap<String, Value> = Server::log_read("session", data)
        .into_iter()
        .map(|line| (line["value"]["session_id"].to_string(), line["value"].clone()))
        .collect();
    let mut ids = BTreeSet::new();
    let mut most: BTreeMap<(Option<&str>, &str), i64> = BTreeMap::new();
    for event in logs.iter().flatten().filter_map(|(_, record)| match record {
        Record::Event(event) => Some(event),
        _ => None,
    }) {
        if !ids.insert((&event.source, &event.event_id)) {
            continue;
        }
        let visitor = event.visitor_id.as_ref().map(|id| id.as_str());
        for (kind, _) in KINDS.iter().filter(|(_, name)| name.is_none_or(|name| name == event.name.as_str())) {
            *most.entry((visitor, kind)).or_default() += 1;
        }
    }
    for (kind, _) in KINDS {
        let mut counted: BTreeMap<Option<&str>, i64> = BTreeMap::new();
        for session in last.values().filter(|session| session["state"] != "merged") {
            *counted.entry(session["visitor_id"].as_str()).or_default() += session[kind].as_i64().unwrap_or(0);
        }
        for (visitor, counted) in counted {
            let most = most.get(&(visitor, kind)).copied().unwrap_or(0);
            if counted > most {
                return Err(format!(
                    "repeats count: {counted} {kind} in the sessions of {visitor:?}, {most} in the log"
                ));
            }
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
                let visitor = visit.device.as_ref().map(|visitor| format!("visitor:{visitor}"));
                let who = visit.user.as_ref().map(|user| format!("user:{user}")).or(visitor);
                let has_withdrawn = who.is_some_and(|who| oracle.withdrew.contains(&who));
                // By then it says no more than that it is over.
                if !has_withdrawn || told(update) != OF_NOBODY {
                    differ(&format!("session {id}"), &told(update), &expected(visit))?;
                }
            }
        }
    }
    Ok(all_over)
}

const OF_NOBODY: &str = "\"closed\" null null 0..0 0 0 0 0 0 Some(0.0) None bot false";

fn told(update: &Value) -> String {
    format!(
        "{} {} {} {}..{} {} {} {} {} {} {:?} {:?} bot {}",
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
        update["bot"],
    )
}

fn expected(visit: &Visit) -> String {
    let (from_ms, to_ms) = visit.span_ms();
    let basket = visit.basket();
    let text = |id: &Option<String>| Value::from(id.clone());
    format!(
        "\"closed\" {} {} {from_ms}..{to_ms} {} {} {} {} {} {:?} {:?} bot false",
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
