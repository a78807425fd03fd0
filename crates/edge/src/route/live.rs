//! The console's live stream: an overview each second, and what changed in batches.

use super::{Access, Call, Listener, Route};
use crate::App;
use crate::backend::LiveRow;
use crate::reply::{self, Response};
use crate::serve::Stop;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use midsession_observe::Metric;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

pub(super) const ROUTES: &[Route] = &[Route {
    listener: Listener::Admin,
    method: Method::GET,
    path: "/v1/live",
    access: Access::Admin,
    summary: "Server-Sent Events: `overview` each second, `batch` of changed rows at most every 50 ms",
    query: &[],
    handler: |call, _| Box::pin(async move { live(&call).await }),
}];

/// Between batches: one message per row would cost a browser its frames.
const BATCH: Duration = Duration::from_millis(50);

/// Rows of each kind in a batch; the rest is told as `missed`.
const ROWS_MAX: usize = 500;

async fn live(call: &Call) -> Response {
    // The console loads its lists when the stream opens: not before they can be read.
    if let Err(cause) = call.app.backend.overview().await {
        return reply::unreadable(&cause);
    }
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Stream {
        rows: call.app.backend.live(),
        seconds,
        stop: call.app.stop.clone(),
        app: call.app.clone(),
        batch: Batch::default(),
        batch_at: None,
    };
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    });
    let mut response = reply::with_type(StatusCode::OK, "text/event-stream", Body::from_stream(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Stream {
    rows: broadcast::Receiver<LiveRow>,
    seconds: Interval,
    stop: Stop,
    app: Arc<App>,
    batch: Batch,
    /// When the gathered batch is due.
    batch_at: Option<Instant>,
}

/// What changed since the last batch.
#[derive(Default, Serialize)]
struct Batch {
    #[serde(serialize_with = "values")]
    sessions: BTreeMap<String, Arc<Value>>,
    #[serde(serialize_with = "values")]
    decisions: BTreeMap<String, Arc<Value>>,
    #[serde(serialize_with = "list")]
    dead_letters: Vec<Arc<Value>>,
    missed: u64,
}

fn values<S: serde::Serializer>(rows: &BTreeMap<String, Arc<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.values().map(AsRef::<Value>::as_ref))
}

fn list<S: serde::Serializer>(rows: &[Arc<Value>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().map(AsRef::<Value>::as_ref))
}

impl Batch {
    fn add(&mut self, row: LiveRow) {
        let keyed = |rows: &mut BTreeMap<String, Arc<Value>>, key: &str, row: Arc<Value>| {
            let id = row[key].as_str().unwrap_or_default().to_owned();
            let fits = rows.len() < ROWS_MAX || rows.contains_key(&id);
            if fits {
                rows.insert(id, row);
            }
            fits
        };
        let fits = match row {
            LiveRow::Session(row) => keyed(&mut self.sessions, "session_id", row),
            LiveRow::Decision(row) => keyed(&mut self.decisions, "decision_id", row),
            LiveRow::DeadLetter(row) => {
                let fits = self.dead_letters.len() < ROWS_MAX;
                if fits {
                    self.dead_letters.push(row);
                }
                fits
            }
        };
        self.missed += u64::from(!fits);
    }
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let due = self.batch_at;
            tokio::select! {
                biased;
                () = self.stop.requested() => return None,
                _ = self.seconds.tick() => {
                    // One that can't be read comes with a later second: half of one would look like the whole.
                    if let Ok(overview) = self.app.backend.overview().await {
                        return Some(event("overview", &overview));
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.batch_at = None;
                    let batch = std::mem::take(&mut self.batch);
                    return Some(event("batch", &batch));
                }
                row = self.rows.recv() => {
                    match row {
                        Ok(row) => self.batch.add(row),
                        Err(broadcast::error::RecvError::Lagged(missed)) => {
                            self.app.observe.metrics.add(Metric::LiveLagged, missed);
                            self.batch.missed += missed;
                        }
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                    self.batch_at.get_or_insert_with(|| Instant::now() + BATCH);
                }
            }
        }
    }
}

fn event(name: &str, value: &impl Serialize) -> Bytes {
    // JSON values only: serializing does not fail.
    let data = serde_json::to_string(value).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_row_of_an_id_counts_and_batches_are_bounded() {
        let mut batch = Batch::default();
        for version in 0..3 {
            batch.add(LiveRow::Session(Arc::new(json!({ "session_id": "a", "version": version }))));
        }
        for index in 0..ROWS_MAX + 5 {
            batch.add(LiveRow::DeadLetter(Arc::new(json!({ "offset": index }))));
        }
        let value = serde_json::to_value(&batch).expect("JSON");
        assert_eq!(value["sessions"], json!([{ "session_id": "a", "version": 2 }]));
        assert_eq!(
            (value["dead_letters"].as_array().map(Vec::len), value["missed"].as_u64()),
            (Some(ROWS_MAX), Some(5))
        );
    }
}
