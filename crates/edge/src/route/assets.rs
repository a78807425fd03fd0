//! The embedded front ends: console, demo shop, tracker.

use super::{Access, Call, Listener, Route};
use crate::admin;
use crate::assets::Site;
use crate::reply::{self, Response};
use http::{HeaderValue, Method, StatusCode, header};

const fn route(
    listener: Listener,
    path: &'static str,
    access: Access,
    summary: &'static str,
    handler: super::Handler,
) -> Route {
    Route { listener, method: Method::GET, path, access, summary, query: &[], handler }
}

pub(super) const ROUTES: &[Route] = &[
    route(Listener::Public, "/midsession.js", Access::Open, "The tracker", |call, _| {
        Box::pin(async move { tracker(&call, "midsession.js") })
    }),
    route(Listener::Public, "/midsession-card.js", Access::Open, "What the tracker paints with", |call, _| {
        Box::pin(async move { tracker(&call, "midsession-card.js") })
    }),
    route(Listener::Public, "/", Access::Open, "To the demo shop, where one is served", |call, _| {
        Box::pin(async move { to_shop(&call) })
    }),
    route(Listener::Public, "/shop", Access::Open, "To the demo shop, where one is served", |call, _| {
        Box::pin(async move { to_shop(&call) })
    }),
    route(Listener::Public, "/shop/{path...}", Access::Open, "The demo shop", |call, _| {
        Box::pin(async move { shop(&call) })
    }),
    Route {
        listener: Listener::Admin,
        method: Method::GET,
        path: "/",
        access: Access::Open,
        summary: "The console",
        query: &[("token", "the admin token: signs the browser in")],
        handler: |call, _| Box::pin(async move { console_home(&call) }),
    },
    route(Listener::Admin, "/{path...}", Access::Admin, "The console's files and pages", |call, _| {
        Box::pin(async move { console(&call) })
    }),
];

/// What a path of the console begins with, where somebody types one: its pages find their way by what is behind the `#`.
const SCREENS: [&str; 6] = ["overview", "sessions", "interventions", "dead-letters", "budget", "features"];

/// Nothing but our own files, and no page around ours.
const CONSOLE_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                           img-src 'self' data:; font-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// The shop is strict too: the tracker has to work under it.
const SHOP_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                        img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn tracker(call: &Call, file: &str) -> Response {
    let mut response = call.app.assets.serve(Site::Tracker, file, &call.parts.headers);
    let headers = response.headers_mut();
    // Shops load it from their own pages, with or without `crossorigin`.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    if response.status() != StatusCode::NOT_FOUND {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    }
    response
}

fn to_shop(call: &Call) -> Response {
    if call.app.backend.config().is_none() {
        return reply::problem(StatusCode::NOT_FOUND, "route_unknown", "nothing is served at this path");
    }
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/shop/"));
    response
}

fn shop(call: &Call) -> Response {
    if call.app.backend.config().is_none() {
        return reply::problem(StatusCode::NOT_FOUND, "no_shop", "the demo shop is served by `midsession demo` only");
    }
    secured(call.app.assets.serve(Site::Store, &call.param(0), &call.parts.headers), SHOP_CSP)
}

fn console_home(call: &Call) -> Response {
    if let Some(token) = call.query("token") {
        return admin::sign_in(call, &token);
    }
    match admin::check(call) {
        Ok(()) => secured(call.app.assets.serve(Site::Console, "", &call.parts.headers), CONSOLE_CSP),
        Err(refused) => secured(*refused, CONSOLE_CSP),
    }
}

fn console(call: &Call) -> Response {
    let path = call.param(0);
    let is_file = path.rsplit('/').next().unwrap_or_default().contains('.');
    if path.starts_with("v1/") || !is_file && !is_screen(call, &path) {
        return reply::problem(StatusCode::NOT_FOUND, "route_unknown", "nothing is served at this path");
    }
    secured(call.app.assets.serve(Site::Console, &path, &call.parts.headers), CONSOLE_CSP)
}

/// Whether this is a page of the console, asked for by a browser's address bar. What asks for something else by a path of that
/// form learns that it is not there.
fn is_screen(call: &Call, path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    let wants_page = call.header(header::ACCEPT).is_some_and(|accepts| accepts.contains("text/html"));
    wants_page && SCREENS.contains(&first)
}

fn secured(mut response: Response, policy: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}
