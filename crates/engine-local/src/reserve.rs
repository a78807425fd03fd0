//! Room kept aside: a start on a full disk may have to begin a file before it can read and serve what is there.

use crate::disk::Disk;
use std::path::Path;

/// The file that takes the room.
const NAME: &str = "reserve";
const STEP_BYTES: usize = 256 << 10;

/// Takes as much room as there is, up to so many bytes. The log is as good without: what fails is tried by the next start.
pub fn keep(disk: &dyn Disk, folder: &Path, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let path = folder.join(NAME);
    let kept = disk.open(&path, true).or_else(|_| disk.create(&path)).and_then(|file| {
        let mut at = file.size()?;
        let zeros = vec![0; STEP_BYTES];
        while at < bytes {
            let step = (bytes - at).min(STEP_BYTES as u64);
            file.write_at(&zeros[..step as usize], at)?;
            at += step;
        }
        Ok(())
    });
    if let Err(error) = kept {
        tracing::warn!(file = %path.display(), %error, "less room than usual is kept for a start on a full disk");
    }
}

/// Gives the room back; false if there is none.
pub fn give_back(disk: &dyn Disk, folder: &Path) -> bool {
    disk.remove(&folder.join(NAME)).is_ok()
}
