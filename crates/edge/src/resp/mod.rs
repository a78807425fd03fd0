//! Features over the Redis protocol, read-only: `redis-cli`, any client library, pipelines.

mod command;
mod glob;
mod key;
mod scan;
mod wire;

use crate::App;
use crate::backend::Unreadable;
use crate::serve::Stop;
use bytes::BytesMut;
use command::Session;
use midsession_observe::Metric;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::Reply;

/// Open connections.
const CONNECTIONS_MAX: u32 = 1_000;

/// Commands taken from a pipeline before their replies are written.
const BATCH_MAX: usize = 512;

/// For a client that has not given the password, or does not read.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer when something can't be read: `-LOADING` and `-BUSY` are what clients know to try again.
fn unreadable(cause: &Unreadable) -> Reply {
    let prefix = match cause {
        Unreadable::Loading => "LOADING",
        Unreadable::Busy => "BUSY",
        Unreadable::Stopped(_) => "ERR",
    };
    let one_line = |char: char| if char.is_control() { ' ' } else { char };
    Reply::Error(format!("{prefix} {cause}").chars().map(one_line).collect())
}

/// Serves the listener until told to stop; then returns when its connections are done.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, mut stop: Stop) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let ids = AtomicU64::new(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            app.observe.metrics.add_by(Metric::ConnectionsRefused, "redis", 1);
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            continue;
        };
        let (app, stop, id) = (app.clone(), stop.clone(), ids.fetch_add(1, Relaxed));
        tokio::spawn(async move {
            app.observe.metrics.shift_by(Metric::Connections, "redis", 1);
            connection(stream, &app, id, stop).await;
            app.observe.metrics.shift_by(Metric::Connections, "redis", -1);
            drop(slot);
        });
    }
    let _ = slots.acquire_many(CONNECTIONS_MAX).await;
}

async fn connection(mut stream: TcpStream, app: &App, id: u64, mut stop: Stop) {
    let _ = stream.set_nodelay(true);
    let mut session = Session { id, version: 2, is_authorized: false, is_closing: false, walk: scan::Walk::default() };
    let mut buffer = BytesMut::with_capacity(4 * 1024);
    let mut out = BytesMut::new();
    while !session.is_closing {
        let mut commands = Vec::new();
        let broken = loop {
            match wire::next(&mut buffer) {
                Ok(Some(command)) if commands.len() < BATCH_MAX => commands.push(command),
                Ok(Some(command)) => {
                    commands.push(command);
                    break None;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let is_waiting = commands.is_empty();
        let mut replies = command::run(app, &mut session, &commands).await;
        if let Some(error) = broken {
            session.is_closing = true;
            replies.push((session.version, Reply::Error(error)));
        }
        for (version, reply) in replies {
            if let Err(cause) = reply.write(version, &mut out) {
                tracing::error!(%cause, "a Redis reply could not be written");
                return;
            }
        }
        if !out.is_empty() {
            match timeout(PATIENCE, stream.write_all(&out)).await {
                Ok(Ok(())) => out.clear(),
                _ => return,
            }
        }
        if session.is_closing || !is_waiting {
            continue;
        }
        let needs_password = app.redis_password.is_some() && !session.is_authorized;
        let read = tokio::select! {
            read = stream.read_buf(&mut buffer) => read,
            () = stop.requested() => return,
            () = tokio::time::sleep(PATIENCE), if needs_password => return,
        };
        if !matches!(read, Ok(read) if read > 0) {
            return;
        }
    }
}
