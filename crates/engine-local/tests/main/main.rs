//! The embedded log from outside.

#![allow(clippy::unwrap_used)]

mod basics;
mod real;
mod rig;
mod simulated;
mod snapshots;
