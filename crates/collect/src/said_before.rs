//! What was said on consent before an event: as it is in force, and earlier in the same request.

use crate::InForce;
use midsession_event::{Consent, Event, EventName, Purpose, UserId, VisitorId};

/// What holds for an event.
pub(crate) struct Before {
    /// A word of the same request counts as if it were in force.
    pub in_force: InForce,
    /// They have withdrawn, and nobody is to be freed of the device by what the event tells.
    pub is_kept_out: bool,
}

impl Before {
    /// Of nobody anything is known.
    pub const NOTHING: Self = Self {
        in_force: InForce { consent: Consent::FULL, said: None, is_tie: false, is_attached: false, is_other: false },
        is_kept_out: false,
    };

    /// What is in force, and what was said among these events, for one of this device and person.
    pub fn of(
        in_force: Option<InForce>,
        events: &[Event],
        (visitor, user): (Option<&VisitorId>, Option<&UserId>),
        is_login: bool,
    ) -> Self {
        let in_force = in_force.unwrap_or(Self::NOTHING.in_force);
        // A login of somebody who has withdrawn says nothing new of the device that they are signed in on.
        let is_kept_out = !in_force.consent.allows(Purpose::Personalization) && (is_login || !in_force.is_attached);
        Self { in_force, is_kept_out }.after(events, visitor, user, is_login)
    }

    /// The same after what was said among these events. What was refused holds for the device and for the person alike, what was
    /// granted for whoever granted it, where they did.
    fn after(self, events: &[Event], visitor: Option<&VisitorId>, user: Option<&UserId>, is_login: bool) -> Self {
        let Self { mut in_force, mut is_kept_out } = self;
        let last = |is_theirs: &dyn Fn(&Event) -> bool| {
            events.iter().rposition(|it| it.name == EventName::Consent && is_theirs(it))
        };
        let on_device = visitor.and_then(|_| last(&|it| it.visitor_id.as_ref() == visitor));
        let mut of_person = user.and_then(|_| last(&|it| it.user_id.as_ref() == user));
        let word_at = |at: usize| events[at].consent.and(Consent::FULL);
        if let Some(elsewhere) = of_person.filter(|at| is_login && visitor.is_some() && Some(*at) != on_device)
            && !word_at(elsewhere).allows(Purpose::Personalization)
        {
            // Who refused elsewhere signs in: that is what leads to the device being told.
            (in_force.is_tie, of_person) = (true, None);
        }
        let words = [on_device, of_person].into_iter().flatten();
        let limit = words.fold(Consent::FULL, |limit, at| limit.and(word_at(at)));
        let said_at = match visitor {
            Some(_) => on_device,
            None => of_person.filter(|at| events[*at].visitor_id.is_none()),
        };
        let names_as = |at: &usize| {
            let named = events[*at].user_id.as_ref();
            user.is_none() || named == user || named.is_none() && !in_force.is_other
        };
        let Some(at) = said_at.filter(names_as) else {
            return Self { in_force: InForce { consent: in_force.consent.and(limit), ..in_force }, is_kept_out };
        };
        let word = &events[at];
        let is_of_user = user.is_some() && word.user_id.as_ref() == user;
        in_force.consent = limit;
        in_force.is_tie &= !(is_of_user && limit.allows(Purpose::Personalization));
        is_kept_out = is_kept_out && !limit.allows(Purpose::Personalization) || is_login && is_of_user;
        // What somebody agreed to is not what the next person at the device agrees to.
        let is_another = |it: &Event| word.user_id.is_some() && it.user_id.is_some() && it.user_id != word.user_id;
        let ends_stay = |it: &Event| it.name == EventName::Logout || is_another(it);
        if !events[at..].iter().any(|it| visitor.is_some() && it.visitor_id.as_ref() == visitor && ends_stay(it)) {
            in_force.said = Some(word_at(at));
        }
        Self { in_force, is_kept_out }
    }
}
