//! Tracker protocols in, canonical events out: bytes and a receive time become events, verdicts and a reply.
//!
//! Nothing here reads a clock, a file or a socket: the caller gives the request, its receive time and fresh random
//! numbers, and sends [`Collected::reply`] once [`Collected::events`] are durable. One event at fault never costs its
//! siblings, and no input is lost without a trace: every event of a request is in `events`, in `rejects` or in `dropped`.

mod agent;
mod arrival;
mod collected;
mod collector;
mod consent;
pub mod context;
mod cors;
mod daily;
mod decode;
mod digits_name;
mod draft;
mod email;
mod fault;
mod field;
mod field_name;
mod finish;
mod free_text;
mod geo;
mod hidden;
mod ids;
mod iglu;
mod in_force;
mod json;
mod kind;
mod limits;
mod number;
mod pair;
mod person;
mod personal;
mod prepared;
mod property;
mod protocol;
mod quote;
mod refused;
mod reply;
mod request;
mod said_before;
mod scan;
mod scrub_id;
mod source;
mod time;
mod told;
mod web;
mod whole_cart;

pub use arrival::{Arrival, Arrived, Basis, arrival, arrivals};
pub use collected::{Collected, DropRule, Dropped, REJECT_BYTES, Rejected};
pub use collector::{Collector, Overload, Settings};
pub use fault::{Fault, Owner};
pub use free_text::FreeText;
pub use geo::GeoLookup;
pub use iglu::{SchemaError, Schemas};
pub use in_force::{ConsentInForce, InForce};
pub use kind::{Kept, PersonalFields, PersonalKind};
pub use limits::Limits;
pub use personal::{is_personal_name, scrub_text};
pub use protocol::Protocol;
pub use reply::Reply;
pub use request::Request;
pub use source::{ConsentMode, PersonalRule, Secret, Source};
