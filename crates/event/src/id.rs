//! Typed ids, and the hashes that place them.

use crate::Str;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Str);

        impl $name {
            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Str::from(text))
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Str::from(text))
            }
        }
        impl From<Str> for $name {
            fn from(text: Str) -> Self {
                Self(text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// The tracker's id of one event; with the source it is the idempotency key.
    EventId
);
id!(
    /// A browser or device, as its tracker names it.
    VisitorId
);
id!(
    /// A signed-in person, as the shop names them.
    UserId
);
id!(
    /// A named collector source (one write key).
    SourceId
);
id!(
    /// A product, as the shop names it.
    ProductId
);

/// A session: the 128-bit hash of the opening event's source, id and visitor, written as 32 hex digits.
/// In a merge the smaller id stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u128);

/// A decision: the 128-bit hash of session, rule and cart version, written as 32 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(pub u128);

/// 32 hex digits, as text without a place on the heap.
#[derive(Clone, Copy, Debug)]
pub struct Hex([u8; 32]);

impl std::ops::Deref for Hex {
    type Target = str;
    fn deref(&self) -> &str {
        // Invariant: hex digits are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Lower case is written, both are read.
const HEX: data_encoding::Encoding = data_encoding::HEXLOWER_PERMISSIVE;

macro_rules! hex_id {
    ($name:ident) => {
        impl $name {
            /// Its 32 hex digits.
            pub fn to_hex(self) -> Hex {
                let mut digits = [0; 32];
                HEX.encode_mut(&self.0.to_be_bytes(), &mut digits);
                Hex(digits)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.to_hex())
            }
        }
        impl std::str::FromStr for $name {
            type Err = &'static str;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let wrong = "an id has 32 hex digits";
                let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| wrong)?;
                let mut bytes = [0; 16];
                HEX.decode_mut(digits, &mut bytes).map_err(|_| wrong)?;
                Ok(Self(u128::from_be_bytes(bytes)))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Str::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
hex_id!(SessionId);
hex_id!(DecisionId);

impl SessionId {
    /// The id of the session that this event opens. `who`: the visitor whom it names, else the user; the same event of two of
    /// them, whoever made that up, opens two sessions.
    pub fn opened_by(source: &SourceId, event: &EventId, who: &ShopperId) -> Self {
        let kind = match who {
            ShopperId::Visitor(_) => "visitor",
            ShopperId::User(_) => "user",
        };
        Self(hash128(&[source.as_str(), event.as_str(), kind, who.as_str()]))
    }
}

impl DecisionId {
    /// One decision per session, rule and version of the cart: the same triple is the same decision, for good.
    pub fn of(session: SessionId, rule: &str, cart_version: u64) -> Self {
        Self(hash128(&[&session.to_hex(), rule, &cart_version.to_string()]))
    }
}

/// Whose state it is: an anonymous visitor's, or a known user's.
///
/// Written as `visitor:ID` or `user:ID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShopperId {
    /// Not signed in: the visitor is the shopper.
    Visitor(VisitorId),
    /// Signed in: the user is, over all devices.
    User(UserId),
}

impl ShopperId {
    /// The text of the id, without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Visitor(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }

    /// The shopper's home partition.
    pub fn partition(&self, partitions: u32) -> PartitionId {
        partition_of(self.as_str(), partitions)
    }
}

impl fmt::Display for ShopperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor(id) => write!(f, "visitor:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}
impl std::str::FromStr for ShopperId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("visitor", id)) => Ok(Self::Visitor(id.into())),
            Some(("user", id)) => Ok(Self::User(id.into())),
            _ => Err("a shopper is written visitor:ID or user:ID"),
        }
    }
}
impl Serialize for ShopperId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ShopperId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Str::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A partition's number within its topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u32);

/// A record's place in the `behavior` topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Partition.
    pub partition: PartitionId,
    /// Offset within it.
    pub offset: i64,
}

