//! Tests of the feature crate from outside: definitions, reading, expressions.

mod kit;
mod native;
