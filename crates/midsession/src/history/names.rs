//! The names of features that a question may ask for, and what is said of one that answers nothing.

use super::entities::Whose;
use super::features::Question;
use crate::assemble::Assembly;
use crate::cli::Failure;
use midsession_event::Str;
use midsession_feature::Key;
use midsession_feature::expr::Type;

impl Question<'_> {
    /// Refuses names that no feature has, of those whose features are asked for.
    ///
    /// # Errors
    /// One of them is unknown.
    pub fn check(&self) -> Result<(), Failure> {
        let mut whose = self.whose();
        if whose.is_empty() {
            whose.extend(self.everybody());
        }
        let all = |assembly| whose.iter().flat_map(|whose| names(assembly, whose)).collect::<Vec<Str>>();
        let known: Vec<Str> = self.assemblies().flat_map(all).collect();
        let is_known = |name: &Str| {
            let is_of = |assembly: &Assembly| known.iter().any(|known| assembly.unaliased(name) == known.as_str());
            self.assemblies().any(is_of)
        };
        let Some(unknown) = self.names.iter().find(|name| !is_known(name)) else { return Ok(()) };
        if all(self.assembly).contains(unknown) {
            let hint = "with --profile NAME all of the past is looked at by the definitions of the configuration";
            return Err(Failure::usage(format!("`{unknown}` was never in force in this log")).hint(hint));
        }
        let of: Vec<String> = whose.iter().map(in_words).collect();
        let what = format!("there is no feature `{unknown}` {}", of.join(" or "));
        Err(Failure::usage(what).hint(self.meant(unknown, &known)))
    }

    /// All that features are of.
    fn everybody(&self) -> impl Iterator<Item = Whose> {
        [Whose::User, Whose::Session].into_iter().chain(self.fields().into_iter().map(Whose::Field))
    }

    /// What may have been meant by a name: a definition's with its windows, what somebody else has, what is nearly called so.
    fn meant(&self, unknown: &str, known: &[Str]) -> String {
        let mut windowed: Vec<Str> = Vec::new();
        for (_, name) in self.assemblies().filter_map(|assembly| assembly.made(unknown)).flat_map(|made| made.served) {
            if known.contains(&name) && !windowed.contains(&name) {
                windowed.push(name);
            }
        }
        if let Some((last, others)) = windowed.split_last() {
            let others = if others.is_empty() { String::new() } else { format!("{} or ", others.join(", ")) };
            return format!("did you mean {others}{last}?");
        }
        let has =
            |whose: &Whose| self.assemblies().any(|assembly| names(assembly, whose).iter().any(|name| name == unknown));
        if let Some(other) = self.everybody().find(has) {
            return format!("there is one {}: ask for theirs", in_words(&other));
        }
        let nearest = midsession_feature::nearest(unknown, known.iter().map(|name| name.as_str()));
        nearest.map_or("midsession check lists them".to_owned(), |name| format!("did you mean {name}?"))
    }
}

fn in_words(whose: &Whose) -> String {
    match whose {
        Whose::User => "of users".into(),
        Whose::Session => "of sessions".into(),
        Whose::Field(field) => format!("by {field}"),
    }
}

/// The features of an assembly, with what they hold.
pub(super) fn types<'a>(assembly: &'a Assembly, whose: &'a Whose) -> Vec<(&'a Str, Type)> {
    match whose {
        Whose::User => assembly.feature_types(Key::User).collect(),
        Whose::Session => assembly.feature_types(Key::Session).collect(),
        Whose::Field(field) => assembly.field_types(field).collect(),
    }
}

fn names(assembly: &Assembly, whose: &Whose) -> Vec<Str> {
    types(assembly, whose).into_iter().map(|(name, _)| name.clone()).collect()
}
