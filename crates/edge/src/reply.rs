//! Answers: JSON, problems, and what every answer carries.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

pub(crate) type Response = http::Response<Body>;

/// An answer with a body of this type.
pub(crate) fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A JSON answer, not to be stored on the way.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = with_type(status, "application/json", Bytes::from(bytes));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(cause) => {
            tracing::error!(%cause, "an answer could not be written as JSON");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the answer could not be written; see the server's log",
            )
        }
    }
}

/// `application/problem+json` (RFC 9457) with a stable code.
pub(crate) fn problem(status: StatusCode, code: &str, title: &str) -> Response {
    problem_with(status, code, title, &serde_json::Value::Null)
}

/// Likewise, with more fields.
pub(crate) fn problem_with(status: StatusCode, code: &str, title: &str, more: &serde_json::Value) -> Response {
    let mut value =
        serde_json::json!({ "type": "about:blank", "status": status.as_u16(), "code": code, "title": title });
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    let mut response = with_type(status, "application/problem+json", Bytes::from(value.to_string()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 503 with why something could not be read, and when to try again.
pub(crate) fn unreadable(cause: &crate::Unreadable) -> Response {
    let (code, retry_after_s) = match cause {
        crate::Unreadable::Busy => ("busy", 1),
        crate::Unreadable::Loading => ("loading", 2),
        crate::Unreadable::Stopped(_) => ("stopped", 30),
    };
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, code, &cause.to_string());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    response
}

/// A refusal of the backend.
pub(crate) fn refusal(refusal: &crate::Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    problem(status, &refusal.code, &refusal.message)
}

/// The collector's reply.
pub(crate) fn of_collector(reply: midsession_collect::Reply) -> Response {
    let body = match reply.body {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    add_headers(response.headers_mut(), reply.headers);
    response
}

/// Adds headers; a value that HTTP can't carry is left out.
pub(crate) fn add_headers(headers: &mut HeaderMap, added: Vec<(&'static str, String)>) {
    for (name, value) in added {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}
