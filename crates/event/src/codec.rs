//! Avro with Confluent's framing: magic byte 0, schema id (big endian u32), datum.

use crate::datum::{self, Datum};
use crate::{Decision, Definition, Event, Forward, Handoff, Reaction, Record, Reject, SessionUpdate, Tick};
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
    ($($type:ty = $id:literal $subject:literal $file:literal $form:ident;)*) => {
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
            fn write_datum(&self, schema: &'static Schema, out: &mut Vec<u8>) -> Result<(), CodecError> {
                $form::write(self, schema, out)
            }
            fn read_datum(schema: &'static Schema, datum: &[u8]) -> Result<Self, CodecError> {
                $form::read(schema, datum)
            }
        })*
    };
}

/// A type with a compiled-in schema.
pub trait Schematic: Sized {
    /// Which.
    const SCHEMA_ID: SchemaId;
    /// Appends its Avro form.
    fn write_datum(&self, schema: &'static Schema, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Reads its Avro form.
    fn read_datum(schema: &'static Schema, datum: &[u8]) -> Result<Self, CodecError>;
}

/// What every event passes through goes by the order of its schema.
mod by_order {
    use super::*;

    pub(super) fn write<T: Datum>(value: &T, _: &Schema, out: &mut Vec<u8>) -> Result<(), CodecError> {
        value.write(out);
        Ok(())
    }

    pub(super) fn read<T: Datum>(schema: &Schema, datum: &[u8]) -> Result<T, CodecError> {
        datum::read_all(datum).map_err(|fault| CodecError::Datum { subject: schema.subject, cause: fault.0.to_owned() })
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

schemas! {
    Event = 1 "behavior-event" "event.avsc" by_order;
    Tick = 2 "behavior-tick" "tick.avsc" by_name;
    Decision = 3 "decision" "decision.avsc" by_name;
    Handoff = 4 "behavior-handoff" "handoff.avsc" by_name;
    Forward = 5 "behavior-forward" "forward.avsc" by_order;
    SessionUpdate = 6 "session" "session.avsc" by_order;
    Reject = 7 "dead-letter" "reject.avsc" by_name;
    Definition = 8 "definition" "definition.avsc" by_name;
    Reaction = 9 "decision-reaction" "reaction.avsc" by_name;
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
    let schema = schema_of(T::SCHEMA_ID).ok_or(CodecError::UnknownSchema(T::SCHEMA_ID.0))?;
    out.push(0);
    out.extend_from_slice(&schema.id.0.to_be_bytes());
    value.write_datum(schema, out)
}

/// The schema of a framed value, and its datum.
fn unframe(bytes: &[u8]) -> Result<(&'static Schema, &[u8]), CodecError> {
    let Some((&[0, a, b, c, d], datum)) = bytes.split_first_chunk::<5>() else { return Err(CodecError::Framing) };
    let id = u32::from_be_bytes([a, b, c, d]);
    Ok((schema_of(SchemaId(id)).ok_or(CodecError::UnknownSchema(id))?, datum))
}

/// Reads a framed value of a known type.
pub fn decode<T: Schematic>(bytes: &[u8]) -> Result<T, CodecError> {
    let (schema, datum) = unframe(bytes)?;
    if schema.id != T::SCHEMA_ID {
        let expected = schema_of(T::SCHEMA_ID).map_or("?", |schema| schema.subject);
        return Err(CodecError::WrongSchema { expected, found: schema.subject });
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
        }
    }

    /// Reads a record of the `behavior` topic.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (schema, datum) = unframe(bytes)?;
        match schema.id.0 {
            1 => Ok(Self::Event(Box::new(Event::read_datum(schema, datum)?))),
            2 => Ok(Self::Tick(Tick::read_datum(schema, datum)?)),
            3 => Ok(Self::Decision(Box::new(Decision::read_datum(schema, datum)?))),
            4 => Ok(Self::Handoff(Box::new(Handoff::read_datum(schema, datum)?))),
            5 => Ok(Self::Forward(Box::new(Forward::read_datum(schema, datum)?))),
            _ => Err(CodecError::WrongSchema { expected: "behavior", found: schema.subject }),
        }
    }
}

/// Any framed value as JSON, with its schema, for people and scripts.
pub fn to_json(bytes: &[u8]) -> Result<(&'static Schema, serde_json::Value), CodecError> {
    fn json<T: Schematic + Serialize>(schema: &'static Schema, datum: &[u8]) -> Result<serde_json::Value, CodecError> {
        serde_json::to_value(T::read_datum(schema, datum)?)
            .map_err(|cause| CodecError::Datum { subject: schema.subject, cause: cause.to_string() })
    }
    let (schema, datum) = unframe(bytes)?;
    let value = match schema.id.0 {
        1 => json::<Event>(schema, datum)?,
        2 => json::<Tick>(schema, datum)?,
        3 => json::<Decision>(schema, datum)?,
        4 => json::<Handoff>(schema, datum)?,
        5 => json::<Forward>(schema, datum)?,
        6 => json::<SessionUpdate>(schema, datum)?,
        7 => {
            let mut value = json::<Reject>(schema, datum)?;
            value["payload"] = String::from_utf8_lossy(&Reject::read_datum(schema, datum)?.payload).into();
            value
        }
        8 => json::<Definition>(schema, datum)?,
        _ => json::<Reaction>(schema, datum)?,
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
            Record::Forward(Box::new(Forward { id, user_id: "u1".into(), event: Box::new(event) })),
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

    /// What goes by the order of the schema is what the library makes of it by names, to the byte, and back.
    #[test]
    fn both_forms_are_the_same() {
        fn same<T>(value: &T)
        where
            T: Schematic + Datum + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
        {
            let schema = schema_of(T::SCHEMA_ID).expect("a schema");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            by_order::write(value, schema, &mut ours).expect("writes");
            by_name::write(value, schema, &mut theirs).expect("the library writes");
            assert_eq!(ours, theirs, "{value:?}");
            assert_eq!(&by_order::read::<T>(schema, &theirs).expect("reads"), value);
            assert_eq!(&by_name::read::<T>(schema, &ours).expect("the library reads"), value);
        }
        let full = full_event();
        let empty = Event::new("s".into(), "".into(), EventName::Custom("x".into()), i64::MIN);
        let mut far = full.clone();
        far.occurred_at_ms = i64::MAX;
        far.device_at_ms = Some(-1);
        far.step = Some(i32::MIN);
        far.products = vec![Product::default(); 300];
        far.name = EventName::Dismiss;
        let id = OutputId { partition: PartitionId(u32::MAX), offset: i64::MAX, ordinal: 7 };
        for event in [&full, &empty, &far] {
            same(event);
            same(&Forward { id, user_id: "u".into(), event: Box::new(event.clone()) });
        }
        for state in SessionState::ALL {
            same(&SessionUpdate {
                session_id: SessionId(u128::MAX - 3),
                merged_into: Some(SessionId(5)),
                state: *state,
                cart_value: Some(-0.5),
                abandoned: true,
                device_class: Some("mobile".into()),
                ..SessionUpdate::default()
            });
        }
    }

    #[test]
    fn arrays_may_come_in_blocks_with_their_size() {
        let schema = schema_of(Event::SCHEMA_ID).expect("a schema");
        let mut event = full_event();
        event.products = vec![Product { id: "é".into(), ..Product::default() }; 2];
        let (mut whole, mut item) = (Vec::new(), Vec::new());
        event.write(&mut whole);
        event.products[0].write(&mut item);
        let items = [item.clone(), item.clone()].concat();
        let at = whole.windows(items.len() + 1).position(|w| w[0] == 4 && w[1..] == items).expect("the array");
        // -1 item of so many bytes, then the other as a block of its own.
        let blocks = [vec![1, item.len() as u8 * 2], item.clone(), vec![2], item].concat();
        let split = [&whole[..at], &blocks, &whole[at + 1 + items.len()..]].concat();
        assert_eq!(by_order::read::<Event>(schema, &split).expect("reads"), event);
        assert_eq!(by_name::read::<Event>(schema, &split).expect("the library reads"), event);
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
        assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err(), "bytes after the end");
        // Whatever one byte becomes: an error or another event, never a panic, and no memory for made-up counts.
        for at in 5..bytes.len() {
            for value in 0..=255 {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = Record::decode(&damaged);
            }
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
