//! The collector from outside: requests in, events, rejects and replies out.

mod help;
mod native;
mod snowplow;
