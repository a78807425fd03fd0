//! Features and interventions composed: what the configuration adds to the machine.

mod checked;
mod lines;

pub(crate) use checked::Written;

use crate::config::Config;
use crate::in_force::{InForce, Listing, is_same};
use crate::sources::{Sources, misnamed};
use midsession_decide::{Definitions as Interventions, Rule, Rules};
use midsession_event::{Event, PropertyValue, SessionId, ShopperId, Str};
use midsession_feature::expr::Type;
use midsession_feature::{Diagnostic, FeatureSet, FieldPart, Key, LookBack, Made, Served, TextForm, named_twice};
use midsession_machine::partial::Heard;
use midsession_machine::{Ask, Defined, Definitions, Derived, Partials, View};
use serde_json::{Value, json};
use std::sync::{Arc, Weak};

/// Everything that is defined, compiled.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// By their names; the first one owns the bare keys, and is what rules look at.
    profiles: Vec<(Str, Arc<FeatureSet>)>,
    rules: Rules,
    sources: Arc<Sources>,
    /// The features of the first profile and the interventions, one by one.
    listed: Listing,
    /// What is wrong with those that are left out.
    faults: Arc<[Diagnostic]>,
    in_force: Weak<InForce>,
    /// The one that all began with holds what they share.
    holds: Option<Arc<InForce>>,
}

