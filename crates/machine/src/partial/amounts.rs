//! What numbers are amounts of: those in two currencies have no sum, mean or order.

use midsession_event::Str;
use serde::{Deserialize, Serialize};

/// The currency of some amounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// What they are amounts of; none where nothing says it, or where they are mixed.
    pub currency: Option<Str>,
    /// They are amounts of different things.
    pub is_mixed: bool,
}

impl Amounts {
    pub(super) fn add(&mut self, currency: Option<&str>) {
        match (&self.currency, currency) {
            _ if self.is_mixed => {}
            (Some(known), Some(currency)) if known != currency => *self = Self { currency: None, is_mixed: true },
            (None, Some(currency)) => self.currency = Some(currency.into()),
            _ => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.is_mixed {
            *self = Self { currency: None, is_mixed: true };
        }
        self.add(other.currency.as_deref());
    }

    /// Whether nothing says what they are amounts of.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
