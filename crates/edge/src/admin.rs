//! Who may use the admin listener: the bearer of the token, or a browser that was signed in with it.

use crate::reply::{self, Response};
use crate::route::Call;
use crate::token::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode, header};

/// Name of the cookie that stands for the token.
const COOKIE: &str = "ms_admin";

/// The admin token and what is derived from it.
pub(crate) struct Admin {
    token: Secret,
    cookie: Secret,
    cookie_value: String,
    /// Names under which the listener may be addressed, in lower case, without port.
    hosts: Vec<String>,
}

impl Admin {
    pub(crate) fn new(token: &str, mut hosts: Vec<String>) -> Self {
        // The cookie does not give the token away, and outlives a restart.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, token.as_bytes());
        let cookie_value = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, b"admin cookie"));
        hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        hosts.iter_mut().for_each(|host| host.make_ascii_lowercase());
        Self { token: Secret::new(token), cookie: Secret::new(&cookie_value), cookie_value, hosts }
    }
}

/// Refuses hosts that the listener does not go by: a page elsewhere may have pointed its own name here.
pub(crate) fn check_host(call: &Call) -> Result<(), Box<Response>> {
    let host = call.header(header::HOST).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if call.app.admin.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let title = "the admin listener does not go by this host name; add it to admin_hosts";
    Err(Box::new(reply::problem(StatusCode::MISDIRECTED_REQUEST, "host_unknown", title)))
}

/// Lets the bearer of the token pass; and its cookie, where the request is the console's own.
pub(crate) fn check(call: &Call) -> Result<(), Box<Response>> {
    let admin = &call.app.admin;
    if let Some(bearer) = call.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) {
        return if admin.token.matches(bearer.trim()) { Ok(()) } else { Err(unauthorized(call)) };
    }
    let cookies = call.parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    if !pairs.any(|(name, value)| name == COOKIE && admin.cookie.matches(value)) {
        return Err(unauthorized(call));
    }
    if matches!(call.parts.method, Method::GET | Method::HEAD) || is_same_origin(call) {
        return Ok(());
    }
    let title = "a change must come from the console itself, or carry the token as a bearer";
    Err(Box::new(reply::problem(StatusCode::FORBIDDEN, "cross_site", title)))
}

/// Signs a browser in: `/?token=…` is answered with the cookie and the way to the console.
pub(crate) fn sign_in(call: &Call, token: &str) -> Response {
    if !call.app.admin.token.matches(token) {
        return *unauthorized(call);
    }
    let mut response = reply::empty(StatusCode::SEE_OTHER);
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", call.app.admin.cookie_value);
    reply::add_headers(
        response.headers_mut(),
        vec![
            ("location", "/".to_owned()),
            ("set-cookie", cookie),
            ("cache-control", "no-store".to_owned()),
            ("referrer-policy", "no-referrer".to_owned()),
        ],
    );
    response
}

fn is_same_origin(call: &Call) -> bool {
    let host = call.header(header::HOST).unwrap_or_default();
    match call.header(header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)),
        None => call.parts.headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin"),
    }
}

fn unauthorized(call: &Call) -> Box<Response> {
    let wants_page = call.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    let mut response = if wants_page {
        let page = "<!doctype html><meta charset=utf-8><title>midsession</title><p>Open the link that the server \
                    printed at its start: it signs this browser in.</p>";
        reply::with_type(StatusCode::UNAUTHORIZED, "text/html; charset=utf-8", page)
    } else {
        reply::problem(StatusCode::UNAUTHORIZED, "unauthorized", "send Authorization: Bearer ADMIN_TOKEN")
    };
    let scheme = http::HeaderValue::from_static("Bearer realm=\"midsession\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    Box::new(response)
}
