//! Features and interventions composed: what the configuration adds to the machine, and the desk that decides.

use crate::config::Config;
use crate::context::ContextTables;
use crate::driver::{Cause, Clock, Decider};
use crate::switches::Switches;
use midsession_decide::{Definitions as Interventions, Live, Rules, decide};
use midsession_event::{Decision, Event, PropertyValue, SessionId, ShopperId, Str};
use midsession_feature::expr::Type;
use midsession_feature::{Diagnostic, FeatureSet, Key, LookBack, Served, TextForm};
use midsession_machine::partial::Partial;
use midsession_machine::{Ask, Candidate, Definitions, Derived, Partials, View};
use midsession_observe::{Metric, Observe};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that is defined, compiled.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// By their names; the first one owns the bare keys, and is what rules look at.
    profiles: Vec<(Str, Arc<FeatureSet>)>,
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
        let features = FeatureSet::load(&sources)?;
        let name = features.profile().cloned().unwrap_or_else(|| config.profile.as_str().into());
        let features = Arc::new(features);
        let mut profiles = vec![(name, Arc::clone(&features))];
        for wanted in &config.profiles {
            let (file, text) = file(config, wanted)?;
            let mut set = FeatureSet::load(&[(&file, &text)])?;
            profiles.iter().for_each(|(_, known)| set.leave_to(known));
            let name = set.profile().cloned().unwrap_or_else(|| wanted.as_str().into());
            if profiles.iter().any(|(known, _)| *known == name) {
                return Err(vec![misnamed(config, wanted, format!("the profile `{name}` is loaded twice"))]);
            }
            profiles.push((name, Arc::new(set)));
        }
        let is_key = |name: &str| {
            let mut fields = profiles.iter().flat_map(|(_, set)| set.field_keys());
            matches!(name, "user" | "session") || fields.any(|key| key == name)
        };
        if let Some((name, _)) = profiles.iter().find(|(name, _)| is_key(name)) {
            let what = format!("a profile can't be called `{name}`: features go by that");
            return Err(vec![misnamed(config, name, what)]);
        }
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
        Ok(Self { profiles, rules })
    }

    /// The same with one rule only, switched on.
    pub fn alone(&self, rule: &str) -> Option<Self> {
        Some(Self { rules: self.rules.alone(rule)?, ..self.clone() })
    }

    /// The profiles; the first one owns the bare keys.
    pub fn profiles(&self) -> impl Iterator<Item = &Str> {
        self.profiles.iter().map(|(name, _)| name)
    }

    /// The features of a profile; of the first one without a name.
    fn set(&self, profile: Option<&str>) -> Option<&FeatureSet> {
        let known = self.profiles.iter().find(|(name, _)| profile.is_none_or(|wanted| wanted == name));
        known.map(|(_, set)| set.as_ref())
    }

    /// Features by a profile as they are served, with the way to write them; `names` empty asks for all of them.
    pub fn served(
        &self,
        profile: Option<&str>,
        view: &View<'_>,
        key: Key,
        names: &[Str],
    ) -> Option<(TextForm, Vec<Served>)> {
        let set = self.set(profile)?;
        Some((set.serving().text, set.serve(view, key, names)))
    }

    /// The fields that features of any profile go by.
    pub fn field_keys(&self) -> Vec<Str> {
        let mut keys: Vec<Str> = self.profiles.iter().flat_map(|(_, set)| set.field_keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What one partition has of a value of a field.
    pub fn field_partials(
        &self,
        profile: Option<&str>,
        partials: &Partials,
        key: &str,
        id: &str,
        now_ms: i64,
    ) -> Vec<(usize, Partial)> {
        self.set(profile).map(|set| set.field_partials(partials, key, id, now_ms)).unwrap_or_default()
    }

    /// What all partitions have of it together.
    pub fn join(
        &self,
        profile: Option<&str>,
        key: &str,
        parts: Vec<(usize, Partial)>,
        names: &[Str],
        now_ms: i64,
    ) -> Option<(TextForm, Vec<Served>)> {
        let set = self.set(profile)?;
        Some((set.serving().text, set.join(key, parts, names, now_ms)?))
    }

    /// Every value of a field that one partition has something of, by any profile.
    pub fn field_ids(&self, partials: &Partials, now_ms: i64) -> Vec<(Str, Str)> {
        self.profiles.iter().flat_map(|(_, set)| set.field_ids(partials, now_ms)).collect()
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
        let served = self.served(None, view, key, names).map(|(_, served)| served).unwrap_or_default();
        served.into_iter().map(|served| (served.name, PropertyValue::from(served.value))).collect()
    }

    /// The names of the first profile's features of a key with their types, in the order of definition.
    pub fn feature_types(&self, key: Key) -> impl Iterator<Item = (&Str, Type)> {
        let entries = self.set(None).into_iter().flat_map(move |set| set.entries(key));
        entries.filter(|entry| !entry.is_hidden).map(|entry| (&entry.name, entry.ty))
    }

    /// How many features are served, windows counted apart.
    pub fn feature_count(&self) -> usize {
        self.feature_lines().len()
    }

    /// Which definitions look back exactly, and which count from now on.
    pub fn feature_lines(&self) -> Vec<String> {
        let look_back = |looks_back: LookBack| match looks_back {
            LookBack::Exactly => "looks back exactly",
            LookBack::FromNow => "counts from now on",
            LookBack::FirstSeen => "counts from the shopper's first event on",
        };
        let mut lines = Vec::new();
        for (number, (name, set)) in self.profiles.iter().enumerate() {
            let prefix = if number == 0 { String::new() } else { format!("{name}:") };
            let mut line = |key: &str, name: &str, said: &str| {
                lines.push(format!("{:<8} {name:<40} {said}", format!("{prefix}{key}")));
            };
            for key in KEYS {
                for entry in set.entries(key).filter(|entry| !entry.is_hidden) {
                    line(key.name(), &entry.name, look_back(entry.looks_back));
                }
            }
            for key in set.field_keys() {
                set.field_entries(key).for_each(|entry| line(key, &entry.name, look_back(LookBack::FromNow)));
            }
        }
        lines
    }

    /// Whether this version of a rule is the one in force, and not off; `switched`: by the switch at run time, if it was.
    pub fn is_in_force(&self, rule: &str, version: &str, switched: Option<bool>) -> bool {
        let is_on = |rule: &midsession_decide::Rule| switched.unwrap_or(rule.enabled);
        self.rules.rule(rule).is_some_and(|rule| rule.version == version && is_on(rule))
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
        self.profiles.iter().for_each(|(_, set)| set.derive(event, out));
    }

    fn accumulate(&self, event: &Event, shopper: &ShopperId, now_ms: i64, partials: &mut Partials) {
        self.profiles.iter().for_each(|(_, set)| set.accumulate(event, shopper, now_ms, partials));
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
    let mut files = Vec::new();
    let mut names = vec![config.profile.clone()];
    names.extend(config.definitions.iter().cloned());
    if demo && !names.iter().any(|name| name == "demo") {
        names.push("demo".into());
    }
    for name in names {
        files.push(file(config, &name)?);
    }
    if config.has_definitions() {
        let name = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        files.push((name, config.text.clone()));
    }
    Ok(files)
}

/// A definition file by its name in the configuration: built in, or beside it.
fn file(config: &Config, name: &str) -> Result<Source, Vec<Diagnostic>> {
    let built_in = match name {
        "native" => Some(midsession_feature::NATIVE),
        "live-shopper" => Some(midsession_feature::LIVE_SHOPPER),
        "demo" => Some(midsession_decide::DEMO),
        _ => None,
    };
    if let Some((file, text)) = built_in {
        return Ok((file.to_owned(), text.to_owned()));
    }
    let beside = config.file.as_deref().and_then(std::path::Path::parent).unwrap_or(std::path::Path::new(""));
    let path = beside.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(cause) => {
            let what = format!("{} can't be read: {cause}", path.display());
            let hint = Some("built in are `native`, `live-shopper` and `demo`; other names are files".into());
            let mut said = misnamed(config, name, what);
            if !config.text.contains(&format!("\"{name}\"")) {
                said.file = path.display().to_string();
            }
            Err(vec![Diagnostic { hint, ..said }])
        }
    }
}

/// Something is wrong with a name in the configuration.
fn misnamed(config: &Config, name: &str, message: String) -> Diagnostic {
    let (line, column) = crate::config::place_of(&config.text, &format!("\"{name}\""));
    let file = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    Diagnostic { file, line, column, message, hint: Some("name another one in `profile` or `profiles`".into()) }
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
