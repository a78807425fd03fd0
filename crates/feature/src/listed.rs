//! Definitions one by one, as a log has them in force: versions side by side, in place of those that stand in files.

use crate::definition::Definition;
use crate::entry::{Entry, LookBack, Source};
use crate::served::Manner;
use crate::{Diagnostic, Document, FeatureSet};
use midsession_event::Str;
use midsession_machine::since_of;

/// One definition in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Str,
    /// It waits beside the live one, and answers to `name@version`.
    pub version: Option<i64>,
    /// The file whose `[served]` it goes by; none where there is no such file.
    pub file: Str,
    /// What messages call the place where it stands.
    pub label: Str,
    /// TOML with a `[[feature]]` of this name.
    pub text: Str,
}

/// What a definition comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it is served as: by whom, and its full name.
    pub served: Vec<(Str, Str)>,
    /// From when on it counts.
    pub looks_back: LookBack,
    /// Under which slots something is written for it, and it is read from.
    pub slots: Vec<u32>,
    /// Those among them that facts are derived under.
    pub derived: Vec<u32>,
    /// Those among them that are added up by a field.
    pub by_field: Vec<u32>,
    /// Its longest window; none where it is over sessions or lifetimes, which have no end to wait for. ms.
    pub longest_ms: Option<i64>,
}

/// Which entries a definition has made.
#[derive(Debug)]
pub(crate) struct Range {
    name: Str,
    entries: std::ops::Range<usize>,
    /// Field and entry.
    fields: Vec<(usize, usize)>,
}

/// The feature definitions of a file, each by itself: its name and what it says, however it is laid out. What can't be
/// read is left out.
pub fn features_in(text: &str) -> Vec<(Str, Str)> {
    tables_in(text, "feature")
}

/// Likewise of the tables of any name.
pub fn tables_in(text: &str, table: &str) -> Vec<(Str, Str)> {
    let Ok(toml::Value::Array(all)) =
        text.parse::<toml::Table>().map(|mut root| root.remove(table).unwrap_or(toml::Value::Array(Vec::new())))
    else {
        return Vec::new();
    };
    let alone = |one: toml::Value| {
        let name = one.get("name")?.as_str()?.into();
        let mut root = toml::Table::new();
        root.insert(table.into(), toml::Value::Array(vec![one]));
        Some((name, toml::to_string(&root).ok()?.into()))
    };
    all.into_iter().filter_map(alone).collect()
}

