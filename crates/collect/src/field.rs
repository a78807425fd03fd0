//! Readers for the fields that all protocols share: ids, money, counts, text, each with its bound and its verdict.

use crate::json::Json;
use crate::{Fault, Limits, quote};
use compact_str::format_compact;
use midsession_event::{Product, Str};

/// Longest text kept of a title, name or property; the rest is cut.
pub(crate) const TEXT_BYTES: usize = 1_024;
/// Longest address kept.
pub(crate) const URL_BYTES: usize = 4_096;

/// Ids that are somebody's bug, not somebody: with them every guest would be one shopper.
const PLACEHOLDERS: [&str; 26] = [
    "undefined",
    "null",
    "none",
    "nil",
    "nan",
    "true",
    "false",
    "0",
    "-1",
    "[object object]",
    "(null)",
    "(not set)",
    "not_set",
    "n/a",
    "na",
    "unknown",
    "anonymous",
    "guest",
    "distinct_id",
    "distinctid",
    "not_authenticated",
    "email",
    "id",
    "user",
    "user_id",
    "visitor_id",
];

/// The text, cut at a character's border, without control characters (a NUL alone can stop a store downstream).
pub(crate) fn cut(text: &str, bytes: usize) -> Str {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        let clean: Str = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        return cut(&clean, bytes);
    }
    if text.len() <= bytes {
        return Str::from(text);
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Str::from(&text[..end])
}

/// Text without the placeholders of a missing value.
pub(crate) fn text(value: &Json<'_>, field: &'static str) -> Result<Option<Str>, Fault> {
    long_text(value, field, TEXT_BYTES)
}

/// [`text`] with a bound of its own.
pub(crate) fn long_text(value: &Json<'_>, field: &'static str, bytes: usize) -> Result<Option<Str>, Fault> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) if text.is_empty() => Ok(None),
        Json::Text(text) => Ok(Some(cut(text, bytes))),
        Json::Int(number) => Ok(Some(format_compact!("{number}"))),
        Json::Float(number) => Ok(Some(format_compact!("{number}"))),
        Json::Bool(value) => Ok(Some(Str::from(if *value { "true" } else { "false" }))),
        other => Err(wrong_type(other, "text", field)),
    }
}

fn wrong_type(value: &Json<'_>, expected: &str, field: &'static str) -> Fault {
    Fault::new("wrong_type", format_compact!("{} where {expected} belongs", value.kind())).at(field)
}

/// Checks an id that was read as text: bounded, no control characters. `who` also refuses placeholders.
pub(crate) fn check_id(text: &str, field: &'static str, limits: &Limits, who: bool) -> Result<Option<Str>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > limits.id_bytes {
        return Err(Fault::new("id_too_long", format_compact!("longer than {} bytes", limits.id_bytes)).at(field));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("id_control_character", "an id holds a control character").at(field));
    }
    if who && is_placeholder(text) {
        return Err(Fault::new("id_placeholder", format_compact!("`{text}` stands for a missing id"))
            .at(field)
            .hint("leave the field out while the id is not known: everybody sent with it would be one shopper"));
    }
    Ok(Some(Str::from(text)))
}

fn is_placeholder(text: &str) -> bool {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return true;
    }
    if trimmed.len() <= 17 && PLACEHOLDERS.iter().any(|placeholder| placeholder.eq_ignore_ascii_case(trimmed)) {
        return true;
    }
    // The nil UUID, with or without dashes.
    trimmed.len() >= 32 && trimmed.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// The id of a visitor or user: absent when null or empty. A whole number is taken as its decimal text.
pub(crate) fn who(value: &Json<'_>, field: &'static str, limits: &Limits) -> Result<Option<Str>, Fault> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => check_id(text, field, limits, true),
        Json::Int(number) => check_id(&format_compact!("{number}"), field, limits, true),
        other => Err(wrong_type(other, "an id", field)),
    }
}

