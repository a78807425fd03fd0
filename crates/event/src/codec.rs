//! Avro with Confluent's framing: magic byte 0, schema id (big endian u32), datum.

use crate::in_order::InOrder;
use crate::{Decision, Definition, Event, Forward, Handoff, Reaction, Record, Reject, SessionUpdate, Tick};
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
    ($($type:ty = $id:literal $subject:literal $file:literal;)*) => {
        /// Every compiled-in schema, by id.
        pub static SCHEMAS: [Schema; [$($id),*].len()] = [$(Schema {
            id: SchemaId($id),
            subject: $subject,
            text: include_str!(concat!("../schemas/", $file)),
            // Invariant: each file under schemas/ parses; a test parses them all.
            parsed: LazyLock::new(|| include_str!(concat!("../schemas/", $file)).parse().expect($file)),
        },)*];

        $(impl Schematic for $type {
            const SCHEMA_ID: SchemaId = SchemaId($id);
        })*
    };
}

/// A type with a compiled-in schema.
pub trait Schematic {
    /// Which.
    const SCHEMA_ID: SchemaId;
}

schemas! {
    Event = 1 "behavior-event" "event.avsc";
    Tick = 2 "behavior-tick" "tick.avsc";
    Decision = 3 "decision" "decision.avsc";
    Handoff = 4 "behavior-handoff" "handoff.avsc";
    Forward = 5 "behavior-forward" "forward.avsc";
    SessionUpdate = 6 "session" "session.avsc";
    Reject = 7 "dead-letter" "reject.avsc";
    Definition = 8 "definition" "definition.avsc";
    Reaction = 9 "decision-reaction" "reaction.avsc";
}

/// The schema behind an id.
pub fn schema_of(id: SchemaId) -> Option<&'static Schema> {
    // Ids are 1..=n in order; a test holds it.
    SCHEMAS.get((id.0 as usize).checked_sub(1)?)
}

/// The framed Avro form of a value.
pub fn encode<T: Schematic + Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(256);
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Like [`encode`], appended to a buffer.
pub fn encode_into<T: Schematic + Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let schema = schema_of(T::SCHEMA_ID).ok_or(CodecError::UnknownSchema(T::SCHEMA_ID.0))?;
    out.push(0);
    out.extend_from_slice(&schema.id.0.to_be_bytes());
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
        let config = configs[index].get_or_insert_with(|| serde_avro_fast::ser::SerializerConfig::new(schema.parsed()));
        serde_avro_fast::to_datum(value, out, config)
            .map(|_| ())
            .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
    })
}

/// The schema of a framed value, and its datum.
fn unframe(bytes: &[u8]) -> Result<(&'static Schema, &[u8]), CodecError> {
    let Some((&[0, a, b, c, d], datum)) = bytes.split_first_chunk::<5>() else { return Err(CodecError::Framing) };
    let id = u32::from_be_bytes([a, b, c, d]);
    Ok((schema_of(SchemaId(id)).ok_or(CodecError::UnknownSchema(id))?, datum))
}

/// Reads a framed value of a known type.
pub fn decode<'de, T: Schematic + Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, CodecError> {
    let (schema, datum) = unframe(bytes)?;
    if schema.id != T::SCHEMA_ID {
        let expected = schema_of(T::SCHEMA_ID).map_or("?", |schema| schema.subject);
        return Err(CodecError::WrongSchema { expected, found: schema.subject });
    }
    datum_of(schema, datum)
}

fn datum_of<'de, T: Deserialize<'de>>(schema: &'static Schema, datum: &'de [u8]) -> Result<T, CodecError> {
    serde_avro_fast::from_datum_slice(datum, schema.parsed())
        .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
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
        }
    }

    /// Reads a record of the `behavior` topic.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (schema, datum) = unframe(bytes)?;
        match schema.id.0 {
            1 => Ok(Self::Event(Box::new(datum_of::<InOrder<Event>>(schema, datum)?.0))),
            2 => Ok(Self::Tick(datum_of(schema, datum)?)),
            3 => Ok(Self::Decision(Box::new(datum_of(schema, datum)?))),
            4 => Ok(Self::Handoff(Box::new(datum_of(schema, datum)?))),
            5 => Ok(Self::Forward(Box::new(datum_of::<InOrder<Forward>>(schema, datum)?.0))),
            _ => Err(CodecError::WrongSchema { expected: "behavior", found: schema.subject }),
        }
    }
}

