//! What a rule's condition looks at: a shopper's features, and the event where there is one.

use midsession_event::Event;
use midsession_feature::expr::{Env, Field};
use midsession_feature::{FeatureSet, Val};
use midsession_machine::View;

/// A shopper at an instant, seen through the features.
#[derive(Clone, Copy)]
pub(crate) struct ShopperEnv<'a> {
    pub(crate) features: &'a FeatureSet,
    pub(crate) view: &'a View<'a>,
    pub(crate) event: Option<&'a Event>,
}

impl<'a> Env<'a> for ShopperEnv<'a> {
    fn field(&self, field: &Field, at: usize) -> Val<'a> {
        self.event.map_or(Val::Absent, |event| field.get(event, 0, at))
    }

    fn products(&self) -> usize {
        self.event.map_or(0, |event| event.products.len())
    }

    fn feature(&self, entry: u32) -> Val<'a> {
        self.features.val(self.view, entry)
    }

    fn now_ms(&self) -> Val<'a> {
        Val::Int(self.view.now_ms)
    }
}
