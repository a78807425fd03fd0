//! Avro with Confluent's framing: magic byte 0, schema id (big endian u32), datum.

use crate::datum::{self, Datum};
use crate::{
    Context, Decision, Definition, DefinitionChange, EnrichmentMiss, Event, Evidence, Filled, Forward, Handoff,
    Identity, Personal, Reaction, Recall, Record, Reject, SessionUpdate, Tick, Told, Unmerge,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The id of a compiled-in schema, as it stands in the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(pub u32);

/// A compiled-in schema.
pub struct Schema {
    /// Its id in the framing.
    pub id: SchemaId,
    /// Its subject in a registry.
    pub subject: &'static str,
    /// Its version within the subject, from 1.
    pub version: u32,
    /// Its text.
    pub text: &'static str,
    parsed: LazyLock<serde_avro_fast::Schema>,
}

impl Schema {
    fn parsed(&self) -> &serde_avro_fast::Schema {
        &self.parsed
    }
}

/// Why a record's value could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not in Confluent's framing.
    #[error("not an Avro record: the value does not start with the magic byte 0 and a schema id")]
    Framing,
    /// A schema that this version does not know.
    #[error("unknown schema id {0}; this data was written by a newer version")]
    UnknownSchema(u32),
    /// A known schema, but not the one asked for.
    #[error("schema {found} where {expected} was expected")]
    WrongSchema {
        /// Asked for.
        expected: &'static str,
        /// Found.
        found: &'static str,
    },
    /// The bytes do not fit their schema.
    #[error("the value does not fit schema {subject}: {cause}")]
    Datum {
        /// Which schema.
        subject: &'static str,
        /// What the Avro library says.
        cause: String,
    },
}

macro_rules! schemas {
    ($($id:literal $subject:literal $version:literal $file:literal;)*) => {
        /// Every compiled-in schema, by id.
        pub static SCHEMAS: [Schema; [$($id),*].len()] = [$(Schema {
            id: SchemaId($id),
            subject: $subject,
            version: $version,
            text: include_str!(concat!("../schemas/", $file)),
            // Invariant: each file under schemas/ parses; a test parses them all.
            parsed: LazyLock::new(|| include_str!(concat!("../schemas/", $file)).parse().expect($file)),
        },)*];
    };
}

macro_rules! types {
    ($($type:ty = $form:ident $($id:literal)*;)*) => {
        $(impl Schematic for $type {
            const SCHEMA_IDS: &'static [SchemaId] = &[$(SchemaId($id)),*];
            fn write_datum(&self, schema: &'static Schema, out: &mut Vec<u8>) -> Result<(), CodecError> {
                $form::write(self, schema, out)
            }
            fn read_datum(schema: &'static Schema, datum: &[u8]) -> Result<Self, CodecError> {
                $form::read(schema, datum)
            }
        })*

        fn json_of(schema: &'static Schema, datum: &[u8]) -> Result<serde_json::Value, CodecError> {
            $(if <$type>::is_of(schema) {
                return json::<$type>(schema, datum);
            })*
            Err(CodecError::UnknownSchema(schema.id.0))
        }
    };
}

/// A type with compiled-in schemas.
pub trait Schematic: Sized {
    /// Which: the one that it is written by stands last, before it those of records that earlier versions have left.
    const SCHEMA_IDS: &'static [SchemaId];
    /// Appends its Avro form.
    fn write_datum(&self, schema: &'static Schema, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Reads its Avro form, by any of its schemas.
    fn read_datum(schema: &'static Schema, datum: &[u8]) -> Result<Self, CodecError>;

    /// The schema that it is written by.
    fn schema() -> &'static Schema {
        // Invariant: each type has a schema, and each id is one of SCHEMAS; a test asks for all of them.
        Self::SCHEMA_IDS.last().and_then(|id| schema_of(*id)).expect("invariant: a type has a schema")
    }

    /// Whether it is read by this schema.
    fn is_of(schema: &Schema) -> bool {
        Self::SCHEMA_IDS.contains(&schema.id)
    }
}

/// What every event passes through goes by the order of its schema.
mod by_order {
    use super::*;

    pub(super) fn write<T: Datum>(value: &T, _: &Schema, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.write(out);
        Ok(())
    }

    pub(super) fn read<T: Datum>(schema: &Schema, datum: &[u8]) -> Result<T, CodecError> {
        datum::read_all(datum, schema.id)
            .map_err(|fault| CodecError::Datum { subject: schema.subject, cause: fault.0.to_owned() })
    }
}

/// The rest goes by the names of its fields, through the library.
mod by_name {
    use super::*;

