//! Avro's binary form of what every event passes through, read and written by the order of the schema.
//!
//! Source: Avro specification 1.11, «Binary encoding». The library goes by way of serde and the names of fields: twice
//! the time to read an event, more than four times to write one (`benches/codec.rs`), and a partition reads or writes two
//! of these per event. So the types below have this and all others go through the library. Tests hold both to the same
//! bytes.

use crate::{
    Campaign, Cart, Consent, ContextKind, Device, Event, EventId, EventName, Forward, Geo, Joined, Order, OutputId,
    Page, PartitionId, Product, ProductId, Promotion, PropertyValue, SchemaId, SessionId, SessionState, SessionUpdate,
    SourceId, Stamps, Str, UserId, Values, VisitorId,
};
use integer_encoding::VarInt;
use std::collections::BTreeMap;

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub &'static str);

const CUT: Fault = Fault("it ends too early, or a number in it is longer than 64 bits");

/// A type with a fixed schema.
pub(crate) trait Datum: Sized {
    /// Takes the next value off the input.
    fn read(input: &mut Input<'_>) -> Result<Self, Fault>;
    /// The same onto a value that is there: a large one is not moved about.
    #[inline]
    fn read_onto(&mut self, input: &mut Input<'_>) -> Result<(), Fault> {
        *self = Self::read(input)?;
        Ok(())
    }
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);
}

/// Reads a value that takes up all of the bytes, written by this schema.
pub(crate) fn read_all<T: Datum>(bytes: &[u8], schema: SchemaId) -> Result<T, Fault> {
    let mut input = Input { rest: bytes, schema };
    let value = T::read(&mut input)?;
    if input.rest.is_empty() { Ok(value) } else { Err(Fault("more bytes follow its end")) }
}

/// Bytes not read yet.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
    schema: SchemaId,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Fault> {
        // Most are one byte: branches of unions, lengths, counts (`benches/codec.rs`).
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let (value, length) = i64::decode_var(self.rest).ok_or(CUT)?;
        self.rest = &self.rest[length..];
        Ok(value)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault("a text has a negative length"))?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Fault("a text is not UTF-8"))
    }

    /// The items of an array or a map, with how many more are announced.
    fn items(&mut self, mut each: impl FnMut(&mut Self, usize) -> Result<(), Fault>) -> Result<(), Fault> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The block's size in bytes stands before it, for readers that skip.
                self.long()?;
                count = count.checked_neg().ok_or(CUT)?;
            }
            // No item is empty, so a made-up count ends with the input.
            for left in (0..count).rev() {
                each(self, usize::try_from(left).unwrap_or(usize::MAX))?;
            }
        }
    }
}

#[inline]
fn write_long(value: i64, out: &mut Vec<u8>) {
    if let -64..64 = value {
        out.push(((value << 1) ^ (value >> 63)) as u8);
        return;
    }
    let mut bytes = [0; 10];
    let length = value.encode_var(&mut bytes);
    out.extend_from_slice(&bytes[..length]);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_long(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}

/// One branch of a union.
fn write_branch<T: Datum>(branch: i64, value: &T, out: &mut Vec<u8>) {
    write_long(branch, out);
    value.write(out);
}

fn write_map<'a, T: Datum + 'a>(pairs: impl ExactSizeIterator<Item = (&'a Str, &'a T)>, out: &mut Vec<u8>) {
    if pairs.len() > 0 {
        write_long(pairs.len() as i64, out);
        for (key, value) in pairs {
            key.write(out);
            value.write(out);
        }
    }
    out.push(0);
}

macro_rules! datum {
    // A record: its fields in the order of its schema.
    // `since N`: what schemas with a smaller id do not have yet.
    (record $type:ident { $($field:ident),* $(,)? } $(since $since:literal { $($later:ident),* })*) => {
        impl Datum for $type {
            fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
                $(let $field = Datum::read(input)?;)*
                $($(let $later = if input.schema.0 < $since { Default::default() } else { Datum::read(input)? };)*)*
                Ok($type { $($field,)* $($($later),*)* })
            }
            fn read_onto(&mut self, input: &mut Input<'_>) -> Result<(), Fault> {
                $(self.$field.read_onto(input)?;)*
                $($(if input.schema.0 >= $since { self.$later.read_onto(input)?; })*)*
                Ok(())
            }
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
                $($(self.$later.write(out);)*)*
            }
        }
    };
    // A number of another width.
    (number $($type:ty),*) => {$(
        impl Datum for $type {
            fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
                Self::try_from(input.long()?).map_err(|_| Fault("a number is out of range"))
            }
            fn write(&self, out: &mut Vec<u8>) {
                write_long(i64::from(*self), out);
            }
        }
    )*};
    // A type around another one.
    (around $($type:ident),*) => {$(
        impl Datum for $type {
            fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
                Datum::read(input).map(Self)
            }
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }
        }
    )*};
}

