//! The bounds of what is read, with their published defaults.

use serde::{Deserialize, Serialize};

/// Bounds on input. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Request body as it comes over the wire.
    pub wire_bytes: usize,
    /// Request body after decompression.
    pub decoded_bytes: usize,
    /// Decoded over wire size, above 256 KiB decoded.
    pub ratio: usize,
    /// Events in one request; what is behind them is one reject.
    pub batch_events: usize,
    /// One event, unless its source says otherwise.
    pub event_bytes: usize,
    /// One Snowplow event (their payloads carry whole contexts), unless its source says otherwise.
    pub snowplow_event_bytes: usize,
    /// Nesting of one event's JSON.
    pub depth: usize,
    /// Members of one JSON object, and properties of one event.
    pub properties: usize,
    /// A property's name.
    pub key_bytes: usize,
    /// An id.
    pub id_bytes: usize,
    /// Products of one event.
    pub products: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wire_bytes: 1 << 20,
            decoded_bytes: 4 << 20,
            ratio: 100,
            batch_events: 1_000,
            event_bytes: 64 << 10,
            snowplow_event_bytes: 1_000_000,
            depth: 32,
            properties: 512,
            key_bytes: 128,
            id_bytes: 256,
            products: 200,
        }
    }
}
