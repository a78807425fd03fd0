//! Interventions down to the shopper's pages: Server-Sent Events, or a WebSocket.

use super::collect::add_cors;
use super::{Access, Call, Listener, Route};
use crate::frame::{Frame, Message};
use crate::hub::Subscription;
use crate::listen::Slot;
use crate::reply::{self, Response};
use crate::serve::Stop;
use crate::token::Claims;
use crate::{App, clock, ws};
use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message as Text, close_code};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use midsession_event::{DecisionId, Str};
use midsession_observe::{Metric, Stage};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

pub(super) const ROUTES: &[Route] = &[Route {
    listener: Listener::Public,
    method: Method::GET,
    path: "/v1/push",
    access: Access::PushToken,
    summary: "Server-Sent Events (or a WebSocket) of interventions for one shopper, resumed by Last-Event-ID and ?last=",
    query: &[
        ("token", "from /v1/token"),
        (
            "last",
            "decisions that the page knows, with commas, or the id of the last message seen: those of them that were taken \
             back meanwhile are told, the rest is not sent again",
        ),
    ],
    handler: |call, _| Box::pin(push(call)),
}];

/// Decisions that a page may say it knows, and that a message's id names: the newest.
const KNOWN_MAX: usize = 32;
/// Between comments that keep the way through proxies open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

async fn push(mut call: Call) -> Response {
    let claims = match authorized(&call) {
        Ok(claims) => claims,
        Err(mut refused) => {
            add_cors(&call, &mut refused);
            return *refused;
        }
    };
    // What the page knew when it asked; and what came since, which a browser says by itself when a stream breaks.
    let resumed = call.header(header::HeaderName::from_static("last-event-id")).map(str::to_owned);
    let known = [call.query("last"), resumed].into_iter().flatten().flat_map(|ids| known(&ids)).collect::<Vec<_>>();
    let subscription = call.app.hub.subscribe(&claims.visitor_id, &known);
    let life = Duration::from_millis(u64::try_from(claims.expires_at_ms - clock::now_ms()).unwrap_or(0));
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stream = Stream {
        subscription,
        keep_alive,
        ends_at: Instant::now() + life,
        written: VecDeque::new(),
        stop: call.app.stop.clone(),
        app: call.app.clone(),
    };
    if let Some(upgrade) = ws::upgrade(&mut call.parts).await {
        let slot = call.parts.extensions.remove::<Slot>();
        return upgrade.on_upgrade(async move |mut socket| {
            let _slot = slot;
            loop {
                tokio::select! {
                    next = stream.next() => match next {
                        Some(Next::Quiet) => if socket.send(Text::Ping(Bytes::new())).await.is_err() { return },
                        Some(Next::Message(name, id, data)) => {
                            let text = format!("{{\"event\":\"{name}\",\"id\":\"{id}\",\"data\":{data}}}");
                            if socket.send(Text::Text(text.into())).await.is_err() { return }
                        }
                        None => break,
                    },
                    // Nothing is expected from the page; this notices that it left.
                    received = socket.recv() => if !matches!(received, Some(Ok(_))) { return },
                }
            }
            let frame = CloseFrame { code: close_code::AWAY, reason: "".into() };
            let _ = socket.send(Text::Close(Some(frame))).await;
        });
    }
    let begin = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"retry: 1000\n\n"))]);
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let bytes = match stream.next().await? {
            Next::Quiet => Bytes::from_static(b":\n\n"),
            Next::Message("retract", _, data) => format!("event: retract\ndata: {data}\n\n").into(),
            Next::Message(name, id, data) => format!("event: {name}\nid: {id}\ndata: {data}\n\n").into(),
        };
        Some((Ok(bytes), stream))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(begin, events));
    let mut response = reply::with_type(StatusCode::OK, "text/event-stream", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of the nginx kind gather answers unless told not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    add_cors(&call, &mut response);
    response
}

