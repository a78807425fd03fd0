//! HTTP, Server-Sent Events, WebSocket and the Redis protocol.
#![allow(clippy::disallowed_methods, reason = "the rim reads clocks")]

mod backend;
mod clock;
mod hub;
mod token;

pub use backend::{
    Answer, AsOf, Ask, Backend, Change, Console, Entity, Features, Interventions, LiveRow, Reads, Refusal,
    SessionsQuery, Shop,
};
pub use hub::{Frame, HubLimits, Message, PushHub, Reason};
