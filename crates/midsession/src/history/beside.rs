//! What an entities file says beside its questions, labels for instance: it goes along into the rows of the answer.

use super::table::{Cell, Kind};
use midsession_event::Str;
use serde_json::{Number, Value};

/// Names of columns that rows have themselves: another one of such a name is left out.
const OWN: [&str; 14] = [
    "user",
    "session",
    "asked",
    "at",
    "event_id",
    "as_of",
    "arrival",
    "known",
    "incomplete",
    "since",
    "features",
    "as_of_partition",
    "as_of_offset",
    "as_of_now",
];

/// What one question has beside it: columns and values.
pub type Beside = Vec<(Str, Value)>;

/// Whether a column goes along; `fields` are those that features go by.
pub fn goes_along(column: &str, fields: &[Str]) -> bool {
    !column.is_empty() && !OWN.contains(&column) && fields.iter().all(|field| field != column)
}

/// The columns of a file that go along, in the order in which they came.
#[derive(Debug, Default)]
pub struct Columns {
    /// With what they hold; none as long as nothing stands there.
    columns: Vec<(Str, Option<Kind>)>,
    /// Its values are texts, whatever they mean.
    pub are_texts: bool,
}

impl Columns {
    /// Looks at a row of the file.
    pub fn see(&mut self, beside: &Beside) {
        for (name, value) in beside {
            let at = self.columns.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                self.columns.push((name.clone(), None));
                self.columns.len() - 1
            });
            let kind = match value {
                Value::String(text) if self.are_texts => kind_of(&meant(text)),
                value => kind_of(value),
            };
            let known = &mut self.columns[at].1;
            *known = match (*known, kind) {
                (known, None) => known,
                (None, kind) => kind,
                (Some(known), Some(kind)) if known == kind => Some(kind),
                (Some(Kind::Int | Kind::Float), Some(Kind::Int | Kind::Float)) => Some(Kind::Float),
                _ => Some(Kind::Text),
            };
        }
    }

    /// The values of a row as what they mean, where all of their column mean something of a kind: 7 for `7`.
    pub fn typed(&self, beside: &mut Beside) {
        for (name, value) in beside.iter_mut().filter(|_| self.are_texts) {
            let is_text = |(known, kind): &(Str, Option<Kind>)| known == name && *kind == Some(Kind::Text);
            if let (false, Value::String(text)) = (self.columns.iter().any(is_text), &*value) {
                *value = meant(text);
            }
        }
    }

    /// Each with what it holds.
    pub fn kinds(&self) -> impl Iterator<Item = (Str, Kind)> {
        self.columns.iter().map(|(name, kind)| (name.clone(), kind.unwrap_or(Kind::Text)))
    }
}

fn kind_of(value: &Value) -> Option<Kind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(Kind::Bool),
        Value::Number(number) if number.is_i64() => Some(Kind::Int),
        Value::Number(_) => Some(Kind::Float),
        Value::String(_) | Value::Array(_) | Value::Object(_) => Some(Kind::Text),
    }
}

/// What a text means: a number, true or false where it is written like one. `007` is none, and no number loses digits.
fn meant(text: &str) -> Value {
    let number = match text.parse::<i64>() {
        Ok(int) if int.to_string() == text => Some(int.into()),
        _ if text.contains('.') && text.len() < 18 => serde_json::from_str::<Number>(text).ok(),
        _ => None,
    };
    match (number, text) {
        (Some(number), _) => Value::Number(number),
        (None, "true" | "false") => Value::Bool(text == "true"),
        _ => Value::String(text.to_owned()),
    }
}

/// A value in its column.
pub fn cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Null,
        Some(Value::Bool(bool)) => Cell::Bool(*bool),
        Some(Value::String(text)) => Cell::Text(text.as_str().into()),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Cell::Int(int),
            (None, Some(float)) => Cell::Float(float),
            (None, None) => Cell::Null,
        },
        Some(several) => Cell::Text(several.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_is_of_one_kind() {
        for (texts, kind, typed) in [
            (&["0", "1"][..], Kind::Int, vec![json!(0), json!(1)]),
            (&["1", "0.5"], Kind::Float, vec![json!(1), json!(0.5)]),
            (&["true", "false"], Kind::Bool, vec![json!(true), json!(false)]),
            (&["01234", "1"], Kind::Text, vec![json!("01234"), json!("1")]),
            (&["1", "x"], Kind::Text, vec![json!("1"), json!("x")]),
            (&["12345678901234567890"], Kind::Text, vec![json!("12345678901234567890")]),
            (&["1.50", "1e3", "true"], Kind::Text, vec![json!("1.50"), json!("1e3"), json!("true")]),
        ] {
            let mut columns = Columns { are_texts: true, ..Columns::default() };
            let rows: Vec<Beside> = texts.iter().map(|text| vec![("label".into(), json!(text))]).collect();
            rows.iter().for_each(|row| columns.see(row));
            assert_eq!(columns.kinds().collect::<Vec<_>>(), [("label".into(), kind)], "{texts:?}");
            let read = rows.into_iter().map(|mut row| {
                columns.typed(&mut row);
                row.remove(0).1
            });
            assert_eq!(read.collect::<Vec<_>>(), typed, "{texts:?}");
        }
        let mut columns = Columns::default();
        columns.see(&vec![("a".into(), json!("7")), ("b".into(), Value::Null), ("c".into(), json!([1]))]);
        columns.see(&vec![("b".into(), json!(1.5))]);
        let kinds = [("a".into(), Kind::Text), ("b".into(), Kind::Float), ("c".into(), Kind::Text)];
        assert_eq!(columns.kinds().collect::<Vec<_>>(), kinds);
        assert_eq!(cell(Some(&json!({"a": 1}))), Cell::Text("{\"a\":1}".into()));
    }
}
