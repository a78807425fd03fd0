//! HTTP, Server-Sent Events, WebSocket and the Redis protocol.
//!
//! Two HTTP listeners: a public one that takes events in and pushes interventions, and an admin one for console and
//! reads; beside them a Redis protocol listener over the features. Nothing here knows the log's or the machine's
//! insides: everything is reached through [`Handles`].

mod admin;
mod assets;
mod backend;
mod body;
pub mod clock;
mod frame;
mod hub;
mod ingest;
mod listen;
mod rate;
mod reply;
mod resp;
mod route;
mod seal;
mod serve;
mod token;
mod ws;

pub use backend::{
    Answer, AsOf, Ask, Backend, Change, Consented, Console, Context, Define, DefinitionOf, Entity, FeatureValue,
    Features, Identities, Interventions, LiveRow, Reads, Refusal, Sender, Served, SessionsQuery, Shop, TextForm,
    Undefined, UnmergeAsk, Unreadable, WrittenFile,
};
pub use frame::{Frame, Message, Reason};
pub use hub::{HubClock, HubLimits, PushHub, Subscription};
pub use listen::Timeouts;
pub use route::openapi;
pub use seal::{bound_to_letter, bound_to_personal};
pub use serve::{Config, Handles, Limits, Running, ServeError, serve};

pub(crate) use serve::App;
