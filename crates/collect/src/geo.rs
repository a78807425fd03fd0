//! From an address to a place; the address itself is never kept.

use midsession_event::Geo;
use std::net::IpAddr;

/// Looks an address up in memory. The binary wires a MaxMind-format database behind it.
pub trait GeoLookup: Send + Sync {
    /// The place, when known.
    fn lookup(&self, address: IpAddr) -> Option<Geo>;
}
