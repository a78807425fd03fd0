//! Definitions as logs have put them in force: compiled once for all partitions that are as far.

use crate::assemble::Assembly;
use crate::sources::Sources;
use midsession_feature::Listed;
use midsession_machine::Defined;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Compiled ones that are kept: partitions are a few changes apart at most.
const KEPT: usize = 8;

/// What is in force, one by one, to be compiled.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// Features of the first profile.
    pub features: Vec<Listed>,
    /// Interventions; none: those of the files are.
    pub rules: Option<Vec<Listed>>,
}

/// What the assemblies of one start share.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    /// What there is before any record has changed it.
    initial: Mutex<Option<Defined>>,
    compiled: Mutex<VecDeque<Arc<Assembly>>>,
}

impl InForce {
    pub(crate) fn initial(&self) -> Option<Defined> {
        self.initial.lock().clone()
    }

    pub(crate) fn begin_with(&self, initial: Defined) {
        *self.initial.lock() = Some(initial);
    }

    /// The assembly of this list. What of it this version can't read is left out, and said: a log from another version
    /// must not stop a start.
    pub(crate) fn compiled(self: &Arc<Self>, sources: &Arc<Sources>, listed: Listing) -> Arc<Assembly> {
        let mut compiled = self.compiled.lock();
        if let Some(known) = compiled.iter().find(|known| is_same(known.listed(), &listed)) {
            return Arc::clone(known);
        }
        let (assembly, faults) = Assembly::build(Arc::clone(sources), Some(listed), Arc::downgrade(self));
        for fault in &faults {
            tracing::error!(%fault, "a definition that the log has put in force is left out");
        }
        let assembly = Arc::new(assembly);
        if compiled.len() == KEPT {
            compiled.pop_front();
        }
        compiled.push_back(Arc::clone(&assembly));
        assembly
    }
}

/// Whether both say the same, wherever it stands.
pub(crate) fn is_same(one: &Listing, other: &Listing) -> bool {
    let rules = match (&one.rules, &other.rules) {
        (Some(one), Some(other)) => are_same(one, other),
        (one, other) => one.is_none() == other.is_none(),
    };
    rules && are_same(&one.features, &other.features)
}

fn are_same(one: &[Listed], other: &[Listed]) -> bool {
    let said = |listed: &Listed| (listed.name.clone(), listed.version, listed.file.clone(), listed.text.clone());
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| said(one) == said(other))
}