    pub(super) fn write<T: Serialize>(value: &T, schema: &'static Schema, out: &mut Vec<u8>) -> Result<(), CodecError> {
        thread_local! {
            // The serializer's scratch space, one per schema, kept for reuse.
            static CONFIGS: std::cell::RefCell<Vec<Option<serde_avro_fast::ser::SerializerConfig<'static>>>> =
                const { std::cell::RefCell::new(Vec::new()) };
        }
        CONFIGS.with_borrow_mut(|configs| {
            let index = schema.id.0 as usize;
            if configs.len() <= index {
                configs.resize_with(index + 1, || None);
            }
            let config =
                configs[index].get_or_insert_with(|| serde_avro_fast::ser::SerializerConfig::new(schema.parsed()));
            serde_avro_fast::to_datum(value, out, config)
                .map(|_| ())
                .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
        })
    }

    pub(super) fn read<T: DeserializeOwned>(schema: &'static Schema, datum: &[u8]) -> Result<T, CodecError> {
        serde_avro_fast::from_datum_slice(datum, schema.parsed())
            .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
    }
}

// A schema that records were written by never changes: what is added makes a new one with an id of its own, and stands
// at the end of its type, with a default.
schemas! {
    1 "behavior-event" 1 "event-1.avsc";
    2 "behavior-tick" 1 "tick.avsc";
    3 "decision" 1 "decision-1.avsc";
    4 "behavior-handoff" 1 "handoff-1.avsc";
    5 "behavior-forward" 1 "forward-1.avsc";
    6 "session" 1 "session.avsc";
    7 "dead-letter" 1 "reject-1.avsc";
    8 "definition" 1 "definition.avsc";
    9 "decision-reaction" 1 "reaction.avsc";
    10 "behavior-event" 2 "event.avsc";
    11 "behavior-forward" 2 "forward-2.avsc";
    12 "decision" 2 "decision.avsc";
    13 "context" 1 "context.avsc";
    14 "enrichment-miss" 1 "miss.avsc";
    15 "behavior-handoff" 2 "handoff-2.avsc";
    16 "behavior-pii" 1 "personal.avsc";
    17 "governance" 1 "evidence.avsc";
    18 "behavior-told" 1 "told.avsc";
    19 "behavior-handoff" 3 "handoff-3.avsc";
    20 "behavior-unmerge" 1 "unmerge-1.avsc";
    21 "behavior-recall" 1 "recall.avsc";
    22 "identity" 1 "identity.avsc";
    23 "behavior-definition" 1 "change-1.avsc";
    24 "behavior-filled" 1 "filled-1.avsc";
    25 "dead-letter" 2 "reject.avsc";
    26 "behavior-definition" 2 "change.avsc";
    27 "behavior-filled" 2 "filled-2.avsc";
    28 "behavior-handoff" 4 "handoff-4.avsc";
    29 "behavior-handoff" 5 "handoff-5.avsc";
    30 "behavior-filled" 3 "filled.avsc";
    31 "behavior-forward" 3 "forward.avsc";
    32 "behavior-handoff" 6 "handoff-6.avsc";
    33 "behavior-unmerge" 2 "unmerge.avsc";
    34 "behavior-handoff" 7 "handoff.avsc";
}

types! {
    Event = by_order 1 10;
    Tick = by_name 2;
    Decision = by_name 3 12;
    Handoff = by_name 4 15 19 28 29 32 34;
    Forward = by_order 5 11 31;
    SessionUpdate = by_order 6;
    Reject = by_name 7 25;
    Definition = by_name 8;
    Reaction = by_name 9;
    Context = by_name 13;
    EnrichmentMiss = by_name 14;
    Personal = by_name 16;
    Evidence = by_name 17;
    Told = by_name 18;
    Unmerge = by_name 20 33;
    Recall = by_name 21;
    Identity = by_name 22;
    DefinitionChange = by_name 23 26;
    Filled = by_name 24 27 30;
}

/// The schema behind an id.
pub fn schema_of(id: SchemaId) -> Option<&'static Schema> {
    // Ids are 1..=n in order; a test holds it.
    SCHEMAS.get((id.0 as usize).checked_sub(1)?)
}

