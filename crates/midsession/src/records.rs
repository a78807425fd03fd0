//! Records of `definition`: what was put in force at run time, read back at the start.

use bytes::Bytes;
use midsession_event::{Definition, PartitionId, Str, Topic, decode, encode};
use midsession_ports::{Append, Log, LogError, Unit};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every body of this kind that can be read, with its name, oldest first.
pub(crate) fn of_kind<T: DeserializeOwned>(
    log: &dyn Log,
    kind: &str,
    mut each: impl FnMut(Str, T),
) -> Result<(), LogError> {
    crate::history::for_each(log, Topic::Definition, PartitionId(0), 0, |entry| {
        if let Some(Ok(definition)) = entry.value.as_deref().map(decode::<Definition>)
            && definition.kind == kind
            && let Ok(body) = serde_json::from_str(&definition.body)
        {
            each(definition.name, body);
        }
    })
}

/// Puts one on the log; answered when it is durable.
pub(crate) async fn put<T: Serialize>(
    log: &dyn Log,
    kind: &str,
    name: &str,
    body: &T,
    at_ms: i64,
) -> Result<(), String> {
    let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
    let definition = Definition { kind: kind.into(), name: name.into(), body: body.into(), at_ms };
    let value = Some(Bytes::from(encode(&definition).map_err(|error| error.to_string())?));
    let key = Bytes::from(format!("{kind}/{name}"));
    let record = Append { topic: Topic::Definition, partition: PartitionId(0), key, value };
    append(log, Unit { records: vec![record], positions: Vec::new() }).await
}

/// Puts a unit on the log; answered when it is durable.
pub(crate) async fn append(log: &dyn Log, unit: Unit) -> Result<(), String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = Box::new(move |result| {
        // Whoever asked has gone: it is in force all the same.
        let _ = sender.send(result);
    });
    log.append(unit.into(), done);
    match receiver.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the log is closing".to_owned()),
    }
}
