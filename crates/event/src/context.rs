//! What is known of products, prices, stock and people beside the events: the rows of the context tables.

use crate::{EventId, PropertyValue, SourceId, Str};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which table a row stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ContextKind {
    /// Name, category, brand, by product id.
    Product,
    /// Price and currency, by product id.
    Price,
    /// Stock, by product id.
    Inventory,
    /// A shopper's segments, by user id or visitor id.
    Segment,
    /// A promotion, by its id.
    Promotion,
    /// What the shop knows of a signed-in person (loyalty), by user id.
    Profile,
    /// A place, by `COUNTRY` or `COUNTRY-REGION`.
    Location,
    /// When a product would be delivered, by product id or `product@COUNTRY`.
    Delivery,
}

impl ContextKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [ContextKind; 8] = [
        Self::Product,
        Self::Price,
        Self::Inventory,
        Self::Segment,
        Self::Promotion,
        Self::Profile,
        Self::Location,
        Self::Delivery,
    ];

    /// Its name in keys, paths and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Price => "price",
            Self::Inventory => "inventory",
            Self::Segment => "segment",
            Self::Promotion => "promotion",
            Self::Profile => "profile",
            Self::Location => "location",
            Self::Delivery => "delivery",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its rows are about a product.
    pub fn is_of_product(self) -> bool {
        matches!(self, Self::Product | Self::Price | Self::Inventory | Self::Delivery)
    }

    /// Its rows are about a person.
    pub fn is_of_person(self) -> bool {
        matches!(self, Self::Segment | Self::Profile)
    }
}

impl Serialize for ContextKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for ContextKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Str::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| serde::de::Error::custom(format!("there is no kind `{name}`")))
    }
}

/// The values of a row by name. Shared and without room to spare: a table holds a million of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Arc<[(Str, PropertyValue)]>);

impl Values {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&PropertyValue> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok().map(|at| &self.0[at].1)
    }

    /// The text of this name.
    pub fn text(&self, name: &str) -> Option<&Str> {
        match self.get(name)? {
            PropertyValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            PropertyValue::Int(number) => Some(*number as f64),
            PropertyValue::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Str, &PropertyValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory that they take. Bytes.
    pub fn heap_bytes(&self) -> usize {
        let heap = |text: &Str| if text.is_heap_allocated() { text.capacity() } else { 0 };
        let of_value = |value: &PropertyValue| if let PropertyValue::Text(text) = value { heap(text) } else { 0 };
        let texts: usize = self.0.iter().map(|(name, value)| heap(name) + of_value(value)).sum();
        // The two counts of the shared pointer stand before the values.
        2 * size_of::<usize>() + size_of_val(&*self.0) + texts
    }
}

impl From<BTreeMap<Str, PropertyValue>> for Values {
    fn from(values: BTreeMap<Str, PropertyValue>) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

/// A row as it stands on `context`, key `kind/id`. Its version is its offset, its time the stamp of its append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Which table.
    pub kind: ContextKind,
    /// Of what.
    pub id: Str,
    /// Its values: the whole row.
    pub values: Values,
}

impl Context {
    /// The key of a row on the topic.
    pub fn key(kind: ContextKind, id: &str) -> String {
        format!("{}/{id}", kind.as_str())
    }

    /// Kind and id of a key; `None` for one of a kind that this version does not know.
    pub fn parse_key(key: &[u8]) -> Option<(ContextKind, &str)> {
        let (kind, id) = std::str::from_utf8(key).ok()?.split_once('/')?;
        Some((ContextKind::parse(kind)?, id))
    }
}

/// A row as an event was joined with it, or as a decision was taken on it: by value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Which table.
    pub kind: ContextKind,
    /// Of what.
    pub id: Str,
    /// The row's version: it rises with each change.
    pub version: i64,
    /// When that version was loaded. Epoch ms.
    pub at_ms: i64,
    /// It was older than its kind may be: it is told, and nothing is made of it.
    pub stale: bool,
    /// The row.
    pub values: Values,
}

