//! A collector source: what stands behind one write key.

use crate::{FreeText, PersonalKind};
use hashbrown::HashSet;
use midsession_event::{Consent, Purpose, SourceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A secret text: shown as `***` wherever it is printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// What a shopper allows, in one word or by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum ConsentMode {
    /// Nothing: events are counted and not kept.
    None,
    /// Counting without a durable id.
    Cookieless,
    /// Every purpose.
    #[default]
    Full,
    /// These purposes.
    Purposes(Consent),
}

/// How it stands in the configuration.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    List(Vec<String>),
}

impl From<ConsentMode> for Written {
    fn from(mode: ConsentMode) -> Self {
        match mode {
            ConsentMode::None => Self::Word("none".into()),
            ConsentMode::Cookieless => Self::Word("cookieless".into()),
            ConsentMode::Full => Self::Word("full".into()),
            ConsentMode::Purposes(consent) => Self::List(consent.purposes().iter().map(ToString::to_string).collect()),
        }
    }
}

impl TryFrom<Written> for ConsentMode {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "`{what}` is neither none, cookieless, full nor a list of purposes (analytics, \
                 personalization, experiments, marketing)"
            ))
        };
        match written {
            Written::Word(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "cookieless" => Ok(Self::Cookieless),
                "full" => Ok(Self::Full),
                other => wrong(other),
            },
            Written::List(names) => {
                let mut consent = Consent::NONE;
                for name in names {
                    match Purpose::ALL.iter().find(|(_, known)| *known == name) {
                        Some((purpose, _)) => consent = consent.with(*purpose, true),
                        None => return wrong(&name),
                    }
                }
                Ok(Self::Purposes(consent))
            }
        }
    }
}

impl ConsentMode {
    /// The purposes.
    pub fn purposes(self) -> Consent {
        match self {
            Self::None => Consent::NONE,
            Self::Cookieless => Consent::COOKIELESS,
            Self::Full => Consent::FULL,
            Self::Purposes(consent) => consent,
        }
    }
}

/// What becomes of personal fields (they never reach an event as they are).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonalRule {
    /// They are left out.
    #[default]
    Drop,
    /// A keyed hash stands in for them.
    Hash,
    /// They are left out of the event and kept on `behavior-pii`, encrypted with a key per shopper.
    Encrypt,
}

/// One `[[source]]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// Its name, on every event.
    pub name: SourceId,
    /// The public key that trackers send; it can only write.
    pub write_key: String,
    /// What the console calls it.
    pub label: Option<String>,
    /// Snowplow app ids (`aid`) that belong to it; Snowplow trackers send no write key. `["*"]` takes every app id that is
    /// no other source's.
    pub app_ids: Vec<String>,
    /// Web origins that may send with credentials. Unset: any, while developing; else the shop's own host alone.
    pub allowed_origins: Option<Vec<String>>,
    /// Refuse unknown fields and unknown schemas instead of keeping what is known.
    pub strict: bool,
    /// What a shopper allows as long as the tracker says nothing.
    pub consent_default: ConsentMode,
    /// What the categories of the shop's consent tool stand for, beside their usual names: `{ "BG4" = ["analytics"] }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub consent_categories: BTreeMap<String, ConsentMode>,
    /// Custom properties and URL query parameters that are kept; `["*"]` keeps all. A property that is an object is kept
    /// with its members. Unset: every property, and the usual query parameters of search, category and product pages.
    /// Personal ones never pass.
    pub allowed_properties: Option<Vec<String>>,
    /// Free text that is kept, without what is personal in it.
    pub allowed_texts: Vec<FreeText>,
    /// Visitor and user ids are replaced by keyed hashes. (Ids that are e-mail addresses always are.)
    pub hash_ids: bool,
    /// What becomes of personal fields.
    pub personal_fields: PersonalRule,
    /// Which of them `encrypt` keeps; those of other kinds are left out. `ip` costs a record per event.
    pub encrypted_fields: Vec<PersonalKind>,
    /// Key of the hashes. Unset: derived from a secret in the keystore, for ids the same for all such sources, for personal
    /// fields each source's own.
    #[serde(skip_serializing)]
    pub hash_key: Option<Secret>,
    /// Cookie with which a shopper has said no; any value but empty, `0` and `false` counts.
    pub do_not_track_cookie: String,
    /// Name of the network user id cookie of Snowplow trackers.
    pub cookie_name: String,
    /// Domains that this cookie may be set for; the one that the origin's host ends with is taken.
    pub cookie_domains: Vec<String>,
    /// Share of visitors kept, from 0 to 1; by visitor, so that journeys stay whole.
    pub sample: f64,
    /// Bound on one event. Bytes.
    pub event_bytes: Option<usize>,
}

