//! The native features over HTTP, of users and of sessions, against plain sums over the oracle's acts.

use crate::http::Connection;
use crate::load::{VISITORS, user_of, visitor_id};
use crate::server::ADMIN_TOKEN;
use midsession_sim::judge::{self, differ};
use midsession_sim::oracle::{Oracle, Person, Stand, Taken, Took, in_full, mills};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How many answers were compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub people: usize,
    pub sessions: usize,
    pub values: usize,
}

/// The features of these acts by name; what is absent is null.
fn expected(acts: &[&Taken]) -> BTreeMap<&'static str, Value> {
    let of = |name: &'static str| acts.iter().filter(move |taken| taken.act.name == name);
    let mut all = BTreeMap::new();
    for (feature, name) in [
        ("product_view_count", "product_view"),
        ("list_view_count", "list_view"),
        ("search_count", "search"),
        ("cart_add_count", "add_to_cart"),
        ("cart_remove_count", "remove_from_cart"),
        ("order_count", "transaction"),
    ] {
        all.insert(feature, (of(name).count() as f64).into());
    }
    let number = |value: Option<f64>| value.map_or(Value::Null, Value::from);
    let paid: Vec<f64> = of("transaction").filter_map(|taken| taken.act.revenue).collect();
    let sum = |amounts: &[f64]| in_full(amounts.iter().copied().map(mills).sum());
    all.insert("order_value", number((!paid.is_empty()).then(|| sum(&paid))));
    let pieces: Vec<_> = of("product_view").flat_map(|taken| &taken.act.pieces).collect();
    let ids: BTreeSet<&str> = pieces.iter().map(|piece| piece.id.as_str()).collect();
    all.insert("distinct_products", (ids.len() as f64).into());
    let prices: Vec<f64> = pieces.iter().filter_map(|piece| piece.price).collect();
    let mean = sum(&prices) / prices.len() as f64;
    all.insert("avg_viewed_price", number((!prices.is_empty()).then_some(mean)));
    all.insert("min_viewed_price", number(prices.iter().copied().reduce(f64::min)));
    all.insert("max_viewed_price", number(prices.iter().copied().reduce(f64::max)));
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    let viewed = of("product_view").flat_map(|taken| taken.act.pieces.iter().map(|piece| &piece.category));
    for category in viewed.chain(of("list_view").map(|taken| &taken.act.list)).flatten() {
        *categories.entry(category).or_default() += 1;
    }
    let most = categories.values().max();
    // Ties: the first in the alphabet.
    let top = categories.iter().find(|(_, count)| Some(*count) == most).map(|(category, _)| *category);
    all.insert("top_category", top.map_or(Value::Null, Value::from));
    all.insert("unique_categories", (categories.len() as f64).into());
    all
}

/// Whole numbers and others are the same kind here.
fn plain(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::from)
}

fn compare(answer: &Value, suffix: &str, acts: &[&Taken], whose: &str) -> Result<usize, String> {
    let expected = expected(acts);
    for (name, expected) in &expected {
        let found = plain(&answer["features"][format!("{name}{suffix}")]);
        differ(&format!("{name}{suffix} of {whose}, as of {}", answer["as_of"]), &found, expected)?;
    }
    Ok(expected.len())
}

/// Views by product, added up over all partitions, and the cart over all of the last hour by the other profile.
fn products(
    ask: &mut impl FnMut(&str) -> Result<Result<Value, u16>, String>,
    oracle: &Oracle,
) -> Result<usize, String> {
    let mut views: BTreeMap<&str, usize> = BTreeMap::new();
    for taken in oracle.people.values().flat_map(judge::acts).filter(|taken| taken.act.name == "product_view") {
        let ids: BTreeSet<&str> = taken.act.pieces.iter().map(|piece| piece.id.as_str()).collect();
        for id in ids {
            *views.entry(id).or_default() += 1;
        }
    }
    for (id, count) in &views {
        let answer = ask(&format!("product/{id}"))?.map_err(|status| format!("features of product {id}: {status}"))?;
        differ(
            &format!("view_count_24h of {id}"),
            &plain(&answer["features"]["view_count_24h"]),
            &(*count as f64).into(),
        )?;
    }
    for (who, person) in &oracle.people {
        let id = who.split_once(':').map_or(who.as_str(), |(_, id)| id);
        let Ok(answer) = ask(&format!("user/{id}?profile=live-shopper&names=cart_update_frequency_1hr"))? else {
            continue;
        };
        let now_ms = answer["as_of"]["now"].as_i64().unwrap();
        let changes: Vec<i64> = judge::acts(person)
            .filter(|taken| ["add_to_cart", "remove_from_cart"].contains(&taken.act.name.as_str()))
            .map(|taken| taken.time_ms)
            .filter(|time_ms| *time_ms >= now_ms - 3_600_000 && *time_ms <= now_ms)
            .collect();
        let is_alive = changes.iter().any(|time_ms| now_ms < time_ms + 600_000);
        let expected = if is_alive { Value::from(changes.len() as f64) } else { Value::Null };
        let found = plain(&answer["features"]["cart_update_frequency_1hr"]);
        if answer["user"].as_str() == Some(id) {
            differ(&format!("cart_update_frequency_1h of {who}"), &found, &expected)?;
        }
    }
    Ok(views.len() + oracle.people.len())
}

