//! Definitions one by one: versions side by side, the beginnings of those that count from now on, and mistakes in their place.

use crate::kit::{Shopper, event};
use midsession_event::Str;
use midsession_feature::{FeatureSet, Key, Listed, LookBack, Value, features_in};
use midsession_machine::View;
use midsession_machine::partial::Heard;

const FILE: &str = r#"
# A comment is not what a definition says.
[[feature]]
name = "views"
key = ["user", "product"]
when = 'event.name == "product_view"'
fold   = "count"
windows = ["5m", "1h"]

[[feature]]
name = "quizzes"
key = "user"
when = 'event.name == "quiz"'
fold = "count"
windows = ["1h", "lifetime"]

[[feature]]
name = "share"
key = "user"
value = 'user.quizzes * 2'
windows = ["1h"]
"#;

fn listed(versions: &[(&str, Option<i64>, &str)]) -> Vec<Listed> {
    let one = |(name, version, text): &(&str, Option<i64>, &str)| Listed {
        name: (*name).into(),
        version: *version,
        file: "f.toml".into(),
        label: "sent.toml".into(),
        text: (*text).into(),
    };
    versions.iter().map(one).collect()
}

fn names(set: &FeatureSet) -> Vec<&str> {
    let builtin = FeatureSet::load(&[]).expect("loads").names(Key::User).count();
    set.names(Key::User).skip(builtin).collect()
}

#[test]
fn a_file_taken_apart_is_the_same_file() {
    let apart = features_in(FILE);
    assert_eq!(apart.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["views", "quizzes", "share"]);
    let laid_out = FILE.replace("fold   =", "fold =").replace("# A comment is not what a definition says.\n", "");
    assert_eq!(features_in(&laid_out), apart, "however it is laid out");
    let all: Vec<Listed> = apart
        .iter()
        .map(|(name, text)| Listed {
            name: name.clone(),
            version: None,
            file: "f.toml".into(),
            label: "x".into(),
            text: text.clone(),
        })
        .collect();
    let whole = FeatureSet::load(&[("f.toml", FILE)]).expect("loads");
    let (set, faults) = FeatureSet::load_some(&[("f.toml", FILE)], Some(&all));
    assert_eq!(faults, []);
    assert_eq!(names(&set), names(&whole));
    assert_eq!(set.slots(), whole.slots());
}

#[test]
fn a_version_that_waits_answers_to_its_number() {
    let second = "[[feature]]\nname = \"views\"\nkey = [\"user\", \"session\", \"product\"]\nfold = \"count\"\nwindows = [\"24h\"]\n";
    let versions = [("views", None, FILE), ("quizzes", None, FILE), ("views", Some(2), second)];
    let (set, faults) = FeatureSet::load_some(&[("f.toml", FILE)], Some(&listed(&versions)));
    assert_eq!(faults, []);
    assert_eq!(
        names(&set),
        ["views_5m", "views_1h", "quizzes_1h", "lifetime_since_ms", "quizzes_lifetime", "views@2_24h"]
    );
    let made = set.made("views@2").expect("is there");
    let served: Vec<String> = made.served.iter().map(|(key, name)| format!("{key}.{name}")).collect();
    assert_eq!(served, ["user.views@2_24h", "session.views@2", "product.views@2_24h"]);
    assert_eq!(made.looks_back, LookBack::FromNow, "by a field it is added up");
    assert_eq!(set.made("views").map(|made| made.served.len()), Some(4));
    assert_eq!(set.made("quizzes").map(|made| (made.looks_back, made.slots.len())), Some((LookBack::FromNow, 2)));
    assert!(set.made("share").is_none());
}

#[test]
fn mistakes_stand_where_they_were_written() {
    let wrong = "\n\n[[feature]]\nname = \"share\"\nkey = \"user\"\nvalue = 'user.gone * 2'\nwindows = [\"1h\"]\n";
    let (_, faults) = FeatureSet::load_some(&[("f.toml", FILE)], Some(&listed(&[("share", None, wrong)])));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("sent.toml", 6));
    let at_sign = "[[feature]]\nname = \"views@2\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"1h\"]\n";
    assert!(FeatureSet::load(&[("f.toml", at_sign)]).is_err(), "numbers are given out, not written");
}

