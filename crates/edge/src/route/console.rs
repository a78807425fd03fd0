//! What the console shows: overview, sessions, decisions, dead letters.

use super::{Access, Call, Listener, Route};
use crate::backend::{Refusal, SessionsQuery, Unreadable};
use crate::reply::{self, Response};
use http::{Method, StatusCode};
use serde_json::Value;

/// Rows of a list.
const LIMIT: usize = 200;
const LIMIT_MAX: usize = 5_000;
const LIMIT_QUERY: (&str, &str) = ("limit", "rows at most, up to 5000");

const fn route(
    path: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    handler: super::Handler,
) -> Route {
    Route { listener: Listener::Admin, method: Method::GET, path, access: Access::Admin, summary, query, handler }
}

pub(super) const ROUTES: &[Route] = &[
    route("/v1/overview", "Rates, counts, freshness, sources", &[], |call, _| {
        Box::pin(async move { read(call.app.backend.overview().await) })
    }),
    route(
        "/v1/sessions",
        "Sessions, newest first",
        &[
            ("open", "true for open and idle ones only"),
            LIMIT_QUERY,
            ("q", "text that the session's or shopper's id contains"),
            ("source", "of this source only"),
        ],
        |call, _| Box::pin(async move { sessions(&call).await }),
    ),
    route("/v1/sessions/{id}", "One session with its timeline and its features after each entry", &[], |call, _| {
        Box::pin(async move { found(call.app.backend.session(call.param(0)).await, "session") })
    }),
    route("/v1/decisions", "Decisions, newest first", &[LIMIT_QUERY], |call, _| {
        let limit = call.count("limit", LIMIT, LIMIT_MAX);
        Box::pin(async move { read(call.app.backend.decisions(limit).await) })
    }),
    route("/v1/decisions/{id}", "One decision with what it was made from", &[], |call, _| {
        Box::pin(async move { found(call.app.backend.decision(call.param(0)).await, "decision") })
    }),
    route(
        "/v1/dead-letters",
        "Refused events with reason, field and whose job it is, newest first; their bytes are encrypted",
        &[LIMIT_QUERY],
        |call, _| {
            let limit = call.count("limit", LIMIT, LIMIT_MAX);
            Box::pin(async move { reply::json(StatusCode::OK, &call.app.backend.dead_letters(limit).await) })
        },
    ),
    route(
        "/v1/dead-letters/{offset}",
        "The original bytes of a refused event; that they were looked at is put on record",
        &[],
        |call, _| Box::pin(async move { dead_letter(&call).await }),
    ),
    Route {
        listener: Listener::Admin,
        method: Method::DELETE,
        path: "/v1/personal/{id}",
        access: Access::Admin,
        summary: "Destroys the keys of a visitor's or user's personal fields: nothing of them can be read again",
        query: &[],
        handler: |call, _| {
            Box::pin(async move { answer(call.app.backend.destroy_keys(call.param(0)).await.map(Some), "shopper") })
        },
    },
];

async fn dead_letter(call: &Call) -> Response {
    let Ok(offset) = call.param(0).parse() else {
        return reply::problem(StatusCode::NOT_FOUND, "not_found", "a dead letter goes by its offset");
    };
    answer(call.app.backend.dead_letter_bytes(offset).await, "dead letter")
}

fn answer(value: Result<Option<Value>, Refusal>, what: &str) -> Response {
    match value {
        Ok(Some(value)) => reply::json(StatusCode::OK, &value),
        Ok(None) => reply::problem(StatusCode::NOT_FOUND, "not_found", &format!("no {what} has this id")),
        Err(refusal) => reply::refusal(&refusal),
    }
}

async fn sessions(call: &Call) -> Response {
    let text = |name| call.query(name).filter(|text| !text.is_empty()).map(Into::into);
    let query = SessionsQuery {
        open: call.query("open").is_some_and(|value| value == "true" || value == "1"),
        limit: call.count("limit", LIMIT, LIMIT_MAX),
        text: text("q"),
        source: text("source"),
    };
    read(call.app.backend.sessions(query).await)
}

fn read(value: Result<Value, Unreadable>) -> Response {
    match value {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(cause) => reply::unreadable(&cause),
    }
}

fn found(value: Result<Option<Value>, Unreadable>, what: &str) -> Response {
    match value.transpose() {
        Some(value) => read(value),
        None => reply::problem(StatusCode::NOT_FOUND, "not_found", &format!("no {what} has this id")),
    }
}
