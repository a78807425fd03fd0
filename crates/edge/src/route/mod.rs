//! The route table: one row per endpoint. Matching, authorization, `/openapi.json` and the reference follow from it.

mod assets;
mod collect;
mod console;
mod context;
mod definitions;
mod features;
mod health;
mod identity;
mod interventions;
mod live;
mod openapi;
mod push;
mod shop;
mod token;

pub use openapi::openapi;

use crate::backend::Answer;
use crate::reply::{self, Response};
use crate::{App, admin};
use http::header::{ALLOW, CONNECTION, HeaderValue, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use midsession_event::Str;
use midsession_observe::Metric;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where an endpoint is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Open to the web; a write key may only send.
    Public,
    /// For the shop's own people.
    Admin,
}

impl Listener {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }
}

/// What a request must bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// A source's write key.
    WriteKey,
    /// A shopper's push token.
    PushToken,
    /// The admin token, as bearer or cookie.
    Admin,
}

type Handler = fn(Call, Incoming) -> Answer<'static, Response>;

/// One endpoint.
pub(crate) struct Route {
    pub listener: Listener,
    pub method: Method,
    /// `{name}` is one segment, a final `{name...}` the rest.
    pub path: &'static str,
    pub access: Access,
    /// One line for the reference.
    pub summary: &'static str,
    /// Query parameters with what they do.
    pub query: &'static [(&'static str, &'static str)],
    pub handler: Handler,
}

/// A request on its way to a handler.
pub(crate) struct Call {
    pub app: Arc<App>,
    pub parts: Parts,
    /// Values of the path's variables, decoded, in order.
    pub params: Vec<Str>,
    pub peer: SocketAddr,
    pub received_at_us: i64,
}

impl Call {
    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// A header's text.
    pub(crate) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// A variable of the path.
    pub(crate) fn param(&self, index: usize) -> Str {
        self.params.get(index).cloned().unwrap_or_default()
    }

    /// A whole number of the query, within bounds.
    pub(crate) fn count(&self, name: &str, default: usize, max: usize) -> usize {
        self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default).min(max)
    }
}

/// One for the admin alone.
const fn admin_route(
    method: Method,
    path: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    handler: Handler,
) -> Route {
    Route { listener: Listener::Admin, method, path, access: Access::Admin, summary, query, handler }
}

/// Every endpoint, in the order in which paths are tried: the tracker protocols' wide patterns come last.
pub(crate) static ROUTES: &[&[Route]] = &[
    collect::NATIVE,
    token::ROUTES,
    push::ROUTES,
    health::ROUTES,
    features::ROUTES,
    console::ROUTES,
    interventions::ROUTES,
    identity::ROUTES,
    definitions::ROUTES,
    definitions::OF_FEATURES,
    definitions::OF_INTERVENTIONS,
    context::ROUTES,
    live::ROUTES,
    openapi::ROUTES,
    shop::ROUTES,
    assets::ROUTES,
    collect::PROTOCOLS,
];

pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().copied().flatten()
}

