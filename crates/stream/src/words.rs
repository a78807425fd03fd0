//! What shoppers have said on consent, as it is told to those who take events in.

use crate::shopper::Visitor;
use crate::stream::Stream;
use midsession_event::{Consent, ShopperId, UserId};

/// What is in force for the events of a device, or of a person without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// As said here.
    pub own: Consent,
    /// For whom the device is attached to: its own word and theirs together.
    pub attached: Option<(UserId, Consent)>,
    /// Of a user: their word for all of their devices.
    pub home: Consent,
    /// Somebody is signed in on the device.
    pub is_attached: bool,
    /// Of a device whose person has left: what they allow, and until when it was theirs. Epoch ms.
    pub left: Option<(Consent, i64)>,
}

impl Words {
    /// None where nobody has withdrawn anything. (What was heard for one user may bind again once they are back.)
    fn of(state: &Visitor) -> Option<Self> {
        if !state.is_restricted() {
            return None;
        }
        let attached = state.heard.as_deref().map(|heard| &heard.user);
        let open = state.open();
        let attached = attached.filter(|user| open.is_some_and(|open| open.user == **user));
        let left = state.heard.as_deref().filter(|_| attached.is_none()).map(|heard| {
            let stay = state.attachments.iter().rev().find(|stay| stay.user == heard.user);
            // Of a stay that is not known any more nobody can say which part was not theirs.
            (heard.said.consent, stay.and_then(|stay| stay.to_ms).unwrap_or(i64::MAX))
        });
        let home = state.household.as_ref().and_then(|household| household.word.as_ref());
        Some(Self {
            own: state.consent.map_or(Consent::FULL, |said| said.consent),
            attached: attached.map(|user| (user.clone(), state.word(Some(user)).unwrap_or(Consent::FULL))),
            home: home.map_or(Consent::FULL, |word| word.said.consent),
            is_attached: open.is_some(),
            left,
        })
    }

    /// For an event of the device that names this user, or none.
    pub fn allow(&self, user: Option<&UserId>) -> Consent {
        match &self.attached {
            Some((attached, consent)) if user.is_none_or(|user| user == attached) => *consent,
            _ => self.own,
        }
    }

    /// For what the device or person had done by then.
    pub fn of_past(&self, at_ms: i64) -> Consent {
        match self.left {
            Some((consent, until_ms)) if at_ms <= until_ms => self.own.and(consent),
            _ => self.allow(None).and(self.home),
        }
    }
}

impl Stream {
    /// What was said by a device or person whose events enter here; none where nothing was withdrawn.
    pub fn words(&self, shopper: &ShopperId) -> Option<Words> {
        let index = self.visitors.find(shopper)?;
        self.visitors.get(index as usize).and_then(|(_, state)| Words::of(state))
    }

    /// Everybody here who has withdrawn something.
    pub fn restricted(&self) -> impl Iterator<Item = (&ShopperId, Words)> {
        self.visitors.iter().filter_map(|(id, state)| Some((id, Words::of(state)?)))
    }
}
