//! The features in force: definitions compiled, named, and placed for reading.

use crate::definition::Definition;
use crate::expr::{Program, Scope, Type};
use crate::filter::{Derive, KINDS, Plan, Take, plan};
use crate::fold::{FOLDS, Needs, Row, fold};
use crate::session::{BUILT_INS, BuiltIn};
use crate::{Diagnostic, Document, duration_text, nearest, parse_duration_ms};
use midsession_event::{Event, Str};
use midsession_machine::{Derived, Map, WINDOW_MAX_MS};
use toml::Spanned;

/// Whose a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A shopper's, over all devices, in a window.
    User,
    /// A session's, over all of it.
    Session,
}

impl Key {
    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::User, Self::Session].into_iter().find(|key| key.name() == name)
    }
}

/// From when on a feature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookBack {
    /// Over stored facts: exact for what happened before it was defined, too.
    Exactly,
    /// From the moment it was defined: it reads more of an event than facts keep.
    FromNow,
}

/// One name that can be read.
#[derive(Debug)]
pub struct Entry {
    /// Its name, the window included.
    pub name: Str,
    /// Whose it is.
    pub key: Key,
    /// What it holds.
    pub ty: Type,
    /// From when on it counts.
    pub looks_back: LookBack,
    /// What it means.
    pub doc: Option<String>,
    pub(crate) source: Source,
}

#[derive(Clone, Copy)]
pub(crate) enum Source {
    BuiltIn(&'static BuiltIn),
    Feature { feature: u32, window_ms: i64 },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(row) => write!(f, "BuiltIn({})", row.name),
            Self::Feature { feature, window_ms } => write!(f, "Feature({feature}, {window_ms} ms)"),
        }
    }
}

/// A feature as it is folded: all its windows together.
#[derive(Debug)]
pub(crate) struct Feature {
    pub row: &'static Row,
    pub result: Type,
    /// By the dense kind.
    pub takes: [Option<Box<Take>>; KINDS],
}

/// The features of one key, laid out for reading all at once.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// By the dense kind: which features take such facts.
    pub by_kind: Vec<Vec<u32>>,
    /// Window by window, the shortest first: which entries end there.
    pub windows: Vec<(i64, Vec<(u32, u32)>)>,
    /// The entries of this key, in order.
    pub entries: Vec<u32>,
}

/// All features in force.
#[derive(Debug)]
pub struct FeatureSet {
    pub(crate) entries: Vec<Entry>,
    pub(crate) features: Vec<Feature>,
    pub(crate) layouts: [Layout; 2],
    by_name: [Map<Str, u32>; 2],
    derives: Vec<Derive>,
}

/// A session's window: all of it.
const WHOLE_SESSION_MS: i64 = i64::MAX;

impl FeatureSet {
    /// The native profile.
    pub fn native() -> Self {
        // Invariant: the native profile is compiled by a test.
        Self::load(&[crate::NATIVE]).expect("invariant: the native profile is valid")
    }

