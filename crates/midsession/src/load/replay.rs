//! The replay of real clicks: the bol.com sample, by time, each visit's own gaps kept.

use super::client::Client;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sample, as its authors published it (Apache-2.0, see `data/serenade-sample`).
const SAMPLE: &[u8] = include_bytes!("../../../../data/serenade-sample/train.txt.gz");
/// Clicks that may be sent in one request.
const BATCH: usize = 50;
/// How often the place reached is written down.
const NOTE_EVERY_MS: i64 = 2_000;

/// One click: visit, item, and time since the first click of the sample. ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// The visit; becomes the visitor id.
    pub visit: u64,
    /// Number of the click within its visit, from 0.
    pub number: u32,
    /// The product.
    pub item: u64,
    /// Time in the sample. Epoch ms.
    pub at_ms: i64,
}

/// The sample's clicks by time, then by file order.
pub fn sample() -> Result<Vec<Click>, String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(SAMPLE).read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    parse(&text)
}

/// Reads `SessionId, ItemId, Time` rows.
fn parse(text: &str) -> Result<Vec<Click>, String> {
    let mut clicks = Vec::new();
    for (line, row) in text.lines().enumerate().skip(1) {
        let mut fields = row.split('\t');
        let mut field = |name: &str| fields.next().ok_or_else(|| format!("line {}: no {name}", line + 1));
        let bad = |name: &str| format!("line {}: {name} is not a number", line + 1);
        let visit = field("SessionId")?.parse().map_err(|_| bad("SessionId"))?;
        let item = field("ItemId")?.parse().map_err(|_| bad("ItemId"))?;
        let seconds: f64 = field("Time")?.parse().map_err(|_| bad("Time"))?;
        clicks.push(Click { visit, number: 0, item, at_ms: (seconds * 1000.0).round() as i64 });
    }
    clicks.sort_by_key(|click| click.at_ms);
    let mut numbers: BTreeMap<u64, u32> = BTreeMap::new();
    for click in &mut clicks {
        let number = numbers.entry(click.visit).or_default();
        click.number = *number;
        *number += 1;
    }
    Ok(clicks)
}

/// When each click is due after the start: only the pauses between the visits' starts shrink by `speed`. ms.
pub fn schedule(clicks: &[Click], speed: f64) -> Vec<(i64, Click)> {
    let first_ms = clicks.first().map_or(0, |click| click.at_ms);
    let mut starts: BTreeMap<u64, i64> = BTreeMap::new();
    let mut due: Vec<(i64, Click)> = clicks
        .iter()
        .map(|click| {
            let start_ms = *starts.entry(click.visit).or_insert(click.at_ms);
            let shrunk_ms = ((start_ms - first_ms) as f64 / speed) as i64;
            (shrunk_ms + (click.at_ms - start_ms), click.clone())
        })
        .collect();
    due.sort_by_key(|(due_ms, click)| (*due_ms, click.visit, click.number));
    due
}

/// How far the replay got, kept in the data folder so that a second start goes on there.
struct Place {
    path: PathBuf,
}

impl Place {
    fn read(&self) -> i64 {
        std::fs::read_to_string(&self.path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn write(&self, elapsed_ms: i64) {
        let next = self.path.with_extension("tmp");
        // Losing this note only repeats clicks whose ids are known: they take effect once.
        let written = std::fs::write(&next, elapsed_ms.to_string()).and_then(|()| std::fs::rename(&next, &self.path));
        if let Err(cause) = written {
            tracing::warn!(%cause, path = %self.path.display(), "the replay's place was not noted");
        }
    }
}

/// Sends the sample until it ends or `stop` is told. Each click becomes a `product_view` without price or category.
pub async fn run(
    collector: SocketAddr,
    write_key: String,
    speed: f64,
    folder: &Path,
    clock: crate::driver::Clock,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Result<(), String> {
    let clicks = sample()?;
    let plan = schedule(&clicks, speed);
    let place = Place { path: folder.join("replay.place") };
    let began_ms = clock() / 1000 - place.read();
    let elapsed = || clock() / 1000 - began_ms;
    // Sent before the restart, as far as the note says.
    let mut next = plan.partition_point(|(due_ms, _)| *due_ms < elapsed() - NOTE_EVERY_MS);
    let mut client = Client::new(collector);
    let mut noted_ms = 0;
    while next < plan.len() && !*stop.borrow() {
        let until = plan[next..].iter().take(BATCH).take_while(|(due_ms, _)| *due_ms <= elapsed()).count();
        if until == 0 {
            let wait_ms = (plan[next].0 - elapsed()).clamp(1, NOTE_EVERY_MS).unsigned_abs();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                _ = stop.changed() => {}
            }
        } else {
            let batch: Vec<_> =
                plan[next..next + until].iter().map(|(due_ms, click)| event(click, began_ms + due_ms)).collect();
            match client.events(&write_key, &json!(batch)).await {
                Ok(answer) if answer.status == 200 => next += until,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
        if elapsed() - noted_ms >= NOTE_EVERY_MS {
            noted_ms = elapsed();
            place.write(noted_ms);
        }
    }
    place.write(elapsed());
    Ok(())
}

fn event(click: &Click, at_ms: i64) -> serde_json::Value {
    json!({
        "event_id": format!("bol-{}-{}", click.visit, click.number),
        "name": "product_view",
        "visitor_id": format!("bol-{}", click.visit),
        "occurred_at": at_ms,
        "products": [{"id": format!("bol-{}", click.item)}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole() {
        let clicks = sample().expect("reads");
        assert_eq!(clicks.len(), 113_601);
        assert_eq!(clicks.iter().filter(|click| click.number == 0).count(), 23_753);
    }

    #[test]
    fn only_the_pauses_between_visits_shrink() {
        let click = |visit, number, at_ms| Click { visit, number, item: 1, at_ms };
        let clicks = [click(1, 0, 0), click(2, 0, 60_000), click(1, 1, 1_900_000), click(2, 1, 61_000)];
        let due: Vec<_> = schedule(&clicks, 60.0).into_iter().map(|(due, click)| (due, click.visit)).collect();
        assert_eq!(due, [(0, 1), (1_000, 2), (2_000, 2), (1_900_000, 1)]);
    }
}
