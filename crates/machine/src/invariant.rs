//! What must always hold of exact streams, by id: the simulator checks it after every record, production counts what breaks it.

/// An invariant. The numbers are those of the table in `docs/correctness.md`; the missing ones belong to other rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1.
    Accounted,
    /// I2.
    Exact,
    /// I3.
    Versions,
    /// I4.
    Sessions,
    /// I5.
    Time,
    /// I6.
    Once,
    /// I8.
    Rerun,
    /// I10.
    Consent,
    /// I12.
    Bounded,
    /// I13.
    Changes,
    /// I14.
    InForce,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Accounted,
        Self::Exact,
        Self::Versions,
        Self::Sessions,
        Self::Time,
        Self::Once,
        Self::Rerun,
        Self::Consent,
        Self::Bounded,
        Self::Changes,
        Self::InForce,
    ];

    /// Its id, as in metrics, tests and talk.
    pub fn id(self) -> &'static str {
        match self {
            Self::Accounted => "I1",
            Self::Exact => "I2",
            Self::Versions => "I3",
            Self::Sessions => "I4",
            Self::Time => "I5",
            Self::Once => "I6",
            Self::Rerun => "I8",
            Self::Consent => "I10",
            Self::Bounded => "I12",
            Self::Changes => "I13",
            Self::InForce => "I14",
        }
    }

    /// What holds.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accounted => {
                "what was acknowledged is in the log, each record is read once, and every event becomes exactly one thing"
            }
            Self::Exact => "sessions, counts, sums and distincts equal the oracle, after every crash",
            Self::Versions => "a session's versions rise for every reader, and the last one told is its state",
            Self::Sessions => {
                "no event is in two sessions, no gap inside one is too long, a login moves each event exactly once"
            }
            Self::Time => "stamps never go back, deadlines are met, on time + late + too late is what was accepted",
            Self::Once => "a decision takes effect at most once, is shown at most once and only while it is true",
            Self::Rerun => "the same log gives the same state, effects and decisions",
            Self::Consent => "after consent is withdrawn at an offset nothing personal is read or written past it",
            Self::Bounded => "memory stays under its caps, and once faults stop every partition moves and catches up",
            Self::Changes => {
                "a change of definitions is in the log of every partition or of none, at one revision and one stamp, applied once"
            }
            Self::InForce => "what is served is what the partition's own log has put in force",
        }
    }
}

/// How often each invariant was seen broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Violations([u64; Invariant::ALL.len()]);

impl Violations {
    /// One more.
    pub fn count(&mut self, invariant: Invariant) {
        self.0[invariant as usize] += 1;
    }

    /// Of this one.
    pub fn of(&self, invariant: Invariant) -> u64 {
        self.0[invariant as usize]
    }

    /// Of all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The ids of those that were seen broken.
    pub fn broken(&self) -> impl Iterator<Item = &'static str> {
        Invariant::ALL.into_iter().filter(|invariant| self.of(*invariant) > 0).map(Invariant::id)
    }

    /// The sums of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
        self
    }
}
