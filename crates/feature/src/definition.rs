//! Definitions as they stand in a file: `[[feature]]` tables, read with their places.

use serde::Deserialize;
use toml::Spanned;

/// A `[[feature]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name; windows are added as suffixes.
    pub name: Spanned<String>,
    /// Whose it is: `user`, `session`, or both in a list.
    pub key: Spanned<Keys>,
    /// Which events count; all when absent.
    pub when: Option<Spanned<String>>,
    /// What is made of them.
    pub fold: Spanned<String>,
    /// What is folded: an expression over the event, `product.id` for short.
    pub of: Option<Spanned<String>>,
    /// Windows of a user's feature.
    #[serde(default)]
    pub windows: Vec<Spanned<String>>,
    /// What it means, for people.
    pub doc: Option<String>,
}

/// One key or several.
#[derive(Clone, Debug, Deserialize)]
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
