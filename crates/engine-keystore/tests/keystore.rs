//! The keystore as its users see it: sealed values, restarts, destroyed keys, days that are over, bounds.

use midsession_engine_keystore::{Config, Keystore, OpenError, Reader};
use midsession_event::ShopperId;
use midsession_ports::{Scope, Seal, Sealed, Unopened, Vault, VaultError};
use std::path::Path;
use std::sync::mpsc::channel;

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 20_000 * DAY_MS + 5;

fn config(folder: &Path) -> Config {
    Config {
        folder: folder.join("keystore"),
        keys_max: 100,
        keep_personal_days: 30,
        keep_dead_letter_days: 7,
        master: None,
    }
}

fn keystore(folder: &Path) -> Keystore {
    Keystore::open(config(folder), NOW_MS).unwrap_or_else(|error| panic!("{error}"))
}

fn user(id: &str) -> ShopperId {
    ShopperId::User(id.into())
}

fn personal(whose: &ShopperId, bound: &str) -> Seal {
    let plain = format!("{whose} of {bound}").into_bytes();
    Seal { scope: Scope::Personal, whose: Some(whose.clone()), bound: bound.into(), plain }
}

fn letter(bound: &str) -> Seal {
    Seal { scope: Scope::DeadLetter, whose: None, bound: bound.into(), plain: b"as it came".to_vec() }
}

fn seal_at(vault: &Keystore, items: Vec<Seal>, now_ms: i64) -> Result<Sealed, VaultError> {
    let (sender, receiver) = channel();
    vault.seal(items, now_ms, Box::new(move |sealed| sender.send(sealed).expect("somebody waits")));
    receiver.recv().expect("an answer")
}

fn seal(vault: &Keystore, item: Seal) -> Vec<u8> {
    let mut sealed = seal_at(vault, vec![item], NOW_MS).unwrap_or_else(|error| panic!("{error}"));
    sealed.remove(0).expect("room")
}

#[test]
fn what_was_sealed_opens_after_a_restart_and_beside_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let (jane, joe) = (user("jane"), user("joe"));
    let (of_jane, of_joe, refused) = {
        let vault = keystore(folder.path());
        let both = seal_at(&vault, vec![personal(&jane, "e1"), personal(&joe, "e2"), letter("l1")], NOW_MS);
        let mut both = both.expect("sealed").into_iter().map(|sealed| sealed.expect("room"));
        assert_eq!(vault.keys(), 2);
        (both.next().expect("one"), both.next().expect("two"), both.next().expect("three"))
    };
    let vault = keystore(folder.path());
    let reader = Reader::open(&folder.path().join("keystore"), None).expect("beside its owner");
    for (bound, sealed, plain) in
        [("e1", &of_jane, &b"user:jane of e1"[..]), ("e2", &of_joe, b"user:joe of e2"), ("l1", &refused, b"as it came")]
    {
        assert_eq!(vault.open(bound, sealed).as_deref(), Ok(plain));
        assert_eq!(reader.unseal(bound, sealed).as_deref(), Ok(plain));
        assert_eq!(vault.open("another", sealed), Err(Unopened::NotThis), "in another record");
    }
    assert_eq!(vault.open("e1", b"{\"email\":1}"), Err(Unopened::NotThis), "never sealed");
    // The same key, not another one.
    assert_eq!(vault.keys(), 2);
    seal(&vault, personal(&jane, "e3"));
    assert_eq!(vault.keys(), 2);
}

#[test]
fn a_destroyed_key_leaves_ciphertext_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keystore/keys");
    let (jane, joe) = (user("jane"), user("joe"));
    let vault = keystore(folder.path());
    let (of_jane, of_joe) = (seal(&vault, personal(&jane, "e1")), seal(&vault, personal(&joe, "e2")));
    let with_both = std::fs::read(&keys).expect("the file");
    assert_eq!(vault.destroy(&[jane.clone(), user("nobody")]), Ok(1));
    assert_eq!(vault.open("e1", &of_jane), Err(Unopened::NoKey));
    assert_eq!(vault.open("e2", &of_joe).as_deref(), Ok(&b"user:joe of e2"[..]));
    let without = std::fs::read(&keys).expect("the file");
    assert!(without.len() < with_both.len(), "its bytes have left the disk");
    // A new key under the old name opens nothing old.
    let anew = seal(&vault, personal(&jane, "e4"));
    assert_eq!(vault.open("e1", &of_jane), Err(Unopened::NotThis));
    assert!(vault.open("e4", &anew).is_ok());
    drop(vault);
    let vault = keystore(folder.path());
    assert!(
        vault.open("e1", &of_jane).is_err() && vault.open("e4", &anew).is_ok() && vault.open("e2", &of_joe).is_ok()
    );
    assert_eq!(vault.destroy(&[]), Ok(0));
}