/// The newest of the decisions that a page names; what is none is passed over.
fn known(ids: &str) -> Vec<DecisionId> {
    ids.rsplit(',').take(KNOWN_MAX).filter_map(|id| id.parse().ok()).collect()
}

/// The token's claims, where the request comes from the origin that it was given to.
fn authorized(call: &Call) -> Result<Claims, Box<Response>> {
    let claims = call.query("token").and_then(|token| call.app.signer.check(&token, clock::now_ms()));
    let Some(claims) = claims else {
        let title = "the token is missing, not ours, or expired; get one from /v1/token";
        return Err(Box::new(reply::problem(StatusCode::UNAUTHORIZED, "token_invalid", title)));
    };
    match call.header(header::ORIGIN) {
        // Same-origin streams name no origin.
        None => Ok(claims),
        Some(origin) if origin.eq_ignore_ascii_case(&claims.origin) => Ok(claims),
        Some(_) => {
            let title = "the token was given to another web origin";
            Err(Box::new(reply::problem(StatusCode::FORBIDDEN, "origin_not_allowed", title)))
        }
    }
}

/// One open connection.
struct Stream {
    subscription: Subscription,
    keep_alive: Interval,
    /// A token is good for its time, and so is what was opened with it.
    ends_at: Instant,
    /// What the page got here, oldest first.
    written: VecDeque<DecisionId>,
    stop: Stop,
    app: Arc<App>,
}

enum Next {
    /// Nothing to say for a while.
    Quiet,
    /// Name, id and data (JSON on one line). A frame's id names all that was written here: who comes back with the last
    /// one has said everything.
    Message(&'static str, String, String),
}

impl Stream {
    /// What to write next; `None` ends the connection.
    async fn next(&mut self) -> Option<Next> {
        let (message, is_live) = tokio::select! {
            biased;
            () = self.stop.requested() => return None,
            message = self.subscription.next() => message?,
            _ = tokio::time::sleep_until(self.ends_at) => return None,
            _ = self.keep_alive.tick() => return Some(Next::Quiet),
        };
        let metrics = &self.app.observe.metrics;
        match message {
            Message::Frame(frame) => {
                let pushed_us = clock::now_us();
                let durable_us = frame.stamps_us.get("decision_durable").filter(|_| is_live);
                if let Some(durable_us) = durable_us {
                    self.app.observe.record(Stage::Push, pushed_us - durable_us);
                }
                metrics.add_by(Metric::PushFrames, "intervention", 1);
                if self.written.len() >= KNOWN_MAX {
                    self.written.pop_front();
                }
                self.written.push_back(frame.decision_id);
                let ids = self.written.iter().map(DecisionId::to_string).collect::<Vec<_>>().join(",");
                Some(Next::Message("intervention", ids, written(&frame, pushed_us, is_live)))
            }
            Message::Retract(decision_id, reason) => {
                metrics.add_by(Metric::PushFrames, "retract", 1);
                let data = serde_json::json!({ "decision_id": decision_id, "reason": reason });
                Some(Next::Message("retract", decision_id.to_string(), data.to_string()))
            }
        }
    }
}

/// A frame as it is written, with the instant it was. One that waited for a page names no deadline: how long the
/// shopper was away says nothing about how fast the way is.
fn written(frame: &Frame, pushed_us: i64, is_live: bool) -> String {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        frame: &'a Frame,
        deadline_ms: Option<i64>,
        stamps_us: BTreeMap<&'a str, i64>,
        now_ms: i64,
    }
    let mut stamps_us: BTreeMap<&str, i64> =
        frame.stamps_us.iter().map(|(name, us)| (Str::as_str(name), *us)).collect();
    stamps_us.insert("pushed", pushed_us);
    let deadline_ms = frame.deadline_ms.filter(|_| is_live);
    // Strings, numbers and JSON: serializing does not fail.
    serde_json::to_string(&Written { frame, deadline_ms, stamps_us, now_ms: pushed_us / 1_000 }).unwrap_or_default()
}
