//! Feature definitions, folds over facts, and the expression language.
//!
//! A definition ([`definition`]) names a fold ([`fold`]), a predicate ([`expr`]) and windows. [`FeatureSet`] compiles
//! definitions once and reads their values from a [`midsession_machine::View`] at any instant. Nothing here reads a
//! clock, a file or a socket.

pub mod definition;
mod diagnostic;
mod duration;
pub mod expr;
mod filter;
pub mod fold;
mod read;
mod session;
mod set;
mod value;

pub use diagnostic::{Diagnostic, Document, nearest};
pub use duration::{duration_text, parse_duration_ms};
pub use set::{Entry, FeatureSet, Key, LookBack, check};
pub use value::{Val, Value};

/// The native profile: the contract's features for shoppers and sessions.
pub const NATIVE: (&str, &str) = ("profiles/native.toml", include_str!("../../../profiles/native.toml"));
