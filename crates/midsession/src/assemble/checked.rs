//! Changes of definitions, checked before they are made: what they would newly break, and what is broken already.

use super::Assembly;
use crate::in_force::Listing;
use midsession_event::Str;
use midsession_feature::Diagnostic;
use midsession_machine::{Defined, Kind, Known, Version};
use std::sync::{Arc, Weak};

/// A definition file at hand, as it was sent: which versions stand in it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub label: String,
    pub text: String,
    pub versions: Vec<(Kind, Str, i64)>,
}

impl Assembly {
    /// What this would come to; else every fault of it that is not in what is in force `before`, those of what is `written`
    /// where they stand in it.
    pub(crate) fn check(
        &self,
        before: &Defined,
        defined: &Defined,
        written: &Written,
    ) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let canonical = self.sources.listed(defined);
        let mut listed = canonical.clone();
        let rules = listed.rules.iter_mut().flatten().map(|one| (Kind::Intervention, one));
        for (kind, one) in listed.features.iter_mut().map(|one| (Kind::Feature, one)).chain(rules) {
            let is_it = |name: &Str, version: i64| one.label == format!("{name}@{version}");
            if written.versions.iter().any(|(of, name, version)| *of == kind && is_it(name, *version)) {
                (one.label, one.text) = (written.label.as_str().into(), written.text.as_str().into());
            }
        }
        let mut known = self.faults_of(self.sources.listed(before));
        let mut told: Vec<Diagnostic> = Vec::new();
        for mut fault in self.faults_of(listed) {
            if known.contains(&fault) {
                continue;
            }
            known.push(fault.clone());
            if written.versions.is_empty() && fault.file.contains('@') {
                // Nothing is written: another one reads what is to go.
                fault.hint = Some(format!("{} reads it: remove or change that first", fault.file));
            }
            told.push(fault);
        }
        match self.in_force.upgrade() {
            Some(in_force) if told.is_empty() => Ok(in_force.compiled(&self.sources, canonical)),
            _ => Err(told),
        }
    }

    /// What a change would newly break.
    pub(crate) fn faults_anew(&self, before: &Defined, after: &Defined) -> Vec<Diagnostic> {
        let known = self.faults_of(self.sources.listed(before));
        let mut anew = self.faults_of(self.sources.listed(after));
        anew.retain(|fault| !known.contains(fault));
        anew
    }

    fn faults_of(&self, listed: Listing) -> Vec<Diagnostic> {
        Self::build(Arc::clone(&self.sources), Some(listed), Weak::new()).1
    }

    /// Why a version of what is in force is left out, if it is.
    pub(crate) fn left_out(&self, known: &Known, version: &Version) -> Option<&Diagnostic> {
        let is_out = match known.kind {
            Kind::Feature => self.made(&known.served(version)).is_none_or(|made| made.served.is_empty()),
            Kind::Intervention => !version.is_live || self.rule(&known.name).is_none(),
        };
        let label = format!("{}@{}", known.name, version.version);
        self.faults.iter().find(|fault| is_out && fault.file == label)
    }
}
