//! What a running server looks at of its definitions, at the start and after each change: that all partitions have taken the
//! same changes at the same stamps (I13), and answer by what their own logs have put in force (I14).

use super::Now;
use crate::app::Inner;
use crate::assemble::Assembly;
use crate::driver::Seen;
use midsession_machine::{Defined, Definitions, Invariant};
use midsession_observe::Metric;
use std::sync::Arc;

/// How a partition stands to what another one has in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    revision: i64,
    is_same: bool,
    is_own: bool,
}

impl Stand {
    /// Of a partition that has read so much, and answers by these.
    pub(super) fn of<D: Definitions>(expected: &Defined, defined: &Defined, definitions: &D) -> Self {
        Self {
            revision: defined.revision,
            is_same: defined == expected,
            // None: they are what the log has put in force.
            is_own: definitions.of(defined).is_none(),
        }
    }

    /// What does not hold. A partition that is on its way is another matter.
    pub(super) fn broken(self, expected: &Defined) -> Option<Invariant> {
        if !self.is_own {
            return Some(Invariant::InForce);
        }
        (self.revision == expected.revision && !self.is_same).then_some(Invariant::Changes)
    }
}

impl Inner {
    pub(super) async fn watch_definitions(&self, now: &Now) {
        let expected = Arc::new(now.defined.clone());
        let kept = Arc::clone(&expected);
        let look = move |seen: Seen<'_, Assembly>| Stand::of(&kept, seen.stream.defined(), seen.definitions.as_ref());
        let answers = self.driver.read_all(look).await;
        for (partition, stand) in answers.into_iter().enumerate() {
            let Some(invariant) = stand.ok().and_then(|stand| stand.broken(&expected)) else { continue };
            self.observe.metrics.add_by(Metric::InvariantViolations, invariant.id(), 1);
            let (id, words, revision) = (invariant.id(), invariant.words(), expected.revision);
            tracing::error!(partition, invariant = id, revision, "does not hold: {words}; please report this");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use midsession_event::{DefinitionChange, DefinitionEdit, EditKind};
    use std::path::Path;

    fn changed(begun: &Defined, text: &str, stamp_ms: i64) -> Defined {
        let put = DefinitionEdit { text: text.into(), ..DefinitionEdit::feature(EditKind::Put, "views", 1) };
        let edits = vec![put, DefinitionEdit::feature(EditKind::Promote, "views", 1)];
        let mut after = begun.clone();
        after.apply(&DefinitionChange { revision: 1, at_ms: 5, edits }, stamp_ms);
        after
    }

    #[test]
    fn partitions_that_differ_at_one_revision_and_old_definitions_are_seen() {
        let config = Config::parse("", Path::new("watch.toml")).expect("a configuration");
        let assembly = Assembly::load(&config, false).expect("definitions");
        let text = "[[feature]]\nname = \"views\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"5m\"]\n";
        let begun = assembly.filed();
        let expected = changed(&begun, text, 7);
        let new = assembly.of(&expected).expect("others than those of the files");
        let broken =
            |defined: &Defined, definitions: &Assembly| Stand::of(&expected, defined, definitions).broken(&expected);
        assert_eq!(broken(&expected, &new), None);
        assert_eq!(broken(&begun, &assembly), None, "on its way");
        assert_eq!(broken(&expected, &assembly), Some(Invariant::InForce), "the old ones answer");
        assert_eq!(broken(&changed(&begun, text, 8), &new), Some(Invariant::Changes), "another stamp");
    }
}