impl Joined {
    /// Whether it is a row of this product.
    pub fn is_of(&self, product: &str) -> bool {
        // What is known of a product at a place has the place behind it.
        self.id.strip_prefix(product).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    }

    /// Whether it is fresh and says that there is some: `in_stock`, and `stock` above 0 where it is told.
    pub fn shows_stock(&self) -> bool {
        let said = match self.values.get("in_stock") {
            Some(PropertyValue::Bool(said)) => Some(*said),
            _ => None,
        };
        let counted = self.values.number("stock").map(|stock| stock > 0.0);
        let shows = said.or(counted).unwrap_or(false) && counted.unwrap_or(true);
        self.kind == ContextKind::Inventory && !self.stale && shows
    }
}

/// An event named something that its table knows nothing of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrichmentMiss {
    /// Which table.
    pub kind: ContextKind,
    /// Of what; absent where it would be a person.
    pub id: Option<Str>,
    /// Whose job it is to load it.
    pub owner: Str,
    /// In which source it was named.
    pub source: SourceId,
    /// The event that named it.
    pub event_id: EventId,
    /// How often it was missed since it was told last, this time included.
    pub misses: i64,
    /// When. Epoch ms.
    pub at_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, PropertyValue)]) -> Values {
        pairs.iter().map(|(name, value)| (Str::from(*name), value.clone())).collect::<BTreeMap<_, _>>().into()
    }

    #[test]
    fn kinds_and_keys_parse_back() {
        for (index, kind) in ContextKind::ALL.into_iter().enumerate() {
            assert_eq!((ContextKind::parse(kind.as_str()), kind as usize), (Some(kind), index));
            let key = Context::key(kind, "a/b ü");
            assert_eq!(Context::parse_key(key.as_bytes()), Some((kind, "a/b ü")));
        }
        for key in [&b"product"[..], b"colour/red", b"\xff/1", b""] {
            assert_eq!(Context::parse_key(key), None);
        }
    }

    #[test]
    fn values_are_found_by_name() {
        let row = values(&[("stock", PropertyValue::Int(3)), ("brand", PropertyValue::Text("Lumi".into()))]);
        assert_eq!((row.number("stock"), row.text("brand").map(Str::as_str)), (Some(3.0), Some("Lumi")));
        assert_eq!((row.get("none"), row.number("brand"), row.text("stock")), (None, None, None));
        assert_eq!(row.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["brand", "stock"]);
    }

    #[test]
    fn stock_is_shown_by_a_fresh_row_alone() {
        use PropertyValue::{Bool, Int, Text};
        for (pairs, shows) in [
            (vec![("stock", Int(1))], true),
            (vec![("stock", Int(0))], false),
            (vec![("in_stock", Bool(true))], true),
            (vec![("in_stock", Bool(false))], false),
            (vec![("in_stock", Bool(true)), ("stock", Int(0))], false),
            (vec![("in_stock", Bool(false)), ("stock", Int(4))], false),
            (vec![("in_stock", Bool(true)), ("stock", Int(4))], true),
            (vec![("stock", Text("many".into()))], false),
            (vec![], false),
        ] {
            let row = Joined {
                kind: ContextKind::Inventory,
                id: "p1".into(),
                version: 1,
                at_ms: 0,
                stale: false,
                values: values(&pairs),
            };
            assert_eq!(row.shows_stock(), shows, "{pairs:?}");
            assert!(!Joined { stale: true, ..row.clone() }.shows_stock(), "{pairs:?}");
            assert!(!Joined { kind: ContextKind::Price, ..row }.shows_stock(), "{pairs:?}");
        }
    }

    #[test]
    fn a_row_is_of_its_product_at_any_place() {
        let row = |id: &str| Joined {
            kind: ContextKind::Delivery,
            id: id.into(),
            version: 1,
            at_ms: 0,
            stale: false,
            values: Values::default(),
        };
        assert!(row("p1").is_of("p1") && row("p1@NL").is_of("p1"));
        assert!(!row("p10").is_of("p1") && !row("p").is_of("p1"));
    }
}
