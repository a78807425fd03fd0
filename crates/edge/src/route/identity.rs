//! Whom visitors are taken for, and undoing a wrong merge.

use super::interventions::read;
use super::{Access, Call, Listener, Route};
use crate::backend::UnmergeAsk;
use crate::reply::{self, Response};
use http::{Method, StatusCode};
use hyper::body::Incoming;

/// Longest id, and longest reason. Bytes.
const ID_BYTES_MAX: usize = 256;
const REASON_BYTES_MAX: usize = 1_000;

const fn route(method: Method, path: &'static str, summary: &'static str, handler: super::Handler) -> Route {
    Route { listener: Listener::Admin, method, path, access: Access::Admin, summary, query: &[], handler }
}

pub(super) const ROUTES: &[Route] = &[
    route(Method::GET, "/v1/identity/{visitor}", "Whom a visitor is taken for, and since when", |call, _| {
        Box::pin(async move {
            match call.app.backend.identity(call.param(0)).await {
                Ok(Some(value)) => reply::json(StatusCode::OK, &value),
                Ok(None) => reply::problem(StatusCode::NOT_FOUND, "not_found", "no visitor of this id is known"),
                Err(cause) => reply::unreadable(&cause),
            }
        })
    }),
    route(
        Method::POST,
        "/v1/identity/unmerge",
        "Undoes a wrong merge of a visitor with a user: {visitor_id, user_id, reason?}",
        |call, body| Box::pin(unmerge(call, body)),
    ),
];

async fn unmerge(call: Call, body: Incoming) -> Response {
    let ask: UnmergeAsk = match read(&call, body).await {
        Ok(ask) => ask,
        Err(refused) => return *refused,
    };
    for (field, id) in [("visitor_id", &ask.visitor_id), ("user_id", &ask.user_id)] {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let title = format!("{field} is an id of 1 to {ID_BYTES_MAX} bytes");
            return reply::problem(StatusCode::BAD_REQUEST, "id_length", &title);
        }
    }
    if ask.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return reply::problem(StatusCode::BAD_REQUEST, "reason_length", "reason has at most 1000 bytes");
    }
    match call.app.backend.unmerge(ask).await {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(refusal) => reply::refusal(&refusal),
    }
}
