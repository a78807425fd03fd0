//! Where two states of a partition part: for a report that says so without saying who it is about.

use crate::shopper::Shopper;
use crate::stream::Stream;

/// What a shopper has, by name.
type Parts = [(&'static str, String); 7];

impl Stream {
    /// The first part in which another state of the same partition is another one; none if there is none. What is in memory
    /// and what is elsewhere is no part of it.
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        if self.as_of() != other.as_of() {
            return Some(format!("it is as of {:?} and of {:?}", self.as_of(), other.as_of()));
        }
        let (shoppers, visitors) =
            (self.shoppers.len().max(other.shoppers.len()), self.visitors.len().max(other.visitors.len()));
        let of_shoppers = (0..shoppers).find_map(|slot| {
            let parts = [self, other].map(|stream| Some(stream.parts_of(stream.shoppers.get(slot)?)));
            match parts {
                [Some(one), Some(two)] => {
                    let (name, _) = one.into_iter().zip(two).find(|(one, two)| one != two)?.0;
                    Some(format!("the {name} of the shopper in slot {slot}"))
                }
                [None, None] => None,
                _ => Some(format!("whether there is a shopper in slot {slot}")),
            }
        });
        let visitor = |stream: &Self, slot| stream.visitors.get(slot).map(|visitor| format!("{visitor:?}"));
        let of_visitors = || {
            let slot = (0..visitors).find(|slot| visitor(self, *slot) != visitor(other, *slot))?;
            Some(format!("the visitor in slot {slot}"))
        };
        let of_the_rest = || {
            let [one, two] = [self, other].map(Self::rest);
            let (name, _) = one.into_iter().zip(two).find(|(one, two)| one != two)?.0;
            Some(name.to_owned())
        };
        let of_partials = || {
            let [mut one, mut two] = [self, other].map(|stream| stream.partials.pieces());
            let number = (0..).map_while(|number| match (one.next(), two.next()) {
                (None, None) => None,
                (one, two) => Some((number, one == two)),
            });
            let (number, _): (u64, bool) = { number }.find(|(_, is_same)| !is_same)?;
            Some(format!("piece {number} of what is added up"))
        };
        of_shoppers.or_else(of_visitors).or_else(of_the_rest).or_else(of_partials)
    }

    fn parts_of(&self, shopper: &Shopper) -> Parts {
        let Shopper { id, whole_after_ms, sessions, last_session, loose, caps, pending, shown, .. } = shopper;
        let Shopper { last_stamp_ms, idle_fired_ms, armed_ms, .. } = shopper;
        [
            ("id", format!("{id:?}")),
            ("facts", format!("{:?}", (self.facts_of(shopper).all(), whole_after_ms))),
            ("sessions", format!("{:?}", (sessions, last_session, loose))),
            ("caps", format!("{caps:?}")),
            ("candidates", format!("{pending:?}")),
            ("shown decisions", format!("{shown:?}")),
            ("deadlines", format!("{:?}", (last_stamp_ms, idle_fired_ms, armed_ms))),
        ]
    }

    fn rest(&self) -> [(&'static str, String); 8] {
        let mut received: Vec<_> = self.received.iter().collect();
        received.sort_unstable();
        [
            ("what has come from other partitions", format!("{received:?}")),
            ("the names", format!("{:?}", (self.names.all(), self.currencies.all()))),
            ("what is in force", format!("{:?}", self.defined)),
            ("where forgetting is", format!("{:?}", (self.sweep, self.room))),
            ("what was unmerged", format!("{:?}", self.unmerged.all())),
            ("the counters", format!("{:?}", self.counters)),
            ("the empty slots of shoppers", format!("{:?}", self.shoppers.free())),
            ("the empty slots of visitors", format!("{:?}", self.visitors.free())),
        ]
    }
}
