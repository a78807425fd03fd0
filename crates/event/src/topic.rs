//! The topics, and how each is kept.

use serde::Serialize;

/// The four classes of data that access, freshness and retention are set by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicClass {
    /// What shoppers do.
    Behavior,
    /// What is known about products, prices, stock, people.
    Context,
    /// What was decided and what came of it.
    Decision,
    /// Evidence, rejects, audit.
    Governance,
}

/// How old records leave a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// By time and size.
    Delete,
    /// The last record of each key stays.
    Compact,
}

macro_rules! topics {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $class:ident, $cleanup:ident, $partitioned:literal;)*) => {
        /// A topic of the product.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Topic { $($(#[$doc])* $variant,)* }

        impl Topic {
            /// Every topic.
            pub const ALL: &'static [Topic] = &[$(Topic::$variant,)*];

            /// Its name on the log.
            pub fn name(self) -> &'static str {
                match self { $(Topic::$variant => $name,)* }
            }
            /// The class of its data.
            pub fn class(self) -> TopicClass {
                match self { $(Topic::$variant => TopicClass::$class,)* }
            }
            /// How it is cleaned.
            pub fn cleanup(self) -> Cleanup {
                match self { $(Topic::$variant => Cleanup::$cleanup,)* }
            }
            /// As many partitions as `behavior` (else one).
            pub fn is_partitioned(self) -> bool {
                match self { $(Topic::$variant => $partitioned,)* }
            }
            /// The topic of this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|topic| topic.name() == name)
            }
        }
    };
}

topics! {
    /// The shopper's own log: key visitor id; events, ticks, decisions, hand-offs, consents.
    Behavior = "behavior", Behavior, Delete, true;
    /// Products, prices, stock, …: key `kind/id`.
    Context = "context", Context, Compact, false;
    /// Visitor → user: key visitor id.
    Identity = "identity", Behavior, Compact, true;
    /// Definitions in force: key `kind/name`.
    Definition = "definition", Governance, Compact, false;
    /// Session updates: key session id.
    Session = "session", Behavior, Delete, true;
    /// Decisions and outcomes with lineage: key decision id.
    Decision = "decision", Decision, Delete, true;
    /// Evidence of consent, erasure, policy, audit.
    Governance = "governance", Governance, Delete, false;
    /// What events named and the context tables did not have: key `kind/id`.
    EnrichmentMiss = "enrichment-miss", Context, Delete, false;
    /// Rejected input with its reason and bytes.
    DeadLetter = "dead-letter", Governance, Delete, false;
    /// Personal fields, encrypted: key event id. Nothing of it enters a partition's machine.
    BehaviorPii = "behavior-pii", Behavior, Delete, true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.name()), Some(*topic));
        }
        assert_eq!(Topic::parse("nothing"), None);
    }
}
