//! `/openapi.json`, written from the route table.

use super::{Access, Listener, Route, all};
use crate::reply;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

pub(super) const ROUTES: &[Route] = &[Route {
    listener: Listener::Admin,
    method: Method::GET,
    path: "/openapi.json",
    access: Access::Open,
    summary: "This description",
    query: &[],
    handler: |_, _| Box::pin(async { reply::json(StatusCode::OK, &openapi()) }),
}];

/// The OpenAPI 3.1 description of both listeners. Each operation names the listener that serves it.
pub fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in all() {
        // OpenAPI has no word for "the rest of the path".
        let path = route.path.replace("...}", "}");
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        let method = route.method.as_str().to_ascii_lowercase();
        let listeners = match operations[&method]["x-listeners"].as_array() {
            Some(listeners) => listeners.iter().cloned().chain([json!(route.listener.as_str())]).collect(),
            None => vec![json!(route.listener.as_str())],
        };
        operations[&method] = operation(route, listeners);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "midsession",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "The public listener takes events in and pushes interventions; the admin listener serves the console and reads.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "write_key": { "type": "apiKey", "in": "query", "name": "key" },
                "push_token": { "type": "apiKey", "in": "query", "name": "token" },
                "admin": { "type": "http", "scheme": "bearer" },
                "admin_cookie": { "type": "apiKey", "in": "cookie", "name": "ms_admin" },
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["status", "code", "title"],
                    "properties": {
                        "type": { "type": "string" }, "status": { "type": "integer" }, "code": { "type": "string" },
                        "title": { "type": "string" }, "field": { "type": "string" }, "hint": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(route: &Route, listeners: Vec<Value>) -> Value {
    let variables = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = variables.map(|name| {
        let name = name.trim_end_matches('.');
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|(name, description)| {
        json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } })
    });
    let security = match route.access {
        Access::Open => json!([]),
        Access::WriteKey => json!([{ "write_key": [] }]),
        Access::PushToken => json!([{ "push_token": [] }]),
        Access::Admin => json!([{ "admin": [] }, { "admin_cookie": [] }]),
    };
    let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let mut operation = json!({
        "summary": route.summary,
        "x-listeners": listeners,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "security": security,
        "responses": {
            "2XX": { "description": "Done" },
            "4XX": { "description": "Refused, with a stable code", "content": problem },
            "503": { "description": "Try again after Retry-After", "content": problem },
        },
    });
    if matches!(route.method, Method::POST | Method::PUT) {
        operation["requestBody"] = json!({ "content": { "application/json": {}, "text/plain": {} } });
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_none_besides() {
        let description = openapi();
        let mut described = BTreeSet::new();
        for (path, operations) in description["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                for listener in operation["x-listeners"].as_array().expect("listeners") {
                    described.insert((
                        listener.as_str().expect("text").to_owned(),
                        method.to_uppercase(),
                        path.clone(),
                    ));
                }
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            }
        }
        let routed: BTreeSet<_> = all()
            .map(|route| {
                let path = route.path.replace("...}", "}");
                (route.listener.as_str().to_owned(), route.method.to_string(), path)
            })
            .collect();
        assert_eq!(described, routed);
    }
}
