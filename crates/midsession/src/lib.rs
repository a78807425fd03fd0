//! The product assembled: configuration, driver, command line, load.
#![allow(clippy::disallowed_methods, reason = "the rim reads clocks")]

pub mod app;
pub mod assemble;
pub mod audit;
pub mod backend;
pub mod cli;
pub mod config;
mod consent;
pub mod context;
mod counts;
mod dead_letters;
pub mod definitions;
pub mod driver;
pub mod find;
mod folder;
mod geo;
pub mod history;
mod identity;
mod in_force;
pub mod keys;
pub mod load;
mod log_check;
mod opened;
mod privacy;
mod reads;
mod records;
mod resume;
pub mod schemas;
pub mod shop;
mod sources;
pub mod spill;
mod suspect;
pub mod switches;
pub mod tally;
mod tracker_ids;
pub mod withdrawn;
pub mod world;
