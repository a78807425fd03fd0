//! Values of features and expressions: borrowed while computing, owned when handed out.

use crate::TextForm;
use midsession_event::{PropertyValue, Str};
use serde::{Serialize, Serializer};
use std::fmt;

/// A value while an expression runs. Absence is a value, so that evaluation never fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Val<'a> {
    /// Not there.
    Absent,
    /// true or false.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Any other number, never NaN.
    Float(f64),
    /// Text.
    Text(&'a str),
}

impl<'a> Val<'a> {
    /// A number that may be NaN, which means absent.
    pub fn number(number: f64) -> Self {
        if number.is_nan() { Self::Absent } else { Self::Float(number) }
    }

    /// A text that may be missing.
    pub fn text(text: Option<&'a Str>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text))
    }

    /// True only for a present `true`.
    pub fn is_true(self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The number, of either kind.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(int as f64),
            Self::Float(float) => Some(float),
            _ => None,
        }
    }

    /// An owned copy; none when absent.
    pub fn to_value(self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Bool(bool) => Some(Value::Bool(bool)),
            Self::Int(int) => Some(Value::Int(int)),
            Self::Float(float) => Some(Value::Float(float)),
            Self::Text(text) => Some(Value::Text(text.into())),
        }
    }
}

impl<'a> From<&'a PropertyValue> for Val<'a> {
    fn from(value: &'a PropertyValue) -> Self {
        match value {
            PropertyValue::Null => Self::Absent,
            PropertyValue::Bool(bool) => Self::Bool(*bool),
            PropertyValue::Int(int) => Self::Int(*int),
            PropertyValue::Float(float) => Self::number(*float),
            PropertyValue::Text(text) => Self::Text(text),
        }
    }
}

/// A present value, as it is served.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Str),
    /// true or false.
    Bool(bool),
    /// Texts, the most important first.
    List(Box<[Str]>),
    /// Counts by text, the largest first.
    Map(Box<[(Str, i64)]>),
    /// The smallest and the largest number.
    Range(f64, f64),
    /// Known, and nothing.
    Null,
}

impl Value {
    /// A borrowed copy, for expressions; what is not a single value is absent there.
    pub fn as_val(&self) -> Val<'_> {
        match self {
            Self::Int(int) => Val::Int(*int),
            Self::Float(float) => Val::number(*float),
            Self::Text(text) => Val::Text(text),
            Self::Bool(bool) => Val::Bool(*bool),
            Self::List(_) | Self::Map(_) | Self::Range(..) | Self::Null => Val::Absent,
        }
    }
}

/// The plain text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(TextForm::Plain))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::List(list) => serializer.collect_seq(list),
            Self::Map(map) => serializer.collect_map(map.iter().map(|(text, count)| (text, count))),
            Self::Range(least, most) => serializer.collect_map([("min", least), ("max", most)]),
            Self::Null => serializer.serialize_unit(),
        }
    }
}

impl From<Value> for PropertyValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Int(int) => Self::Int(int),
            Value::Float(float) => Self::Float(float),
            Value::Text(text) => Self::Text(text),
            Value::Bool(bool) => Self::Bool(bool),
            Value::Null => Self::Null,
            several => Self::Text(several.to_string().into()),
        }
    }
}