impl Source {
    /// Among [`Source::app_ids`]: every app id that is no other source's.
    pub const ANY_APP_ID: &str = "*";
}

impl Default for Source {
    fn default() -> Self {
        Self {
            name: "default".into(),
            write_key: String::new(),
            label: None,
            app_ids: Vec::new(),
            allowed_origins: None,
            strict: false,
            consent_default: ConsentMode::Full,
            consent_categories: BTreeMap::new(),
            allowed_properties: None,
            allowed_texts: FreeText::ALL.to_vec(),
            hash_ids: false,
            personal_fields: PersonalRule::Drop,
            encrypted_fields: vec![PersonalKind::Email, PersonalKind::Phone, PersonalKind::Name, PersonalKind::Address],
            hash_key: None,
            do_not_track_cookie: "doNotTrack".to_owned(),
            cookie_name: "sp".to_owned(),
            cookie_domains: Vec::new(),
            sample: 1.0,
            event_bytes: None,
        }
    }
}

/// A source's allow-list, ready to ask.
pub(crate) enum Allow {
    /// Nothing configured.
    Usual,
    All,
    Listed(HashSet<String, foldhash::fast::FixedState>),
}

impl Allow {
    pub fn new(list: Option<&[String]>) -> Self {
        match list {
            None => Self::Usual,
            Some(list) if list.iter().any(|name| name == "*") => Self::All,
            Some(list) => Self::Listed(list.iter().cloned().collect()),
        }
    }

    /// Whether a custom property is kept: it, or the object that it is a member of. Members of members are separated by
    /// points.
    pub fn property(&self, name: &str) -> bool {
        match self {
            Self::Usual | Self::All => true,
            Self::Listed(names) => {
                let mut objects = memchr::memchr_iter(b'.', name.as_bytes()).map(|point| &name[..point]);
                names.contains(name) || objects.any(|object| names.contains(object))
            }
        }
    }

    /// Whether a query parameter is kept.
    pub fn parameter(&self, name: &str) -> bool {
        const USUAL: [&str; 22] = [
            "q",
            "query",
            "search",
            "s",
            "k",
            "keyword",
            "keywords",
            "term",
            "page",
            "p",
            "sort",
            "order",
            "category",
            "cat",
            "brand",
            "color",
            "size",
            "sku",
            "product",
            "product_id",
            "variant",
            "filter",
        ];
        match self {
            Self::Usual => USUAL.contains(&name),
            Self::All => true,
            Self::Listed(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_toml() {
        let text = r#"
            name = "shop"
            write_key = "wk_1"
            allowed_origins = ["https://shop.example"]
            consent_default = "cookieless"
            personal_fields = "hash"
            hash_key = "s3cret"
        "#;
        let source: Source = toml::from_str(text).expect("a source");
        assert_eq!(source.consent_default, ConsentMode::Cookieless);
        assert!(!format!("{source:?}").contains("s3cret"));
        assert!(!toml::to_string(&source).expect("TOML").contains("s3cret"));
        let listed = "consent_default = [\"analytics\", \"experiments\"]\n";
        let source: Source = toml::from_str(listed).expect("a source");
        assert_eq!(source.consent_default, ConsentMode::Purposes(Consent(5)));
        assert!(toml::to_string(&source).expect("TOML").contains(listed.trim()));
        assert_eq!(source.allowed_texts, FreeText::ALL, "all, if nothing is said");
        let texts: Source = toml::from_str("allowed_texts = [\"campaign_term\"]").expect("a source");
        assert_eq!(texts.allowed_texts, [FreeText::CampaignTerm]);
        for wrong in ["\"yes\"", "[\"analitics\"]", "3"] {
            assert!(toml::from_str::<Source>(&format!("consent_default = {wrong}")).is_err(), "{wrong}");
        }
        assert!(toml::from_str::<Source>("nmae = \"x\"").is_err(), "a typo is told");
    }
}