/// How much was done on these devices before a logout that came late, or of which a merge was undone: a lifetime is divided as it comes
/// in, so that it has all of it, though whoever was next did some, and what is given back is one.
fn undecided(oracle: &Oracle, is_theirs: impl Fn(&str) -> bool) -> usize {
    let mut devices: BTreeMap<&str, Vec<&Took>> = BTreeMap::new();
    for took in &oracle.took {
        let device = took.act.visitor.as_deref().filter(|device| is_theirs(device));
        device.into_iter().for_each(|device| devices.entry(device).or_default().push(took));
    }
    let mut undecided = 0;
    for (device, acts) in devices {
        let is_divided = oracle.left.iter().any(|(key, _, _)| key.strip_prefix("visitor:") == Some(device));
        if is_divided && oracle.was_unmerged(device) {
            undecided += acts.len();
            continue;
        }
        let mut since_ms = i64::MIN;
        for (_, left_ms, stamp_ms) in
            oracle.left.iter().filter(|(key, _, _)| key.strip_prefix("visitor:") == Some(device))
        {
            let before = acts.iter().filter(|took| took.stamp_ms <= *stamp_ms);
            if before.clone().any(|took| took.time_ms > *left_ms) {
                undecided += before.filter(|took| took.stamp_ms > since_ms).count();
            }
            since_ms = *stamp_ms;
        }
    }
    undecided
}

/// All of them equal the oracle's, at the instant that they say.
pub fn features(admin: &str, oracle: &Oracle) -> Result<Compared, String> {
    let mut http = Connection::open(admin).map_err(|error| error.to_string())?;
    let token = format!("Bearer {ADMIN_TOKEN}");
    let (mut compared, mut whole) = (Compared::default(), 0);
    let mut ask = |path: &str| {
        http.json(&format!("/v1/features/{path}"), &[("authorization", &token)]).map_err(|error| error.to_string())
    };
    let users = oracle.people.keys().filter_map(|who| who.strip_prefix("user:")).map(str::to_owned);
    for id in users.chain((0..VISITORS).map(visitor_id)) {
        let answer = match ask(&format!("user/{id}"))? {
            Ok(answer) => answer,
            Err(404) if !oracle.people.contains_key(&format!("visitor:{id}")) => continue,
            // Withdrawn: there is nothing to be read of them.
            Err(404) if ["visitor", "user"].iter().any(|kind| !oracle.may_read(&format!("{kind}:{id}"))) => continue,
            Err(404) if oracle.user_of(&id).is_some_and(|user| !oracle.may_read(&format!("user:{user}"))) => continue,
            Err(status) => return Err(format!("features of {id}: {status}")),
        };
        let resolved = answer["user"].as_str().unwrap_or_default();
        let who = if resolved.starts_with('u') { format!("user:{resolved}") } else { format!("visitor:{resolved}") };
        if !oracle.may_read(&who) {
            return Err(format!("features of {who}, who has withdrawn that: {answer}"));
        }
        let nobody = Person::default();
        let person = oracle.people.get(&who).unwrap_or(&nobody);
        let now_ms = answer["as_of"]["now"].as_i64().unwrap();
        let (lifetime, found) = (judge::acts(person).count(), &answer["features"]["act_count_lifetime"]);
        let user_of = |device: &str| Some(format!("u{}", user_of(device.strip_prefix('v')?.parse().ok()?)));
        let is_theirs = |device: &str| device == resolved || user_of(device).is_some_and(|user| user == resolved);
        let undecided = undecided(oracle, is_theirs);
        if found.as_u64().is_none_or(|found| found.abs_diff(lifetime as u64) > undecided as u64) {
            return Err(format!("act_count_lifetime of {who} is {found}, not {lifetime} ± {undecided}"));
        }
        whole += usize::from(undecided == 0);
        for (suffix, window_ms) in [("_5m", 300_000), ("_1h", 3_600_000), ("_24h", 86_400_000)] {
            let within = |taken: &&Taken| taken.time_ms > now_ms - window_ms && taken.time_ms <= now_ms;
            let acts: Vec<&Taken> = judge::acts(person).filter(within).collect();
            compared.values += compare(&answer, suffix, &acts, &who)?;
        }
        compared.people += 1;
    }
    if whole == 0 {
        return Err("nobody's lifetime is known to the last event".into());
    }
    compared.values += products(&mut ask, oracle)?;
    let visits = oracle.people.iter().flat_map(|(who, person)| person.visits.iter().map(move |visit| (who, visit)));
    for (who, visit) in visits {
        if matches!(visit.stand, Stand::Into(_)) {
            continue;
        }
        let id = format!("{:032x}", visit.id);
        let answer = match ask(&format!("session/{id}"))? {
            Ok(answer) if oracle.may_read(who) => answer,
            Err(404) if !oracle.may_read(who) => continue,
            other => return Err(format!("features of session {id} of {who}: {other:?}")),
        };
        let acts: Vec<&Taken> = visit.taken.iter().collect();
        compared.values += compare(&answer, "", &acts, &format!("session {id}"))?;
        compared.sessions += 1;
    }
    Ok(compared)
}
