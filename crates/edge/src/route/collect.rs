//! Events in: every tracker protocol over HTTP, and native events over a WebSocket.

use super::{Access, Call, Listener, Route};
use crate::body::{self, BodyError};
use crate::ingest;
use crate::listen::Slot;
use crate::reply::{self, Response};
use crate::ws;
use axum::extract::ws::{CloseFrame, Message, close_code};
use http::{HeaderMap, Method, StatusCode, header};
use hyper::body::{Body, Incoming};
use midsession_collect::{Overload, Reply, Request, Source};
use midsession_observe::Metric;

const KEY: &[(&str, &str)] = &[("key", "the source's write key, unless Authorization: Bearer carries it")];

pub(super) const NATIVE: &[Route] = &[
    Route {
        listener: Listener::Public,
        method: Method::POST,
        path: "/v1/events",
        access: Access::WriteKey,
        summary: "Native events: one JSON object, an array, or JSON lines; answered when durable",
        query: &[KEY[0], ("verdicts", "1 answers a verdict and a receipt per event")],
        handler: |call, body| Box::pin(tracker(call, body)),
    },
    Route {
        listener: Listener::Public,
        method: Method::GET,
        path: "/v1/events",
        access: Access::WriteKey,
        summary: "WebSocket: native events up, verdicts with receipts down",
        query: KEY,
        handler: |call, body| Box::pin(socket(call, body)),
    },
];

const fn tracker_route(method: Method, path: &'static str, summary: &'static str) -> Route {
    let handler: super::Handler = |call, body| Box::pin(tracker(call, body));
    Route { listener: Listener::Public, method, path, access: Access::WriteKey, summary, query: &[], handler }
}

/// The trackers' own routes; the collector also takes most of them with a slash at the end. What each answers is its
/// SDK's convention, and the collector's business.
pub(super) const PROTOCOLS: &[Route] = &[
    tracker_route(
        Method::POST,
        "/v1/{call}",
        "Segment, RudderStack: track, identify, page, screen, group, alias, batch",
    ),
    tracker_route(Method::POST, "/beacon/v1/batch", "RudderStack: beacons"),
    tracker_route(Method::GET, "/v1/projects/{key}/settings", "Segment: settings of a source"),
    tracker_route(Method::GET, "/sourceConfig", "RudderStack: settings of a source"),
    tracker_route(Method::POST, "/batch", "PostHog: a batch"),
    tracker_route(Method::POST, "/e", "PostHog: events"),
    tracker_route(Method::POST, "/i/v0/e", "PostHog: one event"),
    tracker_route(Method::POST, "/capture", "PostHog: events"),
    tracker_route(Method::POST, "/track", "PostHog: events"),
    tracker_route(Method::POST, "/flags", "PostHog: feature flags (there are none)"),
    tracker_route(Method::POST, "/decide", "PostHog: feature flags, by their old name"),
    tracker_route(Method::POST, "/s", "PostHog: session recordings, taken and forgotten"),
    tracker_route(Method::GET, "/array/{key}/config", "PostHog: settings of a project"),
    tracker_route(Method::GET, "/array/{key}/config.js", "PostHog: settings of a project"),
    tracker_route(Method::POST, "/mp/collect", "GA4 Measurement Protocol"),
    tracker_route(Method::GET, "/i", "Snowplow: one event in the query, answered with a pixel"),
    tracker_route(Method::GET, "/ice.png", "Snowplow: one event in the query, answered with a pixel"),
    tracker_route(Method::POST, "/{vendor}/{version}", "Snowplow: events (tp2 or any path of this form), Iglu webhook"),
    tracker_route(Method::GET, "/{vendor}/{version}", "Snowplow: one event in the query, Iglu webhook"),
];

/// Header pairs as the collector reads them; values that are no text are left out.
pub(crate) fn headers(map: &HeaderMap) -> Vec<(&str, &str)> {
    map.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// The request as the collector reads it.
pub(crate) fn request<'a>(call: &'a Call, headers: &'a [(&'a str, &'a str)], body: &'a [u8]) -> Request<'a> {
    Request {
        method: call.parts.method.as_str(),
        path: call.parts.uri.path(),
        query: call.parts.uri.query().unwrap_or_default(),
        headers,
        body,
        peer_ip: Some(ingest::client_ip(&call.parts.headers, call.peer, call.app.trusted_proxies)),
        received_at_us: call.received_at_us,
        daily_salt: Some(call.app.salt.of_today(call.received_at_us)),
    }
}

/// What a page's browser asks before it sends.
pub(super) fn preflight(call: &Call) -> Response {
    let headers = headers(&call.parts.headers);
    reply::of_collector(call.app.collector.preflight(&request(call, &headers, &[])))
}

