//! Rows as they are sent: one JSON object, JSON lines, or CSV. A bad line costs nothing else.

use super::csv_rows::{CsvRow, CsvRows};
use crate::field::cut;
use crate::json::Json;
use crate::personal::{self, Treatment};
use crate::{Fault, time};
use compact_str::format_compact;
use midsession_event::{Context, ContextKind, PropertyValue, Str};
use std::collections::BTreeMap;

/// Values of one row.
const VALUES_MAX: usize = 64;
/// A value's name. Bytes.
const NAME_BYTES_MAX: usize = 64;
/// An id. Bytes.
const ID_BYTES_MAX: usize = 256;
/// Faults of one body that are told; more are counted.
const FAULTS_MAX: usize = 100;
/// What the answer says of a row beside its values.
const RESERVED: [&str; 8] = ["id", "kind", "version", "at", "at_ms", "age_ms", "stale", REMOVED];
/// What a row of the past says that was taken out.
const REMOVED: &str = "removed";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One JSON object on each line, with the `id` beside the values.
    JsonLines,
    /// A line of names, `id` among them, then a line for each row; RFC 4180.
    Csv,
}

/// Bounds of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLimits {
    /// Names and values of one row. Bytes.
    pub row_bytes: usize,
}

/// A line that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFault {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What a body holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk<R = Context> {
    /// The rows that can be taken, each with its line.
    pub rows: Vec<(u64, R)>,
    /// The first of the others.
    pub faults: Vec<LineFault>,
    /// How many others there are.
    pub refused: u64,
}

impl<R> Default for Bulk<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), faults: Vec::new(), refused: 0 }
    }
}

/// A row of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRow {
    /// The row; without values where it was taken out.
    pub row: Context,
    /// It was taken out.
    pub is_removed: bool,
    /// From when on it held; none: all along. Epoch ms.
    pub at_ms: Option<i64>,
    /// The version that it had, where that is known.
    pub version: Option<i64>,
}

impl<R> Bulk<R> {
    fn take(&mut self, line: u64, row: Result<R, Fault>) {
        match row {
            Ok(row) => self.rows.push((line, row)),
            Err(fault) => self.refuse(line, fault),
        }
    }

    /// Counts a line that can't be taken, and tells it if few were told.
    pub fn refuse(&mut self, line: u64, fault: Fault) {
        self.refused += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(LineFault { line, fault });
        }
    }
}

type Cells = BTreeMap<Str, PropertyValue>;

/// Reads one row whose id is known, from a JSON object of its values.
pub fn read_row(kind: ContextKind, id: &str, body: &[u8], limits: RowLimits) -> Result<Context, Fault> {
    let (own, cells) = json(body)?;
    if own.is_some_and(|own| own != id) {
        return Err(Fault::new("id_differs", "the id in the body is not the one in the address").at("id"));
    }
    check(kind, id.into(), cells, limits)
}

/// Reads a whole body. An error concerns all of it.
pub fn read_rows(kind: ContextKind, format: RowFormat, body: &[u8], limits: RowLimits) -> Result<Bulk, Fault> {
    rows(kind, format, body, |id, cells| check(kind, id, cells, limits))
}

/// Reads a whole body of rows of the past: beside its values a row may say from when on it held (`at`), and its `version`,
/// or that it was taken out (`removed`). An error concerns all of it.
pub fn read_past_rows(
    kind: ContextKind,
    format: RowFormat,
    body: &[u8],
    limits: RowLimits,
) -> Result<Bulk<PastRow>, Fault> {
    rows(kind, format, body, |id, mut cells| {
        let said = match &cells.remove("at") {
            None | Some(PropertyValue::Null) => Json::Null,
            Some(PropertyValue::Bool(said)) => Json::Bool(*said),
            Some(PropertyValue::Int(ms)) => Json::Int(*ms),
            Some(PropertyValue::Float(ms)) => Json::Float(*ms),
            Some(PropertyValue::Text(text)) => Json::Text(text.to_string().into()),
        };
        let at_ms = time::parse(&said, "at")?;
        let version = match cells.remove("version") {
            None => None,
            Some(PropertyValue::Int(version)) => Some(version),
            Some(_) => return Err(Fault::new("value_type", "a whole number is wanted here").at("version")),
        };
        let is_removed = match cells.remove(REMOVED) {
            None | Some(PropertyValue::Null | PropertyValue::Bool(false)) => false,
            Some(PropertyValue::Bool(true)) => true,
            Some(_) => return Err(Fault::new("value_type", "true or false is wanted here").at(REMOVED)),
        };
        let row = if is_removed { gone(kind, id, &cells, at_ms)? } else { check(kind, id, cells, limits)? };
        Ok(PastRow { row, is_removed, at_ms, version })
    })
}

