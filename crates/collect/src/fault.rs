//! Why an event, or a whole request, was refused: a stable code, the field, whose job it is and what to do.

use midsession_event::Str;

/// Whose job it is to put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The page or app that sends.
    Tracker,
    /// Whoever configures the source.
    Source,
    /// This product.
    Midsession,
}

impl Owner {
    /// As written in a reject.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Source => "source",
            Self::Midsession => "midsession",
        }
    }
}

/// What is wrong with one event or one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable, for programs.
    pub code: &'static str,
    /// Path of the field at fault, `products[0].price`.
    pub field: Option<Str>,
    /// For people.
    pub message: Str,
    /// What to do.
    pub hint: Option<&'static str>,
    /// Whose job it is.
    pub owner: Owner,
}

impl Fault {
    /// A fault of the tracker.
    pub(crate) fn new(code: &'static str, message: impl Into<Str>) -> Self {
        Self { code, field: None, message: message.into(), hint: None, owner: Owner::Tracker }
    }

    /// A context table has as many rows as it may.
    pub fn table_full() -> Self {
        Self::new("table_full", "the table has as many rows as it may")
            .hint("raise rows_max in [context], or take rows out")
    }

    /// With the field at fault; an already known, inner path is kept behind it.
    pub(crate) fn at(mut self, field: impl Into<Str>) -> Self {
        let outer = field.into();
        self.field = Some(match self.field {
            Some(inner) if inner.starts_with('[') => compact_str::format_compact!("{outer}{inner}"),
            Some(inner) => compact_str::format_compact!("{outer}.{inner}"),
            None => outer,
        });
        self
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn of_source(mut self) -> Self {
        self.owner = Owner::Source;
        self
    }

    /// The HTTP status of a whole request refused for it.
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            "body_too_large" | "decoded_too_large" | "batch_too_long" => 413,
            "unsupported_encoding" => 415,
            "key_unknown" | "key_missing" | "app_id_unknown" => 401,
            "origin_not_allowed" => 403,
            "route_unknown" => 404,
            _ => 400,
        }
    }
}
