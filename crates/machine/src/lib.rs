//! The kit of the partition machine: facts, sessions, carts, timers, effects, and the read-only view of a shopper
//! that features and rules look through. Pure: `now` is always an argument.

mod cart;
mod defined;
mod effect;
mod fact;
mod invariant;
mod names;
pub mod partial;
mod session;
mod spill;
mod timer;
mod view;

pub use cart::Cart;
pub use defined::{Defined, Kind, Known, PROFILES, Version, since_of};
pub use effect::{Ask, Candidate, Definitions, Derived, Effect};
pub use fact::{Fact, FactKind, Facts};
pub use invariant::{Invariant, Violations};
pub use names::Names;
pub use partial::Partials;
pub use session::{Earliest, Session};
pub use spill::{Elsewhere, LazyFacts, Place, Spill, SpillError, Spilled};
pub use timer::Timers;
pub use view::View;

/// The longest window. ms.
pub const WINDOW_MAX_MS: i64 = 24 * 3_600_000;

/// How long facts are kept: until what left the longest window is over for those, too, who are told of the change. ms.
pub const FACTS_KEPT_MS: i64 = WINDOW_MAX_MS + 11 * 60_000;

/// A hash map whose order of hashing never changes between runs: replay must not depend on a random seed.
pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;
