//! The features that are served, a line each, as `check` prints them.

use super::{Assembly, KEYS};
use midsession_feature::LookBack;

impl Assembly {
    /// How many features are served, windows counted apart.
    pub fn feature_count(&self) -> usize {
        self.feature_lines().len()
    }

    /// Which definitions look back exactly, and which count from now on.
    pub fn feature_lines(&self) -> Vec<String> {
        let look_back = |looks_back: LookBack| match looks_back {
            LookBack::Exactly => "looks back exactly",
            LookBack::FromNow => "counts from now until backfilled",
            LookBack::FirstSeen => "counts from the shopper's first event on",
        };
        let mut lines = Vec::new();
        for (number, (name, set)) in self.profiles.iter().enumerate() {
            let prefix = if number == 0 { String::new() } else { format!("{name}:") };
            let mut line = |key: &str, name: &str, said: &str| {
                lines.push(format!("{:<8} {name:<40} {said}", format!("{prefix}{key}")));
            };
            for key in KEYS {
                for entry in set.entries(key).filter(|entry| !entry.is_hidden) {
                    line(key.name(), &entry.name, look_back(entry.looks_back));
                }
            }
            for key in set.field_keys() {
                set.field_entries(key).for_each(|entry| line(key, &entry.name, look_back(LookBack::FromNow)));
            }
        }
        lines
    }
}
