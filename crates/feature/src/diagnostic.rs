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

const LARGEST_HINT: &str = "a whole number is at most 9223372036854775807";

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
        let verbatim = raw.find(written.get_ref().as_str()).map(|start| start + error.offset);
        let inside = verbatim.unwrap_or_else(|| place_with_escapes(raw, error.offset));
        self.fault(span.start + inside..span.end, error.message.clone(), error.hint.clone());
    }

    /// Notes a fault that the TOML reader found.
    pub fn toml_fault(&mut self, error: &toml::de::Error) {
        let message = error.message();
        // serde lists what it expected; the nearest of them is the better hint.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let hint = match (message.starts_with("unknown "), quoted.next()) {
            (true, Some(wrong)) => nearest(wrong, quoted).map(|name| format!("did you mean `{name}`?")),
            _ => self.type_hint(message, error.span()),
        };
        // An enum's name is ours alone.
        let message = if message.contains("untagged enum") { "this is no value for it" } else { message };
        self.fault(error.span().unwrap_or(0..0), message, hint);
    }

    /// What to write where a value of another type is wanted, or one is missing.
    fn type_hint(&self, message: &str, span: Option<Range<usize>>) -> Option<String> {
        if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            let example = if name == "key" { "\"user\", \"session\" or a field like \"product\"" } else { "…" };
            return Some(format!("add a line {name} = {example}"));
        }
        if message.contains("untagged enum Keys") {
            return Some("a name in quotes or a list of them: key = \"user\"".into());
        }
        let written = span.and_then(|span| self.text.get(span)).unwrap_or_default();
        let digits = written.trim_start_matches(['-', '+']);
        if digits.len() >= i64::MAX.to_string().len() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(LARGEST_HINT.into());
        }
        match message.strip_prefix("invalid type: ")?.rsplit_once("expected ")?.1 {
            "a sequence" if !written.starts_with('[') => Some(format!("write a list: [{written}]")),
            "a string" if written.starts_with(['[', '{']) => Some("write one text in quotes, no list or table".into()),
            "a string" => Some(format!("write it in quotes: \"{written}\"")),
            "a boolean" => Some("write true or false, without quotes".into()),
            "i64" | "u64" | "u32" => Some("write a whole number, without quotes".into()),
            "f64" => Some("write a number, without quotes".into()),
            _ => None,
        }
    }

    /// Notes that the text is no TOML.
    fn syntax_fault(&mut self, error: &toml::de::Error) {
        let message = error.message();
        let hint = match message {
            _ if message.contains("duplicate key") => "a name stands once in a table: leave one of the two out",
            _ if message.contains("must be quoted") => "text stands in quotes: fold = \"count\"",
            _ if message.contains("string") => "text ends with the quote that it begins with, on the same line",
            _ if message.contains("array") && !message.contains("table") => "a list is written [\"5m\", \"1h\"]",
            _ => "a line is a name, = and a value: fold = \"count\"; a table begins with [[feature]]",
        };
        self.fault(error.span().unwrap_or(0..0), message, Some(hint.to_owned()));
    }

    /// The file's top-level table; what can't be read is noted.
    pub fn parse(&mut self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.syntax_fault(error);
        }
        table.into_inner()
    }

    /// The table of `[name]`, read as `T`; what can't be read is noted.
    pub fn table<T: serde::de::DeserializeOwned>(&mut self, root: &DeTable<'a>, name: &str) -> Option<T> {
        let item = root.get(name)?;
        if self.bracket(name, item, &[]) {
            return None;
        }
        match T::deserialize(toml::de::ValueDeserializer::from(item.clone())) {
            Ok(value) => Some(value),
            Err(mut error) => {
                error.set_input(None);
                self.toml_fault(&error);
                None
            }
        }
    }

    /// Notes tables with a bracket too few or too many: these are lists, every other one stands once.
    pub fn brackets(&mut self, root: &DeTable<'a>, lists: &[&str]) {
        for (name, value) in root {
            let name = name.get_ref().as_ref();
            self.bracket(name, value, lists);
        }
    }

    /// Whether a table has a bracket too few or too many, which is noted.
    fn bracket(&mut self, name: &str, value: &Spanned<DeValue<'_>>, lists: &[&str]) -> bool {
        let is_list = lists.contains(&name);
        match value.get_ref() {
            DeValue::Array(items) => {
                let Some(table) = items.iter().find(|item| !is_list && item.get_ref().is_table()) else { return false };
                match nearest(name, lists.iter().copied()) {
                    Some(meant) => {
                        let hint = Some(format!("did you mean [[{meant}]]?"));
                        self.fault(table.span(), format!("`{name}` is no list of tables"), hint);
                    }
                    None => {
                        self.fault(table.span(), format!("`{name}` is one table"), Some(format!("write [{name}]")));
                    }
                }
                true
            }
            _ if is_list => {
                self.fault(value.span(), format!("`{name}` is a list of tables"), Some(format!("write [[{name}]]")));
                true
            }
            _ => false,
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
            self.bracket(name, list, &[name]);
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

/// What the tables of `[[table]]` call themselves, also those that can't be read.
pub(crate) fn names_in<'t>(root: &'t DeTable<'_>, table: &str) -> impl Iterator<Item = &'t str> {
    let tables = root.get(table).and_then(|list| list.get_ref().as_array());
    let name = |item: &'t Spanned<DeValue<'_>>| item.get_ref().as_table()?.get("name")?.get_ref().as_str();
    tables.into_iter().flat_map(|tables| tables.iter()).filter_map(name)
}

/// The name most like the wrong one, if any is like it.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = names.into_iter().map(|name| (strsim::normalized_damerau_levenshtein(wrong, name), name));
    scored.filter(|(score, _)| *score >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Where a byte of a string's value stands in it as written, with quotes and escapes.
fn place_with_escapes(raw: &str, offset: usize) -> usize {
    let open = raw.strip_prefix("\"\"\"").map(|rest| rest.trim_start_matches('\r').strip_prefix('\n').unwrap_or(rest));
    let mut rest = open.or(raw.strip_prefix('"')).unwrap_or(raw);
    let mut read = 0;
    while let Some(char) = rest.chars().next() {
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        // How long it is as written, and what it stands for.
        let (written, meant) = match escaped {
            Some(blank) if blank.is_whitespace() => (rest.len() - rest[1..].trim_start().len(), 0),
            Some(code @ ('x' | 'u' | 'U')) => {
                let digits =
                    [('x', 2), ('u', 4)].into_iter().find(|(known, _)| *known == code).map_or(8, |known| known.1);
                let number = rest.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                (2 + digits, number.and_then(char::from_u32).map_or(1, char::len_utf8))
            }
            Some(_) => (2, 1),
            None => (char.len_utf8(), char.len_utf8()),
        };
        if read + meant > offset {
            break;
        }
        read += meant;
        rest = rest.get(written..).unwrap_or_default();
    }
    raw.len() - rest.len()
}

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