/// Whose features there are.
const KEYS: [Key; 2] = [Key::User, Key::Session];

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
        let sources = Arc::new(Sources::read(config, demo)?);
        let in_force = Arc::new(InForce::default());
        let (mut assembly, found) = Self::build(sources, None, Arc::downgrade(&in_force));
        assembly.holds = Some(in_force);
        if found.is_empty() { Ok(assembly) } else { Err(found) }
    }

    /// Compiles what is written, `listed` in place of what stands in the first profile's files. What has faults
    /// is told, and left out.
    pub(crate) fn build(
        sources: Arc<Sources>,
        listed: Option<Listing>,
        in_force: Weak<InForce>,
    ) -> (Self, Vec<Diagnostic>) {
        let config = &sources.config;
        let files: Vec<(&str, &str)> =
            sources.files.iter().map(|source| (source.label.as_str(), source.text.as_str())).collect();
        let (features, mut found) =
            FeatureSet::load_some(&files, listed.as_ref().map(|listed| listed.features.as_slice()));
        if listed.is_none() {
            let is_told = |fault: &Diagnostic| {
                found
                    .iter()
                    .any(|known| (&known.file, known.line, known.column) == (&fault.file, fault.line, fault.column))
            };
            let twice: Vec<_> = named_twice(&files).into_iter().filter(|fault| !is_told(fault)).collect();
            found.extend(twice);
        }
        let name = features.profile().cloned().unwrap_or_else(|| config.profile.as_str().into());
        let features = Arc::new(features);
        let mut profiles = vec![(name, Arc::clone(&features))];
        for (wanted, source) in config.profiles.iter().zip(&sources.others) {
            let (mut set, faults) = FeatureSet::load_some(&[(&source.label, &source.text)], None);
            found.extend(faults);
            profiles.iter().for_each(|(_, known)| set.leave_to(known));
            let name = set.profile().cloned().unwrap_or_else(|| wanted.as_str().into());
            if profiles.iter().any(|(known, _)| *known == name) {
                found.push(misnamed(config, wanted, format!("the profile `{name}` is loaded twice")));
            } else {
                profiles.push((name, Arc::new(set)));
            }
        }
        let is_key = |name: &str| {
            let mut fields = profiles.iter().flat_map(|(_, set)| set.field_keys());
            matches!(name, "user" | "session") || fields.any(|key| key == name)
        };
        if let Some((name, _)) = profiles.iter().find(|(name, _)| is_key(name)) {
            let what = format!("a profile can't be called `{name}`: features go by that");
            found.push(misnamed(config, name, what));
        }
        let mut interventions = Interventions::default();
        // A feature that is missing for a fault of its own is no fault of the rule that looks at it.
        if found.is_empty() || listed.is_some() {
            let mut add = |interventions: &mut Interventions, file: &str, text: &str, only: Option<&str>| {
                let before = interventions.rules.len();
                found.extend(interventions.add_rules(file, text, only, &features));
                found.extend(interventions.rules[before..].iter().filter_map(|rule| never(config, rule, file, text)));
            };
            match listed.as_ref().and_then(|listed| listed.rules.as_ref()) {
                None if config.is_without_rules => {}
                None => files.iter().for_each(|(name, text)| add(&mut interventions, name, text, None)),
                Some(rules) => {
                    for one in rules {
                        // What waits is checked, and asks nobody.
                        let mut waits = Interventions::default();
                        let into = if one.version.is_some() { &mut waits } else { &mut interventions };
                        add(into, &one.label, &one.text, Some(&one.name));
                    }
                }
            }
            for (name, text) in &files {
                let of_caps = interventions.add_caps(name, text);
                found.extend(of_caps.into_iter().filter(|fault| !found.contains(fault)).collect::<Vec<_>>());
            }
        }
        let rules = Rules::new(interventions, Arc::clone(&features));
        let listed = listed.unwrap_or_else(|| sources.filed());
        let faults = found.as_slice().into();
        (Self { profiles, rules, sources, listed, faults, in_force, holds: None }, found)
    }

    /// What is probably not meant as it stands in the files.
    pub fn suspicions(&self) -> Vec<Diagnostic> {
        self.sources.suspicions()
    }

    /// The features of the first profile and the interventions, one by one.
    pub(crate) fn listed(&self) -> &Listing {
        &self.listed
    }

    /// What the files of this start define, as what there is before any change.
    pub fn filed(&self) -> Defined {
        let (_, further) = self.profiles.split_at(1);
        let mut apart: Vec<u32> = further.iter().flat_map(|(_, set)| set.slots()).collect();
        apart.sort_unstable();
        apart.dedup();
        Defined { apart: Some(apart), ..self.sources.initial() }
    }

    /// What the definitions of further profiles come to.
    pub(crate) fn made_apart(&self) -> impl Iterator<Item = Made> {
        self.profiles.iter().skip(1).flat_map(|(_, set)| set.all_made())
    }

    /// What a data folder was begun with, where that is something else than the files of this start.
    pub fn begin_with(&self, initial: Defined) {
        if let Some(in_force) = self.in_force.upgrade() {
            in_force.begin_with(initial);
        }
    }

    /// What a definition of the first profile comes to, by the name that it answers to.
    pub fn made(&self, name: &str) -> Option<Made> {
        self.set(None)?.made(name)
    }

    /// What a version of what is in force comes to.
    pub(crate) fn made_of(&self, defined: &Defined, name: &str, version: i64) -> Option<Made> {
        let known = defined.feature(name)?;
        let version = known.versions.iter().find(|one| one.version == version)?;
        let other = self.of(defined);
        other.as_deref().unwrap_or(self).made(&known.served(version))
    }

    /// Under which slots something is written for these alone. What they lack of others has none.
    pub(crate) fn slots_alone(&self, defined: &Defined) -> Vec<u32> {
        let listed = self.sources.listed(defined);
        let (alone, _) = Self::build(Arc::clone(&self.sources), Some(listed), Weak::new());
        alone.profiles.iter().flat_map(|(_, set)| set.slots()).collect()
    }

    /// Adds an event to the partials of some slots alone.
    pub(crate) fn accumulate_where(
        &self,
        is_meant: &dyn Fn(u32) -> bool,
        event: &Event,
        shopper: &ShopperId,
        heard: Heard,
        now_ms: i64,
        partials: &mut Partials,
    ) {
        self.profiles
            .iter()
            .for_each(|(_, set)| set.accumulate_where(is_meant, event, shopper, heard, now_ms, partials));
    }

    /// The numbers that sessions are cut by.
    pub(crate) fn stream_config(&self, partitions: u32) -> midsession_stream::Config {
        self.sources.config.stream(partitions)
    }

    /// How messages call a definition file.
    pub(crate) fn file_label(&self, key: &str) -> Str {
        self.sources.label_of(key)
    }

    /// The same with one rule only, switched on.
    pub fn alone(&self, rule: &str) -> Option<Self> {
        // Not one of those that logs put in force.
        Some(Self { rules: self.rules.alone(rule)?, in_force: Weak::new(), holds: None, ..self.clone() })
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

    /// When a value is gone if nothing further happens; none of what stays. Epoch ms.
    pub fn vanishes_ms(&self, profile: Option<&str>, view: &View<'_>, key: Key, name: &str) -> Option<i64> {
        self.set(profile)?.vanishes_ms(view, key, name)
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
    ) -> Vec<FieldPart> {
        self.set(profile).map(|set| set.field_partials(partials, key, id, now_ms)).unwrap_or_default()
    }

    /// What all partitions have of it together.
    pub fn join(
        &self,
        profile: Option<&str>,
        key: &str,
        parts: Vec<FieldPart>,
        names: &[Str],
        now_ms: i64,
        since: &[(u32, i64)],
    ) -> Option<(TextForm, Vec<Served>)> {
        let set = self.set(profile)?;
        Some((set.serving().text, set.join(key, parts, names, now_ms, since)?))
    }

    /// Every value of a field that one partition has something of, by any profile.
    pub fn field_ids(&self, partials: &Partials, now_ms: i64) -> Vec<(Str, Str)> {
        self.profiles.iter().flat_map(|(_, set)| set.field_ids(partials, now_ms)).collect()
    }

    /// The names of the first profile's features that what is on the log of the last day says: those over a lifetime
    /// need all of it.
    pub fn windowed(&self, key: Key) -> Vec<Str> {
        let entries = self.set(None).into_iter().flat_map(|set| set.entries(key));
        let entries = entries.filter(|entry| !entry.is_hidden && entry.looks_back != LookBack::FirstSeen);
        entries.map(|entry| entry.name.clone()).collect()
    }

    /// A shopper's features; `names` empty asks for all of them.
    pub fn user_values(&self, view: &View<'_>, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        self.plain_values(view, Key::User, names)
    }

    /// A session's features; `names` empty asks for all of them.
    pub fn session_values(&self, view: &View<'_>, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        self.plain_values(view, Key::Session, names)
    }

    fn plain_values(&self, view: &View<'_>, key: Key, names: &[Str]) -> Vec<(Str, PropertyValue)> {
        let values = self.values(view, key, names).into_iter();
        values.map(|(name, value)| (name, PropertyValue::from(value))).collect()
    }

    /// Features of a key; `names` empty asks for all of them.
    pub fn values(&self, view: &View<'_>, key: Key, names: &[Str]) -> Vec<(Str, midsession_feature::Value)> {
        let served = self.served(None, view, key, names).map(|(_, served)| served).unwrap_or_default();
        served.into_iter().filter_map(|served| Some((served.name, served.value?))).collect()
    }

    /// The name that one with another suffix for its window stands for, by the first profile.
    pub fn unaliased<'n>(&self, name: &'n str) -> std::borrow::Cow<'n, str> {
        self.set(None).map_or(name.into(), |set| set.unaliased(name))
    }

    /// The names of the first profile's features of a key with their types, in the order of definition.
    pub fn feature_types(&self, key: Key) -> impl Iterator<Item = (&Str, Type)> {
        let entries = self.set(None).into_iter().flat_map(move |set| set.entries(key));
        entries.filter(|entry| !entry.is_hidden).map(|entry| (&entry.name, entry.ty))
    }

    /// Likewise of those by a field.
    pub fn field_types<'a>(&'a self, field: &'a str) -> impl Iterator<Item = (&'a Str, Type)> {
        self.set(None).into_iter().flat_map(|set| set.field_entries(field)).map(|entry| (&entry.name, entry.ty))
    }

    /// Whether this version of a rule is the one in force, and not off; `switched`: by the switch at run time, if it was.
    pub fn is_in_force(&self, rule: &str, version: &str, switched: Option<bool>) -> bool {
        let is_on = |rule: &midsession_decide::Rule| switched.unwrap_or(rule.enabled);
        self.rules.rule(rule).is_some_and(|rule| rule.version == version && is_on(rule))
    }

    /// An intervention in force.
    pub(crate) fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.rule(name)
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
            "slot": rule.slot, "payload": rule.payload, "purposes": rule.purposes.purposes(),
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
    fn initial(&self) -> Defined {
        let begun_with = self.in_force.upgrade().and_then(|in_force| in_force.initial());
        begun_with.unwrap_or_else(|| self.sources.initial())
    }

    fn of(&self, defined: &Defined) -> Option<Arc<Self>> {
        let listed = self.sources.listed(defined);
        if is_same(&listed, &self.listed) {
            return None;
        }
        Some(self.in_force.upgrade()?.compiled(&self.sources, listed))
    }

    fn derived_slots(&self, defined: &Defined, name: &str, version: i64) -> Vec<u32> {
        self.made_of(defined, name, version).map(|made| made.derived).unwrap_or_default()
    }

    fn slots(&self, defined: &Defined) -> Vec<u32> {
        let other = self.of(defined);
        let sets = other.as_deref().unwrap_or(self).profiles.iter();
        let mut slots: Vec<u32> = sets.flat_map(|(_, set)| set.slots()).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        self.profiles.iter().for_each(|(_, set)| set.derive(event, out));
    }

    fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        self.profiles.iter().for_each(|(_, set)| set.accumulate(event, shopper, heard, now_ms, partials));
    }

    fn caps_look_back_ms(&self) -> i64 {
        self.rules.longest_cap_ms()
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
