//! The demo shop's own backend: prices from the catalogue, discount codes checked and used up once.

use crate::load::shoppers::{Product, catalog};
use bytes::Bytes;
use midsession_decide::codes::{Code, CodeError, verify};
use midsession_edge::Refusal;
use midsession_event::{DecisionId, EventName, OutputId, PartitionId, Reaction, Topic, decode, encode, partition_of};
use midsession_ports::{Append, Log, Unit};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The name under which a used code stands on `decision`.
const REDEEMED: &str = "redeemed";
/// Pieces of one product in an order.
const QUANTITY_MAX: i64 = 999;

/// The demo shop.
pub struct DemoShop {
    log: Arc<dyn Log>,
    prices: BTreeMap<String, Product>,
    signing_key: Vec<u8>,
    clock: crate::driver::Clock,
    /// Decisions whose code was used, and those being used right now.
    used: Mutex<HashSet<u64>>,
}

impl DemoShop {
    /// Reads which codes were used from the log.
    pub fn open(log: Arc<dyn Log>, signing_key: &str, clock: crate::driver::Clock) -> Result<Self, String> {
        let mut used = HashSet::new();
        for partition in (0..log.partitions(Topic::Decision)).map(PartitionId) {
            crate::history::for_each(log.as_ref(), Topic::Decision, partition, 0, |entry| {
                if let Some(Ok(reaction)) = entry.value.as_deref().map(decode::<Reaction>)
                    && reaction.name.as_str() == REDEEMED
                {
                    used.insert((reaction.decision_id.0 >> 64) as u64);
                }
            })
            .map_err(|error| error.to_string())?;
        }
        let prices = catalog()?.into_iter().map(|product| (product.id.clone(), product)).collect();
        Ok(Self { log, prices, signing_key: signing_key.as_bytes().to_vec(), clock, used: Mutex::new(used) })
    }

    /// `{code, visitor_id?}` → `{percent}`; uses nothing up.
    pub fn coupon(&self, coupon: &Value) -> Result<Value, Refusal> {
        Ok(json!({"percent": self.check(coupon)?.percent}))
    }

    /// Places an order; a code that comes with it is used up first, durably.
    pub async fn checkout(&self, order: &Value) -> Result<Value, Refusal> {
        let items = order["items"].as_array().filter(|items| !items.is_empty() && items.len() <= 100);
        let items = items.ok_or_else(|| Refusal::new(400, "items_missing", "items: a list of 1 to 100 is needed"))?;
        let (mut total, mut currency) = (0.0, None);
        for (index, item) in items.iter().enumerate() {
            let id = item["id"].as_str().unwrap_or_default();
            let product = self.prices.get(id).ok_or_else(|| {
                Refusal::new(400, "product_unknown", format!("items[{index}].id: the shop has no `{id}`"))
            })?;
            let quantity = item["quantity"].as_i64().unwrap_or(1);
            if !(1..=QUANTITY_MAX).contains(&quantity) {
                let message = format!("items[{index}].quantity: 1 to {QUANTITY_MAX} are possible");
                return Err(Refusal::new(400, "quantity_impossible", message));
            }
            total += product.price * quantity as f64;
            currency = Some(product.currency.clone());
        }
        let with_code = order["code"].as_str().is_some_and(|code| !code.is_empty());
        let discount = if with_code {
            let code = self.check(order)?;
            self.redeem(code).await?;
            (total * f64::from(code.percent)).round() / 100.0
        } else {
            0.0
        };
        let order_id = format!("o-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let total = ((total - discount) * 100.0).round() / 100.0;
        Ok(json!({"order_id": order_id, "total": total, "discount": discount, "currency": currency}))
    }

    fn check(&self, body: &Value) -> Result<Code, Refusal> {
        let code = body["code"].as_str().unwrap_or_default();
        let now_ms = (self.clock)() / 1000;
        let code =
            verify(&self.signing_key, code, body["visitor_id"].as_str(), now_ms).map_err(|error| match error {
                CodeError::Unknown => {
                    Refusal::new(404, "coupon_unknown", "This code is not valid here; check it for typing mistakes.")
                }
                CodeError::Expired => Refusal::new(410, "coupon_expired", "This code has expired."),
            })?;
        if self.used.lock().contains(&code.decision) {
            return Err(used_up());
        }
        Ok(code)
    }

    /// Marks a code as used: at once in memory, so that of two orders one gets it, and on the log before the answer.
    async fn redeem(&self, code: Code) -> Result<(), Refusal> {
        if !self.used.lock().insert(code.decision) {
            return Err(used_up());
        }
        let done = self.append(DecisionId(u128::from(code.decision) << 64)).await;
        if done.is_err() {
            self.used.lock().remove(&code.decision);
        }
        done
    }

    async fn append(&self, decision_id: DecisionId) -> Result<(), Refusal> {
        let unavailable =
            |cause: String| Refusal::new(503, "log_unavailable", format!("{cause}; try again in a moment"));
        let reaction = Reaction {
            decision_id,
            rule: Default::default(),
            name: EventName::Custom(REDEEMED.into()),
            visitor_id: None,
            source: "shop".into(),
            occurred_at_ms: (self.clock)() / 1000,
            preview: false,
            bot: false,
            properties: BTreeMap::new(),
            cause: OutputId::default(),
        };
        let key = decision_id.to_string();
        let value = Some(Bytes::from(encode(&reaction).map_err(|error| unavailable(error.to_string()))?));
        let partition = partition_of(&key, self.log.partitions(Topic::Decision));
        let record = Append { topic: Topic::Decision, partition, key: Bytes::from(key), value };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // The order has given up waiting: nobody to tell.
            let _ = sender.send(result);
        });
        self.log.append(Unit { records: vec![record], positions: Vec::new() }, done);
        match receiver.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(_) => Err(unavailable("the log is closing".to_owned())),
        }
    }
}

fn used_up() -> Refusal {
    Refusal::new(409, "coupon_used", "This code has been used; each works once.")
}
