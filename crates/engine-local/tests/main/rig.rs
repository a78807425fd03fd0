//! The embedded log as the exam wants it: on the disk of this machine with threads, on a simulated one without.

use midsession_engine_local::{Clock, Config, Disk, LocalLog, RealDisk, SimDisk};
use midsession_ports::exam::{Faults, Files, Rig, Setup};
use midsession_ports::{Log, LogError, Unit};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use tempfile::TempDir;

type FileBytes = BTreeMap<String, Vec<u8>>;

fn config(folder: &Path, setup: &Setup) -> Config {
    Config {
        partitions: setup.partitions,
        keep_ms: setup.keep_ms,
        keep_bytes: setup.keep_bytes,
        journal_bytes: setup.file_bytes,
        queue_bytes: setup.queue_bytes,
        // So that what waits takes several commits.
        commit_bytes: 1_500,
        ..Config::new(folder)
    }
}

fn newest_journal(image: &FileBytes) -> String {
    image.keys().filter(|name| name.ends_with(".journal")).max().unwrap().clone()
}

struct Now(Arc<AtomicI64>);

impl Now {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_000_000)))
    }
    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Arc::new(move || now.load(Ordering::Relaxed))
    }
}

/// On the disk of this machine, with the log's own threads.
pub struct Real {
    folder: TempDir,
    now: Now,
    log: Option<Arc<LocalLog>>,
}

impl Real {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Now::new(), log: None }
    }
}

impl Rig for Real {
    fn open(&mut self, setup: &Setup) -> Result<Arc<dyn Log>, LogError> {
        let log = LocalLog::open(Arc::new(RealDisk), self.now.clock(), config(self.folder.path(), setup))?;
        let log = Arc::new(log);
        self.log = Some(log.clone());
        Ok(log)
    }
    fn settle(&mut self) {
        // Units are answered in order: when this one is, all before it have been. It may have to wait for room.
        loop {
            let (send, receive) = mpsc::channel();
            let done = Box::new(move |answer: Result<_, LogError>| send.send(answer.err()).unwrap());
            self.log.as_ref().unwrap().append(Unit::default().into(), done);
            if !matches!(receive.recv().unwrap(), Some(LogError::Busy { .. })) {
                return;
            }
            std::thread::yield_now();
        }
    }
    fn close(&mut self) {
        self.log = None;
    }
    fn keep_house(&mut self) -> Result<(), LogError> {
        self.log.as_ref().unwrap().keep_house_now()
    }
    fn set_now(&mut self, now_ms: i64) {
        self.now.0.store(now_ms, Ordering::Relaxed);
    }
    fn hold(&mut self, act: &mut dyn FnMut(&dyn Log)) {
        let log = self.log.as_ref().unwrap();
        let (entered, is_entered) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        log.append(
            Unit::default().into(),
            Box::new(move |_| {
                entered.send(()).unwrap();
                may_go.recv().unwrap();
            }),
        );
        is_entered.recv().unwrap();
        act(&**log);
        go.send(()).unwrap();
    }
    fn files(&mut self) -> Option<&mut dyn Files> {
        Some(self)
    }
}

impl Files for Real {
    fn image(&mut self) -> FileBytes {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
    }
    fn put(&mut self, image: &FileBytes) {
        assert!(self.log.is_none());
        self.folder = tempfile::tempdir().unwrap();
        for (name, bytes) in image {
            std::fs::write(self.folder.path().join(name), bytes).unwrap();
        }
    }
    fn tail(&self, image: &FileBytes) -> String {
        newest_journal(image)
    }
    fn is_guarded(&self, name: &str) -> bool {
        name != "lock"
    }
    fn stride(&self) -> usize {
        61
    }
}

/// On a simulated disk, driven by hand.
pub struct Simulated {
    pub disk: SimDisk,
    now: Now,
    log: Option<Arc<LocalLog>>,
}

const FOLDER: &str = "/simulated";

impl Simulated {
    pub fn new() -> Self {
        Self { disk: SimDisk::default(), now: Now::new(), log: None }
    }
    /// On a disk whose syncs do nothing: the log as it would be without fdatasync.
    pub fn without_sync() -> Self {
        let rig = Self::new();
        rig.disk.skip_syncs();
        rig
    }
    fn process(&self) -> Arc<dyn Disk> {
        self.disk.process()
    }
}

impl Rig for Simulated {
    fn open(&mut self, setup: &Setup) -> Result<Arc<dyn Log>, LogError> {
        let log = LocalLog::open_threadless(self.process(), self.now.clock(), config(Path::new(FOLDER), setup))?;
        let log = Arc::new(log);
        self.log = Some(log.clone());
        Ok(log)
    }
    fn settle(&mut self) {
        while self.log.as_ref().unwrap().commit_now() > 0 {}
    }
    fn close(&mut self) {
        self.log = None;
    }
    fn keep_house(&mut self) -> Result<(), LogError> {
        self.log.as_ref().unwrap().keep_house_now()
    }
    fn set_now(&mut self, now_ms: i64) {
        self.now.0.store(now_ms, Ordering::Relaxed);
    }
    fn hold(&mut self, act: &mut dyn FnMut(&dyn Log)) {
        act(&**self.log.as_ref().unwrap());
    }
    fn faults(&mut self) -> Option<&mut dyn Faults> {
        Some(self)
    }
    fn files(&mut self) -> Option<&mut dyn Files> {
        Some(self)
    }
}

impl Faults for Simulated {
    fn lose_power(&mut self, seed: u64) {
        self.disk.lose_power(seed);
    }
    fn kill(&mut self) {
        self.disk.kill();
    }
    fn kill_after(&mut self, changes: u64) {
        self.disk.kill_after(changes);
    }
    fn fail_next_sync(&mut self) {
        self.disk.fail_next_sync();
    }
    fn set_room(&mut self, bytes: Option<u64>) {
        let used = self.disk.used();
        self.disk.set_capacity(bytes.map(|bytes| used + bytes));
    }
}

impl Files for Simulated {
    fn image(&mut self) -> FileBytes {
        let mut image = self.disk.image();
        let files = image.files().iter();
        files.map(|(path, bytes)| (path.file_name().unwrap().to_str().unwrap().to_owned(), bytes.clone())).collect()
    }
    fn put(&mut self, image: &FileBytes) {
        assert!(self.log.is_none());
        let mut content = SimDisk::default().image();
        content.files().extend(image.iter().map(|(name, bytes)| (Path::new(FOLDER).join(name), bytes.clone())));
        self.disk = SimDisk::of_image(&content);
    }
    fn tail(&self, image: &FileBytes) -> String {
        newest_journal(image)
    }
    fn is_guarded(&self, _: &str) -> bool {
        true
    }
    fn stride(&self) -> usize {
        1
    }
}
