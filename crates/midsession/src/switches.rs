//! The live switches of interventions: on or off, dry run, holdout. Turned at run time, kept on `definition`.

use midsession_edge::Change;
use midsession_event::Str;
use midsession_ports::{Log, LogError};
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
        crate::records::of_kind(log, KIND, |rule, switch| {
            by_rule.insert(rule, switch);
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
        crate::records::put(log.as_ref(), KIND, rule, &switch, now_ms).await
    }
}
