//! The native event names, and the one table that maps each tracker dialect onto them.

use crate::Str;
use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// What happened: one of the native names, or a custom one.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other name, as sent.
            Custom(Str),
        }

        impl EventName {
            /// Every native name.
            pub const NATIVE: &'static [EventName] = &[$(EventName::$variant,)*];

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $name,)* Self::Custom(name) => name }
            }

            /// An order or the refund of one: what has a revenue.
            pub fn is_order(&self) -> bool {
                matches!(self, Self::Transaction | Self::Refund)
            }
        }

        impl From<&str> for EventName {
            fn from(name: &str) -> Self {
                match name { $($name => Self::$variant,)* other => Self::Custom(Str::from(other)) }
            }
        }
    };
}

names! {
    PageView = "page_view", PagePing = "page_ping", ProductView = "product_view", ListView = "list_view",
    ListClick = "list_click", Search = "search", PromoView = "promo_view", PromoClick = "promo_click",
    AddToCart = "add_to_cart", RemoveFromCart = "remove_from_cart", CartView = "cart_view",
    CheckoutStep = "checkout_step", Transaction = "transaction", Refund = "refund", Login = "login",
    Logout = "logout", Consent = "consent", Exposure = "exposure", Painted = "painted", Click = "click",
    Dismiss = "dismiss",
}

impl std::fmt::Display for EventName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for EventName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EventName;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event name")
            }
            fn visit_str<E>(self, name: &str) -> Result<EventName, E> {
                Ok(EventName::from(name))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// Whose words an event came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Snowplow: `e` parameters and the ecommerce action types.
    Snowplow,
    /// Segment's ecommerce specification v2; RudderStack's and PostHog's specifications use the same names.
    Segment,
    /// PostHog's own names.
    PostHog,
    /// Google Analytics 4.
    Ga4,
}

/// The one mapping: native name, then the dialects' names for it. `step` events carry the number of the step where
/// the name alone implies it.
pub struct MappingRow {
    /// Our name.
    pub name: EventName,
    /// The checkout step that the foreign name stands for.
    pub step: Option<i32>,
    /// Names in each dialect.
    pub snowplow: &'static [&'static str],
    /// Segment, RudderStack and PostHog's ecommerce specification.
    pub segment: &'static [&'static str],
    /// PostHog's own.
    pub posthog: &'static [&'static str],
    /// GA4.
    pub ga4: &'static [&'static str],
}

macro_rules! mapping {
    ($($variant:ident $(step $step:literal)?: [$($sp:literal),*] [$($seg:literal),*] [$($ph:literal),*] [$($ga:literal),*];)*) => {
        &[$(MappingRow {
            name: EventName::$variant,
            step: { #[allow(unused_mut, unused_assignments)] let step: Option<i32> = None; $(let step: Option<i32> = { let _ = step; Some($step) };)? step },
            snowplow: &[$($sp),*], segment: &[$($seg),*], posthog: &[$($ph),*], ga4: &[$($ga),*],
        },)*]
    };
}

/// The mapping table. Sources: Snowplow's `snowplow_ecommerce_action` 1-0-2 and tracker protocol, Segment's
/// ecommerce specification v2, PostHog's event names, GA4's recommended events.
pub const MAPPING: &[MappingRow] = mapping! {
    PageView: ["pv", "page_view"] ["Page Viewed"] ["$pageview"] ["page_view"];
    PagePing: ["pp", "page_ping"] [] [] ["user_engagement"];
    ProductView: ["product_view"] ["Product Viewed"] [] ["view_item"];
    ListView: ["list_view"] ["Product List Viewed", "Product List Filtered"] [] ["view_item_list"];
    ListClick: ["list_click"] ["Product Clicked"] [] ["select_item"];
    Search: ["site_search", "search"] ["Products Searched"] [] ["search", "view_search_results"];
    PromoView: ["promo_view"] ["Promotion Viewed"] [] ["view_promotion"];
    PromoClick: ["promo_click"] ["Promotion Clicked"] [] ["select_promotion"];
    AddToCart: ["add_to_cart"] ["Product Added"] [] ["add_to_cart"];
    RemoveFromCart: ["remove_from_cart"] ["Product Removed"] [] ["remove_from_cart"];
    CartView: ["cart_view"] ["Cart Viewed"] [] ["view_cart"];
    CheckoutStep step 1: [] ["Checkout Started"] [] ["begin_checkout"];
    CheckoutStep step 2: [] [] [] ["add_shipping_info"];
    CheckoutStep step 3: [] ["Payment Info Entered"] [] ["add_payment_info"];
    CheckoutStep: ["checkout_step"] ["Checkout Step Viewed", "Checkout Step Completed"] [] [];
    Transaction: ["transaction"] ["Order Completed"] [] ["purchase"];
    Refund: ["refund"] ["Order Refunded"] [] ["refund"];
    Login: ["login"] ["Signed In"] ["$identify"] ["login"];
    Logout: ["logout"] ["Signed Out"] [] ["logout"];
};

/// The native name (and the step it implies) of a foreign one; unknown names stay as they are, as custom events.
pub fn canonical_name(dialect: Dialect, foreign: &str) -> (EventName, Option<i32>) {
    let names = |row: &MappingRow| match dialect {
        Dialect::Snowplow => row.snowplow,
        Dialect::Segment => row.segment,
        Dialect::PostHog => row.posthog,
        Dialect::Ga4 => row.ga4,
    };
    let find = |pick: &dyn Fn(&MappingRow) -> bool| MAPPING.iter().find(|row| pick(row));
    let row = find(&|row| names(row).contains(&foreign)).or_else(|| {
        // PostHog users send Segment's ecommerce names.
        (dialect == Dialect::PostHog).then(|| find(&|row| row.segment.contains(&foreign)))?
    });
    match row {
        Some(row) => (row.name.clone(), row.step),
        None => (EventName::from(foreign), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_reaches_the_same_name() {
        for (dialect, foreign) in [
            (Dialect::Snowplow, "add_to_cart"),
            (Dialect::Segment, "Product Added"),
            (Dialect::PostHog, "Product Added"),
            (Dialect::Ga4, "add_to_cart"),
        ] {
            assert_eq!(canonical_name(dialect, foreign).0, EventName::AddToCart);
        }
        assert_eq!(canonical_name(Dialect::Ga4, "begin_checkout"), (EventName::CheckoutStep, Some(1)));
        assert_eq!(canonical_name(Dialect::Segment, "Song Played").0, EventName::Custom("Song Played".into()));
    }

    #[test]
    fn no_foreign_name_stands_twice() {
        for pick in [
            |row: &MappingRow| row.snowplow,
            |row: &MappingRow| row.segment,
            |row: &MappingRow| row.posthog,
            |row: &MappingRow| row.ga4,
        ] {
            let mut all: Vec<_> = MAPPING.iter().flat_map(|row| pick(row).iter()).collect();
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }
}