#[test]
fn what_counts_from_now_on_says_since_when() {
    let (set, faults) = FeatureSet::load_some(&[("f.toml", FILE)], None);
    assert_eq!(faults, []);
    let mut shopper = Shopper::new();
    let now_ms = 10_000_000;
    for at_ms in [now_ms - 5_000, now_ms - 4_000, now_ms - 3_000] {
        shopper.take(&event("quiz", at_ms), 0, &set);
    }
    let derived = set.made("quizzes").expect("is there").slots;
    let read = |since: &[(u32, i64)], name: &str| {
        let view = View { since, ..shopper.view(now_ms) };
        set.serve(&view, Key::User, &[Str::from(name)]).pop().map(|served| (served.value, served.since_ms))
    };
    let since = |at_ms: i64| -> Vec<(u32, i64)> { derived.iter().map(|slot| (*slot, at_ms)).collect() };
    assert_eq!(read(&[], "quizzes_1h"), Some((Some(Value::Int(3)), None)));
    assert_eq!(
        read(&since(now_ms - 4_000), "quizzes_1h"),
        Some((Some(Value::Int(1)), Some(now_ms - 4_000))),
        "after it"
    );
    assert_eq!(
        read(&since(now_ms - 4_001), "share_1h"),
        Some((Some(Value::Int(4)), Some(now_ms - 4_001))),
        "of what it reads"
    );
    assert_eq!(read(&since(now_ms - 3_600_000), "quizzes_1h"), Some((Some(Value::Int(3)), None)), "all of the window");
    assert_eq!(read(&since(now_ms), "views_1h"), Some((Some(Value::Int(0)), None)), "looks back exactly");
}

#[test]
fn what_had_no_room_for_all_facts_says_since_when() {
    let (set, faults) = FeatureSet::load_some(&[("f.toml", FILE)], None);
    assert_eq!(faults, []);
    let mut shopper = Shopper::new();
    let now_ms = 10_000_000_000;
    shopper.take(&event("product_view", now_ms - 1_000), 0, &set);
    let read = |whole_after_ms: i64, name: &str| {
        let view = View { whole_after_ms, ..shopper.view(now_ms) };
        set.serve(&view, Key::User, &[Str::from(name)]).pop().and_then(|served| served.since_ms)
    };
    let dropped_ms = now_ms - 600_000;
    for (name, since_ms) in [("views_5m", None), ("views_1h", Some(dropped_ms)), ("share_1h", Some(dropped_ms))] {
        assert_eq!(read(i64::MIN, name), None, "{name}");
        assert_eq!(read(dropped_ms, name), since_ms, "{name}");
    }
    assert_eq!(read(now_ms - 3_600_000, "views_1h"), None, "all of the window");
    assert_eq!(read(dropped_ms, "lifetime_since_ms"), None, "not made of facts");
}

/// That nothing is there and that nothing is counted yet are two things.
#[test]
fn what_is_not_counted_yet_says_so_without_a_value() {
    let one = |name: &str, body: &str| {
        format!("[[feature]]\nname = \"{name}\"\nkey = [\"user\", \"product\"]\nwindows = [\"1h\"]\n{body}\n")
    };
    let text = [
        one("score", "fold = \"max\"\nof = \"properties.score * 1.0\""),
        "[[feature]]\nname = \"high\"\nkey = \"user\"\nwindows = [\"1h\"]\nvalue = 'user.score > 5.0'\n".to_owned(),
        one("views", "fold = \"count\""),
    ]
    .concat();
    let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{found:?}"));
    let mut shopper = Shopper::new();
    let (now_ms, name) = (10_000_000, Str::from("score_1h"));
    let mut view = event("product_view", now_ms - 5_000);
    view.products = vec![crate::kit::product("p", "", 1.0)];
    view.properties.insert("score".into(), midsession_event::PropertyValue::Int(7));
    shopper.take(&view, 0, &set);
    // By the field another definition has counted, and this one has not yet.
    let before = FeatureSet::load(&[("f.toml", &one("views", "fold = \"count\""))]).expect("valid");
    before.accumulate(&view, &shopper.id, Heard::default(), now_ms, &mut shopper.partials);
    let slots = set.made("score").expect("is there").slots;
    for (put_ms, told) in [(now_ms - 1_000, true), (now_ms - 3_600_000, false)] {
        let since: Vec<(u32, i64)> = slots.iter().map(|slot| (*slot, put_ms)).collect();
        let at = View { since: &since, ..shopper.view(now_ms) };
        let row = |served: midsession_feature::Served| (served.value, served.since_ms);
        let mine = set.serve(&at, Key::User, std::slice::from_ref(&name)).pop().map(row);
        let value = (!told).then_some(Value::Float(7.0));
        assert_eq!(mine, Some((value, told.then_some(put_ms))), "put {} ms ago", now_ms - put_ms);
        let worked = set.serve(&at, Key::User, &["high_1h".into()]).pop().map(row).expect("told");
        assert_eq!(worked.1, told.then_some(put_ms));
        let parts = set.field_partials(&shopper.partials, "product", "p", now_ms);
        let joined = set.join("product", parts, std::slice::from_ref(&name), now_ms, &since).expect("known");
        assert_eq!(
            joined.into_iter().map(row).collect::<Vec<_>>(),
            Vec::from_iter(told.then_some((None, Some(put_ms))))
        );
    }
    // Nothing was ever scored, and all of the window is counted.
    shopper = Shopper::new();
    assert_eq!(set.serve(&shopper.view(now_ms), Key::User, &[name]), []);
}
