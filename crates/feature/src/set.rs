//! The features in force: definitions compiled, named, and placed for reading.

use crate::added::{Accumulator, FieldKey, of_field, of_lifetime};
use crate::define::{By, Parts, Window, keys, name, parts, tells_of_one, windows};
use crate::definition::{Definition, Served};
use crate::diagnostic::names_in;
use crate::entry::{Entry, Feature, Key, Layout, LookBack, Source, Takes};
use crate::expr::{Program, Scope, Type};
use crate::filter::{Asked, Derive, Plan, by_kind, plan};
use crate::fold::Needs;
use crate::listed::{Listed, Range};
use crate::repeated::Repeated;
use crate::served::{self, Manner, Serving, Visit};
use crate::session::BUILT_INS;
use crate::{Diagnostic, Document, parse_duration_ms};
use midsession_event::{Event, Str};
use midsession_machine::{Derived, Map};
use toml::Spanned;

/// All features in force.
#[derive(Debug)]
pub struct FeatureSet {
    pub(crate) profile: Option<Str>,
    pub(crate) serving: Serving,
    pub(crate) entries: Vec<Entry>,
    pub(crate) features: Vec<Feature>,
    pub(crate) layouts: [Layout; 2],
    pub(crate) visits: Vec<Visit>,
    pub(crate) accumulators: Vec<Accumulator>,
    pub(crate) fields: Vec<FieldKey>,
    pub(crate) made: Vec<Range>,
    /// Names of definitions that have mistakes, and are not there for that reason.
    pub(crate) faulty: Vec<Str>,
    by_name: [Map<Str, u32>; 2],
    derives: Vec<Derive>,
}

/// A session's window: all of it.
const WHOLE_SESSION_MS: i64 = i64::MAX;
/// Folds that a value worked out from others may take: it is read between two events of the partition.
const READINGS_MAX: u32 = 256;
/// The name of what says since when lifetimes count.
const SINCE: &str = "lifetime_since_ms";

impl FeatureSet {
    /// The native profile.
    pub fn native() -> Self {
        // Invariant: the native profile is compiled by a test.
        Self::load(&[crate::NATIVE]).expect("invariant: the native profile is valid")
    }