    /// Compiles the definitions of these files (name, text), all faults told at once.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Vec<Diagnostic>> {
        let mut set = Self {
            entries: Vec::new(),
            features: Vec::new(),
            layouts: [Layout::new(), Layout::new()],
            by_name: [Map::default(), Map::default()],
            derives: Vec::new(),
        };
        for row in BUILT_INS {
            set.add_entry(row.name.into(), Key::Session, row.ty, LookBack::Exactly, None, Source::BuiltIn(row));
        }
        let mut found = Vec::new();
        for (file, text) in files {
            let mut document = Document::new(file, text);
            let root = document.parse();
            for definition in document.tables::<Definition>(&root, "feature") {
                set.define(&mut document, definition.get_ref());
            }
            found.extend(document.into_found());
        }
        for layout in &mut set.layouts {
            layout.windows.sort_by_key(|(window_ms, _)| *window_ms);
        }
        if found.is_empty() { Ok(set) } else { Err(found) }
    }

    /// The number and type of a name.
    pub fn entry(&self, key: Key, name: &str) -> Option<(u32, Type)> {
        let entry = *self.by_name[key as usize].get(name)?;
        Some((entry, self.entries.get(entry as usize)?.ty))
    }

    /// Every name of a key, in the order of definition.
    pub fn names(&self, key: Key) -> impl Iterator<Item = &str> {
        self.entries(key).map(|entry| entry.name.as_str())
    }

    /// Every entry of a key, in the order of definition.
    pub fn entries(&self, key: Key) -> impl Iterator<Item = &Entry> {
        self.layouts[key as usize].entries.iter().filter_map(|entry| self.entries.get(*entry as usize))
    }

    /// The facts to write for definitions that read more of an event than a fact's columns.
    pub fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        for derive in &self.derives {
            derive.derive(event, out);
        }
    }

    fn define(&mut self, document: &mut Document<'_>, definition: &Definition) {
        let faults = document.faults();
        let name = definition.name.get_ref();
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            let hint = Some("small letters, digits and _, a letter first".to_owned());
            document.fault(definition.name.span(), format!("`{name}` can't be a feature's name"), hint);
        }
        let when = condition(document, definition.when.as_ref());
        let row = fold(definition.fold.get_ref());
        if row.is_none() {
            let names = FOLDS.iter().map(|row| row.name);
            let hint = nearest(definition.fold.get_ref(), names.clone())
                .map_or_else(|| format!("known: {}", names.collect::<Vec<_>>().join(", ")), did_you_mean);
            document.fault(
                definition.fold.span(),
                format!("there is no fold `{}`", definition.fold.get_ref()),
                Some(hint),
            );
        }
        let of = folded(document, definition, row);
        let keys = keys(document, definition);
        let windows = windows(document, definition, &keys);
        let (Some(row), true) = (row, document.faults() == faults) else { return };
        let result = (row.result)(of.as_ref().map_or(Type::Int, Program::ty));
        let (takes, looks_back) = match plan(when.as_ref(), of.as_ref()) {
            Plan::Columns(takes) => (takes, LookBack::Exactly),
            Plan::Derived(derive, take) => {
                // One definition for users and sessions, or two alike, share their facts.
                if !self.derives.iter().any(|known| known.slot == derive.slot) {
                    self.derives.push(*derive);
                }
                (vec![take], LookBack::FromNow)
            }
        };
        for key in keys {
            let feature = self.add_feature(key, row, result, &takes);
            let whole = [(None, WHOLE_SESSION_MS)];
            for (label, window_ms) in if key == Key::Session { &whole[..] } else { &windows[..] } {
                let full: Str = label.map_or_else(|| name.as_str().into(), |label| format!("{name}_{label}").into());
                if self.entry(key, &full).is_some() {
                    let message = format!("`{}.{full}` is defined twice", key.name());
                    document.fault(definition.name.span(), message, Some("give one of them another name".to_owned()));
                    continue;
                }
                let source = Source::Feature { feature, window_ms: *window_ms };
                self.add_entry(full, key, result, looks_back, definition.doc.clone(), source);
            }
        }
    }

    fn add_feature(&mut self, key: Key, row: &'static Row, result: Type, takes: &[Take]) -> u32 {
        let number = self.features.len() as u32;
        let mut by_kind = [const { None }; KINDS];
        for take in takes {
            by_kind[take.kind] = Some(Box::new(take.clone()));
            self.layouts[key as usize].by_kind[take.kind].push(number);
        }
        self.features.push(Feature { row, result, takes: by_kind });
        number
    }

    fn add_entry(&mut self, name: Str, key: Key, ty: Type, looks_back: LookBack, doc: Option<String>, source: Source) {
        let number = self.entries.len() as u32;
        let layout = &mut self.layouts[key as usize];
        layout.entries.push(number);
        if let Source::Feature { feature, window_ms } = source {
            match layout.windows.iter_mut().find(|(known_ms, _)| *known_ms == window_ms) {
                Some((_, ends)) => ends.push((feature, number)),
                None => layout.windows.push((window_ms, vec![(feature, number)])),
            }
        }
        self.by_name[key as usize].insert(name.clone(), number);
        self.entries.push(Entry { name, key, ty, looks_back, doc, source });
    }
}

