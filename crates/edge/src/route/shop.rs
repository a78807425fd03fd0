//! The demo shop's own backend: configuration, checkout, coupons.

use super::{Access, Call, Listener, Route, interventions::read};
use crate::backend::Refusal;
use crate::reply::{self, Response};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

const fn route(method: Method, path: &'static str, summary: &'static str, handler: super::Handler) -> Route {
    Route { listener: Listener::Public, method, path, access: Access::Open, summary, query: &[], handler }
}

pub(super) const ROUTES: &[Route] = &[
    route(Method::GET, "/shop/api/config", "Demo shop: write key, currency, address of the console", |call, _| {
        Box::pin(async move {
            match call.app.backend.config() {
                Some(config) => reply::json(StatusCode::OK, &config),
                None => not_served(),
            }
        })
    }),
    route(Method::POST, "/shop/api/checkout", "Demo shop: places an order", |call, body| {
        Box::pin(async move {
            match read_here(&call, body).await {
                Ok(order) => done(call.app.backend.checkout(order).await),
                Err(refused) => *refused,
            }
        })
    }),
    route(Method::POST, "/shop/api/coupon", "Demo shop: checks a coupon without using it up", |call, body| {
        Box::pin(async move {
            match read_here(&call, body).await {
                Ok(coupon) => done(call.app.backend.coupon(coupon).await),
                Err(refused) => *refused,
            }
        })
    }),
];

async fn read_here(call: &Call, body: Incoming) -> Result<Value, Box<Response>> {
    match call.app.backend.config() {
        Some(_) => read(call, body).await,
        None => Err(Box::new(not_served())),
    }
}

fn not_served() -> Response {
    reply::problem(StatusCode::NOT_FOUND, "no_shop", "the demo shop is served by `midsession demo` only")
}

fn done(result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(refusal) => reply::refusal(&refusal),
    }
}