    /// Compiles the definitions of these files (name, text), the profile first, all faults told at once.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, Vec<Diagnostic>> {
        let (set, found) = Self::load_some(files, None);
        if found.is_empty() { Ok(set) } else { Err(found) }
    }

    /// Likewise, without what has faults; `listed`: these definitions in place of those that stand in the files.
    pub fn load_some(files: &[(&str, &str)], listed: Option<&[Listed]>) -> (Self, Vec<Diagnostic>) {
        let mut set = Self {
            profile: None,
            serving: Serving::default(),
            entries: Vec::new(),
            features: Vec::new(),
            layouts: [Layout::new(), Layout::new()],
            visits: Vec::new(),
            accumulators: Vec::new(),
            fields: Vec::new(),
            made: Vec::new(),
            faulty: Vec::new(),
            by_name: [Map::default(), Map::default()],
            derives: Vec::new(),
        };
        for row in BUILT_INS {
            let source = Source::BuiltIn(row);
            set.add_entry(row.name.into(), Key::Session, row.ty, LookBack::Exactly, None, false, source);
        }
        let mut found = Vec::new();
        let mut manners = Vec::new();
        let mut repeated = Repeated::default();
        for (number, (file, text)) in files.iter().enumerate() {
            let mut document = Document::new(file, text);
            let root = document.parse();
            let mut manner = Manner::default();
            if let Some(served) = document.table::<Served>(&root, "served") {
                let (serving, said) = served::read(&mut document, &served, &mut set.visits);
                manner = said;
                if number == 0 {
                    set.serving = serving;
                }
            }
            if number == 0 {
                set.profile = root.get("profile").and_then(|name| name.get_ref().as_str()).map(Into::into);
            }
            if listed.is_none() {
                repeated.next_file();
                let definitions = document.tables::<Definition>(&root, "feature");
                let is_read = |name: &&str| definitions.iter().any(|read| read.get_ref().name.get_ref() == name);
                set.faulty.extend(names_in(&root, "feature").filter(|name| !is_read(name)).map(Str::from));
                for definition in definitions.iter().filter(|definition| !repeated.is_said(definition.get_ref())) {
                    set.define_one(&mut document, definition.get_ref(), manner);
                }
            }
            manners.push((*file, manner));
            found.extend(document.into_found());
        }
        found.extend(set.define_listed(listed.unwrap_or_default(), &manners));
        for layout in &mut set.layouts {
            layout.windows.sort_by_key(|(window_ms, _)| *window_ms);
        }
        for entry in &mut set.entries {
            if let (Source::BuiltIn(row), Some(served)) = (&entry.source, &set.serving.built_ins) {
                entry.is_hidden = !served.iter().any(|name| name == row.name);
            }
        }
        (set, found)
    }

    /// The slots of the facts that it writes.
    pub(crate) fn derived_slots(&self) -> impl Iterator<Item = u32> {
        self.derives.iter().map(|derive| derive.slot)
    }

    /// The name that the profile gives itself.
    pub fn profile(&self) -> Option<&Str> {
        self.profile.as_ref()
    }

    /// How it is read.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// The number and type of a name.
    pub fn entry(&self, key: Key, name: &str) -> Option<(u32, Type)> {
        let entry = *self.by_name[key as usize].get(name)?;
        Some((entry, self.entries.get(entry as usize)?.ty))
    }

    /// Likewise; where there is none, with a window as its suffix.
    pub(crate) fn entry_in(&self, key: Key, name: &str, window: Option<&str>) -> Option<(u32, Type)> {
        self.entry(key, name).or_else(|| self.entry(key, &format!("{name}_{}", window?)))
    }

    /// The windows that a name is read over, which may end with another one; with what stands before that.
    pub(crate) fn windows_of<'n>(&self, key: Key, name: &'n str) -> (&'n str, Vec<&str>) {
        let is_window = |label: &str| label == "lifetime" || parse_duration_ms(label).is_ok();
        let of = |stem: &str| -> Vec<&str> {
            let window = |known| str::strip_prefix(known, stem)?.strip_prefix('_').filter(|label| is_window(label));
            self.names(key).filter_map(window).collect()
        };
        match name.rsplit_once('_').filter(|(_, label)| is_window(label)) {
            Some((stem, _)) => (stem, of(stem)),
            None => (name, of(name)),
        }
    }

    /// The definition with mistakes that a name is of, which may end with a window.
    pub(crate) fn faulty(&self, name: &str) -> Option<&Str> {
        let is_window = |label: &str| label == "lifetime" || parse_duration_ms(label).is_ok();
        let is_of = |faulty: &&Str| match name.strip_prefix(faulty.as_str()) {
            Some(rest) => rest.is_empty() || rest.strip_prefix('_').is_some_and(is_window),
            None => false,
        };
        self.faulty.iter().find(is_of)
    }

    /// How an expression names an entry.
    pub(crate) fn path(&self, entry: u32) -> String {
        self.entries
            .get(entry as usize)
            .map_or_else(String::new, |entry| format!("{}.{}", entry.key.name(), entry.name))
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

    /// What another set in force writes already is left to it: two profiles may define the same.
    pub fn leave_to(&mut self, other: &Self) {
        self.derives.retain(|derive| other.derives.iter().all(|known| known.slot != derive.slot));
        for accumulator in &mut self.accumulators {
            accumulator.is_others |= other.accumulators.iter().any(|known| known.slot == accumulator.slot);
        }
    }

    pub(crate) fn define(&mut self, document: &mut Document<'_>, definition: &Definition, manner: Manner) {
        if let Some(written) = &definition.value {
            return self.define_worked(document, definition, written);
        }
        let Some(parts) = parts(document, definition) else { return };
        let name = definition.served_name();
        let whole = [Window { label: "", length_ms: None }];
        let mut over_facts: Option<(Takes, Option<Box<Takes>>, LookBack)> = None;
        for key in &parts.keys {
            let key = match key {
                By::Entity(key) => *key,
                By::Field { name: key, program } => {
                    self.add_field(document, definition, &parts, manner, key, program);
                    continue;
                }
            };
            let mut feature = None;
            for window in if key == Key::Session { &whole[..] } else { &parts.windows[..] } {
                let full: Str =
                    if key == Key::Session { name.as_ref().into() } else { format!("{name}_{}", window.label).into() };
                if self.is_taken(document, definition, key, &full) {
                    continue;
                }
                let (source, looks_back) = match (key, window.length_ms) {
                    (Key::User, None) => {
                        let number = self.add_accumulator(of_lifetime(&parts, manner));
                        (Source::Lifetime(number), LookBack::FirstSeen)
                    }
                    (_, length_ms) => {
                        let (takes, seconds, looks_back) = over_facts.get_or_insert_with(|| self.takes(&parts, manner));
                        let (takes, seconds, looks_back) = (takes.clone(), seconds.clone(), *looks_back);
                        let feature =
                            *feature.get_or_insert_with(|| self.add_feature(key, &parts, takes, seconds, manner));
                        let edge_ms = i64::from(manner.is_closed);
                        let window_ms = length_ms.map_or(WHOLE_SESSION_MS, |length_ms| length_ms + edge_ms);
                        (Source::Feature { feature, window_ms, span_ms: length_ms }, looks_back)
                    }
                };
                let doc = definition.doc.clone();
                self.add_entry(full, key, parts.result, looks_back, doc, definition.hidden, source);
            }
        }
    }

    /// A feature that is worked out from others.
    fn define_worked(&mut self, document: &mut Document<'_>, definition: &Definition, written: &Spanned<String>) {
        let faults = document.faults();
        name(document, definition);
        let texts = [
            ("fold", &definition.fold),
            ("of", &definition.of),
            ("when", &definition.when),
            ("over", &definition.over),
            ("then", &definition.then),
            ("within", &definition.within),
            ("by", &definition.by),
            ("per", &definition.per),
            ("idle", &definition.idle),
            ("alive", &definition.alive),
        ];
        let others = [
            ("limit", definition.limit.as_ref().map(Spanned::span)),
            ("quantile", definition.quantile.as_ref().map(Spanned::span)),
            ("empty", definition.empty.as_ref().map(Spanned::span)),
        ];
        for (name, span) in texts.map(|(name, text)| (name, text.as_ref().map(Spanned::span))).into_iter().chain(others)
        {
            if let Some(span) = span {
                let hint = Some("give it `value` alone, or leave `value` out".to_owned());
                document.fault(span, format!("`{name}` does not go with `value`, which folds nothing itself"), hint);
            }
        }
        let keys = keys(document, definition);
        let windows = windows(document, definition, &keys);
        if document.faults() != faults {
            return;
        }
        let whole = [Window { label: "", length_ms: None }];
        for key in keys {
            let By::Entity(key) = key else {
                let hint = Some("read the two features, and divide where you read them".to_owned());
                document.fault(definition.key.span(), "a value is worked out for users and sessions", hint);
                continue;
            };
            for window in if key == Key::Session { &whole[..] } else { &windows[..] } {
                let label = (key == Key::User).then_some(window.label);
                let scope = Scope { features: Some(self), bare: false, window: label };
                let program = match Program::compile(written.get_ref(), scope) {
                    Ok(program) => program,
                    Err(error) => return document.expr_fault(written, &error),
                };
                if program.reads_event() {
                    let hint = Some("a fold makes something of events; `value` of features".to_owned());
                    return document.fault(
                        written.span(),
                        "a value is worked out when it is read: there is no event",
                        hint,
                    );
                }
                if !matches!(program.ty(), Type::Int | Type::Float | Type::Bool) {
                    let message = format!("a value is a number, or true or false; this is {}", program.ty().name());
                    return document.fault(written.span(), message, None);
                }
                let readings = self.readings_of(&program);
                if readings > READINGS_MAX {
                    let message =
                        format!("its value takes {readings} readings of features, at most {READINGS_MAX} may be");
                    let hint = "name fewer features, each of them once: one that is worked out from others takes all of theirs";
                    return document.fault(written.span(), message, Some(hint.into()));
                }
                let own = definition.served_name();
                let full: Str = label.map_or_else(|| own.as_ref().into(), |label| format!("{own}_{label}").into());
                if self.is_taken(document, definition, key, &full) {
                    continue;
                }
                let looks_back = self.looks_back_of(&program);
                let (ty, doc) = (program.ty(), definition.doc.clone());
                self.add_entry(full, key, ty, looks_back, doc, definition.hidden, Source::Worked(Box::new(program)));
            }
        }
    }

    /// How many folds an expression takes, each time that a feature is named in it.
    fn readings_of(&self, program: &Program) -> u32 {
        let mut readings = 0_u32;
        program.each_feature(&mut |entry| {
            readings = readings.saturating_add(self.entries.get(entry as usize).map_or(1, |entry| entry.readings));
        });
        readings
    }

    /// The least of what it is worked out from.
    fn looks_back_of(&self, program: &Program) -> LookBack {
        let of = program.features().filter_map(|(key, name)| self.entries.get(self.entry(key, name)?.0 as usize));
        let mut least = LookBack::Exactly;
        for looks_back in of.map(|entry| entry.looks_back) {
            if least == LookBack::Exactly {
                least = looks_back;
            }
        }
        least
    }

    fn is_taken(&self, document: &mut Document<'_>, definition: &Definition, key: Key, full: &str) -> bool {
        let is_taken = self.entry(key, full).is_some();
        if is_taken {
            let message = format!("`{}.{full}` is defined twice", key.name());
            let hint = "give one of them another name; two files may say the same, none more than the first";
            document.fault(definition.name.span(), message, Some(hint.to_owned()));
        }
        is_taken
    }

    /// What of facts meets the conditions; what is not in their columns is derived from now on.
    fn takes(&mut self, parts: &Parts<'_>, manner: Manner) -> (Takes, Option<Box<Takes>>, LookBack) {
        let (arrival, decimals) = (parts.row.needs == Needs::Arrival, parts.row.needs == Needs::Decimal);
        let (when, of, by) = (parts.when.as_ref(), parts.of.as_ref(), parts.by.as_ref());
        let first = Asked { when, of, by, arrival, decimals };
        let second = parts.second.as_ref().map(|second| Asked { when: Some(second), ..Asked::default() });
        let mut looks_back = LookBack::Exactly;
        let mut dealt = |asked: Asked<'_>| {
            let mut takes = match plan(asked) {
                Plan::Columns(takes) => takes,
                Plan::Derived(derive, take) => {
                    looks_back = LookBack::FromNow;
                    // One definition for users and sessions, or two alike, share their facts.
                    if !self.derives.iter().any(|known| known.slot == derive.slot) {
                        self.derives.push(*derive);
                    }
                    vec![take]
                }
            };
            takes.iter_mut().for_each(|take| take.money &= !manner.ignores_currency);
            by_kind(takes)
        };
        let (takes, seconds) = (dealt(first), second.map(|second| Box::new(dealt(second))));
        (takes, seconds, looks_back)
    }

    fn add_feature(
        &mut self,
        key: Key,
        parts: &Parts<'_>,
        takes: Takes,
        seconds: Option<Box<Takes>>,
        manner: Manner,
    ) -> u32 {
        let number = self.features.len() as u32;
        let visit = manner.visit.filter(|_| key == Key::Session);
        let mut kinds = 0;
        for (kind, features) in self.layouts[key as usize].by_kind.iter_mut().enumerate() {
            if takes[kind].is_some() || seconds.as_ref().is_some_and(|seconds| seconds[kind].is_some()) {
                features.push(number);
                kinds |= 1 << kind;
            }
        }
        self.features.push(Feature {
            row: parts.row,
            options: parts.options,
            result: parts.result,
            kinds,
            takes,
            seconds,
            empty: parts.empty.clone(),
            // The events of a visit keep its features alive, unless a definition says otherwise.
            alive: parts.alive.clone().filter(|_| parts.is_alive_said || visit.is_none()),
            visit,
        });
        number
    }

    fn add_accumulator(&mut self, mut accumulator: Accumulator) -> u32 {
        if accumulator.is_lifetime() && self.entry(Key::User, SINCE).is_none() {
            let doc = Some("Since when this shopper's lifetime features count. Epoch ms.".to_owned());
            self.add_entry(SINCE.into(), Key::User, Type::Int, LookBack::FirstSeen, doc, false, Source::Since);
        }
        let known = self.accumulators.iter().position(|known| known.is_read_as(&accumulator));
        // What is read of it otherwise (another quantile, more values) is added up once all the same.
        accumulator.is_others = self.accumulators.iter().any(|known| known.slot == accumulator.slot);
        known.unwrap_or_else(|| {
            self.accumulators.push(accumulator);
            self.accumulators.len() - 1
        }) as u32
    }

    fn add_field(
        &mut self,
        document: &mut Document<'_>,
        definition: &Definition,
        parts: &Parts<'_>,
        manner: Manner,
        key: &str,
        program: &Program,
    ) {
        if let Some(field) = tells_of_one(parts) {
            let span = definition.of.as_ref().map_or(definition.name.span(), Spanned::span);
            let hint = Some("count them: fold = \"distinct\"".to_owned());
            document.fault(span, format!("`{field}` is one shopper's, and `{key}` would tell it"), hint);
            return;
        }
        if definition.hidden {
            // Nothing is worked out from it, and nobody can read it.
            return;
        }
        let (accumulator, entries) = of_field(definition, parts, manner, key, program);
        let number = self.add_accumulator(accumulator);
        let at = self.fields.iter().position(|known| known.name == key).unwrap_or_else(|| {
            self.fields.push(FieldKey { name: key.into(), entries: Vec::new() });
            self.fields.len() - 1
        });
        for mut entry in entries {
            if self.fields[at].entries.iter().any(|known| known.name == entry.name) {
                let message = format!("`{key}.{}` is defined twice", entry.name);
                document.fault(definition.name.span(), message, Some("give one of them another name".to_owned()));
                continue;
            }
            entry.accumulator = number;
            self.fields[at].entries.push(entry);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of an entry")]
    fn add_entry(
        &mut self,
        name: Str,
        key: Key,
        ty: Type,
        looks_back: LookBack,
        doc: Option<String>,
        is_hidden: bool,
        source: Source,
    ) {
        let number = self.entries.len() as u32;
        let layout = &mut self.layouts[key as usize];
        layout.entries.push(number);
        if let Source::Feature { feature, window_ms, .. } = source {
            match layout.windows.iter_mut().find(|(known_ms, _)| *known_ms == window_ms) {
                Some((_, ends)) => ends.push((feature, number)),
                None => layout.windows.push((window_ms, vec![(feature, number)])),
            }
        }
        self.by_name[key as usize].insert(name.clone(), number);
        let readings = match &source {
            Source::Worked(program) => self.readings_of(program),
            _ => 1,
        };
        self.entries.push(Entry { readings, name, key, ty, looks_back, doc, is_hidden, source });
    }
}

/// What is wrong with the feature definitions of a file.
pub fn check(text: &str, file: &str) -> Vec<Diagnostic> {
    FeatureSet::load(&[(file, text)]).err().unwrap_or_default()
}
