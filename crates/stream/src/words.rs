//! What shoppers have said on consent, as it is told to those who take events in.

use crate::household::mark_of;
use crate::shopper::{Said, Visitor};
use crate::stream::Stream;
use midsession_event::{Consent, Purpose, ShopperId, UserId, VisitorId};
use midsession_machine::Effect;

/// What is in force for the events of a device, or of a person without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// As said here.
    pub own: Consent,
    /// It was said by whoever is there now.
    pub is_said: bool,
    /// For whom the device is attached to: its own word and theirs together.
    pub attached: Option<(UserId, Consent)>,
    /// Of a user: their word for all of their devices.
    pub home: Option<Consent>,
    /// Who is signed in on the device.
    pub signed_in: Option<UserId>,
    /// Of a device whose person has left: what they allow, and until when it was theirs. Epoch ms.
    pub left: Option<(Consent, i64)>,
}

impl Words {
    /// None where nobody has withdrawn anything, or with `grants` where nobody has said anything. (What was heard for one user may
    /// bind again once they are back.)
    fn of(state: &Visitor, grants: bool) -> Option<Self> {
        let is_told = state.is_restricted() || grants && state.has_words();
        if !is_told {
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
        // What somebody agreed to who was signed in is not what the next person at the device agrees to.
        let is_theirs = |said: Said| said.by == 0 || open.is_some_and(|open| mark_of(&open.user) == said.by);
        let home = state.household.as_ref().and_then(|household| household.word.as_ref());
        Some(Self {
            own: state.consent.map_or(Consent::FULL, |said| said.consent),
            is_said: state.consent.is_some_and(is_theirs),
            attached: attached.map(|user| (user.clone(), state.word(Some(user)).unwrap_or(Consent::FULL))),
            home: home.map(|word| word.said.consent),
            signed_in: open.map(|open| open.user.clone()),
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

    /// Whether this is somebody else than who is signed in on the device.
    pub fn is_another(&self, user: Option<&UserId>) -> bool {
        self.signed_in.as_ref().is_some_and(|there| user.is_some_and(|user| user != there))
    }

    /// What the user's word leaves for all of their devices.
    pub fn at_home(&self) -> Consent {
        self.home.unwrap_or(Consent::FULL)
    }

    /// What was said that holds for an event of the device that names this user, or none; for one of a person without a device,
    /// what they said themselves.
    pub fn said(&self, user: Option<&UserId>) -> Option<Consent> {
        let attached = self.attached.as_ref().filter(|(attached, _)| user.is_none_or(|user| user == attached));
        // Of somebody else nobody knows what they allow.
        let own = (self.is_said && !self.is_another(user)).then_some(self.own);
        attached.map(|(_, consent)| *consent).or(own).or(self.home)
    }

    /// For what the device or person had done by then.
    pub fn of_past(&self, at_ms: i64) -> Consent {
        match self.left {
            Some((consent, until_ms)) if at_ms <= until_ms => self.own.and(consent),
            _ => self.allow(None).and(self.at_home()),
        }
    }
}

impl Stream {
    /// Whether whom this device is taken for may be named by what was said so far; none where it is taken for nobody.
    pub(crate) fn is_named(&self, visitor: VisitorId) -> Option<(VisitorId, bool)> {
        let known = ShopperId::Visitor(visitor.clone());
        let user = self.identity(&known)?.user_id?;
        Some((visitor, self.allowed_of(&known, Some(&user)).allows(Purpose::Personalization)))
    }

    /// Tells whom a device is taken for once more, where a word says now whether that may be named.
    pub(crate) fn names_anew(&mut self, before: Option<(VisitorId, bool)>, out: &mut Vec<Effect>) {
        let Some((visitor, was_named)) = before else { return };
        if let Some((visitor, is_named)) = self.is_named(visitor)
            && is_named != was_named
        {
            out.push(self.identity_of(&visitor));
        }
    }

    /// What was said by a device or person whose events enter here; none where there is nothing to be told of it.
    pub fn words(&self, shopper: &ShopperId) -> Option<Words> {
        let index = self.visitors.find(shopper)?;
        self.visitors.get(index as usize).and_then(|(_, state)| Words::of(state, self.config.tells_grants))
    }

    /// Everybody here of whom there is.
    pub fn restricted(&self) -> impl Iterator<Item = (&ShopperId, Words)> {
        self.visitors.iter().filter_map(|(id, state)| Some((id, Words::of(state, self.config.tells_grants)?)))
    }
}
