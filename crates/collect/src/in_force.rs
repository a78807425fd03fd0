//! What shoppers have said on consent before: an event carries no more than what is in force where it comes in.

use midsession_event::{Consent, UserId, VisitorId};

/// Knows who has withdrawn something. A read of memory; what it was told comes from the log.
pub trait ConsentInForce: Send + Sync {
    /// Nobody has withdrawn anything.
    fn is_empty(&self) -> bool;

    /// What is in force for an event of this device that names this person.
    fn of(&self, visitor: Option<&VisitorId>, user: Option<&UserId>) -> InForce;
}

/// What is in force for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// What is allowed at most.
    pub consent: Consent,
    /// The event is news of whose the device is, of somebody who has withdrawn something on another one: the device has to be
    /// told, so who it is is kept, and nothing else.
    pub is_tie: bool,
    /// The device is attached to somebody who has withdrawn something: that they leave it has to be known, and nothing else.
    pub is_attached: bool,
}
