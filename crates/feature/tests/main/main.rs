//! Tests of the feature crate from outside: definitions, reading, expressions.

mod added;
mod docs;
mod errors;
mod expressions;
mod kit;
mod listed;
mod live_shopper;
mod manners;
mod native;
mod products;
mod sequences;
mod typed;
mod windows;