/// A row that was taken out: nothing but an id, and since when it is not there.
fn gone(kind: ContextKind, id: Str, cells: &Cells, at_ms: Option<i64>) -> Result<Context, Fault> {
    check_id(kind, &id)?;
    if let Some(name) = cells.keys().next() {
        let fault = Fault::new("removed_with_values", "a row that was taken out has no values");
        return Err(fault.at(cut(name, NAME_BYTES_MAX)).hint("leave the values out, or `removed`"));
    }
    if at_ms.is_none() {
        return Err(Fault::new("removed_without_at", "when was it taken out?")
            .at("at")
            .hint("say it in `at`; a row that was never there needs no line"));
    }
    Ok(Context { kind, id, values: Cells::new().into() })
}

/// The rows of a body, each as `keep` makes it of its id and its cells.
fn rows<R>(
    kind: ContextKind,
    format: RowFormat,
    body: &[u8],
    keep: impl Fn(Str, Cells) -> Result<R, Fault>,
) -> Result<Bulk<R>, Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match format {
        RowFormat::JsonLines => json_lines(body, keep),
        RowFormat::Csv => csv(kind, body, keep),
    }
}

fn json_lines<R>(body: &[u8], keep: impl Fn(Str, Cells) -> Result<R, Fault>) -> Result<Bulk<R>, Fault> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Fault::new("json_lines_expected", "this is one JSON array")
            .hint("send one object on each line, without brackets and commas around them"));
    }
    let mut bulk = Bulk::default();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = json(line).and_then(|(id, cells)| {
            keep(id.ok_or_else(|| Fault::new("id_missing", "the row has no id").at("id"))?, cells)
        });
        bulk.take(index as u64 + 1, row);
    }
    Ok(bulk)
}

/// The id and the values of a JSON object.
fn json(text: &[u8]) -> Result<(Option<Str>, Cells), Fault> {
    use serde_json::Value;
    let value: Value = serde_json::from_slice(text)
        .map_err(|cause| Fault::new("json_invalid", format_compact!("not JSON: {cause}")))?;
    let Value::Object(fields) = value else {
        return Err(Fault::new("json_invalid", "a row is a JSON object").hint("like {\"id\": \"p1\", \"price\": 9.5}"));
    };
    let (mut id, mut cells) = (None, Cells::new());
    for (name, value) in fields {
        let name = Str::from(name);
        let value = match value {
            Value::Null => continue,
            Value::Bool(value) => PropertyValue::Bool(value),
            Value::Number(number) => match number.as_i64() {
                Some(number) => PropertyValue::Int(number),
                None => PropertyValue::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => PropertyValue::Text(text.into()),
            Value::Array(_) | Value::Object(_) => {
                return Err(Fault::new("value_nested", "a value is text, a number, true or false")
                    .at(cut(&name, NAME_BYTES_MAX))
                    .hint("give what is inside names of its own"));
            }
        };
        match (name.as_str(), value) {
            ("id", PropertyValue::Text(text)) => id = Some(text),
            ("id", PropertyValue::Int(number)) => id = Some(format_compact!("{number}")),
            ("id", _) => return Err(Fault::new("id_invalid", "an id is text or a whole number").at("id")),
            (_, value) => {
                cells.insert(name, value);
            }
        }
    }
    Ok((id, cells))
}

fn csv<R>(kind: ContextKind, body: &[u8], keep: impl Fn(Str, Cells) -> Result<R, Fault>) -> Result<Bulk<R>, Fault> {
    // The body is in memory as it is: none of its lines is too long to be looked at.
    let mut rows = CsvRows::new(body, usize::MAX);
    let mut names: Vec<Str> = Vec::new();
    let mut bulk = Bulk::default();
    let unreadable = |cause| Fault::new("csv_invalid", format_compact!("not CSV: {cause}"));
    while let Some(CsvRow { line, fields, .. }) = rows.next_row().map_err(unreadable)? {
        if names.is_empty() {
            names = header(fields?)?;
            continue;
        }
        bulk.take(
            line,
            fields.and_then(|fields| csv_row(kind, &names, fields)).and_then(|(id, cells)| keep(id, cells)),
        );
    }
    if names.is_empty() {
        return Err(header_fault("the body is empty"));
    }
    Ok(bulk)
}

fn header_fault(message: &str) -> Fault {
    Fault::new("csv_header", message).hint("the first line names the columns, one of them id: id,price,currency")
}

fn header(record: &csv::ByteRecord) -> Result<Vec<Str>, Fault> {
    let names: Result<Vec<Str>, _> =
        record.iter().map(|name| std::str::from_utf8(name).map(|name| Str::from(name.trim()))).collect();
    let names = names.map_err(|_| header_fault("the first line is not UTF-8"))?;
    if !names.iter().any(|name| name == "id") {
        return Err(header_fault("the first line names no column id"));
    }
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(header_fault(&format!("the column {} stands twice", cut(name, NAME_BYTES_MAX)))),
        None => Ok(names),
    }
}

