//! Who opened what was sealed on the command line: a file of the data folder that is only ever added to.
//!
//! A command can't append to the log, whose writer is the server; but it can't print what it has not written here first.

use crate::cli::Failure;
use midsession_event::{PartitionId, Topic};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Its name in the data folder.
pub(crate) const FILE: &str = "opened.jsonl";

/// The file, open for adding.
pub(crate) struct Opened {
    file: File,
    path: PathBuf,
    user: Option<String>,
}

impl Opened {
    /// Opens the file of a data folder, or makes it.
    ///
    /// # Errors
    /// It can't be written to: then nothing may be opened either.
    pub fn at(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = opened.and_then(|file| {
            // The name of a new file is durable too.
            File::open(folder)?.sync_all()?;
            Ok(file)
        });
        let file = file.map_err(|cause| refused(&path, &cause))?;
        Ok(Self { file, path, user: user() })
    }

    /// Says that these records are about to be shown; durable when this returns.
    ///
    /// # Errors
    /// It could not be written: nothing may be shown.
    pub fn tell(
        &mut self,
        now_ms: i64,
        topic: Topic,
        partition: PartitionId,
        offsets: (i64, i64),
        records: usize,
    ) -> Result<(), Failure> {
        let line = json!({
            "at_ms": now_ms, "uid": rustix::process::getuid().as_raw(), "user": self.user,
            "sudo_user": std::env::var("SUDO_USER").ok(), "topic": topic.name(), "partition": partition.0,
            "from": offsets.0, "to": offsets.1, "records": records,
        });
        // In one write: lines of two commands at a time stay whole.
        let line = format!("{line}\n");
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|cause| refused(&self.path, &cause))
    }
}

fn refused(path: &Path, cause: &std::io::Error) -> Failure {
    let what = format!("{} can't be written ({cause}), and nothing is opened without evidence of it", path.display());
    Failure::new(what).hint("run the command as the user that the server runs as, where there is room on the disk")
}

/// The name of whoever runs this process, where the machine's own list of users has it.
fn user() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_what_can_t_be_written_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for records in [3, 4] {
            let mut opened = Opened::at(folder.path()).unwrap_or_else(|failure| panic!("{}", failure.cause));
            let told = opened.tell(1_000, Topic::BehaviorPii, PartitionId(2), (5, 9), records);
            assert!(told.is_ok());
        }
        let text = std::fs::read_to_string(folder.path().join(FILE)).expect("there");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "the second does not write over the first");
        assert_eq!((&lines[0]["records"], &lines[1]["records"]), (&json!(3), &json!(4)));
        assert_eq!(lines[0]["topic"], "behavior-pii");
        assert_eq!(lines[0]["uid"], json!(rustix::process::getuid().as_raw()));
        let nowhere = Opened::at(&folder.path().join("gone")).err().expect("no such folder");
        assert!(nowhere.cause.contains("nothing is opened without evidence"), "{}", nowhere.cause);
        assert!(nowhere.hint.is_some());
    }
}
