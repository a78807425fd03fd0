//! Definitions as they stand in a file: `[[feature]]` tables and `[served]`, read with their places.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use toml::Spanned;

/// A `[[feature]]` table.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name; windows are added as suffixes.
    pub name: Spanned<String>,
    /// Whose it is: `user`, `session`, a field of the event, or several of them in a list.
    pub key: Spanned<Keys>,
    /// Which events count; all when absent.
    pub when: Option<Spanned<String>>,
    /// What is made of them.
    pub fold: Option<Spanned<String>>,
    /// What is folded: an expression over the event, `product.id` for short.
    pub of: Option<Spanned<String>>,
    /// Instead of a fold: worked out from features defined before.
    pub value: Option<Spanned<String>>,
    /// Windows of a user's or a field's feature.
    #[serde(default)]
    pub windows: Vec<Spanned<String>>,
    /// `ratio`: which events it is divided by.
    pub over: Option<Spanned<String>>,
    /// `sequence…`: which events must follow.
    pub then: Option<Spanned<String>>,
    /// `sequence…`: how soon.
    pub within: Option<Spanned<String>>,
    /// `average`: of each value of this the earliest event counts.
    pub by: Option<Spanned<String>>,
    /// `top_k`, `count_per_value`: how many values.
    pub limit: Option<Spanned<i64>>,
    /// `quantile`: which one, from 0 to 1.
    pub quantile: Option<Spanned<f64>>,
    /// `rate`: per how long.
    pub per: Option<Spanned<String>>,
    /// `duration`: how long after the last event it still grows.
    pub idle: Option<Spanned<String>>,
    /// What it is when there is nothing to fold.
    pub empty: Option<Spanned<Scalar>>,
    /// Which events keep it alive where values expire; those that it takes when absent.
    pub alive: Option<Spanned<String>>,
    /// Not served: there for others to be worked out from.
    #[serde(default)]
    pub hidden: bool,
    /// What it means, for people.
    pub doc: Option<String>,
    /// It waits beside the live one: the number that is added to its name.
    #[serde(skip)]
    pub version: Option<i64>,
}

impl Definition {
    /// What it answers to; windows are added as suffixes.
    pub(crate) fn served_name(&self) -> Cow<'_, str> {
        match self.version {
            Some(version) => format!("{}@{version}", self.name.get_ref()).into(),
            None => self.name.get_ref().into(),
        }
    }
}

/// One key or several.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Keys {
    /// `key = "user"`
    One(String),
    /// `key = ["user", "session"]`
    Many(Vec<String>),
}

impl Keys {
    /// All of them.
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

/// A value as it stands in a file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Scalar {
    /// true or false
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

/// `[served]`: how the features of a profile are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// How values are written where they are text: `plain`, or as `java` writes them.
    pub text: Option<Spanned<String>>,
    /// A value is there for so long after its last event or change; as long as it is known when absent.
    pub expires: Option<Spanned<String>>,
    /// `open`: a window begins after its left edge; `closed`: with it.
    pub windows: Option<Spanned<String>>,
    /// `apart`: amounts in two currencies have no sum; `ignored`: they are taken as numbers.
    pub currencies: Option<Spanned<String>>,
    /// Which events make a visit, for features of sessions.
    pub visit: Option<Visit>,
    /// What is known of sessions without a definition and is served with them; all of it when absent.
    pub built_ins: Option<Vec<Spanned<String>>>,
    /// Further suffixes of windows: `{ "5min" = "5m" }`.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
}

/// Which events make a visit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// These events; others don't extend it.
    pub when: Spanned<String>,
    /// Further apart than this they are in two visits.
    pub gap: Spanned<String>,
}
