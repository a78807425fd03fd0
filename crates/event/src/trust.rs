//! Records of trust: consent told to other devices, its evidence, personal fields under encryption.

use crate::{Consent, EventId, OutputId, Purpose, SourceId, Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};

/// What a user allows, told by their home to a visitor that is attached to them. Applied once, by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Place of what caused it at the user's home, and ordinal.
    pub id: OutputId,
    /// To which device.
    pub visitor_id: VisitorId,
    /// Who said it.
    pub user_id: UserId,
    /// What is allowed.
    pub consent: Consent,
    /// Event time. Epoch ms.
    pub said_at_ms: i64,
    /// On which device; none when the shop's server said it.
    pub said_by: Option<VisitorId>,
    /// Through which source.
    pub source: SourceId,
    /// In which event.
    pub event_id: EventId,
    /// The policy that the shopper saw, where the event names it.
    pub policy_version: Option<Str>,
}

/// What is kept to be shown later: who allowed what, who looked at what is personal, whose key was destroyed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `consent`, `consent_applied`, `opened` or `key_destroyed`.
    pub kind: Str,
    /// Whom it concerns: the device.
    pub visitor_id: Option<VisitorId>,
    /// Whom it concerns: the person.
    pub user_id: Option<UserId>,
    /// What is allowed from then on.
    pub purposes: Vec<Str>,
    /// On which device it was said; none when the shop's server said it.
    pub said_by: Option<VisitorId>,
    /// Through which source.
    pub source: Option<SourceId>,
    /// In which event.
    pub event_id: Option<EventId>,
    /// When it was said (event time) or done. Epoch ms.
    pub said_at_ms: i64,
    /// When it was put on the log. Epoch ms.
    pub recorded_at_ms: i64,
    /// The policy that the shopper saw, where the event names it.
    pub policy_version: Option<Str>,
    /// What was looked at or destroyed.
    pub detail: Option<Str>,
    /// The record from which on it holds.
    pub cause: Option<OutputId>,
}

impl Evidence {
    /// Evidence of this kind, of now.
    pub fn new(kind: &str, now_ms: i64) -> Self {
        Self { kind: kind.into(), said_at_ms: now_ms, recorded_at_ms: now_ms, ..Self::default() }
    }
}

impl Consent {
    /// The names of the purposes that are allowed.
    pub fn purposes(self) -> Vec<Str> {
        Purpose::ALL.iter().filter(|(purpose, _)| self.allows(*purpose)).map(|(_, name)| (*name).into()).collect()
    }
}

/// The personal fields of one event, encrypted. Durable in one unit with the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Personal {
    /// Of which event.
    pub event_id: EventId,
    /// Through which source.
    pub source: SourceId,
    /// Receive time. Epoch µs.
    pub received_at_us: i64,
    /// Which kinds of fields are inside: `email`, `phone`, `name`, `address`, `ip`.
    pub kinds: Vec<Str>,
    /// Under the shopper's key: `{kind: {field: value}}` as JSON.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// How a sealed value begins. Whoever opens it finds the names of its keys behind.
pub const SEALED: &[u8; 5] = b"\0MSE1";

/// Whether these bytes are a sealed value (and not, say, what a tracker sent).
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(SEALED)
}
