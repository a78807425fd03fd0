//! Judges a custom field by its name and its value: what is in a link's parameters and in JSON inside text is a field too.

use crate::number::IP_BYTES_MIN;
use crate::personal::{self, Treatment};
use crate::{digits_name, field_name, person, web};
use midsession_event::Str;
use serde_json::Value;

/// Links in links and JSON in JSON are followed this far.
const DEPTH_MAX: usize = 3;

/// Whether text under this name is personal as a whole.
pub(crate) fn is_personal(name: &str, text: &str) -> bool {
    personal::is_personal_name(name)
        || person::is_name_of_person(name)
        || field_name::is_called(name, text.trim())
        || digits_name::is_card(name, text)
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
        Value::Array(items) => {
            let mut changed = false;
            for item in items {
                changed |= prune(path, item, depth);
            }
            changed
        }
        Value::Object(members) => {
            let before = members.len();
            let of_people = members.keys().any(|name| person::may_be_name(name))
                && members.keys().any(|name| person::is_contact(name));
            let mut changed = false;
            members.retain(|name, value| {
                let path = format!("{path}.{name}");
                let is_personal = match &*value {
                    Value::String(text) => of_people && person::may_be_name(name) || self::is_personal(&path, text),
                    Value::Number(number) => {
                        let digits = number.to_string();
                        personal::is_personal_name(&path)
                            || field_name::is_called(&path, &digits)
                            || digits_name::is_card(&path, &digits)
                    }
                    _ => personal::is_personal_name(&path),
                };
                let goes = is_personal || personal::is_personal_id(name);
                if !goes {
                    changed |= prune(&path, value, depth);
                }
                !goes
            });
            changed || members.len() < before
        }
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