fn csv_row(kind: ContextKind, names: &[Str], record: &csv::ByteRecord) -> Result<(Str, Cells), Fault> {
    if record.len() != names.len() {
        let message = format_compact!("{} fields where the first line has {}", record.len(), names.len());
        return Err(Fault::new("csv_fields", message).hint("put text with a comma or a quote in it in quotes"));
    }
    let (mut id, mut cells) = (Str::default(), Cells::new());
    for (name, cell) in names.iter().zip(record) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| Fault::new("utf8_invalid", "not UTF-8").at(cut(name, NAME_BYTES_MAX)))?;
        if name == "id" {
            id = cell.trim().into();
        } else if !cell.is_empty() {
            let known = if name == REMOVED { Some(Known::Flag) } else { known(kind, name) };
            cells.insert(name.clone(), cell_value(known, cell));
        }
    }
    Ok((id, cells))
}

/// What a cell says: by its name's type where that is known; else true and false, numbers as JSON writes them, text.
fn cell_value(known: Option<Known>, cell: &str) -> PropertyValue {
    let text = || PropertyValue::Text(cell.into());
    let number = || match serde_json::from_str::<serde_json::Number>(cell.trim()) {
        Ok(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => PropertyValue::Int(int),
            (None, Some(float)) => PropertyValue::Float(float),
            (None, None) => text(),
        },
        Err(_) => text(),
    };
    // Spreadsheets write TRUE, other tools True.
    let flag = || match cell.trim() {
        said if said.eq_ignore_ascii_case("true") => Some(PropertyValue::Bool(true)),
        said if said.eq_ignore_ascii_case("false") => Some(PropertyValue::Bool(false)),
        _ => None,
    };
    match (known, cell.trim()) {
        (Some(Known::Text | Known::Currency), _) => text(),
        (Some(Known::Flag), "1") => PropertyValue::Bool(true),
        (Some(Known::Flag), "0") => PropertyValue::Bool(false),
        (Some(Known::Flag), _) => flag().unwrap_or_else(text),
        (Some(Known::Amount | Known::Count), _) => number(),
        (None, _) => flag().unwrap_or_else(number),
    }
}

/// The type of a name that the product itself reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Text,
    Currency,
    /// A number from 0.
    Amount,
    /// A whole number from 0.
    Count,
    Flag,
}

fn known(kind: ContextKind, name: &str) -> Option<Known> {
    match (kind, name) {
        (ContextKind::Product, "name" | "category" | "brand") | (ContextKind::Promotion, "name") => Some(Known::Text),
        (ContextKind::Product | ContextKind::Price, "price") => Some(Known::Amount),
        (ContextKind::Product | ContextKind::Price, "currency") => Some(Known::Currency),
        (ContextKind::Inventory, "stock") => Some(Known::Count),
        (ContextKind::Inventory, "in_stock") => Some(Known::Flag),
        _ => None,
    }
}

