//! Judges a custom field by its name and its value: what is in a link's parameters and in JSON inside text is a field too.

use crate::number::IP_BYTES_MIN;
use crate::pair::{Names, Told};
use crate::personal::{self, Treatment};
use crate::{digits_name, field_name, pair, person, told, web};
use midsession_event::{PropertyValue, Str};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Links in links and JSON in JSON are followed this far.
const DEPTH_MAX: usize = 3;

/// Whether text under this name is personal as a whole.
pub(crate) fn is_personal(name: &str, text: &str) -> bool {
    personal::is_personal_name(name)
        || person::is_name_of_person(name)
        || field_name::is_called(name, text.trim())
        || digits_name::is_card(name, text)
}

/// Whether a number under this name is: a telephone number or the like.
pub(crate) fn is_personal_number(name: &str, digits: &str) -> bool {
    personal::is_personal_name(name) || field_name::is_called(name, digits) || digits_name::is_card(name, digits)
}

/// The properties that are personal by the name which another one gives their field, each with the path of that field.
pub(crate) fn named_by_others(properties: &BTreeMap<Str, PropertyValue>) -> BTreeMap<Str, Str> {
    fn text(value: &PropertyValue) -> Option<&str> {
        match value {
            PropertyValue::Text(text) => Some(text),
            _ => None,
        }
    }
    let names = Names::of(properties.iter().map(|(key, value)| (key.as_str(), text(value))));
    if names.is_empty() {
        return BTreeMap::new();
    }
    let of_people = person::is_of_person(|is_one| names.any(is_one));
    let field = |(key, value): (&Str, &PropertyValue)| {
        let is_told_personal = |Told { name, path, is_doubtful }: &Told<'_>| match value {
            PropertyValue::Text(text) => {
                of_people && person::may_be_name_at(path)
                    || told::can_be_text(name, text, *is_doubtful) && is_personal(path, text)
            }
            PropertyValue::Int(number) => {
                told::can_be_number(name, *number as f64) && is_personal_number(path, &number.to_string())
            }
            PropertyValue::Float(number) => told::can_be_number(name, *number) && personal::is_personal_name(path),
            PropertyValue::Bool(_) | PropertyValue::Null => false,
        };
        names.told(key).find(is_told_personal).map(|told| (key.clone(), told.path))
    };
    properties.iter().filter_map(field).collect()
}

/// Scrubs the value of a custom field: `None` when the whole value is personal and goes.
pub(crate) fn scrub_value(name: &str, text: Str, treatment: &Treatment) -> Option<Str> {
    scrub_within(name, text, treatment, 0)
}

/// Likewise, inside this many links.
pub(crate) fn scrub_within(name: &str, mut text: Str, treatment: &Treatment, depth: usize) -> Option<Str> {
    if is_personal(name, &text) {
        return treatment.replace(&text);
    }
    let is_version = digits_name::is_version(name);
    if text.len() >= IP_BYTES_MIN && !is_version && text.trim().parse::<std::net::IpAddr>().is_ok() {
        return treatment.replace(&text);
    }
    if depth < DEPTH_MAX {
        if let Some(pruned) = prune_text(name, &text) {
            text = pruned.into();
        }
        web::scrub_links(&mut text, treatment, depth + 1);
    }
    if is_version {
        personal::scrub_contacts(&mut text, treatment);
    } else {
        personal::scrub(&mut text, treatment);
    }
    Some(text)
}

/// Text that is a JSON object or array, without the members of its objects that are personal; none where nothing is to change.
fn prune_text(path: &str, text: &str) -> Option<String> {
    let mut value = parse(text)?;
    // A letter by its number (`\u0040`) hides from what looks for it in the text.
    (prune(path, &mut value, 0) || text.contains("\\u")).then(|| value.to_string())
}

/// An object or array. The parser refuses to go deeper than 128 levels.
fn parse(text: &str) -> Option<Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok())?
}

/// Whether text over the bound of a property is JSON: cut in half it would be none, and what is personal in it not found.
pub(crate) fn is_json(text: &str) -> bool {
    parse(text).is_some()
}

/// A list as JSON text, without the members of its objects that are personal by name.
pub(crate) fn list_text(path: &str, value: &crate::json::Json<'_>) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    prune(path, &mut value, 0);
    value.to_string()
}

