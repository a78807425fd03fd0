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
    /// What a change of this would come to; else every fault that it brings, those of what is `written` where they stand in it.
    pub(crate) fn check(&self, defined: &Defined, written: &Written) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let canonical = self.sources.listed(defined);
        let mut listed = canonical.clone();
        let rules = listed.rules.iter_mut().flatten().map(|one| (Kind::Intervention, one));
        for (kind, one) in listed.features.iter_mut().map(|one| (Kind::Feature, one)).chain(rules) {
            let is_it = |name: &Str, version: i64| one.label == format!("{name}@{version}");
            if written.versions.iter().any(|(of, name, version)| *of == kind && is_it(name, *version)) {
                (one.label, one.text) = (written.label.as_str().into(), written.text.as_str().into());
            }
        }
        let mut told = self.faults_anew(listed);
        if written.versions.is_empty() {
            // Nothing is written: another one reads what is to go.
            for fault in told.iter_mut().filter(|fault| fault.file.contains('@')) {
                fault.hint = Some(format!("{} reads it: remove or change that first", fault.file));
            }
        }
        match self.in_force.upgrade() {
            Some(in_force) if told.is_empty() => Ok(in_force.compiled(&self.sources, canonical)),
            _ => Err(told),
        }
    }

    /// What a change of this would newly break.
    pub(crate) fn breaks(&self, after: &Defined) -> Vec<Diagnostic> {
        self.faults_anew(self.sources.listed(after))
    }

    /// The faults of a list that are not those of what is left out already, each once.
    fn faults_anew(&self, listed: Listing) -> Vec<Diagnostic> {
        let mut anew: Vec<Diagnostic> = Vec::new();
        for fault in Self::build(Arc::clone(&self.sources), Some(listed), Weak::new()).1 {
            if !self.faults.contains(&fault) && !anew.contains(&fault) {
                anew.push(fault);
            }
        }
        anew
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
