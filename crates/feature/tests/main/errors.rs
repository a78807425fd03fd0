//! Faults in definition files: the place, the words, the hint.

use midsession_feature::{Document, FeatureSet, check};

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
        (
            "when = 'event.properties.x.a == 1'",
            "f.toml:5:9",
            "`event.properties.x` has no `a` in it",
            "event.properties[\"x.a\"]",
        ),
        ("key = \"properties.x.a\"", "f.toml:4:7", "no features by `properties.x.a`", "event.properties[\"x.a\"]"),
        ("when = 'session.cart_value > 1'", "f.toml:5:9", "`session` can't be looked at here", "event"),
        ("fold = \"summ\"", "f.toml:6:8", "there is no fold `summ`", "did you mean `sum`?"),
        ("fold = \"count\"", "f.toml:7:6", "`count` folds events", "leave `of` out"),
        ("fold = \"top\"", "f.toml:7:6", "`top` folds texts", "like product.id"),
        (
            "of = \"product.category\"",
            "f.toml:7:6",
            "`sum` folds numbers, `product.category` is text",
            "like product.price",
        ),
        ("of = \"properties.points\"", "f.toml:7:6", "`sum` folds numbers", "properties.points * 1.0"),
        ("of = \"product.prize\"", "f.toml:7:7", "product.prize", "did you mean `event.product.price`?"),
        ("windows = [\"5 minutes\"]", "f.toml:8:12", "is not a duration", "like 30s, 5m or 24h"),
        ("windows = [\"0s\"]", "f.toml:8:12", "`0s` is no time at all", "like 30s, 5m or 24h"),
        ("windows = \"1h\"", "f.toml:8:11", "expected a sequence", "write a list: [\"1h\"]"),
        ("when = 'event.name.matches(\"(\")'", "f.toml:5:28", "not a usable pattern: unclosed group", "\\\\["),
        ("when = 'event.step > 99999999999999999999'", "f.toml:5:22", "", "9223372036854775807"),
        ("when = 'event.step > 18446744073709551615u'", "f.toml:5:22", "at most 63 bits", "9223372036854775807"),
        ("limit = 99999999999999999999", "f.toml:9:9", "", "9223372036854775807"),
        ("key = []", "f.toml:4:7", "the feature is nobody's", "write key = \"user\""),
        ("key = [5]", "f.toml:4:7", "no value for it", "key = \"user\""),
        ("windows = [\"5m\", \"7d\"]", "f.toml:8:18", "a window is at most 1 d", ""),
        ("windows = [\"5m\", \"5m\"]", "f.toml:3:8", "`user.views_5m` is defined twice", ""),
        ("windows = []", "f.toml:3:8", "a user's feature wants windows", "windows = "),
        ("key = \"prodct\"", "f.toml:4:7", "there are no features by `prodct`", "did you mean `product`?"),
        ("key = \"step\"", "f.toml:4:7", "there are no features by `step`", "holds text"),
        ("key = \"visitor_id\"", "f.toml:4:7", "`visitor_id` is one shopper's", "write \"user\""),
        ("key = \"cart.id\"", "f.toml:4:7", "`cart.id` is one shopper's", "write \"session\""),
        ("key = \"session\"", "f.toml:8:12", "over the whole session", ""),
        ("name = \"Views!\"", "f.toml:3:8", "can't be a feature's name", ""),
        ("windws = [\"5m\"]", "f.toml:9:1", "unknown field `windws`", "did you mean `windows`?"),
        ("fold = 5", "f.toml:6:8", "", "write it in quotes: \"5\""),
        ("fold = [\"sum\"]", "f.toml:6:8", "", "one text in quotes"),
        ("hidden = \"yes\"", "f.toml:9:10", "", "true or false, without quotes"),
        ("limit = \"3\"", "f.toml:9:9", "", "a whole number, without quotes"),
        ("fold = \"sum", "f.toml:6:12", "", "ends with the quote"),
        ("fold = sum", "f.toml:6:8", "", "in quotes"),
        ("doc \"x\"", "f.toml:9:5", "", "a name, = and a value"),
        ("doc = \"a\"\ndoc = \"b\"", "f.toml:10:1", "duplicate key", "leave one of the two out"),
        ("windows = [\"5m\"", "f.toml:8:16", "", "a list is written"),
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
fn nobody_is_named_by_a_field() {
    let by = |fold: &str| format!("[[feature]]\nname = \"who\"\nkey = \"product\"\nwindows = [\"1h\"]\n{fold}\n");
    for of in ["user_id", "visitor_id", "session_id", "order.id"] {
        for fold in ["count_per_value", "last", "top", "top_k"] {
            let limit = if fold == "top_k" { "limit = 3" } else { "" };
            let found = check(&by(&format!("fold = \"{fold}\"\nof = \"{of}\"\n{limit}")), "f.toml");
            let first = found.first().unwrap_or_else(|| panic!("{fold} of {of}: nothing found"));
            assert!(first.to_string().starts_with("f.toml:6:6: "), "{first}");
            assert!(
                first.message.contains(&format!("`{of}` is one shopper's, and `product` would tell it")),
                "{first}"
            );
        }
        assert_eq!(check(&by(&format!("fold = \"distinct\"\nof = \"{of}\"")), "f.toml"), [], "{of} may be counted");
    }
}

