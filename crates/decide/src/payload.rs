//! What a payload has to have: something to show, and links that a card keeps.

use midsession_feature::Document;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Notes what is wrong with the payload of the `[[intervention]]` that stands at these bytes.
pub(crate) fn check(document: &mut Document<'_>, root: &DeTable<'_>, intervention: &Range<usize>) {
    let list = root.get("intervention").and_then(|list| list.get_ref().as_array());
    let table = list.into_iter().flat_map(|list| list.iter()).find(|table| table.span() == *intervention);
    let Some(payload) = table.and_then(|table| table.get_ref().get("payload")) else { return };
    let Some(fields) = payload.get_ref().as_table() else { return };
    if !fields.iter().any(|(name, value)| name.get_ref() != "locales" && says_something(value.get_ref())) {
        let hint = "give it a `title` or a `body`, or what your page's own code paints";
        document.fault(payload.span(), "a payload without a field shows nothing", Some(hint.into()));
    }
    action(document, fields);
    let locales = fields.get("locales").and_then(|locales| locales.get_ref().as_table());
    for language in locales.into_iter().flatten().filter_map(|(_, language)| language.get_ref().as_table()) {
        action(document, language);
    }
}

fn says_something(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => !text.trim().is_empty(),
        DeValue::Array(list) => list.iter().any(|value| says_something(value.get_ref())),
        DeValue::Table(table) => table.iter().any(|(_, value)| says_something(value.get_ref())),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
    }
}

/// A card keeps links over http and https, and takes every other away; so it is told before.
fn action(document: &mut Document<'_>, fields: &DeTable<'_>) {
    let Some(action) = fields.get("action") else { return };
    if let Some(scheme) = action.get_ref().as_str().and_then(scheme)
        && scheme != "http"
        && scheme != "https"
    {
        let hint = "an address of the shop like `/cart` or `#contact`, or one with https://";
        document.fault(Spanned::span(action), format!("no card shows a link with `{scheme}:`"), Some(hint.into()));
    }
}

/// The scheme of an address as a browser reads it: blanks before it, and line ends and tabs within, do not count.
fn scheme(address: &str) -> Option<String> {
    let address = address.trim_start_matches(|c: char| c <= ' ');
    let address: String = address.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let (scheme, _) = address.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then(|| scheme.to_ascii_lowercase())
}
