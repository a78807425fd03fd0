//! Definitions that stand in two files alike: a shop that writes down what the profile has says nothing new.

use crate::definition::Definition;
use crate::{Diagnostic, Document};
use midsession_event::Str;
use serde::Deserialize;

/// What the files so far define.
#[derive(Default)]
pub(crate) struct Repeated {
    known: Vec<Definition>,
    of_file: Vec<Definition>,
}

impl Repeated {
    /// The next file begins.
    pub fn next_file(&mut self) {
        self.known.append(&mut self.of_file);
    }

    /// Whether something of this name is defined.
    fn has(&self, name: &str) -> bool {
        self.known.iter().chain(&self.of_file).any(|known| known.name.get_ref() == name)
    }

    /// Whether an earlier file says all that this says. Twice in one file it is a mistake.
    pub fn is_said(&mut self, definition: &Definition) -> bool {
        let is_said = self.known.iter().any(|known| says(known, definition));
        if !is_said {
            self.of_file.push(definition.clone());
        }
        is_said
    }
}

/// Names that these files define again, as something else: versions go by the name, so that of two the later one would be in
/// force alone.
pub fn named_twice(files: &[(&str, &str)]) -> Vec<Diagnostic> {
    let (mut repeated, mut found) = (Repeated::default(), Vec::new());
    for (file, text) in files {
        let mut document = Document::new(file, text);
        let root = document.parse();
        repeated.next_file();
        for definition in document.tables::<Definition>(&root, "feature") {
            let (name, is_named) = (&definition.get_ref().name, repeated.has(definition.get_ref().name.get_ref()));
            if !repeated.is_said(definition.get_ref()) && is_named {
                let message = format!("`{}` is defined twice", name.get_ref());
                let hint = "give it another name, or put all of its keys and windows into one definition; two files may \
                            say the same, none more than the first";
                document.fault(name.span(), message, Some(hint.to_owned()));
            }
        }
        found.extend(document.into_found());
    }
    found
}

/// Whether the first one makes the same of the same events, for the keys and windows of the second one at least.
fn says(known: &Definition, definition: &Definition) -> bool {
    let keys = known.key.get_ref().list();
    let has_keys = definition.key.get_ref().list().iter().all(|key| keys.contains(key));
    let has_windows = definition.windows.iter().all(|window| known.windows.contains(window));
    let is_served = !known.hidden || definition.hidden;
    let mut same = definition.clone();
    same.key.clone_from(&known.key);
    same.windows.clone_from(&known.windows);
    same.hidden = known.hidden;
    same.doc.clone_from(&known.doc);
    has_keys && has_windows && is_served && same == *known
}

/// A definition by itself.
#[derive(Deserialize)]
struct Alone {
    feature: Vec<Definition>,
}

/// The features of these files in their order, without those that an earlier file has alike: for each its file's number, its
/// name and what it says.
pub fn features_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<(usize, Str, Str)> {
    let mut repeated = Repeated::default();
    let mut features = Vec::new();
    for (number, text) in texts.into_iter().enumerate() {
        repeated.next_file();
        for (name, text) in crate::listed::features_in(text) {
            let definition = toml::from_str::<Alone>(&text).ok().and_then(|mut alone| alone.feature.pop());
            if !definition.is_some_and(|definition| repeated.is_said(&definition)) {
                features.push((number, name, text));
            }
        }
    }
    features
}
