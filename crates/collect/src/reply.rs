//! What is answered, built before the events are durable and sent after.

use crate::Fault;
use serde_json::json;
use std::borrow::Cow;

/// A reply: status, headers, body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Cow<'static, [u8]>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        // An empty type is none: there is nothing to describe.
        let headers =
            if content_type.is_empty() { Vec::new() } else { vec![("content-type", content_type.to_owned())] };
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string().into_bytes())
    }

    /// `application/problem+json` (RFC 9457) with the stable code.
    pub(crate) fn problem(fault: &Fault) -> Self {
        Self::problem_as(fault.status(), fault)
    }

    /// The same under another status, for SDKs that know fewer.
    pub(crate) fn problem_as(status: u16, fault: &Fault) -> Self {
        let mut value = json!({ "type": "about:blank", "status": status, "code": fault.code, "title": fault.message });
        if let Some(field) = &fault.field {
            value["field"] = field.as_str().into();
        }
        if let Some(hint) = fault.hint {
            value["hint"] = hint.into();
        }
        let mut reply = Self::json(status, &value);
        reply.headers[0].1 = "application/problem+json".to_owned();
        reply
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}
