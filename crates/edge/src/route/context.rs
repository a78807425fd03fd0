//! The context tables: rows one by one and in bulk, and how the tables stand.

use super::{Call, Route, admin_route};
use crate::backend::Refusal;
use crate::body::{self, BodyError};
use crate::reply::{self, Response};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Body, Incoming};
use midsession_collect::Fault;
use midsession_collect::context::{Bulk, LineFault, RowFormat, read_row, read_rows};
use midsession_event::ContextKind;
use midsession_observe::Metric;
use serde_json::{Value, json};
use std::sync::Arc;

/// Body of one row. Bytes.
const ROW_BYTES_MAX: usize = 128 * 1024;
/// Body of many rows; a larger file is sent in pieces. Bytes.
const BULK_BYTES_MAX: usize = 8 << 20;

pub(super) const ROUTES: &[Route] = &[
    admin_route(
        Method::GET,
        "/v1/context",
        "The context tables: rows, memory, joins, misses, and the last misses told",
        &[],
        |call, _| Box::pin(async move { reply::json(StatusCode::OK, &call.app.backend.tables()) }),
    ),
    admin_route(
        Method::POST,
        "/v1/context/{kind}",
        "Puts many rows: JSON lines, or CSV with Content-Type text/csv; answers which lines were not taken",
        &[("format", "csv or jsonl, where Content-Type does not say it")],
        |call, body| Box::pin(async move { bulk(&call, body).await.unwrap_or_else(|refused| *refused) }),
    ),
    admin_route(
        Method::PUT,
        "/v1/context/{kind}/{id}",
        "Puts one row: its values as a JSON object",
        &[],
        |call, body| Box::pin(async move { put(&call, body).await.unwrap_or_else(|refused| *refused) }),
    ),
    admin_route(Method::GET, "/v1/context/{kind}/{id}", "One row with its version and age", &[], |call, _| {
        Box::pin(async move { get(&call).unwrap_or_else(|refused| *refused) })
    }),
    admin_route(Method::DELETE, "/v1/context/{kind}/{id}", "Takes one row out", &[], |call, _| {
        Box::pin(async move { delete(&call).await.unwrap_or_else(|refused| *refused) })
    }),
];

type Answered = Result<Response, Box<Response>>;

fn kind(call: &Call) -> Result<ContextKind, Box<Response>> {
    ContextKind::parse(&call.param(0)).ok_or_else(|| {
        let names = ContextKind::ALL.map(ContextKind::as_str).join(", ");
        Box::new(reply::problem(StatusCode::NOT_FOUND, "kind_unknown", &format!("the kinds are {names}")))
    })
}

async fn put(call: &Call, body: Incoming) -> Answered {
    let (kind, backend) = (kind(call)?, &call.app.backend);
    let bytes = read(call, body, ROW_BYTES_MAX).await?;
    let mut row = read_row(kind, &call.param(1), &bytes, backend.row_limits()).map_err(|fault| {
        call.app.observe.metrics.add_by(Metric::ContextRefused, fault.code, 1);
        Box::new(problem(StatusCode::BAD_REQUEST, &fault))
    })?;
    let left_out = backend.leave_out(std::slice::from_mut(&mut row));
    let versions = backend.put(vec![row]).await.map_err(refused)?;
    if versions.first().copied().flatten().is_none() {
        call.app.observe.metrics.add_by(Metric::ContextRefused, "table_full", 1);
        return Err(Box::new(problem(StatusCode::INSUFFICIENT_STORAGE, &Fault::table_full())));
    }
    let mut told = row_of(call)?;
    if !left_out.is_empty() {
        told["left_out"] = json!(left_out);
    }
    Ok(reply::json(StatusCode::OK, &told))
}

fn get(call: &Call) -> Answered {
    Ok(reply::json(StatusCode::OK, &row_of(call)?))
}

fn row_of(call: &Call) -> Result<Value, Box<Response>> {
    call.app.backend.row(kind(call)?, &call.param(1)).ok_or_else(not_found)
}

async fn delete(call: &Call) -> Answered {
    let version = call.app.backend.remove(kind(call)?, call.param(1)).await.map_err(refused)?;
    Ok(reply::json(StatusCode::OK, &json!({ "removed": true, "version": version.ok_or_else(not_found)? })))
}

