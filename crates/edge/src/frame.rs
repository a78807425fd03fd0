//! What goes down to a page: an intervention to show, or one to take back.

use midsession_event::{Decision, DecisionId, Str};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An intervention to show, as decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frame {
    /// The decision.
    pub decision_id: DecisionId,
    /// The intervention's name.
    pub rule: Str,
    /// Slot on the page.
    pub slot: Str,
    /// What to show.
    pub payload: serde_json::Value,
    /// Not to be shown after this. Epoch ms.
    pub expires_at_ms: i64,
    /// Someone trying it on their own browser.
    pub preview: bool,
    /// The event that triggered it.
    pub cause_event_id: Option<Str>,
    /// Fired by silence, not by an event.
    pub by_silence: bool,
    /// For silences: the deadline. Epoch ms. Written only to a page that listened before this came.
    #[serde(skip)]
    pub deadline_ms: Option<i64>,
    /// Server clock readings so far, by stage name. Epoch µs. Written with the instant of the push added.
    #[serde(skip)]
    pub stamps_us: BTreeMap<Str, i64>,
}

impl Frame {
    /// The frame of a served decision. A payload that is no JSON is shown as nothing.
    pub fn of(decision: &Decision) -> Self {
        Self {
            decision_id: decision.decision_id,
            rule: decision.rule.clone(),
            slot: decision.slot.clone(),
            payload: serde_json::from_str(&decision.payload).unwrap_or_default(),
            expires_at_ms: decision.expires_at_ms,
            preview: false,
            cause_event_id: None,
            by_silence: decision.by_silence,
            deadline_ms: None,
            stamps_us: decision.stamps_us.clone(),
        }
    }
}

/// Why a frame is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// One of the visitor's tabs has painted it.
    Painted,
    /// Something happened that it no longer fits, such as a purchase.
    Overtaken,
}

/// What goes to a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Show this.
    Frame(Arc<Frame>),
    /// Take that back.
    Retract(DecisionId, Reason),
}