/// The framed Avro form of a value.
pub fn encode<T: Schematic>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(256);
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Like [`encode`], appended to a buffer.
pub fn encode_into<T: Schematic>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let schema = T::schema();
    out.push(0);
    out.extend_from_slice(&schema.id.0.to_be_bytes());
    value.write_datum(schema, out)
}

/// The schema of a framed value, and its datum.
pub(crate) fn unframe(bytes: &[u8]) -> Result<(&'static Schema, &[u8]), CodecError> {
    let Some((&[0, a, b, c, d], datum)) = bytes.split_first_chunk::<5>() else { return Err(CodecError::Framing) };
    let id = u32::from_be_bytes([a, b, c, d]);
    Ok((schema_of(SchemaId(id)).ok_or(CodecError::UnknownSchema(id))?, datum))
}

/// Reads a framed value of a known type.
pub fn decode<T: Schematic>(bytes: &[u8]) -> Result<T, CodecError> {
    let (schema, datum) = unframe(bytes)?;
    if !T::is_of(schema) {
        return Err(CodecError::WrongSchema { expected: T::schema().subject, found: schema.subject });
    }
    T::read_datum(schema, datum)
}

impl Record {
    /// The framed Avro form.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Event(event) => encode(event.as_ref()),
            Self::Tick(tick) => encode(tick),
            Self::Decision(decision) => encode(decision.as_ref()),
            Self::Handoff(handoff) => encode(handoff.as_ref()),
            Self::Forward(forward) => encode(forward.as_ref()),
            Self::Told(told) => encode(told.as_ref()),
            Self::Unmerge(unmerge) => encode(unmerge.as_ref()),
            Self::Recall(recall) => encode(recall.as_ref()),
            Self::Definition(change) => encode(change.as_ref()),
            Self::Filled(filled) => encode(filled.as_ref()),
        }
    }

    /// Reads a record of the `behavior` topic.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (schema, datum) = unframe(bytes)?;
        if Event::is_of(schema) {
            Ok(Self::Event(by_order::read(schema, datum)?))
        } else if Forward::is_of(schema) {
            Ok(Self::Forward(Box::new(Forward::read_datum(schema, datum)?)))
        } else if Tick::is_of(schema) {
            Ok(Self::Tick(Tick::read_datum(schema, datum)?))
        } else if Decision::is_of(schema) {
            Ok(Self::Decision(Box::new(Decision::read_datum(schema, datum)?)))
        } else if Handoff::is_of(schema) {
            Ok(Self::Handoff(Box::new(Handoff::read_datum(schema, datum)?)))
        } else if Told::is_of(schema) {
            Ok(Self::Told(Box::new(Told::read_datum(schema, datum)?)))
        } else if Unmerge::is_of(schema) {
            Ok(Self::Unmerge(Box::new(Unmerge::read_datum(schema, datum)?)))
        } else if Recall::is_of(schema) {
            Ok(Self::Recall(Box::new(Recall::read_datum(schema, datum)?)))
        } else if DefinitionChange::is_of(schema) {
            Ok(Self::Definition(Box::new(DefinitionChange::read_datum(schema, datum)?)))
        } else if Filled::is_of(schema) {
            Ok(Self::Filled(Box::new(Filled::read_datum(schema, datum)?)))
        } else {
            Err(CodecError::WrongSchema { expected: "behavior", found: schema.subject })
        }
    }
}

/// Any framed value as JSON, with its schema, for people and scripts.
pub fn to_json(bytes: &[u8]) -> Result<(&'static Schema, serde_json::Value), CodecError> {
    let (schema, datum) = unframe(bytes)?;
    let mut value = json_of(schema, datum)?;
    if Reject::is_of(schema) {
        // Whoever may read them has them opened first.
        let payload = Reject::read_datum(schema, datum)?.payload;
        let is_sealed = crate::is_sealed(&payload);
        value["payload"] = if is_sealed { None } else { Some(String::from_utf8_lossy(&payload)) }.into();
        value["payload_sealed"] = is_sealed.into();
    } else if Personal::is_of(schema) {
        value["sealed"] = data_encoding::BASE64.encode(&Personal::read_datum(schema, datum)?.sealed).into();
    }
    Ok((schema, value))
}

fn json<T: Schematic + Serialize>(schema: &'static Schema, datum: &[u8]) -> Result<serde_json::Value, CodecError> {
    serde_json::to_value(T::read_datum(schema, datum)?)
        .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
}

#[cfg(test)]
mod tests;