/// The id of something a partition produced: the input's place and an ordinal. Receivers apply each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputId {
    /// The input's partition.
    pub partition: PartitionId,
    /// The input's offset.
    pub offset: i64,
    /// Which of that input's outputs.
    pub ordinal: u32,
}

/// Parts of ids that are hashed in one go: nearly all are shorter.
const AT_ONCE_BYTES: usize = 256;

/// The parts one behind the other, each followed by its length, where they are few bytes.
///
/// The hasher that takes them one by one sets up half a KiB for each hash, more work than the hash itself.
fn joined<'b>(parts: &[&str], bytes: &'b mut [u8; AT_ONCE_BYTES]) -> Option<&'b [u8]> {
    let mut end = 0;
    for part in parts {
        for piece in [part.as_bytes(), &(part.len() as u32).to_le_bytes()] {
            bytes.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            end += piece.len();
        }
    }
    Some(&bytes[..end])
}

fn hasher(parts: &[&str]) -> xxhash_rust::xxh3::Xxh3 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&(part.len() as u32).to_le_bytes());
    }
    hasher
}

/// 64-bit hash of parts that can't run into each other (each part is followed by its length). Stable for good:
/// duplicates and holdouts depend on it. XXH3.
pub fn hash64(parts: &[&str]) -> u64 {
    match joined(parts, &mut [0; AT_ONCE_BYTES]) {
        Some(bytes) => xxhash_rust::xxh3::xxh3_64(bytes),
        None => hasher(parts).digest(),
    }
}

/// 128-bit twin of [`hash64`], for ids that are seen outside.
pub fn hash128(parts: &[&str]) -> u128 {
    match joined(parts, &mut [0; AT_ONCE_BYTES]) {
        Some(bytes) => xxhash_rust::xxh3::xxh3_128(bytes),
        None => hasher(parts).digest128(),
    }
}

/// The partition of a key, as Kafka's default partitioner computes it (murmur2), so that a producer outside and a
/// move to Apache Kafka find the same one.
pub fn partition_of(key: &str, partitions: u32) -> PartitionId {
    let hash = murmur2::murmur2(key.as_bytes(), murmur2::KAFKA_SEED) & 0x7fff_ffff;
    PartitionId(hash % partitions.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_kafkas() {
        // Vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        for (text, expected) in [("21", -973_932_308i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
            assert_eq!(murmur2::murmur2(text.as_bytes(), murmur2::KAFKA_SEED) as i32, expected, "{text}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash64(&["ab", "c"]), hash64(&["a", "bc"]));
        assert_ne!(hash128(&["ab", ""]), hash128(&["", "ab"]));
    }

    #[test]
    fn hashes_are_the_same_at_once_and_part_by_part() {
        let text = "midsession ".repeat(60);
        for length in 0..text.len() {
            let parts = ["shop", &text[..length], ""];
            assert_eq!(
                (hash64(&parts), hash128(&parts)),
                (hasher(&parts).digest(), hasher(&parts).digest128()),
                "{length}"
            );
        }
        assert_eq!(hash64(&["shop", "e1"]), 7_430_174_152_949_107_549, "as stored since the first version");
    }

    #[test]
    fn hex_ids_round_trip() {
        let id = SessionId::opened_by(&"shop".into(), &"e1".into(), &ShopperId::Visitor("v1".into()));
        let user = ShopperId::User("v1".into());
        assert_ne!(id, SessionId::opened_by(&"shop".into(), &"e1".into(), &user), "another shopper's");
        assert_eq!(id.to_string().parse::<SessionId>().ok(), Some(id));
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(SessionId(0xab).to_string(), "000000000000000000000000000000ab");
        assert_eq!("000000000000000000000000000000AB".parse(), Ok(SessionId(0xab)));
        for wrong in ["", "ab", "+0000000000000000000000000000ab", "000000000000000000000000000000abcd", "zz"] {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }
}
