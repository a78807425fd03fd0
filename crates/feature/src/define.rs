//! A definition checked: everything that is wrong with it pointed at, or its parts.

use crate::definition::{Definition, Scalar};
use crate::entry::Takes;
use crate::expr::{Field, Node, Program, Scope, Type, Which};
use crate::filter::{Asked, Plan, by_kind, plan};
use crate::fold::{FOLDS, Needs, Options, Row, Setting, fold};
use crate::{DURATION_HINT, Document, Key, Value, duration_text, nearest, parse_duration_ms};
use midsession_machine::WINDOW_MAX_MS;
use toml::Spanned;

/// What a definition consists of.
pub(crate) struct Parts<'d> {
    pub row: &'static Row,
    pub when: Option<Program>,
    pub of: Option<Program>,
    pub by: Option<Program>,
    /// `over` or `then`.
    pub second: Option<Program>,
    /// What keeps it alive.
    pub alive: Option<Box<Takes>>,
    pub is_alive_said: bool,
    pub options: Options,
    pub result: Type,
    pub empty: Option<Value>,
    pub keys: Vec<By>,
    pub windows: Vec<Window<'d>>,
}

/// Whose a feature is, as written.
pub(crate) enum By {
    Entity(Key),
    /// By a field of the event.
    Field {
        name: String,
        program: Program,
    },
}

/// A window as written.
#[derive(Clone, Copy)]
pub(crate) struct Window<'d> {
    pub label: &'d str,
    /// None is the lifetime.
    pub length_ms: Option<i64>,
}

/// Fields that are one shopper's, and what to write for them.
const OF_ONE_SHOPPER: [(&str, &str); 7] = [
    ("user_id", "user"),
    ("visitor_id", "user"),
    ("session_id", "session"),
    ("event_id", "user"),
    ("cart.id", "session"),
    ("order.id", "user"),
    ("decision_id", "user"),
];

/// The field among these that an expression looks at, however it is written.
fn of_one_shopper(program: &Program) -> Option<(&'static str, &'static str)> {
    let is_read = |field: &str| program.paths().any(|path| path.strip_prefix("event.") == Some(field));
    OF_ONE_SHOPPER.into_iter().find(|(field, _)| is_read(field))
}

/// Which of these a fold by a field would serve as a value: who is among those that it is of could be read there, whatever
/// they say on consent. To be counted is nobody's name.
pub(crate) fn tells_of_one(parts: &Parts<'_>) -> Option<&'static str> {
    let is_told = matches!(parts.result, Type::Text | Type::Any | Type::Many);
    parts.of.as_ref().filter(|_| is_told).and_then(of_one_shopper).map(|(field, _)| field)
}

/// The parts of a definition that folds; none if something is wrong with it.
pub(crate) fn parts<'d>(document: &mut Document<'_>, definition: &'d Definition) -> Option<Parts<'d>> {
    let faults = document.faults();
    name(document, definition);
    let when = condition(document, definition.when.as_ref());
    let row = row(document, definition);
    let of = row.and_then(|row| folded(document, definition, row));
    let by = by(document, definition);
    let second = condition(document, definition.over.as_ref().or(definition.then.as_ref()));
    let alive = match &definition.alive {
        Some(written) => of_columns(document, written),
        // An event that meets the condition keeps it alive though there may be nothing to fold of it.
        None => when.as_ref().filter(|_| second.is_none()).and_then(kept_of),
    };
    let options = row.map(|row| options(document, definition, row)).unwrap_or_default();
    let keys = keys(document, definition);
    let windows = windows(document, definition, &keys);
    let row = row?;
    let result = (row.result)(of.as_ref().map_or(Type::Int, Program::ty));
    let empty = empty(document, definition, row, result);
    let is_merged =
        keys.iter().any(|key| matches!(key, By::Field { .. })) || windows.iter().any(|w| w.length_ms.is_none());
    if is_merged && (row.mergeable.is_none() || options.by) {
        let what = if options.by { "average by" } else { row.name };
        let message = format!("`{what}` is about the order of one shopper's events: it can't be kept as a sum");
        let hint = Some("give it key \"user\" or \"session\", and windows up to 24h".to_owned());
        document.fault(definition.fold.as_ref().map_or(definition.name.span(), Spanned::span), message, hint);
    }
    let is_alive_said = definition.alive.is_some();
    (document.faults() == faults).then_some(Parts {
        row,
        when,
        of,
        by,
        second,
        alive,
        is_alive_said,
        options,
        result,
        empty,
        keys,
        windows,
    })
}

/// A name is plain.
pub(crate) fn name(document: &mut Document<'_>, definition: &Definition) {
    let name = definition.name.get_ref();
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        let hint = Some("small letters, digits and _, a letter first".to_owned());
        document.fault(definition.name.span(), format!("`{name}` can't be a feature's name"), hint);
    }
}

