//! Touching what a few records will need, so that waiting for memory overlaps.
//!
//! A partition's state is far larger than the processor's cache, and an event needs a dozen places of it, one after the
//! other. Looked up for many records at a time, in rounds that do not wait for each other, those places come side by side.

use crate::stream::Stream;
use midsession_event::{Record, ShopperId};
use smallvec::SmallVec;
use std::hint::black_box;

/// Records that are looked up together.
pub const WARM: usize = 32;

impl Stream {
    /// Reads what these records will need, and changes nothing.
    pub fn warm<'r>(&self, records: impl Iterator<Item = &'r Record>) {
        let mut visitors: SmallVec<[u32; WARM]> = SmallVec::new();
        let mut shoppers: SmallVec<[u32; WARM]> = SmallVec::new();
        for record in records {
            let (key, is_home) = match record {
                Record::Event(event) => match (&event.visitor_id, &event.user_id) {
                    (Some(visitor), user) => (ShopperId::Visitor(visitor.clone()), user.is_none()),
                    (None, Some(user)) => (ShopperId::User(user.clone()), true),
                    (None, None) => continue,
                },
                Record::Forward(forward) => (ShopperId::User(forward.user_id.clone()), true),
                Record::Tick(_) | Record::Decision(_) | Record::Handoff(_) | Record::Told(_) => continue,
                Record::Unmerge(_) | Record::Recall(_) | Record::Definition(_) | Record::Filled(_) => continue,
            };
            visitors.extend(self.visitors.find(&key));
            if is_home {
                shoppers.extend(self.shoppers.find(&key));
            }
        }
        let mut sum = self.touch_swept();
        for index in &visitors {
            if let Some((_, visitor)) = self.visitors.get(*index as usize) {
                sum ^= visitor.last_stamp_ms ^ visitor.seen.touch();
            }
        }
        for index in &shoppers {
            if let Some(shopper) = self.shoppers.get(*index as usize) {
                sum ^= shopper.last_stamp_ms ^ shopper.facts.all().last().map_or(0, |fact| fact.time_ms);
            }
        }
        for index in &shoppers {
            if let Some(shopper) = self.shoppers.get(*index as usize) {
                for session in &shopper.sessions {
                    sum ^= session.version ^ session.ended_at_ms ^ session.emitted_at_ms ^ session.cart_until_ms;
                }
            }
        }
        black_box(sum);
    }
}
