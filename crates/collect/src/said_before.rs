//! What was said on consent before an event: as it is in force, and earlier in the same request.

use crate::InForce;
use crate::finish::Finisher;
use midsession_event::{Consent, Event, EventName, Purpose, Str, UserId, VisitorId};

/// What holds for an event.
pub(crate) struct Before {
    /// What was granted in the same request is said, too.
    pub in_force: InForce,
    /// They have withdrawn, and nobody is to be freed of the device by what the event tells.
    pub is_kept_out: bool,
}

impl Finisher<'_> {
    /// What was said before by whom the event is of, by the ids that it will carry.
    pub fn before(&self, events: &[Event], event: &Event) -> Before {
        let nothing =
            InForce { consent: Consent::FULL, said: None, is_tie: false, is_attached: false, is_other: false };
        let known = self.in_force.filter(|known| !known.is_empty());
        let words = self.first_word.get().and_then(|first| events.get(*first..)).unwrap_or_default();
        if known.is_none() && words.is_empty() {
            return Before { in_force: nothing, is_kept_out: false };
        }
        let (visitor, user) = self.as_kept(event);
        let mut in_force = known.map_or(nothing, |known| known.of(visitor.as_ref(), user.as_ref()));
        let is_login = event.name == EventName::Login;
        // A login of somebody who has withdrawn says nothing new of the device that they are signed in on.
        let is_kept_out = !in_force.consent.allows(Purpose::Personalization) && (is_login || !in_force.is_attached);
        let is_theirs = |said: &&Event| match &visitor {
            Some(visitor) => said.visitor_id.as_ref() == Some(visitor),
            None => said.visitor_id.is_none() && said.user_id == user,
        };
        let words = words.iter().rev().filter(|it| it.name == EventName::Consent);
        if let Some(word) = words.filter(is_theirs).map(|said| said.consent).next()
            && self.prepared.source.consent_default.purposes() != Consent::FULL
        {
            in_force.said = Some(word);
        }
        Before { in_force, is_kept_out }
    }

    fn as_kept(&self, event: &Event) -> (Option<VisitorId>, Option<UserId>) {
        let as_kept = |id: &Str| self.prepared.hash_of(id).unwrap_or_else(|| id.clone());
        let visitor = event.visitor_id.as_ref().map(|id| VisitorId(as_kept(&id.0)));
        (visitor, event.user_id.as_ref().map(|id| UserId(as_kept(&id.0))))
    }
}
