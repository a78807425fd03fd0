//! Reads a request's body within its bounds of size and time.

use crate::listen::Timeouts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use midsession_collect::REJECT_BYTES;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Slowest pace of a body after its grace. Bytes per second.
const PACE: u64 = 1_024;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// Over the limit; what was read of it.
    TooLarge(Bytes),
    /// Over its time, or slower than 1 KiB/s.
    TooSlow,
    /// The client went away, or broke the framing.
    Broken,
}

/// The whole body, of at most `limit` bytes.
pub(crate) async fn read(mut body: Incoming, limit: usize, timeouts: &Timeouts) -> Result<Bytes, BodyError> {
    // Of what announces too much, as much is read as is kept of it among the dead letters.
    let is_over = body.size_hint().lower() > limit as u64;
    let limit = if is_over { limit.min(REJECT_BYTES) } else { limit };
    let started = Instant::now();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut read = 0;
    loop {
        let at_pace = timeouts.body_grace + Duration::from_millis(read * 1_000 / PACE);
        let frame = match timeout_at(started + at_pace.min(timeouts.body), body.frame()).await {
            Err(_) | Ok(Some(Err(_))) if is_over => return Err(BodyError::TooLarge(so_far(first, whole))),
            Err(_) => return Err(BodyError::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        read += data.len() as u64;
        let is_too_large = read > limit as u64;
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
        if is_too_large {
            return Err(BodyError::TooLarge(so_far(first, whole)));
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(so_far(first, whole))
}

fn so_far(first: Bytes, whole: BytesMut) -> Bytes {
    if whole.is_empty() { first } else { whole.freeze() }
}
