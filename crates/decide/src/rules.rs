//! All interventions together: which fire on an event or a silence, the highest priority first, within their caps.

use crate::cap::{Cap, Per};
use crate::definition::{Definitions, Rule, Trigger};
use crate::env::ShopperEnv;
use crate::stock;
use midsession_event::{DecisionId, Event, PropertyValue, Purpose, SessionId, Str};
use midsession_feature::FeatureSet;
use midsession_machine::{Ask, View};
use std::sync::Arc;

/// The input that says of a shopper that they allow no experiment: nobody is held out who has not agreed to be.
pub(crate) const NO_EXPERIMENT: &str = "consent.no_experiment";

/// The interventions in force.
#[derive(Clone, Debug)]
pub struct Rules {
    features: Arc<FeatureSet>,
    /// The highest priority first; equal ones in the order of the files.
    rules: Vec<Rule>,
    caps: Vec<Cap>,
    idle_thresholds_ms: Vec<i64>,
    longest_cap_ms: i64,
}

impl Rules {
    /// Puts definitions in force.
    pub fn new(definitions: Definitions, features: Arc<FeatureSet>) -> Self {
        let Definitions { mut rules, caps } = definitions;
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        let mut idle_thresholds_ms: Vec<i64> = rules
            .iter()
            .filter_map(|rule| match rule.trigger {
                Trigger::Idle(ms) => Some(ms),
                Trigger::Event(_) => None,
            })
            .collect();
        idle_thresholds_ms.sort_unstable();
        idle_thresholds_ms.dedup();
        let time_ms = |cap: &Cap| match cap.per {
            Per::Time(ms) => ms,
            Per::Session => 0,
        };
        let longest_cap_ms = rules.iter().flat_map(|rule| &rule.caps).chain(&caps).map(time_ms).max().unwrap_or(0);
        Self { features, rules, caps, idle_thresholds_ms, longest_cap_ms }
    }

    /// One of them with the caps over all, as if it were the only one: for a dry run.
    pub fn alone(&self, name: &str) -> Option<Self> {
        let rule = Rule { enabled: true, ..self.rule(name)?.clone() };
        let definitions = Definitions { rules: vec![rule], caps: self.caps.clone() };
        Some(Self::new(definitions, Arc::clone(&self.features)))
    }

    /// The rule of this name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// All of them, the highest priority first.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// The caps over all of them.
    pub fn caps(&self) -> &[Cap] {
        &self.caps
    }

    /// The longest time that a cap looks back; 0 without such caps. ms.
    pub fn longest_cap_ms(&self) -> i64 {
        self.longest_cap_ms
    }

    /// The silences that some rule waits for, ascending. ms.
    pub fn idle_thresholds_ms(&self) -> &[i64] {
        &self.idle_thresholds_ms
    }

    /// Rules that this event sets off.
    pub fn on_event(&self, view: &View<'_>, event: &Event, ask: &mut dyn FnMut(Ask)) {
        let wanted = |rule: &Rule| matches!(&rule.trigger, Trigger::Event(name) if *name == event.name.as_str());
        self.fire(view, Some(event), wanted, ask);
    }

    /// Rules that this much silence sets off.
    pub fn on_idle(&self, view: &View<'_>, idle_ms: i64, ask: &mut dyn FnMut(Ask)) {
        self.fire(view, None, |rule| rule.trigger == Trigger::Idle(idle_ms), ask);
    }

    /// Whether what a rule showed is still true: those parts of its condition that need no event.
    pub fn still_holds(&self, view: &View<'_>, rule: &str) -> bool {
        let env = ShopperEnv { features: &self.features, view, event: None };
        let allows = |rule: &Rule| view.session.is_none_or(|session| session.consent.covers(rule.purposes));
        self.rule(rule)
            .is_some_and(|rule| allows(rule) && rule.standing.as_ref().is_none_or(|standing| standing.holds(&env)))
    }

    fn fire(&self, view: &View<'_>, event: Option<&Event>, wanted: impl Fn(&Rule) -> bool, ask: &mut dyn FnMut(Ask)) {
        let Some(session) = view.session else { return };
        if session.bot || !session.consent.allows(Purpose::Personalization) {
            return;
        }
        let env = ShopperEnv { features: &self.features, view, event };
        for rule in self.rules.iter().filter(|rule| wanted(rule) && session.consent.covers(rule.purposes)) {
            let decision_id = DecisionId::of(session.id, &rule.name, session.cart_version);
            let known = view.caps.iter().any(|entry| entry.decision_id == decision_id);
            if known || !rule.when.as_ref().is_none_or(|when| when.holds(&env)) {
                continue;
            }
            if !self.has_room(rule, view, session.id) {
                ask(Ask { rule: rule.name.clone(), inputs: Default::default(), capped: true });
                continue;
            }
            let mut inputs: std::collections::BTreeMap<Str, PropertyValue> = rule
                .when
                .iter()
                .flat_map(|when| when.reads(&env))
                .filter_map(|(path, value)| Some((path.into(), value.to_value()?.into())))
                .collect();
            inputs.insert("source".into(), PropertyValue::Text(session.source.clone()));
            if !session.consent.allows(Purpose::Experiments) {
                inputs.insert(NO_EXPERIMENT.into(), PropertyValue::Bool(true));
            }
            if rule.requires_stock {
                stock::name_products(view, event, &mut inputs);
            }
            if let Some(value) = session.cart.value.filter(|_| session.cart.touched) {
                inputs.insert("session.cart_value".into(), PropertyValue::Float(value));
            }
            ask(Ask { rule: rule.name.clone(), inputs, capped: false });
        }
    }

    /// Whether the caps of a rule, and those over all of them, leave room for one more in this session.
    pub fn allows(&self, view: &View<'_>, rule: &str, session: SessionId) -> bool {
        self.rule(rule).is_none_or(|rule| self.has_room(rule, view, session))
    }

    fn has_room(&self, rule: &Rule, view: &View<'_>, session: SessionId) -> bool {
        let all = || view.caps.iter();
        rule.caps.iter().all(|cap| cap.allows(all().filter(|entry| entry.rule == rule.name), session, view.now_ms))
            && self.caps.iter().all(|cap| cap.allows(all(), session, view.now_ms))
    }
}