/// However it is written: what is read by a field stays readable after its shopper has withdrawn.
#[test]
fn nobody_is_a_key() {
    let fields = ["user_id", "visitor_id", "session_id", "event_id", "cart.id", "order.id", "decision_id"];
    for field in fields {
        let brackets = match field.split_once('.') {
            Some((group, name)) => format!("{group}[\"{name}\"]"),
            None => format!("event[\"{field}\"]"),
        };
        for key in [field.to_owned(), format!("event.{field}"), brackets] {
            let text = format!(
                "[[feature]]\nname = \"seen\"\nkey = ['product', '{key}']\nfold = \"count\"\nwindows = [\"1h\"]\n"
            );
            let found = check(&text, "f.toml");
            let [first] = &found[..] else { panic!("{key}: {found:?}") };
            assert!(first.to_string().starts_with("f.toml:3:7: "), "{first}");
            assert!(first.message.contains(&format!("`{key}` is one shopper's")), "{first}");
        }
    }
}

#[test]
fn settings_of_folds() {
    let base =
        |lines: &str| format!("# a comment\n[[feature]]\nname = \"f\"\nkey = \"user\"\nwindows = [\"5m\"]\n{lines}\n");
    let cases: &[(&str, &str, &str, &str)] = &[
        ("fold = \"top_k\"\nof = \"product.id\"", "6:8", "`top_k` wants `limit`", "limit = 3"),
        ("fold = \"top_k\"\nof = \"product.id\"\nlimit = 0", "8:9", "from 1 to 1000", "limit = 10"),
        ("fold = \"count\"\nlimit = 3", "7:9", "`count` takes no `limit`", "it belongs to top_k, count_per_value"),
        ("fold = \"quantile\"\nof = \"product.price\"", "6:8", "wants `quantile`", "quantile = 0.95"),
        ("fold = \"quantile\"\nof = \"product.price\"\nquantile = 95.0", "8:12", "from 0 to 1", "0.5"),
        ("fold = \"rate\"", "6:8", "`rate` wants `per`", "per = \"1m\""),
        ("fold = \"rate\"\nper = \"minute\"", "7:7", "not a duration", ""),
        ("fold = \"rate\"\nper = \"0s\"", "7:7", "no time at all", "like 30s"),
        ("fold = \"ratio\"", "6:8", "`ratio` wants `over`", "over = "),
        ("fold = \"ratio\"\nover = 'event.step'", "7:9", "a condition is true or false", ""),
        ("fold = \"sequence\"\nthen = 'event.bot'", "6:8", "`sequence` wants `within`", "within = \"10m\""),
        ("fold = \"sequence\"\nthen = 'event.bot'\nwithin = \"25h\"", "8:10", "`within` is at most 1 d", "kept"),
        ("fold = \"sequence\"\nwithin = \"5m\"\nthen = 'event.nmae == \"x\"'", "8:9", "`event.nmae`", "event.name"),
        (
            "fold = \"average\"\nof = \"product.price\"\nby = \"product.price\"",
            "8:6",
            "`by` names a text",
            "product.id",
        ),
        ("fold = \"count\"\nempty = \"none\"", "7:9", "`empty` is not what `count` gives", "leave it out"),
        ("when = 'event.bot'", "3:8", "nothing says what is made of the events", "fold = \"count\""),
        ("value = 'user.f_1h'", "6:10", "`user.f_1h` is not a feature", ""),
        ("value = 'event.step > 1'", "6:9", "there is no event", "a fold"),
        ("value = '\"x\"'", "6:9", "a value is a number", ""),
        ("value = '1'\nfold = \"count\"", "7:8", "`fold` does not go with `value`", ""),
        ("value = '1'\nwithin = \"zz\"", "7:10", "`within` does not go with `value`", ""),
        ("value = '1'\nquantile = 7.0", "7:12", "`quantile` does not go with `value`", ""),
        ("value = '1'\nlimit = 5", "7:9", "`limit` does not go with `value`", ""),
        ("value = '1'\nby = \"product.id\"", "7:6", "`by` does not go with `value`", ""),
        ("value = '1'\nalive = 'event.bot'", "7:9", "`alive` does not go with `value`", ""),
        ("value = '1'\nper = \"1m\"", "7:7", "`per` does not go with `value`", ""),
        ("value = '1'\nover = 'event.bot'", "7:8", "`over` does not go with `value`", ""),
        ("fold = \"count\"\nalive = 'event.query == \"x\"'", "7:9", "not kept of every event", "event.name in"),
    ];
    for (lines, place, message, hint) in cases {
        let found = check(&base(lines), "f.toml");
        let first = found.first().unwrap_or_else(|| panic!("{lines}: nothing found"));
        assert!(first.to_string().starts_with(&format!("f.toml:{place}: ")), "{lines}: {first}");
        assert!(first.message.contains(message), "{lines}: {first}");
        assert!(first.hint.as_deref().unwrap_or_default().contains(hint), "{lines}: {first}");
    }
}

