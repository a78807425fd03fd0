//! What the demo's shops know of their products: the catalogue with prices and stock, and the items of the replay.

use super::replay;
use super::shoppers::Product;
use crate::context::ContextTables;
use midsession_event::{Context, ContextKind, PropertyValue, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Stock is told again so often: it counts as fresh for longer.
const STOCK_EVERY: Duration = Duration::from_secs(300);
/// Pieces of each product that the demo shop has.
const STOCK: i64 = 25;

/// Loads what is not loaded yet of catalogue, prices, stock and the replay's items.
pub async fn load(context: &Arc<ContextTables>, catalog: &[Product], with_replay: bool) -> Result<(), String> {
    let text = |text: &str| PropertyValue::Text(text.into());
    let mut rows: Vec<Context> = Vec::new();
    for product in catalog {
        let named = [("name", &product.name), ("category", &product.category), ("brand", &product.brand)];
        rows.push(row(ContextKind::Product, &product.id, named.map(|(name, value)| (name, text(value)))));
        let price = [("price", PropertyValue::Float(product.price)), ("currency", text(&product.currency))];
        rows.push(row(ContextKind::Price, &product.id, price));
    }
    if with_replay {
        // All that the sample tells of an item is its number.
        let items: BTreeSet<u64> = replay::sample()?.iter().map(|click| click.item).collect();
        let named = |item: u64| {
            row(ContextKind::Product, &replay::product_id(item), [("name", text(&format!("bol.com item {item}")))])
        };
        rows.extend(items.into_iter().map(named));
    }
    rows.retain(|row| !context.has(row));
    put(context, rows).await?;
    put(context, stock(catalog)).await
}

/// Tells the stock until told to stop.
pub async fn run(context: Arc<ContextTables>, catalog: Arc<Vec<Product>>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(STOCK_EVERY) => {}
            _ = stop.changed() => return,
        }
        if let Err(cause) = put(&context, stock(&catalog)).await {
            tracing::warn!(%cause, "the demo shop's stock could not be told");
        }
    }
}

fn stock(catalog: &[Product]) -> Vec<Context> {
    let row = |product: &Product| row(ContextKind::Inventory, &product.id, [("stock", PropertyValue::Int(STOCK))]);
    catalog.iter().map(row).collect()
}

fn row<const N: usize>(kind: ContextKind, id: &str, values: [(&str, PropertyValue); N]) -> Context {
    let values: BTreeMap<Str, PropertyValue> = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Context { kind, id: id.into(), values: values.into() }
}

async fn put(context: &Arc<ContextTables>, rows: Vec<Context>) -> Result<(), String> {
    context.put(rows).await.map(|_| ()).map_err(|refusal| refusal.to_string())
}