/// Any framed value as JSON, with its schema, for people and scripts.
pub fn to_json(bytes: &[u8]) -> Result<(&'static Schema, serde_json::Value), CodecError> {
    fn json<T: Serialize>(schema: &'static Schema, value: T) -> Result<serde_json::Value, CodecError> {
        serde_json::to_value(value)
            .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
    }
    let (schema, datum) = unframe(bytes)?;
    let value = match schema.id.0 {
        1 => json(schema, datum_of::<Event>(schema, datum)?)?,
        2 => json(schema, datum_of::<Tick>(schema, datum)?)?,
        3 => json(schema, datum_of::<Decision>(schema, datum)?)?,
        4 => json(schema, datum_of::<Handoff>(schema, datum)?)?,
        5 => json(schema, datum_of::<Forward>(schema, datum)?)?,
        6 => json(schema, datum_of::<SessionUpdate>(schema, datum)?)?,
        7 => {
            let reject = datum_of::<Reject>(schema, datum)?;
            let payload = String::from_utf8_lossy(&reject.payload).into_owned();
            let mut value = json(schema, reject)?;
            value["payload"] = payload.into();
            value
        }
        8 => json(schema, datum_of::<Definition>(schema, datum)?)?,
        _ => json(schema, datum_of::<Reaction>(schema, datum)?)?,
    };
    Ok((schema, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;

    fn full_event() -> Event {
        let mut event = Event::new("shop".into(), "e1".into(), EventName::AddToCart, 1_700_000_000_000);
        event.visitor_id = Some("v1".into());
        event.user_id = Some("u1".into());
        event.page = Some(Page { url: Some("https://shop.example/p/1".into()), ..Page::default() });
        event.campaign = Some(Campaign { name: Some("autumn".into()), ..Campaign::default() });
        event.device = Some(Device { class: Some("mobile".into()), ..Device::default() });
        event.products = vec![Product { id: "p1".into(), price: Some(9.5), quantity: Some(2), ..Product::default() }];
        event.cart = Some(Cart { id: None, total_value: Some(19.0), currency: Some("EUR".into()) });
        event.order = Some(Order { revenue: Some(1.0), ..Order::default() });
        event.promotion = Some(Promotion { id: Some("x".into()), name: None });
        event.step = Some(2);
        for (key, value) in [
            ("null", PropertyValue::Null),
            ("bool", PropertyValue::Bool(true)),
            ("int", PropertyValue::Int(-7)),
            ("float", PropertyValue::Float(0.5)),
            ("text", PropertyValue::Text("é\u{0}".into())),
        ] {
            event.properties.insert(key.into(), value);
        }
        event
    }

    #[test]
    fn ids_are_in_order() {
        for (index, schema) in SCHEMAS.iter().enumerate() {
            assert_eq!(schema.id.0 as usize, index + 1);
            let _ = schema.parsed();
        }
    }

    #[test]
    fn every_record_round_trips() {
        let event = full_event();
        let id = OutputId { partition: PartitionId(3), offset: 9, ordinal: 1 };
        let decision = Decision {
            decision_id: DecisionId::of(SessionId(7), "cart_stalled", 2),
            rule: "cart_stalled".into(),
            rule_version: "1".into(),
            shopper: ShopperId::User("u1".into()),
            visitor_id: Some("v1".into()),
            session_id: SessionId(7),
            cart_version: 2,
            outcome: Outcome::Served,
            slot: "nudge".into(),
            payload: "{}".into(),
            expires_at_ms: 5,
            asked_at_ms: 4,
            inputs: [(Str::from("cart_value"), PropertyValue::Float(90.0))].into(),
            cause: id,
            cause_event_id: Some("e1".into()),
            by_silence: true,
            stamps_us: [(Str::from("received"), 1)].into(),
        };
        let handoff = Handoff {
            id,
            visitor_id: "v1".into(),
            user_id: "u1".into(),
            sessions: vec![CarriedSession {
                update: SessionUpdate { cart_value: Some(1.5), ..SessionUpdate::default() },
                last_stamp_ms: 1,
                cart_version: 2,
                consent: Consent::FULL,
                idle_fired_ms: 0,
            }],
            facts: vec![CarriedFact {
                time_ms: 1,
                value: None,
                product: Some("p".into()),
                category: None,
                currency: None,
                session: 0,
                quantity: 1,
                kind: 3,
                slot: 0,
            }],
            caps: vec![CapEntry {
                decision_id: DecisionId(1),
                rule: "r".into(),
                session_id: SessionId(1),
                at_ms: 1,
                counts: true,
            }],
            pending: vec![CarriedCandidate {
                decision_id: DecisionId(2),
                rule: "r".into(),
                visitor_id: Some("v1".into()),
                session_id: SessionId(1),
                cart_version: 1,
                inputs: [(Str::from("cart_value"), PropertyValue::Float(90.0))].into(),
                cause_event_id: None,
                asked_at_ms: 3,
                consented: true,
                bot: false,
            }],
            shown: vec![CarriedShown {
                decision_id: DecisionId(1),
                rule: "r".into(),
                session_id: SessionId(1),
                expires_at_ms: 9,
            }],
        };
        for record in [
            Record::Event(Box::new(event.clone())),
            Record::Tick(Tick { due_ms: 4 }),
            Record::Decision(Box::new(decision)),
            Record::Handoff(Box::new(handoff)),
            Record::Forward(Box::new(Forward { id, user_id: "u1".into(), event })),
        ] {
            let bytes = record.encode().expect("encodes");
            assert_eq!(Record::decode(&bytes).expect("decodes"), record);
            to_json(&bytes).expect("JSON");
        }
        let reject = Reject {
            source: "s".into(),
            code: "c".into(),
            field: None,
            message: "m".into(),
            hint: None,
            owner: "tracker".into(),
            event_id: None,
            received_at_us: 0,
            payload: vec![0xff, 0],
        };
        assert_eq!(decode::<Reject>(&encode(&reject).expect("encodes")).expect("decodes"), reject);
        let update = SessionUpdate { version: 3, ..SessionUpdate::default() };
        assert_eq!(decode::<SessionUpdate>(&encode(&update).expect("encodes")).expect("decodes"), update);
    }

    #[test]
    fn damaged_values_are_errors() {
        let bytes = encode(&full_event()).expect("encodes");
        assert!(matches!(Record::decode(b""), Err(CodecError::Framing)));
        assert!(matches!(Record::decode(&[1, 0, 0, 0, 1, 0]), Err(CodecError::Framing)));
        assert!(matches!(Record::decode(&[0, 0, 0, 0, 99, 0]), Err(CodecError::UnknownSchema(99))));
        for cut in 5..bytes.len() {
            assert!(Record::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    /// The independent library reads what ours wrote, by the same schema.
    #[test]
    fn apache_avro_reads_it() {
        let schema = apache_avro::Schema::parse_str(SCHEMAS[0].text).expect("schema");
        let bytes = encode(&full_event()).expect("encodes");
        let value = apache_avro::from_avro_datum(&schema, &mut &bytes[5..], None).expect("datum");
        let apache_avro::types::Value::Record(fields) = value else { panic!("a record") };
        let name = fields.iter().find(|(name, _)| name == "name").map(|(_, value)| value);
        assert_eq!(name, Some(&apache_avro::types::Value::String("add_to_cart".into())));
    }
}
