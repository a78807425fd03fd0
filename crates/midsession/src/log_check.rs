//! The log's files read through in the background: a start trusts their indexes, and would find a flipped bit only when
//! somebody reads there.

use crate::app::Inner;
use midsession_engine_local::{Check, Checked};
use midsession_observe::Metric;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks for files that were filled since.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of each step's time so many times more is spent at rest: a tenth of one core at most.
const REST: u32 = 9;
/// At most so much of the disk's time is taken. Bytes per second.
const BYTES_PER_S: u64 = 50_000_000;

/// Checks every file once, for as long as the process runs.
pub(crate) async fn keep_checking(inner: Arc<Inner>) {
    let mut check = Check::default();
    loop {
        let known = Arc::clone(&inner);
        let stepped = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let checked = known.local.check_some(&mut check);
            (check, checked, begun.elapsed())
        });
        // An error: the process ends.
        let Ok((checking, checked, took)) = stepped.await else { return };
        check = checking;
        tell(&inner, &check, &checked);
        let rest = match checked.bytes {
            0 => LOOK_EVERY,
            bytes => (took * REST).max(Duration::from_micros(bytes * 1_000_000 / BYTES_PER_S)),
        };
        tokio::time::sleep(rest).await;
    }
}

fn tell(inner: &Inner, check: &Check, checked: &Checked) {
    let metrics = &inner.observe.metrics;
    metrics.add(Metric::LogCheckedBytes, checked.bytes);
    for error in &checked.damaged {
        tracing::error!(%error, "the log is damaged; everything else goes on, but what stands there can't be read");
    }
    let mut places = check.damaged();
    let count = places.len();
    metrics.set(Metric::LogDamagedPlaces, i64::try_from(count).unwrap_or(i64::MAX));
    let words = places.next().map(|first| match count {
        1 => first.to_string(),
        _ => format!("{first} (and {} more places, named in the process's log)", count - 1),
    });
    *inner.damage.lock() = words;
}
