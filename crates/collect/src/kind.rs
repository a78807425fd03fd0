//! The personal fields that a source may keep under encryption: which kind a field is of, by its name.

use crate::{field_name, personal};
use midsession_event::{ShopperId, Str};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A kind of personal field. What is of none of them (passwords, cards, birthdays) is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonalKind {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Names of people.
    Name,
    /// Postal addresses and their parts.
    Address,
    /// The address that the request came from, or that the tracker names.
    Ip,
}

impl PersonalKind {
    /// As written in a record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Name => "name",
            Self::Address => "address",
            Self::Ip => "ip",
        }
    }

    /// The kind of a field whose name is personal.
    pub(crate) fn of_name(path: &str) -> Option<Self> {
        // The innermost segment that is personal in itself says what it is.
        let named = path.rsplit('.').find(|segment| personal::is_personal_name(segment)).unwrap_or(path);
        if let Some(kind) = field_name::kind_of(named) {
            return kind;
        }
        let plain: String =
            named.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(64).collect();
        let has = |words: &[&str]| words.iter().any(|word| plain.contains(word));
        // Never kept, whatever else the name says.
        if has(&["card", "iban", "ssn", "passw", "birth", "dob"]) && !plain.ends_with("holdername") {
            None
        } else if has(&["mail"]) {
            Some(Self::Email)
        } else if plain.ends_with("ipaddress") || ["ip", "remoteaddr", "clientip"].contains(&plain.as_str()) {
            Some(Self::Ip)
        } else if has(&["phone", "mobile", "fax"]) || plain == "tel" {
            Some(Self::Phone)
        } else if has(&["address", "street", "city", "post", "zip"]) {
            Some(Self::Address)
        } else if has(&["name", "recipient", "contact"]) {
            Some(Self::Name)
        } else {
            None
        }
    }
}

/// Fields by kind and name.
pub type PersonalFields = BTreeMap<PersonalKind, BTreeMap<Str, Str>>;

/// What is personal in one event, to be encrypted; never in the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Index in the events that were collected.
    pub event: usize,
    /// Whose it is.
    pub whose: ShopperId,
    /// What.
    pub fields: PersonalFields,
}

/// Most fields of one event.
const FIELDS_MAX: usize = 64;

/// Where the fields of an event are put on their way.
#[derive(Debug, Default)]
pub(crate) struct Keeping<'s> {
    /// What the source keeps.
    pub kinds: &'s [PersonalKind],
    pub fields: PersonalFields,
}

impl Keeping<'_> {
    /// Keeps a value, if its kind is kept.
    pub fn keep(&mut self, kind: Option<PersonalKind>, name: &str, value: &str) {
        let Some(kind) = kind.filter(|kind| self.kinds.contains(kind)) else { return };
        let count: usize = self.fields.values().map(BTreeMap::len).sum();
        if count < FIELDS_MAX && !value.is_empty() {
            self.fields.entry(kind).or_default().insert(name.into(), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kind() {
        use PersonalKind::{Address, Email, Ip, Name, Phone};
        for (name, kind) in [
            ("email", Some(Email)),
            ("traits.email", Some(Email)),
            ("customer_emailAddress", Some(Email)),
            ("billingPhone", Some(Phone)),
            ("tel", Some(Phone)),
            ("first_name", Some(Name)),
            ("cardholder_name", Some(Name)),
            ("recipient", Some(Name)),
            ("shipping.address.line1", Some(Address)),
            ("zip-code", Some(Address)),
            ("user_ipaddress", Some(Ip)),
            ("$ip", Some(Ip)),
            ("password", None),
            ("creditcard", None),
            ("card_number", None),
            ("birthday", None),
            ("iban", None),
            ("customer.name", Some(Name)),
            ("klant_gsm", Some(Phone)),
            ("Prénom", Some(Name)),
            ("shipping_line2", Some(Address)),
            ("geburtsdatum", None),
        ] {
            assert_eq!(PersonalKind::of_name(name), kind, "{name}");
        }
    }
}
