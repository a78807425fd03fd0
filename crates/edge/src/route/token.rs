//! Push tokens for the visitor that the first-party cookie names.

use super::collect::{add_cors, headers, request, source_of};
use super::{Access, Call, Listener, Route};
use crate::reply::{self, Response};
use crate::token::{Claims, TOKEN_LIFE_MS};
use crate::{clock, ingest};
use http::{Method, StatusCode, header};
use midsession_collect::{Request, Source};
use midsession_event::{Purpose, VisitorId};

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

fn token(call: &Call) -> Response {
    let source = match source_of(call) {
        Ok(source) => source,
        Err(refused) => return *refused,
    };
    let known = visitor_of_cookies(call).and_then(|id| Some((as_collected(call, source, &id)?, id)));
    let is_new = known.is_none();
    let (collected_id, visitor_id) = known.unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().to_string();
        (as_collected(call, source, &id).unwrap_or_else(|| id.as_str().into()), id)
    });
    let headers = headers(&call.parts.headers);
    let id = std::iter::once(collected_id.as_str());
    if let Err(over) = call.app.rates.take_visitors(&request(call, &headers, &[]), Some(&source.name), id) {
        return reply::of_collector(ingest::too_many(&call.app, &request(call, &headers, &[]), over));
    }
    let origin = call.header(header::ORIGIN).unwrap_or_default();
    let expires_at_ms = clock::now_ms() + TOKEN_LIFE_MS;
    let claims = Claims {
        visitor_id: collected_id,
        source: source.name.clone(),
        origin: origin.to_ascii_lowercase().into(),
        expires_at_ms,
    };
    let token = call.app.signer.sign(&claims);
    let value = serde_json::json!({ "token": token, "expires_at": expires_at_ms, "visitor_id": visitor_id });
    let mut response = reply::json(StatusCode::OK, &value);
    add_cors(call, &mut response);
    if is_new && call.app.collector.may_set_cookie(source, &request(call, &headers, &[])) {
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
    (!id.is_empty()).then(|| id.into_owned())
}

/// The id under which the collector knows this visitor: a source may have ids hashed, and what looks like an e-mail
/// address always is. `None` for what the collector refuses as an id. Its own rules are asked by showing it an event.
fn as_collected(call: &Call, source: &Source, id: &str) -> Option<VisitorId> {
    let consent = serde_json::Map::from_iter(Purpose::ALL.map(|(_, name)| (name.to_owned(), true.into())));
    let event = serde_json::json!({ "event_id": "token", "name": "page_view", "visitor_id": id, "consent": consent })
        .to_string();
    let bearer = format!("Bearer {}", source.write_key);
    let request = Request {
        method: "POST",
        path: "/v1/events",
        query: "",
        headers: &[("authorization", &bearer)],
        body: event.as_bytes(),
        peer_ip: None,
        received_at_us: call.received_at_us,
        daily_salt: None,
    };
    let collected = call.app.collector.collect(&request, &mut || 0);
    match collected.events.into_iter().next() {
        Some(event) => event.visitor_id,
        // Outside the sample, perhaps: then no event will ever ask for this id.
        None => collected.rejects.is_empty().then(|| id.into()),
    }
}