#[test]
fn windows_of_keys() {
    let base = |key: &str, windows: &str, fold: &str| {
        format!("[[feature]]\nname = \"f\"\nkey = {key}\nwindows = {windows}\n{fold}\n")
    };
    let sequence = "fold = \"sequence\"\nthen = 'event.bot'\nwithin = \"5m\"";
    for (key, windows, fold, place, message) in [
        ("\"user\"", "[\"session\"]", "fold = \"count\"", "4:12", "a session is no window of a user"),
        ("\"product\"", "[\"session\"]", "fold = \"count\"", "4:12", "a session is no window of a field"),
        ("\"product\"", "[\"lifetime\"]", sequence, "5:8", "can't be kept as a sum"),
        ("\"product\"", "[]", "fold = \"count\"", "2:8", "a field's feature wants windows"),
        ("\"product\"", "[\"5m\"]", sequence, "5:8", "can't be kept as a sum"),
        ("\"user\"", "[\"lifetime\"]", sequence, "5:8", "can't be kept as a sum"),
        ("[\"user\", \"product\"]", "[\"5m\"]", "value = '1'", "3:7", "worked out for users and sessions"),
        ("\"Product.ID\"", "[\"5m\"]", "fold = \"count\"", "3:7", "no features by `Product.ID`"),
    ] {
        let found = check(&base(key, windows, fold), "f.toml");
        let first = found.first().unwrap_or_else(|| panic!("{key} {windows} {fold}: nothing found"));
        assert!(first.to_string().starts_with(&format!("f.toml:{place}: ")), "{key} {windows} {fold}: {first}");
        assert!(first.message.contains(message), "{key} {windows} {fold}: {first}");
    }
    for (key, windows) in [
        ("[\"user\", \"session\", \"product\", \"geo.country\", \"properties.store\"]", "[\"5m\", \"7m\", \"24h\"]"),
        ("[\"user\", \"session\"]", "[\"1s\", \"lifetime\"]"),
    ] {
        assert_eq!(check(&base(key, windows, "fold = \"count\""), "f.toml"), [], "{key} {windows}");
    }
    let twice = base("\"product\"", "[\"5m\", \"5m\"]", "fold = \"count\"");
    assert!(check(&twice, "f.toml")[0].message.contains("`product.f_5m` is defined twice"));
}