impl Layout {
    fn new() -> Self {
        Self { by_kind: vec![Vec::new(); KINDS], ..Self::default() }
    }
}

/// What is wrong with the feature definitions of a file.
pub fn check(text: &str, file: &str) -> Vec<Diagnostic> {
    FeatureSet::load(&[(file, text)]).err().unwrap_or_default()
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn condition(document: &mut Document<'_>, written: Option<&Spanned<String>>) -> Option<Program> {
    let written = written?;
    let compiled = Program::condition(written.get_ref(), Scope::default());
    compiled.map_err(|error| document.expr_fault(written, &error)).ok()
}

fn folded(document: &mut Document<'_>, definition: &Definition, row: Option<&'static Row>) -> Option<Program> {
    let row = row?;
    let Some(written) = &definition.of else {
        if row.needs != Needs::Nothing {
            let hint = Some("add a line like of = \"product.price\"".to_owned());
            document.fault(definition.fold.span(), format!("`{}` wants something to fold", row.name), hint);
        }
        return None;
    };
    if row.needs == Needs::Nothing {
        let hint = Some("leave `of` out, or take another fold".to_owned());
        document.fault(written.span(), format!("`{}` folds events, nothing of them", row.name), hint);
        return None;
    }
    let program = Program::compile(written.get_ref(), Scope { bare: true, ..Scope::default() });
    let program = program.map_err(|error| document.expr_fault(written, &error)).ok()?;
    let wanted = match row.needs {
        Needs::Number if !matches!(program.ty(), Type::Int | Type::Float) => Some("numbers"),
        Needs::Text if program.ty() != Type::Text && program.ty() != Type::Any => Some("texts"),
        _ => None,
    };
    if let Some(wanted) = wanted {
        let message = format!("`{}` folds {wanted}, `{}` is {}", row.name, written.get_ref(), program.ty().name());
        let hint = (program.ty() == Type::Any && wanted == "numbers")
            .then(|| format!("make it a number: {} * 1.0", written.get_ref()));
        document.fault(written.span(), message, hint);
        return None;
    }
    Some(program)
}

fn keys(document: &mut Document<'_>, definition: &Definition) -> Vec<Key> {
    let mut keys = Vec::new();
    for written in definition.key.get_ref().list() {
        match Key::parse(written) {
            Some(key) if !keys.contains(&key) => keys.push(key),
            Some(_) => {}
            None => {
                let hint = Some("write \"user\", \"session\" or both in a list".to_owned());
                document.fault(definition.key.span(), format!("there are no features by `{written}`"), hint);
            }
        }
    }
    keys
}

/// The windows by label, `None` never: a session's window has no label of its own.
fn windows<'d>(document: &mut Document<'_>, definition: &'d Definition, keys: &[Key]) -> Vec<(Option<&'d str>, i64)> {
    if keys.contains(&Key::User) && definition.windows.is_empty() {
        let hint = Some("add a line like windows = [\"5m\", \"1h\", \"24h\"]".to_owned());
        document.fault(definition.name.span(), "a user's feature wants windows", hint);
    }
    let mut windows = Vec::new();
    for written in &definition.windows {
        if keys == [Key::Session] {
            let hint = Some("leave `windows` out, or add key \"user\"".to_owned());
            document.fault(written.span(), "a session's feature is over the whole session", hint);
            break;
        }
        match parse_duration_ms(written.get_ref()) {
            Ok(ms) if ms <= WINDOW_MAX_MS => windows.push((Some(written.get_ref().as_str()), ms)),
            Ok(_) => {
                let message = format!("a window is at most {}", duration_text(WINDOW_MAX_MS));
                document.fault(written.span(), message, Some("facts are kept for that long".to_owned()));
            }
            Err(message) => document.fault(written.span(), message, None),
        }
    }
    windows
}
