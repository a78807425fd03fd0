//! The records of the log: all that can move a partition's state, and what is derived from it.

use crate::{
    DecisionId, DefinitionChange, Event, EventId, EventName, Filled, OutputId, Recall, SessionId, ShopperId, SourceId,
    Str, Told, Unmerge, UserId, VisitorId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A record of the `behavior` topic: the whole input of a partition's machine. `#[serde(tag)]` is only for JSON;
/// on the log the schema id tells the kinds apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What a shopper did.
    Event(Box<Event>),
    /// Time passed; appended by the partition's owner when a deadline is due and nothing else came.
    Tick(Tick),
    /// What `decide` answered to a candidate.
    Decision(Box<Decision>),
    /// A visitor signed in: what their partition kept of them moves to the user's home; or, after an unmerge, back.
    Handoff(Box<Handoff>),
    /// An event sent on by the visitor's partition to the user's home.
    Forward(Box<Forward>),
    /// The user said on another device, or by the shop's server, what is allowed: it holds for this visitor too.
    Told(Box<Told>),
    /// A visitor was taken for somebody they are not.
    Unmerge(Box<Unmerge>),
    /// The visitor's partition asks for what came of that.
    Recall(Box<Recall>),
    /// The definitions in force change: the same in every partition.
    Definition(Box<DefinitionChange>),
    /// What the log still had of the past for a definition that can't look back.
    Filled(Box<Filled>),
}

/// Time passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The deadline that made it due. Epoch ms.
    pub due_ms: i64,
}

/// What came of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is shown.
    Served,
    /// The shopper is in the holdout: it would have been shown.
    Holdout,
    /// A cap is used up.
    Capped,
    /// Dry run: it would have been shown.
    DryRun,
    /// Too late to be worth showing.
    Expired,
    /// Switched off between the trigger and the decision.
    Disabled,
    /// The shopper's consent does not cover it.
    NoConsent,
    /// No fresh row of the inventory shows stock of what it is about.
    OutOfStock,
}

/// A decision on a candidate, with all it was made from by value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Same session, rule and cart version: same decision.
    pub decision_id: DecisionId,
    /// The intervention's name.
    pub rule: Str,
    /// Version of its definition (hash of its text).
    pub rule_version: Str,
    /// Whose home it belongs to.
    pub shopper: ShopperId,
    /// The device that it concerns.
    pub visitor_id: Option<VisitorId>,
    /// The session that it concerns.
    pub session_id: SessionId,
    /// Version of the cart that it concerns.
    pub cart_version: i64,
    /// What was decided.
    pub outcome: Outcome,
    /// Slot on the page.
    pub slot: Str,
    /// What to show, as JSON, texts by locale included.
    pub payload: Str,
    /// Not to be shown after this. Epoch ms.
    pub expires_at_ms: i64,
    /// The machine's `now` when it asked. Epoch ms.
    pub asked_at_ms: i64,
    /// The features and session values that it was made from.
    pub inputs: BTreeMap<Str, crate::PropertyValue>,
    /// The record that caused it.
    pub cause: OutputId,
    /// The id of the event that caused it; none for silence.
    pub cause_event_id: Option<Str>,
    /// Fired by silence, not by an event.
    pub by_silence: bool,
    /// Server clock readings of the way so far, by stage name. Epoch µs.
    pub stamps_us: BTreeMap<Str, i64>,
    /// The rows of the context tables that were read when it was taken.
    #[serde(default)]
    pub context: Vec<crate::Joined>,
}

/// What a visitor's partition hands to the user's home at login, and gets back after an unmerge. Applied once, by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    /// Place of the login event and ordinal.
    pub id: OutputId,
    /// The device.
    pub visitor_id: VisitorId,
    /// The person.
    pub user_id: UserId,
    /// Its sessions, the open one and those still readable.
    pub sessions: Vec<CarriedSession>,
    /// Its facts.
    pub facts: Vec<CarriedFact>,
    /// What it was shown.
    pub caps: Vec<CapEntry>,
    /// Candidates that wait for their decision; asked again at the user's home.
    pub pending: Vec<CarriedCandidate>,
    /// On the page now, and to be taken back when it no longer holds.
    pub shown: Vec<CarriedShown>,
    /// What its features over a lifetime have added up, as the partition keeps it; none where there are none.
    #[serde(default)]
    pub lifetimes: Option<Str>,
    /// From the user's home back to the visitor's partition.
    #[serde(default)]
    pub returns: bool,
    /// After an unmerge, to somebody who has been at the device before or after whom it was taken for, and has left it. Back to
    /// the visitor's partition: such people have their share of it.
    #[serde(default)]
    pub left: bool,
}

impl Handoff {
    /// Something is in it.
    pub fn has_something(&self) -> bool {
        let lists = [self.sessions.len(), self.facts.len(), self.caps.len(), self.pending.len(), self.shown.len()];
        lists.iter().any(|length| *length > 0) || self.lifetimes.is_some()
    }
}

/// A candidate on its way between partitions: the same decision, asked of another home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedCandidate {
    /// The decision it will be.
    pub decision_id: DecisionId,
    /// The intervention's name.
    pub rule: Str,
    /// On which device.
    pub visitor_id: Option<VisitorId>,
    /// In which session.
    pub session_id: SessionId,
    /// At which version of the cart.
    pub cart_version: i64,
    /// Features and session values by value.
    pub inputs: BTreeMap<Str, crate::PropertyValue>,
    /// The event that caused it; none for silence.
    pub cause_event_id: Option<Str>,
    /// When it was asked first. Epoch ms.
    pub asked_at_ms: i64,
    /// Personalization was allowed.
    pub consented: bool,
    /// By a robot.
    pub bot: bool,
}