#[test]
fn days_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let vault = keystore(folder.path());
    let jane = user("jane");
    let at = |day: i64, item: Seal| {
        let sealed = seal_at(&vault, vec![item], NOW_MS + day * DAY_MS).expect("sealed");
        sealed.into_iter().next().flatten().expect("room")
    };
    let (first, letter_1) = (at(0, personal(&jane, "e1")), at(0, letter("l1")));
    let (second, letter_2) = (at(20, personal(&jane, "e2")), at(1, letter("l2")));
    let opens = |day: i64| {
        vault.expire(NOW_MS + day * DAY_MS);
        // Whatever was asked before has been done when this is.
        vault.destroy(&[]).expect("waited");
        [("e1", &first), ("l1", &letter_1), ("e2", &second), ("l2", &letter_2)]
            .map(|(bound, it)| vault.open(bound, it).is_ok())
    };
    assert_eq!(opens(7), [true, true, true, true]);
    assert_eq!(opens(8), [true, false, true, true]);
    assert_eq!(opens(9), [true, false, true, false]);
    assert_eq!(opens(30), [true, false, true, false]);
    // The shopper's own key has been used since, so it stays for what came later.
    assert_eq!(opens(31), [false, false, true, false]);
    assert_eq!((opens(50), vault.keys()), ([false, false, true, false], 1));
    assert_eq!((opens(51), vault.keys()), ([false; 4], 0));
}

#[test]
fn there_is_room_for_so_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let vault = Keystore::open(Config { keys_max: 2, ..config(folder.path()) }, NOW_MS).expect("opens");
    let items = ["a", "b", "c", "a"].map(|id| personal(&user(id), "e")).to_vec();
    let kept = |sealed: Sealed| sealed.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(seal_at(&vault, items, NOW_MS).map(kept), Ok(vec![true, true, false, true]));
    assert_eq!(seal_at(&vault, vec![letter("l")], NOW_MS).map(kept), Ok(vec![true]), "days are not counted");
    assert_eq!(vault.destroy(&[user("a")]), Ok(1));
    assert_eq!(seal_at(&vault, vec![personal(&user("c"), "e")], NOW_MS).map(kept), Ok(vec![true]));
}

#[test]
fn secrets_stay_what_they_were_made_as() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(keystore(folder.path()).secret("ids", [1; 32]), Ok([1; 32]));
    let vault = keystore(folder.path());
    assert_eq!(vault.secret("ids", [2; 32]), Ok([1; 32]));
    assert_eq!(vault.secret("other", [2; 32]), Ok([2; 32]));
    vault.expire(i64::MAX / 2);
    assert_eq!((vault.destroy(&[]), vault.secret("ids", [3; 32])), (Ok(0), Ok([1; 32])));
}

#[test]
fn it_is_private_and_one_process_s() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |config: Config| Keystore::open(config, NOW_MS).map(|_| ()).expect_err("refused");
    let vault = keystore(folder.path());
    seal(&vault, personal(&user("jane"), "e1"));
    let own = folder.path().join("keystore");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&own), 0o700);
    for name in ["keys", "master.key", "lock"] {
        assert_eq!(mode(&own.join(name)), 0o600, "{name}");
    }
    assert!(!String::from_utf8_lossy(&std::fs::read(own.join("keys")).expect("bytes")).contains("jane"));
    assert!(matches!(refusal(config(folder.path())), OpenError::Locked { .. }));
    drop(vault);
    let other = refusal(Config { master: Some([9; 32]), ..config(folder.path()) });
    assert!(matches!(other, OpenError::OtherMaster { .. }), "{other}");
    let master = own.join("master.key");
    let kept = std::fs::read(&master).expect("a master key");
    std::fs::set_permissions(&master, PermissionsExt::from_mode(0o644)).expect("opened up");
    assert!(refusal(config(folder.path())).to_string().contains("chmod 600"));
    std::fs::set_permissions(&master, PermissionsExt::from_mode(0o600)).expect("closed");
    std::fs::write(&master, "not a key").expect("written");
    assert!(matches!(refusal(config(folder.path())), OpenError::NoMaster { .. }));
    std::fs::remove_file(&master).expect("removed");
    // No new master key beside keys that it could not unwrap.
    assert!(refusal(config(folder.path())).to_string().contains("master.key"));
    std::fs::write(&master, kept).expect("put back");
    std::fs::set_permissions(&master, PermissionsExt::from_mode(0o600)).expect("closed");
    drop(keystore(folder.path()));
}
