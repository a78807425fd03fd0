//! What shoppers have said on consent before: an event carries no more than what is in force where it comes in.

use midsession_event::{Consent, UserId, VisitorId};

/// Knows who has withdrawn something, and what was said where a source allows less. A read of memory; what it was told comes
/// from the log.
pub trait ConsentInForce: Send + Sync {
    /// Nothing is known of anybody.
    fn is_empty(&self) -> bool;

    /// What is in force for an event of this device that names this person.
    fn of(&self, visitor: Option<&VisitorId>, user: Option<&UserId>) -> InForce;
}

/// What is in force for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// What is allowed at most.
    pub consent: Consent,
    /// What they said last, as far as that is known: an event that says nothing itself has that much at least.
    pub said: Option<Consent>,
    /// The event is news of whose the device is, of somebody who has withdrawn something on another one: the device has to be
    /// told, so who it is is kept, and nothing else.
    pub is_tie: bool,
    /// The device is attached to somebody who has withdrawn something: that they leave it has to be known, and nothing else.
    pub is_attached: bool,
    /// Likewise that somebody else is there, whom the event names: what is said there next is not for who was there before.
    pub is_other: bool,
}
