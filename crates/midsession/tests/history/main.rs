//! History by the same code: rows against a slow oracle over the events as written, and the commands as they are used.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;
mod bench;
mod commands;
mod context;
mod docs;
mod point_in_time;
mod privacy;
