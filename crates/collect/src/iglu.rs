//! Self-describing JSON: Iglu addresses, and the schemas that data is checked against, each compiled once.

use crate::json::{Json, Member};
use crate::{Fault, quote};
use compact_str::format_compact;
use hashbrown::HashMap;
use jsonschema::json::{self, Array, JsonNumber, Node, NodeIdentity, Object};
use jsonschema::{Draft, JsonType, ValidationError, Validator};
use midsession_event::Str;
use serde_json::{Number, Value};
use std::borrow::Cow;

/// The schemas that ship with the product, by `vendor/name/version`. Written for this product from the published
/// field tables of the ecommerce and web schemas.
const SHIPPED: &str = include_str!("../schemas/snowplow.json");

/// Known schemas.
pub struct Schemas {
    known: HashMap<String, Vec<(Version, Validator<Borrowed>)>, foldhash::fast::FixedState>,
}

/// Why a schema can't be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// Line and column, from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub message: String,
}

/// SchemaVer: model, revision, addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u16, u16, u16);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

/// `iglu:vendor/name/jsonschema/1-0-0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub vendor: &'a str,
    pub name: &'a str,
    /// `vendor/name`.
    path: &'a str,
    version: Version,
}

impl<'a> Address<'a> {
    /// The model: data of another one has other fields.
    pub fn model(&self) -> u16 {
        self.version.0
    }

    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("iglu:")?;
        let mut parts = rest.split('/');
        let (vendor, name, format, version) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = Version::parse(version)?;
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        };
        let valid = parts.next().is_none() && format == "jsonschema" && is_word(vendor) && is_word(name);
        valid.then(|| Self { vendor, name, path: &rest[..vendor.len() + 1 + name.len()], version })
    }
}

impl Schemas {
    /// The shipped schemas.
    pub fn shipped() -> Self {
        let mut schemas = Self { known: HashMap::default() };
        // Invariant: the shipped file parses and compiles; a test does both.
        let all: serde_json::Map<String, Value> = serde_json::from_str(SHIPPED).unwrap_or_default();
        for (address, schema) in all {
            if let Some((path, version)) = address.rsplit_once('/')
                && let Some(version) = Version::parse(version)
            {
                let _ = schemas.insert(path, version, &schema);
            }
        }
        schemas
    }

    /// Adds a schema of one's own: JSON Schema that says which one it is by Iglu's `self` block, or by a path that ends
    /// like a registry's, `vendor/name/jsonschema/1-0-0`. Answers its address.
    pub fn add(&mut self, text: &str, path: &str) -> Result<String, SchemaError> {
        let mut schema: Value = serde_json::from_str(text).map_err(|error| SchemaError {
            place: Some((error.line(), error.column())),
            message: format!("not JSON: {error}"),
        })?;
        let wrong = |message: String| SchemaError { place: None, message };
        let address = match schema.get("self") {
            Some(own) => {
                let part = |name: &str| match own[name].as_str() {
                    Some(part) => Ok(part),
                    None => Err(wrong(format!("self.{name} is missing: it takes vendor, name, format and version"))),
                };
                format!("iglu:{}/{}/{}/{}", part("vendor")?, part("name")?, part("format")?, part("version")?)
            }
            None => {
                let mut parts: Vec<&str> = path.strip_suffix(".json").unwrap_or(path).rsplit('/').take(4).collect();
                parts.reverse();
                format!("iglu:{}", parts.join("/"))
            }
        };
        let Some(Address { path, version, .. }) = Address::parse(&address) else {
            return Err(wrong(match schema.get("self") {
                Some(_) => format!("{address} is no Iglu address: it takes iglu:vendor/name/jsonschema/1-0-0"),
                None => "neither a `self` block nor its path says which schema it is: add \
                         \"self\": {\"vendor\": …, \"name\": …, \"format\": \"jsonschema\", \"version\": \"1-0-0\"}, \
                         or store it as vendor/name/jsonschema/1-0-0"
                    .to_owned(),
            }));
        };
        if let Some(members) = schema.as_object_mut() {
            members.remove("self");
        }
        self.insert(path, version, &schema).map_err(wrong)?;
        Ok(address)
    }

