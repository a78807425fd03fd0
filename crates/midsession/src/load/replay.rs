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
const DAY_MS: i64 = 86_400_000;
/// Between the last visit and what came before the first.
const PAUSE_MS: i64 = 60_000;
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

/// How the sample is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Pauses between the visits' starts shrink by this.
    pub speed: f64,
    /// Where on the sample's first day it begins: the sample's own first hours are of the night, and nearly empty. ms.
    pub from_ms: i64,
}

/// When each click is due after the start: the visits from `from_ms` on in their order, then those before. Only the
/// pauses between the visits' starts shrink. ms.
pub fn schedule(clicks: &[Click], pace: Pace) -> Vec<(i64, Click)> {
    let mut starts: BTreeMap<u64, i64> = BTreeMap::new();
    for click in clicks {
        starts.entry(click.visit).or_insert(click.at_ms);
    }
    let (first_ms, last_ms) = (starts.values().min().copied(), starts.values().max().copied());
    let (first_ms, last_ms) = (first_ms.unwrap_or(0), last_ms.unwrap_or(0));
    let from_ms = first_ms.div_euclid(DAY_MS) * DAY_MS + pace.from_ms;
    let first_of_day_ms = starts.values().filter(|start_ms| **start_ms >= from_ms).min().copied().unwrap_or(first_ms);
    let mut due: Vec<(i64, Click)> = clicks
        .iter()
        .map(|click| {
            let start_ms = starts[&click.visit];
            let is_before = start_ms < first_of_day_ms;
            let after_ms = start_ms - first_of_day_ms + if is_before { last_ms - first_ms + PAUSE_MS } else { 0 };
            ((after_ms as f64 / pace.speed) as i64 + (click.at_ms - start_ms), click.clone())
        })
        .collect();
    due.sort_by_key(|(due_ms, click)| (*due_ms, click.visit, click.number));
    due
}

/// How far the replay got, kept in the data folder so that a second start goes on there.
struct Place {
    path: PathBuf,
    pace: Pace,
}

impl Place {
    fn read(&self) -> i64 {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let (elapsed_ms, pace) = text.trim().split_once(' ').unwrap_or_default();
        // At another pace it is another place: from the beginning, then.
        Some(elapsed_ms).filter(|_| pace == self.pace()).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn pace(&self) -> String {
        format!("at {} from {}", self.pace.speed, self.pace.from_ms)
    }

    fn write(&self, elapsed_ms: i64) {
        let next = self.path.with_extension("tmp");
        // Losing this note only repeats clicks whose ids are known: they take effect once.
        let written = std::fs::write(&next, format!("{elapsed_ms} {}", self.pace()))
            .and_then(|()| std::fs::rename(&next, &self.path));
        if let Err(cause) = written {
            tracing::warn!(%cause, path = %self.path.display(), "the replay's place was not noted");
        }
    }
}

/// Sends the sample until it ends or `stop` is told. Each click becomes a `product_view` without price or category.
pub async fn run(
    collector: SocketAddr,
    write_key: String,
    pace: Pace,
    folder: &Path,
    clock: crate::driver::Clock,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Result<(), String> {
    let clicks = sample()?;
    let plan = schedule(&clicks, pace);
    let place = Place { path: folder.join("replay.place"), pace };
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
        "products": [{"id": product_id(click.item)}],
    })
}

/// The product id of an item.
pub fn product_id(item: u64) -> String {
    format!("bol-{item}")
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
        let due = |from_ms| {
            let pace = Pace { speed: 60.0, from_ms };
            schedule(&clicks, pace).into_iter().map(|(due, click)| (due, click.visit)).collect::<Vec<_>>()
        };
        assert_eq!(due(0), [(0, 1), (1_000, 2), (2_000, 2), (1_900_000, 1)]);
        // From the second visit on; the first one comes last, a pause later.
        assert_eq!(due(60_000), [(0, 2), (1_000, 1), (1_000, 2), (1_901_000, 1)]);
        assert_eq!(due(DAY_MS), due(0), "nothing is that late");
    }

    #[test]
    fn the_replay_begins_by_day_and_leaves_nothing_out() {
        let clicks = sample().expect("reads");
        let plan = schedule(&clicks, Pace { speed: 60.0, from_ms: 8 * 3_600_000 });
        assert_eq!(plan.len(), clicks.len());
        let mut ids: Vec<_> = plan.iter().map(|(_, click)| (click.visit, click.number)).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), clicks.len());
        let begun = |within_ms| plan.iter().filter(|(due, click)| click.number == 0 && *due < within_ms).count();
        assert_eq!(plan[0].0, 0);
        assert!(
            begun(10_000) >= 4 && begun(60_000) >= 30,
            "{} in ten seconds, {} in a minute",
            begun(10_000),
            begun(60_000)
        );
        let night = schedule(&clicks, Pace { speed: 60.0, from_ms: 0 });
        assert!(night.iter().filter(|(due, click)| click.number == 0 && *due < 60_000).count() < 5);
    }

    #[test]
    fn a_second_start_goes_on_where_the_first_was_at_its_own_pace() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |speed| Place { path: folder.path().join("replay.place"), pace: Pace { speed, from_ms: 7 } };
        assert_eq!(place(60.0).read(), 0);
        place(60.0).write(4_321);
        assert_eq!((place(60.0).read(), place(1.5).read()), (4_321, 0));
    }
}