impl FeatureSet {
    /// Defines what is listed, each by the manner of its file.
    pub(crate) fn define_listed(&mut self, listed: &[Listed], manners: &[(&str, Manner)]) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for one in listed {
            let of_file = manners.iter().find(|(file, _)| *file == one.file);
            let manner = of_file.map(|(_, manner)| *manner).unwrap_or_default();
            let mut document = Document::new(&one.label, &one.text);
            let root = document.parse();
            let definitions = document.tables::<Definition>(&root, "feature");
            if document.faults() > 0 {
                self.faulty.push(one.name.clone());
            }
            for definition in definitions {
                let mut definition = definition.into_inner();
                if *definition.name.get_ref() == one.name.as_str() {
                    definition.version = one.version;
                    self.define_one(&mut document, &definition, manner);
                }
            }
            found.extend(document.into_found());
        }
        found
    }

    /// Defines one, and remembers what it has made.
    pub(crate) fn define_one(&mut self, document: &mut Document<'_>, definition: &Definition, manner: Manner) {
        let (entries, fields, faults) = (self.entries.len(), self.field_sizes(), document.faults());
        self.define(document, definition, manner);
        if document.faults() > faults {
            self.faulty.push(definition.name.get_ref().as_str().into());
        }
        let mut made = Vec::new();
        for (field, key) in self.fields.iter().enumerate() {
            let before = fields.get(field).copied().unwrap_or(0);
            made.extend((before..key.entries.len()).map(|entry| (field, entry)));
        }
        let name = definition.served_name().as_ref().into();
        self.made.push(Range { name, entries: entries..self.entries.len(), fields: made });
    }

    fn field_sizes(&self) -> Vec<usize> {
        self.fields.iter().map(|field| field.entries.len()).collect()
    }

    /// What every definition comes to.
    pub fn all_made(&self) -> impl Iterator<Item = Made> {
        self.made.iter().filter_map(|range| self.made(&range.name))
    }

    /// What a definition comes to, by the name that it answers to.
    pub fn made(&self, name: &str) -> Option<Made> {
        let range = self.made.iter().find(|range| range.name == name)?;
        let mut made = Made {
            served: Vec::new(),
            looks_back: LookBack::Exactly,
            slots: Vec::new(),
            derived: Vec::new(),
            by_field: Vec::new(),
            longest_ms: Some(0),
        };
        for number in range.entries.clone() {
            let Some(entry) = self.entries.get(number).filter(|entry| !matches!(entry.source, Source::Since)) else {
                continue;
            };
            if !entry.is_hidden {
                made.served.push((entry.key.name().into(), entry.name.clone()));
            }
            if made.looks_back == LookBack::Exactly {
                made.looks_back = entry.looks_back;
            }
            made.longest_ms = made.longest_ms.zip(self.window_ms(entry)).map(|(one, other)| one.max(other));
            self.slots_of(entry, &mut made.slots);
        }
        for (field, entry) in &range.fields {
            let Some(field) = self.fields.get(*field) else { continue };
            let Some(entry) = field.entries.get(*entry) else { continue };
            made.served.push((field.name.clone(), entry.name.clone()));
            made.looks_back = LookBack::FromNow;
            if let Some(accumulator) = self.accumulators.get(entry.accumulator as usize) {
                made.slots.push(accumulator.slot);
                made.by_field.push(accumulator.slot);
                let window_ms = accumulator.window_ms(entry.window);
                made.longest_ms = made.longest_ms.zip(window_ms).map(|(one, other)| one.max(other));
            }
        }
        made.slots.sort_unstable();
        made.slots.dedup();
        made.by_field.sort_unstable();
        made.by_field.dedup();
        made.derived = made.slots.clone();
        made.derived.retain(|slot| self.derived_slots().any(|derived| derived == *slot));
        Some(made)
    }

    /// How far back an entry looks; none where that has no end. ms.
    fn window_ms(&self, entry: &Entry) -> Option<i64> {
        match &entry.source {
            Source::Feature { span_ms, .. } => *span_ms,
            Source::BuiltIn(_) | Source::Since | Source::Lifetime(_) => None,
            Source::Worked(program) => {
                let of =
                    program.features().filter_map(|(key, name)| self.entries.get(self.entry(key, name)?.0 as usize));
                of.map(|entry| self.window_ms(entry)).try_fold(0, |longest_ms: i64, one| Some(longest_ms.max(one?)))
            }
        }
    }

    /// Under which slots something is written for this set, ascending.
    pub fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.derived_slots().collect();
        slots.extend(self.accumulators.iter().map(|accumulator| accumulator.slot));
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Under which slots the entry is read.
    fn slots_of(&self, entry: &Entry, slots: &mut Vec<u32>) {
        match &entry.source {
            Source::BuiltIn(_) | Source::Since => {}
            Source::Feature { feature, .. } => {
                let shape = &self.features[*feature as usize];
                slots.extend(shape.derived_slots().into_iter().flatten());
            }
            Source::Lifetime(number) => slots.extend(self.accumulators.get(*number as usize).map(|known| known.slot)),
            Source::Worked(program) => {
                let of = program.features().filter_map(|(key, name)| self.entry(key, name));
                let of = of.filter_map(|(number, _)| self.entries.get(number as usize));
                of.for_each(|entry| self.slots_of(entry, slots));
            }
        }
    }

    /// Since when an entry counts, by what is written for it; none: since ever. Epoch ms.
    pub(crate) fn since_ms(&self, since: &[(u32, i64)], entry: &Entry) -> Option<i64> {
        let mut slots = Vec::new();
        self.slots_of(entry, &mut slots);
        slots.into_iter().filter_map(|slot| since_of(since, slot)).max()
    }
}
