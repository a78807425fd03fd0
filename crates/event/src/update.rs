//! What the product says of a session while it is open.

use crate::{Consent, Purpose, SessionId, Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// An event within the last 30 minutes.
    #[default]
    Open,
    /// None for 30 minutes, still within grace.
    Idle,
    /// Part of another session now.
    Merged,
    /// Over; nothing changes it any more.
    Closed,
}

impl SessionState {
    /// Every state, in the order of the schema.
    pub const ALL: &'static [SessionState] = &[Self::Open, Self::Idle, Self::Merged, Self::Closed];
}

/// One version of a session, the latest version wins. Keyed by session id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionUpdate {
    /// Our id.
    pub session_id: SessionId,
    /// Strictly rising.
    pub version: i64,
    /// Where in its life.
    pub state: SessionState,
    /// The session that it became part of.
    pub merged_into: Option<SessionId>,
    /// The device.
    pub visitor_id: Option<VisitorId>,
    /// The person, once known.
    pub user_id: Option<UserId>,
    /// The tracker's own id.
    pub tracker_session_id: Option<Str>,
    /// The collector source of its first event.
    pub source: Str,
    /// Event time of its first event. Epoch ms.
    pub started_at_ms: i64,
    /// Event time of its last event. Epoch ms.
    pub ended_at_ms: i64,
    /// Events that took effect in it.
    pub events: i64,
    /// Page views.
    pub page_views: i64,
    /// Product views.
    pub product_views: i64,
    /// Adds to cart.
    pub add_to_carts: i64,
    /// What the cart is worth; absent when unknown or in mixed currencies.
    pub cart_value: Option<f64>,
    /// Its currency.
    pub currency: Option<Str>,
    /// Highest checkout step reached; 0 for none.
    pub checkout_step: i32,
    /// Orders.
    pub orders: i64,
    /// What they were worth; not a number (`null` in JSON) when they were paid in several currencies.
    pub revenue: f64,
    /// A cart was filled and nothing bought.
    pub abandoned: bool,
    /// Sent by a robot.
    pub bot: bool,
    /// Device class.
    pub device_class: Option<Str>,
    /// Campaign that brought it.
    pub campaign: Option<Str>,
}

impl SessionUpdate {
    /// Says no more than that allows: nobody's name without `personalization`; without `analytics` what state it is in, and
    /// nothing of what was done.
    pub fn keep_to(&mut self, allowed: Consent) {
        if !allowed.allows(Purpose::Analytics) {
            let whole = std::mem::take(self);
            *self = Self {
                session_id: whole.session_id,
                version: whole.version,
                state: whole.state,
                merged_into: whole.merged_into,
                visitor_id: whole.visitor_id,
                user_id: whole.user_id,
                tracker_session_id: whole.tracker_session_id,
                source: whole.source,
                ..Self::default()
            };
        }
        if !allowed.allows(Purpose::Personalization) {
            (self.visitor_id, self.user_id, self.tracker_session_id) = (None, None, None);
        }
    }
}
