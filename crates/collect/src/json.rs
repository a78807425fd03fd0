//! The one meaning of a JSON text: borrowed values, no duplicate names, numbers that fit, bounded objects.
//!
//! Rules: a name that stands twice in an object is refused (parsers differ in which one they keep); a number whose
//! magnitude reaches 2^63 is refused rather than rounded; nesting is bounded level by level.

use crate::{Fault, Limits};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// A JSON value, its text borrowed from the input where it holds no escapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<Member<'a>>),
}

/// A name and its value.
pub(crate) type Member<'a> = (Cow<'a, str>, Json<'a>);

impl<'a> Json<'a> {
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn members(&self) -> &[Member<'a>] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl serde::Serialize for Json<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

pub(crate) fn duplicate(name: &str) -> Fault {
    Fault::new("duplicate_key", "the same name stands twice in one object")
        .at(crate::quote::name(name))
        .hint("keep one of them: parsers differ in which one they would take")
}

/// Parses a text. The parser never goes deeper than the limit: each level asks before it opens the next.
pub(crate) fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Json<'a>, Fault> {
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { limits, fault: &fault, depth: 0 };
    match seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(fault.take().unwrap_or_else(|| {
            let message = error.to_string();
            if message.starts_with("number out of range") {
                number_out_of_range()
            } else {
                Fault::new("invalid_json", message).hint("send UTF-8 JSON (RFC 8259)")
            }
        })),
    }
}

fn number_out_of_range() -> Fault {
    Fault::new("number_out_of_range", "a number's magnitude reaches 2^63, where it would be rounded")
        .hint("send such ids as text")
}

#[derive(Clone, Copy)]
struct Seed<'s> {
    limits: &'s Limits,
    fault: &'s Cell<Option<Fault>>,
    depth: usize,
}

impl Seed<'_> {
    fn refuse<E: de::Error>(&self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    /// For the values inside an object or array.
    fn deeper<E: de::Error>(mut self) -> Result<Self, E> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            let message = compact_str::format_compact!("nested deeper than {}", self.limits.depth);
            return Err(self.refuse(Fault::new("too_deep", message).hint("flatten the event")));
        }
        Ok(self)
    }
}

fn same(one: &str, other: &str) -> bool {
    // Most names differ in length or at once; comparing on costs a call.
    one.len() == other.len() && one.as_bytes().first() == other.as_bytes().first() && one == other
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'de>, E> {
        i64::try_from(value).map(Json::Int).map_err(|_| self.refuse(number_out_of_range()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        if value.abs() < 9_223_372_036_854_775_808.0 {
            Ok(Json::Float(value))
        } else {
            Err(self.refuse(number_out_of_range()))
        }
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<Member<'de>> = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            if members.len() == self.limits.properties {
                let message = compact_str::format_compact!("an object has over {} members", self.limits.properties);
                return Err(self.refuse(Fault::new("too_many_properties", message)));
            }
            if name.len() > self.limits.key_bytes {
                let message = compact_str::format_compact!("a name is longer than {} bytes", self.limits.key_bytes);
                return Err(self.refuse(Fault::new("key_too_long", message).at(crate::quote::name(&name))));
            }
            // Short objects are compared pair by pair; long ones are sorted once, below.
            if members.len() <= 16 && members.iter().any(|(other, _)| same(other, &name)) {
                return Err(self.refuse(duplicate(&name)));
            }
            let value = access.next_value_seed(inner)?;
            members.push((name, value));
        }
        if members.len() > 17 {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(self.refuse(duplicate(pair[0])));
            }
        }
        Ok(Json::Object(members))
    }
}

/// Text, borrowed where it holds no escapes.
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Name.deserialize(deserializer).map(Text)
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}
impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Result<(), &'static str> {
        parse(text.as_bytes(), &Limits::default()).map(|_| ()).map_err(|fault| fault.code)
    }

    #[test]
    fn one_meaning() {
        let wide = |count: usize| {
            let members: Vec<String> = (0..count).map(|index| format!("\"k{index}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        let long_duplicate = wide(40).replace("\"k39\"", "\"k3\"");
        for (text, expected) in [
            (r#"{"a":1,"b":{"a":1}}"#, Ok(())),
            (r#"{"a":1,"a":2}"#, Err("duplicate_key")),
            (r#"{"b":[{"a":1,"a":1}]}"#, Err("duplicate_key")),
            (long_duplicate.as_str(), Err("duplicate_key")),
            ("9223372036854775807", Ok(())),
            ("-9223372036854775808", Ok(())),
            ("9223372036854775808", Err("number_out_of_range")),
            ("18446744073709551616", Err("number_out_of_range")),
            ("1e18", Ok(())),
            ("1e19", Err("number_out_of_range")),
            ("1e400", Err("number_out_of_range")),
            ("NaN", Err("invalid_json")),
            ("{\"a\":\"\u{1}\"}", Err("invalid_json")),
            (r#"{"a":1,}"#, Err("invalid_json")),
            (r#"{"a":[}]"#, Err("invalid_json")),
            (r#""\ud800""#, Err("invalid_json")),
            (wide(512).as_str(), Ok(())),
            (wide(513).as_str(), Err("too_many_properties")),
            (format!("{{\"{}\":1}}", "k".repeat(129)).as_str(), Err("key_too_long")),
            (format!("{}{}", "[".repeat(32), "]".repeat(32)).as_str(), Ok(())),
            (format!("{}{}", "[".repeat(33), "]".repeat(33)).as_str(), Err("too_deep")),
            (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).as_str(), Err("too_deep")),
        ] {
            assert_eq!(code(text), expected, "{}", &text[..text.len().min(60)]);
        }
        assert!(parse(b"\"\xff\"", &Limits::default()).is_err());
    }
}
