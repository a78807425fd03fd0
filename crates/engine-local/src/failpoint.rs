//! Places where a simulated disk is asked for something, by kind of file, and what can go wrong there once.

use std::collections::BTreeMap;
use std::path::Path;

/// What a disk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// A new file.
    Create,
    /// An old one.
    Open,
    /// Bytes to be written.
    Write,
    /// A file to be made durable.
    Sync,
    /// A file to be cut.
    Cut,
    /// Bytes to be read.
    Read,
    /// A new name.
    Rename,
    /// A file to be gone.
    Remove,
    /// Names to be made durable.
    SyncFolder,
    /// The names in a folder.
    List,
}

/// A failpoint: what is asked, of which kind of file (its name from the first dot on; a folder's own name).
pub type Failpoint = (Asked, String);

/// What happens at a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// The process is gone right after it.
    Crash,
    /// An error; of a write some bytes may be there.
    Error,
    /// It takes so long. ms.
    Delay(i64),
}

/// The kind of a file.
pub(crate) fn kind_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.find('.').map(|at| name[at..].to_owned()).unwrap_or(name)
}

/// What was passed, and what is to fail.
#[derive(Default)]
pub(crate) struct Failpoints {
    /// They are counted, and the one that is set fails.
    pub(crate) is_on: bool,
    /// How often each was passed.
    pub(crate) passed: BTreeMap<Failpoint, u64>,
    /// The one that is set, how often it is still passed unharmed, and what happens then.
    pub(crate) set: Option<(Failpoint, u64, Fails)>,
    /// They are neither counted nor do they fail: it is not the process that asks.
    pub(crate) is_observed: bool,
    /// What happened at the one that was set.
    pub(crate) fired: Option<Fails>,
}

impl Failpoints {
    /// A failpoint is passed, or not: says what happens here.
    pub(crate) fn pass(&mut self, asked: Asked, kind: impl FnOnce() -> String) -> Option<Fails> {
        if !self.is_on || self.is_observed {
            return None;
        }
        let failpoint = (asked, kind());
        let fired = match &mut self.set {
            Some((set, 0, fails)) if *set == failpoint => Some(*fails),
            Some((set, after, _)) if *set == failpoint => {
                *after -= 1;
                None
            }
            _ => None,
        };
        *self.passed.entry(failpoint).or_default() += 1;
        if fired.is_some() {
            (self.set, self.fired) = (None, fired);
        }
        fired
    }
}
