//! Tests of the feature crate from outside: definitions, reading, expressions.

mod errors;
mod expressions;
mod kit;
mod native;
mod windows;
