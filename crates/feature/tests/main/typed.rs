//! What has no type until it is there: it is served as what it was, over a window, a session, a lifetime and by a field.

use crate::kit::{Shopper, event, session};
use midsession_event::{Event, PropertyValue};
use midsession_feature::{FeatureSet, Key, Value};
use midsession_machine::partial::Heard;

const NOW_MS: i64 = 1_700_000_000_000;

fn having(n: &PropertyValue, at_ms: i64) -> Event {
    let properties = [("n".into(), n.clone()), ("shop".into(), PropertyValue::Text("s".into()))];
    Event { properties: properties.into(), bot: *n == PropertyValue::Bool(true), ..event("page_view", at_ms) }
}

/// A definition's values over a window, a session, a lifetime and by a field.
fn read(fold: &str, of: &str, values: &[PropertyValue]) -> [Option<Value>; 4] {
    let mergeable = !matches!(fold, "latest" | "changes" | "repeat");
    let one = |name: &str, key: &str, windows: &str| {
        format!("[[feature]]\nname = \"{name}\"\nkey = {key}\nfold = \"{fold}\"\nof = \"{of}\"\n{windows}\n")
    };
    let mut text = one("f", "[\"user\", \"session\"]", "windows = [\"1h\"]");
    if mergeable {
        text += &one("f", "\"user\"", "windows = [\"lifetime\"]");
        text += &one("f", "\"properties.shop\"", "windows = [\"lifetime\"]");
    }
    let text = if fold == "top_k" { text.replace("windows", "limit = 9\nwindows") } else { text };
    let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
    let mut shopper = Shopper::new();
    for (at_ms, n) in (NOW_MS - 1_000..).zip(values) {
        let event = having(n, at_ms);
        shopper.take(&event, 1, &set);
        set.accumulate(&event, &shopper.id, Heard::default(), NOW_MS, &mut shopper.partials);
    }
    shopper.session = Some(session(1, NOW_MS - 1_000, NOW_MS));
    let view = shopper.view(NOW_MS);
    let window = set.read(&view, Key::User, "f_1h");
    let lived = || set.read(&view, Key::User, "f_lifetime");
    let by_field = || {
        let parts = set.field_partials(&shopper.partials, "properties.shop", "s", NOW_MS);
        let served = set.join("properties.shop", parts, &[], NOW_MS, &[])?;
        served.into_iter().find_map(|served| served.value)
    };
    let by = if mergeable { (lived(), by_field()) } else { (window.clone(), window.clone()) };
    [window, set.read(&view, Key::Session, "f"), by.0, by.1]
}

#[test]
fn a_property_stays_what_it_was() {
    let text = |text: &str| PropertyValue::Text(text.into());
    for (n, value) in [
        (PropertyValue::Int(7), Value::Int(7)),
        (PropertyValue::Int(-7), Value::Int(-7)),
        (PropertyValue::Int(i64::MAX), Value::Int(i64::MAX)),
        (PropertyValue::Int(9_007_199_254_740_993), Value::Int(9_007_199_254_740_993)),
        (PropertyValue::Float(7.25), Value::Float(7.25)),
        (PropertyValue::Float(1e300), Value::Float(1e300)),
        (PropertyValue::Bool(true), Value::Bool(true)),
        (PropertyValue::Bool(false), Value::Bool(false)),
        (text("7"), Value::Text("7".into())),
        (text("true"), Value::Text("true".into())),
        (text("red"), Value::Text("red".into())),
    ] {
        let other = if value == Value::Int(7) { text("red") } else { PropertyValue::Int(7) };
        let expected = [(); 4].map(|()| Some(value.clone()));
        assert_eq!(read("last", "properties.n", &[other.clone(), n.clone()]), expected, "the last is {n:?}");
        assert_eq!(read("first", "properties.n", &[n.clone(), other.clone()]), expected, "the first is {n:?}");
    }
    let bots = [PropertyValue::Bool(false), PropertyValue::Bool(true)];
    assert_eq!(read("last", "bot", &bots), [(); 4].map(|()| Some(Value::Bool(true))), "of a known type, too");
}

/// To a fold that compares or counts, a number is the text that it is written as.
#[test]
fn what_is_compared_is_text() {
    let values = [PropertyValue::Int(7), PropertyValue::Text("7".into()), PropertyValue::Bool(true)];
    let seven = || Some(Value::Text("7".into()));
    for (fold, expected) in [
        ("distinct", Some(Value::Int(2))),
        ("changes", Some(Value::Int(1))),
        ("repeat", Some(Value::Int(1))),
        ("top", seven()),
        ("top_k", Some(Value::List(["7".into(), "true".into()].into()))),
        ("count_per_value", Some(Value::Map([("7".into(), 2), ("true".into(), 1)].into()))),
        ("latest", Some(Value::Text("true".into()))),
    ] {
        assert_eq!(read(fold, "properties.n", &values), [(); 4].map(|()| expected.clone()), "{fold}");
    }
}

/// And an expression has it as what it is.
#[test]
fn a_number_is_one_in_an_expression() {
    let text = "[[feature]]\nname = \"n\"\nkey = \"user\"\nfold = \"last\"\nof = \"properties.n\"\nwindows = [\"1h\", \"lifetime\"]\n\
                [[feature]]\nname = \"twice\"\nkey = \"user\"\nvalue = 'user.n * 2.0'\nwindows = [\"1h\", \"lifetime\"]\n";
    let set = FeatureSet::load(&[("f.toml", text)]).expect("valid");
    let mut shopper = Shopper::new();
    let event = having(&PropertyValue::Int(7), NOW_MS);
    shopper.take(&event, 1, &set);
    set.accumulate(&event, &shopper.id, Heard::default(), NOW_MS, &mut shopper.partials);
    for name in ["twice_1h", "twice_lifetime"] {
        assert_eq!(set.read(&shopper.view(NOW_MS), Key::User, name), Some(Value::Float(14.0)), "{name}");
    }
}
