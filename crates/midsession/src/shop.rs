//! The demo shop's own backend: prices from the catalogue, discount codes checked and used up once.

use crate::load::shoppers::{Product, catalog};
use bytes::Bytes;
use midsession_decide::codes::{Code, CodeError, verify};
use midsession_edge::Refusal;
use midsession_event::{
    DecisionId, EventName, OutputId, PartitionId, PropertyValue, Reaction, Topic, decode, encode, partition_of, plus,
    times,
};
use midsession_ports::{Append, Log, Unit};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The name under which a used code stands on `decision`.
const REDEEMED: &str = "redeemed";
/// The property that names the cart it was used for.
const CART: &str = "cart_id";
/// Longest id of a cart.
const CART_BYTES_MAX: usize = 256;
/// Pieces of one product in an order.
const QUANTITY_MAX: i64 = 999;

/// The demo shop.
pub struct DemoShop {
    log: Arc<dyn Log>,
    prices: BTreeMap<String, Product>,
    signing_key: Vec<u8>,
    clock: crate::driver::Clock,
    /// Decisions whose code was used, or is being used right now, each with the cart it was used for.
    used: Mutex<HashMap<u64, String>>,
}

impl DemoShop {
    /// Reads which codes were used from the log.
    pub fn open(log: Arc<dyn Log>, signing_key: &str, clock: crate::driver::Clock) -> Result<Self, String> {
        let mut used = HashMap::new();
        for partition in (0..log.partitions(Topic::Decision)).map(PartitionId) {
            crate::history::for_each(log.as_ref(), Topic::Decision, partition, 0, |entry| {
                if let Some(Ok(reaction)) = entry.value.as_deref().map(decode::<Reaction>)
                    && reaction.name.as_str() == REDEEMED
                {
                    let cart = match reaction.properties.get(CART) {
                        Some(PropertyValue::Text(cart)) => cart.to_string(),
                        _ => String::new(),
                    };
                    used.insert((reaction.decision_id.0 >> 64) as u64, cart);
                }
            })
            .map_err(|error| error.to_string())?;
        }
        let prices = catalog()?.into_iter().map(|product| (product.id.clone(), product)).collect();
        Ok(Self { log, prices, signing_key: signing_key.as_bytes().to_vec(), clock, used: Mutex::new(used) })
    }

    /// `{code, visitor_id?}` → `{percent}`; uses nothing up.
    pub fn coupon(&self, coupon: &Value) -> Result<Value, Refusal> {
        let code = self.verify(coupon)?;
        if self.used.lock().contains_key(&code.decision) {
            return Err(used_up());
        }
        Ok(json!({"percent": code.percent}))
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
            total = plus(total, times(product.price, quantity));
            currency = Some(product.currency.clone());
        }
        let with_code = order["code"].as_str().is_some_and(|code| !code.is_empty());
        let mut order_id = format!("o-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let discount = if with_code {
            let cart = order["cart_id"].as_str().unwrap_or_default();
            if cart.len() > CART_BYTES_MAX {
                return Err(Refusal::new(400, "cart_id_too_long", "cart_id: at most 256 bytes"));
            }
            let code = self.verify(order)?;
            self.redeem(code, cart).await?;
            if !cart.is_empty() {
                // An order that is sent again, its answer having been lost, is the same order.
                let again = midsession_event::hash64(&[&code.decision.to_string(), cart]);
                order_id = format!("o-{:012x}", again >> 16);
            }
            (total * f64::from(code.percent)).round() / 100.0
        } else {
            0.0
        };
        let total = ((total - discount) * 100.0).round() / 100.0;
        Ok(json!({"order_id": order_id, "total": total, "discount": discount, "currency": currency}))
    }

    /// A code that we signed, whether used or not.
    fn verify(&self, body: &Value) -> Result<Code, Refusal> {
        let code = body["code"].as_str().unwrap_or_default();
        let now_ms = (self.clock)() / 1000;
        verify(&self.signing_key, code, body["visitor_id"].as_str(), now_ms).map_err(|error| match error {
            CodeError::Unknown => {
                Refusal::new(404, "coupon_unknown", "This code is not valid here; check it for typing mistakes.")
            }
            CodeError::Expired => Refusal::new(410, "coupon_expired", "This code has expired."),
        })
    }

    /// Marks a code as used for a cart: at once in memory, so that of two orders one gets it, and on the log before the
    /// answer. The same cart gets it again; the one that has no id never.
    async fn redeem(&self, code: Code, cart: &str) -> Result<(), Refusal> {
        let is_first = match self.used.lock().entry(code.decision) {
            Entry::Vacant(place) => {
                place.insert(cart.to_owned());
                true
            }
            Entry::Occupied(used) if !cart.is_empty() && used.get() == cart => false,
            Entry::Occupied(_) => return Err(used_up()),
        };
        // A repeat is written again: the first one may still be on its way to the log.
        let done = self.append(DecisionId(u128::from(code.decision) << 64), cart).await;
        if done.is_ok() {
            self.used.lock().insert(code.decision, cart.to_owned());
        } else if is_first {
            self.used.lock().remove(&code.decision);
        }
        done
    }

    async fn append(&self, decision_id: DecisionId, cart: &str) -> Result<(), Refusal> {
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
            properties: BTreeMap::from([(CART.into(), PropertyValue::Text(cart.into()))]),
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
        self.log.append(Unit { records: vec![record], positions: Vec::new() }.into(), done);
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

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_engine_local::{Config, LocalLog, RealDisk};

    const KEY: &str = "a key";

    fn code() -> String {
        let (decision, visitor) = (DecisionId(7 << 64), "v1".into());
        midsession_decide::codes::issue(KEY.as_bytes(), decision, Some(&visitor), 10, 1_800_000_000_000)
    }

    fn shop(folder: &std::path::Path) -> DemoShop {
        let clock = Arc::new(|| 1_700_000_000_000);
        let log = LocalLog::open(Arc::new(RealDisk), clock, Config::new(folder)).expect("opens");
        DemoShop::open(Arc::new(log), KEY, Arc::new(|| 1_700_000_000_000_000)).expect("opens")
    }

    #[tokio::test]
    async fn an_order_sent_again_is_the_same_and_another_gets_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let code = code();
        let product = catalog().expect("products").remove(0).id;
        let order = |cart: &str| json!({"items": [{"id": product}], "code": code, "visitor_id": "v1", "cart_id": cart});
        let used = |answer: Result<Value, Refusal>| answer.expect_err("refused").code == "coupon_used";
        let first = {
            let shop = shop(folder.path());
            let first = shop.checkout(&order("c1")).await.expect("an order");
            assert!(first["discount"].as_f64().is_some_and(|discount| discount > 0.0), "{first}");
            assert_eq!(shop.checkout(&order("c1")).await.expect("the same"), first);
            assert!(used(shop.checkout(&order("c2")).await) && used(shop.checkout(&order("")).await));
            assert!(used(shop.coupon(&order("c1"))));
            first
        };
        let shop = shop(folder.path());
        assert_eq!(shop.checkout(&order("c1")).await.expect("the same after a restart"), first);
        assert!(used(shop.checkout(&order("c2")).await));
    }

    #[tokio::test]
    async fn without_an_id_of_its_cart_a_code_works_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let shop = shop(folder.path());
        let code = code();
        let order =
            json!({"items": [{"id": catalog().expect("products").remove(0).id}], "code": code, "visitor_id": "v1"});
        assert!(shop.checkout(&order).await.is_ok());
        assert!(shop.checkout(&order).await.is_err());
    }
}
