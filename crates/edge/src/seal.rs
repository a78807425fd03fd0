//! What is personal goes through the vault before it goes to the log: fields of events, bytes of refused ones.

use crate::{App, Unreadable};
use bytes::Bytes;
use midsession_collect::Collected;
use midsession_event::{CodecError, Event, Personal, Str, Topic, encode, partition_of};
use midsession_observe::Metric;
use midsession_ports::{Append, Scope, Seal, Sealed, VaultError};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// The record that a dead letter's bytes belong to.
pub fn bound_to_letter(source: &str, received_at_us: i64) -> Str {
    format!("dead-letter\n{source}\n{received_at_us}").into()
}

/// The record that personal fields belong to.
pub fn bound_to_personal(source: &str, event_id: &str) -> Str {
    format!("behavior-pii\n{source}\n{event_id}").into()
}

/// Why nothing was sealed.
pub(crate) enum Unsealed {
    Vault(VaultError),
    Codec(CodecError),
    Unknown(Unreadable),
}

/// Seals what is personal of a request: the bytes of refused events where they stand, fields of events as records of
/// their own, to be made durable with them. Keys are durable before this answers.
pub(crate) async fn all(app: &App, collected: &mut Collected, received_at_us: i64) -> Result<Vec<Append>, Unsealed> {
    withhold(app, collected).await.map_err(Unsealed::Unknown)?;
    let letters = collected.rejects.iter().map(|rejected| &rejected.reject).filter(|reject| !reject.payload.is_empty());
    let letters = letters.map(|reject| Seal {
        scope: Scope::DeadLetter,
        whose: None,
        bound: bound_to_letter(reject.source.as_str(), reject.received_at_us),
        plain: reject.payload.clone(),
    });
    let fields = collected.personal.iter().filter_map(|kept| {
        let event = collected.events.get(kept.event)?;
        let text = |(name, value): (&Str, &Str)| (name.to_string(), Value::from(value.as_str()));
        let by_kind: Map<String, Value> = kept
            .fields
            .iter()
            .map(|(kind, fields)| (kind.as_str().to_owned(), fields.iter().map(text).collect::<Map<_, _>>().into()))
            .collect();
        Some(Seal {
            scope: Scope::Personal,
            whose: Some(kept.whose.clone()),
            bound: bound_to_personal(event.source.as_str(), event.event_id.as_str()),
            plain: Value::from(by_kind).to_string().into_bytes(),
        })
    });
    let items: Vec<Seal> = letters.chain(fields).collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut sealed = seal(app, items, received_at_us / 1_000).await.map_err(Unsealed::Vault)?.into_iter();
    for reject in collected.rejects.iter_mut().map(|rejected| &mut rejected.reject) {
        if !reject.payload.is_empty() {
            reject.payload = sealed.next().flatten().unwrap_or_default();
        }
    }
    let mut records = Vec::with_capacity(collected.personal.len());
    for kept in &collected.personal {
        let Some(event) = collected.events.get(kept.event) else { continue };
        let Some(sealed) = sealed.next().flatten() else {
            app.observe.metrics.add_by(Metric::PersonalDropped, event.source.as_str(), 1);
            continue;
        };
        let personal = Personal {
            event_id: event.event_id.clone(),
            source: event.source.clone(),
            received_at_us,
            kinds: kept.fields.keys().map(|kind| kind.as_str().into()).collect(),
            sealed,
        };
        let key = event.event_id.as_str();
        records.push(Append {
            topic: Topic::BehaviorPii,
            partition: partition_of(key, app.behavior_partitions),
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Some(encode(&personal).map_err(Unsealed::Codec)?.into()),
        });
        app.observe.metrics.add_by(Metric::PersonalSealed, event.source.as_str(), 1);
    }
    Ok(records)
}

/// Leaves out what is personal of shoppers who have withdrawn that, by whichever device they said so.
async fn withhold(app: &App, collected: &mut Collected) -> Result<(), Unreadable> {
    if collected.personal.is_empty() {
        return Ok(());
    }
    let sender = |event: &Event| (event.visitor_id.clone(), event.user_id.clone());
    let of_event = |at: usize| collected.events.get(at).map(sender).unwrap_or_default();
    let senders = collected.personal.iter().map(|kept| of_event(kept.event)).collect();
    let mut may_keep = app.backend.may_keep(senders).await?.into_iter();
    let Collected { personal, events, .. } = collected;
    personal.retain(|kept| {
        let stays = may_keep.next().unwrap_or(false);
        if let (false, Some(event)) = (stays, events.get(kept.event)) {
            app.observe.metrics.add_by(Metric::PersonalWithheld, event.source.as_str(), 1);
        }
        stays
    });
    Ok(())
}

async fn seal(app: &App, items: Vec<Seal>, now_ms: i64) -> Result<Sealed, VaultError> {
    let (sender, receiver) = oneshot::channel();
    // Who asked may have gone.
    app.vault.seal(items, now_ms, Box::new(move |sealed| drop(sender.send(sealed))));
    receiver.await.unwrap_or(Err(VaultError::Busy))
}
