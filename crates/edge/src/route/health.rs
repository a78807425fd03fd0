//! Alive, ready, and measured.

use super::{Access, Call, Listener, Route};
use crate::reply::{self, Response};
use http::{Method, StatusCode, header};
use midsession_observe::Metric;

const fn route(
    listener: Listener,
    path: &'static str,
    access: Access,
    summary: &'static str,
    handler: super::Handler,
) -> Route {
    Route { listener, method: Method::GET, path, access, summary, query: &[], handler }
}

const ALIVE: &str = "200 as long as the process answers; the body says what has stopped, if anything has, and what of the log is damaged";
const SINK: &str = "200 as long as the log takes events in, else 503 with the cause";
const READY: &str = "200 when events are taken in and features are fresh, else 503 with the cause";

pub(super) const ROUTES: &[Route] = &[
    route(Listener::Public, "/health", Access::Open, ALIVE, |call, _| Box::pin(async move { alive(&call) })),
    route(Listener::Public, "/ready", Access::Open, READY, |call, _| Box::pin(async move { ready(&call) })),
    route(Listener::Public, "/sink-health", Access::Open, SINK, |call, _| Box::pin(async move { sink(&call) })),
    route(Listener::Public, "/robots.txt", Access::Open, "Search engines: nothing here", |_, _| {
        Box::pin(async { text("User-agent: *\nDisallow: /\n") })
    }),
    route(Listener::Admin, "/health", Access::Open, ALIVE, |call, _| Box::pin(async move { alive(&call) })),
    route(Listener::Admin, "/ready", Access::Open, READY, |call, _| Box::pin(async move { ready(&call) })),
    route(Listener::Admin, "/metrics", Access::Admin, "Every metric, for Prometheus", |call, _| {
        Box::pin(async move { metrics(&call) })
    }),
    route(
        Listener::Admin,
        "/v1/budget",
        Access::Admin,
        "The latency budget: stages, owners, P50 and P99",
        |call, _| Box::pin(async move { reply::json(StatusCode::OK, &call.app.observe.budget()) }),
    ),
];

/// Alive and no more: who restarts what is not alive must not do so in a loop because of a broken disk.
fn alive(call: &Call) -> Response {
    match (call.app.backend.failure(), call.app.backend.damage()) {
        (Some(cause), _) => text(format!("alive, but nothing is taken in: {cause}\n")),
        (None, Some(damage)) => {
            text(format!("alive and taking events in, but some of the log can't be read: {damage}\n"))
        }
        (None, None) => text("ok"),
    }
}

fn sink(call: &Call) -> Response {
    match call.app.backend.takes_appends() {
        Ok(()) => text("ok"),
        Err(cause) => reply::problem(StatusCode::SERVICE_UNAVAILABLE, "log_unavailable", &cause),
    }
}

fn text(body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn ready(call: &Call) -> Response {
    match call.app.backend.ready() {
        Ok(()) => reply::json(StatusCode::OK, &serde_json::json!({ "status": "ready" })),
        Err(cause) => reply::problem(StatusCode::SERVICE_UNAVAILABLE, "not_ready", &cause),
    }
}

fn metrics(call: &Call) -> Response {
    let metrics = &call.app.observe.metrics;
    metrics.set(Metric::IngestBytesInFlight, i64::try_from(call.app.in_flight.bytes()).unwrap_or(i64::MAX));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    reply::with_type(StatusCode::OK, content_type, metrics.text())
}