/// Any other id.
pub(crate) fn id(value: &Json<'_>, field: &'static str, limits: &Limits) -> Result<Option<Str>, Fault> {
    let id = match value {
        Json::Null => None,
        Json::Text(text) => check_id(text, field, limits, false)?,
        Json::Int(number) => Some(format_compact!("{number}")),
        other => return Err(wrong_type(other, "an id", field)),
    };
    match id {
        Some(id) if matches!(id.as_str(), "undefined" | "null" | "NaN" | "[object Object]") => {
            Err(Fault::new("id_placeholder", format_compact!("`{id}` stands for a missing id")).at(field))
        }
        id => Ok(id),
    }
}

/// An amount of money, at least 0 and finite; also as decimal text.
pub(crate) fn money(value: &Json<'_>, field: &'static str) -> Result<Option<f64>, Fault> {
    let amount = match value {
        Json::Null => return Ok(None),
        Json::Int(number) => *number as f64,
        Json::Float(number) => *number,
        Json::Text(text) if text.trim().is_empty() => return Ok(None),
        Json::Text(text) => decimal(text).ok_or_else(|| {
            Fault::new("money_invalid", format_compact!("{} is not a plain number", quote::text(text)))
                .at(field)
                .hint("send a number such as 12.5, without sign of currency or separators")
        })?,
        other => return Err(wrong_type(other, "an amount", field)),
    };
    if amount.is_finite() && amount >= 0.0 {
        // −0.0 would stand apart from 0.0 wherever bits are compared.
        Ok(Some(amount + 0.0))
    } else {
        Err(Fault::new("money_invalid", "an amount is negative or not finite").at(field))
    }
}

/// Plain decimal text: digits, one point, an optional sign. (`inf`, `nan` and `1e9` are not.)
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')).then(|| text.parse().ok())?
}

/// A whole number in a range; also as text.
pub(crate) fn count(
    value: &Json<'_>,
    field: &'static str,
    range: std::ops::RangeInclusive<i32>,
) -> Result<Option<i32>, Fault> {
    let number = match value {
        Json::Null => return Ok(None),
        Json::Int(number) => i32::try_from(*number).ok(),
        Json::Float(number) if number.fract() == 0.0 && number.abs() < 2e9 => Some(*number as i32),
        Json::Text(text) if text.trim().is_empty() => return Ok(None),
        Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
        let message = format_compact!("not a whole number from {} to {}", range.start(), range.end());
        Fault::new("number_invalid", message).at(field)
    })
}

/// A currency: three letters, kept in upper case.
pub(crate) fn currency(value: &Json<'_>, field: &'static str) -> Result<Option<Str>, Fault> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => check_currency(text, field),
        other => Err(wrong_type(other, "a currency", field)),
    }
}

/// [`currency`] of text.
pub(crate) fn check_currency(text: &str, field: &'static str) -> Result<Option<Str>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let mut code = Str::from(text);
        code.make_ascii_uppercase();
        return Ok(Some(code));
    }
    Err(Fault::new("currency_invalid", format_compact!("{} is not an ISO 4217 code", quote::text(text)))
        .at(field)
        .hint("send three letters, such as EUR"))
}

/// An event's name.
pub(crate) fn event_name(text: &str, field: &'static str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("name_missing", "the event has no name").at(field));
    }
    if text.len() > 128 || text.chars().any(char::is_control) {
        return Err(Fault::new("name_invalid", "a name is at most 128 bytes without control characters").at(field));
    }
    Ok(())
}

/// Puts the path of a list's element in front of a fault's field.
pub(crate) fn in_element<T>(result: Result<T, Fault>, list: &str, index: usize) -> Result<T, Fault> {
    result.map_err(|fault| fault.at(format_compact!("{list}[{index}]")))
}

/// The names a dialect uses for a product's fields, first found wins.
pub(crate) struct ProductNames {
    pub id: &'static [&'static str],
    pub name: &'static [&'static str],
    pub category: &'static [&'static str],
    pub brand: &'static [&'static str],
    pub price: &'static [&'static str],
    pub currency: &'static [&'static str],
    pub quantity: &'static [&'static str],
    pub position: &'static [&'static str],
    /// The first position is 0.
    pub from_zero: bool,
}

