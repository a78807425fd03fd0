//! Facts: what remains of each event for as long as a window can ask for it, 32 bytes each.

use crate::Cart;
use midsession_event::EventName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a fact says. The low 7 bits are the kind, the high bit marks the second and further products of one event,
/// so that an event with twelve products counts once.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct FactKind(pub u8);

impl FactKind {
    /// The cart's total after an event; `value` is the total.
    pub const CART: FactKind = FactKind(100);
    /// Written for a definition that reads fields beyond a fact's columns; `category` is its slot.
    pub const DERIVED: FactKind = FactKind(101);
    /// Any custom event.
    pub const CUSTOM: FactKind = FactKind(102);
    const CONTINUED: u8 = 0x80;

    /// The kind of a native event name.
    pub fn of(name: &EventName) -> Self {
        // Invariant: fewer than 100 native names.
        EventName::NATIVE.iter().position(|native| native == name).map_or(Self::CUSTOM, |index| Self(index as u8))
    }

    /// The same kind, marked as a further product of the same event.
    #[must_use]
    pub fn continued(self) -> Self {
        Self(self.0 | Self::CONTINUED)
    }

    /// Whether this is a further product of an event that already has a fact.
    pub fn is_continued(self) -> bool {
        self.0 & Self::CONTINUED != 0
    }

    /// Whether it is the first fact of an event; the others of the same event stand behind it.
    pub fn begins_event(self) -> bool {
        !self.is_continued() && self != Self::CART && self != Self::DERIVED
    }

    /// The kind without the mark.
    #[must_use]
    pub fn base(self) -> Self {
        Self(self.0 & !Self::CONTINUED)
    }
}

/// One fact. `value` is the price (product events), the revenue (`transaction`, `refund`) or the total (cart); NaN
/// when absent. `product`, `category` and `currency` are the partition's numbers for the names, 0 for none.
///
/// In memory as in a snapshot: facts are most of a partition's state, and go there as they are.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Fact {
    /// Event time. Epoch ms.
    pub time_ms: i64,
    /// Price, revenue or total; NaN when absent.
    pub value: f64,
    /// Product id (or a derived text).
    pub product: u32,
    /// Category, or the list's name; the slot of a derived fact.
    pub category: u32,
    /// Which of the shopper's sessions; 0 for none (too late for any).
    pub session: u32,
    /// Quantity, at least 1; 0 of a cart's total that came with an order.
    pub quantity: u16,
    /// What it says.
    pub kind: FactKind,
    /// Currency.
    pub currency: u8,
}

/// A shopper's facts in the order of event time; equal times in the order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    list: Vec<Fact>,
}

impl Facts {
    /// Adds a fact at its place in time.
    pub fn insert(&mut self, fact: Fact) {
        let at = match self.list.last() {
            Some(last) if last.time_ms > fact.time_ms => self.list.partition_point(|f| f.time_ms <= fact.time_ms),
            _ => self.list.len(),
        };
        if self.list.len() == self.list.capacity() {
            // Half again, from four: doubling would waste a third of a typical shopper's memory.
            self.list.reserve_exact((self.list.len() / 2).max(4));
        }
        self.list.insert(at, fact);
    }

    /// Adds a further fact of an event that is here, known by one of its facts: behind those that it has.
    pub fn insert_behind(&mut self, is_own: impl Fn(&Fact) -> bool, fact: Fact) {
        let until = self.list.partition_point(|other| other.time_ms <= fact.time_ms);
        let from = self.list.partition_point(|other| other.time_ms < fact.time_ms);
        let own = self.list[from..until].iter().position(is_own).map_or(until, |own| from + own + 1);
        let next = self.list[own..until].iter().position(|other| other.kind.begins_event());
        self.list.insert(next.map_or(until, |next| own + next), fact);
    }

    /// All facts, oldest first.
    pub fn all(&self) -> &[Fact] {
        &self.list
    }

    /// Those with event time in (`after_ms`, `until_ms`].
    pub fn between(&self, after_ms: i64, until_ms: i64) -> &[Fact] {
        let from = self.list.partition_point(|fact| fact.time_ms <= after_ms);
        let to = self.list.partition_point(|fact| fact.time_ms <= until_ms);
        &self.list[from..to.max(from)]
    }

    /// Drops so many: the further products of lists and views first, then what is neither an order nor about the cart,
    /// then the rest; the oldest first. Returns the event time of the newest that went: after it they are whole. Epoch ms.
    pub fn drop_least(&mut self, count: usize) -> i64 {
        let is_kept_longest = |fact: &Fact| {
            let money = [FactKind::of(&EventName::Transaction), FactKind::of(&EventName::Refund)];
            Cart::is_changed_by(fact.kind) || money.contains(&fact.kind.base())
        };
        let (mut left, mut newest_ms) = (count, i64::MIN);
        let mut drop = |list: &mut Vec<Fact>, is_least: &dyn Fn(&Fact) -> bool| {
            list.retain(|fact| {
                let goes = left > 0 && is_least(fact);
                if goes {
                    left -= 1;
                    newest_ms = newest_ms.max(fact.time_ms);
                }
                !goes
            });
        };
        drop(&mut self.list, &|fact| fact.kind.is_continued() && !is_kept_longest(fact));
        drop(&mut self.list, &|fact| !is_kept_longest(fact));
        drop(&mut self.list, &|_| true);
        newest_ms
    }

