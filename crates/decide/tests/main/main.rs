//! Tests of the decide crate from outside: definitions, rules, decisions, the demo's interventions.

mod decisions;
mod definitions;
mod demo;
mod kit;
mod rules;
mod stock;