/// Reads a product; `None` when it has no id and `required` is off.
pub(crate) fn product(
    members: &[crate::json::Member<'_>],
    names: &ProductNames,
    limits: &Limits,
    required: bool,
) -> Result<Option<Product>, Fault> {
    let mut product = Product::default();
    let mut id_rank = usize::MAX;
    for (key, value) in members {
        let key = key.as_ref();
        let is = |names: &[&str]| names.contains(&key);
        if let Some(rank) = names.id.iter().position(|name| *name == key) {
            if rank < id_rank
                && let Some(id) = self::id(value, "id", limits)?
            {
                product.id = id.into();
                id_rank = rank;
            }
        } else if is(names.name) {
            product.name = text(value, "name")?;
        } else if is(names.category) {
            product.category = text(value, "category")?;
        } else if is(names.brand) {
            product.brand = text(value, "brand")?;
        } else if is(names.price) {
            product.price = money(value, "price")?;
        } else if is(names.currency) {
            product.currency = currency(value, "currency")?;
        } else if is(names.quantity) {
            product.quantity = count(value, "quantity", 0..=1_000_000)?;
        } else if is(names.position) {
            product.position = count(value, "position", 0..=1_000_000)?.map(|at| at + i32::from(names.from_zero));
        }
    }
    if id_rank < usize::MAX {
        return Ok(Some(product));
    }
    if required {
        return Err(Fault::new("field_missing", "a product has no id").at("id"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn text_of(text: &'static str) -> Json<'static> {
        Json::Text(Cow::Borrowed(text))
    }

    #[test]
    fn ids() {
        let limits = Limits::default();
        for bad in [
            "undefined",
            "NULL",
            "NaN",
            "[object Object]",
            "00000000-0000-0000-0000-000000000000",
            " ",
            "0",
            "Guest",
            "00000000000000000000000000000000",
        ] {
            let verdict = check_id(bad, "visitor_id", &limits, true);
            assert_eq!(verdict.map_err(|fault| fault.code), Err("id_placeholder"), "{bad}");
        }
        for (bad, code) in [("a\u{0}b", "id_control_character"), ("a\u{85}", "id_control_character")] {
            assert_eq!(check_id(bad, "visitor_id", &limits, true).map_err(|fault| fault.code), Err(code));
        }
        let long = "x".repeat(257);
        assert_eq!(check_id(&long, "event_id", &limits, false).map_err(|fault| fault.code), Err("id_too_long"));
        assert_eq!(check_id("", "user_id", &limits, true), Ok(None));
        assert_eq!(who(&Json::Int(42), "user_id", &limits), Ok(Some("42".into())));
        assert_eq!(id(&text_of("0"), "products[0].id", &limits), Ok(Some("0".into())));
        assert_eq!(id(&text_of("undefined"), "id", &limits).map_err(|fault| fault.code), Err("id_placeholder"));
    }

    #[test]
    fn amounts() {
        for (value, expected) in [
            (Json::Int(3), Ok(Some(3.0))),
            (Json::Float(0.1), Ok(Some(0.1))),
            (text_of("42.99"), Ok(Some(42.99))),
            (text_of(""), Ok(None)),
            (Json::Null, Ok(None)),
            (Json::Float(-0.01), Err("money_invalid")),
            (text_of("1,5"), Err("money_invalid")),
            (text_of("inf"), Err("money_invalid")),
            (text_of("-1"), Err("money_invalid")),
            (text_of("1-1"), Err("money_invalid")),
            (Json::Bool(true), Err("wrong_type")),
        ] {
            assert_eq!(money(&value, "price").map_err(|fault| fault.code), expected, "{value:?}");
        }
        assert_eq!(money(&Json::Float(-0.0), "price").map(|value| value.map(f64::to_bits)), Ok(Some(0)));
        assert_eq!(currency(&text_of("eur"), "currency"), Ok(Some("EUR".into())));
        assert!(currency(&text_of("€"), "currency").is_err());
        assert_eq!(count(&text_of("2"), "quantity", 0..=9), Ok(Some(2)));
        assert!(count(&Json::Float(1.5), "quantity", 0..=9).is_err());
        assert!(count(&Json::Int(i64::MAX), "quantity", 0..=9).is_err());
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("a\u{0}b\nc", 9), "a b c");
    }
}
