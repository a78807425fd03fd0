//! Definitions for tests that count what is added up beside the facts.

use midsession_event::{Event, ShopperId};
use midsession_machine::partial::{FieldWindow, Heard, Partial, Piece};
use midsession_machine::{Defined, Definitions, Partials};

/// The window that is counted over.
pub const HOUR: FieldWindow = FieldWindow { length_ms: 3_600_000, step_ms: 60_000 };

/// Under this slot one count over all events, and one over each shopper's lifetime; a definition stands for the slot that its
/// text names.
pub struct Counts(pub u32);

impl Definitions for Counts {
    fn slots(&self, defined: &Defined) -> Vec<u32> {
        defined.served().filter_map(|(_, version)| version.text.parse().ok()).collect()
    }
    fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        let piece =
            Piece { time_ms: event.occurred_at_ms, number: f64::NAN, text: None, currency: None, second: false };
        partials.fields.add(self.0, "all", &[HOUR], || Partial::Count(0), &piece, now_ms);
        let life = partials.lifetimes.heard(shopper, event.visitor_id.as_ref(), heard, now_ms);
        life.add(self.0, || Partial::Count(0), &piece);
    }
}
