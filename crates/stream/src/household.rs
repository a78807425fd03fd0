//! A user's devices and their last word on consent, kept at the user's home; and what a device was told of it.
//!
//! What a user says on one device, or has the shop's server say, holds on all of them: at home at once, and in the partition
//! of each attached visitor from the record on that tells it there. Whoever attaches later is told then.

use crate::Defect;
use crate::apply::close;
use crate::shopper::{Attachment, Said, Visitor};
use crate::stream::Stream;
use midsession_event::{
    Consent, Event, EventId, EventName, Evidence, OutputId, PropertyValue, Purpose, ShopperId, SourceId, Str, Told,
    UserId, VisitorId, hash64,
};
use midsession_machine::{Effect, FactKind};
use serde::{Deserialize, Serialize};

/// Devices of one user; over it the one that was heard least lately is no longer told. What it goes on to send is refused at the
/// user's home all the same, and tells it.
const DEVICES_MAX: usize = 1_024;

/// What a user's home keeps for all of their devices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Household {
    /// Attached visitors, in the order in which they came.
    pub devices: Vec<Device>,
    /// The user's last word, from whichever device.
    pub word: Option<Word>,
}

/// An attached visitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub visitor: VisitorId,
    /// Stamp of the last record from there. Epoch ms.
    pub stamp_ms: i64,
}

/// A word with where it came from, to be told on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// What was said, and when.
    pub said: Said,
    /// On which device.
    pub said_by: Option<VisitorId>,
    /// Through which source.
    pub source: SourceId,
    /// In which event.
    pub event_id: EventId,
    /// Under which policy.
    pub policy_version: Option<Str>,
    /// What the user's word from elsewhere allowed before: should that device turn out to be somebody else's, it allows
    /// no more than this.
    #[serde(default = "everything")]
    pub floor: Consent,
}

fn everything() -> Consent {
    Consent::FULL
}

/// What a visitor was told that their user allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Who.
    pub user: UserId,
    /// What.
    pub said: Said,
}

impl Household {
    /// Nothing that would be missed.
    pub(crate) fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.word.is_none()
    }

    /// Whether this device is a new one.
    fn hear(&mut self, visitor: &VisitorId, now_ms: i64, dropped: &mut u64) -> bool {
        if let Some(known) = self.devices.iter_mut().find(|device| device.visitor == *visitor) {
            known.stamp_ms = now_ms;
            return false;
        }
        if self.devices.len() >= DEVICES_MAX {
            let least = (0..self.devices.len()).min_by_key(|at| self.devices[*at].stamp_ms);
            least.map(|at| self.devices.remove(at));
            *dropped += 1;
        }
        self.devices.push(Device { visitor: visitor.clone(), stamp_ms: now_ms });
        true
    }
}

impl Visitor {
    /// Bytes held beside its slot, by the sizes of their containers.
    pub(crate) fn heap_bytes(&self) -> usize {
        let household = self
            .household
            .as_ref()
            .map_or(0, |household| size_of::<Household>() + household.devices.capacity() * size_of::<Device>());
        self.seen.heap_bytes() + household + self.heard.as_ref().map_or(0, |_| size_of::<Heard>())
    }

    /// Who is signed in.
    pub(crate) fn open(&self) -> Option<&Attachment> {
        self.attachments.last().filter(|attachment| attachment.to_ms.is_none())
    }

    /// What holds for an event of theirs that names this user, if any: the device's own word, and the word of the user it
    /// is attached to.
    pub(crate) fn word(&self, user: Option<&UserId>) -> Option<Consent> {
        let open = self.open();
        let heard = self.heard.as_deref().filter(|heard| {
            open.is_some_and(|open| open.user == heard.user) && user.is_none_or(|user| *user == heard.user)
        });
        self.both(heard)
    }

    /// What the device's own word and this one that it was told leave: of two words of the same person the later one holds, else
    /// what both allow.
    fn both(&self, heard: Option<&Heard>) -> Option<Consent> {
        match (&self.consent, heard) {
            (own, None) => own.map(|said| said.consent),
            (None, Some(heard)) => Some(heard.said.consent),
            (Some(own), Some(heard)) if own.by == mark_of(&heard.user) => {
                Some(if own.time_ms > heard.said.time_ms { own.consent } else { heard.said.consent })
            }
            (Some(own), Some(heard)) => Some(own.consent.and(heard.said.consent)),
        }
    }

    /// Something is said on consent on this device; false where a later word has overtaken it: that one goes on to hold.
    pub(crate) fn says(&mut self, event: &mut Event) -> bool {
        if let Some(later) = self.consent.filter(|said| said.time_ms > event.occurred_at_ms) {
            event.consent = later.consent;
            return false;
        }
        let consent = event.consent.over(self.word(event.user_id.as_ref()));
        self.consent = Some(Said { consent, time_ms: event.occurred_at_ms, by: 0 });
        // At the user's home something else may have been said before.
        event.consent = consent.leaving(event.consent.left());
        true
    }