fn row(document: &mut Document<'_>, definition: &Definition) -> Option<&'static Row> {
    let Some(written) = &definition.fold else {
        let hint = Some("add a line like fold = \"count\"".to_owned());
        document.fault(definition.name.span(), "nothing says what is made of the events", hint);
        return None;
    };
    let row = fold(written.get_ref());
    if row.is_none() {
        let names = FOLDS.iter().map(|row| row.name);
        let hint = nearest(written.get_ref(), names.clone())
            .map_or_else(|| format!("known: {}", names.collect::<Vec<_>>().join(", ")), did_you_mean);
        document.fault(written.span(), format!("there is no fold `{}`", written.get_ref()), Some(hint));
    }
    row
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn condition(document: &mut Document<'_>, written: Option<&Spanned<String>>) -> Option<Program> {
    let written = written?;
    let compiled = Program::condition(written.get_ref(), Scope::default());
    compiled.map_err(|error| document.expr_fault(written, &error)).ok()
}

/// A condition that must be in what is kept of every event.
pub(crate) fn of_columns(document: &mut Document<'_>, written: &Spanned<String>) -> Option<Box<Takes>> {
    let when = condition(document, Some(written))?;
    let takes = kept_of(&when);
    if takes.is_none() {
        let hint = Some("ask for the name of the event: event.name in [\"page_view\", …]".to_owned());
        document.fault(written.span(), "this is not kept of every event", hint);
    }
    takes
}

/// What facts keep of the events that meet a condition, if they do.
fn kept_of(when: &Program) -> Option<Box<Takes>> {
    match plan(Asked { when: Some(when), ..Asked::default() }) {
        Plan::Columns(takes) => Some(Box::new(by_kind(takes))),
        Plan::Derived(..) => None,
    }
}

fn bare(document: &mut Document<'_>, written: &Spanned<String>) -> Option<Program> {
    let program = Program::compile(written.get_ref(), Scope { bare: true, ..Scope::default() });
    program.map_err(|error| document.expr_fault(written, &error)).ok()
}

fn folded(document: &mut Document<'_>, definition: &Definition, row: &'static Row) -> Option<Program> {
    let Some(written) = &definition.of else {
        if !matches!(row.needs, Needs::Nothing | Needs::NumberOrNothing) {
            let hint = Some("add a line like of = \"product.price\"".to_owned());
            let span = definition.fold.as_ref().map_or(definition.name.span(), Spanned::span);
            document.fault(span, format!("`{}` wants something to fold", row.name), hint);
        }
        return None;
    };
    if row.needs == Needs::Nothing {
        let hint = Some("leave `of` out, or take another fold".to_owned());
        document.fault(written.span(), format!("`{}` folds events, nothing of them", row.name), hint);
        return None;
    }
    let program = bare(document, written)?;
    let wanted = match row.needs {
        needs if needs.is_number() && !matches!(program.ty(), Type::Int | Type::Float) => Some("numbers"),
        Needs::Text | Needs::Arrival if program.ty() != Type::Text && program.ty() != Type::Any => Some("texts"),
        _ => None,
    };
    if let Some(wanted) = wanted {
        let message = format!("`{}` folds {wanted}, `{}` is {}", row.name, written.get_ref(), program.ty().name());
        let hint = match (program.ty(), wanted) {
            (Type::Any, "numbers") => format!("make it a number: {} * 1.0", written.get_ref()),
            (_, "numbers") => "name a number, like product.price; distinct, top and last fold texts".to_owned(),
            _ => "name a text, like product.id; sum, average and max fold numbers".to_owned(),
        };
        document.fault(written.span(), message, Some(hint));
        return None;
    }
    Some(program)
}

fn by(document: &mut Document<'_>, definition: &Definition) -> Option<Program> {
    let written = definition.by.as_ref()?;
    let program = bare(document, written)?;
    if !matches!(program.ty(), Type::Text | Type::Any) {
        let message = format!("`by` names a text, `{}` is {}", written.get_ref(), program.ty().name());
        document.fault(written.span(), message, Some("like by = \"product.id\"".to_owned()));
    }
    Some(program)
}

/// The settings of a fold: those it wants are there, those that are there it takes.
fn options(document: &mut Document<'_>, definition: &Definition, row: &'static Row) -> Options {
    let mut options = Options { by: definition.by.is_some(), ..Options::default() };
    let written = |setting: Setting| match setting {
        Setting::Limit => definition.limit.as_ref().map(Spanned::span),
        Setting::Quantile => definition.quantile.as_ref().map(Spanned::span),
        Setting::Per => definition.per.as_ref().map(Spanned::span),
        Setting::Over => definition.over.as_ref().map(Spanned::span),
        Setting::Then => definition.then.as_ref().map(Spanned::span),
        Setting::Within => definition.within.as_ref().map(Spanned::span),
        Setting::Idle => definition.idle.as_ref().map(Spanned::span),
        Setting::By => definition.by.as_ref().map(Spanned::span),
    };
    for (setting, name, example) in Setting::ALL {
        match written(setting) {
            Some(span) if !row.takes.contains(&setting) => {
                let takers: Vec<&str> =
                    FOLDS.iter().filter(|row| row.takes.contains(&setting)).map(|row| row.name).collect();
                let hint = format!("leave it out; it belongs to {}", takers.join(", "));
                document.fault(span, format!("`{}` takes no `{name}`", row.name), Some(hint));
            }
            None if row.wants.contains(&setting) => {
                let hint = Some(format!("add a line like {example}"));
                let span = definition.fold.as_ref().map_or(definition.name.span(), Spanned::span);
                document.fault(span, format!("`{}` wants `{name}`", row.name), hint);
            }
            _ => {}
        }
    }
    if let Some(limit) = &definition.limit {
        match usize::try_from(*limit.get_ref()) {
            Ok(number @ 1..=1_000) => options.limit = number,
            _ => document.fault(limit.span(), "a limit is a number from 1 to 1000", Some("like limit = 10".to_owned())),
        }
    }
    if let Some(quantile) = &definition.quantile {
        options.quantile = *quantile.get_ref();
        if !(0.0..=1.0).contains(&options.quantile) {
            let hint = Some("the median is 0.5, the 95th percentile is 0.95".to_owned());
            document.fault(quantile.span(), "a quantile is a share from 0 to 1", hint);
        }
    }
    for (written, into) in [
        (&definition.per, &mut options.per_ms),
        (&definition.within, &mut options.within_ms),
        (&definition.idle, &mut options.idle_ms),
    ] {
        if let Some(written) = written {
            match parse_duration_ms(written.get_ref()) {
                Ok(ms) => *into = ms,
                Err(message) => document.fault(written.span(), message, Some(DURATION_HINT.to_owned())),
            }
        }
    }
    if let Some(within) = definition.within.as_ref().filter(|_| options.within_ms > WINDOW_MAX_MS) {
        let hint = Some("facts are kept for that long".to_owned());
        document.fault(within.span(), format!("`within` is at most {}", duration_text(WINDOW_MAX_MS)), hint);
    }
    options
}

fn empty(document: &mut Document<'_>, definition: &Definition, row: &Row, result: Type) -> Option<Value> {
    let written = definition.empty.as_ref()?;
    let value = match (written.get_ref(), result) {
        (Scalar::Int(int), Type::Int) => Value::Int(*int),
        (Scalar::Int(int), Type::Float) => Value::Float(*int as f64),
        (Scalar::Float(float), Type::Float) if float.is_finite() => Value::Float(*float),
        (Scalar::Int(int), Type::Many) if row.name == "min_max" => Value::Range(*int as f64, *int as f64),
        (Scalar::Float(float), Type::Many) if row.name == "min_max" && float.is_finite() => {
            Value::Range(*float, *float)
        }
        (Scalar::Bool(bool), Type::Bool) => Value::Bool(*bool),
        // What is known to be nothing: null where there are types, its name where there is only text.
        (Scalar::Text(text), Type::Text | Type::Any) if text == "null" => Value::Null,
        (Scalar::Text(text), Type::Text | Type::Any) => Value::Text(text.as_str().into()),
        _ => {
            let message = format!("`empty` is not what `{}` gives: {}", row.name, result.name());
            document.fault(written.span(), message, Some("leave it out for no value at all".to_owned()));
            return None;
        }
    };
    Some(value)
}

/// Whose a definition's feature is.
pub(crate) fn keys(document: &mut Document<'_>, definition: &Definition) -> Vec<By> {
    let mut keys: Vec<By> = Vec::new();
    if definition.key.get_ref().list().is_empty() {
        let hint = "write key = \"user\", \"session\", or a field of the event like \"product\"";
        document.fault(definition.key.span(), "the feature is nobody's: its `key` is empty", Some(hint.to_owned()));
    }
    for written in definition.key.get_ref().list() {
        let span = definition.key.span();
        if let Some(key) = Key::parse(written) {
            if !keys.iter().any(|known| matches!(known, By::Entity(known) if *known == key)) {
                keys.push(By::Entity(key));
            }
            continue;
        }
        let path = match written.as_str() {
            "product" => "product.id",
            "category" => "product.category",
            "campaign" => "campaign.name",
            path => path,
        };
        let program = Program::compile(path, Scope { bare: true, ..Scope::default() });
        if let Some((_, instead)) = program.as_ref().ok().and_then(of_one_shopper) {
            let hint = Some(format!("write \"{instead}\""));
            document.fault(span, format!("`{written}` is one shopper's"), hint);
            continue;
        }
        let address = program.as_ref().ok().and_then(|program| address(written, program));
        // The short ones are asked for as they are.
        let address = address.map(|address| if path == written { address } else { written.clone() });
        match (program, address) {
            (Ok(program), Some(address)) => {
                if !keys.iter().any(|known| matches!(known, By::Field { name, .. } if *name == address)) {
                    keys.push(By::Field { name: address, program });
                }
            }
            (program, _) => {
                let known = ["user", "session", "product", "category", "campaign"];
                // What is written of a property is nothing like these.
                let of_path = program.err().and_then(|error| error.hint).filter(|_| written.contains('.'));
                let hint = nearest(written, known).map(did_you_mean).or(of_path).unwrap_or_else(|| {
                    format!("write {}, or a field of the event that holds text, like geo.country", known.join(", "))
                });
                document.fault(span, format!("there are no features by `{written}`"), Some(hint));
            }
        }
    }
    keys
}

/// What features by a field are asked for by, if it is a field that holds text: its path, with `event.` where that is written.
fn address(written: &str, program: &Program) -> Option<String> {
    let Node::Field(field) = &program.node else { return None };
    if !matches!(program.ty(), Type::Text | Type::Any) || matches!(field, Field::Product(Which::At(_), _)) {
        return None;
    }
    let path = field.path();
    let bare = path.strip_prefix("event.").filter(|_| !written.starts_with("event"));
    Some(bare.map_or_else(|| path.clone(), str::to_owned))
}

/// The windows of a definition.
pub(crate) fn windows<'d>(document: &mut Document<'_>, definition: &'d Definition, keys: &[By]) -> Vec<Window<'d>> {
    let is_field = |key: &By| matches!(key, By::Field { .. });
    let is_user = |key: &By| matches!(key, By::Entity(Key::User));
    let whose = if keys.iter().any(is_user) { "user" } else { "field" };
    if keys.iter().any(|key| is_field(key) || is_user(key)) && definition.windows.is_empty() {
        let hint = Some("add a line like windows = [\"5m\", \"1h\", \"24h\"]".to_owned());
        document.fault(definition.name.span(), format!("a {whose}'s feature wants windows"), hint);
    }
    let mut windows = Vec::new();
    for written in &definition.windows {
        let label = written.get_ref().as_str();
        if !keys.is_empty() && keys.iter().all(|key| matches!(key, By::Entity(Key::Session))) {
            let hint = Some("leave `windows` out, or add key \"user\"".to_owned());
            document.fault(written.span(), "a session's feature is over the whole session", hint);
            break;
        }
        if label == "session" {
            let hint = Some("add key \"session\": it has one over the session, too".to_owned());
            document.fault(written.span(), format!("a session is no window of a {whose}"), hint);
            continue;
        }
        if label == "lifetime" {
            windows.push(Window { label, length_ms: None });
            continue;
        }
        match parse_duration_ms(label) {
            Ok(ms) if ms <= WINDOW_MAX_MS => windows.push(Window { label, length_ms: Some(ms) }),
            Ok(_) => {
                let message = format!("a window is at most {}", duration_text(WINDOW_MAX_MS));
                let hint = Some("facts are kept for that long; \"lifetime\" counts from the first event on".to_owned());
                document.fault(written.span(), message, hint);
            }
            Err(message) => document.fault(written.span(), message, Some(DURATION_HINT.to_owned())),
        }
    }
    windows
}
