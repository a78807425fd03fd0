//! Features and interventions composed: what the configuration adds to the machine, and the desk that decides.

use crate::config::Config;
use crate::context::ContextTables;
use crate::driver::{Cause, Clock, Decider};
use crate::switches::Switches;
use midsession_decide::{Definitions as Interventions, Live, Rules, decide};
use midsession_event::{Decision, Event, PropertyValue, SessionId, Str};
use midsession_feature::expr::Type;
use midsession_feature::{Diagnostic, FeatureSet, Key};
use midsession_machine::{Ask, Candidate, Definitions, Derived, View};
use midsession_observe::{Metric, Observe};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that is defined, compiled.
#[derive(Clone, Debug)]
pub struct Assembly {
    profile: Str,
    features: Arc<FeatureSet>,
    rules: Rules,
}

/// Whose features there are.
const KEYS: [Key; 2] = [Key::User, Key::Session];

/// A definition file: its name in messages, and its text.
type Source = (String, String);

impl Assembly {
    /// Compiles the definitions of a configuration; a failure names every mistake.
    pub fn load(config: &Config, demo: bool) -> Result<Self, String> {
        Self::compile(config, demo).map_err(|mistakes| {
            let lines: Vec<String> = mistakes.iter().map(Diagnostic::to_string).collect();
            format!("the definitions have mistakes:\n{}", lines.join("\n"))
        })
    }

    /// Compiles the definitions of a configuration.
    pub fn compile(config: &Config, demo: bool) -> Result<Self, Vec<Diagnostic>> {
        let files = files(config, demo)?;
        let sources: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let features = Arc::new(FeatureSet::load(&sources)?);
        let mut interventions = Interventions::default();
        let mut mistakes = Vec::new();
        for (name, text) in &sources {
            let before = interventions.rules.len();
            mistakes.extend(interventions.add(name, text, &features));
            mistakes.extend(interventions.rules[before..].iter().filter_map(|rule| never(config, rule, name, text)));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let rules = Rules::new(interventions, Arc::clone(&features));
        Ok(Self { profile: config.profile.as_str().into(), features, rules })
    }

    /// The same with one rule only, switched on.
    pub fn alone(&self, rule: &str) -> Option<Self> {
        Some(Self { rules: self.rules.alone(rule)?, ..self.clone() })
    }

    /// The profile that owns the bare keys.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// A shopper's features; `names` empty asks for all of them.
    pub fn user_values(&self, view: &View<'_>, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        self.values(view, Key::User, names)
    }

    /// A session's features; `names` empty asks for all of them.
    pub fn session_values(&self, view: &View<'_>, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        self.values(view, Key::Session, names)
    }

    fn values(&self, view: &View<'_>, key: Key, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        let owned = |(name, value): (&str, midsession_feature::Value)| (Str::from(name), PropertyValue::from(value));
        if names.is_empty() {
            return self.features.read_all(view, key).into_iter().map(owned).collect();
        }
        names.iter().filter_map(|name| Some(owned((name, self.features.read(view, key, name)?)))).collect()
    }

    /// The names of a key's features with their types, in the order of definition.
    pub fn feature_types(&self, key: Key) -> impl Iterator<Item = (&Str, Type)> {
        self.features.entries(key).map(|entry| (&entry.name, entry.ty))
    }

    /// How many features are defined, windows counted apart.
    pub fn feature_count(&self) -> usize {
        KEYS.iter().map(|key| self.features.entries(*key).count()).sum()
    }

    /// Which definitions look back exactly, and which count from now on.
    pub fn feature_lines(&self) -> Vec<String> {
        let look_back = |entry: &midsession_feature::Entry| match entry.looks_back {
            midsession_feature::LookBack::Exactly => "looks back exactly",
            midsession_feature::LookBack::FromNow => "counts from now on",
        };
        KEYS.iter()
            .flat_map(|key| self.features.entries(*key).map(move |entry| (key, entry)))
            .map(|(key, entry)| format!("{:<8} {:<40} {}", key.name(), entry.name, look_back(entry)))
            .collect()
    }

    /// The interventions, the highest priority first.
    pub fn rule_names(&self) -> Vec<Str> {
        self.rules.all().iter().map(|rule| rule.name.clone()).collect()
    }

    /// The longest time that a cap looks back. ms.
    pub fn longest_cap_ms(&self) -> i64 {
        self.rules.longest_cap_ms()
    }

    /// The caps over all interventions, as people read them.
    pub fn caps_in_words(&self) -> Vec<String> {
        self.rules.caps().iter().map(|cap| cap.in_words()).collect()
    }

    /// An intervention as the console shows it, as defined.
    pub fn rule_row(&self, name: &str) -> Option<Value> {
        let rule = self.rules.rule(name)?;
        let trigger = match &rule.trigger {
            midsession_decide::Trigger::Event(event) => json!({"event": event}),
            midsession_decide::Trigger::Idle(ms) => json!({"idle_ms": ms}),
        };
        let caps: Vec<String> = rule.caps.iter().map(|cap| cap.in_words()).collect();
        Some(json!({
            "name": rule.name, "version": rule.version, "enabled": rule.enabled, "dry_run": rule.dry_run,
            "trigger": trigger, "when": rule.when.as_ref().map(|when| when.source()), "words": rule.in_words(),
            "cap": caps, "holdout": rule.holdout, "priority": rule.priority, "expires_ms": rule.expires_ms,
            "slot": rule.slot, "payload": rule.payload,
        }))
    }

    /// What a preview shows: the payload, with a code that opens nothing.
    pub fn preview_payload(&self, name: &str) -> Option<Value> {
        let rule = self.rules.rule(name)?;
        let mut payload = rule.payload.clone();
        if let (Some(percent), Some(fields)) = (rule.code_percent, payload.as_object_mut()) {
            fields.insert("code".into(), "PREVIEW".into());
            fields.insert("percent".into(), percent.into());
        }
        Some(payload)
    }
}

impl Definitions for Assembly {
    fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        self.features.derive(event, out);
    }

