//! A backend's context tables.

use super::*;

impl Context for Rows {
    fn enrich(&self, events: &mut [Event], now_ms: i64) -> Vec<EnrichmentMiss> {
        let brands = self.context.lock().expect("lock");
        let mut misses = Vec::new();
        for event in events {
            for product in &mut event.products {
                match brands.iter().find(|row| row.id == product.id.0) {
                    Some(row) => product.brand = row.values.text("brand").cloned(),
                    None => misses.push(EnrichmentMiss {
                        kind: ContextKind::Product,
                        id: Some(product.id.0.clone()),
                        owner: "catalogue".into(),
                        source: event.source.clone(),
                        event_id: event.event_id.clone(),
                        misses: 1,
                        at_ms: now_ms,
                    }),
                }
            }
        }
        misses
    }
    fn row_limits(&self) -> RowLimits {
        RowLimits { row_bytes: 100 }
    }
    fn leave_out(&self, rows: &mut [midsession_event::Context]) -> std::collections::BTreeSet<Str> {
        let mut columns = midsession_collect::context::Columns::default();
        rows.iter_mut().flat_map(|row| columns.leave_out(row)).map(|left| left.name).collect()
    }
    fn put(&self, rows: Vec<midsession_event::Context>) -> Answer<'_, Result<Vec<Option<i64>>, Refusal>> {
        Box::pin(async move {
            if let Some(refusal) = self.context_refusal.lock().expect("lock").clone() {
                return Err(refusal);
            }
            let mut context = self.context.lock().expect("lock");
            let mut versions = Vec::new();
            for row in rows {
                context.retain(|known| (known.kind, &known.id) != (row.kind, &row.id));
                let fits = context.iter().filter(|known| known.kind == row.kind).count() < 2;
                versions.push(fits.then_some(7));
                context.extend(Some(row).filter(|_| fits));
            }
            Ok(versions)
        })
    }
    fn remove(&self, kind: ContextKind, id: Str) -> Answer<'_, Result<Option<i64>, Refusal>> {
        Box::pin(async move {
            if let Some(refusal) = self.context_refusal.lock().expect("lock").clone() {
                return Err(refusal);
            }
            let mut context = self.context.lock().expect("lock");
            let before = context.len();
            context.retain(|known| (known.kind, &known.id) != (kind, &id));
            Ok((context.len() < before).then_some(8))
        })
    }
    fn row(&self, kind: ContextKind, id: &str) -> Option<Value> {
        let context = self.context.lock().expect("lock");
        let row = context.iter().find(|row| row.kind == kind && row.id == id)?;
        Some(json!({ "kind": kind, "id": id, "version": 7, "values": row.values }))
    }
    fn tables(&self) -> Value {
        json!({ "tables": [], "misses": [] })
    }
}
