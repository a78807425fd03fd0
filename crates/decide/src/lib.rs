//! Interventions: rules, caps, holdouts, discount codes, and the decision on a candidate.
//!
//! Nothing here reads a clock or draws a number: `now` and everything live are arguments.

pub mod cap;
pub mod codes;
mod decision;
mod definition;
mod env;
mod payload;
mod rules;
mod stock;

pub use decision::{Live, decide, is_held_out};
pub use definition::{Definitions, Rule, Trigger};
pub use rules::Rules;
pub use stock::products_of;

/// The three interventions of the demo shop, and the features that they need beyond the native profile.
pub const DEMO: (&str, &str) = ("profiles/demo.toml", include_str!("../../../profiles/demo.toml"));