    fn insert(&mut self, path: &str, version: Version, schema: &Value) -> Result<(), String> {
        // Iglu's own meta-schema is draft 4 with the `self` block.
        let draft = match schema["$schema"].as_str().map(Draft::from_schema_uri) {
            None | Some(Draft::Unknown) => Draft::Draft4,
            Some(draft) => draft,
        };
        let mut schema = Cow::Borrowed(schema);
        if draft == Draft::Draft4
            && let Some(members) = schema.to_mut().as_object_mut()
        {
            members.remove("$schema");
        }
        let validator =
            jsonschema::options_for::<Borrowed>().with_draft(draft).offline().build(&schema).map_err(|error| {
                match error.instance_path().to_string() {
                    at if at.is_empty() => format!("not a JSON Schema: {error}"),
                    at => format!("not a JSON Schema: {error} (at {at})"),
                }
            })?;
        let versions = self.known.entry(path.to_owned()).or_default();
        versions.retain(|(known, _)| *known != version);
        versions.push((version, validator));
        versions.sort_by_key(|(version, _)| *version);
        Ok(())
    }

    /// Checks data against its schema. Without that very version, a later one of the same model checks it (additions
    /// keep older data valid); without any, strict sources refuse and others let it pass as custom.
    pub(crate) fn check(&self, address: Address<'_>, data: &Json<'_>, strict: bool) -> Result<(), Fault> {
        let versions = self.known.get(address.path).map_or(&[][..], Vec::as_slice);
        let found = versions.iter().find(|(version, _)| *version >= address.version && version.0 == address.version.0);
        let Some((_, validator)) = found else {
            if strict {
                let Address { path, version, .. } = address;
                let path = quote::name(path);
                let message = format_compact!("no schema {path}/jsonschema/{}-{}-{}", version.0, version.1, version.2);
                return Err(Fault::new("schema_unknown", message)
                    .of_source()
                    .hint("add the schema, or make the source not strict"));
            }
            return Ok(());
        };
        if validator.is_valid(data) {
            return Ok(());
        }
        let Some(error) = validator.iter_errors(data).next() else { return Ok(()) };
        let path = error.instance_path().to_string();
        let names: Vec<Str> = path.split('/').skip(1).map(quote::name).collect();
        let field = names.join(".");
        let fault = Fault::new("schema_violation", reason(&error)).hint("send what the schema asks for");
        Err(if field.is_empty() { fault.at("data") } else { fault.at(field).at("data") })
    }
}

/// What the validator says, without the sender's own text: a value or a name at fault may be somebody's address.
fn reason(error: &ValidationError<'_>) -> Str {
    use jsonschema::error::ValidationErrorKind as Kind;
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names: Vec<Str> = unexpected.iter().take(NAMES_MAX).map(|name| quote::name(name)).collect();
            let more = if unexpected.len() > NAMES_MAX { ", …" } else { "" };
            format_compact!("the schema knows no property {}{more}", names.join(", "))
        }
        Kind::UnevaluatedItems { .. } => "the schema allows no further items".into(),
        Kind::PropertyNames { .. } => "a property's name is not one that the schema allows".into(),
        _ => crate::field::cut(&error.masked().to_string(), 256),
    }
}

/// So many names that the schema does not know are listed.
const NAMES_MAX: usize = 5;

/// The `schema` and `data` of a self-describing object.
pub(crate) fn unwrap<'j, 'a>(value: &'j Json<'a>) -> Result<(&'j str, &'j Json<'a>), Fault> {
    let schema = value.get("schema").and_then(Json::text);
    match (schema, value.get("data")) {
        (Some(schema), Some(data)) => Ok((schema, data)),
        _ => Err(Fault::new("not_self_describing", "self-describing JSON has a schema and data")
            .hint("send {\"schema\": \"iglu:vendor/name/jsonschema/1-0-0\", \"data\": {…}}")),
    }
}

/// [`unwrap`] with the address read.
pub(crate) fn describe<'j, 'a>(value: &'j Json<'a>) -> Result<(Address<'j>, &'j Json<'a>), Fault> {
    let (schema, data) = unwrap(value)?;
    let address = Address::parse(schema).ok_or_else(|| {
        Fault::new("schema_address_invalid", format_compact!("`{}` is no Iglu address", quote::name(schema)))
            .at("schema")
            .hint("iglu:vendor/name/jsonschema/1-0-0")
    })?;
    Ok((address, data))
}

/// The validator's view of our JSON values, so that nothing is copied to be checked.
struct Borrowed;

impl json::Json for Borrowed {
    type Node<'a> = &'a Json<'a>;
    type PreparedKey = String;
    type StringBuffer = ();
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        f(&Json::Text(Cow::Borrowed(string)))
    }
}

