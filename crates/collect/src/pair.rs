//! Fields told in pairs, the name as the text of one key and the value under another: `{"name": "lastname", "value": "…"}`.

use crate::field_name::{Words, is_in};
use compact_str::format_compact;
use midsession_event::Str;
use std::collections::BTreeMap;

/// How a key ends whose text is a field's name.
const NAMES: [&str; 5] = ["id", "key", "label", "name", "placeholder"];
/// What stands for a field in such a key, or is one in itself: `elementId`, `field`.
const FIELDS: [&str; 13] = [
    "attr",
    "attribute",
    "column",
    "control",
    "element",
    "field",
    "input",
    "param",
    "parameter",
    "prop",
    "property",
    "question",
    "variable",
];
/// How a key ends under which the field's value stands.
const VALUES: [&str; 11] =
    ["answer", "answers", "content", "data", "response", "responses", "text", "typed", "val", "value", "values"];
/// What says which of a field's values it is, or of what type: `new_value`, `stringValue`.
const WHICH: [&str; 14] = [
    "current",
    "double",
    "entered",
    "float",
    "initial",
    "int",
    "new",
    "number",
    "old",
    "previous",
    "raw",
    "string",
    "submitted",
    "text",
];
/// So many keys may name the field of one value. In objects that people write it is one or two.
const NAMES_MAX: usize = 8;

/// Words of keys that only a form has. Sorted.
const FORM: [&str; 19] = [
    "control",
    "element",
    "elementid",
    "elements",
    "field",
    "fieldid",
    "fieldname",
    "fields",
    "form",
    "formfield",
    "formid",
    "formname",
    "forms",
    "input",
    "inputs",
    "node",
    "nodename",
    "question",
    "questions",
];
/// What the `type` of a form's field says. Sorted.
const TYPES: [&str; 11] =
    ["checkbox", "date", "email", "number", "password", "radio", "search", "select", "tel", "text", "textarea"];

/// The fields that the texts of an object name, by what their keys have in common with their value's.
#[derive(Default)]
pub(crate) struct Names {
    names: BTreeMap<(Str, Str), Vec<Name>>,
    /// Something in the object says that it is of a form.
    pub in_form: bool,
}

struct Name {
    text: Str,
    /// Keys beside which it may as well be a thing's name, whose text they are: `{"id": "address", "text": "Change"}`.
    doubtful: &'static [&'static str],
}

/// What a value's field is called.
pub(crate) struct Told<'n> {
    pub name: &'n str,
    /// The path that it would have as a field of its own.
    pub path: Str,
    /// Outside a form it may be no field's.
    pub is_doubtful: bool,
}

impl Names {
    /// Of an object's members, or of properties with points between the members of members. Empty where no key is one of a
    /// value: that is how most objects are.
    pub fn of<'m>(members: impl Iterator<Item = (&'m str, Option<&'m str>)> + Clone) -> Self {
        let mut names = Self::default();
        if !members.clone().any(|(key, _)| key.split('.').any(|segment| values_of(segment).next().is_some())) {
            return names;
        }
        names.in_form = members.clone().any(|(key, text)| {
            in_form(key) || split_last(key).1 == "type" && text.is_some_and(|text| is_in(&TYPES, text))
        });
        for (key, text) in members {
            let (around, last) = split_last(key);
            if let (Some(text), Some(stem)) = (text, name_of(last)) {
                let name = |doubtful| Name { text: text.into(), doubtful };
                names.add((around.into(), stem), name(doubtful_beside(last)));
                // `field.name`: it is what the field around it is called.
                let outer = around.strip_suffix('.').unwrap_or(around);
                let (around, outer) = split_last(outer);
                if let Some(stem) = name_of(outer).filter(|_| is_field(outer)) {
                    names.add((around.into(), stem), name(&[]));
                }
            }
        }
        names
    }

    fn add(&mut self, whose: (Str, Str), name: Name) {
        let named = self.names.entry(whose).or_default();
        if named.len() < NAMES_MAX {
            named.push(name);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether any of them is one of these.
    pub fn any(&self, is_one: &dyn Fn(&str) -> bool) -> bool {
        self.names.values().flatten().any(|name| is_one(&name.text))
    }

    pub fn told(&self, key: &str) -> impl Iterator<Item = Told<'_>> {
        let mut at = 0;
        let segments = if self.names.is_empty() { "" } else { key }.split('.').map(move |segment| {
            let start = at;
            at += segment.len() + 1;
            (start, segment)
        });
        segments.flat_map(move |(start, segment)| {
            let around = &key[..start];
            let named = values_of(segment).filter_map(|stem| self.names.get(&(around.into(), stem)));
            let rest = &key[start + segment.len()..];
            named.flatten().map(move |Name { text, doubtful }| Told {
                name: text,
                path: format_compact!("{around}{text}{rest}"),
                is_doubtful: !self.in_form && strip(without_number(segment).0, doubtful).is_some(),
            })
        })
    }
}

/// Of a key whose text names a field, what it shares with its value's key: `first` of `first_field_name`, nothing of `elementId`.
fn name_of(key: &str) -> Option<Str> {
    let (word, number) = without_number(key);
    let named = strip(word, &NAMES);
    let field = strip(named.unwrap_or(word), &FIELDS).map(without_field);
    Some(stem(field.or(named)?, number))
}

