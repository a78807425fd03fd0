//! Features of a user, a session, or a value of a field, as of now.

use super::{Access, Call, Listener, Route};
use crate::backend::{Ask, Entity};
use crate::reply::{self, Response};
use http::{Method, StatusCode};
use midsession_event::Str;
use serde_json::{Map, Value, json};

const QUERY: &[(&str, &str)] = &[
    ("names", "features to read, separated by commas; all of them without it"),
    ("profile", "a loaded feature profile, else 400; the configured one without it"),
];

const USER_QUERY: &[(&str, &str)] =
    &[QUERY[0], QUERY[1], ("source", "takes the id as this source's pages know it: hashed as the source hashes ids")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        listener: Listener::Admin,
        method: Method::GET,
        path: "/v1/features/user/{id}",
        access: Access::Admin,
        summary: "Features of a user, by user id or visitor id; none once they have withdrawn personalization",
        query: USER_QUERY,
        handler: |call, _| Box::pin(async move { user(&call).await }),
    },
    Route {
        listener: Listener::Admin,
        method: Method::GET,
        path: "/v1/features/session/{id}",
        access: Access::Admin,
        summary: "Features of a session, by its id or the tracker's",
        query: QUERY,
        handler: |call, _| Box::pin(async move { features(&call, "session", Entity::Session(call.param(0))).await }),
    },
    Route {
        listener: Listener::Admin,
        method: Method::GET,
        path: "/v1/features/{key}/{id}",
        access: Access::Admin,
        summary: "Features by a field of the event (product, category, campaign…), over all partitions",
        query: QUERY,
        handler: |call, _| Box::pin(async move { of_field(&call).await }),
    },
];

async fn of_field(call: &Call) -> Response {
    let (key, id) = (call.param(0), call.param(1));
    let known = call.app.backend.field_keys();
    if !known.contains(&key) {
        let known: Vec<&str> = ["user", "session"].into_iter().chain(known.iter().map(Str::as_str)).collect();
        let title = format!("no feature goes by `{key}`; there are features by {}", known.join(", "));
        return reply::problem(StatusCode::NOT_FOUND, "key_unknown", &title);
    }
    features(call, &key.clone(), Entity::Field { key, id }).await
}

async fn user(call: &Call) -> Response {
    let id = call.param(0);
    let Some(source) = call.query("source") else { return features(call, "user", Entity::User(id)).await };
    match call.app.collector.id_in(&source, &id) {
        Some(id) => features(call, "user", Entity::User(id)).await,
        None => {
            reply::problem(StatusCode::BAD_REQUEST, "source_unknown", "no source of the configuration has this name")
        }
    }
}

async fn features(call: &Call, kind: &str, entity: Entity) -> Response {
    let names = call.query("names").unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty()).map(Into::into).collect();
    let profile: Option<Str> = call.query("profile").map(Into::into);
    let known = call.app.backend.profiles();
    if let Some(profile) = profile.as_ref().filter(|profile| !known.contains(profile)) {
        let title = format!("no feature profile `{profile}` is loaded; there is: {}", known.join(", "));
        return reply::problem(StatusCode::BAD_REQUEST, "profile_unknown", &title);
    }
    let ask = Ask { entity, profile, names, with_expiry: false };
    let features = match call.app.backend.features(vec![ask]).await.pop().unwrap_or(Ok(None)) {
        Ok(features) => features,
        Err(cause) => return reply::unreadable(&cause),
    };
    let Some(features) = features else {
        let title = format!("no {kind} of this id is held; it may have sent nothing within 24 hours");
        return reply::problem(StatusCode::NOT_FOUND, "entity_unknown", &title);
    };
    let values: Map<String, Value> =
        features.present().map(|(served, value)| (served.name.to_string(), json!(value))).collect();
    let as_of = match features.as_of.as_slice() {
        [one] if matches!(kind, "user" | "session") => json!(one),
        all => json!(all),
    };
    let mut answer = json!({ kind: features.id, "as_of": as_of, "features": values });
    let since: Map<String, Value> =
        features.values.iter().filter_map(|served| Some((served.name.to_string(), json!(served.since_ms?)))).collect();
    if !since.is_empty() {
        answer["since"] = since.into();
    }
    reply::json(StatusCode::OK, &answer)
}
