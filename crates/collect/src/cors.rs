//! Which web origins may read an answer: a listed one is echoed with credentials, an unlisted one gets nothing.

use crate::{Reply, Request, Source};

/// Headers that trackers are known to send and that a preflight may name.
const KNOWN_HEADERS: &str = "Content-Type, Authorization, SP-Anonymous, AnonymousId, SentAt";

/// Whether this source may be used from the request's origin. No origin (servers, apps) and the host itself always.
pub(crate) fn is_allowed(request: &Request<'_>, source: &Source, development: bool) -> bool {
    let Some(origin) = request.header("origin") else { return true };
    is_own(request, origin)
        || match &source.allowed_origins {
            Some(origins) => origins.iter().any(|allowed| same_origin(allowed, origin)),
            None => development,
        }
}

fn is_own(request: &Request<'_>, origin: &str) -> bool {
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && request.header("host").is_some_and(|own| host.is_some_and(|host| host.eq_ignore_ascii_case(own)))
}

fn same_origin(allowed: &str, origin: &str) -> bool {
    allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)
}

/// Adds what lets the page read the answer. `null` is nobody in particular and is never let in.
pub(crate) fn add(reply: &mut Reply, request: &Request<'_>, allowed: bool) {
    let Some(origin) = request.header("origin") else { return };
    reply.headers.push(("vary", "Origin".to_owned()));
    if allowed && origin != "null" {
        reply.headers.push(("access-control-allow-origin", origin.to_owned()));
        reply.headers.push(("access-control-allow-credentials", "true".to_owned()));
    }
}

/// The answer to `OPTIONS`: what was asked for is granted where the origin is.
pub(crate) fn preflight(request: &Request<'_>, allowed: bool) -> Reply {
    let mut reply = Reply::new(200, "", &b""[..]);
    add(&mut reply, request, allowed);
    if allowed {
        let asked = request.header("access-control-request-headers").filter(|names| is_header_list(names));
        reply = reply
            .with("access-control-allow-headers", asked.unwrap_or(KNOWN_HEADERS))
            .with("access-control-allow-methods", "GET, HEAD, POST, OPTIONS")
            .with("access-control-max-age", "3600");
    }
    reply
}

/// Echoed only when it is nothing but header names.
fn is_header_list(names: &str) -> bool {
    names.len() <= 1_024
        && names.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b',' | b' '))
}
