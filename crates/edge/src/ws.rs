//! WebSockets within bounds: small messages, small queues, no silence for ever.

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use http::request::Parts;
use std::time::Duration;

/// Longest message and frame. Bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Most that waits to be written. Bytes.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// A client that sends nothing for this long is gone.
pub(crate) const IDLE: Duration = Duration::from_secs(300);

/// The upgrade that a request asks for, if it does.
pub(crate) async fn upgrade(parts: &mut Parts) -> Option<WebSocketUpgrade> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await.ok()?;
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    Some(upgrade.max_write_buffer_size(OUT_BYTES_MAX))
}
