//! The switches of interventions: on and off, dry run, holdout, preview.

use super::{Access, Call, Listener, Route};
use crate::backend::{Change, Refusal};
use crate::body;
use crate::reply::{self, Response};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const fn route(method: Method, path: &'static str, summary: &'static str, handler: super::Handler) -> Route {
    Route { listener: Listener::Admin, method, path, access: Access::Admin, summary, query: &[], handler }
}

pub(super) const ROUTES: &[Route] = &[
    route(Method::GET, "/v1/interventions", "Interventions with their counts", |call, _| {
        Box::pin(async move { reply::json(StatusCode::OK, &call.app.backend.interventions().await) })
    }),
    route(Method::PUT, "/v1/interventions/{name}", "Turns switches: {enabled?, dry_run?, holdout?}", |call, body| {
        Box::pin(change(call, body))
    }),
    route(
        Method::POST,
        "/v1/interventions/{name}/dry-run",
        "What it would have reached in the last hour",
        |call, _| Box::pin(async move { done(call.app.backend.dry_run(call.param(0)).await) }),
    ),
    route(
        Method::POST,
        "/v1/interventions/{name}/preview",
        "Shows it to one's own browser: {visitor_id}",
        |call, body| Box::pin(preview(call, body)),
    ),
];

/// Longest body of a change. Bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

async fn change(call: Call, body: Incoming) -> Response {
    let change: Change = match read(&call, body).await {
        Ok(change) => change,
        Err(refused) => return *refused,
    };
    if change.holdout.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return reply::problem(StatusCode::BAD_REQUEST, "holdout_range", "holdout is a share from 0 to 1");
    }
    done(call.app.backend.change(call.param(0), change).await)
}

async fn preview(call: Call, body: Incoming) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Preview {
        visitor_id: String,
    }
    let preview: Preview = match read(&call, body).await {
        Ok(preview) => preview,
        Err(refused) => return *refused,
    };
    let mut connections = 0;
    // Asked for by the id in one's cookie, under which a source may never have known anybody.
    for visitor in call.app.collector.ids_of(&preview.visitor_id) {
        match call.app.backend.preview(call.param(0), visitor).await {
            Ok(reached) => connections += reached,
            Err(refusal) => return reply::refusal(&refusal),
        }
    }
    reply::json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "pushed", "connections": connections }))
}

fn done(result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(refusal) => reply::refusal(&refusal),
    }
}

/// A small JSON body.
pub(super) async fn read<T: DeserializeOwned>(call: &Call, body: Incoming) -> Result<T, Box<Response>> {
    let refuse = |status, code, title: &str| Err(Box::new(reply::problem(status, code, title)));
    match body::read(body, BODY_BYTES_MAX, &call.app.limits.timeouts).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .or_else(|cause| refuse(StatusCode::BAD_REQUEST, "json_invalid", &cause.to_string())),
        Err(body::BodyError::TooLarge(_)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "at most 16 KiB"),
        Err(body::BodyError::TooSlow) => refuse(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come"),
        Err(body::BodyError::Broken) => refuse(StatusCode::BAD_REQUEST, "body_broken", "the body ended early"),
    }
}