/// Takes the personal members out; whether anything changed.
fn prune(path: &str, value: &mut Value, depth: usize) -> bool {
    match value {
        // `["lastname", "…"]`, but no list of names.
        Value::Array(items)
            if is_personal_pair(path, items, false, true)
                && !matches!(&items[1], Value::String(text) if personal::is_personal_name(text)) =>
        {
            items.pop().is_some()
        }
        Value::Array(items) => prune_items(path, items, depth),
        Value::Object(members) => prune_members(path, members, depth, false, pair::in_form(path)),
        Value::String(text) if personal::is_hidden_email(text) => {
            *text = "[email]".to_owned();
            true
        }
        Value::String(text) if depth < DEPTH_MAX => {
            let Some(mut inner) = parse(text) else { return false };
            let changed = prune(path, &mut inner, depth + 1);
            if changed {
                *text = inner.to_string();
            }
            changed
        }
        _ => false,
    }
}

fn prune_items(path: &str, items: &mut [Value], depth: usize) -> bool {
    // A list of pairs is the fields of one object.
    let names_any = |is_one: &dyn Fn(&str) -> bool| {
        items.iter().any(|item| match item {
            Value::Object(members) => names_of(members).any(is_one),
            Value::Array(pair) => matches!(&pair[..], [Value::String(name), _] if is_one(name)),
            _ => false,
        })
    };
    let of_people = person::is_of_person(names_any);
    let in_form = pair::in_form(path)
        || items.iter().any(|item| item.as_object().is_some_and(|members| names_of(members).in_form));
    let mut changed = false;
    for item in items {
        changed |= match item {
            Value::Object(members) => prune_members(path, members, depth, of_people, in_form),
            Value::Array(pair) if is_personal_pair(path, pair, of_people, false) => pair.pop().is_some(),
            _ => prune(path, item, depth),
        };
    }
    changed
}

/// `["lastname", "…"]`, of a list.
fn is_personal_pair(path: &str, pair: &[Value], of_people: bool, is_doubtful: bool) -> bool {
    match pair {
        [Value::String(name), value @ (Value::String(_) | Value::Number(_))] => {
            of_people && person::may_be_name(name)
                || is_personal_told(path, &Told { name, path: name.into(), is_doubtful }, value)
        }
        _ => false,
    }
}

/// `of_people`, `in_form`: so say the objects beside this one.
fn prune_members(path: &str, members: &mut Map<String, Value>, depth: usize, of_people: bool, in_form: bool) -> bool {
    let before = members.len();
    let names = names_of(members);
    let names_people = of_people || person::is_of_person(|is_one| names.any(is_one));
    let of_people = person::is_of_person(|is_one| members.keys().any(|name| is_one(name)));
    let mut changed = false;
    members.retain(|name, value| {
        let is_told_personal = |told: Told<'_>| {
            let told = Told { is_doubtful: told.is_doubtful && !in_form, ..told };
            names_people && value.is_string() && person::may_be_name(&told.path) || is_personal_told(path, &told, value)
        };
        let goes = of_people && value.is_string() && person::may_be_name(name)
            || personal::is_personal_id(name)
            || names.told(name).any(is_told_personal);
        let path = format!("{path}.{name}");
        let goes = goes || is_personal_member(&path, value);
        if !goes {
            changed |= prune(&path, value, depth);
        }
        !goes
    });
    changed || members.len() < before
}

fn names_of(members: &Map<String, Value>) -> Names {
    // `{"field": {"name": …}, "value": …}`
    let fields = members.iter().filter(|(key, _)| pair::is_field(key));
    let inner = fields
        .filter_map(|(key, value)| Some((key, value.as_object()?)))
        .flat_map(|(key, field)| field.iter().map(move |(name, value)| (format!("{key}.{name}"), value.as_str())));
    let inner: Vec<(String, Option<&str>)> = inner.collect();
    let inner = inner.iter().map(|(key, text)| (key.as_str(), *text));
    Names::of(members.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain(inner))
}

/// Whether a value is personal that another one says the name of.
fn is_personal_told(path: &str, told: &Told<'_>, value: &Value) -> bool {
    let can_be = match value {
        Value::Bool(_) | Value::Null => false,
        Value::String(text) => told::can_be_text(told.name, text, told.is_doubtful),
        Value::Number(number) => number.as_f64().is_none_or(|number| told::can_be_number(told.name, number)),
        Value::Array(_) | Value::Object(_) => true,
    };
    can_be && is_personal_member(&format!("{path}.{}", told.path), value)
}

/// Whether a member of an object is personal, of this name and value.
fn is_personal_member(path: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => is_personal(path, text),
        Value::Number(number) => is_personal_number(path, &number.to_string()),
        Value::Array(items) if items.iter().any(|item| !item.is_object() && is_personal_member(path, item)) => true,
        _ => personal::is_personal_name(path),
    }
}