    /// Takes out those that `goes` says; the order of both stays.
    #[must_use]
    pub fn take(&mut self, goes: impl Fn(&Fact) -> bool) -> Self {
        let taken = Self { list: self.list.iter().filter(|fact| goes(fact)).copied().collect() };
        if !taken.list.is_empty() {
            self.retain(|fact| !goes(fact));
        }
        taken
    }

    /// Gives the facts of one session to another.
    pub fn relabel(&mut self, from: u32, to: u32) {
        for fact in &mut self.list {
            if fact.session == from {
                fact.session = to;
            }
        }
    }

    /// Changes facts in place; their times stay.
    pub fn for_each_mut(&mut self, change: impl FnMut(&mut Fact)) {
        self.list.iter_mut().for_each(change);
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(&Fact) -> bool) {
        self.list.retain(keep);
        if self.list.capacity() > 8 && self.list.capacity() / 2 > self.list.len() {
            self.list.shrink_to(self.list.len());
        }
    }

    /// As they stand in a snapshot, and wherever they are spilled to.
    pub fn as_bytes(&self) -> &[u8] {
        self.list.as_bytes()
    }

    /// Back from these; `None` where that can't be.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (facts, rest) = bytes.as_chunks::<32>();
        // Copied one by one: the bytes may lie anywhere.
        rest.is_empty().then(|| Self { list: facts.iter().map(|fact| zerocopy::transmute!(*fact)).collect() })
    }

    /// Bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Fact>()
    }
}

#[cfg(target_endian = "big")]
compile_error!("facts are kept in snapshots as little-endian numbers");

/// As bytes: 32 per fact.
impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Facts;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("32 bytes per fact")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Facts, E> {
                Facts::of_bytes(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time_ms: i64, quantity: u16) -> Fact {
        Fact {
            time_ms,
            value: f64::NAN,
            product: 0,
            category: 0,
            session: 0,
            quantity,
            kind: FactKind::CUSTOM,
            currency: 0,
        }
    }

    #[test]
    fn a_fact_is_32_bytes() {
        assert_eq!(size_of::<Fact>(), 32);
    }

    #[test]
    fn orders_and_carts_are_dropped_last() {
        let of = |time_ms: i64, name: &EventName| Fact { kind: FactKind::of(name), ..at(time_ms, 1) };
        let mut facts = Facts::default();
        facts.insert(of(1, &EventName::Transaction));
        facts.insert(of(2, &EventName::AddToCart));
        facts.insert(of(3, &EventName::ListView));
        for time_ms in 4..8 {
            facts.insert(Fact { kind: FactKind::of(&EventName::ListView).continued(), ..at(time_ms, 1) });
        }
        let times = |facts: &Facts| facts.all().iter().map(|fact| fact.time_ms).collect::<Vec<_>>();
        assert_eq!(facts.drop_least(2), 5);
        assert_eq!(times(&facts), [1, 2, 3, 6, 7]);
        assert_eq!(facts.drop_least(3), 7);
        assert_eq!(times(&facts), [1, 2]);
        assert_eq!(facts.drop_least(1), 1);
        assert_eq!(times(&facts), [2]);
    }

    #[test]
    fn facts_stay_in_time_order_and_windows_are_half_open() {
        let mut facts = Facts::default();
        for (time, tag) in [(10, 1), (30, 2), (20, 3), (20, 4), (5, 5)] {
            facts.insert(at(time, tag));
        }
        let order: Vec<_> = facts.all().iter().map(|fact| fact.quantity).collect();
        assert_eq!(order, [5, 1, 3, 4, 2]);
        assert_eq!(facts.between(10, 20).len(), 2, "the left edge is outside, the right edge inside");
        assert_eq!(facts.between(30, 10).len(), 0);
    }

    #[test]
    fn a_further_fact_stands_with_its_event() {
        let mut facts = Facts::default();
        let search = FactKind::of(&EventName::Search);
        for fact in
            [at(10, 1), at(20, 2), Fact { kind: FactKind::CART, ..at(20, 3) }, Fact { kind: search, ..at(20, 4) }]
        {
            facts.insert(fact);
        }
        let derived = |time_ms, tag| Fact { kind: FactKind::DERIVED, ..at(time_ms, tag) };
        facts.insert_behind(|fact| fact.kind == FactKind::CUSTOM, derived(20, 5));
        facts.insert_behind(|fact| fact.kind == search, derived(20, 6));
        facts.insert_behind(|fact| fact.kind == FactKind::CUSTOM, derived(20, 7));
        facts.insert_behind(|_| false, derived(15, 8));
        let order: Vec<_> = facts.all().iter().map(|fact| fact.quantity).collect();
        assert_eq!(order, [1, 8, 2, 3, 5, 7, 4, 6]);
    }
}
