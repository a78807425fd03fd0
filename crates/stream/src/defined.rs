//! Definitions that change at a record: what is in force from there on, and since when what is written for it counts.

use crate::Defect;
use crate::apply::currency_number;
use crate::stream::Stream;
use midsession_event::{DefinitionChange, DefinitionEdit, EditKind, Event, Filled, FilledEvent, ShopperId};
use midsession_machine::{Defined, Definitions, Fact, FactKind, Invariant, PROFILES, since_of};
use std::collections::BTreeSet;

impl Stream {
    /// What the log has put in force so far.
    pub fn defined(&self) -> &Defined {
        &self.defined
    }

    /// Begins with these, where no record has changed them yet.
    pub fn define(&mut self, initial: Defined) {
        if self.defined.revision == 0 {
            self.defined = initial;
        }
    }

    /// Takes a change, once. From the next record on the definitions are those [`Definitions::of`] makes of
    /// [`Stream::defined`].
    pub(crate) fn on_definition<D: Definitions>(&mut self, change: &DefinitionChange, definitions: &D) {
        if change.revision <= self.defined.revision {
            self.counters.repeated_outputs += 1;
            return;
        }
        if self.defined.revision > 0 && change.revision > self.defined.revision + 1 {
            // Other partitions have one that this one has not.
            self.watch.saw(Invariant::Changes);
        }
        let (before, known) = (definitions.slots(&self.defined), self.defined.since.clone());
        if self.config.has(Defect::RemovedRuleStays) {
            let stays = |edit: &DefinitionEdit| edit.kind == "intervention" && edit.what == EditKind::Remove;
            let edits = change.edits.iter().filter(|edit| !stays(edit)).cloned().collect();
            self.defined.apply(&DefinitionChange { edits, ..change.clone() }, self.now_ms);
        } else {
            self.defined.apply(change, self.now_ms);
        }
        let after = definitions.slots(&self.defined);
        let since = if self.config.has(Defect::SinceForgotten) { i64::MIN } else { self.now_ms };
        self.defined.wrote(&before, &after, since);
        if change.edits.iter().any(|edit| edit.kind == PROFILES && edit.what == EditKind::Filed) {
            // What they have added up since the start, or in its replay, is for those that count the past in.
            let new = self.defined.since.iter().filter(|begun| !known.contains(begun)).map(|(slot, _)| *slot);
            self.partials.forget(&new.collect::<Vec<_>>());
        }
        for edit in change.edits.iter().filter(|edit| edit.what == EditKind::Filled) {
            if edit.kind == PROFILES {
                let slots = edit.slots();
                slots.iter().for_each(|slot| self.partials.fields.count_in(*slot));
                self.defined.filled(&slots, edit.since_ms);
                continue;
            }
            let mut slots = definitions.derived_slots(&self.defined, &edit.name, edit.version);
            let known = self.defined.feature(&edit.name);
            if known.is_some_and(|known| known.versions.iter().any(|known| known.version == edit.version)) {
                let added = edit.slots().into_iter();
                let added = added.filter(|slot| since_of(&self.defined.since, *slot).is_some());
                let added: Vec<u32> = added.collect();
                added.iter().for_each(|slot| self.partials.fields.count_in(*slot));
                slots.extend(added);
            }
            self.defined.filled(&slots, edit.since_ms);
        }
        if !self.config.has(Defect::PartialsStay) {
            // Should one come back, it must not find what was added up before the gap.
            let gone: Vec<u32> = before.into_iter().filter(|slot| !after.contains(slot)).collect();
            self.partials.forget(&gone);
        }
        self.counters.definition_changes += 1;
    }

    /// Takes facts of the past in, each where the event's own facts are: that is where it took effect.
    pub(crate) fn on_filled(&mut self, filled: Filled) {
        if !self.config.has(Defect::AsideTwice) {
            let begins: Vec<u32> = filled.begins.iter().map(|slot| *slot as u32).collect();
            self.partials.fields.forget_aside(&begins);
        }
        for series in filled.series {
            let slot = series.slot as u32;
            // What has gone meanwhile has no past.
            if since_of(&self.defined.since, slot).is_some() {
                self.partials.fields.put_aside(slot, &series.id, &series.steps, self.now_ms);
            }
        }
        for event in filled.events {
            let shopper = match (&event.user_id, &event.visitor_id) {
                (Some(user), _) => ShopperId::User(user.clone()),
                (None, Some(visitor)) => ShopperId::Visitor(visitor.clone()),
                (None, None) => continue,
            };
            if let Some(index) = self.shoppers.find(&shopper) {
                self.wake(index);
                self.fill(index, &event);
                self.count_facts(index);
            }
        }
    }

    fn fill(&mut self, index: u32, event: &FilledEvent) {
        let Self { shoppers, names, currencies, counters, config, .. } = self;
        let Some(shopper) = shoppers[index as usize].as_mut() else { return };
        let at = shopper.facts.between(event.time_ms - 1, event.time_ms);
        let is_own = |fact: &&Fact| {
            let device = shopper.device_of(fact);
            i32::from(fact.kind.0) == event.kind && device.is_none_or(|device| device == event.visitor_id.as_ref())
        };
        // One device may have two visits in one millisecond: somebody left there, or an unmerge has given one back.
        let owns: Vec<Fact> = at.iter().filter(is_own).copied().collect();
        let mark = event.mark as u16;
        // By the session, too: two devices that turn out to be one person's may have sent the same event.
        let is_there = |own: &Fact, slot: u32| {
            let key = (FactKind::DERIVED, slot, mark, own.session);
            at.iter().any(|fact| (fact.kind, fact.category, fact.quantity, fact.session) == key)
        };
        // An event that was sent on from its device by a clock ahead took effect at a later stamp than it is offered by: those
        // that are here have theirs already.
        let has_all = |own: &Fact, slot: u32| {
            let events = at.iter().filter(|fact| fact.kind.begins_event() && fact.session == own.session).count();
            let derived =
                |fact: &&Fact| (fact.kind, fact.category, fact.session) == (FactKind::DERIVED, slot, own.session);
            at.iter().filter(derived).map(|fact| fact.quantity).collect::<BTreeSet<_>>().len() >= events
        };
        let twice = config.has(Defect::FilledTwice);
        let own_of = |slot: u32| {
            let is_new = twice || !owns.iter().any(|own| is_there(own, slot));
            owns.iter().find(|own| is_new && (twice || !has_all(own, slot))).copied()
        };
        let new: Vec<_> = event.facts.iter().filter_map(|fact| Some((own_of(fact.slot as u32)?, fact))).collect();
        for (own, fact) in new {
            let is_own = |fact: &Fact| fact.kind == own.kind && fact.session == own.session;
            let derived = Fact {
                value: fact.value.unwrap_or(f64::NAN),
                product: fact.text.as_ref().map_or(0, |text| names.number(text)),
                category: fact.slot as u32,
                quantity: mark,
                kind: FactKind::DERIVED,
                currency: fact.currency.as_ref().map_or(0, |currency| currency_number(currencies, currency)),
                ..own
            };
            shopper.facts.insert_behind(is_own, derived);
        }
        counters.facts_dropped += shopper.drop_facts();
    }
}

/// What tells the derived facts of an event from those of others at the same time.
pub fn mark_of_event(event: &Event) -> u16 {
    (event.id_hash() as u16).max(1)
}
