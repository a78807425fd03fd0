//! The keystore on the simulated disk: each of its failpoints once with a crash, an error and a delay. What was sealed and
//! answered opens after any restart; what was destroyed and answered never does.

use midsession_engine_keystore::{Config, KeyDisk, KeyFile, Keystore};
use midsession_engine_local::{Asked, Disk, DiskFile, Failpoint, Fails, SimDisk};
use midsession_event::ShopperId;
use midsession_ports::{Scope, Seal, Unopened, Vault};
use midsession_sim::rng::Rng;
use midsession_sim::storm::DELAY_MS;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

const DAY_MS: i64 = 86_400_000;
const LIVES: u64 = 4;
/// Shoppers of one life.
const SHOPPERS: u64 = 5;
const FAILS: [Fails; 3] = [Fails::Crash, Fails::Error, Fails::Delay(DELAY_MS)];

/// Failpoints that must be among them.
const MUST: [(Asked, &str); 10] = [
    (Asked::Create, ".new"),
    (Asked::Write, ".new"),
    (Asked::Sync, ".new"),
    (Asked::Rename, "keys"),
    (Asked::SyncFolder, "keystore"),
    (Asked::Open, "keys"),
    (Asked::Read, "keys"),
    (Asked::Write, "keys"),
    (Asked::Sync, "keys"),
    (Asked::Cut, "keys"),
];

/// The simulated disk as the keystore asks one.
struct Files(Arc<dyn Disk>);
struct OpenFile(Arc<dyn DiskFile>);

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated disk")
    }
}

impl KeyFile for OpenFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_at(bytes, at)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

impl KeyDisk for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.0.open(path, false)?;
        let mut bytes = vec![0; file.size()? as usize];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
    fn mode(&self, path: &Path) -> io::Result<u32> {
        self.0.open(path, false).map(|_| 0o600)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn KeyFile>> {
        Ok(Box::new(OpenFile(self.0.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn KeyFile>> {
        Ok(Box::new(OpenFile(self.0.open(path, true)?)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.sync_folder(folder)
    }
}

/// What was answered.
#[derive(Default)]
struct Answered {
    /// By shopper: the record and the sealed bytes.
    sealed: BTreeMap<u64, (String, Vec<u8>)>,
    /// Of these the key was to be destroyed; whether that was answered with yes.
    destroyed: BTreeMap<u64, bool>,
}

fn shopper(number: u64) -> ShopperId {
    ShopperId::User(format!("u{number}").as_str().into())
}

impl Answered {
    fn judge(&self, store: &Keystore, what: &str) {
        for (number, (bound, sealed)) in &self.sealed {
            match (store.open(bound, sealed), self.destroyed.get(number)) {
                (Ok(plain), None | Some(false)) => assert_eq!(plain, number.to_le_bytes(), "{what}: {number}"),
                (Err(Unopened::NoKey), Some(_)) => {}
                (other, destroyed) => panic!("{what}: {number} is {other:?}; destroyed: {destroyed:?}"),
            }
        }
    }
}

/// Some lives of a keystore, the failpoint set or none; how often each was passed, and whether that one has failed.
fn run(seed: u64, set: Option<(Failpoint, u64, Fails)>, what: &str) -> (BTreeMap<Failpoint, u64>, bool) {
    let (mut rng, disk, folder) = (Rng::new(seed), SimDisk::default(), tempfile::tempdir().unwrap());
    let config = Config {
        folder: folder.path().join("keystore"),
        keys_max: 1_000,
        keep_personal_days: 300,
        keep_dead_letter_days: 7,
        master: Some([7; 32]),
    };
    disk.count_failpoints();
    if let Some((failpoint, after, fails)) = set {
        disk.fail_at(failpoint, after, fails);
    }
    let (mut answered, mut asked) = (Answered::default(), BTreeSet::new());
    for life in 0..LIVES {
        let now_ms = (20_000 + 10 * life as i64) * DAY_MS;
        let open = || Keystore::open_on(Arc::new(Files(disk.process())), config.clone(), now_ms);
        // What fails once may meet a start: the next one must do.
        let store = open().or_else(|_| {
            disk.kill();
            open()
        });
        let store = store.unwrap_or_else(|error| panic!("{what}: life {life}: {error}"));
        answered.judge(&store, what);
        for number in life * SHOPPERS..(life + 1) * SHOPPERS {
            let bound = format!("record {number}");
            let plain = number.to_le_bytes().to_vec();
            let own =
                Seal { scope: Scope::Personal, whose: Some(shopper(number)), bound: bound.as_str().into(), plain };
            let letter = Seal { scope: Scope::DeadLetter, whose: None, bound: "letter".into(), plain: vec![1] };
            let (sender, receiver) = channel();
            store.seal(vec![own, letter], now_ms, Box::new(move |sealed| drop(sender.send(sealed))));
            if let Ok(Ok(sealed)) = receiver.recv() {
                answered.sealed.insert(number, (bound, sealed[0].clone().unwrap()));
            }
            if rng.chance(40) {
                let of = rng.below(number + 1);
                asked.insert(of);
                let is_done = store.destroy(&[shopper(of)]).is_ok();
                // A key that is not there is destroyed; were it made later, it would be another one.
                let before = answered.destroyed.entry(of).or_insert(false);
                *before |= is_done;
            }
        }
        answered.judge(&store, what);
        drop(store);
        if rng.chance(50) { disk.lose_power(rng.bits()) } else { disk.kill() }
    }
    disk.end_failpoints();
    let store = Keystore::open_on(Arc::new(Files(disk.process())), config, 20_100 * DAY_MS);
    answered.judge(&store.unwrap_or_else(|error| panic!("{what}: {error}")), what);
    let fired = disk.take_fired().is_some();
    assert!(fired || !answered.sealed.is_empty() && !asked.is_empty(), "{what}: too calm");
    (disk.passed(), fired)
}

#[test]
fn every_failpoint_of_the_keystore_is_weathered() {
    let (mut rng, mut runs) = (Rng::new(3), 0);
    for seed in 0..4 {
        let (passed, _) = run(seed, None, &format!("seed {seed}"));
        for (asked, kind) in MUST {
            assert!(passed.contains_key(&(asked, kind.to_owned())), "{asked:?} {kind} is never passed: {passed:?}");
        }
        for ((failpoint, times), fails) in passed.iter().flat_map(|passed| FAILS.map(|fails| (passed, fails))) {
            let after = rng.below(*times);
            let what = format!("{failpoint:?} {fails:?} after {after}, seed {seed}");
            let (_, has_fired) = run(seed, Some((failpoint.clone(), after, fails)), &what);
            assert!(has_fired, "{what}: it was never reached");
            runs += 1;
        }
    }
    println!("{runs} runs");
}