/// Something shown, on its way between partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedShown {
    /// Which.
    pub decision_id: DecisionId,
    /// Its rule.
    pub rule: Str,
    /// Its session.
    pub session_id: SessionId,
    /// Gone by itself after this. Epoch ms.
    pub expires_at_ms: i64,
}

/// A fact on its way between partitions: names instead of the partition's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedFact {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// Price, revenue or total; absent is NaN.
    pub value: Option<f64>,
    /// Product id (or derived text).
    pub product: Option<Str>,
    /// Category (or list name).
    pub category: Option<Str>,
    /// Currency.
    pub currency: Option<Str>,
    /// Index into the hand-off's sessions; −1 for none.
    pub session: i32,
    /// Quantity.
    pub quantity: i32,
    /// Kind with its flag.
    pub kind: i32,
    /// Slot of a derived fact, else 0.
    pub slot: i64,
}

/// A session on its way between partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedSession {
    /// The update that would be emitted for it now; its version goes on rising at the new home.
    pub update: crate::SessionUpdate,
    /// Stamp of the shopper's last event. Epoch ms.
    pub last_stamp_ms: i64,
    /// Version of its cart.
    pub cart_version: i64,
    /// Consent bits in force.
    pub consent: crate::Consent,
    /// Idle triggers already fired since the last event: thresholds up to this many ms.
    pub idle_fired_ms: i64,
    /// Time of the event that its device class is of; not known of what earlier versions sent. Epoch ms.
    #[serde(default)]
    pub device_class_at_ms: Option<i64>,
    /// Time of the event that its campaign is of. Epoch ms.
    #[serde(default)]
    pub campaign_at_ms: Option<i64>,
    /// Ids of its tracker beside the one in `update` that lead to it.
    #[serde(default)]
    pub other_tracker_ids: Vec<Str>,
    /// Kind of its last event, as in facts: a logout's, too, where somebody has left without one; not known of what earlier versions
    /// sent.
    #[serde(default)]
    pub last_kind: Option<i32>,
}

/// One intervention decided for a shopper, kept for the caps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapEntry {
    /// Which decision.
    pub decision_id: DecisionId,
    /// Its rule.
    pub rule: Str,
    /// In which session.
    pub session_id: SessionId,
    /// Stamp of the decision's record. Epoch ms.
    pub at_ms: i64,
    /// Counts toward the caps (served or held out).
    pub counts: bool,
    /// On which device; not known of what earlier versions decided.
    #[serde(default)]
    pub visitor_id: Option<VisitorId>,
}

/// An event forwarded to the user's home. Applied once, by its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    /// Place of the event in the visitor's partition.
    pub id: OutputId,
    /// Whose it is.
    pub user_id: UserId,
    /// The event.
    pub event: Box<Event>,
    /// The stay that it belongs to is over: whoever is at the device now is somebody else.
    #[serde(default)]
    pub left: bool,
}

impl Forward {
    /// What tells a user's home that the device is somebody else's from this event on: it names another user, and nothing else of
    /// what that one did is in it.
    pub fn parts(id: OutputId, user_id: UserId, event: &Event) -> Self {
        Self { id, user_id, event: Box::new(Event { name: EventName::Logout, ..event.bare() }), left: true }
    }

    /// Whether the device has become somebody else's.
    pub fn is_parting(&self) -> bool {
        self.event.user_id.as_ref().is_some_and(|named| *named != self.user_id)
    }
}

/// What the shopper did with something shown: derived onto `decision` from what the tracker reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// To which decision.
    pub decision_id: DecisionId,
    /// The intervention's name, empty where this partition no longer knows the decision.
    pub rule: Str,
    /// `exposure`, `painted`, `click` or `dismiss`.
    pub name: crate::EventName,
    /// On which device.
    pub visitor_id: Option<VisitorId>,
    /// In which source.
    pub source: SourceId,
    /// Event time. Epoch ms.
    pub occurred_at_ms: i64,
    /// Someone trying it on their own browser.
    pub preview: bool,
    /// Sent by a robot.
    pub bot: bool,
    /// The tracker's measurements.
    pub properties: BTreeMap<Str, crate::PropertyValue>,
    /// The event's place.
    pub cause: OutputId,
}

/// Input that was refused, with its reason. Bytes are kept so that nothing is lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reject {
    /// Which source.
    pub source: SourceId,
    /// Stable code of the reason.
    pub code: Str,
    /// The field at fault, as a path.
    pub field: Option<Str>,
    /// What is wrong, for people.
    pub message: Str,
    /// What to do.
    pub hint: Option<Str>,
    /// Whose job it is: `tracker`, `source`, `midsession`.
    pub owner: Str,
    /// Its id, when it could be read.
    pub event_id: Option<EventId>,
    /// Receive time. Epoch µs.
    pub received_at_us: i64,
    /// The original bytes of the event, cut to 64 KiB.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// There was more of it than these bytes.
    #[serde(default)]
    pub truncated: bool,
}

/// A definition or switch put in force at run time: key `kind/name`, value JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// `intervention`, …
    pub kind: Str,
    /// Its name.
    pub name: Str,
    /// Its content as JSON.
    pub body: Str,
    /// When. Epoch ms.
    pub at_ms: i64,
}