/// Answers one request.
pub(crate) async fn answer(
    app: Arc<App>,
    listener: Listener,
    peer: SocketAddr,
    received_at_us: i64,
    request: Request<Incoming>,
) -> Response {
    let observe = app.observe.clone();
    let (parts, body) = request.into_parts();
    let wants_upgrade = parts.headers.contains_key(UPGRADE);
    let call = Call { app, parts, params: Vec::new(), peer, received_at_us };
    let mut response = dispatch(listener, call, body).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let status = response.status();
    if wants_upgrade && status != StatusCode::SWITCHING_PROTOCOLS {
        // The framing guard has stepped aside for the upgrade: nothing more may be read as HTTP.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let class = match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    observe.metrics.add_by(Metric::HttpRequests, class, 1);
    response
}

async fn dispatch(listener: Listener, mut call: Call, body: Incoming) -> Response {
    if call.parts.uri.authority().is_some() || !call.parts.uri.path().starts_with('/') {
        // A proxy's form of address: it could name another host than the header does.
        if call.parts.method != Method::OPTIONS {
            return reply::problem(StatusCode::BAD_REQUEST, "target_form", "name the path alone in the request line");
        }
    }
    if listener == Listener::Admin
        && let Err(refused) = admin::check_host(&call)
    {
        return *refused;
    }
    if listener == Listener::Public && call.parts.method == Method::OPTIONS {
        return collect::preflight(&call);
    }
    let method = if call.parts.method == Method::HEAD { Method::GET } else { call.parts.method.clone() };
    let mut allowed: Vec<&str> = Vec::new();
    for route in all().filter(|route| route.listener == listener) {
        let Some(params) = matches(route.path, call.parts.uri.path()) else { continue };
        if route.method != method {
            if !allowed.contains(&route.method.as_str()) {
                allowed.push(route.method.as_str());
            }
            continue;
        }
        if route.access == Access::Admin
            && let Err(refused) = admin::check(&call)
        {
            return *refused;
        }
        call.params = params;
        if let Some(refused) = unreadable_query(route, &call) {
            return refused;
        }
        return (route.handler)(call, body).await;
    }
    if listener == Listener::Public && call.app.collector.protocol(&collect::request(&call, &[], &[])).is_some() {
        // A path that a source's configuration maps to a protocol.
        return collect::tracker(call, body).await;
    }
    if allowed.is_empty() {
        return reply::problem(StatusCode::NOT_FOUND, "route_unknown", "nothing is served at this path");
    }
    let allowed = allowed.join(", ");
    let what = format!("this path takes {allowed}");
    let mut response = reply::problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &what);
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The values of a pattern's variables in a path, if it fits.
fn matches(pattern: &str, path: &str) -> Option<Vec<Str>> {
    let mut params = Vec::new();
    let mut path_left = Some(path);
    for part in pattern.split('/') {
        let rest = path_left?;
        if part.starts_with('{') && part.ends_with("...}") {
            params.push(decode(rest)?);
            return Some(params);
        }
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if part.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            params.push(decode(segment)?);
        } else if part != segment {
            return None;
        }
        path_left = after;
    }
    path_left.is_none().then_some(params)
}

fn decode(text: &str) -> Option<Str> {
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.as_ref().into())
}

/// A number or a choice of the query that is none: it would silently be taken for not given.
fn unreadable_query(route: &Route, call: &Call) -> Option<Response> {
    route.query.iter().find_map(|(name, _)| {
        let given = call.query(name)?;
        let wanted = match *name {
            "limit" if given.parse::<u32>().is_err() => "a whole number from 0",
            "open" if !["true", "false", "1", "0", ""].contains(&given.as_str()) => "true or false",
            _ => return None,
        };
        let given: String = given.chars().take(40).collect();
        let what = format!("`{name}` is {wanted}, not {given:?}");
        Some(reply::problem(StatusCode::BAD_REQUEST, "query_invalid", &what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_paths() {
        for (pattern, path, params) in [
            ("/v1/events", "/v1/events", Some(vec![])),
            ("/v1/events", "/v1/events/", None),
            ("/v1/events", "/v1", None),
            ("/v1/sessions/{id}", "/v1/sessions/a%2Fb", Some(vec!["a/b"])),
            ("/v1/sessions/{id}", "/v1/sessions/", None),
            ("/v1/sessions/{id}", "/v1/sessions/a/b", None),
            ("/v1/sessions/{id}", "/v1/sessions/%ff", None),
            ("/{vendor}/{version}", "/com.acme/v1", Some(vec!["com.acme", "v1"])),
            ("/shop/{path...}", "/shop/", Some(vec![""])),
            ("/shop/{path...}", "/shop/a/b", Some(vec!["a/b"])),
            ("/shop/{path...}", "/shop", None),
            ("/", "/", Some(vec![])),
        ] {
            let params = params.map(|params: Vec<&str>| params.into_iter().map(Str::from).collect::<Vec<_>>());
            assert_eq!(matches(pattern, path), params, "{pattern} {path}");
        }
    }

    #[test]
    fn no_two_routes_are_one() {
        let mut seen = std::collections::BTreeSet::new();
        for route in all() {
            assert!(seen.insert((route.listener.as_str(), route.method.as_str(), route.path)), "twice: {}", route.path);
        }
    }
}
