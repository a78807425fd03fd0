//! Reading records of `behavior` by the order of their schema instead of by the names of their fields.
//!
//! The compiled-in schema and the struct list the same fields in the same order (`every_record_round_trips` holds it), so
//! nothing need be looked up by name: the derived way takes half as long again (`benches/codec.rs`).

use crate::{Cart, Event, Forward, Order, Page, Product, Stamps};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value to be read field by field in the order of its schema. Only for Avro.
pub(crate) struct InOrder<T>(pub T);

/// What was read, without its wrapping.
trait Unwrap {
    type Inner;
    fn inner(self) -> Self::Inner;
}

impl<T> Unwrap for InOrder<T> {
    type Inner = T;
    fn inner(self) -> T {
        self.0
    }
}

impl<T> Unwrap for Option<InOrder<T>> {
    type Inner = Option<T>;
    fn inner(self) -> Option<T> {
        self.map(|value| value.0)
    }
}

impl<T> Unwrap for Vec<InOrder<T>> {
    type Inner = Vec<T>;
    fn inner(self) -> Vec<T> {
        self.into_iter().map(|value| value.0).collect()
    }
}

macro_rules! in_order {
    (@next $map:ident) => { $map.next_value()? };
    (@next $map:ident $via:ty) => { $map.next_value::<$via>()?.inner() };
    ($type:ident { $($field:ident $(: $via:ty)?),* $(,)? }) => {
        impl<'de> Deserialize<'de> for InOrder<$type> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = InOrder<$type>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(stringify!($type))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        $(let $field = in_order!(@next map $($via)?);)*
                        Ok(InOrder($type { $($field),* }))
                    }
                }
                deserializer.deserialize_struct(stringify!($type), &[], Fields)
            }
        }
    };
}

in_order!(Event {
    event_id,
    source,
    name,
    visitor_id,
    user_id,
    tracker_session_id,
    occurred_at_ms,
    device_at_ms,
    sent_at_ms,
    stamps: InOrder<Stamps>,
    page: Option<InOrder<Page>>,
    campaign,
    device,
    geo,
    products: Vec<InOrder<Product>>,
    cart: Option<InOrder<Cart>>,
    order: Option<InOrder<Order>>,
    promotion,
    list,
    step,
    query,
    decision_id,
    consent,
    consent_said,
    bot,
    preview,
    properties,
});
in_order!(Stamps { received_at_us, collected_at_us });
in_order!(Page { url, title, referrer });
in_order!(Product { id, name, category, brand, price, currency, quantity, position });
in_order!(Cart { id, total_value, currency });
in_order!(Order { id, revenue, currency, tax, shipping, discount });
in_order!(Forward { id, user_id, event: InOrder<Event> });