#[test]
fn how_a_profile_is_served() {
    for (line, place, message, hint) in [
        ("text = \"jva\"", "2:8", "`jva` is not known here", "did you mean `java`?"),
        ("expires = \"1h\"", "2:11", "at most 600s", "600s"),
        ("expires = \"soon\"", "2:11", "not a duration", ""),
        ("windows = \"shut\"", "2:11", "`shut`", "open, closed"),
        ("currencies = \"mixed\"", "2:14", "`mixed`", ""),
        ("built_ins = [\"cart_vlaue\"]", "2:14", "`cart_vlaue`", "did you mean `cart_value`?"),
        ("visit = { when = 'event.query == \"x\"', gap = \"30m\" }", "2:18", "not kept of every event", ""),
        ("visit = { when = 'event.bot', gap = \"30m\" }", "2:18", "not kept of every event", ""),
        ("visit = { when = 'event.name == \"search\"', gap = \"half\" }", "2:50", "not a duration", ""),
        ("txt = \"java\"", "2:1", "unknown field `txt`", "did you mean `text`?"),
    ] {
        let found = check(&format!("[served]\n{line}\n"), "f.toml");
        let first = found.first().unwrap_or_else(|| panic!("{line}: nothing found"));
        assert!(first.to_string().starts_with(&format!("f.toml:{place}: ")), "{line}: {first}");
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

/// Whatever stands before it: quotes and escapes are longer in the file than what they stand for.
#[test]
fn places_in_text_with_escapes() {
    let quotes = "\"\"\"";
    for (when, line, column) in [
        ("\"event.name == \\\"x\\\" && event.prise > 3\"".to_owned(), 5, 32),
        ("\"event.query == \\\"\\u00e4\\\" && event.prise > 3\"".to_owned(), 5, 38),
        (format!("{quotes}\nevent.name == \"x\" && \\\n   event.prise > 3{quotes}"), 7, 4),
        (format!("{quotes}\nevent.name == \"x\" &&\n  event.prise > 3{quotes}"), 7, 3),
        (format!("{quotes}event.name == \"\\t\" &&\n  event.prise > 3{quotes}"), 6, 3),
    ] {
        let found = check(&file(&format!("when = {when}")), "f.toml");
        let first = found.first().unwrap_or_else(|| panic!("{when}: nothing found"));
        assert_eq!((first.line, first.column), (line, column), "{when}: {first}");
    }
}

/// A feature that is there, over another window, is told with those that it has.
#[test]
fn a_window_that_a_feature_has_not() {
    let read = |value: &str, windows: &str| {
        let counted =
            "[[feature]]\nname = \"a\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"5m\", \"1h\", \"lifetime\"]\n";
        let text = format!(
            "{counted}[[feature]]\nname = \"b\"\nkey = \"user\"\nvalue = '{value}'\nwindows = [\"{windows}\"]\n"
        );
        let found = check(&text, "f.toml");
        found.first().map(|first| (first.message.clone(), first.hint.clone().unwrap_or_default()))
    };
    let hint = "there is user.a_5m, user.a_1h, user.a_lifetime".to_owned();
    assert_eq!(read("user.a > 1", "2h"), Some(("`user.a` has no window 2h".to_owned(), hint.clone())));
    assert_eq!(read("user.a_2h > 1", "1h"), Some(("`user.a` has no window 2h".to_owned(), hint)));
    assert_eq!((read("user.a > 1", "1h"), read("user.a_5m > 1", "2h")), (None, None));
}

/// A property is named as it is, in brackets where it has other signs, and is asked for by its name.
#[test]
fn keys_that_are_properties() {
    for (key, asked) in [
        ("properties.storeId", "properties.storeId"),
        ("properties[\"storeId\"]", "properties.storeId"),
        ("properties[\"store-id\"]", "properties.store-id"),
        ("properties[\"store.region\"]", "properties.store.region"),
        ("properties[\"Store: ID\"]", "properties.Store: ID"),
        ("event.properties[\"store-id\"]", "event.properties.store-id"),
        ("event.properties.store", "event.properties.store"),
        ("event.geo.country", "event.geo.country"),
        ("context.profile.tier", "context.profile.tier"),
        ("product", "product"),
    ] {
        let text = format!("[[feature]]\nname = \"f\"\nkey = '{key}'\nfold = \"count\"\nwindows = [\"1h\"]\n");
        let set = FeatureSet::load(&[("f.toml", &text)]).unwrap_or_else(|found| panic!("{key}: {found:?}"));
        assert_eq!(set.field_keys().collect::<Vec<_>>(), [asked], "{key}");
    }
    for key in ["event.bot ? \"a\" : \"b\"", "products[0].id", "properties"] {
        let text = format!("[[feature]]\nname = \"f\"\nkey = '{key}'\nfold = \"count\"\nwindows = [\"1h\"]\n");
        assert!(check(&text, "f.toml")[0].message.contains("there are no features by"), "{key}");
    }
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
    let alike = FeatureSet::load(&[("a.toml", &own), ("b.toml", &own)]).expect("says nothing new");
    assert_eq!(alike.names(midsession_feature::Key::User).collect::<Vec<_>>(), ["views_5m"]);
    let other = own.replace("fold = \"sum\"", "fold = \"max\"");
    assert_ne!(other, own);
    let found = FeatureSet::load(&[("a.toml", &own), ("b.toml", &other)]).expect_err("twice");
    assert_eq!(found[0].file, "b.toml");
}

/// Each of them doubles what the one before it takes: forty would hold up their partition for hours.
#[test]
fn what_is_worked_out_takes_so_many_readings() {
    let chain = |length: usize| {
        let first = "[[feature]]\nname = \"b0\"\nkey = \"session\"\nfold = \"count\"\n".to_owned();
        (1..=length).fold(first, |text, number| {
            let before = number - 1;
            let value = format!("session.b{before} + session.b{before}");
            format!("{text}[[feature]]\nname = \"b{number}\"\nkey = \"session\"\nvalue = '{value}'\n")
        })
    };
    assert_eq!(check(&chain(8), "f.toml"), []);
    let found = check(&chain(9), "f.toml");
    let first = found.first().expect("one too many");
    assert!(first.to_string().starts_with("f.toml:40:9: "), "{first}");
    assert!(first.message.contains("takes 512 readings of features, at most 256 may be"), "{first}");
}

/// Whoever reads a definition with a mistake is told of it, not that there is no such feature.
#[test]
fn a_mistake_is_not_told_as_a_missing_feature() {
    let reads =
        |what: &str| format!("[[feature]]\nname = \"a\"\nkey = \"user\"\nwindows = [\"1h\"]\nvalue = '{what}'\n");
    let b = |line: &str| format!("[[feature]]\nname = \"b\"\nkey = \"user\"\nwindows = [\"1h\"]\n{line}\n");
    for line in ["fold = \"summ\"", "fold = 5", "fold = \"count\"\nfolds = 1", "value = 'user.none'"] {
        for what in ["user.b + 1", "user.b_1h * 2"] {
            let found = check(&format!("{}{}", b(line), reads(what)), "f.toml");
            let [first, second] = &found[..] else { panic!("{line} {what}: {found:?}") };
            assert!(!first.message.contains("of its own"), "{first}");
            assert_eq!(second.message, "`b` has a mistake of its own", "{line} {what}");
            assert_eq!(second.hint.as_deref(), Some("mend `b` first"));
        }
        for what in ["user.b_x", "user.c"] {
            let found = check(&format!("{}{}", b(line), reads(what)), "f.toml");
            assert!(
                found.iter().any(|fault| fault.message.contains(&format!("`{what}` is not a feature"))),
                "{found:?}"
            );
        }
    }
    assert_eq!(check(&format!("{}{}", b("fold = \"count\""), reads("user.b + 1")), "f.toml"), []);
}

/// Whoever knows another language is told what it is called here.
#[test]
fn conditions_as_they_are_written_elsewhere() {
    let cases: &[(&str, usize, &str, &str)] = &[
        ("event.name == \"search\" and event.bot", 24, "`and` is no operator", "did you mean `&&`?"),
        ("event.bot OR event.preview", 11, "`OR` is no operator", "did you mean `||`?"),
        ("event.bot && not event.preview", 14, "`not` is no operator", "did you mean `!`?"),
        ("not event.bot", 1, "`not` is no operator", "did you mean `!`?"),
        ("not(event.bot)", 4, "there is no function `not`", "did you mean `!`?"),
        ("event.name <> \"search\"", 12, "`<>` is no operator", "did you mean `!=`?"),
        ("event.name = \"search\"", 12, "`=` is no operator", "did you mean `==`?"),
        ("event.name == \"search", 15, "the text has no end", "the quote that it begins with"),
        ("event.name == “search”", 15, "“", "straight quotes"),
        ("(event.bot && event.preview", 28, "ends too early", "a bracket is still open: add `)`"),
        ("event.bot && event.name in [\"a)\"", 33, "ends too early", "add `]`"),
        ("event.bot &&", 13, "ends too early", "write something after `&&`, or leave it out"),
        ("event.step >= ", 15, "ends too early", "write something after `>=`"),
        ("event.bot)", 10, "extraneous input ')'", "no bracket is open there"),
        ("event.name in (\"a\", \"b\")", 19, "mismatched input ','", "a list stands in square brackets"),
        (" ", 2, "ends too early", "write it like event.name == "),
        ("event.step between 1", 12, "mismatched input 'between'", "write it like "),
    ];
    for (when, column, message, hint) in cases {
        let found = check(&file(&format!("when = '''{when}'''")), "f.toml");
        let [first] = &found[..] else { panic!("{when}: {found:?}") };
        assert_eq!((first.line, first.column), (5, 10 + column), "{when}: {first}");
        assert!(first.message.contains(message), "{when}: {first}");
        assert!(first.hint.as_deref().unwrap_or_default().contains(hint), "{when}: {first}");
    }
    // They are names like any other where a name is meant.
    assert_eq!(check(&file("when = 'event.properties.and == 1 && event.properties.or == 2'"), "f.toml"), []);
}

#[test]
fn a_key_is_asked_for_where_it_is_missing() {
    let text = format!("profile = \"own\"\n{}", file("name = \"views\"")).replace("key = \"user\"\n", "");
    let [found] = &check(&text, "f.toml")[..] else { panic!("one fault") };
    assert_eq!((found.line, found.column), (3, 1), "at its [[feature]]: {found}");
    assert!(found.hint.as_deref().is_some_and(|hint| hint.starts_with("add a line key = \"user\"")), "{found}");
}

#[test]
fn brackets_are_counted() {
    let found = |text: &str| {
        let mut document = Document::new("f.toml", text);
        let root = document.parse();
        document.brackets(&root, &["source", "feature"]);
        document.into_found().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let good = "profiles = [\"native\"]\n[session]\ngap_s = 5\n[[source]]\nname = \"a\"\n";
    assert_eq!(found(good), [""; 0]);
    assert_eq!(
        found(&good.replace("[session]", "[[session]]").replace("[[source]]", "[source]")),
        [
            "f.toml:2:1: `session` is one table\n  hint: write [session]",
            "f.toml:4:1: `source` is a list of tables\n  hint: write [[source]]",
        ]
    );
    for (text, place, hint) in [
        ("# a comment\n[feature]\nname = \"a\"\n", "2:1", "write [[feature]]"),
        ("\n[[served]]\ntext = \"java\"\n", "2:1", "write [served]"),
    ] {
        let [found] = &check(text, "f.toml")[..] else { panic!("one fault") };
        assert_eq!(found.hint.as_deref(), Some(hint));
        assert!(found.to_string().starts_with(&format!("f.toml:{place}: ")), "{found}");
    }
}
