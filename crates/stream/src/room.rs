//! Room for one more: over the most shoppers or visitors, the one that is missed least makes it.

use crate::apply::close;
use crate::shopper::{Shopper, Visitor};
use crate::slots::Slots;
use crate::stream::Stream;
use midsession_event::ShopperId;
use midsession_machine::Effect;
use serde::{Deserialize, Serialize};

/// So many are looked at for the one to go: enough to find a visit of one event if there are any to speak of.
const LOOKED_AT: usize = 16;
/// So many where none of those may well go: a cart goes only where hardly anybody else is there.
const LOOKED_AT_MOST: usize = 256;
/// Up to this worth one may well go: what is over, and who did one thing.
const WELL: u8 = 1;

/// How much a shopper is missed; the less the sooner they go.
fn worth(shopper: &Shopper) -> u8 {
    let live = || shopper.sessions.iter().filter(|session| session.is_live());
    if live().any(|session| session.cart.touched) || !shopper.pending.is_empty() || !shopper.shown.is_empty() {
        3
    } else if live().any(|session| session.events > 1) {
        2
    } else {
        // Over, and kept for those who read it only.
        u8::from(live().next().is_some())
    }
}

/// How much a visitor is missed. A withdrawn consent must hold; whoever signed in and went on to do something would be cut off
/// their device, and buy as a stranger what stands in their cart.
fn worth_of(visitor: &Visitor) -> u8 {
    let is_signed_in = !visitor.attachments.is_empty() || visitor.household.is_some();
    match (visitor.seen.is_more_than_one(), is_signed_in) {
        _ if visitor.is_restricted() => 4,
        (true, true) => 3,
        (true, false) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

/// The slot to be freed: from `next` on over all of the slots, the least of the first few that are taken. Who came one after the
/// other is alike (all carts of a rush, say), so those looked at lie far apart.
fn least<T>(slots: &Slots<T>, next: &mut usize, rank: impl Fn(&T) -> (u8, i64)) -> Option<usize> {
    let mut looked_at = Vec::with_capacity(LOOKED_AT);
    let (stride, mut may_go) = (stride(slots.len()), false);
    for _ in 0..slots.len() {
        *next = (*next + stride) % slots.len();
        if let Some(taken) = slots.get(*next) {
            let rank = rank(taken);
            may_go |= rank.0 <= WELL;
            looked_at.push((rank, *next));
        }
        if looked_at.len() >= if may_go { LOOKED_AT } else { LOOKED_AT_MOST } {
            break;
        }
    }
    looked_at.into_iter().min().map(|(_, slot)| slot)
}

/// The golden section of so many, or the next number that has no divisor in common with it: steps of it come by each slot once.
fn stride(slots: usize) -> usize {
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (slots * 5 / 8..).find(|stride| divisor(slots, *stride) == 1).unwrap_or(1)
}

impl Stream {
    /// Makes room for a shopper. Their live sessions are closed, and told so.
    pub(crate) fn make_room_for_shopper(&mut self, out: &mut Vec<Effect>) {
        // A start with less room than before finds more than that: two go for each that comes.
        for _ in 0..2 {
            if self.shoppers.taken() >= self.config.shoppers_max {
                self.drop_shopper(out);
            }
        }
    }

    /// Takes a shopper out of this partition, with those of their facts that are in memory; what leads to their sessions
    /// stays.
    pub(crate) fn take_out(&mut self, index: u32) -> Option<Shopper> {
        self.keep_shopper(index);
        let mut shopper = self.shoppers.release(index)?;
        self.tally.remove(&shopper);
        if let Some(spilling) = &mut self.spilling {
            spilling.forget(&mut shopper);
        }
        Some(shopper)
    }

    fn drop_shopper(&mut self, out: &mut Vec<Effect>) {
        let rank = |shopper: &Shopper| (worth(shopper), shopper.last_stamp_ms);
        let Some(slot) = least(&self.shoppers, &mut self.room.shopper, rank) else { return };
        let Some(mut shopper) = self.take_out(slot as u32) else { return };
        self.counters.shoppers_dropped += 1;
        for session in &mut shopper.sessions {
            if session.is_live() {
                close(session, &mut self.counters, &self.currencies, self.now_ms, out);
            }
            self.forget_session(session);
        }
    }

    /// Makes room for a visitor: what they send again counts again from now on.
    pub(crate) fn make_room_for_visitor(&mut self) {
        for _ in 0..2 {
            if self.visitors.taken() >= self.config.shoppers_max {
                self.drop_visitor();
            }
        }
    }

    fn drop_visitor(&mut self) {
        let rank = |(_, visitor): &(ShopperId, Visitor)| (worth_of(visitor), visitor.last_stamp_ms);
        let Some(slot) = least(&self.visitors, &mut self.room.visitor, rank) else { return };
        self.keep_visitor(slot as u32);
        self.counters.visitors_dropped += u64::from(self.visitors.release(slot as u32).is_some());
    }
}

/// Where looking for the least goes on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Room {
    shopper: usize,
    visitor: usize,
    /// So many there were at the start, which may have less room than there was before.
    #[serde(skip)]
    pub(crate) restored: usize,
}
