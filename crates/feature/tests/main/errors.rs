//! Faults in definition files: the place, the words, the hint.

use midsession_feature::{FeatureSet, check};

/// A file with one feature; the line under test replaces a good one of the same key.
fn file(line: &str) -> String {
    let good = [
        "name = \"views\"",
        "key = \"user\"",
        "when = 'event.name == \"product_view\"'",
        "fold = \"sum\"",
        "of = \"product.price\"",
        "windows = [\"5m\"]",
    ];
    let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut lines: Vec<&str> = good.iter().map(|known| if key(known) == key(line) { line } else { *known }).collect();
    if !lines.contains(&line) {
        lines.push(line);
    }
    format!("# a comment\n[[feature]]\n{}\n", lines.join("\n"))
}

#[test]
fn places_words_hints() {
    assert_eq!(check(&file("name = \"views\""), "f.toml"), [], "the good file is good");
    let cases: &[(&str, &str, &str, &str)] = &[
        ("when = 'event.nmae == \"x\"'", "f.toml:5:9", "`event.nmae` is not a field", "did you mean `event.name`?"),
        (
            "when = 'event.context.stock.left > 1'",
            "f.toml:5:9",
            "there is no context `stock`",
            "product, price, inventory",
        ),
        ("when = \"true && evnt.bot\"", "f.toml:5:17", "`evnt` is not known", "`event`"),
        ("when = 'event.step'", "f.toml:5:9", "a condition is true or false", ""),
        ("when = 'session.cart_value > 1'", "f.toml:5:9", "`session` can't be looked at here", "event"),
        ("fold = \"summ\"", "f.toml:6:8", "there is no fold `summ`", "did you mean `sum`?"),
        ("fold = \"count\"", "f.toml:7:6", "`count` folds events", "leave `of` out"),
        ("fold = \"top\"", "f.toml:7:6", "`top` folds texts", ""),
        ("of = \"product.category\"", "f.toml:7:6", "`sum` folds numbers, `product.category` is text", ""),
        ("of = \"properties.points\"", "f.toml:7:6", "`sum` folds numbers", "properties.points * 1.0"),
        ("of = \"product.prize\"", "f.toml:7:7", "product.prize", "did you mean `event.product.price`?"),
        ("windows = [\"5 minutes\"]", "f.toml:8:12", "is not a duration", ""),
        ("windows = [\"5m\", \"7d\"]", "f.toml:8:18", "a window is at most 1 d", ""),
        ("windows = [\"5m\", \"5m\"]", "f.toml:3:8", "`user.views_5m` is defined twice", ""),
        ("windows = []", "f.toml:3:8", "a user's feature wants windows", "windows = "),
        ("key = \"product\"", "f.toml:4:7", "there are no features by `product`", ""),
        ("key = \"session\"", "f.toml:8:12", "over the whole session", ""),
        ("name = \"Views!\"", "f.toml:3:8", "can't be a feature's name", ""),
        ("windws = [\"5m\"]", "f.toml:9:1", "unknown field `windws`", "did you mean `windows`?"),
        ("fold = 5", "f.toml:6:8", "", ""),
        ("fold = \"sum", "f.toml:6:12", "", ""),
    ];
    for (line, place, message, hint) in cases {
        let found = check(&file(line), "f.toml");
        let first = found.first().unwrap_or_else(|| panic!("{line}: nothing found"));
        assert!(first.to_string().starts_with(&format!("{place}: ")), "{line}: {first}");
        assert!(first.message.contains(message), "{line}: {first}");
        assert!(first.hint.as_deref().unwrap_or_default().contains(hint), "{line}: {first}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let text = format!("{}{}[[featur]]\n", file("fold = \"summ\""), file("when = 'event.nmae'"));
    let found = check(&text, "f.toml");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|fault| fault.line == 13), "the second table has places of its own: {found:?}");
}

#[test]
fn a_built_in_name_is_taken() {
    let text = file("name = \"cart_value\"").replace("\"user\"", "\"session\"").replace("windows = [\"5m\"]", "");
    let found = check(&text, "f.toml");
    assert!(found[0].message.contains("`session.cart_value` is defined twice"), "{found:?}");
}

#[test]
fn files_add_up() {
    let own = file("name = \"views\"");
    let set = FeatureSet::load(&[midsession_feature::NATIVE, ("own.toml", &own)]).expect("valid");
    assert!(set.entry(midsession_feature::Key::User, "views_5m").is_some());
    let found = FeatureSet::load(&[("a.toml", &own), ("b.toml", &own)]).expect_err("twice");
    assert_eq!(found[0].file, "b.toml");
}
