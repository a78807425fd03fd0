//! What goes wrong: processes and power that go away, disks that fail or fill up, clocks that jump.

use super::Storm;
use crate::audit::Audit;
use crate::house::House;
use midsession_engine_local::SimDisk;
use midsession_ports::LogError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Storm {
    /// Something bad; an error means that the process is gone at once.
    pub(super) fn trouble(&mut self) -> Option<LogError> {
        let gone = || Some(LogError::Failed { cause: "killed".into() });
        match self.rng.below(8) {
            0..=2 => return gone(),
            // Within the next changes to the disk.
            3 | 4 => {
                self.disk.kill_after(self.rng.below(4));
                self.dying = true;
            }
            5 => {
                self.disk.fail_next_sync();
                self.dying = true;
            }
            6 => {
                let room = if self.rng.chance(50) { Some(self.disk.used() + self.rng.below(2_000)) } else { None };
                self.disk.set_capacity(room);
                if room.is_some() {
                    // Room is made some time later, by a restart at the latest.
                    self.dying = true;
                }
            }
            _ => {
                self.skew_ms = self.rng.pick(&[0, 0, -3_600_000, -1, 90_000, 40 * 60_000]);
                self.set_clock();
            }
        }
        None
    }

    /// The process or the power goes; a new process starts on what is left.
    pub(super) fn crash(&mut self, house: House) {
        self.weathered.crashes += 1;
        self.weathered.snapshots += house.snapshots();
        self.weathered.spilled += house.spilled.written.load(Ordering::Relaxed);
        self.weathered.spills_refused += house.spilled.refused.load(Ordering::Relaxed);
        if self.rng.chance(50) {
            self.disk.lose_power(self.rng.bits());
        } else {
            self.disk.kill();
        }
        self.audience.cut_off(&house);
        drop(house);
        self.dying = false;
        self.disk.set_capacity(None);
        if self.rng.chance(self.plan.rots) {
            // The newest snapshot of a partition that has two: the one before and the log since must do.
            self.weathered.rotten += u64::from(self.disk.rot(".state", self.rng.bits()).is_some());
        }
        // Who waited for an answer sends again.
        self.land();
        for batch in std::mem::take(&mut self.flying).into_values() {
            self.send_later(batch);
        }
        self.answers = Arc::default();
        self.keyed.lost();
        self.definer.restarted();
        self.now_ms += self.rng.pick(&[0, 5, 1_000, 60_000, 31 * 60_000]);
    }

    /// One bit of the log's files is another one, on a copy of the disk: whoever starts on it names the file, or reads what
    /// was read before, but for the last commit, which may be taken for one that was not complete.
    pub(super) fn flip(&mut self, audit: &Audit) -> Result<(), String> {
        let mut image = self.disk.image();
        let is_log =
            |path: &Path| [".journal", ".compact", ".index"].iter().any(|end| path.to_string_lossy().ends_with(end));
        let paths: Vec<_> = image.files().keys().filter(|path| is_log(path)).cloned().collect();
        let path = &paths[self.rng.below(paths.len() as u64) as usize];
        let Some(bytes) = image.files().get_mut(path).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        let at = self.rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << self.rng.below(8);
        self.weathered.flipped += 1;
        let read = self
            .definer
            .open(&SimDisk::of_image(&image), &self.clock_us, &self.plan)
            .and_then(|house| audit.compare(&house));
        match read {
            Ok(None) => Ok(()),
            Ok(Some(difference)) => Err(format!("I1: {} flipped at {at}: {difference}", path.display())),
            Err(LogError::Corrupt { file, .. }) if file.ends_with(&*path.to_string_lossy()) => {
                self.weathered.named += 1;
                Ok(())
            }
            Err(error) => Err(format!("I1: {} flipped at {at}: {error}", path.display())),
        }
    }
}
