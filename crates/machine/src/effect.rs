//! What the machine asks for. It never does anything itself: the driver does, once the input is durable.

use crate::partial::Heard;
use crate::{Defined, Partials, View};
use midsession_event::{
    Decision, DecisionId, Event, Evidence, Forward, Handoff, Identity, OutputId, PropertyValue, Reaction, Recall,
    SessionId, SessionUpdate, ShopperId, Str, Told, VisitorId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something to be done, in the order asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append to `session`.
    Session(Box<SessionUpdate>),
    /// Ask `decide`; its answer is appended to this partition.
    Candidate(Box<Candidate>),
    /// A decision took effect: append to `decision`; if served, push it.
    Decided(Box<Decision>),
    /// Take back what was pushed and is not painted yet.
    Retract {
        /// Which.
        decision_id: DecisionId,
        /// From which device.
        visitor_id: Option<VisitorId>,
    },
    /// A shopper reacted: append to `decision`.
    Reaction(Box<Reaction>),
    /// A rule's condition came true, but a cap left no room: to be counted.
    Capped {
        /// The intervention's name.
        rule: Str,
    },
    /// Append to the user's home partition; one that returns, to the visitor's.
    Handoff(Box<Handoff>),
    /// Append to the user's home partition.
    Forward(Box<Forward>),
    /// Append to the visitor's partition.
    Tell(Box<Told>),
    /// Append to the user's home partition.
    Recall(Box<Recall>),
    /// Append to `identity`.
    Identity(Box<Identity>),
    /// Append to `governance`.
    Evidence(Box<Evidence>),
}

/// A rule's condition came true for a shopper: `decide` is asked. It stays pending until its decision is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The decision it will be.
    pub decision_id: DecisionId,
    /// The intervention's name.
    pub rule: Str,
    /// Whom it concerns.
    pub shopper: ShopperId,
    /// On which device.
    pub visitor_id: Option<VisitorId>,
    /// In which session.
    pub session_id: SessionId,
    /// At which version of the cart.
    pub cart_version: u64,
    /// Features and session values by value.
    pub inputs: BTreeMap<Str, PropertyValue>,
    /// The record that caused it.
    pub cause: OutputId,
    /// The event that caused it; none for silence.
    pub cause_event: Option<Str>,
    /// The machine's `now`: for silence, the deadline. Epoch ms.
    pub asked_at_ms: i64,
    /// Personalization is allowed.
    pub consented: bool,
    /// Robots are decided on but left out of rates and never shown anything.
    pub bot: bool,
}

/// A rule that fires: its name and the values it looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The intervention's name.
    pub rule: Str,
    /// What it looked at.
    pub inputs: BTreeMap<Str, PropertyValue>,
    /// A cap leaves no room: it is counted, nobody is asked.
    pub capped: bool,
}

/// A fact for a definition that reads more than a fact's columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The definition's slot.
    pub slot: u32,
    /// Number folded, if any.
    pub value: Option<f64>,
    /// Text folded, if any.
    pub text: Option<Str>,
    /// What the number is an amount of.
    pub currency: Option<Str>,
}

/// What the configuration adds to the machine: derived facts and rules. Pure functions of what they are given. What is left out is
/// none: no facts, no silences, no rules, and no room for a decision.
pub trait Definitions {
    /// Facts of definitions that read fields beyond a fact's columns.
    fn derive(&self, _event: &Event, _out: &mut Vec<Derived>) {}

    /// What is in force before any record has changed it.
    fn initial(&self) -> Defined {
        Defined::default()
    }

    /// These, with what a log has put in force; none where that is what they are.
    fn of(&self, _defined: &Defined) -> Option<Arc<Self>> {
        None
    }

    /// Under which slots something is written for what is in force.
    fn slots(&self, _defined: &Defined) -> Vec<u32> {
        Vec::new()
    }

    /// Under which slots facts are derived for one version of what is in force.
    fn derived_slots(&self, _defined: &Defined, _name: &str, _version: i64) -> Vec<u32> {
        Vec::new()
    }

    /// Adds an event of a shopper at home to the partials of definitions by a field and over a lifetime.
    fn accumulate(&self, _event: &Event, _shopper: &ShopperId, _heard: Heard, _now_ms: i64, _partials: &mut Partials) {}

    /// The longest time that a cap looks back. ms.
    fn caps_look_back_ms(&self) -> i64 {
        0
    }

    /// The silences that some rule waits for, ascending. ms.
    fn idle_thresholds_ms(&self) -> &[i64] {
        &[]
    }

    /// Rules triggered by an event, after it took effect; those that a cap holds back too, marked so.
    fn on_event(&self, _view: &View<'_>, _event: &Event, _ask: &mut dyn FnMut(Ask)) {}

    /// Rules triggered by this much silence.
    fn on_idle(&self, _view: &View<'_>, _idle_ms: i64, _ask: &mut dyn FnMut(Ask)) {}

    /// Whether the caps leave room for one more of this rule in this session. `view.caps` holds what was decided.
    fn allows(&self, _view: &View<'_>, _rule: &str, _session: SessionId) -> bool {
        false
    }

    /// The version of this rule that is in force; `None` without such a rule.
    fn version(&self, _rule: &str) -> Option<&str> {
        None
    }

    /// Whether what this rule showed is still true; if not it is taken back.
    fn still_holds(&self, _view: &View<'_>, _rule: &str) -> bool {
        true
    }
}
