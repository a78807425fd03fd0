//! Definitions for tests that need none.

use midsession_event::{Event, SessionId};
use midsession_machine::{Ask, Definitions, Derived, View};

/// No rules.
pub struct Nothing;

impl Definitions for Nothing {
    fn derive(&self, _: &Event, _: &mut Vec<Derived>) {}
    fn idle_thresholds_ms(&self) -> &[i64] {
        &[]
    }
    fn on_event(&self, _: &View<'_>, _: &Event, _: &mut dyn FnMut(Ask)) {}
    fn on_idle(&self, _: &View<'_>, _: i64, _: &mut dyn FnMut(Ask)) {}
    fn allows(&self, _: &View<'_>, _: &str, _: SessionId) -> bool {
        true
    }
    fn version(&self, _: &str) -> Option<&str> {
        None
    }
    fn still_holds(&self, _: &View<'_>, _: &str) -> bool {
        true
    }
}
