//! The clock on the wall, made steady: it never goes back, and never stands still.

use parking_lot::Mutex;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Epoch µs.
pub fn now_us() -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ns = i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX);
    CLOCK.1.lock().read(wall_ns, CLOCK.0.elapsed().as_nanos() as i64) / 1_000
}

/// Epoch ms.
pub fn now_ms() -> i64 {
    now_us() / 1_000
}

/// Times below this have been given out, by an earlier process maybe: they do not come again. Epoch ms.
pub fn not_before(ms: i64) {
    CLOCK.1.lock().not_before(ms);
}

static CLOCK: LazyLock<(Instant, Mutex<Steady>)> = LazyLock::new(|| (Instant::now(), Mutex::default()));

/// A clock that follows the wall clock forward at once. When that one steps back, this one goes on at 7/8 of its speed
/// until it is caught up with: stamps that may not go back would otherwise stop time, and every silence with it, for
/// as long as the step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steady {
    /// What it said last. Epoch ns.
    now_ns: i64,
    /// The running time at which it said it. ns.
    read_at_ns: i64,
}

impl Steady {
    /// What it says when the wall clock says `wall_ns` (since the epoch) after the process has run for `running_ns`.
    pub fn read(&mut self, wall_ns: i64, running_ns: i64) -> i64 {
        // The two clocks are not read at once: a pause between the readings is no step back.
        let passed_ns = (running_ns - self.read_at_ns).max(0);
        self.now_ns = wall_ns.max(self.now_ns.saturating_add(passed_ns - passed_ns / 8));
        self.read_at_ns = running_ns;
        self.now_ns
    }

    /// Times below this do not come again. Epoch ms.
    pub fn not_before(&mut self, ms: i64) {
        self.now_ns = self.now_ns.max(ms.saturating_mul(1_000_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_slows_it_and_a_step_forward_is_followed() {
        const S: i64 = 1_000_000_000;
        let mut steady = Steady::default();
        assert_eq!(steady.read(1_000 * S, S), 1_000 * S);
        assert_eq!(steady.read(1_002 * S, 3 * S), 1_002 * S);
        // An hour back: time goes on, slower.
        assert_eq!(steady.read((1_010 - 3_600) * S, 11 * S), 1_009 * S);
        assert_eq!(steady.read((1_018 - 3_600) * S, 19 * S), 1_016 * S);
        // The wall has caught up.
        assert_eq!(steady.read(1_100 * S, 20 * S), 1_100 * S);
        assert_eq!(steady.read(9_000 * S, 21 * S), 9_000 * S);
    }

    #[test]
    fn a_pause_between_the_readings_does_not_hold_it_back() {
        const S: i64 = 1_000_000_000;
        let mut steady = Steady::default();
        assert_eq!(steady.read(1_000 * S, 0), 1_000 * S);
        assert_eq!(steady.read(1_010 * S, 10 * S + S / 2), 1_010 * S, "paused after the wall clock was read");
        assert_eq!(steady.read(1_020 * S, 20 * S), 1_020 * S);
    }

    #[test]
    fn it_never_goes_back() {
        let mut steady = Steady::default();
        let (mut last, mut wall, mut running) = (0, 1_000_000i64, 0);
        for (index, step) in [5, -300, 0, 7, -1, 400, -400, 1, 1, 1].iter().cycle().take(1_000).enumerate() {
            wall += step;
            running += index as i64 % 3;
            let now = steady.read(wall, running);
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    }
}