    /// Whether there is a word on consent, of theirs or told.
    pub(crate) fn has_words(&self) -> bool {
        let at_home = self.household.as_ref().is_some_and(|household| household.word.is_some());
        self.consent.is_some() || self.heard.is_some() || at_home
    }

    /// Whether a word restricts what may be made of them.
    pub(crate) fn is_restricted(&self) -> bool {
        let household = self.household.as_ref().and_then(|household| household.word.as_ref());
        let words = [self.consent, self.heard.as_ref().map(|heard| heard.said), household.map(|word| word.said)];
        words.iter().flatten().any(|said| said.consent != Consent::FULL)
    }
}

/// A user in a [`Said`].
pub(crate) fn mark_of(user: &UserId) -> i64 {
    // As bits: a snapshot has no unsigned numbers.
    hash64(&[user.as_str()]).cast_signed()
}

/// The policy that a shopper saw, as the event names it.
fn policy_of(event: &Event) -> Option<Str> {
    match event.properties.get("policy_version") {
        Some(PropertyValue::Text(version)) => Some(version.clone()),
        _ => None,
    }
}

impl Stream {
    /// Whether features of a shopper may be read: not once they have withdrawn that.
    pub fn may_read(&self, shopper: &ShopperId) -> bool {
        self.allowed_of(shopper, None).allows(Purpose::Personalization)
    }

    /// What may be made of a shopper by all words that are known of them here, on a device by those of this user too.
    pub fn allowed_of(&self, shopper: &ShopperId, user: Option<&UserId>) -> Consent {
        let known = self.visitors.find(shopper).and_then(|index| self.visitors.get(index as usize));
        let Some((_, state)) = known else { return Consent::FULL };
        // A device was told what its person says, who may have left it by now.
        let heard = state.heard.as_deref().filter(|heard| user == Some(&heard.user));
        let at_home = state.household.as_ref().and_then(|household| household.word.as_ref());
        let words = [state.both(heard), at_home.map(|word| word.said.consent)];
        words.into_iter().flatten().fold(Consent::FULL, Consent::and)
    }

    fn household_of(&self, user: &ShopperId) -> Option<&Household> {
        let (_, state) = self.visitors.get(self.visitors.find(user)? as usize)?;
        state.household.as_deref()
    }

    /// The visitors attached to a user at home here.
    pub fn devices_of(&self, user: &UserId) -> Vec<VisitorId> {
        let household = self.household_of(&ShopperId::User(user.clone()));
        household.into_iter().flat_map(|household| &household.devices).map(|device| device.visitor.clone()).collect()
    }

    /// The user at home here who is at this device. Looks at everybody.
    pub fn user_at(&self, visitor: &VisitorId) -> Option<&UserId> {
        let is_at = |state: &Visitor| {
            let devices = state.household.iter().flat_map(|household| &household.devices);
            devices.map(|device| &device.visitor).any(|device| device == visitor)
        };
        self.visitors.iter().find_map(|(id, state)| match id {
            ShopperId::User(user) if is_at(state) => Some(user),
            _ => None,
        })
    }

    /// Whether a visit's shopper is at its device: not where they have left it since, for whoever is next to see. Without a device it
    /// is the shop's server that speaks.
    pub(crate) fn is_at(&self, shopper: &ShopperId, visitor: Option<&VisitorId>) -> bool {
        let (ShopperId::User(_), Some(visitor)) = (shopper, visitor) else { return true };
        self.household_of(shopper)
            .is_some_and(|household| household.devices.iter().any(|device| device.visitor == *visitor))
    }

    /// An event has come home, to this slot of the user's: the user's word holds for it, and one on consent for all of their devices. Whether nothing
    /// may be made of it. `left`: they have left the device since, so it does not become one of theirs again.
    pub(crate) fn comes_home(
        &mut self,
        home: u32,
        user: &UserId,
        event: &mut Event,
        left: bool,
        out: &mut Vec<Effect>,
    ) -> bool {
        if event.name == EventName::Logout {
            if let Some(visitor) = &event.visitor_id {
                self.household(home).devices.retain(|device| device.visitor != *visitor);
            }
        } else if let Some(visitor) = event.visitor_id.as_ref().filter(|_| !left) {
            self.joins(home, user, visitor, out);
        }
        if event.name == EventName::Consent {
            self.says(home, user, event, out);
            return false;
        }
        if let Some(said) = self.household(home).word.as_ref().map(|word| word.said) {
            event.consent = event.consent.and(said.consent);
        }
        let is_refused = event.consent.is_refusal() && !self.config.has(Defect::ConsentLate);
        if is_refused && event.name == EventName::Logout {
            // Nothing is made of it, and their visit is over all the same: whoever is next finds none.
            self.parts(user, event.visitor_id.as_ref(), event.occurred_at_ms.min(self.now_ms), out);
        }
        is_refused
    }

