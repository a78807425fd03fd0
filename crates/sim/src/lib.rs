//! Simulation of the product, judged by an independent oracle.
//!
//! [`oracle`] computes from a list of records, slowly and plainly, what sessions, carts, silences, hand-offs and caps
//! must be. [`world`] runs real partition machines over simulated logs, [`draw`] makes the shoppers. A run is a pure
//! function of its seed.

pub mod audience;
pub mod audit;
pub mod crowded;
pub mod defects;
pub mod defining;
pub mod draw;
pub mod house;
pub mod judge;
pub mod oracle;
pub mod port;
pub mod probe;
pub mod replay;
pub mod rerun;
pub mod rng;
pub mod ruled;
pub mod scenario;
pub mod shape;
pub mod spilled;
pub mod storm;

pub mod weathered;
pub mod world;