datum!(number i64, i32, u32);
datum!(around EventId, SourceId, VisitorId, UserId, ProductId, PartitionId, Consent);
datum!(record Event {
    event_id, source, name, visitor_id, user_id, tracker_session_id, occurred_at_ms, device_at_ms, sent_at_ms, stamps,
    page, campaign, device, geo, products, cart, order, promotion, list, step, query, decision_id, consent,
    consent_said, bot, preview, properties,
} since 10 { context });
datum!(record Joined { kind, id, version, at_ms, stale, values });
datum!(record Stamps { received_at_us, collected_at_us });
datum!(record Page { url, title, referrer });
datum!(record Campaign { source, medium, name, term, content });
datum!(record Device { class, os, browser });
datum!(record Geo { country, region, city });
datum!(record Product { id, name, category, brand, price, currency, quantity, position });
datum!(record Cart { id, total_value, currency });
datum!(record Order { id, revenue, currency, tax, shipping, discount });
datum!(record Promotion { id, name });
datum!(record OutputId { partition, offset, ordinal });
datum!(record Forward { id, user_id, event } since 31 { left });
datum!(record SessionUpdate {
    session_id, version, state, merged_into, visitor_id, user_id, tracker_session_id, source, started_at_ms,
    ended_at_ms, events, page_views, product_views, add_to_carts, cart_value, currency, checkout_step, orders, revenue,
    abandoned, bot, device_class, campaign,
});

impl Datum for bool {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        match input.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Fault("a boolean is neither 0 nor 1")),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Datum for f64 {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        input.take(8)?.try_into().map(f64::from_le_bytes).map_err(|_| CUT)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Datum for Str {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        input.text().map(Str::from)
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }
}

impl Datum for EventName {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        input.text().map(EventName::from)
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self.as_str(), out);
    }
}

impl Datum for ContextKind {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        Self::parse(input.text()?).ok_or(Fault("an unknown kind of context"))
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self.as_str(), out);
    }
}

impl Datum for Values {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        BTreeMap::read(input).map(Self::from)
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_map(self.iter(), out);
    }
}

impl Datum for SessionId {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        input.text()?.parse().map_err(|_| Fault("a session id is not 32 hex digits"))
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_text(&self.to_hex(), out);
    }
}

impl Datum for SessionState {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let number = usize::try_from(input.long()?).ok();
        number.and_then(|number| Self::ALL.get(number)).copied().ok_or(Fault("an unknown session state"))
    }
    fn write(&self, out: &mut Vec<u8>) {
        // Invariant: the states are declared in the order of the schema's symbols; a test holds it.
        write_long(*self as i64, out);
    }
}

/// The union of null and a type.
impl<T: Datum> Datum for Option<T> {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        match input.long()? {
            0 => Ok(None),
            1 => T::read(input).map(Some),
            _ => Err(Fault("an unknown branch of a union")),
        }
    }
    #[inline]
    fn read_onto(&mut self, input: &mut Input<'_>) -> Result<(), Fault> {
        // Most are null, and null already.
        if let [0, rest @ ..] = input.rest
            && self.is_none()
        {
            input.rest = rest;
            return Ok(());
        }
        *self = Self::read(input)?;
        Ok(())
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => write_long(0, out),
            Some(value) => write_branch(1, value, out),
        }
    }
}

impl Datum for PropertyValue {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        match input.long()? {
            0 => Ok(Self::Null),
            1 => Datum::read(input).map(Self::Bool),
            2 => Datum::read(input).map(Self::Int),
            3 => Datum::read(input).map(Self::Float),
            4 => Datum::read(input).map(Self::Text),
            _ => Err(Fault("an unknown branch of a union")),
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => write_long(0, out),
            Self::Bool(value) => write_branch(1, value, out),
            Self::Int(value) => write_branch(2, value, out),
            Self::Float(value) => write_branch(3, value, out),
            Self::Text(value) => write_branch(4, value, out),
        }
    }
}

impl<T: Datum> Datum for Vec<T> {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let mut out = Vec::new();
        input.items(|input, left| {
            if out.len() == out.capacity() {
                // Just as many as come; a made-up count reserves no more than this.
                out.reserve_exact(left.min(255) + 1);
            }
            out.push(T::read(input)?);
            Ok(())
        })?;
        Ok(out)
    }
    fn write(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            write_long(self.len() as i64, out);
            self.iter().for_each(|item| item.write(out));
        }
        out.push(0);
    }
}

impl<T: Datum> Datum for BTreeMap<Str, T> {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let mut out = BTreeMap::new();
        input.items(|input, _| {
            let key = Str::read(input)?;
            out.insert(key, T::read(input)?);
            Ok(())
        })?;
        Ok(out)
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_map(self.iter(), out);
    }
}

/// In its place from the beginning: it is the largest there is, and would be moved twice.
impl Datum for Box<Event> {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        let mut event = Box::new(Event::new(<_>::default(), <_>::default(), EventName::PageView, 0));
        event.as_mut().read_onto(input)?;
        Ok(event)
    }
    fn write(&self, out: &mut Vec<u8>) {
        Event::write(self, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_byte_are_those_of_the_library() {
        let edges = [i64::MIN, i64::MIN + 1, i64::from(i32::MIN), i64::from(i32::MAX), i64::MAX];
        for value in (-20_000..20_000).chain(edges) {
            let mut bytes = Vec::new();
            write_long(value, &mut bytes);
            assert_eq!(bytes, value.encode_var_vec(), "{value}");
            bytes.push(7);
            let mut input = Input { rest: &bytes, schema: SchemaId(0) };
            assert_eq!((input.long(), input.rest), (Ok(value), [7].as_slice()));
        }
        let mut cut = Input { rest: &[0x80], schema: SchemaId(0) };
        assert_eq!((cut.long(), Input { rest: &[], ..cut }.long()), (Err(CUT), Err(CUT)));
    }
}
