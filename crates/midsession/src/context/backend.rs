//! The context tables behind the listeners.

use crate::backend::AppBackend;
use midsession_collect::ConsentInForce;
use midsession_collect::context::RowLimits;
use midsession_edge::{Answer, Context, Refusal};
use midsession_event::{ContextKind, EnrichmentMiss, Event, Str};
use serde_json::Value;
use std::collections::BTreeSet;

impl Context for AppBackend {
    fn enrich(&self, events: &mut [Event], now_ms: i64) -> Vec<EnrichmentMiss> {
        // Of a user who has withdrawn, on a device that has not been told yet: who it is has to be known, and nothing else.
        let withdrawn = &self.0.world.withdrawn;
        let is_tie = |event: &Event| withdrawn.of(event.visitor_id.as_ref(), event.user_id.as_ref()).is_tie;
        self.0.context.enrich(events, now_ms, |event| withdrawn.is_empty() || !is_tie(event))
    }

    fn row_limits(&self) -> RowLimits {
        self.0.context.limits()
    }

    fn leave_out(&self, rows: &mut [midsession_event::Context]) -> BTreeSet<Str> {
        self.0.context.leave_out(rows)
    }

    fn put(&self, rows: Vec<midsession_event::Context>) -> Answer<'_, Result<Vec<Option<i64>>, Refusal>> {
        Box::pin(self.0.context.put(rows))
    }

    fn remove(&self, kind: ContextKind, id: Str) -> Answer<'_, Result<Option<i64>, Refusal>> {
        Box::pin(async move { self.0.context.remove(kind, &id).await })
    }

    fn row(&self, kind: ContextKind, id: &str) -> Option<Value> {
        self.0.context.row(kind, id, self.0.now_ms())
    }

    fn tables(&self) -> Value {
        self.0.context.overview()
    }
}
