//! The vocabulary of the product: events, ids, topics, records and their Avro form.
//!
//! Everything that crosses a room crosses as one of these types. Nothing here reads a clock, a file or a socket.

mod amount;
mod change;
mod codec;
mod context;
mod datum;
mod event;
mod id;
mod identity;
mod name;
mod record;
mod topic;
mod trust;
mod update;

pub use amount::{plus, times};
pub use change::{DefinitionChange, DefinitionEdit, EditKind, Filled, FilledEvent, FilledFact, FilledSeries};
pub use codec::{CodecError, SCHEMAS, Schema, SchemaId, Schematic, decode, encode, encode_into, schema_of, to_json};
pub use context::{Context, ContextKind, EnrichmentMiss, Joined, Values};
pub use event::{
    Campaign, Cart, Consent, Device, Event, Geo, Order, Page, Product, Promotion, PropertyValue, Purpose, Stamps,
};
pub use id::{
    DecisionId, EventId, Hex, OutputId, PartitionId, Place, ProductId, SessionId, ShopperId, SourceId, UserId,
    VisitorId, hash64, hash128, partition_of,
};
pub use identity::{Identity, Recall, Unmerge};
pub use name::{Dialect, EventName, MAPPING, canonical_name};
pub use record::{
    CapEntry, CarriedCandidate, CarriedFact, CarriedSession, CarriedShown, Decision, Definition, Forward, Handoff,
    Outcome, Reaction, Record, Reject, Tick,
};
pub use topic::{Cleanup, Topic, TopicClass};
pub use trust::{Evidence, Personal, SEALED, Told, is_sealed};
pub use update::{SessionState, SessionUpdate};

/// Short strings that live inline up to 24 bytes.
pub type Str = compact_str::CompactString;
