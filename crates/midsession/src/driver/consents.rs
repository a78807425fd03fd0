//! What a partition's shoppers have withdrawn, told to those who take events in as it takes effect.

use super::owner::Owner;
use midsession_event::{Event, EventName, Identity, Purpose, Record, SessionUpdate, ShopperId};
use midsession_machine::Definitions;
use midsession_stream::Stream;
use std::collections::HashSet;

/// Below this many nobody looks for those that the machine has forgotten.
const FEW: usize = 1_024;

/// Of whom the outside was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    whose: HashSet<ShopperId>,
    /// When there are as many, the machine may have forgotten some.
    until: usize,
}

/// By whom an event is filed where it enters.
fn key_of(event: &Event) -> Option<ShopperId> {
    let visitor = event.visitor_id.clone().map(ShopperId::Visitor);
    visitor.or_else(|| event.user_id.clone().map(ShopperId::User))
}

impl Told {
    /// Whose words this record may change: a word on consent, what leads to one, and whatever comes of somebody who has
    /// said something (a login binds them to another's).
    pub(super) fn concerns(&self, record: &Record) -> Option<ShopperId> {
        match record {
            Record::Event(event) if event.name == EventName::Consent => key_of(event),
            Record::Event(event) if !self.whose.is_empty() => key_of(event).filter(|who| self.whose.contains(who)),
            Record::Forward(forward) if forward.event.name == EventName::Consent => {
                Some(ShopperId::User(forward.user_id.clone()))
            }
            Record::Told(told) => Some(ShopperId::Visitor(told.visitor_id.clone())),
            Record::Unmerge(unmerge) => Some(ShopperId::Visitor(unmerge.visitor_id.clone())),
            Record::Recall(recall) => Some(ShopperId::User(recall.user_id.clone())),
            _ => None,
        }
    }

    /// Those whom the machine has forgotten since.
    fn forgotten(&mut self, stream: &Stream) -> Vec<ShopperId> {
        if self.whose.len() <= self.until.max(FEW) {
            return Vec::new();
        }
        let gone = self.whose.extract_if(|who| stream.words(who).is_none()).collect();
        self.until = 2 * self.whose.len();
        gone
    }
}

impl<D: Definitions> Owner<D> {
    /// Says what this shopper allows now.
    pub(super) fn tell_words(&mut self, index: usize, who: ShopperId) {
        let slot = &mut self.slots[index];
        let words = slot.stream.words(&who);
        let is_restricted = words.is_some();
        if is_restricted || slot.told.whose.contains(&who) {
            self.around.sink.words(&who, words);
        }
        if !is_restricted {
            slot.told.whose.remove(&who);
        } else if slot.told.whose.insert(who) {
            for who in slot.told.forgotten(&slot.stream) {
                self.around.sink.words(&who, None);
            }
        }
    }

    /// Says what everybody here allows, by the state that was taken up.
    pub(super) fn tell_all_words(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        for (who, words) in slot.stream.restricted() {
            slot.told.whose.insert(who.clone());
            self.around.sink.words(who, Some(words));
        }
        slot.told.until = 2 * slot.told.whose.len();
    }

    /// What is told of a visit says no more than its shopper allows by now.
    pub(super) fn keep_to_words(&self, index: usize, update: &mut SessionUpdate) {
        if self.slots[index].told.whose.is_empty() {
            return;
        }
        let user = update.user_id.clone().map(ShopperId::User);
        if let Some(shopper) = user.or_else(|| update.visitor_id.clone().map(ShopperId::Visitor)) {
            update.keep_to(self.slots[index].stream.allowed_of(&shopper, None));
        }
    }

    /// Nor is anybody named on a device of theirs.
    pub(super) fn name_as_allowed(&self, index: usize, identity: &mut Identity) {
        let visitor = ShopperId::Visitor(identity.visitor_id.clone());
        let allowed = self.slots[index].stream.allowed_of(&visitor, identity.user_id.as_ref());
        if !allowed.allows(Purpose::Personalization) {
            (identity.user_id, identity.attached_since_ms) = (None, None);
        }
    }
}
