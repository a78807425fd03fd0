//! One visit of one device, kept while it is open and readable for a while after.

use crate::{Cart, FactKind, Names};
use midsession_event::{Consent, SessionId, SessionState, SessionUpdate, Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};

/// What the earliest event that says it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earliest {
    /// That event's time. Epoch ms.
    pub time_ms: i64,
    /// What it says.
    pub text: Str,
}

/// A session of a shopper.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id: never changes.
    pub id: SessionId,
    /// The shopper's number for it; facts carry it. From 1.
    pub number: u32,
    /// The device.
    pub visitor: Option<VisitorId>,
    /// The person, once known.
    pub user: Option<UserId>,
    /// The tracker's own id, of the latest event that has one.
    pub tracker_session_id: Option<Str>,
    /// Others that its events came under and that lead here, too: a tracker may begin a new one where we don't. The one heard
    /// of last stands last.
    #[serde(default)]
    pub other_tracker_ids: Box<[Str]>,
    /// Source of the opening event.
    pub source: Str,
    /// Where in its life.
    pub state: SessionState,
    /// The session it became part of.
    pub merged_into: Option<SessionId>,
    /// Version of the last update emitted; strictly rising.
    pub version: i64,
    /// Event time of the first event. Epoch ms.
    pub started_at_ms: i64,
    /// Event time of the last event. Epoch ms.
    pub ended_at_ms: i64,
    /// Stamp of the last record that changed it. Epoch ms.
    pub last_stamp_ms: i64,
    /// Kind of the event that came last.
    pub last_kind: FactKind,
    /// Events that took effect.
    pub events: i64,
    /// Page views.
    pub page_views: i64,
    /// Product views.
    pub product_views: i64,
    /// Adds to cart.
    pub add_to_carts: i64,
    /// Highest checkout step.
    pub checkout_step: i32,
    /// Orders.
    pub orders: i64,
    /// Their worth; NaN when they were paid in several currencies.
    pub revenue: f64,
    /// The cart now.
    pub cart: Cart,
    /// Event time up to which `cart` is folded: a cart event from before it makes the fold start anew.
    pub cart_until_ms: i64,
    /// Changes of the cart so far.
    pub cart_version: u64,
    /// Device class of the earliest event that has one.
    pub device_class: Option<Earliest>,
    /// Campaign of the earliest event that has one.
    pub campaign: Option<Earliest>,
    /// Sent by a robot.
    pub bot: bool,
    /// Consent of the latest event.
    pub consent: Consent,
    /// Stamp of the last update emitted; one that changed since waits for the cadence. Epoch ms.
    pub emitted_at_ms: i64,
    /// Changed since the last update.
    pub dirty: bool,
}

impl Session {
    /// Every id of its tracker that leads here.
    pub fn tracker_ids(&self) -> impl Iterator<Item = &Str> {
        self.tracker_session_id.iter().chain(&self.other_tracker_ids)
    }

    /// Open or idle: events still join.
    pub fn is_live(&self) -> bool {
        matches!(self.state, SessionState::Open | SessionState::Idle)
    }

    /// Length so far. ms.
    pub fn duration_ms(&self) -> i64 {
        self.ended_at_ms - self.started_at_ms
    }

    /// Filled a cart and bought nothing.
    pub fn is_abandoned(&self) -> bool {
        self.state == SessionState::Closed && self.cart.touched && self.orders == 0
    }

    /// What is told about it.
    pub fn update(&self, currencies: &Names) -> SessionUpdate {
        SessionUpdate {
            session_id: self.id,
            version: self.version,
            state: self.state,
            merged_into: self.merged_into,
            visitor_id: self.visitor.clone(),
            user_id: self.user.clone(),
            tracker_session_id: self.tracker_session_id.clone(),
            source: self.source.clone(),
            started_at_ms: self.started_at_ms,
            ended_at_ms: self.ended_at_ms,
            events: self.events,
            page_views: self.page_views,
            product_views: self.product_views,
            add_to_carts: self.add_to_carts,
            cart_value: self.cart.touched.then_some(self.cart.value).flatten(),
            currency: currencies.name(u32::from(self.cart.currency)).cloned(),
            checkout_step: self.checkout_step,
            orders: self.orders,
            revenue: self.revenue,
            abandoned: self.is_abandoned(),
            bot: self.bot,
            device_class: self.device_class.as_ref().map(|said| said.text.clone()),
            campaign: self.campaign.as_ref().map(|said| said.text.clone()),
        }
    }
}
