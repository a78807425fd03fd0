//! Diagnostics that point into a definition file: file:line:column, what is wrong, what to do.

use crate::expr::ExprError;
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One fault in a definition file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// A definition file at hand: its name and text, and what was found wrong with it so far.
pub struct Document<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Document<'a> {
    /// The file.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// What was found, from top to bottom.
    pub fn into_found(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        self.found
    }

    /// How many faults were noted so far.
    pub fn faults(&self) -> usize {
        self.found.len()
    }

    /// Notes a fault at these bytes of the text.
    pub fn fault(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = line_column(self.text, span.start);
        self.found.push(Diagnostic { file: self.file.to_owned(), line, column, message: message.into(), hint });
    }

    /// Notes a fault of an expression that stands in this TOML string.
    pub fn expr_fault(&mut self, written: &Spanned<String>, error: &ExprError) {
        let span = written.span();
        let raw = self.text.get(span.clone()).unwrap_or_default();
        // A string with escapes has no byte-for-byte place of its own: then the string as a whole is pointed at.
        let inside = raw.find(written.get_ref().as_str()).map_or(0, |start| start + error.offset);
        self.fault(span.start + inside..span.end, error.message.clone(), error.hint.clone());
    }

    /// Notes a fault that the TOML reader found.
    pub fn toml_fault(&mut self, error: &toml::de::Error) {
        let message = error.message();
        // serde lists what it expected; the nearest of them is the better hint.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let hint = match (message.starts_with("unknown "), quoted.next()) {
            (true, Some(wrong)) => nearest(wrong, quoted).map(|name| format!("did you mean `{name}`?")),
            _ => None,
        };
        self.fault(error.span().unwrap_or(0..0), message, hint);
    }

    /// The file's top-level table; what can't be read is noted.
    pub fn parse(&mut self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.toml_fault(error);
        }
        table.into_inner()
    }

    /// The table of `[name]`, read as `T`; what can't be read is noted.
    pub fn table<T: serde::de::DeserializeOwned>(&mut self, root: &DeTable<'a>, name: &str) -> Option<T> {
        let item = root.get(name)?;
        match T::deserialize(toml::de::ValueDeserializer::from(item.clone())) {
            Ok(value) => Some(value),
            Err(mut error) => {
                error.set_input(None);
                self.toml_fault(&error);
                None
            }
        }
    }

    /// The tables of `[[name]]`, each read as `T`; those that can't be read are noted and left out.
    pub fn tables<T: serde::de::DeserializeOwned>(&mut self, root: &DeTable<'a>, name: &str) -> Vec<Spanned<T>> {
        for (key, value) in root.iter().filter(|(key, value)| key.get_ref() != name && value.get_ref().is_array()) {
            if strsim::normalized_damerau_levenshtein(key.get_ref(), name) >= 0.7 {
                let hint = Some(format!("did you mean [[{name}]]?"));
                self.fault(value.span(), format!("[[{}]] is not known", key.get_ref()), hint);
            }
        }
        let Some(list) = root.get(name) else { return Vec::new() };
        let DeValue::Array(items) = list.get_ref() else {
            let hint = Some(format!("write [[{name}]]"));
            self.fault(list.span(), format!("`{name}` is a list of tables"), hint);
            return Vec::new();
        };
        let mut read = Vec::new();
        for item in items.iter() {
            match T::deserialize(toml::de::ValueDeserializer::from(item.clone())) {
                Ok(value) => read.push(Spanned::new(item.span(), value)),
                Err(mut error) => {
                    error.set_input(None);
                    self.toml_fault(&error);
                }
            }
        }
        read
    }
}

/// The name most like the wrong one, if any is like it.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.into_iter().map(|name| (strsim::normalized_damerau_levenshtein(wrong, name), name));
    scored.filter(|(score, _)| *score >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
