//! The session rules that a data folder was begun with: its state is what they make of the log, so they stay.

use crate::cli::Failure;
use crate::config::Session;
use midsession_ports::Log;

const KIND: &str = "session-rules";

/// Holds the rules against those of the folder; a folder without any takes these. With others, a replay would cut the
/// past into other sessions, and versions that have been given out would come again.
///
/// # Errors
/// The folder has other rules, or can't be read or written.
pub(crate) async fn keep(log: &dyn Log, rules: &Session, now_ms: i64) -> Result<(), Failure> {
    match known(log)? {
        Some(known) if known == *rules => Ok(()),
        Some(Session { gap_s, grace_s, cadence_ms }) => Err(Failure::new(format!(
            "this data folder was begun with gap_s = {gap_s}, grace_s = {grace_s}, cadence_ms = {cadence_ms} under \
             [session], and what it knows of past visits comes from them"
        ))
        .hint("put these back, or start with a new --data folder")),
        None => Ok(crate::records::put(log, KIND, "session", rules, now_ms).await?),
    }
}

/// The rules that a folder was begun with, if it has any.
///
/// # Errors
/// The folder can't be read.
pub(crate) fn known(log: &dyn Log) -> Result<Option<Session>, midsession_ports::LogError> {
    let mut known = None;
    crate::records::of_kind(log, KIND, |_, rules| known = Some(rules))?;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_engine_local::{Config, LocalLog, RealDisk};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_folder_keeps_its_session_rules() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let log = LocalLog::open(Arc::new(RealDisk), Arc::new(|| 1_700_000_000_000), Config::new(folder.path()));
            log.unwrap_or_else(|error| panic!("{error}"))
        };
        let rules = Session { gap_s: 1_800, grace_s: 120, cadence_ms: 5_000 };
        for _ in 0..2 {
            keep(&open(), &rules, 1).await.unwrap_or_else(|failure| panic!("{}", failure.cause));
        }
        let refused = keep(&open(), &Session { gap_s: 3, ..rules }, 1).await.expect_err("other rules");
        assert!(refused.cause.contains("gap_s = 1800"), "{}", refused.cause);
        assert!(refused.hint.is_some());
    }
}
