//! Keys: `user:{id}:{feature}`, `session:{sid}:{metric}`, `product:{id}:{feature}` (or another field that features go by),
//! and `user:{id}`, `session:{sid}` as hashes; of a profile beside the configured one with its name in front.
//!
//! Every byte of an id, and of a field's name, outside `[A-Za-z0-9._@-]` is written `%XX`, so that no id can forge another key; and a key
//! written any other way does not exist.

use crate::backend::Entity;
use midsession_event::Str;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'@').remove(b'-');

/// A key taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub entity: Entity,
    /// A feature profile beside the loaded one.
    pub profile: Option<Str>,
    /// The feature; `None` is the hash of all of them.
    pub feature: Option<Str>,
}

impl Key {
    pub(super) fn parse(bytes: &[u8], is_field: impl Fn(&str) -> bool) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (first, rest) = text.split_once(':')?;
        let kind_of =
            |text: &str| unescape(text).filter(|kind| matches!(kind.as_str(), "user" | "session") || is_field(kind));
        let (profile, kind, rest) = match kind_of(first) {
            Some(kind) => (None, kind, rest),
            None => {
                let (kind, rest) = rest.split_once(':')?;
                (Some(first), kind_of(kind)?, rest)
            }
        };
        let (id, feature) = match rest.split_once(':') {
            // As some write it: user:{id}:feature:{name}.
            Some((id, feature)) => (id, Some(feature.strip_prefix("feature:").unwrap_or(feature))),
            None => (rest, None),
        };
        if feature.is_some_and(|feature| feature.is_empty() || feature.contains(':')) {
            return None;
        }
        let id = unescape(id)?;
        let entity = match kind.as_str() {
            "user" => Entity::User(id),
            "session" => Entity::Session(id),
            _ => Entity::Field { key: kind, id },
        };
        let profile = match profile {
            Some(profile) => Some(unescape(profile)?),
            None => None,
        };
        Some(Self { entity, profile, feature: feature.map(Into::into) })
    }
}

/// The key of an entity's hash.
pub(super) fn hash_key(entity: &Entity, profile: Option<&str>) -> String {
    let (kind, id) = match entity {
        Entity::User(id) => ("user", id),
        Entity::Session(id) => ("session", id),
        Entity::Field { key, id } => (key.as_str(), id),
    };
    let (kind, id) = (utf8_percent_encode(kind, ESCAPED), utf8_percent_encode(id, ESCAPED));
    match profile {
        None => format!("{kind}:{id}"),
        Some(profile) => format!("{}:{kind}:{id}", utf8_percent_encode(profile, ESCAPED)),
    }
}

fn unescape(text: &str) -> Option<Str> {
    let id = percent_decode_str(text).decode_utf8().ok().filter(|id| !id.is_empty())?;
    // One way to write each id.
    (utf8_percent_encode(&id, ESCAPED).to_string() == text).then(|| id.as_ref().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_apart() {
        let user = |id: &str, feature: Option<&str>, profile: Option<&str>| {
            let (feature, profile) = (feature.map(Str::from), profile.map(Str::from));
            Some(Key { entity: Entity::User(id.into()), profile, feature })
        };
        for (text, expected) in [
            ("user:u1", user("u1", None, None)),
            ("user:u1:order_count_24h", user("u1", Some("order_count_24h"), None)),
            ("live-shopper:user:u1:x_5m", user("u1", Some("x_5m"), Some("live-shopper"))),
            ("live-shopper:user:u1", user("u1", None, Some("live-shopper"))),
            ("user:u1:feature:x_5m", user("u1", Some("x_5m"), None)),
            ("user:u1:feature:", None),
            ("user:a%3Ab%20%C3%BC:x", user("a:b ü", Some("x"), None)),
            ("user:A.b_c-d@e", user("A.b_c-d@e", None, None)),
            ("user:", None),
            ("user", None),
            ("user::x", None),
            ("user:u1:", None),
            ("user:u1:x:y", None),
            ("user:a b", None),
            ("user:%61", None),
            ("user:%3a", None),
            ("user:%", None),
            ("user:%FF", None),
            ("cart:c1:x", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(Key::parse(text.as_bytes(), |_| false), expected, "{text}");
        }
        let field = |id: &str, feature: Option<&str>, profile: Option<&str>| {
            let (feature, profile) = (feature.map(Str::from), profile.map(Str::from));
            Some(Key { entity: Entity::Field { key: "product".into(), id: id.into() }, profile, feature })
        };
        for (text, expected) in [
            ("product:p1:views_1h", field("p1", Some("views_1h"), None)),
            ("product:p%3A1", field("p:1", None, None)),
            ("native:product:p1:views_1h", field("p1", Some("views_1h"), Some("native"))),
            ("products:p1:views_1h", None),
        ] {
            assert_eq!(Key::parse(text.as_bytes(), |kind| kind == "product"), expected, "{text}");
        }
        assert_eq!(Key::parse(b"user:\xff", |_| false), None);
        let (key, id) = (Str::from("properties.Store: ID"), Str::from("s1"));
        let entity = Entity::Field { key: key.clone(), id };
        assert_eq!(hash_key(&entity, None), "properties.Store%3A%20ID:s1");
        let parsed = Key::parse(b"native:properties.Store%3A%20ID:s1:views_1h", |kind| kind == key);
        assert_eq!(parsed.map(|key| key.entity), Some(entity));
    }

    #[test]
    fn no_id_forges_a_key() {
        for id in ["a:b", "a%3Ab", "x\r\n", "*", "ü", "user:u1:x", " "] {
            let key = hash_key(&Entity::Session(id.into()), None);
            assert_eq!(key.matches(':').count(), 1, "{key}");
            assert_eq!(Key::parse(key.as_bytes(), |_| false).map(|key| key.entity), Some(Entity::Session(id.into())));
        }
    }
}
