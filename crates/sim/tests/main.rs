//! The machines against the oracle, in the simulation and as the real binary.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod context;
mod defects;
mod definitions;
mod edited;
mod failpoints;
mod features;
mod http;
mod identity;
mod interventions;
mod journal;
mod keystore;
mod kill;
mod known;
mod leaving;
mod length;
mod lifetimes;
mod load;
mod merges;
mod privacy;
mod seeds;
mod serenade;
mod served;
mod server;
mod storm;
mod timeline;
mod unmerge;
mod verify;
mod withdrawn;
