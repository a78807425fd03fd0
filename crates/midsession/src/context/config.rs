//! `[context]`: how much the tables take, how old a row may be, and whose job each kind is.

use midsession_collect::context::PerKind;
use midsession_event::{ContextKind, Str};
use serde::{Deserialize, Serialize};

/// The context tables.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ContextConfig {
    /// Rows of each kind at most.
    pub rows_max: u32,
    /// Names and values of one row at most. Bytes.
    pub row_bytes_max: u32,
    /// A row that was loaded longer ago is joined, marked stale, and nothing is made of it; 0 for any age. s.
    pub max_age_s: MaxAges,
    /// Who is told in a miss.
    pub owner: Owners,
}

macro_rules! per_kind {
    ($(#[$doc:meta])* $name:ident of $type:ty: $($field:ident $variant:ident = $default:expr;)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $(pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default.into(),)* }
            }
        }

        impl $name {
            /// By kind.
            pub fn per_kind<T>(&self, each: impl Fn(&$type) -> T) -> PerKind<T> {
                PerKind::of(|kind| match kind { $(ContextKind::$variant => each(&self.$field),)* })
            }
        }
    };
}

per_kind! {
    /// The oldest that a row may be, by kind. s.
    MaxAges of u32:
    product Product = 0u32;
    price Price = 86_400u32;
    inventory Inventory = 900u32;
    segment Segment = 0u32;
    promotion Promotion = 0u32;
    profile Profile = 0u32;
    location Location = 0u32;
    delivery Delivery = 86_400u32;
}

per_kind! {
    /// Owners by kind.
    Owners of Str:
    product Product = "catalogue";
    price Price = "pricing";
    inventory Inventory = "inventory";
    segment Segment = "crm";
    promotion Promotion = "marketing";
    profile Profile = "crm";
    location Location = "logistics";
    delivery Delivery = "logistics";
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { rows_max: 2_000_000, row_bytes_max: 4_096, max_age_s: MaxAges::default(), owner: Owners::default() }
    }
}

impl ContextConfig {
    /// What is wrong beyond the types, with a text of the file that stands where it is.
    pub fn check(&self) -> Result<(), (String, String)> {
        let Self { rows_max, row_bytes_max, .. } = self;
        if *rows_max == 0 {
            return Err(("rows_max".into(), "context.rows_max = 0: takes at least 1".into()));
        }
        if !(64..=65_536).contains(row_bytes_max) {
            let what = format!("context.row_bytes_max = {row_bytes_max}: takes 64 to 65536");
            return Err(("row_bytes_max".into(), what));
        }
        Ok(())
    }
}