/// A number of ours.
#[derive(Clone, Copy)]
enum Numeric {
    Int(i64),
    Float(f64),
}

impl JsonNumber for Numeric {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Float(_) => None,
        }
    }
    fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(_) => None,
        }
    }
    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
        }
    }
    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(match self {
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
        })
    }
    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(match self {
            Self::Int(number) => Number::from(*number),
            // Our floats are finite.
            Self::Float(number) => Number::from_f64(*number).unwrap_or_else(|| Number::from(0)),
        })
    }
}

impl<'a> Node<'a, Borrowed> for &'a Json<'a> {
    type Object = &'a [Member<'a>];
    type Array = &'a [Json<'a>];
    type Number = Numeric;

    fn as_object(&self) -> Option<&'a [Member<'a>]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }
    fn as_array(&self) -> Option<&'a [Json<'a>]> {
        match self {
            Json::List(values) => Some(values),
            _ => None,
        }
    }
    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Json::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }
    fn as_number(&self) -> Option<Numeric> {
        match self {
            Json::Int(number) => Some(Numeric::Int(*number)),
            Json::Float(number) => Some(Numeric::Float(*number)),
            _ => None,
        }
    }
    fn as_boolean(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }
    fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }
    fn json_type(&self) -> JsonType {
        match self {
            Json::Null => JsonType::Null,
            Json::Bool(_) => JsonType::Boolean,
            Json::Int(_) | Json::Float(_) => JsonType::Number,
            Json::Text(_) => JsonType::String,
            Json::List(_) => JsonType::Array,
            Json::Object(_) => JsonType::Object,
        }
    }
    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Json::Text(text) = self else { return None };
        let bytes = text.len() as u64;
        // A character is one to four bytes: most lengths need no counting.
        if min <= bytes.div_ceil(4) && bytes <= max {
            return Some(true);
        }
        Some((min..=max).contains(&(text.chars().count() as u64)))
    }
    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Json::Text(text), Value::String(expected)) => text == expected,
            (Json::Text(_), _) | (_, Value::String(_)) => false,
            _ => self.to_value().as_ref() == expected,
        }
    }
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(serde_json::to_value(self).unwrap_or_default())
    }
    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Json<'a>>(self) as usize))
    }
}

