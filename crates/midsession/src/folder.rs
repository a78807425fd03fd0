//! The session rules that a data folder was begun with: its state is what they make of the log, so they stay.

use crate::cli::Failure;
use crate::config::Session;
use bytes::Bytes;
use midsession_event::{Definition, PartitionId, Topic, decode, encode};
use midsession_ports::{Append, Log, Unit};

const KIND: &str = "session-rules";

/// Holds the rules against those of the folder; a folder without any takes these. With others, a replay would cut the
/// past into other sessions, and versions that have been given out would come again.
///
/// # Errors
/// The folder has other rules, or can't be read or written.
pub(crate) async fn keep(log: &dyn Log, rules: &Session, now_ms: i64) -> Result<(), Failure> {
    let mut known: Option<Session> = None;
    crate::history::for_each(log, Topic::Definition, PartitionId(0), 0, |entry| {
        if let Some(Ok(definition)) = entry.value.as_deref().map(decode::<Definition>)
            && definition.kind == KIND
        {
            known = serde_json::from_str(&definition.body).ok().or(known);
        }
    })?;
    match known {
        Some(known) if known == *rules => Ok(()),
        Some(Session { gap_s, grace_s, cadence_ms }) => Err(Failure::new(format!(
            "this data folder was begun with gap_s = {gap_s}, grace_s = {grace_s}, cadence_ms = {cadence_ms} under \
             [session], and what it knows of past visits comes from them"
        ))
        .hint("put these back, or start with a new --data folder")),
        None => {
            let body = serde_json::to_string(rules).map_err(Failure::new)?;
            let definition = Definition { kind: KIND.into(), name: "session".into(), body: body.into(), at_ms: now_ms };
            let value = Some(Bytes::from(encode(&definition).map_err(Failure::new)?));
            let key = Bytes::from_static(b"session-rules/session");
            let record = Append { topic: Topic::Definition, partition: PartitionId(0), key, value };
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let done = Box::new(move |result| {
                // Whoever starts has given up: nobody to tell.
                let _ = sender.send(result);
            });
            log.append(Unit { records: vec![record], positions: Vec::new() }, done);
            receiver.await.map_err(|_| Failure::new("the log is closing"))??;
            Ok(())
        }
    }
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
