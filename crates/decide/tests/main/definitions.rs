//! Interventions as written: places and words of faults, versions, and rules said in words.

use crate::kit::{rule, rules};
use midsession_decide::Definitions;
use midsession_feature::FeatureSet;

/// A good definition with one line replaced or added.
fn file(line: &str) -> String {
    let good = [
        "name = \"stalled\"",
        "trigger = { idle = \"20s\" }",
        "when = 'session.cart_value > 80'",
        "cap = [\"1 per session\"]",
        "holdout = 0.1",
        "expires = \"2m\"",
        "slot = \"nudge\"",
        "payload = { title = \"Hello\" }",
    ];
    let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut lines: Vec<&str> = good.iter().map(|known| if key(known) == key(line) { line } else { *known }).collect();
    if !lines.contains(&line) {
        lines.push(line);
    }
    format!("[[intervention]]\n{}\n", lines.join("\n"))
}

fn faults(text: &str) -> Vec<String> {
    let found = Definitions::default().add("d.toml", text, &FeatureSet::native());
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn places_words_hints() {
    assert_eq!(faults(&file("holdout = 0.2")), [""; 0], "the good file is good");
    let cases = [
        ("trigger = { idle = \"20\" }", "d.toml:3:11: `20` is not a duration"),
        ("trigger = { idle = \"20s\", event = \"search\" }", "d.toml:3:11: a trigger is one event or one silence"),
        ("trigger = { silence = \"20s\" }", "d.toml:3:13: unknown field `silence`"),
        (
            "when = 'session.cart_vlaue > 80'",
            "d.toml:4:9: `session.cart_vlaue` is not a feature\n  hint: did you mean `session.cart_value`?",
        ),
        ("when = 'session.cart_value'", "d.toml:4:9: a condition is true or false"),
        ("when = 'event.name == \"search\"'", "d.toml:4:8: in silence there is no event to look at"),
        ("cap = [\"1 per session\", \"twice\"]", "d.toml:5:25: `twice` is not a cap"),
        ("cap = [\"1 per 7 days\"]", "d.toml:5:8: `1 per 7 days` is not a cap"),
        ("holdout = 1.5", "d.toml:6:11: a holdout is a share from 0 to 1"),
        ("expires = \"soon\"", "d.toml:7:11: `soon` is not a duration"),
        ("payload = { code = { percent = 200 } }", "d.toml:9:11: a code takes a percent from 1 to 100"),
        ("name = \"a b\"", "d.toml:2:8: `a b` can't be a name"),
        ("prioritty = 3", "d.toml:10:1: unknown field `prioritty`"),
    ];
    for (line, expected) in cases {
        let found = faults(&file(line));
        assert!(found.first().is_some_and(|fault| fault.starts_with(expected)), "{line}: {found:?}");
    }
    let twice = faults(&(file("holdout = 0.1") + &file("holdout = 0.1")));
    assert!(twice[0].starts_with("d.toml:11:8: there is an intervention `stalled` already"), "{twice:?}");
    let caps = faults("[interventions]\ncap = [\"x per session\"]\n");
    assert!(caps[0].starts_with("d.toml:2:8: `x` is not a whole number"), "{caps:?}");
}

#[test]
fn a_payload_shows_something_and_links_where_a_card_goes() {
    let fault = |payload: &str| faults(&file(&format!("payload = {payload}"))).first().cloned().unwrap_or_default();
    for empty in
        ["{}", "{ title = \"\", body = \" \" }", "{ locales = { de = { title = \"x\" } } }", "{ cards = [{}] }"]
    {
        let told = fault(empty);
        assert!(
            told.starts_with("d.toml:9:11: a payload without a field shows nothing\n  hint: give it"),
            "{empty}: {told}"
        );
    }
    let apart = file("payload = {}").replace("payload = {}", "[intervention.payload]");
    assert!(faults(&apart)[0].starts_with("d.toml:9:1: a payload without a field"), "{:?}", faults(&apart));
    for (action, scheme) in [
        ("javascript:alert(1)", "javascript"),
        ("JavaScript:alert(1)", "javascript"),
        (" java\\nscript:alert(1)", "javascript"),
        ("\\u0001data:text/html,x", "data"),
        ("vbscript:x", "vbscript"),
        ("mailto:help@shop.example", "mailto"),
        ("tel:+31201234567", "tel"),
        ("blob:https://shop.example/1", "blob"),
        ("shop.example:8080/cart", "shop.example"),
    ] {
        let told = fault(&format!("{{ title = \"x\", action = \"{action}\" }}"));
        let expected = format!("d.toml:9:35: no card shows a link with `{scheme}:`\n  hint: an address of the shop");
        assert!(told.starts_with(&expected), "{action}: {told}");
        let told = fault(&format!("{{ title = \"x\", locales = {{ de = {{ action = \"{action}\" }} }} }}"));
        assert!(told.starts_with("d.toml:9:54: no card shows"), "{action}: {told}");
    }
    for action in [
        "/cart",
        "cart?at=12:30",
        "#contact",
        "//shop.example/a:b",
        "https://shop.example:8080/",
        "HTTP://x",
        "",
        "../a:b",
        "?q=a:b",
        "1:2",
    ] {
        assert_eq!(fault(&format!("{{ title = \"x\", action = \"{action}\" }}")), "", "{action}");
    }
    for payload in [
        "{ products = 3 }",
        "{ code = { percent = 10 } }",
        "{ open = false }",
        "{ title = \"x\", action = { cart = \"tel:1\" } }",
    ] {
        assert_eq!(fault(payload), "", "what the page's own code paints is its own: {payload}");
    }
}

#[test]
fn a_version_is_of_the_whole_definition_and_nothing_else() {
    let version = |text: &str| rules(text).rule("r").expect("there").version.clone();
    let block = "[[intervention]]\nname = \"r\"\nslot = \"s\"\ntrigger = { event = \"search\" }\n[intervention.payload]\ntitle = \"A\"\n";
    let first = version(block);
    assert_eq!(first, version(&(rule("before", "") + block)), "not of its place");
    assert_ne!(first, version(&block.replace("\"A\"", "\"B\"")), "of its payload");
    assert_ne!(first, version(&block.replace("\"search\"", "\"login\"")), "of its trigger");
    let localised = format!("{block}[intervention.payload.locales.de]\ntitle = \"A\"\n");
    assert_ne!(first, version(&localised), "of its texts in other languages");
    assert_ne!(
        version(&localised),
        version(&localised.replace("locales.de]\ntitle = \"A\"", "locales.de]\ntitle = \"C\""))
    );
}

#[test]
fn said_in_words() {
    let rules = rules(&rule(
        "r",
        "trigger = { idle = \"20s\" }\nwhen = 'session.cart_value > 80 && session.order_count == 0'\ncap = [\"1 per session\", \"2 per 7d\"]\nexpires = \"2m\"",
    ));
    let words = rules.rule("r").expect("there").in_words();
    let expected = "When a shopper has been quiet for 20 s and session.cart_value > 80 and session.order_count == 0: \
                    show it in `s` within 2 m, at most 1 per session, at most 2 per 7 d.";
    assert_eq!(words, expected);
}