impl<'a> Object<'a, Borrowed> for &'a [Member<'a>] {
    type Node = &'a Json<'a>;
    type MemberName = &'a str;
    type MembersIter = std::iter::Map<std::slice::Iter<'a, Member<'a>>, fn(&'a Member<'a>) -> (&'a str, &'a Json<'a>)>;

    fn len(&self) -> usize {
        <[Member<'_>]>::len(self)
    }
    fn get(&self, key: &String) -> Option<&'a Json<'a>> {
        self.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
    fn members(&self) -> Self::MembersIter {
        self.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Json<'a>] {
    type Node = &'a Json<'a>;
    type ElementsIter = std::slice::Iter<'a, Json<'a>>;

    fn len(&self) -> usize {
        <[Json<'_>]>::len(self)
    }
    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, json};

    fn check(schemas: &Schemas, text: &str, strict: bool) -> Result<(), (&'static str, Option<String>)> {
        let value = json::parse(text.as_bytes(), &Limits::default()).expect("JSON");
        describe(&value)
            .and_then(|(address, data)| schemas.check(address, data, strict))
            .map_err(|fault| (fault.code, fault.field.map(|field| field.to_string())))
    }

    #[test]
    fn every_shipped_schema_compiles() {
        let count = serde_json::from_str::<serde_json::Map<String, Value>>(SHIPPED).expect("JSON").len();
        assert_eq!(Schemas::shipped().known.values().map(Vec::len).sum::<usize>(), count);
        assert!(count >= 14);
    }

    #[test]
    fn data_is_checked() {
        let shop = "iglu:com.snowplowanalytics.snowplow.ecommerce";
        let product = |change: &str| {
            format!(
                r#"{{"schema":"{shop}/product/jsonschema/1-0-0","data":{{"id":"p","category":"c","currency":"EUR",{change}}}}}"#
            )
        };
        let violation = |field: &str| Err(("schema_violation", Some(field.to_owned())));
        for (text, expected) in [
            (product(r#""price":1"#), Ok(())),
            (product(r#""price":19.99,"name":null,"quantity":2"#), Ok(())),
            (product(r#""price":-1"#), violation("data.price")),
            (product(r#""price":"1""#), violation("data.price")),
            (product(r#""price":10000000"#), violation("data.price")),
            (product(r#""price":1,"quantity":1.5"#), violation("data.quantity")),
            (product(r#""price":1,"colour":"red""#), violation("data")),
            (product(r#""name":"x""#), violation("data")),
            (product(r#""price":1"#).replace("EUR", "EURO"), violation("data.currency")),
            (
                format!(
                    r#"{{"schema":"{shop}/snowplow_ecommerce_action/jsonschema/1-0-0","data":{{"type":"refund"}}}}"#
                ),
                Ok(()),
            ),
            (
                format!(
                    r#"{{"schema":"{shop}/snowplow_ecommerce_action/jsonschema/1-0-2","data":{{"type":"trns_error"}}}}"#
                ),
                Ok(()),
            ),
            (
                format!(r#"{{"schema":"{shop}/snowplow_ecommerce_action/jsonschema/1-0-2","data":{{"type":"buy"}}}}"#),
                violation("data.type"),
            ),
            (
                format!(r#"{{"schema":"{shop}/transaction_error/jsonschema/1-0-0","data":{{"error_type":null}}}}"#),
                Ok(()),
            ),
            (r#"{"schema":"iglu:com.acme/x/jsonschema/1-0-0","data":{"a":1}}"#.to_owned(), Ok(())),
            (
                r#"{"schema":"iglu:com.acme/x/jsonschema/1","data":{}}"#.to_owned(),
                Err(("schema_address_invalid", Some("schema".to_owned()))),
            ),
            (r#"{"data":{}}"#.to_owned(), Err(("not_self_describing", None))),
        ] {
            assert_eq!(check(&Schemas::shipped(), &text, false), expected, "{text}");
        }
        let unknown = r#"{"schema":"iglu:com.acme/x/jsonschema/1-0-0","data":{"a":1}}"#;
        assert_eq!(check(&Schemas::shipped(), unknown, true), Err(("schema_unknown", None)));
    }

    #[test]
    fn schemas_of_ones_own() {
        let mut schemas = Schemas::shipped();
        let own = r#"{"$schema":"http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#",
            "self":{"vendor":"com.acme","name":"x","format":"jsonschema","version":"1-0-1"},
            "type":"object","properties":{"a":{"type":"integer"}}}"#;
        assert_eq!(schemas.add(own, "x.json").as_deref(), Ok("iglu:com.acme/x/jsonschema/1-0-1"));
        for (data, version, ok) in [
            ("1", "1-0-0", true),
            ("1", "1-0-1", true),
            (r#""1""#, "1-0-1", false),
            ("1", "1-0-2", false),
            ("1", "2-0-0", false),
        ] {
            let text = format!(r#"{{"schema":"iglu:com.acme/x/jsonschema/{version}","data":{{"a":{data}}}}}"#);
            assert_eq!(check(&schemas, &text, true).is_ok(), ok, "{text}");
        }
        // A registry's files are known by their paths, and newer drafts by their names.
        let newer = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"a":{"const":5}}}"#;
        let added = schemas.add(newer, "/s/schemas/com.acme/y/jsonschema/2-0-0");
        assert_eq!(added.as_deref(), Ok("iglu:com.acme/y/jsonschema/2-0-0"));
        for (data, ok) in [(5, true), (6, false)] {
            let text = format!(r#"{{"schema":"iglu:com.acme/y/jsonschema/2-0-0","data":{{"a":{data}}}}}"#);
            assert_eq!(check(&schemas, &text, true).is_ok(), ok, "{text}");
        }
        let own = r#""self":{"vendor":"v","name":"n","format":"jsonschema","version":"1-0-0"}"#;
        for (text, place, said) in [
            ("{}".to_owned(), None, "neither a `self` block nor its path"),
            ("{\n \"type\": }".to_owned(), Some((2, 10)), "not JSON"),
            (r#"{"self":{"vendor":"v"}}"#.to_owned(), None, "self.name is missing"),
            (format!("{{{}}}", own.replace("1-0-0", "1")), None, "iglu:v/n/jsonschema/1 is no Iglu address"),
            (format!("{{{own},\"type\":3}}"), None, "(at /type)"),
            (
                format!(r#"{{{own},"properties":{{"a":{{"$ref":"https://x.example/s"}}}}}}"#),
                None,
                "https://x.example/s",
            ),
        ] {
            let error = schemas.add(&text, "a/b.json").expect_err(&text);
            assert!(error.place == place && error.message.contains(said), "{text}: {error:?}");
        }
    }
}
