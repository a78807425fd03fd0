//! The listeners from outside: real sockets, literal bytes, port zero.

mod admin;
mod context;
mod definitions;
mod framing;
mod identity;
mod ingest;
mod push;
mod rates;
mod resp;
mod slow;
mod support;