    fn idle_thresholds_ms(&self) -> &[i64] {
        self.rules.idle_thresholds_ms()
    }

    fn on_event(&self, view: &View<'_>, event: &Event, ask: &mut dyn FnMut(Ask)) {
        self.rules.on_event(view, event, ask);
    }

    fn on_idle(&self, view: &View<'_>, idle_ms: i64, ask: &mut dyn FnMut(Ask)) {
        self.rules.on_idle(view, idle_ms, ask);
    }

    fn allows(&self, view: &View<'_>, rule: &str, session: SessionId) -> bool {
        self.rules.allows(view, rule, session)
    }

    fn version(&self, rule: &str) -> Option<&str> {
        self.rules.rule(rule).map(|rule| rule.version.as_str())
    }

    fn still_holds(&self, view: &View<'_>, rule: &str) -> bool {
        self.rules.still_holds(view, rule)
    }
}

/// Says so when a rule waits for a silence that no session lasts.
fn never(config: &Config, rule: &midsession_decide::Rule, file: &str, text: &str) -> Option<Diagnostic> {
    let longest_s = i64::from(config.session.gap_s) + i64::from(config.session.grace_s);
    let midsession_decide::Trigger::Idle(idle_ms) = rule.trigger else { return None };
    let (line, column) = crate::config::place_of(text, &format!("\"{}\"", rule.name));
    (idle_ms > longest_s * 1000).then(|| Diagnostic {
        file: file.to_owned(),
        line,
        column,
        message: format!(
            "`{}` can never fire: a session ends after {longest_s} s of silence, before its trigger",
            rule.name
        ),
        hint: Some("shorten the silence, or raise session.gap_s".into()),
    })
}

/// The definition files of a configuration: the profile, what it names, and itself.
fn files(config: &Config, demo: bool) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let beside = config.file.as_deref().and_then(std::path::Path::parent).unwrap_or(std::path::Path::new(""));
    let mut files = Vec::new();
    let mut names = vec![config.profile.clone()];
    names.extend(config.definitions.iter().cloned());
    if demo && !names.iter().any(|name| name == "demo") {
        names.push("demo".into());
    }
    for name in names {
        let built_in = match name.as_str() {
            "native" => Some(midsession_feature::NATIVE),
            "demo" => Some(midsession_decide::DEMO),
            _ => None,
        };
        files.push(match built_in {
            Some((file, text)) => (file.to_owned(), text.to_owned()),
            None => {
                let path = beside.join(&name);
                let text = std::fs::read_to_string(&path).map_err(|cause| {
                    let named = config.file.as_ref().filter(|_| config.text.contains(&format!("\"{name}\"")));
                    let (line, column) = crate::config::place_of(&config.text, &format!("\"{name}\""));
                    vec![Diagnostic {
                        file: named.unwrap_or(&path).display().to_string(),
                        line,
                        column,
                        message: format!("{} can't be read: {cause}", path.display()),
                        hint: Some("built in are `native` and `demo`; other names are files".into()),
                    }]
                })?;
                (path.display().to_string(), text)
            }
        });
    }
    if config.has_definitions() {
        let name = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        files.push((name, config.text.clone()));
    }
    Ok(files)
}

/// Decides on candidates with the live switches.
pub struct Desk {
    /// The rules.
    pub assembly: Arc<Assembly>,
    /// The switches.
    pub switches: Arc<Switches>,
    /// Signs discount codes.
    pub signing_key: Vec<u8>,
    /// The clock.
    pub clock: Clock,
    /// Counts what was asked.
    pub observe: Arc<Observe>,
    /// The stock.
    pub context: Arc<ContextTables>,
}

impl Decider for Desk {
    fn decide(&self, candidate: &Candidate, now_us: i64, cause: Option<Cause>) -> Decision {
        self.observe.metrics.add_by(Metric::Candidates, &candidate.rule, 1);
        let rule = self.assembly.rules.rule(&candidate.rule);
        let switch = self.switches.get(&candidate.rule);
        let stock = self.context.stock(midsession_decide::products_of(candidate), now_us / 1000);
        let live = Live {
            now_ms: now_us / 1000,
            enabled: switch.enabled.unwrap_or_else(|| rule.is_some_and(|rule| rule.enabled)),
            dry_run: switch.dry_run.unwrap_or_else(|| rule.is_some_and(|rule| rule.dry_run)),
            holdout: switch.holdout.unwrap_or_else(|| rule.map_or(0.0, |rule| rule.holdout)),
            signing_key: &self.signing_key,
            stock: &stock,
        };
        let mut stamps_us: BTreeMap<Str, i64> = BTreeMap::new();
        if let Some(cause) = cause.filter(|_| candidate.cause_event.is_some()) {
            stamps_us.insert("received".into(), cause.stamps.received_at_us);
            stamps_us.insert("collected".into(), cause.stamps.collected_at_us);
            stamps_us.insert("durable".into(), cause.durable_us);
        }
        let asked_us = (self.clock)();
        stamps_us.insert("machine".into(), asked_us);
        let mut decision = decide(candidate, rule, &live, stamps_us);
        decision.stamps_us.insert("decided".into(), (self.clock)());
        decision
    }
}