    /// A device comes to a user, or is heard again. A new one is told what the user allows.
    pub(crate) fn joins(&mut self, home: u32, user: &UserId, visitor: &VisitorId, out: &mut Vec<Effect>) {
        let now_ms = self.now_ms;
        let mut dropped = 0;
        let household = self.household(home);
        let is_new = household.hear(visitor, now_ms, &mut dropped);
        let word = household.word.clone().filter(|_| is_new);
        self.counters.devices_dropped += dropped;
        if let Some(word) = word {
            self.tell(user, visitor.clone(), &word, out);
        }
    }

    /// Somebody else has signed in on a device: the user's stay there is over, and what was shown in it is taken back. `left_ms`: its last
    /// instant.
    pub(crate) fn parts(&mut self, user: &UserId, visitor: Option<&VisitorId>, left_ms: i64, out: &mut Vec<Effect>) {
        if let Some(visitor) = visitor {
            self.partials.lifetimes.leaves(&ShopperId::User(user.clone()), visitor, left_ms);
        }
        if let Some(household) = self.known_household(user) {
            household.devices.retain(|device| Some(&device.visitor) != visitor);
        }
        let Some(index) = self.shoppers.find(&ShopperId::User(user.clone())) else { return };
        self.end_visits(index, visitor, i64::MAX, out);
    }

    /// Whoever was at this device has left it at this time: their visits there are over.
    pub(crate) fn end_visits(&mut self, index: u32, visitor: Option<&VisitorId>, at_ms: i64, out: &mut Vec<Effect>) {
        self.keep_shopper(index);
        let Self { shoppers, currencies, counters, now_ms, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return };
        let mut over = Vec::new();
        for session in shopper
            .sessions
            .iter_mut()
            .filter(|s| s.is_live() && s.visitor.as_ref() == visitor && s.started_at_ms <= at_ms)
        {
            // Nothing of theirs joins it any more, as after a logout.
            session.last_kind = FactKind::of(&EventName::Logout);
            over.push(session.id);
            close(session, counters, currencies, *now_ms, out);
        }
        shopper.take_back(out, |shown, _| !over.contains(&shown.session_id));
        self.arm(index);
    }

    /// A device turns out to be somebody else's; what was said there brings back nothing that the user had withdrawn.
    pub(crate) fn disowns(&mut self, user: &UserId, visitor: &VisitorId, out: &mut Vec<Effect>) {
        let Some(household) = self.known_household(user) else { return };
        household.devices.retain(|device| device.visitor != *visitor);
        let Some(word) = household.word.as_mut().filter(|word| word.said_by.as_ref() == Some(visitor)) else { return };
        let left = word.said.consent.and(word.floor);
        if left == word.said.consent {
            return;
        }
        word.said.consent = left;
        let (word, devices) = (word.clone(), household.devices.clone());
        for device in devices {
            self.tell(user, device.visitor, &word, out);
        }
        self.narrow(user, left, out);
    }

    /// What the user's word leaves of what moves in with a device.
    pub(crate) fn narrow_home(&mut self, user: &UserId, out: &mut Vec<Effect>) {
        let home = self.visitor_index(&ShopperId::User(user.clone()));
        if let Some(said) = self.household(home).word.as_ref().map(|word| word.said) {
            self.narrow(user, said.consent, out);
        }
    }

    /// The user says what is allowed.
    fn says(&mut self, home: u32, user: &UserId, event: &mut Event, out: &mut Vec<Effect>) {
        let household = self.household(home);
        let before = household.word.as_ref().map(|word| word.said);
        if let Some(said) = before.filter(|said| said.time_ms > event.occurred_at_ms) {
            // A later word has overtaken it: that one goes on to hold.
            event.consent = said.consent;
            return;
        }
        event.consent = event.consent.over(before.map(|said| said.consent));
        let said = Said { consent: event.consent, time_ms: event.occurred_at_ms, by: mark_of(user) };
        let word = Word {
            said,
            said_by: event.visitor_id.clone(),
            source: event.source.clone(),
            event_id: event.event_id.clone(),
            policy_version: policy_of(event),
            floor: match &household.word {
                Some(before) if before.said_by == event.visitor_id => before.floor,
                Some(before) => before.said.consent,
                None => Consent::FULL,
            },
        };
        household.word = Some(word.clone());
        if self.config.has(Defect::ConsentNotFanned) {
            return;
        }
        let devices: Vec<VisitorId> =
            self.household(home).devices.iter().map(|device| device.visitor.clone()).collect();
        for visitor in devices.into_iter().filter(|visitor| Some(visitor) != event.visitor_id.as_ref()) {
            self.tell(user, visitor, &word, out);
        }
        self.narrow(user, said.consent, out);
    }

