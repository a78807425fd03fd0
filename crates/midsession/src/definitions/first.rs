//! What was in force where the log of a data folder begins: changes that retention has taken are known from snapshots.

use super::start::begun_with;
use midsession_event::{DefinitionChange, PartitionId, Topic, decode};
use midsession_machine::Defined;
use midsession_ports::{Log, LogError, Snapshots};
use midsession_stream::defined_in;

/// The partition that is looked at: all have the same changes.
const PARTITION: PartitionId = PartitionId(0);

/// See [`first_in_force`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// What was in force; none: what the files say.
    pub defined: Option<Defined>,
    /// It can't be told what it was: this is what the folder was begun with.
    pub is_unknown: bool,
}

/// What was in force where a folder's log begins.
///
/// # Errors
/// The log can't be read.
pub(crate) fn first_in_force(log: &dyn Log, snapshots: &dyn Snapshots) -> Result<First, LogError> {
    let begun = begun_with(log)?;
    if log.extent(Topic::Behavior, PARTITION)?.start == 0 {
        return Ok(First { defined: begun, is_unknown: false });
    }
    let mut changed = None;
    crate::history::for_each(log, Topic::Behavior, PARTITION, 0, |entry| {
        if changed.is_none() {
            let change = entry.value.as_deref().and_then(|value| decode::<DefinitionChange>(value).ok());
            changed = change.map(|change| change.revision);
        }
    })?;
    // A folder without snapshots, or with damaged ones: others may say it, or nobody.
    let listed = snapshots.list(PARTITION).unwrap_or_default();
    let saved = listed.into_iter().filter_map(|next| defined_in(snapshots.open(PARTITION, next).ok()?).ok());
    Ok(before(changed, begun, saved))
}

/// What was in force before the first change that is left, of this revision if there is one. `saved`: what snapshots say, the
/// newest first.
fn before(changed: Option<i64>, begun: Option<Defined>, saved: impl Iterator<Item = Option<Defined>>) -> First {
    if changed == Some(1) {
        return First { defined: begun, is_unknown: false };
    }
    for defined in saved {
        let revision = defined.as_ref().map_or(0, |defined| defined.revision);
        // Nothing has changed since the log begins, or just this one comes next.
        if changed.is_none_or(|changed| changed == revision + 1) {
            return First { defined: defined.or(begun), is_unknown: false };
        }
    }
    First { defined: begun, is_unknown: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_first_change_that_is_left() {
        let of = |revision: i64| Some(Defined { revision, ..Defined::default() });
        for (changed, saved, expected) in [
            // Nothing was ever changed, and nobody could say otherwise.
            (None, vec![None], (0, false)),
            // All changes have gone with the log.
            (None, vec![of(4), of(4)], (4, false)),
            // The first one is there.
            (Some(1), vec![of(2)], (0, false)),
            // A snapshot is from just before the first one that is left.
            (Some(5), vec![of(6), of(4)], (4, false)),
            // None is.
            (Some(3), vec![of(6), of(4)], (0, true)),
            (Some(3), vec![], (0, true)),
            (None, vec![], (0, true)),
        ] {
            let found = before(changed, of(0), saved.clone().into_iter());
            let revision = found.defined.map(|defined| defined.revision);
            assert_eq!((revision, found.is_unknown), (Some(expected.0), expected.1), "{changed:?} {saved:?}");
        }
    }
}