/// Any tracker's request.
pub(super) async fn tracker(call: Call, body: Incoming) -> Response {
    let app = &call.app;
    let headers = headers(&call.parts.headers);
    let wire_bytes = app.limits.wire_bytes;
    let expected = body.size_hint().upper().map_or(wire_bytes, |upper| wire_bytes.min(upper as usize));
    let Some(_reserved) = app.in_flight.reserve(expected) else {
        app.observe.metrics.add_by(Metric::HttpOverload, "in_flight", 1);
        return reply::of_collector(app.collector.overload(&request(&call, &headers, &[]), Overload::Unavailable, 1));
    };
    match body::read(body, wire_bytes, &app.limits.timeouts).await {
        Ok(bytes) => {
            let request = request(&call, &headers, &bytes);
            let mut reply = ingest::take(app, &request).await;
            // The tracker takes the server's own time off the round trip it measures: what is left is the network.
            let took_ms = (crate::clock::now_us() - request.received_at_us) as f64 / 1_000.0;
            reply.headers.push(("server-timing", format!("total;dur={took_ms:.1}")));
            reply.headers.push(("timing-allow-origin", "*".to_owned()));
            reply::of_collector(reply)
        }
        Err(BodyError::TooLarge(read)) => {
            let request = request(&call, &headers, &read);
            reply::of_collector(ingest::commit(app, &request, app.collector.too_large(&request)).await)
        }
        Err(BodyError::TooSlow) => {
            app.observe.metrics.add_by(Metric::HttpTimeouts, "body", 1);
            reply::problem(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come in time")
        }
        Err(BodyError::Broken) => {
            reply::problem(StatusCode::BAD_REQUEST, "body_broken", "the body ended early or is badly framed")
        }
    }
}

/// Native events over a WebSocket: each message is a request of its own, answered in order.
async fn socket(mut call: Call, _: Incoming) -> Response {
    let Some(upgrade) = ws::upgrade(&mut call.parts).await else {
        return reply::problem(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "this is a WebSocket; POST events instead",
        );
    };
    if let Err(refused) = source_of(&call) {
        return *refused;
    }
    let slot = call.parts.extensions.remove::<Slot>();
    let mut stop = call.app.stop.clone();
    upgrade.on_upgrade(async move |mut socket| {
        let _slot = slot;
        let query = format!("{}&verdicts=1", call.parts.uri.query().unwrap_or_default());
        let headers: Vec<_> =
            headers(&call.parts.headers).into_iter().filter(|(name, _)| !is_of_upgrade(name)).collect();
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout(ws::IDLE, socket.recv()) => message,
                () = stop.requested() => break,
            };
            let bytes = match message {
                Ok(Some(Ok(Message::Text(text)))) => bytes::Bytes::from(text),
                Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                _ => break,
            };
            // All that follows from the time, the salt of the day too, is the message's and not the handshake's.
            call.received_at_us = crate::clock::now_us();
            let request = Request { method: "POST", query: &query, ..request(&call, &headers, &bytes) };
            let reply = match call.app.in_flight.reserve(bytes.len()) {
                Some(_reserved) => ingest::take(&call.app, &request).await,
                None => call.app.collector.overload(&request, Overload::Unavailable, 1),
            };
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
        let frame = CloseFrame { code: close_code::AWAY, reason: "".into() };
        let _ = socket.send(Message::Close(Some(frame))).await;
    })
}

/// Headers of the handshake that would mean something else to an event's body.
fn is_of_upgrade(name: &str) -> bool {
    matches!(name, "content-encoding" | "content-length" | "content-type" | "upgrade" | "connection")
}

/// The source of the request's write key, if its origin may use it.
pub(super) fn source_of(call: &Call) -> Result<&Source, Box<Response>> {
    let bearer = || Some(call.header(header::AUTHORIZATION)?.strip_prefix("Bearer ")?.trim().to_owned());
    let headers = headers(&call.parts.headers);
    let request = request(call, &headers, &[]);
    let refuse = |status, code, title| {
        let mut response = reply::problem(status, code, title);
        add_cors(call, &mut response);
        Err(Box::new(response))
    };
    let Some(source) = call.query("key").or_else(bearer).and_then(|key| call.app.collector.source_of_key(&key)) else {
        return refuse(StatusCode::UNAUTHORIZED, "key_unknown", "no source has this write key; send ?key=KEY");
    };
    if !call.app.collector.is_origin_allowed(&request, source) {
        let title = "this web origin is not one of the source's; add it to its allowed_origins";
        return refuse(StatusCode::FORBIDDEN, "origin_not_allowed", title);
    }
    Ok(source)
}

/// Lets the request's origin read a reply, where a source lists it.
pub(super) fn add_cors(call: &Call, response: &mut Response) {
    let headers = headers(&call.parts.headers);
    let mut granted = Reply::default();
    call.app.collector.add_cors(&mut granted, &request(call, &headers, &[]));
    reply::add_headers(response.headers_mut(), granted.headers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_collect::{Collector, Schemas, Settings};

    #[test]
    fn every_row_is_a_protocols() {
        let settings = Settings { limits: Default::default(), secret: [0; 32], accept_any_key: false };
        let collector = Collector::new(Vec::new(), settings, Schemas::shipped(), None);
        for route in NATIVE.iter().take(1).chain(PROTOCOLS) {
            let path = route.path.replace("{call}", "track").replace("{vendor}", "com.acme").replace(['{', '}'], "");
            let method = route.method.as_str();
            let request = Request {
                method,
                path: &path,
                query: "",
                headers: &[],
                body: &[],
                peer_ip: None,
                received_at_us: 0,
                daily_salt: None,
            };
            assert!(collector.protocol(&request).is_some(), "no protocol answers {method} {path}");
        }
    }
}
