//! The keys of an installation: from the environment, else made once and kept in the data folder.

use crate::cli::Failure;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Secrets and the public write key.
#[derive(Clone, Deserialize, Serialize)]
pub struct Keys {
    /// Public: may only send.
    pub write_key: String,
    /// Opens the admin listener.
    pub admin_token: String,
    /// Signs shoppers' tokens, discount codes and hashed ids.
    pub signing_key: String,
    /// They were made just now: the admin token is shown this once.
    #[serde(skip)]
    pub fresh: bool,
    /// The write key is the environment's.
    #[serde(skip)]
    pub write_key_given: bool,
    /// The admin token is the environment's.
    #[serde(skip)]
    pub admin_token_given: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys {{ write_key: {:?}, admin_token: ***, signing_key: *** }}", self.write_key)
    }
}

impl Keys {
    /// Where they are kept in a data folder.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join("keys.toml")
    }

    /// Reads the folder's keys, or makes them. `MIDSESSION_WRITE_KEY` and `MIDSESSION_ADMIN_TOKEN` go first.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let path = Self::file(folder);
        let unusable = |cause| {
            Failure::new(format!("the data folder can't be used: {}: {cause}", path.display()))
                .hint("pass --data with a folder that this user may make, read and write")
        };
        let mut keys = match std::fs::read_to_string(&path) {
            Ok(text) => {
                private(&path)?;
                toml::from_str(&text).map_err(|error| {
                    let cause = format!("{} is no file of keys: {}", path.display(), error.message());
                    Failure::new(cause).hint(
                        "put it back from a backup; or remove it: the next start makes new keys, which trackers and \
                         readers then need",
                    )
                })?
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                let keys = Self {
                    write_key: random(16),
                    admin_token: random(32),
                    signing_key: random(32),
                    fresh: true,
                    write_key_given: false,
                    admin_token_given: false,
                };
                keys.write(folder, &path).map_err(unusable)?;
                keys
            }
            Err(cause) => return Err(unusable(cause)),
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(key) = variable("MIDSESSION_WRITE_KEY") {
            keys.write_key = key;
            keys.write_key_given = true;
        }
        if let Some(token) = variable("MIDSESSION_ADMIN_TOKEN") {
            keys.admin_token = token;
            keys.admin_token_given = true;
            keys.fresh = false;
        }
        Ok(keys)
    }

    /// The admin token of an installation that is there already.
    pub fn admin_token(folder: &Path) -> Result<String, Failure> {
        let given = std::env::var("MIDSESSION_ADMIN_TOKEN").ok().filter(|value| !value.is_empty());
        if given.is_none() && !folder.join("keys.toml").exists() {
            let hint = "set MIDSESSION_ADMIN_TOKEN, or pass --data with the folder that the server prints at its start";
            return Err(Failure::new(format!("there is no admin token in {}", folder.display())).hint(hint));
        }
        match given {
            Some(token) => Ok(token),
            None => Ok(Self::load(folder)?.admin_token),
        }
    }

    /// Whole or not at all: a crash in between leaves no half a file in its place.
    fn write(&self, folder: &Path, path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::create_dir_all(folder)?;
        let next = path.with_extension("new");
        // A crash may have left one.
        std::fs::remove_file(&next).or_else(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(cause),
        })?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&next, path)?;
        std::fs::File::open(folder)?.sync_all()
    }
}

/// Secrets that others on this machine can read are none.
fn private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(|cause| format!("{}: {cause}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        let (path, mode) = (path.display(), mode & 0o777);
        return Err(format!("{path} can be read by others (mode {mode:03o}); make it private: chmod 600 {path}"));
    }
    Ok(())
}

/// A key of the right size from the installation's secret.
pub(crate) fn secret(signing_key: &str) -> [u8; 32] {
    let mut secret = [0; 32];
    for (index, half) in [&["a", signing_key], &["b", signing_key]].into_iter().enumerate() {
        secret[index * 16..index * 16 + 16].copy_from_slice(&midsession_event::hash128(half.as_slice()).to_le_bytes());
    }
    secret
}

/// A fresh secret.
pub(crate) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key
}

/// So many random bytes in hexadecimal, from the operating system.
fn random(bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes * 2 {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    text.truncate(bytes * 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_not_be_says_what_to_do() {
        let failure = Keys::load(Path::new("/dev/null/x")).expect_err("no folder");
        assert!(failure.cause.contains("/dev/null/x/keys.toml"), "{}", failure.cause);
        assert!(failure.hint.is_some_and(|hint| hint.contains("--data")));
    }

    #[test]
    fn keys_are_whole_or_it_is_said_which_file_to_put_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = Keys::file(folder.path());
        // What a crash left of an earlier try.
        std::fs::write(path.with_extension("new"), "write_key = \"half").expect("written");
        let made = Keys::load(folder.path()).expect("keys");
        assert!(!path.with_extension("new").exists());
        let again = Keys::load(folder.path()).expect("the same keys");
        assert!(made.fresh && !again.fresh && made.signing_key == again.signing_key);
        let whole = std::fs::read_to_string(&path).expect("keys");
        for broken in ["", &whole[..whole.len() / 2], "not toml"] {
            std::fs::write(&path, broken).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
            let failure = Keys::load(folder.path()).expect_err("no keys");
            assert!(failure.cause.contains("keys.toml is no file of keys"), "{}", failure.cause);
            assert!(failure.hint.is_some_and(|hint| hint.contains("put it back")));
        }
    }
}