async fn bulk(call: &Call, body: Incoming) -> Answered {
    let (kind, app) = (kind(call)?, &call.app);
    let said = call.header(header::CONTENT_TYPE).unwrap_or_default();
    let format = match call.query("format").as_deref() {
        Some("csv") => RowFormat::Csv,
        Some("jsonl") => RowFormat::JsonLines,
        Some(_) => {
            return Err(Box::new(reply::problem(StatusCode::BAD_REQUEST, "format_unknown", "format: csv or jsonl")));
        }
        None if said.starts_with("text/csv") => RowFormat::Csv,
        None => RowFormat::JsonLines,
    };
    let expected = body.size_hint().upper().map_or(BULK_BYTES_MAX, |upper| BULK_BYTES_MAX.min(upper as usize));
    let Some(_reserved) = app.in_flight.reserve(expected) else {
        app.observe.metrics.add_by(Metric::HttpOverload, "in_flight", 1);
        let title = "too much is being read at once; try again in a moment";
        return Err(Box::new(retry(reply::problem(StatusCode::SERVICE_UNAVAILABLE, "busy", title))));
    };
    let bytes = read(call, body, BULK_BYTES_MAX).await?;
    let limits = app.backend.row_limits();
    let backend = Arc::clone(&app.backend);
    let read = tokio::task::spawn_blocking(move || {
        let Bulk { rows, faults, refused } = read_rows(kind, format, &bytes, limits)?;
        let (lines, mut rows): (Vec<u64>, Vec<_>) = rows.into_iter().unzip();
        let left_out = backend.leave_out(&mut rows);
        Ok::<_, Fault>((lines, rows, left_out, Bulk { rows: Vec::new(), faults, refused }))
    });
    let Ok(read) = read.await else {
        let title = "the rows could not be read; the server's log says why";
        return Err(Box::new(reply::problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", title)));
    };
    let (lines, rows, left_out, mut left): (_, _, _, Bulk) =
        read.map_err(|fault| Box::new(problem(StatusCode::BAD_REQUEST, &fault)))?;
    let versions = app.backend.put(rows).await.map_err(refused)?;
    let mut loaded = 0u64;
    for (line, version) in lines.into_iter().zip(versions) {
        match version {
            Some(_) => loaded += 1,
            None => left.refuse(line, Fault::table_full()),
        }
    }
    for LineFault { fault, .. } in &left.faults {
        app.observe.metrics.add_by(Metric::ContextRefused, fault.code, 1);
    }
    let untold = left.refused - left.faults.len() as u64;
    if untold > 0 {
        app.observe.metrics.add_by(Metric::ContextRefused, "untold", untold);
    }
    let faults: Vec<Value> = left
        .faults
        .iter()
        .map(|LineFault { line, fault }| {
            json!({ "line": line, "code": fault.code, "field": fault.field, "message": fault.message, "hint": fault.hint })
        })
        .collect();
    let told = json!({
        "kind": kind, "loaded": loaded, "refused": left.refused, "faults": faults, "left_out": left_out,
    });
    Ok(reply::json(StatusCode::OK, &told))
}

async fn read(call: &Call, body: Incoming, most: usize) -> Result<bytes::Bytes, Box<Response>> {
    let refuse = |status, code, title: &str| Box::new(reply::problem(status, code, title));
    body::read(body, most, &call.app.limits.timeouts).await.map_err(|error| match error {
        BodyError::TooLarge(_) => {
            let title = format!("at most {most} bytes at once; send it in pieces, as `midsession context load` does");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &title)
        }
        BodyError::TooSlow => refuse(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come in time"),
        BodyError::Broken => refuse(StatusCode::BAD_REQUEST, "body_broken", "the body ended early"),
    })
}

fn problem(status: StatusCode, fault: &Fault) -> Response {
    let field = fault.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let hint = fault.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    reply::problem(status, fault.code, &format!("{field}{}{hint}", fault.message))
}

fn not_found() -> Box<Response> {
    Box::new(reply::problem(StatusCode::NOT_FOUND, "not_found", "the table has no row of this id"))
}

fn refused(refusal: Refusal) -> Box<Response> {
    let response = reply::refusal(&refusal);
    Box::new(if refusal.status == 503 { retry(response) } else { response })
}

/// With when to try again.
fn retry(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
