//! The collector from outside: requests in, events, rejects and replies out.

mod consent;
mod context;
mod cookieless;
mod fuzz;
mod ga4;
mod help;
mod import;
mod native;
mod pairs;
mod personal;
mod plain;
mod posthog;
mod refused;
mod rules;
mod said;
mod segment;
mod snowplow;
mod texts;
mod trust;
mod webhook;
