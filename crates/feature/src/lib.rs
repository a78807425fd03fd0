//! Feature definitions, folds over facts, and the expression language.
//!
//! A definition ([`definition`]) names a fold ([`fold`]), a predicate ([`expr`]) and windows. [`FeatureSet`] compiles
//! definitions once and reads their values from a [`midsession_machine::View`] at any instant. Nothing here reads a
//! clock, a file or a socket.

mod added;
mod amount;
mod decimal;
mod define;
pub mod definition;
mod diagnostic;
mod duration;
mod entry;
pub mod expr;
mod filter;
pub mod fold;
mod listed;
mod read;
mod repeated;
mod served;
mod session;
mod set;
mod text;
mod value;
mod vanish;

pub use added::{FieldEntry, FieldPart, Served};
pub use diagnostic::{Diagnostic, Document, nearest};
pub use duration::{DURATION_HINT, duration_text, parse_duration_ms};
pub use entry::{Entry, Key, LookBack};
pub use listed::{Listed, Made, features_in, tables_in};
pub use repeated::{features_of, named_twice};
pub use served::Serving;
pub use set::{FeatureSet, check};
pub use text::TextForm;
pub use value::{Val, Value};

/// The profile of a shop that comes from the live-shopper accelerator: its keys and values.
pub const LIVE_SHOPPER: (&str, &str) =
    ("profiles/live-shopper.toml", include_str!("../../../profiles/live-shopper.toml"));

/// The native profile: the contract's features for shoppers and sessions.
pub const NATIVE: (&str, &str) = ("profiles/native.toml", include_str!("../../../profiles/native.toml"));