impl Known {
    /// The value as it is kept, or what is wanted instead.
    fn keep(self, value: PropertyValue) -> Result<PropertyValue, &'static str> {
        match (self, value) {
            (Self::Text, PropertyValue::Text(text)) => Ok(PropertyValue::Text(text)),
            (Self::Currency, PropertyValue::Text(text)) => {
                let code = text.trim().to_ascii_uppercase();
                let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                if is_code { Ok(PropertyValue::Text(code.into())) } else { Err("three letters like EUR") }
            }
            (Self::Amount | Self::Count, PropertyValue::Int(number)) if number >= 0 => Ok(PropertyValue::Int(number)),
            (Self::Amount, PropertyValue::Float(number)) if number >= 0.0 => Ok(PropertyValue::Float(number)),
            (Self::Flag, PropertyValue::Bool(flag)) => Ok(PropertyValue::Bool(flag)),
            (Self::Text, _) => Err("text"),
            (Self::Currency, _) => Err("three letters like EUR"),
            (Self::Amount, _) => Err("a number from 0, like 12.5"),
            (Self::Count, _) => Err("a whole number from 0"),
            (Self::Flag, _) => Err("true or false"),
        }
    }
}

fn check_id(kind: ContextKind, id: &str) -> Result<(), Fault> {
    if id.is_empty() {
        return Err(Fault::new("id_missing", "the row has no id").at("id"));
    }
    if id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        let message = format_compact!("an id has at most {ID_BYTES_MAX} bytes, and no control characters");
        return Err(Fault::new("id_invalid", message).at("id"));
    }
    if kind.is_of_person() && personal::is_personal_id(id) {
        return Err(Fault::new("id_personal", "the id is an e-mail address, a telephone number or an IP address")
            .at("id")
            .hint("events carry a keyed hash in its place: use the id that stands on the events"));
    }
    Ok(())
}

/// A row whose values are what their names promise, within bounds, and none of them personal.
fn check(kind: ContextKind, id: Str, cells: Cells, limits: RowLimits) -> Result<Context, Fault> {
    check_id(kind, &id)?;
    if cells.len() > VALUES_MAX {
        return Err(Fault::new("too_many_values", format_compact!("a row has at most {VALUES_MAX} values")));
    }
    let (mut values, mut bytes) = (Cells::new(), id.len());
    for (name, value) in cells {
        let fault = |code, message: Str| Fault::new(code, message).at(cut(&name, NAME_BYTES_MAX));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) {
            return Err(fault(
                "name_invalid",
                format_compact!("a name has 1 to {NAME_BYTES_MAX} letters, digits and _"),
            ));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(
                fault("name_reserved", "this name is the product's own".into()).hint("give the value another one")
            );
        }
        if kind.is_of_person() && is_personal(&name, &value) {
            return Err(fault(
                "value_personal",
                "this is personal, and would stand on every event of the shopper".into(),
            )
            .hint("leave names, addresses, e-mail and telephone out; load what is concluded from them"));
        }
        let value = match known(kind, &name) {
            Some(known) => {
                known.keep(value).map_err(|wanted| fault("value_type", format_compact!("{wanted} is wanted here")))?
            }
            None => value,
        };
        bytes += name.len() + if let PropertyValue::Text(text) = &value { text.len() } else { 8 };
        values.insert(name, value);
    }
    if bytes > limits.row_bytes {
        let message = format_compact!("the row has {bytes} bytes, {} are taken", limits.row_bytes);
        return Err(Fault::new("row_too_large", message).hint("leave out what no rule reads, or raise row_bytes_max"));
    }
    let needed: &[&str] = match kind {
        ContextKind::Price => &["price"],
        ContextKind::Inventory => &["stock", "in_stock"],
        _ => &[],
    };
    if values.is_empty() || !needed.is_empty() && !needed.iter().any(|name| values.contains_key(*name)) {
        let needed = if needed.is_empty() { "any value".to_owned() } else { needed.join(" or ") };
        return Err(Fault::new("row_empty", format_compact!("the row does not have {needed}")));
    }
    Ok(Context { kind, id, values: values.into() })
}

fn is_personal(name: &str, value: &PropertyValue) -> bool {
    let in_text = match value {
        PropertyValue::Text(text) => {
            let mut scrubbed = text.clone();
            personal::scrub(&mut scrubbed, &Treatment::Drop);
            scrubbed != *text
        }
        _ => false,
    };
    // `name` alone is a product's elsewhere; of a person it is theirs.
    in_text || name == "name" || personal::is_personal_name(name)
}

#[cfg(test)]
mod tests;
