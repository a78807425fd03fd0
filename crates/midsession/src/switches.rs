//! The live switches of interventions: on or off, dry run, holdout. Turned at run time, kept on `definition`.

use bytes::Bytes;
use midsession_edge::Change;
use midsession_event::{Definition, PartitionId, Str, Topic, decode, encode};
use midsession_ports::{Append, Log, LogError, Unit};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was turned away from the definition; absent values are as defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Switch {
    /// On or off.
    pub enabled: Option<bool>,
    /// Decide, count, show nothing.
    pub dry_run: Option<bool>,
    /// Share of shoppers that see nothing, 0 to 1.
    pub holdout: Option<f64>,
}

/// All switches by rule.
#[derive(Debug, Default)]
pub struct Switches {
    by_rule: RwLock<BTreeMap<Str, Switch>>,
}

const KIND: &str = "intervention-switch";

impl Switches {
    /// Reads what was turned before.
    pub fn load(log: &dyn Log) -> Result<Self, LogError> {
        let mut by_rule = BTreeMap::new();
        crate::history::for_each(log, Topic::Definition, PartitionId(0), 0, |entry| {
            if let Some(Ok(definition)) = entry.value.as_deref().map(decode::<Definition>)
                && definition.kind == KIND
                && let Ok(switch) = serde_json::from_str(&definition.body)
            {
                by_rule.insert(definition.name, switch);
            }
        })?;
        Ok(Self { by_rule: RwLock::new(by_rule) })
    }

    /// How a rule's switches stand.
    pub fn get(&self, rule: &str) -> Switch {
        self.by_rule.read().get(rule).copied().unwrap_or_default()
    }

    /// Turns switches: in force at once, answered when durable.
    pub async fn turn(&self, log: &Arc<dyn Log>, rule: &str, change: Change, now_ms: i64) -> Result<(), String> {
        let switch = {
            let mut by_rule = self.by_rule.write();
            let switch = by_rule.entry(rule.into()).or_default();
            switch.enabled = change.enabled.or(switch.enabled);
            switch.dry_run = change.dry_run.or(switch.dry_run);
            switch.holdout = change.holdout.or(switch.holdout);
            *switch
        };
        let body = serde_json::to_string(&switch).map_err(|error| error.to_string())?;
        let definition = Definition { kind: KIND.into(), name: rule.into(), body: body.into(), at_ms: now_ms };
        let value = Some(Bytes::from(encode(&definition).map_err(|error| error.to_string())?));
        let key = Bytes::from(format!("{KIND}/{rule}"));
        let record = Append { topic: Topic::Definition, partition: PartitionId(0), key, value };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever turned it has gone: it is turned all the same.
            let _ = sender.send(result);
        });
        log.append(Unit { records: vec![record], positions: Vec::new() }, done);
        match receiver.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the log is closing".to_owned()),
        }
    }
}
