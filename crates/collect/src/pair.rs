//! Fields told in pairs, the name as the text of one key and the value under another: `{"name": "lastname", "value": "…"}`.

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
const VALUES: [&str; 6] = ["answer", "content", "response", "text", "val", "value"];
/// Keys that hold what an amount beside them is of: an event's label and its value.
const LABELS: [&str; 2] = ["label", "property"];

/// So many keys may name the field of one value. In objects that people write it is one or two.
const NAMES_MAX: usize = 8;

/// The fields that the texts of an object name, by what their keys have in common with their value's.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<(Str, Str), Vec<Name>>);

struct Name {
    text: Str,
    is_label: bool,
}

impl Names {
    /// Of an object's members, or of properties with points between the members of members. Empty where no key is one of a
    /// value: that is how most objects are.
    pub fn of<'m>(members: impl Iterator<Item = (&'m str, Option<&'m str>)> + Clone) -> Self {
        let mut names = Self::default();
        if !members.clone().any(|(key, _)| key.split('.').any(|segment| value_of(segment).is_some())) {
            return names;
        }
        for (key, text) in members {
            let (around, last) = key.split_at(key.rfind('.').map_or(0, |at| at + 1));
            if let (Some(text), Some(stem)) = (text, name_of(last)) {
                let named = names.0.entry((around.into(), stem)).or_default();
                if named.len() < NAMES_MAX {
                    named.push(Name { text: text.into(), is_label: strip(last, &LABELS) == Some("") });
                }
            }
        }
        names
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them is one of these.
    pub fn any(&self, is_one: impl Fn(&str) -> bool) -> bool {
        self.0.values().flatten().any(|name| is_one(&name.text))
    }

    /// The paths that a key's value would have as a field of its own.
    pub fn paths(&self, key: &str, is_amount: bool) -> impl Iterator<Item = Str> {
        let mut at = 0;
        let segments = if self.0.is_empty() { "" } else { key }.split('.').map(move |segment| {
            let start = at;
            at += segment.len() + 1;
            (start, segment)
        });
        segments.flat_map(move |(start, segment)| {
            let around = &key[..start];
            let named = value_of(segment).and_then(|stem| self.0.get(&(around.into(), stem)));
            let named = named.into_iter().flatten().filter(move |name| !(is_amount && name.is_label));
            named.map(move |name| format_compact!("{around}{}{}", name.text, &key[start + segment.len()..]))
        })
    }
}

/// Whether a number is too short to reach anybody or to pay with.
pub(crate) fn is_amount(number: f64) -> bool {
    number.abs() < 1e6
}

/// Of a key whose text names a field, what it shares with its value's key: `first` of `first_field_name`, nothing of `elementId`.
fn name_of(key: &str) -> Option<Str> {
    let (word, number) = without_number(key);
    let named = strip(word, &NAMES);
    let field = strip(named.unwrap_or(word), &FIELDS).map(without_field);
    Some(stem(field.or(named)?, number))
}

/// Of a key of a value, what it shares with its name's: `first` of `first_field_value`.
fn value_of(key: &str) -> Option<Str> {
    let (word, number) = without_number(key);
    // Most keys end otherwise, and are done.
    if !matches!(word.as_bytes().last()?.to_ascii_lowercase(), b'e' | b'l' | b'r' | b't') {
        return None;
    }
    Some(stem(without_field(strip(word, &VALUES)?), number))
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
        Names::of(members.iter().map(|(key, text)| (*key, Some(*text)))).paths(key, false).collect()
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
        ] {
            let around = &name[..name.rfind('.').map_or(0, |at| at + 1)];
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

    #[test]
    fn an_amount_is_no_labels_field() {
        let of = |name| Names::of([(name, Some("phone")), ("value", None)].into_iter()).paths("value", true).count();
        assert_eq!((of("label"), of("name"), is_amount(12.5), is_amount(612345678.0)), (0, 1, true, false));
    }
}
