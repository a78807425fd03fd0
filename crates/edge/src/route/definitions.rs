//! Features and interventions that change while the server runs: put, promote, remove, list.

use super::{Call, Route, admin_route};
use crate::backend::{DefinitionOf, Refusal, Undefined, WrittenFile};
use crate::body::{self, BodyError};
use crate::reply::{self, Response};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use serde_json::Value;

/// A file of definitions. Bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// What messages call a file whose sender does not say.
const UNNAMED: &str = "body";

const FILE: &[(&str, &str)] = &[("file", "what messages call the file")];
const VERSION: &[(&str, &str)] = &[("version", "which version; the newest that waits without it")];
const REMOVED: &[(&str, &str)] = &[("version", "which version; all of them without it")];

/// The routes of one kind of definition.
macro_rules! routes_of {
    ($kind:literal, $is_rule:literal) => {
        [
            admin_route(
                Method::GET,
                concat!("/v1/definitions/", $kind, "/{name}"),
                concat!("The versions of one ", $kind),
                &[],
                |call, _| {
                    Box::pin(async move {
                        let of = named(&call, $is_rule);
                        done(call.app.backend.definitions(Some(of)).await.map_err(Undefined::from))
                    })
                },
            ),
            admin_route(
                Method::PUT,
                concat!("/v1/definitions/", $kind, "/{name}"),
                concat!(
                    "Puts one ",
                    $kind,
                    ", as TOML: live at once where it is new, else as a version beside the live one"
                ),
                FILE,
                |call, body| {
                    let only = named(&call, $is_rule);
                    Box::pin(async move { put(&call, body, Some(only)).await.unwrap_or_else(|refused| *refused) })
                },
            ),
            admin_route(
                Method::POST,
                concat!("/v1/definitions/", $kind, "/{name}/promote"),
                "Makes a version that waits the live one, in every partition",
                VERSION,
                |call, _| {
                    Box::pin(async move {
                        match versioned(&call, $is_rule) {
                            Ok(of) => done(call.app.backend.promote_definition(of).await),
                            Err(refused) => *refused,
                        }
                    })
                },
            ),
            admin_route(
                Method::DELETE,
                concat!("/v1/definitions/", $kind, "/{name}"),
                concat!("Ends a definition of kind ", $kind, ", or one version of it"),
                REMOVED,
                |call, _| {
                    Box::pin(async move {
                        match versioned(&call, $is_rule) {
                            Ok(of) => done(call.app.backend.remove_definition(of).await),
                            Err(refused) => *refused,
                        }
                    })
                },
            ),
        ]
    };
}

const LISTED: Route = admin_route(
    Method::GET,
    "/v1/definitions",
    "Features and interventions in force, each version with its state and since when it counts",
    &[],
    |call, _| Box::pin(async move { done(call.app.backend.definitions(None).await.map_err(Undefined::from)) }),
);
const PUT: Route = admin_route(
    Method::POST,
    "/v1/definitions",
    "Puts every [[feature]] and [[intervention]] of a TOML file: new ones live at once, changed ones as a version beside \
     the live one",
    FILE,
    |call, body| Box::pin(async move { put(&call, body, None).await.unwrap_or_else(|refused| *refused) }),
);

pub(super) const ROUTES: &[Route] = &[LISTED, PUT];
pub(super) const OF_FEATURES: &[Route] = &routes_of!("feature", false);
pub(super) const OF_INTERVENTIONS: &[Route] = &routes_of!("intervention", true);

fn named(call: &Call, is_rule: bool) -> DefinitionOf {
    DefinitionOf { is_rule, name: call.param(0), version: None }
}

fn versioned(call: &Call, is_rule: bool) -> Result<DefinitionOf, Box<Response>> {
    let of = named(call, is_rule);
    let Some(text) = call.query("version") else { return Ok(of) };
    let number = text.parse::<i64>().ok().filter(|version| *version > 0);
    number.map(|version| DefinitionOf { version: Some(version), ..of }).ok_or_else(|| {
        Box::new(reply::problem(StatusCode::BAD_REQUEST, "version_invalid", "version: a number from 1 on, as listed"))
    })
}

async fn put(call: &Call, body: Incoming, only: Option<DefinitionOf>) -> Result<Response, Box<Response>> {
    let refuse = |status, code, title: &str| Box::new(reply::problem(status, code, title));
    let bytes = body::read(body, FILE_BYTES_MAX, &call.app.limits.timeouts).await.map_err(|error| match error {
        BodyError::TooLarge(_) => {
            let title = format!("at most {FILE_BYTES_MAX} bytes of definitions at once");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &title)
        }
        BodyError::TooSlow => refuse(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come in time"),
        BodyError::Broken => refuse(StatusCode::BAD_REQUEST, "body_broken", "the body ended early"),
    })?;
    let Ok(text) = String::from_utf8(bytes.to_vec()) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "not_utf8", "definitions are TOML, in UTF-8"));
    };
    let name = call.query("file").filter(|name| !name.is_empty() && name.len() <= 512);
    let file = WrittenFile { name: name.as_deref().unwrap_or(UNNAMED).into(), text, only };
    Ok(done(call.app.backend.put_definitions(file).await))
}

fn done(result: Result<Value, Undefined>) -> Response {
    match result {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(Undefined::Refused(refusal)) => refused(&refusal),
        Err(Undefined::Mistakes(mistakes)) => {
            let first = mistakes.first().map(|mistake| mistake.to_string().replace('\n', ";")).unwrap_or_default();
            let title = match mistakes.len() {
                1 => first,
                more => format!("{more} mistakes; the first: {first}"),
            };
            let extra = serde_json::json!({ "mistakes": mistakes });
            reply::problem_with(StatusCode::UNPROCESSABLE_ENTITY, "definition_invalid", &title, &extra)
        }
    }
}

fn refused(refusal: &Refusal) -> Response {
    let mut response = reply::refusal(refusal);
    if refusal.status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