/// Whether a path is of a form.
pub(crate) fn in_form(path: &str) -> bool {
    path.split('.').any(|segment| Words::of(segment).is_some_and(|words| words.any(&FORM)))
}

/// Beside which keys a key's text may name something else than a field.
fn doubtful_beside(key: &str) -> &'static [&'static str] {
    let ends = |word: &str| strip(without_number(key).0, &[word]).is_some();
    match () {
        () if ends("id") => &["content", "text"],
        () if ends("label") || ends("name") => &["content"],
        () => &[],
    }
}

/// Whether a key stands for a field: what is called something in it, is what it is called.
pub(crate) fn is_field(key: &str) -> bool {
    strip(without_number(key).0, &FIELDS).is_some()
}

/// Of a key of a value, what it may share with its name's: `first` of `first_field_value`.
fn values_of(key: &str) -> impl Iterator<Item = Str> {
    let (word, number) = without_number(key);
    // Most keys end otherwise, and are done.
    let may_be = matches!(
        word.as_bytes().last().map(u8::to_ascii_lowercase),
        Some(b'a' | b'd' | b'e' | b'l' | b'r' | b's' | b't')
    );
    let rest = if may_be { strip(word, &VALUES) } else { None };
    let rests = [rest, rest.and_then(|rest| strip(rest, &WHICH))];
    rests.into_iter().flatten().map(move |rest| stem(without_field(rest), number))
}

/// A key and the members that it is in.
fn split_last(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('.').map_or(0, |at| at + 1))
}

fn without_number(key: &str) -> (&str, &str) {
    key.split_at(key.trim_end_matches(|letter: char| !letter.is_alphabetic()).len())
}

fn without_field(mut word: &str) -> &str {
    while let Some(rest) = strip(word, &FIELDS).or_else(|| strip(word, &["form"])) {
        word = rest;
    }
    word
}

/// Without one of these at its end. Where that is by chance (`context`), no other key shares what is left.
fn strip<'k>(key: &'k str, words: &[&str]) -> Option<&'k str> {
    words.iter().find_map(|word| {
        let (rest, end) = key.split_at_checked(key.len().checked_sub(word.len())?)?;
        end.eq_ignore_ascii_case(word).then(|| rest.trim_end_matches(|letter: char| !letter.is_alphanumeric()))
    })
}

fn stem(rest: &str, number: &str) -> Str {
    let letters = rest.chars().chain(number.chars()).filter(|letter| letter.is_alphanumeric());
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(members: &[(&str, &str)], key: &str) -> Vec<Str> {
        Names::of(members.iter().map(|(key, text)| (*key, Some(*text)))).told(key).map(|told| told.path).collect()
    }

    #[test]
    fn keys_that_belong_together() {
        for (name, value) in [
            ("name", "value"),
            ("Name", "Value"),
            ("key", "value"),
            ("field", "val"),
            ("id", "content"),
            ("label", "text"),
            ("question", "answer"),
            ("question_id", "response"),
            ("elementId", "value"),
            ("element_id", "value"),
            ("fieldname", "fieldvalue"),
            ("field_name", "value"),
            ("property", "value"),
            ("form_field", "form_value"),
            ("formFieldName", "value"),
            ("first_field_name", "first_field_value"),
            ("firstFieldName", "first_value"),
            ("name1", "value1"),
            ("field_name_2", "field_value_2"),
            ("q3_label", "q3_answer"),
            ("a.b.name", "a.b.value"),
            ("name", "new_value"),
            ("name", "newValue"),
            ("field", "old_value"),
            ("name", "stringValue"),
            ("name", "string_value"),
            ("first_field_name", "first_field_new_value"),
            ("question", "answers"),
            ("name", "values"),
            ("field.name", "value"),
            ("a.field.name", "a.value"),
            ("form_field.id", "form_value"),
        ] {
            let around = split_last(value).0;
            assert_eq!(
                paths(&[(name, "lastname"), (value, "x")], value),
                [format!("{around}lastname")],
                "{name} {value}"
            );
        }
        for (name, value) in [
            ("product_id", "value"),
            ("event_label", "value"),
            ("form_id", "value"),
            ("first_field_name", "second_field_value"),
            ("name1", "value2"),
            ("a.name", "b.value"),
            ("a.name", "value"),
            ("a.field.name", "value"),
            ("new_name", "old_value"),
            ("name", "context"),
            ("name", "interval"),
            ("paid", "value"),
            ("colour", "value"),
        ] {
            assert!(paths(&[(name, "lastname"), (value, "x")], value).is_empty(), "{name} {value}");
        }
    }

    #[test]
    fn what_is_inside_a_value_is_inside_the_field() {
        let members = [("f.key", "address"), ("f.value.string_value", "x")];
        assert_eq!(paths(&members, "f.value.string_value"), ["f.address.string_value"]);
        let several = [("elementId", "f3"), ("name", "lastname"), ("value", "x")];
        assert_eq!(paths(&several, "value"), ["f3", "lastname"]);
    }
}
