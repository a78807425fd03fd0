//! The accept loop of both HTTP listeners: caps, deadlines, strict framing, and a drain that lets answers finish.

mod framing;
mod guard;
mod rule;

use crate::reply::Response;
use crate::route::{self, Listener};
use crate::serve::Stop;
use crate::{App, clock};
use framing::{FIELDS_MAX, HEAD_BYTES_MAX};
use guard::{Guard, REFUSED};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use midsession_observe::{Metric, Observe};
use parking_lot::Mutex;
use rule::Rule;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Connected → first byte.
    pub first_byte: Duration,
    /// First byte of a head → its end.
    pub head: Duration,
    /// Head → last byte of the body.
    pub body: Duration,
    /// After this, a body must have come at 1 KiB/s or more.
    pub body_grace: Duration,
    /// Between requests on one connection.
    pub idle: Duration,
    /// For a client that does not read its answer.
    pub write: Duration,
    /// For unread input when a connection is closed.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            body_grace: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            linger: Duration::from_secs(2),
        }
    }
}

/// What a connection and its requests share.
pub(crate) struct Shared {
    /// First byte of the last request head. Epoch µs.
    pub first_byte_us: AtomicI64,
    /// Why the request that is the last one of the connection was refused.
    pub refused: OnceLock<Rule>,
    pub observe: Arc<Observe>,
}

/// A connection's place under the cap. A WebSocket keeps it in its hands, as it outlives its request.
#[derive(Clone)]
pub(crate) struct Slot(#[allow(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// A connection's place among those of its address, given back when dropped.
struct Share {
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Share {
    /// `None` when the address has too many; this machine itself may have any number.
    fn take(by_address: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = by_address.lock();
        let count = counts.entry(address).or_insert(0);
        if *count >= most && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Self { by_address: Arc::clone(by_address), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.by_address.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Serves one listener until told to stop; then returns when its connections are done.
pub(crate) async fn serve(listener: TcpListener, kind: Listener, app: Arc<App>, mut stop: Stop) {
    let connections_max = app.limits.connections;
    let slots = Arc::new(Semaphore::new(connections_max));
    let metrics = &app.observe.metrics;
    let by_address = Arc::new(Mutex::new(HashMap::new()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                // Out of file descriptors, mostly: trying again at once would only burn the processor.
                tracing::warn!(%cause, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            metrics.add_by(Metric::ConnectionsRefused, kind.as_str(), 1);
            // Best effort: it fits into the socket's buffer, or it is lost with the connection.
            let _ = stream.try_write(full().as_bytes());
            continue;
        };
        let Some(share) = Share::take(&by_address, peer.ip(), app.limits.connections_per_address) else {
            metrics.add_by(Metric::ConnectionsRefused, "address", 1);
            continue;
        };
        let (app, stop) = (app.clone(), stop.clone());
        tokio::spawn(async move {
            let _share = share;
            app.observe.metrics.shift_by(Metric::Connections, kind.as_str(), 1);
            connection(stream, peer, kind, &app, Slot(Arc::new(slot)), stop).await;
            app.observe.metrics.shift_by(Metric::Connections, kind.as_str(), -1);
        });
    }
    drop(listener);
    // Every slot given back: every connection done.
    let _ = slots.acquire_many(u32::try_from(connections_max).unwrap_or(u32::MAX)).await;
}

/// The answer while there is no place for another connection.
fn full() -> String {
    let body = serde_json::json!({
        "type": "about:blank", "status": 503, "code": "connections_max",
        "title": "the server has as many connections as it takes; try again in a moment",
    })
    .to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: \
         application/problem+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connection(stream: TcpStream, peer: SocketAddr, kind: Listener, app: &Arc<App>, slot: Slot, mut stop: Stop) {
    let _ = stream.set_nodelay(true);
    let first_byte_us = AtomicI64::new(clock::now_us());
    let shared = Arc::new(Shared { first_byte_us, refused: OnceLock::new(), observe: app.observe.clone() });
    let guard = Guard::new(stream, app.limits.timeouts, shared.clone());
    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(slot.clone());
        let received_at_us = shared.first_byte_us.load(Relaxed);
        let refused = shared.refused.get().filter(|_| request.method() == REFUSED).copied();
        let app = app.clone();
        async move {
            if let Some(rule) = refused {
                return Ok(rule.answer());
            }
            Ok::<Response, Infallible>(route::answer(app, kind, peer, received_at_us, request).await)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.timeouts.idle)
        .max_headers(FIELDS_MAX)
        // Longer ones are refused before it sees them.
        .max_header_size(2 * HEAD_BYTES_MAX)
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    // Errors here are the client's doing (gone, too slow, broken framing), and counted where they arise.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_this_machine_any_number() {
        let counts = Arc::new(Mutex::new(HashMap::new()));
        let far: IpAddr = "192.0.2.1".parse().expect("an address");
        let near: IpAddr = "127.0.0.1".parse().expect("an address");
        let held = [Share::take(&counts, far, 2), Share::take(&counts, far, 2)];
        assert!(held.iter().all(Option::is_some) && Share::take(&counts, far, 2).is_none());
        let many: Vec<_> = (0..5).map(|_| Share::take(&counts, near, 2)).collect();
        assert!(many.iter().all(Option::is_some));
        drop(held);
        assert!(Share::take(&counts, far, 2).is_some());
    }
}
