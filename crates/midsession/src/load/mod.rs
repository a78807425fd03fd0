//! Load: simulated shoppers and the replay of real clicks, both through the real HTTP collector.

pub mod client;
pub mod feed;
pub mod replay;
pub mod shoppers;
