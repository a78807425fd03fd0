//! Push tokens for the visitor that the first-party cookie names.

use super::collect::{add_cors, source_of};
use super::{Access, Call, Listener, Route};
use crate::clock;
use crate::reply::{self, Response};
use crate::token::{Claims, TOKEN_LIFE_MS};
use http::{Method, StatusCode, header};
use midsession_event::VisitorId;

pub(super) const ROUTES: &[Route] = &[Route {
    listener: Listener::Public,
    method: Method::POST,
    path: "/v1/token",
    access: Access::WriteKey,
    summary: "A push token for the visitor of the first-party cookie (set here if absent); good for 30 minutes",
    query: &[("key", "the source's write key")],
    handler: |call, _| Box::pin(async move { token(&call) }),
}];

/// The tracker's own cookie.
const COOKIE: &str = "_ms_vid";

/// Longest visitor id. Bytes.
const ID_BYTES_MAX: usize = 256;

fn token(call: &Call) -> Response {
    let source = match source_of(call) {
        Ok(source) => source,
        Err(refused) => return *refused,
    };
    let known = visitor_of_cookies(call);
    let visitor_id = known.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let origin = call.header(header::ORIGIN).unwrap_or_default();
    let expires_at_ms = clock::now_ms() + TOKEN_LIFE_MS;
    let claims = Claims {
        visitor_id: VisitorId::from(visitor_id.as_str()),
        source: source.name.clone(),
        origin: origin.to_ascii_lowercase().into(),
        expires_at_ms,
    };
    let token = call.app.signer.sign(&claims);
    let value = serde_json::json!({ "token": token, "expires_at": expires_at_ms, "visitor_id": visitor_id });
    let mut response = reply::json(StatusCode::OK, &value);
    add_cors(call, &mut response);
    if known.is_none() {
        let secure = if origin.starts_with("https://") { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={visitor_id}; Path=/; Max-Age=31536000; SameSite=Lax{secure}");
        reply::add_headers(response.headers_mut(), vec![("set-cookie", cookie)]);
    }
    response
}

/// The visitor by our tracker's cookie, else by Snowplow's (its first field, the domain user id).
fn visitor_of_cookies(call: &Call) -> Option<String> {
    let cookies = call.parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<(&str, &str)> =
        cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    let ours = pairs.iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| *value);
    let snowplow = || {
        let (_, value) = pairs.iter().find(|(name, _)| name.starts_with("_sp_id."))?;
        value.split('.').next()
    };
    let id = ours.or_else(snowplow)?;
    let id = percent_encoding::percent_decode_str(id).decode_utf8().ok()?;
    (!id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)).then(|| id.into_owned())
}