    fn tell(&mut self, user: &UserId, visitor_id: VisitorId, word: &Word, out: &mut Vec<Effect>) {
        if self.config.has(Defect::ConsentNotFanned) {
            return;
        }
        let id = self.output_id();
        out.push(Effect::Tell(Box::new(Told {
            id,
            visitor_id,
            user_id: user.clone(),
            consent: word.said.consent,
            said_at_ms: word.said.time_ms,
            said_by: word.said_by.clone(),
            source: word.source.clone(),
            event_id: word.event_id.clone(),
            policy_version: word.policy_version.clone(),
        })));
    }

    /// Takes from the user's sessions what is no longer allowed, and takes back what was shown in them.
    fn narrow(&mut self, user: &UserId, consent: Consent, out: &mut Vec<Effect>) {
        let Some(index) = self.shoppers.find(&ShopperId::User(user.clone())) else { return };
        self.keep_shopper(index);
        let Some(shopper) = self.shoppers[index as usize].as_mut() else { return };
        for session in &mut shopper.sessions {
            session.consent = session.consent.and(consent);
        }
        // Of a visit that is long over only what was shown may be left.
        shopper.take_back(out, |_, session| {
            session.map_or(consent, |session| session.consent).allows(Purpose::Personalization)
        });
    }

    /// A visitor's partition is told what their user allows. Who is somebody else by now is not concerned.
    pub(crate) fn on_told(&mut self, told: Told, out: &mut Vec<Effect>) {
        let Some(index) = self.visitors.find(&ShopperId::Visitor(told.visitor_id.clone())) else { return };
        self.keep_visitor(index);
        let Some((_, state)) = self.visitors[index as usize].as_mut() else { return };
        let open = state.open();
        let before = state.heard.as_deref().filter(|heard| heard.user == told.user_id).map(|heard| heard.said);
        let is_theirs = open.is_some_and(|open| open.user == told.user_id);
        if !is_theirs || before.is_some_and(|said| said.time_ms > told.said_at_ms) {
            return;
        }
        let said = Said { consent: told.consent, time_ms: told.said_at_ms, by: mark_of(&told.user_id) };
        state.heard = Some(Box::new(Heard { user: told.user_id.clone(), said }));
        let mut evidence = self.evidence("consent_applied", told.consent);
        evidence.visitor_id = Some(told.visitor_id);
        evidence.user_id = Some(told.user_id);
        evidence.said_by = told.said_by;
        evidence.source = Some(told.source);
        evidence.event_id = Some(told.event_id);
        evidence.said_at_ms = told.said_at_ms;
        evidence.policy_version = told.policy_version;
        out.push(Effect::Evidence(Box::new(evidence)));
    }

    /// Evidence of what a shopper said at this slot of theirs, with what it leaves of what was said there before.
    pub(crate) fn evidence_of(&self, visitor: u32, event: &Event) -> Effect {
        let before = self.visitors[visitor as usize].as_ref().and_then(|(_, state)| state.word(event.user_id.as_ref()));
        let mut evidence = self.evidence("consent", event.consent.over(before));
        evidence.visitor_id.clone_from(&event.visitor_id);
        evidence.user_id.clone_from(&event.user_id);
        evidence.said_by.clone_from(&event.visitor_id);
        evidence.source = Some(event.source.clone());
        evidence.event_id = Some(event.event_id.clone());
        evidence.said_at_ms = event.occurred_at_ms;
        evidence.policy_version = policy_of(event);
        Effect::Evidence(Box::new(evidence))
    }

    fn evidence(&self, kind: &str, consent: Consent) -> Evidence {
        let cause = OutputId { partition: self.partition, offset: self.offset, ordinal: 0 };
        Evidence { purposes: consent.purposes(), cause: Some(cause), ..Evidence::new(kind, self.now_ms) }
    }

    /// What is kept at this slot of a user's for all of their devices.
    fn household(&mut self, home: u32) -> &mut Household {
        let now_ms = self.now_ms;
        // Invariant: the caller got the slot from `visitor_index`, nothing has removed its user since.
        let (_, state) = self.visitors[home as usize].get_or_insert_with(|| unreachable!("it is there"));
        state.last_stamp_ms = now_ms;
        state.household.get_or_insert_default()
    }

    /// The same, of a user who has one.
    fn known_household(&mut self, user: &UserId) -> Option<&mut Household> {
        let home = self.visitors.find(&ShopperId::User(user.clone()))?;
        self.keep_visitor(home);
        self.visitors[home as usize].as_mut()?.1.household.as_deref_mut()
    }
}
